"""Detection of a source's layout: from the paths of its files to (split, class, name) of images.

Known layouts are folders of splits that hold folders of classes, below any other folders, and
folders of classes without splits. Any other tree is shown and refused: a guess would train on it.
"""

import collections
import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

from faceemo.config import SPLITS
from faceemo.errors import UserError

# Names of the splits in other sets. FER2013's own are those of its csv and of file names.
_SPLIT_NAMES = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "publictest"),
    "test": ("test", "testing", "privatetest"),
}
_SPLIT_OF = {name: split for split, names in _SPLIT_NAMES.items() for name in names}
# A file with one of these suffixes is meant to be an image wherever it lies. In a class folder
# every file is.
_IMAGE_SUFFIXES = (
    *(".jpg", ".jpeg", ".jfif", ".png", ".bmp", ".gif", ".webp"),
    *(".tif", ".tiff", ".pgm", ".ppm", ".pnm"),
)
_FER_TEST = re.compile(r"(PublicTest|PrivateTest)_", re.IGNORECASE)
_MAX_EXAMPLES = 3  # in a message
_MAX_TREE_LINES = 12
_KNOWN_LAYOUTS = (
    "<split>/<class>/<image>, below any folders (images/train/happy/7.jpg)",
    "<class>/<image>, below any folders: all of it is train",
    "FER2013's csv, with the columns emotion, pixels and perhaps Usage",
)


class Destination(NamedTuple):
    """The split, class and file name of an image among the originals."""

    split: str  # one of `SPLITS`
    label: str  # its class, as the source names it
    name: str  # of the file

    @property
    def path(self) -> str:
        """The path below the originals' folder: 'train/happy/7.jpg'."""
        return "/".join(self)


@dataclasses.dataclass(frozen=True)
class Layout:
    """The layout detected in a source."""

    form: str  # in words
    destinations: dict[str, Destination]  # by path in the source
    notes: tuple[str, ...] = ()  # more about the layout, for the user


def parse_split(name: str) -> str | None:
    """Returns the split meant by the name of a folder, or by FER2013's Usage; None if none."""
    return _SPLIT_OF.get(name.strip().casefold())


def detect(source: str, files: Mapping[str, object]) -> Layout:
    """Detects the layout of `files`.

    Args:
        source: Name of the source, for messages.
        files: A value for each file that is equal for equal contents, by its path in the source,
            with '/'.

    Raises:
        UserError: If the layout is unknown or ambiguous; the message shows the top of the tree.
    """
    rooted: dict[str, dict[str, Destination]] = collections.defaultdict(dict)
    names: dict[tuple[str, str], set[str]] = collections.defaultdict(set)
    rest = []
    for path in files:
        *above, folder, label, name = ("", "", *path.split("/"))
        if split := parse_split(folder):
            root = "/".join(above[2:])
            rooted[root][path] = Destination(split, label, name)
            names[root, split].add(folder)
        else:
            rest.append(path)
    form = "<split>/<class>/<image>"
    if not rooted:
        form, rest = "<class>/<image>, no splits", []
        # without the name of a split above it, a folder is a class if there is an image in it
        folders = {path.rpartition("/")[0] for path in files if _is_image(path)} - {""}
        for path in files:
            above, _, name = path.rpartition("/")
            if above in folders:
                root, _, label = above.rpartition("/")
                rooted[root][path] = Destination("train", label, name)
            else:
                rest.append(path)
    strays = sorted(path for path in rest if _is_image(path))
    if strays or not rooted:
        found = "no image"
        if strays:
            found = f"{len(strays):,} images elsewhere: {format_examples(strays)}"
        raise _unknown_layout(source, files, found)
    for (root, split), found in names.items():
        if len(found) > 1:
            several = format_examples([f"{root}/{name}".lstrip("/") for name in sorted(found)])
            raise _unknown_layout(source, files, f"more than one folder for {split}: {several}")
    copies = _drop_copies(rooted, files)
    roots_per_split = collections.Counter(
        split for images in rooted.values() for split in {image.split for image in images.values()}
    )
    if max(roots_per_split.values()) > 1:
        several = format_examples(sorted(f"{root}/" for root in rooted))
        raise _unknown_layout(source, files, f"several sets side by side: {several}")
    roots = sorted(rooted)
    if roots != [""]:
        form = f"{form} below {format_examples([f'{root}/' for root in roots])}"
    destinations = {path: image for root in roots for path, image in rooted[root].items()}
    notes = [f"'{copy}/' is a copy and is ignored" for copy in copies]
    synonyms = sorted({name for known in names.values() for name in known} - set(SPLITS))
    notes += [f"'{name}' is {parse_split(name)}" for name in synonyms]
    if _divide_fer_test(destinations):
        notes.append("PublicTest_ is validation, PrivateTest_ test")
    if rest:
        notes.append(f"{len(rest):,} other files are ignored")
    return Layout(form, destinations, tuple(notes))


