"""The choice of what runs the face detector: onnxruntime where it is installed, or OpenCV."""

import functools
import logging

from faceemo.data.measure.face_detector import find_opencv_network
from faceemo.data.measure.network import MakeNetwork
from faceemo.inference.detector.onnx_network import share_network
from faceemo.inference.engine.names import JAX, ONNX, resolve
from faceemo.inference.engine.sessions import is_installed

_LOG = logging.getLogger("faceemo")


def choose(engine: str) -> MakeNetwork:
    """Returns what makes the detector's networks.

    Args:
        engine: One of `names.ENGINES`. 'auto' takes onnxruntime if it is installed and works, 'jax'
            takes OpenCV.

    Raises:
        UserError: If the detector's files can be neither found nor downloaded; if onnxruntime is
            demanded and not installed.
    """
    requested = resolve(engine)
    if requested == JAX or (requested != ONNX and not is_installed()):
        return find_opencv_network()
    try:
        share_network()
    except Exception as error:  # onnxruntime raises its own
        if requested == ONNX:
            raise
        found = find_opencv_network()  # which says whether files are missing
        _warn(f"{type(error).__name__}: {str(error).partition(chr(10))[0]}")
        return found
    return share_network


@functools.cache
def _warn(problem: str) -> None:
    """Logs a warning, once in a process."""
    _LOG.warning("faces are searched for with OpenCV, not with onnxruntime: %s", problem)
