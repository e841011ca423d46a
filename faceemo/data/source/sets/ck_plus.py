"""CK+: sequences of frames from a neutral face to the apex of an emotion, some of them labelled.

The label of `cohn-kanade-images/S005/001/` is in `Emotion/S005/001/S005_001_00000011_emotion.txt`;
the last frame shows the apex, and only it is used.
"""

import collections
import re

from faceemo.data.source.layout import Destination, Layout, is_image
from faceemo.data.source.sets import people
from faceemo.data.source.sets.tree import SetLayout, Tree, name_of

EMOTIONS = ("neutral", "angry", "contempt", "disgust", "fear", "happy", "sad", "surprise")
_EMOTION = re.compile(r"(S[0-9]{3}_[0-9]{3})_[0-9]{8}_emotion\.txt", re.IGNORECASE)
_VALUE = re.compile(r"\s*([0-9]+(?:\.[0-9]*)?(?:e[+-]?[0-9]+)?)\s*", re.IGNORECASE)


def read_layout(tree: Tree) -> Layout | None:
    """Reads CK+; returns None if the source has no files with the emotions of sequences.

    Raises:
        UserError: If there are no frames of the labelled sequences.
    """
    labels = {
        match[1].upper(): path
        for path in sorted(tree.paths)
        if (match := _EMOTION.fullmatch(name_of(path)))
    }
    if not labels:
        return None
    made = SetLayout(tree, "CK+")
    frames = collections.defaultdict(dict)  # by sequence and number
    for path in sorted(tree.paths):
        stem = name_of(path).rpartition(".")[0]
        if is_image(path) and (match := people.CK_PLUS.fullmatch(stem)):
            sequence = f"{match['person']}_{match['sequence']}".upper()
            number = int(match["frame"])
            if number in frames[sequence]:
                made.leave_out(path, "another file with the same name is used")
            else:
                frames[sequence][number] = path
    for sequence, found in frames.items():
        last = max(found)
        for number, path in found.items():
            if sequence not in labels:
                made.leave_out(path, "no emotion is given for its sequence")
            elif number < last:
                made.leave_out(path, "a frame before the apex of its sequence")
        if sequence in labels:
            _place(made, found[last], tree, labels[sequence])
    for sequence in sorted(labels.keys() - frames.keys()):
        made.leave_out(sequence, "its emotion is given, but there are no frames")
    made.notes.append(f"{len(set(made.groups.values())):,} persons; the last frame of a sequence")
    return made.finish("CK+, frames with the emotions of their sequences")


def _place(made: SetLayout, path: str, tree: Tree, listed: str) -> None:
    text = " ".join(line for _, line in tree.read_lines(listed))
    match = _VALUE.fullmatch(text)
    label = int(float(match[1])) if match else -1
    if not 0 <= label < len(EMOTIONS):
        reason = f"the label '{text[:20]}', where 1 to 7 are known"
        made.leave_out(path, reason, text)
        return
    made.destinations[path] = Destination("train", EMOTIONS[label], name_of(path))
    if person := people.find_person(path):
        made.groups[path] = person
