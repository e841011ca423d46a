"""RAF-DB, its seven basic emotions: aligned faces and their list of labels.

The set as its authors hand it out has `Image/aligned/train_00001_aligned.jpg` and
`EmoLabel/list_patition_label.txt`; a popular copy has folders with the numbers of the emotions.
"""

import re
from pathlib import PurePosixPath

from faceemo.data.source.layout import Destination, Layout, is_image
from faceemo.data.source.sets.tree import SetLayout, Tree, name_of, take_one
from faceemo.errors import UserError

EMOTIONS = ("surprise", "fear", "disgust", "happy", "sad", "angry", "neutral")  # from 1
_LIST = re.compile(r"list_par?tition_label\.txt")  # the authors write 'patition'
_IMAGE = re.compile(r"((train|test)_[0-9]+)(_aligned)?", re.IGNORECASE)
_LINE = re.compile(r"(.+?)\s+([0-9]+)")
_COMPOUND = range(8, 12)  # labels of the compound emotions, which are numbered otherwise


def read_layout(tree: Tree) -> Layout | None:
    """Reads RAF-DB; returns None if the source is not RAF-DB.

    Raises:
        UserError: If images or labels are missing, or the list is that of compound emotions.
    """
    lists = [path for path in tree.paths if _LIST.fullmatch(name_of(path).casefold())]
    images = {path: match for path in tree.paths if (match := _match(path))}
    aligned = {path: match for path, match in images.items() if match[3]}
    if basic := [path for path in lists if "basic" in path.split("/")]:
        lists = basic
    if lists:
        return _read_list(tree, take_one(tree, lists, "list of labels of RAF-DB"), images)
    folders = {PurePosixPath(path).parent.name for path in aligned}
    if aligned and folders <= {str(number) for number in range(1, 8)}:
        return _read_folders(tree, aligned)
    if aligned and len(folders) == 1 and len(aligned) == sum(map(is_image, tree.paths)):
        raise UserError(
            expected=f"list_patition_label.txt of RAF-DB in {tree.source}",
            found=f"{len(aligned):,} aligned images and no list",
            fix="name the folder that holds both, 'basic' in RAF-DB",
        )
    return None


def _match(path: str) -> re.Match[str] | None:
    return _IMAGE.fullmatch(PurePosixPath(path).stem) if is_image(path) else None


def _read_list(tree: Tree, listed: str, images: dict[str, re.Match[str]]) -> Layout:
    made = SetLayout(tree, "RAF-DB")
    use_aligned = any(match[3] for match in images.values())
    path_of = {
        match[1].casefold(): path
        for path, match in images.items()
        if bool(match[3]) == use_aligned and "compound" not in path.split("/")
    }
    labels: dict[str, int] = {}
    for number, line in tree.read_lines(listed):
        match = _LINE.fullmatch(line)
        name = match and _IMAGE.fullmatch(PurePosixPath(match[1]).stem)
        if not match or not name:
            raise UserError(
                expected=f"lines such as 'train_00001.jpg 5' in {listed} of {tree.source}",
                found=f"'{line[:60]}' in line {number}",
                fix="correct that line, or download the list again",
            )
        labels[name[1].casefold()] = int(match[2])
        if name[1].casefold() not in path_of:
            made.leave_out(match[1], f"in {name_of(listed)}, but there is no such file")
    if compound := [label for label in labels.values() if label in _COMPOUND]:
        raise UserError(
            expected=f"the labels 1 to 7 of RAF-DB's basic emotions in {listed} of {tree.source}",
            found=f"{len(compound):,} labels from 8 to 11, which only compound emotions have",
            fix="name the folder 'basic' of RAF-DB as the source",
        )
    for stem, path in sorted(path_of.items()):
        if stem not in labels:
            made.leave_out(path, f"no line in {name_of(listed)}")
        else:
            _place(made, path, labels[stem])
    if spare := sum(bool(match[3]) != use_aligned for match in images.values()):
        made.notes.append(f"{spare:,} images that are not aligned are not used")
    return made.finish(f"RAF-DB, {name_of(listed)}")


def _read_folders(tree: Tree, aligned: dict[str, re.Match[str]]) -> Layout:
    made = SetLayout(tree, "RAF-DB")
    for path in sorted(aligned):
        _place(made, path, int(PurePosixPath(path).parent.name))
    return made.finish("RAF-DB, folders with the numbers of the emotions")


def _place(made: SetLayout, path: str, label: int) -> None:
    if 1 <= label <= len(EMOTIONS):
        split = "train" if name_of(path).casefold().startswith("train") else "test"
        made.destinations[path] = Destination(split, EMOTIONS[label - 1], name_of(path))
    else:
        made.leave_out(path, f"label {label}, where 1 to {len(EMOTIONS)} are known", str(label))
