"""Persons whom the names of images tell, in the styles of KDEF and CK+."""

import dataclasses
import re
from pathlib import PurePosixPath

from faceemo.data.source.layout import Layout

# The session (A or B), the person (F01 to F35, M01 to M35), the emotion and the angle.
KDEF = re.compile(
    r"(?P<session>[AB])(?P<person>[FM][0-9]{2})(?P<emotion>AF|AN|DI|HA|NE|SA|SU)"
    r"(?P<angle>S|HL|HR|FL|FR)",
    re.IGNORECASE,
)
# The person, the sequence and the frame.
CK_PLUS = re.compile(r"(?P<person>S[0-9]{3})_(?P<sequence>[0-9]{3})_(?P<frame>[0-9]{8})", re.I)


def add_people(layout: Layout) -> Layout:
    """Adds the persons to a layout whose folders tell the classes."""
    groups = {path: person for path in layout.destinations if (person := find_person(path))}
    return dataclasses.replace(layout, groups=groups) if groups else layout


def find_person(path: str) -> str | None:
    """Returns the person in an image's name, such as 'KDEF F01'; None if it tells none."""
    stem = PurePosixPath(path).stem
    for style, pattern in (("KDEF", KDEF), ("CK+", CK_PLUS)):
        if match := pattern.fullmatch(stem):
            return f"{style} {match['person'].upper()}"
    return None
