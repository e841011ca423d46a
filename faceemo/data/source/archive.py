"""The originals: images of any source in one form, root/Facial_emotion_images/<split>/<class>/.

The folder appears only when the last byte is verified, so a kill at any point leaves nothing that
could pass for finished. The source is only ever read; a user's own folder that already has this
form is used in place.
"""

import dataclasses
import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from faceemo import staging
from faceemo.config import SPLITS
from faceemo.config.field_words import spell
from faceemo.data.source import class_selection, sources, splits
from faceemo.data.source.layout import Destination, format_examples
from faceemo.data.source.selection import Selection
from faceemo.data.source.sources import FOLDER, ZIP, FolderSource, Source
from faceemo.errors import UserError, escape_name

__all__ = ["FOLDER", "ZIP", "Originals", "check_present", "ensure_originals", "hash_images"]

Record = dict[str, Any]


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

    @property
    def fingerprint(self) -> Record:
        """The record by which the next call recognises these originals, as JSON."""
        return {
            "source": self.source_sha256,
            "within": self.source_within,
            "lacking": list(self.missing_splits),
            "images": _digest(self.images),
        } | self.selection.to_record(self.missing_splits)


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
    selection = selection or Selection.from_record(recorded)
    check_present(root, selection)
    folder = root / FOLDER
    source = sources.find(root, selection.source, from_within=bool(recorded.get("within")))
    if source.path.resolve() == folder.resolve():
        return _use_own_folder(folder, selection, recorded)
    source_sha256 = source.sha256(selection.known_names)
    within = source.path.resolve().is_relative_to(root.resolve())
    images = hash_images(folder) if folder.exists() else None
    made_here = images is not None and _was_made(images, recorded)
    if images is not None and made_here:
        missing = tuple(recorded["lacking"])
        known = Originals(folder, images, source_sha256, within, missing, selection)
        if recorded == known.fingerprint:
            return known
    plan = _Plan(source, selection)
    if images is not None and not made_here:
        _check_same(folder, images, plan)
        return plan.originals(folder, images, source_sha256, within)
    _unpack(plan, folder)
    return plan.originals(folder, hash_images(folder), source_sha256, within, unpacked=True)


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
    return {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()}


class _Plan:
    """The target of each image of a source, and notes on how it was chosen."""

    def __init__(self, source: Source, selection: Selection):
        self.source, self._selection = source, selection
        found = source.layout(selection.known_names)
        chosen = class_selection.select_classes(
            str(source.path), found, selection.classes, selection.class_map
        )
        present = {destination.split for destination in chosen.destinations.values()}
        self.missing_splits = tuple(split for split in SPLITS if split not in present)
        moved = _make_splits(source, chosen.destinations, selection, self.missing_splits)
        # path in the source -> path below the folder
        self.targets = {
            path: destination._replace(split=moved.get(path, destination.split)).path
            for path, destination in chosen.destinations.items()
        }
        self.left_out = chosen.left_out
        notes = [f"{found.form} in {source.path.name}", *found.notes]
        notes += [f"'{escape_name(name)}' is {label}" for name, label in chosen.renamed.items()]
        if chosen.left_out:
            counts = (f"{escape_name(name)} {count:,}" for name, count in chosen.left_out.items())
            notes.append(f"left out: {', '.join(counts)}")
        self.notes = ("; ".join(notes), *_notes_on_splits(self.missing_splits, moved, selection))

    def originals(
        self,
        folder: Path,
        images: dict[str, str],
        source_sha256: str | None,
        within: bool,
        unpacked: bool = False,
    ) -> Originals:
        """Returns the originals after the plan was carried out in `folder`."""
        return Originals(
            folder=folder,
            images=images,
            source_sha256=source_sha256,
            source_within=within,
            missing_splits=self.missing_splits,
            selection=self._selection,
            unpacked=unpacked,
            notes=self.notes,
            left_out=self.left_out,
            source=self.source.path,
            paths_in_source={target: path for path, target in self.targets.items()},
        )


def _make_splits(
    source: Source,
    destinations: dict[str, Destination],
    selection: Selection,
    missing_splits: Sequence[str],
) -> dict[str, str]:
    """Chooses train images for the splits that the source lacks: {path in the source: split}."""
    shares = selection.shares(missing_splits)
    if not shares:
        return {}
    train = {path: target for path, target in destinations.items() if target.split == "train"}
    files = source.read_files(train)
    progress = tqdm(files, "look for groups", len(train), disable=None, unit="file")
    groups = splits.group_look_alikes(progress)
    members = [splits.Member(path, train[path].label, groups[path]) for path in train]
    return splits.assign_splits(members, shares, selection.split_seed)


def _notes_on_splits(
    missing_splits: Sequence[str], moved: dict[str, str], selection: Selection
) -> list[str]:
    """Returns lines on the splits that were made, and on a test split that is missing."""
    lines = []
    made = list(moved.values())
    for split in selection.shares(missing_splits):
        lines.append(
            f"{split} is split off from train: {made.count(split):,} images "
            f"({split}_share={getattr(selection, f'{split}_share'):g}, "
            f"split_seed={selection.split_seed}), stratified by class; duplicates stay together"
        )
    if "test" in missing_splits and "test" not in made:
        lines.append(
            "there is no test split: --split=test and the leaks of test are unavailable "
            f"({spell('test_share', 0.1)} makes one from train)"
        )
    return lines


def _use_own_folder(folder: Path, selection: Selection, recorded: Record) -> Originals:
    """Returns the images of a folder that has no other source.

    It is the user's own, or was made from a source that is no longer there.

    Raises:
        UserError: If `selection` asks for other places of its images.
    """
    plan = _Plan(FolderSource(folder), selection)
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
    images = {name: sha for name, sha in hash_images(folder).items() if name in plan.targets}
    if _was_made(images, recorded):
        source_sha256, within, missing = (recorded[key] for key in ("source", "within", "lacking"))
        made = plan.originals(folder, images, source_sha256, within)
        # The folder is no longer its own source: the paths of the earlier call stay.
        return dataclasses.replace(made, missing_splits=tuple(missing), source=None)
    return plan.originals(folder, images, None, within=False)


def _was_made(images: dict[str, str], recorded: Record) -> bool:
    """Returns whether an earlier call made these images from a source."""
    return bool(recorded.get("source")) and recorded["images"] == _digest(images)


def _unpack(plan: _Plan, folder: Path) -> None:
    """Fills `folder`, replacing it. Dates and permissions of the source are not applied."""
    total, free = plan.source.total_bytes(plan.targets), shutil.disk_usage(folder.parent).free
    if total > free:
        raise UserError(
            expected=f"{total / 2**20:,.0f} MiB of free disk to unpack {plan.source.path}",
            found=f"{free / 2**20:,.0f} MiB",
            fix=f"free some, or choose another folder with {spell('data_dir')}",
        )
    with staging.folder(folder) as partial:
        for split in SPLITS:
            for label in sorted({target.split("/")[1] for target in plan.targets.values()}):
                (partial / split / label).mkdir(parents=True)
        files = plan.source.read_files(plan.targets)
        for path, content in tqdm(files, "unpack", len(plan.targets), disable=None, unit="file"):
            (partial / plan.targets[path]).write_bytes(content)


def _check_same(folder: Path, images: dict[str, str], plan: _Plan) -> None:
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