@dataclasses.dataclass(frozen=True)
class ClassSelection:
    """The images of the selected classes, and counts of the others."""

    destinations: dict[str, Destination]  # by path in the source; labels are the run's classes
    renamed: dict[str, str]  # name in the source -> class, where they differ
    left_out: dict[str, int]  # name in the source -> images


def select_classes(
    source: str, layout: Layout, classes: Sequence[str], class_map: Mapping[str, str]
) -> ClassSelection:
    """Selects the images of `classes` and gives them these labels.

    Names are the same whatever their case; a synonym must be in `class_map`. If several names of
    the source become one class and images of the same name meet, the source's class goes before
    their names.

    Args:
        source: Name of the source, for messages.
        layout: Layout of the source.
        classes: Classes of the run.
        class_map: Class of the run by its name in the source.

    Raises:
        UserError: If a class has no image in a split that there is, or `class_map` has a name that
            the source does not have.
    """
    class_of = {name.casefold(): name for name in classes}
    class_of |= {name.casefold(): label for name, label in class_map.items()}
    found = collections.Counter(image.label for image in layout.destinations.values())
    unknown = sorted(set(map(str.casefold, class_map)) - set(map(str.casefold, found)))
    if unknown:
        raise UserError(
            expected=f"the names of class_map among the classes of {source}",
            found=f"no {format_examples(unknown)}; there are {_format_counts(found)}",
            fix="correct class_map, written as 'happiness=happy+joy=happy'",
        )
    images = {
        path: image._replace(label=class_of[image.label.casefold()])
        for path, image in layout.destinations.items()
        if image.label.casefold() in class_of
    }
    check_complete(
        source, (image.path for image in images.values()), classes, _format_counts(found)
    )
    uses = collections.Counter(image.path.casefold() for image in images.values())
    for path, image in images.items():
        if uses[image.path.casefold()] > 1:
            label = layout.destinations[path].label
            images[path] = image._replace(name=f"{label}-{image.name}")
    repeated = _find_repeated(image.path for image in images.values())
    if repeated:
        raise UserError(
            expected=f"every image once in {source}",
            found=f"{len(repeated):,} repeated: {format_examples(repeated)}",
            fix="keep each image once (names that differ in case only are the same)",
        )
    return ClassSelection(
        images,
        {name: class_of[name.casefold()] for name in sorted(found)
         if name.casefold() in class_of and name != class_of[name.casefold()]},
        {name: found[name] for name in sorted(found) if name.casefold() not in class_of},
    )  # fmt: skip


