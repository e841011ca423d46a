"""Export as LiteRT (TensorFlow Lite), for phones and small machines.

    model = tf.lite.Interpreter("model.tflite")  # or ai_edge_litert.interpreter.Interpreter
    model.resize_tensor_input(model.get_input_details()[0]["index"], (N, S, S, 1))  # or 3

After that call the model takes N images; without it, one at a time.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from faceemo.inference.export import keras_file
from faceemo.inference.export.quiet import quiet
from faceemo.train.checkpoint.trained_model import TrainedModel


@quiet()
def write(trained: TrainedModel, path: Path) -> None:
    """Converts the Keras model with TensorFlow's converter and writes it, in float32.

    Raises:
        UserError: If Keras is not installed.
    """
    model = keras_file.build_model(trained)
    import tensorflow as tf

    shape = (None, *model.input_shape[1:])
    # Keras's own function would name the output after its place.
    function = tf.function(
        lambda faces: {"probabilities": model(faces, training=False)},
        input_signature=[tf.TensorSpec(shape, tf.uint8, name="faces")],
    ).get_concrete_function()
    module = tf.Module()
    # Variables that no attribute holds would be lost.
    setattr(module, "kept", [variable.value for variable in model.variables])  # noqa: B010
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(module, folder, signatures=function)
        path.write_bytes(tf.lite.TFLiteConverter.from_saved_model(folder).convert())


@quiet()
def load(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """Loads the file's function, which TensorFlow Lite runs."""
    import tensorflow as tf

    model = tf.lite.Interpreter(model_path=str(path))
    (argument,), (result,) = model.get_input_details(), model.get_output_details()

    @quiet()
    def run(images: np.ndarray) -> np.ndarray:
        images = keras_file.add_channel(images)
        model.resize_tensor_input(argument["index"], images.shape)
        model.allocate_tensors()
        model.set_tensor(argument["index"], images)
        model.invoke()
        return np.array(model.get_tensor(result["index"]))

    return run
