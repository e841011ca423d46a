"""Names of a command's output files, and checks that they overwrite no input."""

import os
from collections.abc import Iterable
from pathlib import Path

from faceemo.errors import UserError
from faceemo.staging import MAX_NAME_BYTES

FILM_SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv", ".webm")  # films that are written
# Other films, which would be taken for folders otherwise.
_OTHER_FILMS = (".avi", ".flv", ".mpeg", ".mpg", ".ogv", ".wmv")


def names_film(path: Path) -> bool:
    """Returns whether an output's path has the suffix of a film."""
    return path.suffix.lower() in FILM_SUFFIXES + _OTHER_FILMS


def unique_name(path: Path, suffix: str, names: set[str]) -> str:
    """Names the file made from an input; inputs of one name in several folders get numbers.

    A name that would be too long for a file system loses its end.

    Args:
        path: The input's path.
        suffix: The suffix of the new file, such as '.png'.
        names: The names in use, without suffix; the new one is added.
    """
    name, number = _cut(path.stem, suffix), 2
    while name in names:
        ending = f"-{number}"
        name = _cut(path.stem, f"{ending}{suffix}") + ending
        number += 1
    names.add(name)
    return f"{name}{suffix}"


def _cut(stem: str, ending: str) -> str:
    """Cuts whole characters off, so that the name with its ending is not too long."""
    while len(os.fsencode(stem + ending)) > MAX_NAME_BYTES:
        stem = stem[:-1]
    return stem


def check_file(option: str, target: Path, inputs: Iterable[Path]) -> None:
    """Refuses an output file that is an input; called before any work.

    Args:
        option: The option that names the file, such as '--out'.
        target: The output file.
        inputs: All paths that the command reads.

    Raises:
        UserError: If `target` is an input, by whatever path or link, or a folder.
    """
    if target.is_dir():
        raise UserError(
            expected=f"a file as {option}",
            found=f"the folder {target}",
            fix=f"name a file, such as {target / 'predictions'}",
        )
    if one := next((one for one in inputs if _is_same(one, target)), None):
        raise UserError(
            expected=f"{option} to overwrite no input",
            found=f"{target}, which is the input {one}",
            fix="name another file",
        )


def check_film(option: str, target: Path, inputs: Iterable[Path]) -> None:
    """Refuses an output film that is an input or no film for browsers; called before any work.

    Args:
        option: The option that names the film, such as '--draw'.
        target: The output file.
        inputs: All paths that the command reads.

    Raises:
        UserError: If `target` is an input, a folder, or has another suffix.
    """
    if target.suffix.lower() not in FILM_SUFFIXES:
        raise UserError(
            expected=f"a film that browsers play as {option}: {', '.join(FILM_SUFFIXES)}",
            found=str(target),
            fix=f"name {target.with_suffix(FILM_SUFFIXES[0])}",
        )
    check_file(option, target, inputs)


def check_draw(draw: Path, inputs: Iterable[Path], image_count: int, video_count: int) -> None:
    """Checks that a film is named for one video alone, and that no input is overwritten.

    Args:
        draw: The place of the annotated inputs: a folder, or a film.
        inputs: The images and videos.
        image_count: The number of images among them.
        video_count: The number of videos, a webcam included.

    Raises:
        UserError: If `draw` does not fit the inputs, or would overwrite one.
    """
    if not names_film(draw):
        check_folder("--draw", draw, inputs)
        return
    if video_count != 1 or image_count:
        raise UserError(
            expected=f"--draw {draw} with one video alone",
            found=f"{image_count} images and {video_count} videos (or animations)",
            fix="name a folder with --draw, or one video as the input",
        )
    check_film("--draw", draw, inputs)


def check_summary(folder: Path, inputs: Iterable[Path], image_count: int, video_count: int) -> None:
    """Checks that there is a video, a webcam included, and that the folder holds no input.

    The arguments are those of `check_draw`.

    Raises:
        UserError: If there is no video, or the folder holds an input.
    """
    if not video_count:
        raise UserError(
            expected=f"a video for --summary {folder}",
            found=f"{image_count} images",
            fix="name a video, or leave --summary out",
        )
    check_folder("--summary", folder, inputs)


def check_folder(option: str, target: Path, inputs: Iterable[Path]) -> None:
    """Refuses an output folder that holds an input; called before any work.

    The files written into the folder get the names of the inputs.

    Args:
        option: The option that names the folder, such as '--out'.
        target: The output folder, which need not exist.
        inputs: The files that the command reads.

    Raises:
        UserError: If an input lies in `target`, or `target` is a file.
    """
    if target.exists() and not target.is_dir():
        raise UserError(
            expected=f"a folder as {option}",
            found=f"the file {target}",
            fix="name a folder, which need not exist",
        )
    # not Path.resolve, which Python 3.11 ends with an error where links lead in a circle
    parents = {
        folder: one for one in inputs for folder in (one.parent, Path(os.path.realpath(one)).parent)
    }
    if parent := next((folder for folder in parents if _is_same(folder, target)), None):
        raise UserError(
            expected=f"{option} to overwrite no input",
            found=f"{target}, which holds the input {parents[parent]}",
            fix="name a folder that holds no input",
        )


def _is_same(one: Path, other: Path) -> bool:
    return one.exists() and other.exists() and one.samefile(other)
