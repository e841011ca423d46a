"""Removes the folders of the machine on which a network trained from what is exported of it."""

import re
from pathlib import PurePosixPath
from typing import Any

_ABSOLUTE = re.compile(r"/|~/|[A-Za-z]:[/\\]|\\\\")  # the beginnings, also those of Windows


def shorten_paths(value: Any) -> Any:
    """Shortens the absolute paths in a recipe to the file's name and that of its folder.

    Args:
        value: A text, also of several paths joined by '+', or JSON that holds such texts.
    """
    if isinstance(value, dict):
        return {key: shorten_paths(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [shorten_paths(one) for one in value]
    if not isinstance(value, str):
        return value
    return "+".join(map(_shorten, value.split("+")))


def remove_places(config: dict[str, Any]) -> dict[str, Any]:
    """Returns a configuration without the places of its data, and with plain names of files."""
    data = {"data_dir", "source", "votes"}
    kept = {name: value for name, value in config.items() if name not in data}
    for name in kept.keys() & {"weights", "teacher"}:
        kept[name] = "+".join(
            text.replace("\\", "/").rpartition("/")[2] for text in kept[name].split("+")
        )
    return kept


def _shorten(path: str) -> str:
    if not _ABSOLUTE.match(path):
        return path
    parts = PurePosixPath(path.replace("\\", "/")).parts[1:]
    return "/".join(parts[-2:]) or path
