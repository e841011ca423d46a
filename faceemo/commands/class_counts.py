"""The classes of images of one's own: their names, and how many images each split has of them."""

import collections
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from faceemo.config import ARCHS, class_map_of, classes_of, make_config
from faceemo.config.classes import name_key, name_problems, normalize_name
from faceemo.config.field_words import spell
from faceemo.data.source.image_table import NO_LABEL
from faceemo.data.source.layout import Layout
from faceemo.errors import UserError, escape_name

# With fewer, no share of them can be set aside that would tell anything.
MIN_IMAGES = 5


def find_known_names(given: Mapping[str, Any]) -> list[str]:
    """Returns the names of classes, here and in the source, that the user gave."""
    chosen = make_config(ARCHS[0])
    chosen.update({name: given[name] for name in ("class_map", "classes") if name in given})
    classes = classes_of(chosen) if "classes" in given else ()
    return [*classes, *class_map_of(chosen)]


def count(layout: Layout, given: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    """Counts the images of each split by class, classes in alphabetical order.

    Args:
        layout: The layout of the source.
        given: Fields of the user, of which `classes` and `class_map` are heeded.
    """
    chosen = make_config(ARCHS[0])
    chosen.update({name: given[name] for name in ("class_map", "classes") if name in given})
    names = {name_key(name): label for name, label in class_map_of(chosen).items()}
    images = [image for image in layout.destinations.values() if image.label != NO_LABEL]
    for label in sorted({image.label for image in images}, key=name_key):
        names.setdefault(name_key(label), normalize_name(label))
    classes = classes_of(chosen) if "classes" in given else sorted(set(names.values()))
    counts = {"train": dict.fromkeys(classes, 0)}
    for image in images:
        label = names[name_key(image.label)]
        if label in classes:
            split = counts.setdefault(image.split, dict.fromkeys(classes, 0))
            split[label] += 1
    return counts


def refuse_too_few(path: Path, counts: Mapping[str, Mapping[str, int]], layout: Layout) -> None:
    """Refuses images that cannot be learned from: one class, unusable names, too few of a class.

    Args:
        path: The source.
        counts: Images by split and class (`count`).
        layout: The layout of the source, in which every class is, also those left out.

    Raises:
        UserError: If they cannot be learned from.
    """
    train = counts["train"]
    if absent := [label for label in train if not any(split[label] for split in counts.values())]:
        found = collections.Counter(image.label for image in layout.destinations.values())
        _refuse_absent(path, absent, found)
    if len(train) < 2:
        raise UserError(
            expected=f"a folder of images for each of two classes or more in {path}",
            found=f"one class: {', '.join(train)}",
            fix="sort the images into folders by class, calm/ and angry/ for example",
        )
    if wrong := name_problems(train):
        raise UserError(
            expected=f"folders in {path} whose names can be those of classes",
            found="; ".join(wrong),
            fix="rename these folders",
        )
    few = [f"{label} {count}" for label, count in train.items() if count < MIN_IMAGES]
    enough = [label for label, count in train.items() if count >= MIN_IMAGES]
    if few:
        names = "+".join(enough)
        raise UserError(
            expected=f"at least {MIN_IMAGES} training images of each class in {path}",
            found=", ".join(few),
            fix="add images"
            + (f", or train on the others ({spell('classes', names)})" if len(enough) > 1 else "")
            + "; if these folders are no classes, name the folder that holds those of the classes",
        )


def _refuse_absent(path: Path, absent: Sequence[str], found: Mapping[str, int]) -> None:
    """Refuses classes that the user named and for which there is no folder."""
    there = ", ".join(f"{escape_name(name)} {found[name]:,}" for name in sorted(found))
    names = [normalize_name(name) for name in sorted(found) if not name_problems([name])]
    same = f"{names[0] if names else 'joy'}={absent[0]}"
    raise UserError(
        expected=f"a folder of training images for each class that you named in {path}",
        found=f"none for {', '.join(absent)}; there are {there}",
        fix=f"name folders that exist ({spell('classes', '+'.join(names))}), or map their names "
        f"({spell('class_map', same)})",
    )
