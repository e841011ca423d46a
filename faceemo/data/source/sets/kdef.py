"""KDEF: names that tell person, emotion and angle, such as AF01ANS.JPG, in any folders."""

from pathlib import PurePosixPath

from faceemo.config.classes import name_key
from faceemo.config.emotions import EMOTIONS
from faceemo.data.source.layout import Destination, Layout, is_image
from faceemo.data.source.sets import people
from faceemo.data.source.sets.tree import SetLayout, Tree, find_split, name_of

EMOTION_OF = {
    "AF": "fear", "AN": "angry", "DI": "disgust", "HA": "happy", "NE": "neutral", "SA": "sad",
    "SU": "surprise",
}  # fmt: skip
# At least this share of the names has the style; the set itself has a few names with letters lost.
_SHARE = 0.9


def read_layout(tree: Tree) -> Layout | None:
    """Reads KDEF; returns None if the names have another style or the folders tell the classes."""
    images = [path for path in tree.paths if is_image(path)]
    matches = {
        path: match for path in images if (match := people.KDEF.fullmatch(PurePosixPath(path).stem))
    }
    parents = {name_key(PurePosixPath(path).parent.name) for path in images}
    if not images or len(matches) < _SHARE * len(images) or parents <= set(EMOTIONS):
        return None
    made = SetLayout(tree, "KDEF")
    for path in sorted(images):
        if path not in matches:
            made.leave_out(path, "its name is not one of KDEF's, such as AF01ANS.JPG")
            continue
        label = EMOTION_OF[matches[path]["emotion"].upper()]
        made.destinations[path] = Destination(find_split(path) or "train", label, name_of(path))
        if person := people.find_person(path):
            made.groups[path] = person
    made.notes.append(f"{len(set(made.groups.values())):,} persons")
    return made.finish("names in the style of KDEF")
