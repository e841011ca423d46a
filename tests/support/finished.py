"""A finished run's folder: real checkpoints of a real network that was not trained."""

import dataclasses
import json

import jax
import numpy as np

from faceemo import models
from faceemo.analysis import card
from faceemo.config import make_config
from faceemo.train.build_steps import build_optimizer, build_state
from faceemo.train.checkpoint.checkpoints import Checkpoints
from faceemo.train.checkpoint.progress import Progress
from faceemo.train.checkpoint.provenance import make_recipe
from faceemo.train.checkpoint.temperature import CALIBRATION
from faceemo.train.freezing import label_variables
from tests.support.train.tiny import make_splits

# With it some parameters and batch statistics train, and some are frozen.
ARG = "2,weights=none,image_size=32"


def write(workdir, arch="efficientnetb0", arg=ARG):
    """Writes the run, whose best epoch is the first of two, and returns its recipe."""
    config = make_config(arch, arg)
    splits = make_splits()
    model = models.build(config)
    shapes = model.shapes()
    rng = np.random.default_rng(7)

    def drawn(shape):
        return (rng.normal(size=shape.shape) / 20 + 0.5 * (len(shape.shape) == 1)).astype("f")

    first, second = jax.tree.map(drawn, shapes), jax.tree.map(drawn, shapes)
    recipe = make_recipe(config, model.preprocessing, {"source": "none", "sha256": None}, splits)
    variable_labels = label_variables(model, first)
    checkpoints = Checkpoints(workdir, recipe)
    checkpoints.save_frozen(first, variable_labels)
    optimizer = build_optimizer(config, 1e-3, model, variable_labels)
    state = build_state(config, first, optimizer, variable_labels)
    history = ()
    for step, variables, accuracy in ((3, first, 0.75), (6, second, 0.5)):
        state = dataclasses.replace(state, step=np.int32(step), **variables)
        history = (*history, {"epoch": step // 3, "validation/accuracy": accuracy})
        arrays = jax.tree.map(np.asarray, state)
        checkpoints.save(arrays, variable_labels, Progress(history), best=step == 3)
    fitted = {"temperature": 1.375, "best_epoch": 1}
    (workdir / CALIBRATION).write_text(json.dumps(fitted))
    (workdir / card.NAME).write_text("# the card\n")
    return recipe
