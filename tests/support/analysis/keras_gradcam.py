"""Computes Grad-CAM with Keras and TensorFlow's GradientTape, as a reference for the test.

python keras_gradcam.py RESULTS.npz

The network is VGG16 at 64 pixels with its head and random weights. Nothing of faceemo is used.
"""

import os
import sys

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"

import keras
import numpy as np
import tensorflow as tf
from keras import layers

RNG = np.random.default_rng(1991921)
SIDE, COUNT = 64, 5
MEAN = (103.939, 116.779, 123.68)  # blue, green, red


def main(results: str) -> None:
    backbone = keras.applications.VGG16(
        include_top=False, weights=None, input_shape=(SIDE, SIDE, 3)
    )
    hidden = layers.Flatten()(backbone.output)
    for name in ("fc1", "fc2"):
        hidden = layers.Dense(4096, activation="relu", name=name)(hidden)
    logits = layers.Dense(4, name="predictions")(hidden)
    last_map = backbone.get_layer("block5_conv3").output
    model = keras.Model(backbone.input, [last_map, logits])
    for weight in model.weights:
        shape = weight.shape
        scale = np.sqrt(2 / np.prod(shape[:-1])) if len(shape) > 1 else 0.1
        weight.assign(RNG.normal(0, scale, shape))
    stored = {"/".join(w.path.split("/")[-2:]): w.numpy() for w in model.weights}

    images = RNG.integers(0, 256, (COUNT, SIDE, SIDE), dtype=np.uint8)
    classes = np.array([0, 1, 2, 3, 0])
    inputs = images[..., None].astype(np.float32) - np.array(MEAN, np.float32)
    with tf.GradientTape() as tape:
        feature_map, logits = model(inputs, training=False)
        tape.watch(feature_map)
        # computed again from the map, because the tape records nothing from before `watch`
        tail = backbone.get_layer("block5_pool")(feature_map)
        tail = tf.reshape(tail, (COUNT, -1))
        for name in ("fc1", "fc2", "predictions"):
            tail = model.get_layer(name)(tail)
        chosen = tf.reduce_sum(tf.gather(tail, classes, batch_dims=1))
    np.testing.assert_allclose(tail, logits, rtol=1e-4, atol=1e-4)
    gradient = tape.gradient(chosen, feature_map).numpy().astype(np.float64)
    weights = gradient.mean(axis=(1, 2))
    heat = np.maximum((feature_map.numpy() * weights[:, None, None]).sum(axis=-1), 0)
    np.savez(results, images=images, classes=classes, heat=heat, **stored)


if __name__ == "__main__":
    main(sys.argv[1])
