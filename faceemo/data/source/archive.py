"""The originals: images of any source in one form, root/Facial_emotion_images/<split>/<class>/.

The folder appears only when the last byte is verified, so a kill at any point leaves nothing that
could pass for finished. The source is only ever read; a user's own folder that already has this
form is used in place.
"""

import dataclasses
import hashlib
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Any

from tqdm import tqdm

from faceemo import staging
from faceemo.assets.downloads import file_digest
from faceemo.config import SPLITS
from faceemo.config.field_words import spell
from faceemo.data.measure import thumbnails
from faceemo.data.source import sources
from faceemo.data.source.layout import LeftOut, format_examples
from faceemo.data.source.plan import Plan
from faceemo.data.source.selection import Selection
from faceemo.data.source.sources import FOLDER, ZIP, FolderSource
from faceemo.data.source.votes_by_path import VotesByPath
from faceemo.errors import UserError

__all__ = ["FOLDER", "ZIP", "Originals", "check_present", "ensure_originals", "hash_images"]

Record = dict[str, Any]
_SHORT = 2.0  # seconds that pass before progress is shown


@dataclasses.dataclass(frozen=True)
class Originals:
    """The images in their one form, and the record that identifies them."""

    folder: Path
    images: dict[str, str]  # path below the folder ('train/happy/7.jpg') -> sha256, by path
    source_sha256: str | None  # of the source; None if `folder` is the user's own
    source_within: bool  # whether the source lies in the dataset's folder
    missing_splits: tuple[str, ...]  # splits that the source does not have
    selection: Selection
    unpacked: bool = False  # whether this call made the folder
    notes: tuple[str, ...] = ()  # lines for the user: the layout found, classes, splits made
    left_out: dict[str, int] = dataclasses.field(default_factory=dict)  # class -> images
    source: Path | None = None  # the zip, folder or csv; None if it was not read this time
    paths_in_source: dict[str, str] = dataclasses.field(default_factory=dict)  # by path in `images`
    not_used: dict[str, LeftOut] = dataclasses.field(default_factory=dict)  # by path in the source
    votes_sha256: str | None = None  # of the table of votes that the user named
    votes: VotesByPath | None = None  # None if the source was not read this time
    cut_out: frozenset[str] = frozenset()  # paths in `images` of parts of photographs

    @property
    def fingerprint(self) -> Record:
        """The record by which the next call recognises these originals, as JSON."""
        record = {
            "source": self.source_sha256,
            "within": self.source_within,
            "lacking": list(self.missing_splits),
            "images": _digest(self.images),
        } | self.selection.to_record(self.missing_splits)
        return record | ({"votes": self.votes_sha256} if self.votes_sha256 else {})


def check_present(root: Path, selection: Selection | None = None) -> None:
    """Raises a UserError that says where to put the images, if there are none.

    Makes `root` if the images are elsewhere.
    """
    named = selection.source if selection else None
    if named is not None:
        sources.find(root, named, from_within=False)
        staging.make_folder(root)
    elif not (root / ZIP).is_file() and not (root / FOLDER).is_dir():
        sources.find(root, None, from_within=False)


