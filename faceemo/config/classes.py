"""The classes of a run: how a configuration writes them, and which names are valid."""

import re
import unicodedata
from collections.abc import Iterable

from ml_collections import ConfigDict

from faceemo.config.emotions import emotion_of
from faceemo.errors import escape_name

# The default, and all classes that the drawn sample has.
CLASSES = ("happy", "neutral", "sad", "surprise")

# The values of the two fields in words, for messages.
CLASSES_TAKE = "at least two different names joined by '+', 'happy+sad' (anger is angry)"
CLASS_MAP_TAKES = "pairs joined by '+', each name of the source once, 'joy=happy+calm=neutral'"

_MAX_BYTES = 120  # of a name; names of all files and folders have at most 255
_JOINERS = "\u200c\u200d"  # unprintable, but needed in Persian and in scripts of India
# Reasons to refuse a character: a class's name stands in options and is the name of its folder.
_REFUSED_CHARACTERS = {
    "+=,": "separates names and values in a configuration",
    "/\\": "separates folders",
    '<>:"|?*': "cannot be part of the name of a folder on every system",
}


def normalize_name(name: str) -> str:
    """Returns the form in which a class's name is stored: composed (NFC), no blanks at its ends.

    macOS writes the names of folders decomposed. A name that is not UTF-8 is escaped.
    """
    return unicodedata.normalize("NFC", escape_name(name)).strip()


def name_key(name: str) -> str:
    """Returns a text that is equal for names that mean the same class.

    Case does not matter, nor which of the usual names an emotion has ('anger' and 'angry').
    """
    return emotion_of(unicodedata.normalize("NFC", normalize_name(name).casefold()))


def classes_of(config: ConfigDict) -> tuple[str, ...]:
    """Returns the names of the classes, in the order of the logits."""
    return tuple(map(normalize_name, config.classes.split("+")))


def class_map_of(config: ConfigDict) -> dict[str, str]:
    """Returns the class for each name in the source that is not a class itself: {name: class}."""
    pairs = (pair.split("=") for pair in filter(None, config.class_map.split("+")))
    return {normalize_name(name): normalize_name(label) for name, label in pairs}


def name_problem(name: str) -> str | None:
    """Says why a class cannot have this name, for example "has ',', which separates names".

    Letters of all scripts, combining marks, digits, blanks and most punctuation are allowed.

    Returns:
        The words, of which the name is the subject; None if a class can have the name.
    """
    if not name:
        return "is empty"
    for characters, reason in _REFUSED_CHARACTERS.items():
        if found := [character for character in characters if character in name]:
            return f"has {found[0]!r}, which {reason}"
    if name[0] in ".-":
        return f"begins with {name[0]!r}, as {'hidden folders' if name[0] == '.' else 'options'} do"
    if name[-1] == ".":
        return "ends with '.', which Windows leaves out of the name of a folder"
    for character in name:
        if not character.isprintable() and character not in _JOINERS:
            return f"has the unprintable character U+{ord(character):04X}"
    if not re.search(r"\w", name):
        return "has no letter or digit"
    if (size := len(name.encode())) > _MAX_BYTES:
        return f"has {size} bytes, more than {_MAX_BYTES}"
    return None


def name_problems(names: Iterable[str]) -> list[str]:
    """Returns "'a,b' has ',', which ..." for each of the names that no class can have."""
    problems = ((name, name_problem(name)) for name in names)
    return [f"{escape_name(name)!r} {problem}" for name, problem in problems if problem]


def are_classes(text: str) -> bool:
    """Returns whether `text` has the form of the field classes (`CLASSES_TAKE`)."""
    names = text.split("+")
    return len(names) >= 2 and len(set(map(name_key, names))) == len(names)


def is_class_map(text: str) -> bool:
    """Returns whether `text` has the form of the field class_map (`CLASS_MAP_TAKES`)."""
    pairs = [pair.split("=") for pair in text.split("+")]
    names = [name_key(pair[0]) for pair in pairs]
    return all(len(pair) == 2 and all(map(str.strip, pair)) for pair in pairs) and len(
        set(names)
    ) == len(names)


def normalize(config: ConfigDict) -> None:
    """Writes the names in a valid configuration in their normal form (`normalize_name`)."""
    classes = "+".join(classes_of(config))
    class_map = "+".join(f"{name}={label}" for name, label in class_map_of(config).items())
    for field, text in (("classes", classes), ("class_map", class_map)):
        if config[field] != text:
            config[field] = text


def find_problems(config: ConfigDict) -> list[str]:
    """Lists names that no class can have, and contradictions between the fields about classes."""
    classes, class_map = classes_of(config), class_map_of(config)
    found = name_problems(dict.fromkeys([*classes, *class_map.values()]))
    if found:
        return [f"the class {problem}" for problem in found]
    unknown = sorted(set(class_map.values()) - set(classes))
    if unknown:
        found.append(f"class_map leads to {', '.join(unknown)} (takes {', '.join(classes)})")
    undrawn = sorted(set(classes) - set(CLASSES))
    if config.dataset == "sample" and undrawn:
        found.append(
            f"classes={config.classes!r} (dataset='sample' draws only {', '.join(CLASSES)})"
        )
    return found
