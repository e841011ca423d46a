"""Export as a Keras model: the layers of keras.applications with the trained weights.

    model = keras.models.load_model("model.h5")  # or model.keras
    probabilities = model(faces)  # uint8 [N, S, S, 1 or 3] -> float32 [N, C]

Layers and weights have Keras's names, so that
`keras.applications.VGG16(include_top=False).load_weights("model.h5", by_name=True)` takes the
backbone alone. That is HDF5, the format of the official weights; `.keras` is Keras's own, a zip.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from flax import traverse_util

from faceemo.errors import missing_packages
from faceemo.inference.export.quiet import quiet
from faceemo.train.checkpoint.trained_model import TrainedModel

_CONSTRUCTORS = {
    "vgg16": "VGG16",
    "resnet50v2": "ResNet50V2",
    "efficientnetb0": "EfficientNetB0",
    "mobilenet": "MobileNet",
}


@quiet()
def write(trained: TrainedModel, path: Path) -> None:
    """Writes the model with preprocessing and temperature inside, for any number of images.

    Args:
        trained: The network.
        path: The file; its suffix, '.h5' or '.keras', decides the format.

    Raises:
        UserError: If Keras is not installed.
    """
    build_model(trained).save(path)


def build_model(trained: TrainedModel) -> Any:
    """Builds the Keras model with the trained weights, and clears Keras's global state.

    Raises:
        UserError: If Keras is not installed.
    """
    # Some layers are numbered in the order of their creation in this process, and weights are found
    # by these names, here and by users of the file.
    _import_keras().utils.clear_session()
    model = _build_untrained(trained)
    _fill(model, trained.variables)
    return model


@quiet()
def load(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """Loads the file's function, which Keras runs."""
    model = _import_keras().models.load_model(path, compile=False)
    return lambda images: np.asarray(model(add_channel(images)))


def add_channel(images: np.ndarray) -> np.ndarray:
    """Adds the axis of channels to grey images [N, S, S]; those in colour stay [N, S, S, 3]."""
    return images[..., None] if images.ndim == 3 else images


def _build_untrained(trained: TrainedModel) -> Any:
    """Builds the untrained model, from pixels to probabilities."""
    keras = _import_keras()
    config, spec = trained.config, trained.preprocessing
    form = trained.image_format
    channels = 3 if form.in_colour else 1
    pixels = keras.Input((form.size, form.size, channels), dtype="uint8", name="faces")
    size = (config.image_size, config.image_size)
    floats = keras.layers.Rescaling(1.0, name="as_float")(pixels)
    # Half-pixel centres, as `faceemo.data.augment.augment.enlarge`. By default the layer is in
    # training mode, and a call without `training` would pass that on to every BatchNorm.
    enlarge = keras.layers.Resizing(*size, interpolation="bilinear", name="enlarge")
    enlarged = enlarge(floats, training=False)
    if not form.in_colour:  # the channels are equal, so `reverse_channels` needs no layer
        colour = keras.layers.Concatenate(name="grey_thrice")([enlarged] * 3)
    elif spec.reverse_channels:
        # A convolution by a permutation: HDF5 cannot load the layer that `keras.ops.flip` makes.
        reverse = keras.layers.Conv2D(3, 1, use_bias=False, name="reverse_channels")
        colour = reverse(enlarged)
    else:
        colour = enlarged
    inputs = keras.layers.Rescaling(
        spec.scale, offset=[-value for value in spec.mean], name="preprocess"
    )(colour)
    make_backbone = getattr(keras.applications, _CONSTRUCTORS[config.arch])
    width = {} if config.width == 1 else {"alpha": config.width}
    hidden = make_backbone(include_top=False, weights=None, input_tensor=inputs, **width).output
    head = trained.model.head
    pooling = {
        "flatten": keras.layers.Flatten(name="flatten"),
        "average": keras.layers.GlobalAveragePooling2D(name="average"),
    }[head.pooling]
    hidden = pooling(hidden)
    for name, width in head.dense:
        hidden = keras.layers.Dense(width, activation="relu", name=name)(hidden)
    logits = keras.layers.Dense(len(trained.classes), name="predictions")(hidden)
    scaled = keras.layers.Rescaling(1 / trained.temperature, name="temperature")(logits)
    return keras.Model(pixels, keras.layers.Softmax(name="probabilities")(scaled))


def _fill(model: Any, variables: dict[str, Any]) -> None:
    """Assigns every leaf to the weight of its name; none may be left over on either side."""
    leaves: dict[str, Any] = {}
    for collection in variables.values():
        for part in collection.values():
            leaves |= traverse_util.flatten_dict(part, sep="/")
    if any(layer.name == "reverse_channels" for layer in model.layers):
        leaves["reverse_channels/kernel"] = np.eye(3, dtype=np.float32)[::-1].reshape(1, 1, 3, 3)
    for layer in model.layers:
        for weight in layer.weights:
            weight.assign(np.asarray(leaves.pop(f"{layer.name}/{weight.name}")))
        if hasattr(layer, "finalize_state"):  # a normalisation layer computes with copies
            layer.finalize_state()
    if leaves:
        raise ValueError(f"the Keras model has no weights {', '.join(sorted(leaves))}")


def _import_keras() -> Any:
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with missing_packages("keras"):
        import keras
    return keras