def ensure_originals(
    root: Path, recorded: Record | None = None, selection: Selection | None = None
) -> Originals:
    """Returns the images in root/Facial_emotion_images and makes them from their source if needed.

    A folder without another source is the user's own and is used as it is. A folder that this
    function made is replaced when the source, the classes or the splits to make have changed; any
    other folder is never touched.

    Args:
        root: The dataset's folder.
        recorded: The `fingerprint` of an earlier call, or None.
        selection: Source, classes and splits to make. Default: those of `recorded`, or the
            defaults of `Selection`.

    Raises:
        UserError: If there is no source or more than one, if it and the folder disagree, or if
            either of them is damaged, unsafe or of no known layout.
    """
    recorded = recorded or {}
    repeated = selection is None
    selection = selection or Selection.from_record(recorded)
    check_present(root, selection)
    folder = root / FOLDER
    source = sources.find(root, selection.source, from_within=bool(recorded.get("within")))
    votes_sha256 = recorded.get("votes") if repeated else _digest_votes(selection)
    if source.path.resolve() == folder.resolve():
        if selection.votes is None:  # then they are those of the source that the folder was made of
            votes_sha256 = recorded.get("votes")
        return _use_own_folder(folder, selection, recorded, votes_sha256)
    source_sha256 = source.sha256(selection.known_names)
    within = source.path.resolve().is_relative_to(root.resolve())
    images = hash_images(folder) if folder.exists() else None
    made_here = images is not None and _was_made(images, recorded)
    if images is not None and made_here:
        missing = tuple(recorded["lacking"])
        known = Originals(
            folder, images, source_sha256, within, missing, selection, votes_sha256=votes_sha256
        )
        if recorded == known.fingerprint:
            return known
    if repeated and votes_sha256:
        raise UserError(
            expected=f"the table of votes that {folder} was made with",
            found="another source, and no table",
            fix=f"name it with {spell('votes', 'fer2013new.csv')}",
        )
    plan = Plan(source, selection, root)
    unpacked = images is None or made_here
    if images is None or made_here:
        _unpack(plan, folder, source_sha256)
        images = hash_images(folder)
        (root / thumbnails.NAME).unlink(missing_ok=True)  # of the search for groups
    else:
        _check_same(folder, images, plan)
    return Originals(
        folder, images, source_sha256, within, plan.missing_splits, selection,
        unpacked=unpacked, votes_sha256=votes_sha256, **plan.facts(),
    )  # fmt: skip


def hash_images(folder: Path) -> dict[str, str]:
    """Computes the sha256 of every image in `folder`, by path below it, sorted.

    Every visible file in a class folder counts as an image, even if it cannot be decoded.

    Args:
        folder: Folder with <split>/<class>/<image>.

    Raises:
        UserError: If a file is elsewhere.
    """
    files = FolderSource(folder).files
    strays = [
        name for name in files if name.count("/") != 2 or name.partition("/")[0] not in SPLITS
    ]
    if strays:
        raise UserError(
            expected=f"all files at {{{','.join(SPLITS)}}}/<class>/<image> in {folder}",
            found=f"{len(strays):,} files elsewhere: {format_examples(strays)}",
            fix="name the folders exactly so (lower case) and put only images into them",
        )
    # a few large reads at a time would gain nothing: 20,000 files take 0.3 s
    progress = tqdm(files.items(), "checksums", disable=None, unit="file", delay=_SHORT)
    return {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in progress}


def _use_own_folder(
    folder: Path, selection: Selection, recorded: Record, votes_sha256: str | None
) -> Originals:
    """Returns the images of a folder that has no other source.

    It is the user's own, or was made from a source that is no longer there or not named again.

    Raises:
        UserError: If `selection` asks for other places of its images.
    """
    present = hash_images(folder)
    if _was_made(present, recorded):
        known = Originals(
            folder, present, recorded["source"], recorded["within"], tuple(recorded["lacking"]),
            selection, votes_sha256=votes_sha256,
        )  # fmt: skip
        if recorded == known.fingerprint:  # then the votes are known, which no folder holds
            return known
    plan = Plan(FolderSource(folder), selection, folder.parent)
    misplaced = sorted(path for path, target in plan.targets.items() if path != target)
    if misplaced:
        raise UserError(
            expected=f"{folder} with the classes and splits that the configuration asks for",
            # in ASCII, which tells composed and decomposed letters apart
            found=f"{len(misplaced):,} images that belong elsewhere, {misplaced[0]!a} at "
            f"{plan.targets[misplaced[0]]!a}",
            fix=f"rename your folder; faceemo then copies from it into a new {folder} and does not "
            "change yours",
        )
    images = {name: sha for name, sha in present.items() if name in plan.targets}
    own = Originals(
        folder, images, None, False, plan.missing_splits, selection,
        votes_sha256=votes_sha256, **plan.facts(),
    )  # fmt: skip
    if not _was_made(images, recorded):
        return own
    # The folder is no longer its own source: the paths and the votes of the earlier call stay.
    return dataclasses.replace(
        own,
        source_sha256=recorded["source"],
        source_within=recorded["within"],
        missing_splits=tuple(recorded["lacking"]),
        source=None,
        votes=own.votes if selection.votes else None,
    )