def check_complete(
    source: str, paths: Iterable[str], classes: Sequence[str], there_are: str = ""
) -> None:
    """Raises a UserError unless train, and every other split that there is, has every class.

    Args:
        source: Name of the source, for the message.
        paths: Paths of the images, 'train/happy/7.jpg'.
        classes: Classes that every split must have.
        there_are: Classes found and their counts, for the message.
    """
    found = {path.rpartition("/")[0] for path in paths}
    splits = {"train"} | {path.partition("/")[0] for path in found}
    required = [f"{split}/{label}" for split in SPLITS if split in splits for label in classes]
    missing = [folder for folder in required if folder not in found]
    if missing:
        raise UserError(
            expected=f"images of {', '.join(classes)} in every split of {source}",
            found=f"no image in {format_examples(missing, 6)}"
            + (f"; the classes there: {there_are}" if there_are else ""),
            fix="add images there, list only the classes that exist (classes=happy+sad), or map "
            "their names (class_map=happiness=happy)",
        )


def format_examples(names: Sequence[str], count: int = _MAX_EXAMPLES) -> str:
    """Formats the first `count` names for a message: "'a', 'b', ..."."""
    listed = ", ".join(repr(name) for name in names[:count])
    return listed + (", ..." if len(names) > count else "")


def _unknown_layout(source: str, files: Iterable[str], problem: str) -> UserError:
    known = "".join(f"\n    {form}" for form in _KNOWN_LAYOUTS)
    return UserError(
        f"expected in {source} one of these layouts:{known}\n"
        f"  found {problem}; the top of the tree:{_format_tree(files)}\n"
        "  Fix: arrange the folders so, or name the right one as the source"
    )


def _format_tree(files: Iterable[str]) -> str:
    """Formats the first two levels of a tree with their numbers of files, indented."""

    def count_files(count: int) -> str:
        return f"{count:,} file{'s' if count > 1 else ''}"

    top: dict[str, collections.Counter] = {}
    for path in sorted(files):
        first, *more = path.split("/")
        inner = top.setdefault(first + ("/" if more else ""), collections.Counter())
        if more:
            inner[more[0] + ("/" if len(more) > 1 else "")] += 1
    lines = []
    for first, inner in top.items():
        lines.append(f"{first:<40}{count_files(sum(inner.values()))}" if inner else first)
        for name, count in list(inner.items())[:4]:
            lines.append(f"  {name:<38}{count_files(count)}" if name.endswith("/") else f"  {name}")
        if len(inner) > 4:
            lines.append(f"  ... {len(inner) - 4:,} more")
    if len(lines) > _MAX_TREE_LINES:
        lines[_MAX_TREE_LINES:] = [f"... {len(lines) - _MAX_TREE_LINES:,} more lines"]
    return "".join(f"\n    {line}" for line in lines) or " nothing"


def _drop_copies(
    rooted: dict[str, dict[str, Destination]], files: Mapping[str, object]
) -> list[str]:
    """Removes and returns the folders that hold the same images as one with a shorter name.

    A public set of FER2013 holds itself twice: images/train/... and images/images/train/...
    """
    contents = {
        root: {image: files[path] for path, image in images.items()}
        for root, images in rooted.items()
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


def _divide_fer_test(destinations: dict[str, Destination]) -> bool:
    """Divides a test folder into FER2013's two by its file names; returns whether it did.

    Kaggle's folders put PublicTest_ (which is for validation) and PrivateTest_ together.
    """
    kinds = {
        path: match[1].casefold() if (match := _FER_TEST.match(image.name)) else ""
        for path, image in destinations.items()
        if image.split == "test"
    }
    if set(kinds.values()) != {"publictest", "privatetest"}:
        return False
    if any(image.split == "validation" for image in destinations.values()):
        return False
    for path, kind in kinds.items():
        if kind == "publictest":
            destinations[path] = destinations[path]._replace(split="validation")
    return True


def _is_image(path: str) -> bool:
    return PurePosixPath(path).suffix.casefold() in _IMAGE_SUFFIXES


def _format_counts(found: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {found[name]:,}" for name in sorted(found))


def _find_repeated(paths: Iterable[str]) -> list[str]:
    """Returns paths that occur again; names that differ in case only are one on some systems."""
    known, repeated = set(), []
    for path in paths:
        if path.casefold() in known:
            repeated.append(path)
        known.add(path.casefold())
    return repeated
