"""A folder of numbered checkpoints: written whole or not at all, checked when they are read."""

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

from faceemo.errors import UserError
from faceemo.train.digest import differences, digests, sealed

_DIGEST = "digest"
# In the names of what Orbax has not finished writing, and of what is about to go.
_TEMPORARY = ".orbax-checkpoint-tmp"
_DAMAGED = "damaged-"
_ATTEMPTS, _PAUSE = 20, 0.1  # seconds
# The other processes of a run do not take part.
_FIRST_ALONE = MultiprocessingOptions(
    primary_host=0, active_processes={0}, barrier_sync_key_prefix="faceemo"
)


class Series:
    """Checkpoints FOLDER/NUMBER, of which the newest `keep` stay.

    Each holds records (JSON), trees of arrays, and the digests of both: Orbax restores a flipped
    byte without a word.
    """

    def __init__(self, folder: Path, keep: int):
        self.folder = folder.absolute()
        self._keep = keep

    def numbers(self) -> list[int]:
        """Of the checkpoints that are there, ascending."""
        if not self.folder.is_dir():
            return []
        return sorted(int(path.name) for path in self.folder.iterdir() if path.name.isdecimal())

    def write(self, number: int, records: Mapping[str, Any], arrays: Mapping[str, Any]) -> None:
        """Saves a checkpoint, then removes what is no longer kept.

        One of the same number stays as it is: training that repeats itself makes the same again.

        Args:
            number: larger than those that are there.
            records: JSON-able values by name.
            arrays: trees (dicts) of NumPy arrays by name; an empty one is left out.

        Raises:
            UserError: if it cannot be written; what was there before stays.
        """
        if number in self.numbers():
            return
        arrays = {name: tree for name, tree in arrays.items() if tree}
        seal = sealed(digests(arrays, records))
        args = {
            name: ocp.args.JsonSave(value) for name, value in {**records, _DIGEST: seal}.items()
        }
        args |= {name: ocp.args.StandardSave(tree) for name, tree in arrays.items()}
        try:
            with _quiet():
                self._writer.save(number, args=ocp.args.Composite(**args))
        except (OSError, ValueError, RuntimeError) as error:
            self.prune()
            raise UserError(
                expected=f"a checkpoint to be written in {self.folder}",
                found=f"... {' '.join(str(error).split())[-200:]}",
                fix="make room there, then give the same command again: it goes on from the "
                "checkpoint before, which is whole",
            ) from error

    def newest_sound(
        self, records: Collection[str], arrays: Collection[str] = ()
    ) -> tuple[int, dict[str, Any]] | None:
        """Number and items of the newest checkpoint that is as it was saved, None without one.

        Warns of every newer one that is not.

        Args:
            records: names of what is wanted.
            arrays: likewise; one that was empty comes back as {}.
        """
        for number in reversed(self.numbers()):
            try:
                return number, self._read(number, records, arrays)
            # Orbax and what is below it raise anything on damaged files.
            except Exception as error:
                reason = " ".join(str(error).split())[:200]
                print(
                    f"warning: {self.folder / str(number)} is damaged and not used "
                    f"({type(error).__name__}: {reason})",
                    file=sys.stderr,
                )
        return None

    def prune(self) -> None:
        """Removes what killed and failed saves, and killed removals, have left.

        Threads of a save that failed may still write into it for a moment; what then is left goes
        when the run starts again.
        """
        for _ in range(_ATTEMPTS):
            leftovers = list(self.folder.glob(f"*{_TEMPORARY}*"))
            if not leftovers:
                return
            for leftover in leftovers:
                shutil.rmtree(leftover, ignore_errors=True)
            time.sleep(_PAUSE)

    def set_aside_damaged(self, newer_than: int) -> None:
        """Renames the newer ones, so that their numbers are free; none is destroyed."""
        for number in self.numbers():
            if number > newer_than:
                aside = self.folder / f"{_DAMAGED}{number}"
                if aside.exists():
                    shutil.rmtree(aside)
                (self.folder / str(number)).replace(aside)

    def remove(self, newer_than: int) -> None:
        """Deletes the newer ones; no half of one is ever left under its number."""
        for number in self.numbers():
            if number > newer_than:
                place = self.folder / str(number)
                place.replace(place.with_name(f"{number}{_TEMPORARY}-removed"))
        self.prune()

    def _read(
        self, number: int, records: Collection[str], arrays: Collection[str]
    ) -> dict[str, Any]:
        place = self.folder / str(number)
        present = {path.name for path in place.iterdir()}
        args = {name: ocp.args.JsonRestore() for name in {*records, _DIGEST} & present}
        args |= {name: ocp.args.StandardRestore() for name in present.intersection(arrays)}
        # Not by a manager: a read-only one warns that it is one.
        handler = ocp.CompositeCheckpointHandler()
        with ocp.Checkpointer(handler, multiprocessing_options=_FIRST_ALONE) as reader:
            stored = dict(reader.restore(place, args=ocp.args.Composite(**args)).items())
        seal = stored.pop(_DIGEST, None)
        if seal is None:
            raise ValueError("it has no digest, by which to check it")
        items = {name: {} for name in arrays} | stored
        found = digests(
            {name: items[name] for name in arrays},
            {name: stored[name] for name in present.intersection(records)},
        )
        if wrong := differences(seal, found, {*records, *arrays}):
            raise ValueError(f"not as it was saved: {', '.join(wrong)}")
        return items

    @functools.cached_property
    def _writer(self) -> ocp.CheckpointManager:
        self.folder.mkdir(parents=True, exist_ok=True)
        options = ocp.CheckpointManagerOptions(
            max_to_keep=self._keep,
            create=False,
            enable_async_checkpointing=False,
            multiprocessing_options=_FIRST_ALONE,
        )
        return ocp.CheckpointManager(self.folder, options=options)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Orbax tells the log what it also raises, with a traceback for each of its threads."""
    verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.FATAL)
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
