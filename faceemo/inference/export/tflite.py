"""Export as LiteRT (TensorFlow Lite), for phones and small machines.

    model = tf.lite.Interpreter("model.tflite")  # or ai_edge_litert.interpreter.Interpreter
    model.resize_tensor_input(model.get_input_details()[0]["index"], (N, S, S, 1))

Any number of images after such a call; one at a time without.
"""

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

from faceemo.inference.export import keras_file
from faceemo.train.checkpoint.trained_model import TrainedModel


def write(trained: TrainedModel, path: Path) -> None:
    """Writes what TensorFlow's converter makes of the Keras model, float32.

    Raises:
        UserError: if Keras is not installed.
    """
    model = keras_file.model_of(trained)
    import tensorflow as tf

    path.write_bytes(tf.lite.TFLiteConverter.from_keras_model(model).convert())


def reader(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """The file's function, run by TensorFlow Lite."""
    import tensorflow as tf

    with warnings.catch_warnings():
        # It is going to move to a package of its own, with the same interface.
        warnings.filterwarnings("ignore", message=".*tf.lite.Interpreter is deprecated.*")
        model = tf.lite.Interpreter(model_path=str(path))
    (given,), (answer,) = model.get_input_details(), model.get_output_details()

    def run(images: np.ndarray) -> np.ndarray:
        model.resize_tensor_input(given["index"], (*images.shape, 1))
        model.allocate_tensors()
        model.set_tensor(given["index"], images[..., None])
        model.invoke()
        return np.array(model.get_tensor(answer["index"]))

    return run
