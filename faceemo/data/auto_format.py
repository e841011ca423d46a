"""The automatic format of images: that of the source, as far as the network can see it."""

from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from faceemo.config.field_words import spell
from faceemo.config.image_format import GREY, RGB, ImageFormat, list_automatic

_USUAL_SIZE = 48  # of drawn faces, and where no image can be read
_SMALLEST = 8  # pixels


def find(config: ConfigDict, root: Path) -> tuple[ImageFormat, str]:
    """Finds the format that a configuration's images get, by a sample of the source's images.

    Args:
        config: The configuration, with automatic values or without.
        root: Folder of its dataset.

    Returns:
        The format, and a sentence with its reason; '' if no value is automatic.

    Raises:
        UserError: If there is no source, or its layout is unknown.
    """
    if not list_automatic(config):
        return ImageFormat.from_config(config), ""
    if config.dataset == "sample":
        return _complete(config, _USUAL_SIZE, GREY), "faceemo draws faces of 48 grey pixels"
    # Pillow and the sources take a while to import
    from faceemo.data.prepare.record import Record
    from faceemo.data.source import sources
    from faceemo.data.source.sampled_images import sample_images
    from faceemo.data.source.selection import Selection

    selection = Selection.from_config(config)
    within = bool(Record(root).inputs("unpack").get("within"))
    source = sources.find(root, selection.source, from_within=within)
    found = sample_images(source, sorted(source.layout(selection.known_names).destinations))
    reason = (
        f"of {found.decoded:,} images of {source.path}, {found.coloured:,} show colour; the median "
        f"shorter side is {found.side:,} pixels, and the network sees {config.image_size}"
    )
    side = max(_SMALLEST, found.side) if found.side else _USUAL_SIZE
    return _complete(config, side, RGB if found.in_colour else GREY), reason


def _complete(config: ConfigDict, size: int, channels: str) -> ImageFormat:
    """Makes the format of a configuration, with these values in the place of automatic ones."""
    automatic = list_automatic(config)
    return ImageFormat(
        min(size, config.image_size) if "native_size" in automatic else config.native_size,
        channels if "channels" in automatic else config.channels,
    )


def describe(config: ConfigDict, form: ImageFormat, reason: str) -> str:
    """Describes the format that replaces automatic values, with its reason."""
    fields = " ".join(spell(name, _fields(form)[name]) for name in list_automatic(config))
    return f"automatic   {fields}: {reason}"


def replace(config: ConfigDict, form: ImageFormat) -> ConfigDict:
    """Returns a configuration with a format in the place of automatic values."""
    replaced = config.copy_and_resolve_references()
    replaced.update(_fields(form))
    return replaced


def _fields(form: ImageFormat) -> dict[str, Any]:
    return {"native_size": form.size, "channels": form.channels}
