"""The originals: images of any source in one form, root/Facial_emotion_images/<split>/<class>/.

The folder appears only when the last byte is verified, so a kill at any point leaves nothing that
could pass for finished. The source is only ever read; a user's own folder that already has this
form is taken where it is.
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
from faceemo.data.source import layout, sources, splits
from faceemo.data.source.layout import Place, some
from faceemo.data.source.selection import Selection, of_record
from faceemo.data.source.sources import FOLDER, ZIP, FolderSource, Source
from faceemo.errors import UserError

__all__ = ["FOLDER", "ZIP", "Originals", "check_present", "hashes", "originals"]

Record = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Originals:
    """The images in their form and what identifies them."""

    folder: Path
    images: dict[str, str]  # path below the folder ('train/happy/7.jpg') -> sha256, by path
    source: str | None  # sha256 of what they were made from; None if they are the user's own folder
    within: bool  # whether that lies in the dataset's folder
    lacking: tuple[str, ...]  # splits that the source does not have
    selection: Selection
    unpacked: bool = False  # whether this call made the folder
    notes: tuple[str, ...] = ()  # lines about what was found and what was made of it
    left_out: dict[str, int] = dataclasses.field(default_factory=dict)  # class -> images

    @property
    def fingerprint(self) -> Record:
        """What the next call needs to recognise them."""
        return {
            "source": self.source,
            "within": self.within,
            "lacking": list(self.lacking),
            "images": _digest(self.images),
        } | self.selection.record(self.lacking)


def check_present(root: Path, selection: Selection | None = None) -> None:
    """Raises a UserError, which says where to put the images, if there are none.

    Makes `root` where the images are elsewhere.
    """
    named = selection.source if selection else None
    if named is not None:
        sources.find(root, named, from_within=False)
        root.mkdir(parents=True, exist_ok=True)
    elif not (root / ZIP).is_file() and not (root / FOLDER).is_dir():
        sources.find(root, None, from_within=False)


def originals(
    root: Path, recorded: Record | None = None, selection: Selection | None = None
) -> Originals:
    """The images in root/Facial_emotion_images, made from their source if need be.

    A folder without another source is the user's own and is taken as it is. A folder that this
    function made is replaced when the source, the classes or the splits to make have changed; any
    other folder is never touched.

    Args:
        root: the dataset's folder.
        recorded: the `fingerprint` of an earlier call, or None.
        selection: source, classes and splits to make; None: as recorded, or the defaults.

    Raises:
        UserError: if there is no source or more than one, if it and the folder disagree, or if
            either of them is damaged, unsafe or of no known layout.
    """
    recorded = recorded or {}
    selection = selection or of_record(recorded)
    check_present(root, selection)
    folder = root / FOLDER
    source = sources.find(root, selection.source, from_within=bool(recorded.get("within")))
    if source.path.resolve() == folder.resolve():
        return _own(folder, selection, recorded)
    identity = source.sha256()
    within = source.path.resolve().is_relative_to(root.resolve())
    images = hashes(folder) if folder.exists() else None
    made_here = images is not None and _was_made(images, recorded)
    if images is not None and made_here:
        lacking = tuple(recorded["lacking"])
        known = Originals(folder, images, identity, within, lacking, selection)
        if recorded == known.fingerprint:
            return known
    plan = _Plan(source, selection)
    if images is not None and not made_here:
        _check_same(folder, images, plan)
        return plan.done(folder, images, identity, within)
    _unpack(plan, folder)
    return plan.done(folder, hashes(folder), identity, within, unpacked=True)


def hashes(folder: Path, classes: Sequence[str] = ()) -> dict[str, str]:
    """The sha256 of every image in `folder`, by path below it, sorted.

    Every visible file in a class folder counts as an image; what cannot be decoded is told later.

    Args:
        folder: with <split>/<class>/<image>.
        classes: if given, only theirs, and train must have images of each.

    Raises:
        UserError: if a file is elsewhere, or a class has no image in train.
    """
    files = FolderSource(folder).files
    strange = [
        name for name in files if name.count("/") != 2 or name.partition("/")[0] not in SPLITS
    ]
    if strange:
        raise UserError(
            expected=f"{{{','.join(SPLITS)}}}/<class>/<image> in {folder}",
            found=f"{len(strange):,} that belong nowhere: {some(strange)}",
            fix="name the folders exactly so (lower case) and put only images into them",
        )
    if classes:
        files = {name: path for name, path in files.items() if name.split("/")[1] in classes}
        # preparation may have left nothing of a class elsewhere; no model learns without any
        train = [name for name in files if name.startswith("train/")]
        layout.check_complete(str(folder), train, classes)
    # a few large reads at a time would gain nothing: 20,000 files take 0.3 s
    return {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()}


class _Plan:
    """What becomes of a source: where each of its images goes, and why."""

    def __init__(self, source: Source, selection: Selection):
        self.source, self._selection = source, selection
        found = source.layout()
        chosen = layout.choose(str(source.path), found, selection.classes, selection.class_map)
        present = {place.split for place in chosen.places.values()}
        self.lacking = tuple(split for split in SPLITS if split not in present)
        moved = _made_splits(source, chosen.places, selection, self.lacking)
        # path in the source -> path below the folder
        self.places = {
            path: place._replace(split=moved.get(path, place.split)).path
            for path, place in chosen.places.items()
        }
        self.left_out = chosen.left_out
        said = [f"{found.form} in {source.path.name}", *found.notes]
        said += [f"'{name}' is {label}" for name, label in chosen.mapped.items()]
        if chosen.left_out:
            counts = (f"{name} {count:,}" for name, count in chosen.left_out.items())
            said.append(f"left out: {', '.join(counts)}")
        self.notes = ("; ".join(said), *_about_splits(self.lacking, moved, selection))

    def done(
        self,
        folder: Path,
        images: dict[str, str],
        identity: str | None,
        within: bool,
        unpacked: bool = False,
    ) -> Originals:
        """The originals that the plan leads to."""
        return Originals(
            folder=folder,
            images=images,
            source=identity,
            within=within,
            lacking=self.lacking,
            selection=self._selection,
            unpacked=unpacked,
            notes=self.notes,
            left_out=self.left_out,
        )


def _made_splits(
    source: Source, places: dict[str, Place], selection: Selection, lacking: Sequence[str]
) -> dict[str, str]:
    """Which images leave train for a split that the source lacks: {path in the source: split}."""
    shares = selection.shares(lacking)
    if not shares:
        return {}
    train = {path: place for path, place in places.items() if place.split == "train"}
    read = tqdm(source.contents(train), "look for groups", len(train), disable=None, unit="file")
    groups = splits.look_alikes(read)
    members = [splits.Member(path, train[path].label, groups[path]) for path in train]
    return splits.assign(members, shares, selection.split_seed)


def _about_splits(lacking: Sequence[str], moved: dict[str, str], selection: Selection) -> list[str]:
    """Lines about the splits that were made, and about the one that there is not."""
    lines = []
    taken = list(moved.values())
    for split in selection.shares(lacking):
        lines.append(
            f"{split} is made from train: {taken.count(split):,} images "
            f"({split}_share={getattr(selection, f'{split}_share'):g}), by seed "
            f"{selection.split_seed}, stratified by class, no group of look-alikes cut"
        )
    if "test" in lacking and "test" not in taken:
        lines.append(
            "there is no test split: --split=test and the leaks of test are unavailable "
            "(test_share=0.1 makes one from train)"
        )
    return lines


def _own(folder: Path, selection: Selection, recorded: Record) -> Originals:
    """The user's folder, if it has the form already; or one made from what is not there now."""
    source = FolderSource(folder)
    plan = _Plan(source, selection)
    elsewhere = sorted(path for path, place in plan.places.items() if path != place)
    if elsewhere:
        raise UserError(
            expected=f"{folder} with its classes and splits as they are to be",
            found=f"{len(elsewhere):,} images to be placed elsewhere, {elsewhere[0]!r} at "
            f"{plan.places[elsewhere[0]]!r}",
            fix=f"give the folder another name: {folder} is then made from it, and it is only read",
        )
    images = {name: sha for name, sha in hashes(folder).items() if name in plan.places}
    if _was_made(images, recorded):
        identity, within, lacking = (recorded[name] for name in ("source", "within", "lacking"))
        done = plan.done(folder, images, identity, within)
        return dataclasses.replace(done, lacking=tuple(lacking))
    return plan.done(folder, images, None, within=False)


