"""Program that writes Keras's own results and weight files, with which the tests compare.

python keras_oracle.py FOLDER HED_FILE

Every weight is random, so that a skipped or swapped one shows. Nothing of faceemo is used.
"""

import os
import sys
from pathlib import Path

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"

import h5py
import keras
import numpy as np
from keras import layers

RNG = np.random.default_rng(1991921)


def randomise(model: keras.Model) -> None:
    """Draws kernels at He's scale, so that activations stay of order one, and nonzero biases."""
    model.set_weights(
        [
            RNG.normal(0, np.sqrt(2 / np.prod(w.shape[:-1])) if len(w.shape) > 1 else 0.3, w.shape)
            for w in model.weights
        ]
    )


def name_weights(prefix: str, model: keras.Model) -> dict[str, np.ndarray]:
    """Returns every weight by 'prefix/layer/weight'."""
    return {
        "/".join([prefix, *weight.path.split("/")[-2:]]): weight.numpy() for weight in model.weights
    }


def make_vgg16(size: int | None = None) -> keras.Model:
    return keras.applications.VGG16(
        include_top=False, weights=None, input_shape=(size, size, 3), name="vgg16"
    )


def make_head(extra_dense: bool) -> list[layers.Layer]:
    names = ["fc1", "fc2", *(["fc_extra"] if extra_dense else [])]
    dense = [layers.Dense(4096, activation="relu", name=name) for name in names]
    return [layers.Flatten(), *dense, layers.Dense(4, name="predictions")]


def make_images(size: int) -> np.ndarray:
    """Draws preprocessed images: uniform in 0..255 minus a mean."""
    return RNG.uniform(-124, 152, (3, size, size, 3)).astype(np.float32)


def main(folder: Path, hed: Path) -> None:
    results = {}

    backbone = make_vgg16()
    randomise(backbone)
    backbone.save(folder / "backbone.h5")
    backbone.save_weights(folder / "backbone.weights.h5")
    results |= name_weights("backbone", backbone)
    for size in (32, 48, 75, 224):
        results[f"inputs{size}"] = make_images(size)
        results[f"features{size}"] = backbone.predict(results[f"inputs{size}"], verbose=0)

    # The layers side by side, in the legacy layout ...
    base = make_vgg16(48)
    hidden = base.output
    for layer in make_head(extra_dense=True):
        hidden = layer(hidden)
    whole = keras.Model(base.input, hidden)
    randomise(whole)
    whole.save(folder / "whole48.h5")
    results["logits48"] = whole.predict(results["inputs48"], verbose=0)

    # ... and a model inside a model, in both.
    whole = keras.Sequential(
        [layers.Input((75, 75, 3)), make_vgg16(75), *make_head(extra_dense=False)]
    )
    randomise(whole)
    whole.save_weights(folder / "whole75.weights.h5")
    whole.save(folder / "whole75.h5")
    results["logits75"] = whole.predict(results["inputs75"], verbose=0)

    with h5py.File(hed) as file:
        arrays = [
            file[f"block{block}/layers/conv2d{'' if i == 0 else f'_{i}'}/vars/{number}"][()]
            for block, count in enumerate((2, 2, 3, 3, 3), start=1)
            for i in range(count)
            for number in range(2)
        ]
    backbone.set_weights(arrays)
    results["features_hed"] = backbone.predict(results["inputs48"], verbose=0)

    # More than ten layers of a class, and a trained model's other state beside the weights.
    small = keras.Sequential(
        [
            layers.Input((8, 8, 3)),
            *[layers.Conv2D(i + 2, 3, padding="same", name=f"c{i}") for i in range(12)],
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(2, name="last"),
        ]
    )
    randomise(small)
    small.compile("adam", "mse", metrics=["mae"])
    small.fit(np.ones((2, 8, 8, 3)), np.ones((2, 2)), verbose=0)
    small.save(folder / "small.h5")
    small.save_weights(folder / "small.weights.h5")
    results |= name_weights("small", small)

    np.savez(folder / "results.npz", **results)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
