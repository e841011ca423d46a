"""MobileNet in its 12 variants and a recipe beyond them.

python -m faceemo.main --config configs/mobilenet.py:7
python -m faceemo.main --config configs/mobilenet.py:best
"""

from faceemo.config import make_config
from faceemo.errors import reported


def get_config(arg=None):
    """The variant that `arg` names; see `faceemo.config.make_config`."""
    with reported():
        return make_config("mobilenet", arg)
