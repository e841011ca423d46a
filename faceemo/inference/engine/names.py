"""The engines that compute a network's logits, and the choice between them."""

import os

from faceemo.errors import UserError, suggestion

AUTO, JAX, ONNX = "auto", "jax", "onnx"
ENGINES = (AUTO, JAX, ONNX)
VARIABLE = "FACEEMO_ENGINE"  # what AUTO stands for, unless it is not set


def resolve(name: str) -> str:
    """Returns the engine that a name stands for, with $FACEEMO_ENGINE in the place of 'auto'.

    Raises:
        UserError: If there is no such engine.
    """
    given = os.environ.get(VARIABLE) or AUTO if name == AUTO else name
    if given not in ENGINES:
        raise UserError(
            expected=f"an engine: {', '.join(ENGINES)}",
            found=f"'{given}'{suggestion(given, ENGINES)}"
            + (f" in ${VARIABLE}" if name == AUTO else ""),
            fix="name one of these",
        )
    return given
