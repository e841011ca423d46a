"""The format in which images are stored for a network: their side, and grey or in colour."""

from collections.abc import Mapping
from typing import Any, NamedTuple, Self

GREY, RGB, AUTO = "grey", "rgb", "auto"
CHANNELS = (GREY, RGB, AUTO)
# Values that stand for those of the source's images, see `faceemo.data.auto_format`.
AUTOMATIC: dict[str, Any] = {"native_size": 0, "channels": AUTO}


class ImageFormat(NamedTuple):
    """Side and channels of images.

    Attributes:
        size: Side, in pixels.
        channels: `GREY` or `RGB`.
    """

    size: int
    channels: str = GREY

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Takes the format from a configuration whose fields have no automatic value.

        Raises:
            ValueError: If a field has one, so that its value is not known yet.
        """
        if fields := list_automatic(config):
            raise ValueError(f"the automatic value of {' and '.join(fields)} was not replaced")
        return cls(config["native_size"], config["channels"])

    @property
    def in_colour(self) -> bool:
        """Whether images have three channels."""
        return self.channels == RGB

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one image: [S, S] in grey, [S, S, 3] in colour."""
        return (self.size, self.size, 3) if self.in_colour else (self.size, self.size)

    def __str__(self) -> str:
        return f"{self.size}x{self.size} {'RGB' if self.in_colour else 'grey'} pixels"


def list_automatic(config: Mapping[str, Any]) -> list[str]:
    """Returns the fields of a configuration that have an automatic value."""
    return [name for name, value in AUTOMATIC.items() if config[name] == value]
