"""Program that models.py times: forward pass and training steps in one framework.

    python frameworks.py FRAMEWORK ARCH SIZE BATCH LEVEL...

The tasks are 'forward' and 'train LEVEL' for each unfreeze level. FRAMEWORK may also be a path of
faceemo, such as 'onednn-bfloat16': a library and a type of numbers, see `PATHS`.
"""

# Only the extra 'bench' has PyTorch.
# pyright: reportMissingImports=false

import functools
import os
import re
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import timing

from faceemo import models
from faceemo.commands import heap
from faceemo.config import make_config
from faceemo.config.backbones import BACKBONES

Tasks = dict[str, Callable[[], object]]
# Libraries of convolutions and products, and types of numbers, in which faceemo can compute.
PATHS = (
    *("xla-float32", "extension-float32", "onednn-float32"),
    *("xla-bfloat16", "onednn-bfloat16"),
)


def main(framework: str, arch: str, size: int, batch: int, levels: list[str]) -> None:
    """Builds the tasks and runs them on request."""
    make_tasks = {
        "faceemo": make_faceemo_tasks,
        "keras-tensorflow": make_keras_tasks,
        "keras-jax": make_keras_tasks,
        "torch": make_torch_tasks,
        **{path: functools.partial(make_path_tasks, path) for path in PATHS},
    }[framework]
    if framework.startswith("keras-"):
        os.environ["KERAS_BACKEND"] = framework.removeprefix("keras-")
    timing.run_tasks(make_tasks(arch, size, batch, levels), min_seconds=2.0)


def build_model(arch: str, size: int, level: str, dtype: str = "float32") -> models.Model:
    """Builds a model in which the blocks of an unfreeze level train."""
    fields = f"weights=none,image_size={size},unfreeze={level},dtype={dtype}"
    return models.build(make_config(arch, f"9,{fields}"))


def trained_patterns(model: models.Model) -> list[str]:
    """Returns regular expressions for the paths of the trained parameters."""
    return [block.pattern for block in model.blocks if block.name in model.trained]


def make_faceemo_tasks(arch: str, size: int, batch: int, levels: list[str]) -> Tasks:
    """Makes the steps that a run compiles, on one device, by the library that a run chooses."""
    heap.keep()
    from faceemo.train.checkpoint import libraries

    libraries.choose(make_config(arch, f"9,image_size={size}"), None)
    return _make_steps(arch, size, batch, levels, "float32")


def make_path_tasks(path: str, arch: str, size: int, batch: int, levels: list[str]) -> Tasks:
    """Makes the steps of faceemo by the library and in the type of a path of `PATHS`.

    Raises:
        RuntimeError: If this machine has no such library for that type.
    """
    heap.keep()
    from faceemo.models.layers import onednn, onednn_verdict
    from faceemo.models.layers.extension import build, calls

    library, dtype = path.split("-")
    if library == "onednn":
        verdict = onednn_verdict.find_verdict()
        if dtype not in verdict.dtypes:
            raise RuntimeError(f"no oneDNN for {dtype}: {verdict.reason}")
        onednn.use([dtype])
    if library == "extension":
        found = build.find_library()
        if found.library is None:
            raise RuntimeError(f"no extension: {found.reason}")
        calls.use(found.library)
    return _make_steps(arch, size, batch, levels, dtype)


def _make_steps(arch: str, size: int, batch: int, levels: list[str], dtype: str) -> Tasks:
    import jax
    import run_steps

    images = run_steps.make_batch(batch)
    model = build_model(arch, size, "all", dtype)
    variables = model.init(0)
    forward, arguments = run_steps.make_forward(model, variables, images)
    tasks: Tasks = {"forward": lambda: jax.block_until_ready(forward(*arguments))}

    def make_step(level: str) -> Callable[[], object]:
        model = build_model(arch, size, level, dtype)
        step, arguments = run_steps.make_training(model, variables, images)
        current = list(arguments)

        def run() -> None:
            current[0], sums = step(*current)
            jax.block_until_ready((current[0], sums))

        return run

    return tasks | {f"train {level}": make_step(level) for level in levels}