def _digest_votes(selection: Selection) -> str | None:
    """Computes the sha256 of the table of votes that the user named; None if there is none."""
    if selection.votes is None:
        return None
    return file_digest(selection.votes) if selection.votes.is_file() else "missing"


def _was_made(images: dict[str, str], recorded: Record) -> bool:
    """Returns whether an earlier call made these images from a source."""
    return bool(recorded.get("source")) and recorded["images"] == _digest(images)


def _unpack(plan: Plan, folder: Path, source_sha256: str) -> None:
    """Fills `folder`, replacing it, and goes on where a killed process stopped.

    Dates and permissions of the source are not applied.
    """
    total, free = plan.source.total_bytes(plan.targets), shutil.disk_usage(folder.parent).free
    if total > free:
        raise UserError(
            expected=f"{total / 2**20:,.0f} MiB of free disk to unpack {plan.source.path}",
            found=f"{free / 2**20:,.0f} MiB",
            fix=f"free some, or choose another folder with {spell('data_dir')}",
        )
    targets = "".join(f"{path} {target}\n" for path, target in sorted(plan.targets.items()))
    made_of = f"{source_sha256} {targets}".encode(errors="surrogateescape")
    with staging.folder(folder, hashlib.sha256(made_of).hexdigest()[:16]) as partial:
        for split in SPLITS:
            for label in sorted({target.split("/")[1] for target in plan.targets.values()}):
                (partial / split / label).mkdir(parents=True, exist_ok=True)
        missing = [path for path, target in plan.targets.items() if not (partial / target).exists()]
        done = len(plan.targets) - len(missing)
        with tqdm(
            total=len(plan.targets), desc="unpack", initial=done, disable=None, unit="file"
        ) as progress:
            for path, content in plan.source.read_files(missing):
                staging.write_file(content, partial, plan.targets[path])
                progress.update()
        if problems := plan.source.problems.keys() & plan.targets.keys():
            _check_any_left(plan, problems)


def _check_any_left(plan: Plan, problems: Collection[str]) -> None:
    """Raises a UserError if reading has found a problem with every image."""
    if len(problems) == len(plan.targets):
        path = min(problems)
        raise UserError(
            expected=f"images that can be read in {plan.source.path}",
            found=f"{len(problems):,} with problems; {path}: {plan.source.problems[path]}",
            fix="get the set again, with the images in it",
        )


def _check_same(folder: Path, images: dict[str, str], plan: Plan) -> None:
    """Raises a UserError unless `folder` holds the images that the plan would put there."""
    expected = {
        plan.targets[path]: hashlib.sha256(content).hexdigest()
        for path, content in plan.source.read_files(plan.targets)
    }
    differing = sorted({name for name, _ in expected.items() ^ images.items()})
    if differing:
        raise UserError(
            expected=f"the same images in {folder} as in {plan.source.path}",
            found=f"{len(differing):,} differ or are on one side only: "
            f"{format_examples(differing)}",
            fix=f"move {plan.source.path} away to use the folder as it is, or the folder away to "
            "unpack the source",
        )


def _digest(images: dict[str, str]) -> str:
    """Returns one sha256 of the names and digests of all images."""
    lines = "".join(f"{sha256} {name}\n" for name, sha256 in sorted(images.items()))
    return hashlib.sha256(lines.encode(errors="surrogateescape")).hexdigest()
