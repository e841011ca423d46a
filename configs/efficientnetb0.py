"""EfficientNetB0 in its 12 variants and a recipe beyond them.

python -m faceemo.main --config configs/efficientnetb0.py:7
python -m faceemo.main --config configs/efficientnetb0.py:best
"""

from faceemo.config import make_config
from faceemo.errors import reported


def get_config(arg=None):
    """The variant that `arg` names; see `faceemo.config.make_config`."""
    with reported():
        return make_config("efficientnetb0", arg)
