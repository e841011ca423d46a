"""The 12 variants of EfficientNetB0: `--config configs/efficientnetb0.py:7`."""

from faceemo.config import make_config
from faceemo.errors import reported


def get_config(arg=None):
    """The variant that `arg` names; see `faceemo.config.make_config`."""
    with reported():
        return make_config("efficientnetb0", arg)
