"""Program that writes Keras's results for single pieces: BatchNorm, Adam, preprocessing.

python keras_pieces.py FOLDER

It takes seconds where `keras_networks.py` takes most of a minute.
"""

import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

RNG = np.random.default_rng(21)


def compute_batch_norm() -> dict[str, np.ndarray]:
    """Computes a layer in training, with gradients, for inputs far from 0."""
    inputs = RNG.normal(50, 1, (6, 5, 4, 3)).astype(np.float32)
    cotangent = RNG.normal(0, 1, inputs.shape).astype(np.float32)
    layer = layers.BatchNormalization(epsilon=1.001e-5)
    layer.build(inputs.shape)
    for weight in layer.weights:
        weight.assign(RNG.uniform(0.3, 1.5, weight.shape))
    results = {f"batch_norm/{weight.name}": weight.numpy() for weight in layer.weights}
    results["batch_norm/inference"] = layer(inputs).numpy()
    watched = tf.constant(inputs)
    with tf.GradientTape() as tape:
        tape.watch(watched)
        outputs = layer(watched, training=True)
        total = tf.reduce_sum(outputs * cotangent)
    gradients: Any = tape.gradient(total, [watched, layer.gamma.value, layer.beta.value])
    results |= {"batch_norm/inputs": inputs, "batch_norm/cotangent": cotangent}
    results["batch_norm/outputs"] = outputs.numpy()
    results["batch_norm/moved_mean"] = layer.moving_mean.numpy()
    results["batch_norm/moved_variance"] = layer.moving_variance.numpy()
    for name, gradient in zip(("inputs", "gamma", "beta"), gradients, strict=True):
        results[f"batch_norm/gradient/{name}"] = gradient.numpy()
    return results


def compute_preprocessing() -> dict[str, np.ndarray]:
    """Preprocesses colour images as each family of networks does."""
    pixels = RNG.uniform(0, 255, (2, 5, 7, 3)).astype(np.float32)
    results = {"pixels": pixels}
    for name in ("vgg16", "resnet_v2", "efficientnet"):
        module = getattr(keras.applications, name)
        results[f"preprocessed/{name}"] = module.preprocess_input(pixels.copy())
    return results


def compute_adam() -> dict[str, np.ndarray]:
    """Computes five steps with gradients from far below Adam's epsilon to far above."""
    gradients = RNG.normal(0, 1, (5, 40)) * np.logspace(-10, 2, 40)
    variable = keras.Variable(np.ones(40), dtype="float64")
    optimizer, after = keras.optimizers.Adam(1e-3), []
    for gradient in gradients:
        optimizer.apply([keras.ops.convert_to_tensor(gradient, "float64")], [variable])
        after.append(variable.numpy())
    return {"adam/gradients": gradients, "adam/after": np.array(after)}


def read_drop_rates() -> dict[str, np.ndarray]:
    """Returns the drop rates of EfficientNetB0's residual branches."""
    base = keras.applications.EfficientNetB0(include_top=False, weights=None)
    drops = [layer for layer in base.layers if isinstance(layer, layers.Dropout)]
    return {f"drop_rates/{layer.name}": np.array(layer.rate) for layer in drops}


def main(folder: Path) -> None:
    results = compute_batch_norm() | compute_preprocessing() | read_drop_rates()
    keras.config.set_floatx("float64")
    results |= compute_adam()
    np.savez(folder / "results.npz", **results)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
