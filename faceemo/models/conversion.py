"""From somebody's file of weights to a report on it, and to a file of our own."""

from pathlib import Path
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from faceemo.config import make_config
from faceemo.errors import UserError
from faceemo.models import Model, build, load_weights, places
from faceemo.models.preprocessing import Preprocessing, preprocess
from faceemo.models.weights import npz

# Side of the picture that the checksum is of: the smallest that every stride divides but once.
_SIDE = 64


def convert(arch: str, weights: str, out: Path | None = None) -> str:
    """Loads the weights of a backbone, strictly, and says what they are.

    Args:
        arch: name of the backbone.
        weights: as of `faceemo.models.load_weights`.
        out: where to write them as .npz; None writes nothing.

    Returns:
        a line per array (name, shape, where it stood), the file's sha256, the preprocessing, and a
        checksum of the features of one fixed picture.

    Raises:
        UserError: if the weights cannot be had or are not exactly this backbone's, or `out` is no
            .npz.
    """
    if out is not None and out.suffix != npz.SUFFIX:
        raise UserError(
            expected=f"a file ending in {npz.SUFFIX} to write",
            found=str(out),
            fix="change --out",
        )
    model = build(make_config(arch, f"0,weights=none,image_size={_SIDE}"))
    variables, spec, source = load_weights(model, model.init(0), weights)
    arrays: dict[str, Any] = {}
    for collection in variables.values():
        arrays |= cast(
            dict[str, Any], traverse_util.flatten_dict(collection.get("backbone", {}), sep="/")
        )
    where = places(model, variables, weights)
    lines = [
        f"{name:<40}{'x'.join(map(str, array.shape)):>16}  {where.get(name, '')}".rstrip()
        for name, array in arrays.items()
    ]
    total = sum(array.size for array in arrays.values())
    lines += [
        f"{len(arrays)} arrays, {total:,} numbers: every one that {arch} has, and no other",
        f"source         {source['source']}",
        f"sha256         {source['sha256']}",
        f"preprocessing  {spec}",
        f"checksum       {checksum(model, variables, spec)}",
    ]
    if out is not None:
        leaves = {name: np.asarray(array) for name, array in arrays.items()}
        npz.write(out, arch, leaves, spec, source.get("trained"))
        lines.append(f"written        {out}")
    return "\n".join(lines)


def checksum(model: Model, variables: dict[str, Any], spec: Preprocessing) -> str:
    """Mean and root mean square of the features of a fixed picture, to four digits.

    Two files with the same checksum compute the same; the digits leave room for other processors.
    """
    ramp = np.linspace(0, 255, model.image_size)
    picture = np.stack([np.add.outer(ramp, ramp) / 2, np.hypot(*np.meshgrid(ramp, ramp)) / 1.5])
    inputs = preprocess(jnp.asarray(np.clip(picture, 0, 255), jnp.float32), spec)
    # One program: operation by operation, each would be compiled alone, which takes longer.
    see = jax.jit(model.features)
    features, _ = see(variables["params"], variables["batch_stats"], inputs)
    values = np.asarray(features, np.float64)
    return f"mean {values.mean():.4g}, root mean square {np.sqrt((values**2).mean()):.4g}"