def _was_made(images: dict[str, str], recorded: Record) -> bool:
    """Whether these are the images that an earlier call made of a source."""
    return bool(recorded.get("source")) and recorded["images"] == _digest(images)


def _unpack(plan: _Plan, folder: Path) -> None:
    """Fills `folder`, replacing it. Dates and permissions of the source are not applied."""
    total, free = plan.source.total(plan.places), shutil.disk_usage(folder.parent).free
    if total > free:
        raise UserError(
            expected=f"{total / 2**20:,.0f} MiB of free disk to unpack {plan.source.path}",
            found=f"{free / 2**20:,.0f} MiB",
            fix="free some, or choose another folder with --data_dir (--config.data_dir)",
        )
    with staging.folder(folder) as partial:
        for split in SPLITS:
            for label in sorted({place.split("/")[1] for place in plan.places.values()}):
                (partial / split / label).mkdir(parents=True)
        read = plan.source.contents(plan.places)
        for path, content in tqdm(read, "unpack", len(plan.places), disable=None, unit="file"):
            (partial / plan.places[path]).write_bytes(content)


def _check_same(folder: Path, images: dict[str, str], plan: _Plan) -> None:
    """Raises a UserError unless `folder` is what the plan leads to."""
    expected = {
        plan.places[path]: hashlib.sha256(content).hexdigest()
        for path, content in plan.source.contents(plan.places)
    }
    differing = sorted({name for name, _ in expected.items() ^ images.items()})
    if differing:
        raise UserError(
            expected=f"the same images in {folder} as in {plan.source.path}",
            found=f"{len(differing):,} differ or are on one side only: {some(differing)}",
            fix=f"move {plan.source.path} away to use the folder as it is, or the folder away to "
            "unpack the source",
        )


def _digest(images: dict[str, str]) -> str:
    lines = "".join(f"{sha256} {name}\n" for name, sha256 in sorted(images.items()))
    return hashlib.sha256(lines.encode(errors="surrogateescape")).hexdigest()
