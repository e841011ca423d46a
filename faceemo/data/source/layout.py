"""What layout is this? From the files of a source to (split, class, name) of each image.

Known are folders of splits that hold folders of classes, below any other folders, and folders of
classes without splits. Whatever else is found is shown and refused: a guess would train on it.
"""

import collections
import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

from faceemo.config import SPLITS
from faceemo.errors import UserError

# How other sets name the splits. FER2013's own names are those of its csv and of file names.
_SPLIT_NAMES = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "publictest"),
    "test": ("test", "testing", "privatetest"),
}
_SPLIT_OF = {name: split for split, names in _SPLIT_NAMES.items() for name in names}
# Files with these ends are meant to be images wherever they lie. In a class folder everything is.
_IMAGES = (
    *(".jpg", ".jpeg", ".jfif", ".png", ".bmp", ".gif", ".webp"),
    *(".tif", ".tiff", ".pgm", ".ppm", ".pnm"),
)
_FER_TEST = re.compile(r"(PublicTest|PrivateTest)_", re.IGNORECASE)
_SHOWN = 3  # examples in a message
_TREE_LINES = 12
_KNOWN = (
    "<split>/<class>/<image>, below any folders (images/train/happy/7.jpg)",
    "<class>/<image>, below any folders: all of it is train",
    "FER2013's csv, with the columns emotion, pixels and perhaps Usage",
)


class Place(NamedTuple):
    """Where an image belongs."""

    split: str  # one of `SPLITS`
    label: str  # its class, as the source names it
    name: str  # of the file

    @property
    def path(self) -> str:
        """As 'train/happy/7.jpg'."""
        return "/".join(self)


@dataclasses.dataclass(frozen=True)
class Layout:
    """What a source turned out to be."""

    form: str  # in words
    places: dict[str, Place]  # by path in the source
    notes: tuple[str, ...] = ()  # what else the user should know


def split_named(name: str) -> str | None:
    """The split that a folder, or a Usage, of this name means."""
    return _SPLIT_OF.get(name.strip().casefold())


def detect(source: str, files: Mapping[str, object]) -> Layout:
    """The layout of `files`.

    Args:
        source: what messages call it.
        files: path in the source, with '/', -> something that is equal for equal contents.

    Raises:
        UserError: if the layout is unknown or ambiguous; the message shows the top of the tree.
    """
    rooted: dict[str, dict[str, Place]] = collections.defaultdict(dict)
    names: dict[tuple[str, str], set[str]] = collections.defaultdict(set)
    rest = []
    for path in files:
        *above, split, label, name = ("", "", *path.split("/"))
        if meant := split_named(split):
            root = "/".join(above[2:])
            rooted[root][path] = Place(meant, label, name)
            names[root, meant].add(split)
        else:
            rest.append(path)
    form = "<split>/<class>/<image>"
    if not rooted:
        form, rest = "<class>/<image>, no splits", []
        # without the name of a split above it, a folder is a class if there is an image in it
        folders = {path.rpartition("/")[0] for path in files if _is_image(path)} - {""}
        for path in files:
            above, _, inner = path.rpartition("/")
            if above in folders:
                root, _, label = above.rpartition("/")
                rooted[root][path] = Place("train", label, inner)
            else:
                rest.append(path)
    strays = sorted(path for path in rest if _is_image(path))
    if strays or not rooted:
        found = f"{len(strays):,} images elsewhere: {some(strays)}" if strays else "no image"
        raise _unknown(source, files, found)
    for (root, split), found in names.items():
        if len(found) > 1:
            several = some([f"{root}/{name}".lstrip("/") for name in sorted(found)])
            raise _unknown(source, files, f"more than one folder for {split}: {several}")
    copies = _drop_copies(rooted, files)
    served = collections.Counter(
        split for places in rooted.values() for split in {place.split for place in places.values()}
    )
    if max(served.values()) > 1:
        several = some(sorted(f"{root}/" for root in rooted))
        raise _unknown(source, files, f"several sets side by side: {several}")
    roots = sorted(rooted)
    if roots != [""]:
        form = f"{form} below {some([f'{root}/' for root in roots])}"
    places = {path: place for root in roots for path, place in rooted[root].items()}
    notes = [f"'{copy}/' holds the same once more" for copy in copies]
    renamed = sorted({name for known in names.values() for name in known} - set(SPLITS))
    notes += [f"'{name}' is {split_named(name)}" for name in renamed]
    if _use_fer_names(places):
        notes.append("PublicTest_ is validation, PrivateTest_ test")
    if rest:
        notes.append(f"{len(rest):,} files that are no images lie beside them")
    return Layout(form, places, tuple(notes))


@dataclasses.dataclass(frozen=True)
class Chosen:
    """The images of the wanted classes."""

    places: dict[str, Place]  # by path in the source; their labels are the run's
    mapped: dict[str, str]  # name in the source -> class, where they differ
    left_out: dict[str, int]  # name in the source -> images


