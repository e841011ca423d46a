"""Networks of random weights as files, for what only needs answers."""

import jax
import numpy as np

from faceemo import models
from faceemo.classes import CLASSES
from faceemo.config import make_config
from faceemo.train import stored
from faceemo.train.steps import make_eval_step
from tests.data.faces import face


def write(folder, arch="vgg16", **fields):
    """Writes a `stored.Stored` that tells faces apart, at 32 pixels; returns its path."""
    config = make_config(arch, "0,weights=none,image_size=32")
    model = models.build(config)  # in float32, whatever the fields say of activations
    config.update(fields)
    rng = np.random.default_rng(3)

    def drawn(leaf):  # what begins at 0 or 1 too: no two are alike
        if arch == "mobilenet" and leaf.ndim == 4:  # Keras's draw relies on the batches' statistics
            fan = np.prod(leaf.shape[:2] if leaf.shape[3] == 1 else leaf.shape[:3])
            leaf *= np.sqrt(2 / fan) / leaf.std()
        return np.array(leaf + (leaf.ndim == 1) * rng.normal(size=leaf.shape) / 50, np.float32)

    variables = jax.tree.map(drawn, model.init(3))
    last = variables["params"]["head"]["predictions"]
    last["kernel"] *= 30
    if arch == "mobilenet":  # what it finds in every face would hide how they differ
        faces = np.stack([face(n) for n in range(4)])
        step = jax.jit(make_eval_step(model, model.preprocessing))
        logits = step(variables["params"], variables["batch_stats"], faces)
        centre = np.asarray(logits).mean(0)
        last["kernel"] *= 5
        last["bias"] = 5 * (last["bias"] - centre)
    recipe = {
        "config": config.to_dict(),
        "classes": list(CLASSES),
        "preprocessing": model.preprocessing.to_dict(),
        "weights": {"source": "none", "sha256": None},
        "data": {"train": "no images", "validation": "no images"},
    }
    path = folder / stored.NAME
    stored.write(path, stored.Stored(variables, recipe, temperature=0.8, best_epoch=2))
    return path
