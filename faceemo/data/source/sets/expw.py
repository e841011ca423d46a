"""ExpW: photographs with several faces each, and a list of their boxes and labels.

A line of `label.lst` has the photograph's name, the number of the face in it, its box (top, left,
right, bottom), the confidence of the box, and the label.
"""

import re
from pathlib import PurePosixPath

from faceemo.data.source.layout import Crop, Destination, Layout, fit_name, is_image
from faceemo.data.source.sets.tree import SetLayout, Tree, index_by_tail, name_of, take_one
from faceemo.errors import UserError

EMOTIONS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
_NUMBER = r"(-?[0-9]+(?:\.[0-9]*)?)"
_LINE = re.compile(rf"(.+?)\s+([0-9]+)\s+{_NUMBER}\s+{_NUMBER}\s+{_NUMBER}\s+{_NUMBER}\s+"
                   r"([0-9.eE+-]+)\s+([0-9]+)")  # fmt: skip


def read_layout(tree: Tree) -> Layout | None:
    """Reads ExpW; returns None if the source has no label.lst of this form.

    Raises:
        UserError: If photographs are missing, or a line is damaged.
    """
    lists = [path for path in tree.paths if name_of(path).casefold() == "label.lst"]
    return _read_list(tree, take_one(tree, lists, "label.lst of ExpW")) if lists else None


def _read_list(tree: Tree, listed: str) -> Layout:
    made = SetLayout(tree, "ExpW")
    photographs = index_by_tail(filter(is_image, tree.paths), 1)
    faces: dict[str, int] = {}
    for number, line in tree.read_lines(listed):
        match = _LINE.fullmatch(line)
        if not match:
            raise UserError(
                expected=f"lines such as 'angry_actor_104.jpg 0 28 113 226 141 22.9 0' in {listed} "
                f"of {tree.source}",
                found=f"'{line[:60]}' in line {number}",
                fix="correct that line, or download the list again",
            )
        name, face, label = name_of(match[1].replace("\\", "/")), int(match[2]), int(match[8])
        top, left, right, bottom = map(float, match.group(3, 4, 5, 6))
        found = photographs.get(name.casefold(), [])
        path = f"{found[0] if len(found) == 1 else name}#{face}"
        if path in made.destinations or path in made.left_out:
            raise UserError(
                expected=f"every face once in {listed} of {tree.source}",
                found=f"face {face} of {name} again in line {number}",
                fix="correct that line, or download the list again",
            )
        emotion = EMOTIONS[label] if label < len(EMOTIONS) else str(label)
        if len(found) != 1:
            problem = "there are several such files" if found else "there is no such file"
            made.leave_out(path, f"in {name_of(listed)}, but {problem}", emotion)
        elif label >= len(EMOTIONS):
            made.leave_out(path, f"label {label}, where 0 to 6 are known", emotion)
        elif left >= right or top >= bottom:
            made.leave_out(path, "a box without width or height", emotion)
        else:
            file_name = fit_name(f"{PurePosixPath(name).stem}-{face}.png")
            made.destinations[path] = Destination("train", emotion, file_name)
            made.crops[path] = Crop(found[0], (left, top, right, bottom))
            made.groups[path] = found[0]
        if found:
            faces[found[0]] = faces.get(found[0], 0) + 1
    for paths in photographs.values():
        for path in paths:
            if path not in faces:
                made.leave_out(path, f"no line in {name_of(listed)}")
    several = sum(count > 1 for count in faces.values())
    made.notes.append(
        f"{len(made.crops):,} faces are cut out of {len(faces):,} photographs, {several:,} of "
        "which have several"
    )
    return made.finish(f"ExpW, {name_of(listed)}")
