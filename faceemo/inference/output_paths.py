"""What is written never takes the place of what is read."""

from collections.abc import Iterable
from pathlib import Path

from faceemo.errors import UserError


def check_file(option: str, target: Path, inputs: Iterable[Path]) -> None:
    """Before any work, of a file that will be written.

    Args:
        option: that names it, such as '--out'.
        target: the file.
        inputs: all that is read.

    Raises:
        UserError: if it is one of them, by whatever path or link, or a folder.
    """
    if target.is_dir():
        raise UserError(
            expected=f"a file as {option}",
            found=f"the folder {target}",
            fix=f"name a file, such as {target / 'answers'}",
        )
    if one := next((one for one in inputs if _same(one, target)), None):
        raise UserError(
            expected=f"{option} beside what is read, whose originals stay",
            found=f"{target}, which is the input {one}",
            fix="give it another name",
        )


def check_folder(option: str, target: Path, inputs: Iterable[Path]) -> None:
    """Before any work, of a folder that pictures will be written into, named after the inputs.

    Args:
        option: that names it, such as '--out'.
        target: the folder, which may not be there yet.
        inputs: files that are read.

    Raises:
        UserError: if one of them lies in it, or it is a file.
    """
    if target.exists() and not target.is_dir():
        raise UserError(
            expected=f"a folder as {option}",
            found=f"the file {target}",
            fix="name a folder, which need not exist",
        )
    homes = {home: one for one in inputs for home in (one.parent, one.resolve().parent)}
    if home := next((home for home in homes if _same(home, target)), None):
        raise UserError(
            expected=f"{option} beside what is read, whose originals stay",
            found=f"{target}, which holds the input {homes[home]}",
            fix="name a folder that holds no input",
        )


def _same(one: Path, other: Path) -> bool:
    return one.exists() and other.exists() and one.samefile(other)
