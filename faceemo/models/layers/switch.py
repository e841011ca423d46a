"""What the optional libraries of the layers share: a switch, and that they are for CPUs."""

import os

import jax

from faceemo.errors import UserError


def find_obstacle(switch: str, without: str) -> str | None:
    """Returns why an optional library is not to be used here, or None if nothing speaks against it.

    Args:
        switch: Name of the environment variable that turns the library off if it is 0.
        without: What computes in its place, for the message, such as "XLA's convolutions".

    Raises:
        UserError: If the variable has another value than 0 or 1.
    """
    value = os.environ.get(switch, "1")
    if value not in ("0", "1"):
        raise UserError(
            expected=f"the environment variable {switch} to be 0 or 1",
            found=f"{switch}={value}",
            fix=f"set {switch}=0 for {without}, or leave it unset",
        )
    if value == "0":
        return f"{switch} is 0"
    if (backend := jax.default_backend()) != "cpu":
        return f"it is for CPUs, and JAX uses the {backend}"
    return None
