"""Converts weight files to faceemo's own format, with a report on their content."""

from pathlib import Path
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from faceemo.config import make_config
from faceemo.errors import UserError
from faceemo.models import Model, build, load_weights, locate_arrays
from faceemo.models.preprocessing import Preprocessing, preprocess
from faceemo.models.weights import npz

# Side of the checksum's images: twice the total stride, so that the features have 2x2 positions.
_SIDE = 64


def convert(arch: str, weights: str, out: Path | None = None) -> str:
    """Loads the weights of a backbone, strictly, and describes them.

    Args:
        arch: Name of the backbone.
        weights: Name of weights or path of a file, see `faceemo.models.load_weights`.
        out: Path of the .npz file to write; None writes nothing.

    Returns:
        A line for each array (name, shape, name in the file), the file's sha256, the preprocessing,
        and a checksum of the features of two fixed images.

    Raises:
        UserError: If the weights cannot be fetched or are not exactly this backbone's, or `out`
            does not end in .npz.
    """
    if out is not None and out.suffix != npz.SUFFIX:
        raise UserError(
            expected=f"an output file that ends in {npz.SUFFIX}",
            found=str(out),
            fix="change --out",
        )
    model = build(make_config(arch, f"0,weights=none,image_size={_SIDE}"))
    variables, preprocessing, source = load_weights(model, model.init(0), weights)
    arrays: dict[str, Any] = {}
    for collection in variables.values():
        arrays |= cast(
            dict[str, Any], traverse_util.flatten_dict(collection.get("backbone", {}), sep="/")
        )
    names_in_file = locate_arrays(model, variables, weights)
    lines = [
        f"{name:<40}{'x'.join(map(str, array.shape)):>16}  {names_in_file.get(name, '')}".rstrip()
        for name, array in arrays.items()
    ]
    total = sum(array.size for array in arrays.values())
    lines += [
        f"{len(arrays)} arrays, {total:,} numbers: all that {arch} has, and no others",
        f"source         {source['source']}",
        f"sha256         {source['sha256']}",
        f"preprocessing  {preprocessing}",
        f"checksum       {compute_checksum(model, variables, preprocessing)}",
    ]
    if out is not None:
        leaves = {name: np.asarray(array) for name, array in arrays.items()}
        npz.write(out, arch, leaves, preprocessing, source.get("trained"))
        lines.append(f"written        {out}")
    return "\n".join(lines)


def compute_checksum(model: Model, variables: dict[str, Any], preprocessing: Preprocessing) -> str:
    """Computes mean and root mean square of the features of two fixed images.

    Weights with the same checksum compute the same features; its four digits allow for the
    rounding of other processors.
    """
    ramp = np.linspace(0, 255, model.image_size)
    images = np.stack([np.add.outer(ramp, ramp) / 2, np.hypot(*np.meshgrid(ramp, ramp)) / 1.5])
    inputs = preprocess(jnp.asarray(np.clip(images, 0, 255), jnp.float32), preprocessing)
    # Compiled as one program: compiling each operation alone takes longer.
    compute_features = jax.jit(model.features)
    features, _ = compute_features(variables["params"], variables["batch_stats"], inputs)
    values = np.asarray(features, np.float64)
    return f"mean {values.mean():.4g}, root mean square {np.sqrt((values**2).mean()):.4g}"
