"""EfficientNetB0 in its 12 variants: `python -m faceemo.main --config configs/efficientnetb0.py:7`."""

from faceemo.config import make_config


def get_config(arg=None):
    """The variant that `arg` names; see `faceemo.config.make_config`."""
    return make_config("efficientnetb0", arg)
