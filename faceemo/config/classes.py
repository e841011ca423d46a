"""The classes of a run: how a configuration writes them, and which names are valid."""

import re

from ml_collections import ConfigDict

# The default, and all classes that the drawn sample has.
CLASSES = ("happy", "neutral", "sad", "surprise")

_NAME = r"\w[\w -]*"  # a class's name is the name of its folder, too

# The values of the two fields in words, for messages.
CLASSES_TAKE = "at least two different names joined by '+', 'happy+sad'"
CLASS_MAP_TAKES = "pairs joined by '+', each name of the source once, 'happiness=happy+joy=happy'"


def classes_of(config: ConfigDict) -> tuple[str, ...]:
    """Returns the names of the classes, in the order of the logits."""
    return tuple(config.classes.split("+"))


def class_map_of(config: ConfigDict) -> dict[str, str]:
    """Returns the class for each name in the source that is not a class itself: {name: class}."""
    return dict(pair.split("=") for pair in filter(None, config.class_map.split("+")))


def is_class_name(name: str) -> bool:
    """Returns whether a class may have this name."""
    return re.fullmatch(_NAME, name) is not None


def are_classes(text: str) -> bool:
    """Returns whether `text` is valid for the field classes (`CLASSES_TAKE`)."""
    names = text.split("+")
    return (
        len(names) >= 2
        and len({name.casefold() for name in names}) == len(names)
        and all(map(is_class_name, names))
    )


def is_class_map(text: str) -> bool:
    """Returns whether `text` is valid for the field class_map (`CLASS_MAP_TAKES`)."""
    pairs = [pair.split("=") for pair in text.split("+")]
    names = [pair[0].casefold() for pair in pairs]
    return (
        all(len(pair) == 2 and all(pair) for pair in pairs)
        and len(set(names)) == len(names)
        and all(is_class_name(pair[1]) for pair in pairs)
    )


def find_problems(config: ConfigDict) -> list[str]:
    """Lists contradictions between the fields about classes, each of which is valid by itself."""
    classes, found = classes_of(config), []
    unknown = sorted(set(class_map_of(config).values()) - set(classes))
    if unknown:
        found.append(f"class_map leads to {', '.join(unknown)} (takes {', '.join(classes)})")
    undrawn = sorted(set(classes) - set(CLASSES))
    if config.dataset == "sample" and undrawn:
        found.append(
            f"classes={config.classes!r} (dataset='sample' draws only {', '.join(CLASSES)})"
        )
    return found
