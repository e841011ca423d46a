"""Files of networks with random weights, for tests that need no trained ones."""

import hashlib
import os
import pickle
from pathlib import Path

import filelock
import jax
import numpy as np

from faceemo import models, staging
from faceemo.config import CLASSES, make_config
from faceemo.models.layers.layers import Mode
from faceemo.train.checkpoint.trained_model import NAME, TrainedModel
from faceemo.train.eval_step import plain_inputs
from tests.support.data.faces import face
from tests.support.models import keras_like
from tests.support.places import SHARED


def write(folder, arch="vgg16", **fields):
    """Writes a `TrainedModel` at 32 pixels whose predictions differ between faces.

    Args:
        folder: The folder for the file.
        arch: The backbone.
        **fields: Other values of the configuration; of those that make another network, `width`
            alone counts.

    Returns:
        The path of the file.
    """
    width = fields.get("width", 1.0)
    config = make_config(arch, f"0,weights=none,image_size=32,width={width}")
    model = models.build(config)  # in float32, whatever dtype the fields name
    config.update(fields)
    variables = _draw_once(model)
    recipe = {
        "config": config.to_dict(),
        "classes": list(CLASSES),
        "preprocessing": model.preprocessing.to_dict(),
        "weights": {"source": "none", "sha256": None},
        "data": {"train": "no images", "validation": "no images"},
    }
    path = folder / NAME
    TrainedModel(model, variables, recipe, temperature=0.8, best_epoch=2).save(path)
    return path


def _draw_once(model):
    """Draws the variables, or reads those that another test or process drew."""
    shapes = jax.tree.map(lambda leaf: leaf.shape, model.shapes())  # of a narrow head, others
    digest = hashlib.sha256(f"{model.arch} {shapes}".encode()).hexdigest()
    path = Path(os.environ[SHARED], "networks", digest)
    path.parent.mkdir(exist_ok=True)
    with filelock.FileLock(f"{path}.lock"):
        if not path.exists():
            with staging.file(path) as partial:
                partial.write_bytes(pickle.dumps(_draw(model)))
    return pickle.loads(path.read_bytes())


def _draw(model):
    rng = np.random.default_rng(3)

    def perturb(leaf):  # so that vectors that begin at 0 or 1 differ too
        return np.array(leaf + (leaf.ndim == 1) * rng.normal(size=leaf.shape) / 50, np.float32)

    variables = jax.tree.map(perturb, keras_like.draw(model, 3))
    last = variables["params"]["head"]["predictions"]
    last["kernel"] *= 30
    if model.arch in ("mobilenet", "efficientnetb0"):  # otherwise their features would not differ
        _normalize(model, variables)
    return jax.tree.map(np.asarray, variables)


def _normalize(model, variables):
    """Gives the BatchNorms the statistics of some faces, and the logits a mean of 0 over them."""
    faces = np.stack([face(n) for n in range(16)])
    width = getattr(model.backbone, "width", 1.0)
    text = f"9,weights=none,image_size={model.image_size},width={width}"
    whole = models.build(make_config(model.arch, text))

    @jax.jit
    def run(params, statistics):
        inputs = plain_inputs(faces, model, model.preprocessing)
        features, moved = whole.features(params, statistics, inputs, Mode(whole.trained))
        return whole.logits(params, features), moved

    logits, moved = run(variables["params"], variables["batch_stats"])
    # In one step the statistics move by a hundredth of the way to the faces' own.
    variables["batch_stats"] = jax.tree.map(
        lambda before, after: np.asarray(before + 100 * (after - before)),
        variables["batch_stats"],
        moved,
    )
    last = variables["params"]["head"]["predictions"]
    factor = 0.5 / np.asarray(logits).std(0).mean()
    last["kernel"] *= factor
    last["bias"] = factor * (last["bias"] - np.asarray(logits).mean(0))
