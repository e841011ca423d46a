"""Selection of the images of a run's classes from those of a source."""

import collections
import dataclasses
from collections.abc import Iterable, Mapping, Sequence

from faceemo.config import SPLITS
from faceemo.config.classes import name_key, normalize_name
from faceemo.config.field_words import spell
from faceemo.data.source.layout import Destination, Layout, fit_name, format_examples
from faceemo.errors import UserError, escape_name


@dataclasses.dataclass(frozen=True)
class ClassSelection:
    """The images of the selected classes, and counts of the others."""

    destinations: dict[str, Destination]  # by path in the source; labels are the run's classes
    renamed: dict[str, str]  # name in the source -> class, where they differ
    left_out: dict[str, int]  # the most common of a class's names in the source -> images


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
    class_of = {name_key(name): name for name in classes}
    class_of |= {name_key(name): label for name, label in class_map.items()}
    found = collections.Counter(image.label for image in layout.destinations.values())
    meant = {name: class_of[key] for name in sorted(found) if (key := name_key(name)) in class_of}
    unknown = sorted(set(map(name_key, class_map)) - set(map(name_key, found)))
    if unknown:
        raise UserError(
            expected=f"the names of class_map among the classes of {source}",
            found=f"no {format_examples(unknown)}; there are {_format_counts(found)}",
            fix="correct class_map, written as 'joy=happy+calm=neutral'",
        )
    images = {
        path: image._replace(label=meant[image.label])
        for path, image in layout.destinations.items()
        if image.label in meant
    }
    check_complete(
        source, (image.path for image in images.values()), classes, _format_counts(found)
    )
    uses = collections.Counter(image.path.casefold() for image in images.values())
    for path, image in images.items():
        if uses[image.path.casefold()] > 1:
            label = layout.destinations[path].label
            images[path] = image._replace(name=fit_name(f"{label.strip()}-{image.name}"))
    repeated = _find_repeated(image.path for image in images.values())
    if repeated:
        raise UserError(
            expected=f"every image once in {source}",
            found=f"{len(repeated):,} repeated: {format_examples(repeated)}",
            fix="keep each image once (names that differ in case only are the same)",
        )
    return ClassSelection(
        images,
        {name: label for name, label in meant.items() if normalize_name(name) != label},
        _merge_names({name: found[name] for name in sorted(found) if name not in meant}),
    )


def _merge_names(counts: Mapping[str, int]) -> dict[str, int]:
    """Adds up the images of each class, under the most common one of its names."""
    names: dict[str, str] = {}
    merged: collections.Counter[str] = collections.Counter()
    for name in sorted(counts, key=lambda name: -counts[name]):
        merged[names.setdefault(name_key(name), name)] += counts[name]
    return dict(sorted(merged.items()))


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
            fix="add images there, list only the classes that exist "
            f"({spell('classes', 'happy+sad')}), or map their names "
            f"({spell('class_map', 'joy=happy')})",
        )


def _format_counts(found: Mapping[str, int]) -> str:
    return ", ".join(f"{escape_name(name)} {found[name]:,}" for name in sorted(found))


def _find_repeated(paths: Iterable[str]) -> list[str]:
    """Returns paths that occur again; names that differ in case only are one on some systems."""
    known, repeated = set(), []
    for path in paths:
        if path.casefold() in known:
            repeated.append(path)
        known.add(path.casefold())
    return repeated