def choose(
    source: str, layout: Layout, classes: Sequence[str], class_map: Mapping[str, str]
) -> Chosen:
    """The images of `classes`, under the names that these have.

    Names are the same whatever their case; anything else must be in `class_map`. Where several
    names of the source become one class and images of the same name meet, the source's class goes
    before their names.

    Raises:
        UserError: if a class has no image in a split that there is, or `class_map` names what
            there is not.
    """
    meaning = {name.casefold(): name for name in classes}
    meaning |= {name.casefold(): label for name, label in class_map.items()}
    found = collections.Counter(place.label for place in layout.places.values())
    unknown = sorted(set(map(str.casefold, class_map)) - set(map(str.casefold, found)))
    if unknown:
        raise UserError(
            expected=f"the names of class_map among the classes of {source}",
            found=f"no {some(unknown)}; there are {_counted(found)}",
            fix="correct class_map, written as 'happiness=happy+joy=happy'",
        )
    places = {
        path: place._replace(label=meaning[place.label.casefold()])
        for path, place in layout.places.items()
        if place.label.casefold() in meaning
    }
    check_complete(source, (place.path for place in places.values()), classes, _counted(found))
    taken = collections.Counter(place.path.casefold() for place in places.values())
    for path, place in places.items():
        if taken[place.path.casefold()] > 1:
            label = layout.places[path].label
            places[path] = place._replace(name=f"{label}-{place.name}")
    repeated = _repeated(place.path for place in places.values())
    if repeated:
        raise UserError(
            expected=f"every image once in {source}",
            found=f"{len(repeated):,} repeated: {some(repeated)}",
            fix="keep each image once (names that differ in case only are the same)",
        )
    return Chosen(
        places,
        {name: meaning[name.casefold()] for name in sorted(found)
         if name.casefold() in meaning and name != meaning[name.casefold()]},
        {name: found[name] for name in sorted(found) if name.casefold() not in meaning},
    )  # fmt: skip


def check_complete(
    source: str, paths: Iterable[str], classes: Sequence[str], there_are: str = ""
) -> None:
    """Raises a UserError unless train, and every other split that there is, has every class.

    Args:
        source: what the message calls it.
        paths: as 'train/happy/7.jpg'.
        classes: that must be there.
        there_are: the classes found, for the message.
    """
    found = {path.rpartition("/")[0] for path in paths}
    splits = {"train"} | {path.partition("/")[0] for path in found}
    wanted = [f"{split}/{label}" for split in SPLITS if split in splits for label in classes]
    missing = [folder for folder in wanted if folder not in found]
    if missing:
        raise UserError(
            expected=f"images of {', '.join(classes)} in every split of {source}",
            found=f"no image in {some(missing, 6)}"
            + (f"; the classes there: {there_are}" if there_are else ""),
            fix="put images there, or say with classes what to recognise (classes=happy+sad) and "
            "with class_map what the names mean (class_map=happiness=happy)",
        )


def some(names: Sequence[str], shown: int = _SHOWN) -> str:
    """The first of `names`, for a message."""
    listed = ", ".join(repr(name) for name in names[:shown])
    return listed + (", ..." if len(names) > shown else "")


def _unknown(source: str, files: Iterable[str], problem: str) -> UserError:
    known = "".join(f"\n    {form}" for form in _KNOWN)
    return UserError(
        f"expected in {source} one of these layouts:{known}\n"
        f"  found {problem}; the top of the tree:{_tree(files)}\n"
        "  Fix: arrange the folders so, or name the right one as the source"
    )


def _tree(files: Iterable[str]) -> str:
    """The first two levels with their numbers of files, indented."""

    def files_in(count: int) -> str:
        return f"{count:,} file{'s' if count > 1 else ''}"

    top: dict[str, collections.Counter] = {}
    for path in sorted(files):
        first, *more = path.split("/")
        inner = top.setdefault(first + ("/" if more else ""), collections.Counter())
        if more:
            inner[more[0] + ("/" if len(more) > 1 else "")] += 1
    lines = []
    for first, inner in top.items():
        lines.append(f"{first:<40}{files_in(sum(inner.values()))}" if inner else first)
        for name, count in list(inner.items())[:4]:
            lines.append(f"  {name:<38}{files_in(count)}" if name.endswith("/") else f"  {name}")
        if len(inner) > 4:
            lines.append(f"  ... {len(inner) - 4:,} more")
    if len(lines) > _TREE_LINES:
        lines[_TREE_LINES:] = [f"... {len(lines) - _TREE_LINES:,} more lines"]
    return "".join(f"\n    {line}" for line in lines) or " nothing"


def _drop_copies(rooted: dict[str, dict[str, Place]], files: Mapping[str, object]) -> list[str]:
    """Removes and returns the folders whose images another, shorter-named one has all alike.

    A public set of FER2013 holds itself twice: images/train/... and images/images/train/...
    """
    contents = {
        root: {place: files[path] for path, place in places.items()}
        for root, places in rooted.items()
    }
    kept: list[str] = []
    copies = []
    for root in sorted(rooted, key=lambda root: (len(root), root)):
        if any(contents[root] == contents[other] for other in kept):
            copies.append(root)
            del rooted[root]
        else:
            kept.append(root)
    return copies


def _use_fer_names(places: dict[str, Place]) -> bool:
    """Divides a test folder of FER2013's two by the names of its files, if it is one.

    Kaggle's folders put PublicTest_ (with which one validates) and PrivateTest_ together.
    """
    kinds = {
        path: match[1].casefold() if (match := _FER_TEST.match(place.name)) else ""
        for path, place in places.items()
        if place.split == "test"
    }
    if set(kinds.values()) != {"publictest", "privatetest"}:
        return False
    if any(place.split == "validation" for place in places.values()):
        return False
    for path, kind in kinds.items():
        if kind == "publictest":
            places[path] = places[path]._replace(split="validation")
    return True


def _is_image(path: str) -> bool:
    return PurePosixPath(path).suffix.casefold() in _IMAGES


def _counted(found: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {found[name]:,}" for name in sorted(found))


def _repeated(paths: Iterable[str]) -> list[str]:
    """Paths that occur again; names that differ in case only are one file on some systems."""
    seen, repeated = set(), []
    for path in paths:
        if path.casefold() in seen:
            repeated.append(path)
        seen.add(path.casefold())
    return repeated
