"""Detection of a source's layout: from the paths of its files to (split, class, name) of images.

Known layouts are folders of splits that hold folders of classes, below any other folders, and
folders of classes without splits. Folders inside those of the classes, one for each person for
example, are part of the images' names. Any other tree is shown and refused: a guess would train on
it.
"""

import collections
import dataclasses
import hashlib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

from faceemo.config import SPLITS
from faceemo.config.classes import name_key
from faceemo.errors import UserError, escape_name
from faceemo.staging import MAX_NAME_BYTES

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
_MAX_TREE_FOLDERS = 12
_KNOWN_LAYOUTS = (
    "<split>/<class>/<image>, below any folders (images/train/happy/7.jpg)",
    "<class>/<image>, below any folders, all of it train",
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


class Crop(NamedTuple):
    """A part of an image file that is an image of its own: a face in a photograph."""

    file: str  # path in the source
    box: tuple[float, float, float, float]  # left, top, right, bottom in pixels, as stored


class LeftOut(NamedTuple):
    """An image of the source that does not become an original, and why."""

    label: str  # in the source; '' if it has none
    reason: str


@dataclasses.dataclass(frozen=True)
class Layout:
    """The layout detected in a source."""

    form: str  # in words
    destinations: dict[str, Destination]  # by path in the source
    notes: tuple[str, ...] = ()  # more about the layout, for the user
    crops: Mapping[str, Crop] = dataclasses.field(default_factory=dict)  # by path in the source
    left_out: Mapping[str, LeftOut] = dataclasses.field(default_factory=dict)
    # A person or photograph, by path: splits that are made keep its images in one of them.
    groups: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def with_destinations(self, destinations: dict[str, Destination]) -> "Layout":
        """Returns the layout with other destinations of the same images."""
        return dataclasses.replace(self, destinations=destinations)


def parse_split(name: str) -> str | None:
    """Returns the split meant by the name of a folder, or by FER2013's Usage; None if none."""
    return _SPLIT_OF.get(name.strip().casefold())


_Rooted = dict[str, dict[str, Destination]]  # by the folder of a set and the path in the source


def detect(source: str, files: Mapping[str, object], classes: Collection[str] = ()) -> Layout:
    """Detects the layout of `files`.

    Args:
        source: Name of the source, for messages.
        files: A value for each file that is equal for equal contents, by its path in the source,
            with '/'.
        classes: Names of classes, if they are known, by which their folders are recognised where
            there are folders inside them and no splits.

    Raises:
        UserError: If the layout is unknown or ambiguous; the message shows the top of the tree.
    """
    form, (rooted, rest) = "<split>/<class>/<image>", _find_below_splits(files)
    strays = sorted(path for path in rest if is_image(path))
    if (strays or not rooted) and (nested := _find_nested(files)):
        form, (rooted, rest), strays = "<split>/<class>/<folders>/<image>", nested, []
    if not rooted:
        form, (rooted, rest) = "<class>/<image>, no splits", _find_classes(files)
        if len(rooted) > 1 and (nested := _find_nested(files, classes=classes)):
            form, (rooted, rest) = "<class>/<folders>/<image>, no splits", nested
        strays = sorted(path for path in rest if is_image(path))
    if strays or not rooted:
        found = "no image"
        if strays:
            found = f"{len(strays):,} images elsewhere: {format_examples(strays)}"
        raise _unknown_layout(source, files, found)
    names: dict[tuple[str, str], set[str]] = collections.defaultdict(set)
    for root, images in rooted.items():
        depth = len(root.split("/")) if root else 0
        for path, image in images.items():
            if parse_split(folder := path.split("/")[depth]) == image.split:
                names[root, image.split].add(folder)
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
    if "<folders>" in form:
        notes.append("folders inside the classes are part of the images' names")
    if rest:
        notes.append(f"{len(rest):,} other files are ignored")
    return Layout(form, destinations, tuple(notes))


def _find_below_splits(files: Iterable[str]) -> tuple[_Rooted, list[str]]:
    """Finds the images at <split>/<class>/<image>, and returns them and the other files."""
    rooted: _Rooted = collections.defaultdict(dict)
    rest = []
    for path in files:
        *above, folder, label, name = ("", "", *path.split("/"))
        if split := parse_split(folder):
            rooted["/".join(above[2:])][path] = Destination(split, label, fit_name(name))
        else:
            rest.append(path)
    return rooted, rest


def _find_classes(files: Iterable[str]) -> tuple[_Rooted, list[str]]:
    """Takes every folder with an image in it for a class, and returns the other files, too."""
    rooted: _Rooted = collections.defaultdict(dict)
    rest = []
    folders = {path.rpartition("/")[0] for path in files if is_image(path)} - {""}
    for path in files:
        above, _, name = path.rpartition("/")
        if above in folders:
            root, _, label = above.rpartition("/")
            rooted[root][path] = Destination("train", label, fit_name(name))
        else:
            rest.append(path)
    return rooted, rest


def _find_nested(
    files: Iterable[str], classes: Collection[str] = ()
) -> tuple[_Rooted, list[str]] | None:
    """Finds images in folders inside those of the classes, and returns them and the other files.

    The folders of the splits, or of the classes, are all at one depth, and every image is below
    one of them. The deepest such depth counts, as 'test' may also be the name of a whole set.

    Args:
        files: Paths in the source.
        classes: Names of classes, of which two or more must be at that depth, if there are no
            folders of splits; () searches for splits.

    Returns:
        The images and the other files; None if there is no such depth.
    """
    keys = set(map(name_key, classes))

    def parse(parts: Sequence[str], depth: int) -> tuple[str, str, Sequence[str]] | None:
        """Returns split, class, and what is below the class."""
        if keys and len(parts) > depth + 1:
            return "train", parts[depth], parts[depth + 1 :]
        if not keys and len(parts) > depth + 2 and (split := parse_split(parts[depth])):
            return split, parts[depth + 1], parts[depth + 2 :]
        return None

    split_paths = {path: path.split("/") for path in files}
    images = [parts for path, parts in split_paths.items() if is_image(path)]
    for depth in reversed(range(min(map(len, images), default=0))):
        if not all(parse(parts, depth) for parts in images):
            continue
        if keys and len(keys & {name_key(parts[depth]) for parts in images}) < 2:
            continue
        rooted: _Rooted = collections.defaultdict(dict)
        rest = []
        for path, parts in split_paths.items():
            if found := parse(parts, depth):
                split, label, below = found
                image = Destination(split, label, fit_name("-".join(below)))
                rooted["/".join(parts[:depth])][path] = image
            else:
                rest.append(path)
        return rooted, rest
    return None


def fit_name(name: str) -> str:
    """Shortens a file's name that is too long for a file system; a digest keeps it unique."""
    encoded = name.encode(errors="surrogateescape")
    if len(encoded) <= MAX_NAME_BYTES:
        return name
    suffix = PurePosixPath(name).suffix
    suffix = suffix if len(suffix.encode(errors="surrogateescape")) < 16 else ""
    digest = hashlib.sha256(encoded).hexdigest()[:12]
    return f"{encoded[:180].decode(errors='ignore')}~{digest}{suffix}"


def format_examples(names: Sequence[str], count: int = _MAX_EXAMPLES) -> str:
    """Formats the first `count` names for a message: "'a', 'b', ..."."""
    listed = ", ".join(f"'{escape_name(name)}'" for name in names[:count])
    return listed + (", ..." if len(names) > count else "")


def _unknown_layout(source: str, files: Iterable[str], problem: str) -> UserError:
    return UserError(
        expected=f"one of these layouts in {source}: {'; '.join(_KNOWN_LAYOUTS)}",
        found=f"{problem}; the top of the tree: {_format_tree(files)}",
        fix="arrange the folders so, name the right one as the source, or, if there are folders "
        "inside those of the classes, name the classes (--classes happy+sad)",
    )


def _format_tree(files: Iterable[str]) -> str:
    """Formats the first two levels of a tree with their numbers of files, in one line."""

    def count_files(name: str, count: int) -> str:
        words = f" {count:,} file{'s' if count > 1 else ''}" if name.endswith("/") else ""
        return f"{name}{words}"

    top: dict[str, collections.Counter] = {}
    for path in sorted(files):
        first, *more = path.split("/")
        inner = top.setdefault(first + ("/" if more else ""), collections.Counter())
        if more:
            inner[more[0] + ("/" if len(more) > 1 else "")] += 1
    folders = []
    for first, inner in top.items():
        names = [count_files(name, count) for name, count in list(inner.items())[:4]]
        if len(inner) > 4:
            names.append(f"... {len(inner) - 4:,} more")
        below = f" ({', '.join(names)})" if names else ""
        folders.append(count_files(first, sum(inner.values())) + below)
    if len(folders) > _MAX_TREE_FOLDERS:
        folders[_MAX_TREE_FOLDERS:] = [f"... {len(folders) - _MAX_TREE_FOLDERS:,} more"]
    return ", ".join(folders) or "nothing"


def _drop_copies(rooted: _Rooted, files: Mapping[str, object]) -> list[str]:
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


def is_image(path: str) -> bool:
    """Returns whether the ending of a file's name is that of an image."""
    return PurePosixPath(path).suffix.casefold() in _IMAGE_SUFFIXES