def make_float_images(size: int, batch: int) -> tuple[np.ndarray, np.ndarray]:
    """Makes random preprocessed images, float32 [B, S, S, 3], and labels, int [B]."""
    images = np.random.default_rng(0).uniform(-1, 1, (batch, size, size, 3)).astype(np.float32)
    return images, np.arange(batch) % 4


def build_keras_model(model: models.Model, learning_rate: float = 1e-5) -> Any:
    """Builds and compiles the same network in Keras: random weights, the same frozen layers."""
    import keras
    from keras import layers

    make_backbone = getattr(keras.applications, BACKBONES[model.arch].title)
    size, pooling = model.image_size, model.head.pooling
    share = getattr(model.backbone, "width", 1.0)
    backbone = make_backbone(
        include_top=False,
        weights=None,
        input_shape=(size, size, 3),
        **({} if share == 1 else {"alpha": share}),
    )
    for layer in backbone.layers:
        path = f"backbone/{layer.name}/"
        layer.trainable = any(re.fullmatch(pattern, path) for pattern in trained_patterns(model))
    hidden = (layers.Flatten() if pooling == "flatten" else layers.GlobalAveragePooling2D())(
        backbone.output
    )
    if model.head.dropout_rate:
        hidden = layers.Dropout(model.head.dropout_rate)(hidden)
    for _, width in model.head.dense:
        hidden = layers.Dense(width, "relu")(hidden)
    whole = keras.Model(backbone.input, layers.Dense(4, "softmax")(hidden))
    whole.compile(
        keras.optimizers.Adam(learning_rate),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        # XLA is slower here than TensorFlow's kernels; on JAX there is no alternative.
        jit_compile=keras.backend.backend() == "jax",
    )
    return whole


def make_keras_tasks(arch: str, size: int, batch: int, levels: list[str]) -> Tasks:
    """Makes tasks that call `predict_on_batch` and `train_on_batch`."""
    images, labels = make_float_images(size, batch)

    def make_step(level: str) -> Callable[[], object]:
        whole = build_keras_model(build_model(arch, size, level))
        return lambda: whole.train_on_batch(images, labels)

    whole = build_keras_model(build_model(arch, size, "all"))
    return {
        "forward": lambda: whole.predict_on_batch(images),
        **{f"train {level}": make_step(level) for level in levels},
    }


def make_torch_tasks(
    arch: str,
    size: int,
    batch: int,
    levels: list[str],
    *,
    device: str = "cpu",
    amp: bool = False,
    compiled: bool = False,
) -> Tasks:
    """Makes steps of the networks in torch_backbones.py, channels last.

    With `amp` they compute in bfloat16 where PyTorch's autocast does, with `compiled` they go
    through torch.compile. On a GPU they return before it is done.
    """
    import torch
    import torch_backbones

    pixels, numbers = make_float_images(size, batch)
    # A view, not a copy: the channels stay last in memory.
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2).to(device)
    labels = torch.from_numpy(numbers).to(device)

    def autocast() -> Any:
        return torch.autocast(device, torch.bfloat16, enabled=amp)

    def prepare(network: Any) -> Any:
        network = network.to(device)
        return torch.compile(network) if compiled else network

    whole = prepare(torch_backbones.build(build_model(arch, size, "all")).eval())

    def forward() -> None:
        with torch.inference_mode(), autocast():
            whole(images)

    def make_step(level: str) -> Callable[[], object]:
        model = build_model(arch, size, level)
        network = torch_backbones.build(model)
        torch_backbones.freeze(network, trained_patterns(model))
        network = prepare(network)
        trained = [p for p in network.parameters() if p.requires_grad]
        optimizer = torch.optim.Adam(trained, 1e-5, fused=True if device == "cuda" else None)

        def run() -> None:
            optimizer.zero_grad()
            with autocast():
                loss = torch.nn.functional.cross_entropy(network(images), labels)
            loss.backward()
            optimizer.step()

        return run

    return {"forward": forward, **{f"train {level}": make_step(level) for level in levels}}


if __name__ == "__main__":
    _, framework, arch, size, batch, *levels = sys.argv
    main(framework, arch, int(size), int(batch), levels)
