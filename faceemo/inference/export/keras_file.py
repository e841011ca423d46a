"""Export as a model of Keras: keras.applications' own layers, filled with the trained weights.

    model = keras.models.load_model("model.h5")
    probabilities = model(faces)  # uint8 [N, S, S, 1] -> float32 [N, C]

Layers and weights have Keras's names, so that
`keras.applications.VGG16(include_top=False).load_weights("model.h5", by_name=True)` takes the
backbone alone.
"""

import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from flax import traverse_util

from faceemo.errors import UserError
from faceemo.train.checkpoint.trained_model import TrainedModel

_MAKERS = {
    "vgg16": "VGG16",
    "resnet50v2": "ResNet50V2",
    "efficientnetb0": "EfficientNetB0",
    "mobilenet": "MobileNet",
}


def write(trained: TrainedModel, path: Path) -> None:
    """Writes the model with preprocessing and temperature inside, for any number of images.

    Raises:
        UserError: if Keras is not installed.
    """
    model = model_of(trained)
    with warnings.catch_warnings():
        # Keras prefers its own zip format; HDF5 is what the official weights come in.
        warnings.filterwarnings("ignore", message=".*legacy.*")
        model.save(path)


def model_of(trained: TrainedModel) -> Any:
    """The model of Keras, trained; what Keras itself remembers of others is cleared.

    Raises:
        UserError: if Keras is not installed.
    """
    # Some layers get their names by a count of all that this process ever made, and names are how
    # weights are found, here and by whoever loads the file.
    _keras().utils.clear_session()
    model = _build(trained)
    _fill(model, trained.variables)
    return model


def reader(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """The file's function, run by Keras, called as above."""
    model = _keras().models.load_model(path, compile=False)
    return lambda images: np.asarray(model(images[..., None]))


def _build(trained: TrainedModel) -> Any:
    """The untrained model, from pixels to probabilities."""
    keras = _keras()
    config, spec = trained.config, trained.preprocessing
    pixels = keras.Input((config.native_size, config.native_size, 1), dtype="uint8", name="face")
    size = (config.image_size, config.image_size)
    grey = keras.layers.Rescaling(1.0, name="as_float")(pixels)
    # Half-pixel centres, as `faceemo.data.augment.augment.enlarge`. Its default is to be in
    # training, which a call that does not say would hand on to every BatchNorm.
    enlarge = keras.layers.Resizing(*size, interpolation="bilinear", name="enlarge")
    grey = enlarge(grey, training=False)
    # Grey, so that red and blue may change places.
    colour = keras.layers.Concatenate(name="grey_thrice")([grey] * 3)
    inputs = keras.layers.Rescaling(
        spec.scale, offset=[-value for value in spec.mean], name="preprocess"
    )(colour)
    make = getattr(keras.applications, _MAKERS[config.arch])
    hidden = make(include_top=False, weights=None, input_tensor=inputs).output
    head = trained.model.head
    pooling = {
        "flatten": keras.layers.Flatten(name="flatten"),
        "average": keras.layers.GlobalAveragePooling2D(name="average"),
    }[head.pooling]
    hidden = pooling(hidden)
    for name, width in head.dense:
        hidden = keras.layers.Dense(width, activation="relu", name=name)(hidden)
    logits = keras.layers.Dense(len(trained.classes), name="predictions")(hidden)
    cooled = keras.layers.Rescaling(1 / trained.temperature, name="temperature")(logits)
    return keras.Model(pixels, keras.layers.Softmax(name="probabilities")(cooled))


def _fill(model: Any, variables: dict[str, Any]) -> None:
    """Puts every leaf into the weight of its name; all of both must be used."""
    leaves: dict[str, Any] = {}
    for collection in variables.values():
        for part in collection.values():
            leaves |= traverse_util.flatten_dict(part, sep="/")
    for layer in model.layers:
        for weight in layer.weights:
            weight.assign(np.asarray(leaves.pop(f"{layer.name}/{weight.name}")))
        if hasattr(layer, "finalize_state"):  # a normalisation keeps what it computes with apart
            layer.finalize_state()
    if leaves:
        raise ValueError(f"Keras has no place for {', '.join(sorted(leaves))}")


def _keras() -> Any:
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        import keras
    except ImportError as error:
        raise UserError(
            expected="Keras, which writes and checks its own files",
            found=str(error),
            fix="pip install 'keras>=3' tensorflow",
        ) from error
    return keras
