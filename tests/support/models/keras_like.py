"""Variables as a network's own initialisers draw them, by NumPy.

XLA takes up to half a minute to compile the program of `Model.init`.
"""

import jax
import numpy as np


def draw(model, seed):
    """Draws variables with the spreads of Keras's initialisers, float32."""
    rng = np.random.default_rng(seed)

    def draw_leaf(path, leaf):
        name = path[-1].key
        if not name.endswith("kernel"):
            return np.full(leaf.shape, name.endswith(("gamma", "variance")), np.float32)
        *sides, inputs, outputs = leaf.shape
        # EfficientNetB0 draws the kernels of its convolutions by their outputs alone.
        outputs_alone = model.arch == "efficientnetb0" and sides
        width = outputs if outputs_alone else inputs + outputs
        kernel = rng.standard_normal(leaf.shape, np.float32)
        return kernel * np.float32(np.sqrt(2 / (np.prod(sides, initial=1) * width)))

    return jax.tree_util.tree_map_with_path(draw_leaf, model.shapes())
