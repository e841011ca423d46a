"""AffectNet: the folders with arrays of annotations, and the edition with lists and boxes.

The first has `train_set/images/12.jpg` and `train_set/annotations/12_exp.npy`, the second
`training.csv` and `validation.csv`, which name images in numbered folders.
"""

import io
from collections.abc import Iterator
from pathlib import PurePosixPath

import numpy as np

from faceemo.data.source import table_text
from faceemo.data.source.layout import Crop, Destination, Layout, is_image, parse_split
from faceemo.data.source.sets.tree import SetLayout, Tree, index_by_tail, name_of
from faceemo.data.source.table_text import open_text, read_fields
from faceemo.errors import UserError

EMOTIONS = ("neutral", "happy", "sad", "surprise", "fear", "disgust", "angry", "contempt")
NO_EMOTION = {8: "none", 9: "uncertain", 10: "non-face"}
# The columns of the lists, which may have no header.
_COLUMNS = (
    *("subdirectory_filepath", "face_x", "face_y", "face_width", "face_height"),
    *("facial_landmarks", "expression", "valence", "arousal"),
)
_SPLITS = {"train_set": "train", "val_set": "validation"}
_SET = "AffectNet"


def read_layout(tree: Tree) -> Layout | None:
    """Reads AffectNet; returns None if the source is not AffectNet.

    Raises:
        UserError: If images or annotations are missing, or a list is damaged.
    """
    annotations = [path for path in tree.paths if path.endswith("_exp.npy")]
    if annotations:
        return _read_arrays(tree, annotations)
    images = [path for path in tree.paths if is_image(path)]
    if images and all(_array_split(path) for path in images):
        raise UserError(
            expected=f"annotations/N_exp.npy of {_SET} in {tree.source}",
            found=f"{len(images):,} images in train_set or val_set, and no annotations",
            fix="unpack the annotations beside the images",
        )
    lists = [path for path in tree.paths if _is_list(tree, path)]
    return _read_lists(tree, lists, images) if lists else None


def _array_split(path: str) -> str | None:
    """Returns the split of train_set/images/12.jpg and train_set/annotations/12_exp.npy."""
    parts = PurePosixPath(path).parts
    return _SPLITS.get(parts[-3]) if len(parts) > 2 and parts[-2] != "" else None


def _read_arrays(tree: Tree, annotations: list[str]) -> Layout:
    made = SetLayout(tree, _SET)
    listed = {}
    for path in annotations:
        folder = PurePosixPath(path).parent.parent
        listed[f"{folder}/images/{name_of(path).removesuffix('_exp.npy')}"] = path
    for path in filter(is_image, tree.paths):
        split = _array_split(path)
        annotation = listed.pop(path.rpartition(".")[0], None)
        if not split:
            made.leave_out(path, "not in train_set or val_set")
        elif not annotation:
            made.leave_out(path, "no annotation")
        else:
            content = tree.read_bytes(annotation)
            _place(made, path, split, _parse_array(content), "its annotation is no number")
    for image in listed:
        made.leave_out(f"{image}.jpg", "annotated, but there is no such file")
    return made.finish(f"{_SET}, images with arrays of annotations")


def _parse_array(content: bytes) -> str:
    """Returns the value of an array of one element, a number or its text; '' for others."""
    try:
        array = np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
        return str(array.item())
    except (ValueError, EOFError, SyntaxError):
        return ""


def _is_list(tree: Tree, path: str) -> bool:
    """Returns whether a file is one of the set's lists: by its header, or by its first row."""
    if PurePosixPath(path).suffix.casefold() != ".csv":
        return False
    with open_text(tree.open_file(path)) as stream, table_text.checked(path):
        first = next(read_fields(stream), [])
    return bool(first) and (
        first[0].strip().casefold() == _COLUMNS[0]
        or (len(first) == len(_COLUMNS) and is_image(first[0]) and "/" in first[0])
    )


def _read_lists(tree: Tree, lists: list[str], images: list[str]) -> Layout:
    made = SetLayout(tree, _SET)
    by_tail = index_by_tail(images, 2)
    used = set()
    for listed in sorted(lists):
        split = parse_split(PurePosixPath(listed).stem) or "train"
        for fields in _read_rows(tree, listed):
            name = fields[_COLUMNS[0]].strip().replace("\\", "/")
            found = by_tail.get("/".join(name.split("/")[-2:]).casefold(), [])
            if len(found) != 1:
                problem = "there are several such files" if found else "there is no such file"
                made.leave_out(name, f"in {name_of(listed)}, but {problem}", fields["expression"])
                continue
            if found[0] in used:
                raise UserError(
                    expected=f"every image once in the lists of {tree.source}",
                    found=f"{name} again in {listed}",
                    fix="remove the row that is wrong",
                )
            used.add(found[0])
            _place(made, found[0], split, fields["expression"], "its expression is no number")
            box = _parse_box(fields)
            if box and found[0] in made.destinations:
                made.crops[found[0]] = Crop(found[0], box)
                place = made.destinations[found[0]]
                stem = PurePosixPath(place.name).stem
                made.destinations[found[0]] = place._replace(name=f"{stem}.png")
    for path in images:
        if path not in used:
            made.leave_out(path, f"in no list: {', '.join(sorted(map(name_of, lists)))}")
    if made.crops:
        made.notes.append(f"{len(made.crops):,} faces are cut out by the boxes of the lists")
    return made.finish(f"{_SET}, the lists {', '.join(sorted(map(name_of, lists)))}")


def _read_rows(tree: Tree, listed: str) -> Iterator[dict[str, str]]:
    """Yields the rows of a list by the names of its columns."""
    with open_text(tree.open_file(listed)) as stream, table_text.checked(listed):
        rows = read_fields(stream)
        first = [field.strip() for field in next(rows)]
        columns = [name.casefold() for name in first]
        if columns[0] != _COLUMNS[0]:
            columns = list(_COLUMNS)
            yield dict(zip(columns, first, strict=True))
        if "expression" not in columns:
            raise UserError(
                expected=f"the column expression in {listed} of {tree.source}",
                found=", ".join(first)[:200],
                fix="download the list again",
            )
        for number, fields in enumerate(rows, 1):
            if len(fields) != len(columns):
                raise UserError(
                    expected=f"{len(columns)} fields in every row of {listed}",
                    found=f"{len(fields)} in row {number}",
                    fix="download or copy it again: it may be cut off",
                )
            yield dict(zip(columns, fields, strict=True))


def _parse_box(fields: dict[str, str]) -> tuple[float, float, float, float] | None:
    """Returns the box of a face; None if the row has none ('NULL', or no size)."""
    try:
        left, top, width, height = (float(fields[name]) for name in _COLUMNS[1:5])
    except (KeyError, ValueError):
        return None
    return (left, top, left + width, top + height) if width > 0 and height > 0 else None


def _place(made: SetLayout, path: str, split: str, text: str, problem: str) -> None:
    try:
        label = int(float(text))
    except ValueError:
        made.leave_out(path, problem, text)
        return
    if 0 <= label < len(EMOTIONS):
        made.destinations[path] = Destination(split, EMOTIONS[label], name_of(path))
    elif label in NO_EMOTION:
        made.leave_out(path, f"the set labels it '{NO_EMOTION[label]}'", NO_EMOTION[label])
    else:
        made.leave_out(path, f"label {label}, where 0 to {len(EMOTIONS) + 2} are known", text)
