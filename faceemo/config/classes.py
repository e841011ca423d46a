"""The classes of a run: as a configuration writes them, and the rules they obey."""

import re

from ml_collections import ConfigDict

CLASSES = ("happy", "neutral", "sad", "surprise")  # the default, and all that the sample draws

_NAME = r"\w[\w -]*"  # of a class: it is a folder's name too

# What a field takes, in words, see `faceemo.config.validate`.
CLASSES_TAKE = "at least two different names joined by '+', 'happy+sad'"
CLASS_MAP_TAKES = "pairs joined by '+', each name of the source once, 'happiness=happy+joy=happy'"


def classes_of(config: ConfigDict) -> tuple[str, ...]:
    """What the run recognises, in the order of its answers."""
    return tuple(config.classes.split("+"))


def class_map_of(config: ConfigDict) -> dict[str, str]:
    """What the source's classes mean: {its name: one of `classes_of`}."""
    return dict(pair.split("=") for pair in filter(None, config.class_map.split("+")))


def are_classes(text: str) -> bool:
    """Whether `text` is `CLASSES_TAKE`."""
    names = text.split("+")
    return (
        len(names) >= 2
        and len({name.casefold() for name in names}) == len(names)
        and all(re.fullmatch(_NAME, name) for name in names)
    )


def is_class_map(text: str) -> bool:
    """Whether `text` is `CLASS_MAP_TAKES`."""
    pairs = [pair.split("=") for pair in text.split("+")]
    names = [pair[0].casefold() for pair in pairs]
    return (
        all(len(pair) == 2 and all(pair) for pair in pairs)
        and len(set(names)) == len(names)
        and all(re.fullmatch(_NAME, pair[1]) for pair in pairs)
    )


def problems(config: ConfigDict) -> list[str]:
    """What does not fit together about the classes, each field by itself being well written."""
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
