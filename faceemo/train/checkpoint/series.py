"""A folder of numbered checkpoints, written whole or not at all and checked when read."""

import contextlib
import functools
import shutil
import sys
import time
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import orbax.checkpoint as ocp
from absl import logging
from orbax.checkpoint.options import MultiprocessingOptions

from faceemo import staging
from faceemo.errors import UserError
from faceemo.train.checkpoint.digest import digest_items, find_differences, make_seal

_DIGEST = "digest"
# Part of the names of checkpoints that Orbax has not finished writing or that are being removed.
_TEMPORARY = ".orbax-checkpoint-tmp"
_DAMAGED = "damaged-"
_ATTEMPTS, _PAUSE = 20, 0.1  # seconds
# The other processes of a run take no part.
_FIRST_ALONE = MultiprocessingOptions(
    primary_host=0, active_processes={0}, barrier_sync_key_prefix="faceemo"
)


class Series:
    """Checkpoints FOLDER/NUMBER, of which the newest `keep` are kept.

    Each holds records (JSON), trees of arrays, and the digests of both, because Orbax restores
    flipped bits without an error.
    """

    def __init__(self, folder: Path, keep: int):
        self.folder = folder.absolute()
        self._keep = keep

    def numbers(self) -> list[int]:
        """Lists the numbers of the checkpoints in the folder, ascending."""
        if not self.folder.is_dir():
            return []
        return sorted(int(path.name) for path in self.folder.iterdir() if path.name.isdecimal())

    def write(self, number: int, records: Mapping[str, Any], arrays: Mapping[str, Any]) -> None:
        """Saves a checkpoint, then removes the oldest ones beyond `keep`.

        An existing checkpoint of the same number stays as it is: repeated steps give the same one.

        Args:
            number: Larger than the numbers of all others.
            records: JSON-serialisable values by name.
            arrays: Trees (dicts) of NumPy arrays by name; an empty one is left out.

        Raises:
            UserError: If it cannot be written; existing checkpoints stay.
        """
        if number in self.numbers():
            return
        arrays = {name: tree for name, tree in arrays.items() if tree}
        seal = make_seal(digest_items(arrays, records))
        args = {
            name: ocp.args.JsonSave(value) for name, value in {**records, _DIGEST: seal}.items()
        }
        args |= {name: ocp.args.StandardSave(tree) for name, tree in arrays.items()}
        try:
            with _quiet():
                self._writer.save(number, args=ocp.args.Composite(**args))
        except (OSError, ValueError, RuntimeError) as error:
            self.remove_leftovers()
            raise UserError(
                expected=f"to write a checkpoint in {self.folder}",
                found=f"an error: ... {' '.join(str(error).split())[-200:]}",
                fix="make room there, then give the same command again: it resumes from the "
                "checkpoint before, which is intact",
            ) from error

    def read_newest(
        self, records: Collection[str], arrays: Collection[str] = ()
    ) -> tuple[int, dict[str, Any]] | None:
        """Reads the newest intact checkpoint, and warns of every newer one that is damaged.

        Args:
            records: Names of the records to read.
            arrays: Names of the trees to read; one that was empty comes back as {}.

        Returns:
            The checkpoint's number and its items by name; None if no checkpoint is intact.
        """
        for number in reversed(self.numbers()):
            try:
                return number, self._read(number, records, arrays)
            # On damaged files Orbax and the libraries below it raise any exception.
            except Exception as error:
                reason = " ".join(str(error).split())[:200]
                print(
                    f"warning: the checkpoint {self.folder / str(number)} is damaged and not used "
                    f"({type(error).__name__}: {reason})",
                    file=sys.stderr,
                )
        return None

    def remove_leftovers(self) -> None:
        """Removes the leftovers of killed and failed saves and of killed removals.

        Threads of a failed save may go on writing for a moment; what they leave is removed when the
        run starts again.
        """
        for _ in range(_ATTEMPTS):
            leftovers = list(self.folder.glob(f"*{_TEMPORARY}*"))
            if not leftovers:
                return
            for leftover in leftovers:
                shutil.rmtree(leftover, ignore_errors=True)
            time.sleep(_PAUSE)

    def set_aside_damaged(self, newer_than: int) -> None:
        """Renames newer checkpoints, so that their numbers are free; none is deleted."""
        for number in self.numbers():
            if number > newer_than:
                aside = self.folder / f"{_DAMAGED}{number}"
                if aside.exists():
                    shutil.rmtree(aside)
                (self.folder / str(number)).replace(aside)

    def remove(self, newer_than: int) -> None:
        """Deletes newer checkpoints; a half-deleted one never keeps its number."""
        for number in self.numbers():
            if number > newer_than:
                place = self.folder / str(number)
                place.replace(place.with_name(f"{number}{_TEMPORARY}-removed"))
        self.remove_leftovers()

    def _read(
        self, number: int, records: Collection[str], arrays: Collection[str]
    ) -> dict[str, Any]:
        """Reads a checkpoint's items.

        Raises:
            ValueError: If an item is missing or is not as it was saved.
        """
        place = self.folder / str(number)
        present = {path.name for path in place.iterdir()}
        args = {name: ocp.args.JsonRestore() for name in {*records, _DIGEST} & present}
        args |= {name: ocp.args.StandardRestore() for name in present.intersection(arrays)}
        # Not with a CheckpointManager, which warns if it is read-only.
        handler = ocp.CompositeCheckpointHandler()
        with ocp.Checkpointer(handler, multiprocessing_options=_FIRST_ALONE) as reader:
            stored = dict(reader.restore(place, args=ocp.args.Composite(**args)).items())
        seal = stored.pop(_DIGEST, None)
        if seal is None:
            raise ValueError("it has no digest to check it by")
        items = {name: {} for name in arrays} | stored
        found = digest_items(
            {name: items[name] for name in arrays},
            {name: stored[name] for name in present.intersection(records)},
        )
        if wrong := find_differences(seal, found, {*records, *arrays}):
            raise ValueError(f"these items are not as they were saved: {', '.join(wrong)}")
        return items

    @functools.cached_property
    def _writer(self) -> ocp.CheckpointManager:
        staging.make_folder(self.folder)
        options = ocp.CheckpointManagerOptions(
            max_to_keep=self._keep,
            create=False,
            enable_async_checkpointing=False,
            multiprocessing_options=_FIRST_ALONE,
        )
        return ocp.CheckpointManager(self.folder, options=options)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silences Orbax's log, to which it writes a traceback per thread for errors it also raises."""
    verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.FATAL)
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)


def run_series(workdir: Path) -> tuple[Series, Series, Series]:
    """Returns the series of a run: its frozen leaves, its whole states, its best weights."""
    return Series(workdir / "frozen", 1), Series(workdir / "latest", 2), Series(workdir / "best", 2)
