"""Shortens names and paths for tables and captions."""

from collections.abc import Sequence


def shorten(text: str, length: int) -> str:
    """Returns `text` with its middle cut out if it is longer than `length` characters."""
    if len(text) <= length:
        return text
    head = (length - 1) // 2
    return f"{text[:head]}…{text[len(text) - (length - 1 - head) :]}"


def split_common_folder(paths: Sequence[str]) -> tuple[str, list[str]]:
    """Splits paths into their common folder ('' if they have none) and the remaining names."""
    parents = {path.rpartition("/")[0] for path in paths}
    folder = parents.pop() if len(parents) == 1 else ""
    return folder, [path[len(folder) + 1 :] if folder else path for path in paths]
