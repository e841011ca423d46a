"""Run as a program: one framework's network, ready to be timed (see models.py).

python network.py FRAMEWORK ARCH SIZE BATCH LEVEL...
"""

# PyTorch is in the extra 'bench' alone.
# pyright: reportMissingImports=false

import os
import re
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import timing

from faceemo import models
from faceemo.config import make_config

Tasks = dict[str, Callable[[], object]]


def main(framework: str, arch: str, size: int, batch: int, levels: list[str]) -> None:
    """Builds the tasks and answers."""
    maker = {
        "faceemo": faceemo_tasks,
        "keras-tensorflow": keras_tasks,
        "keras-jax": keras_tasks,
        "torch": torch_tasks,
    }[framework]
    if framework.startswith("keras-"):
        os.environ["KERAS_BACKEND"] = framework.removeprefix("keras-")
    timing.answer(maker(arch, size, batch, levels), at_least=2.0)


def network(arch: str, size: int, level: str) -> models.Model:
    """The model of which `level` blocks train."""
    return models.build(make_config(arch, f"9,weights=none,image_size={size},unfreeze={level}"))


def patterns(model: models.Model) -> list[str]:
    """Of the paths of the parameters that train."""
    return [block.pattern for block in model.blocks if block.name in model.trained]


def faceemo_tasks(arch: str, size: int, batch: int, levels: list[str]) -> Tasks:
    """The steps that a run compiles, on one device."""
    import jax

    from faceemo.data.pipeline import Batch
    from faceemo.train import freezing, parallel, state, steps

    images = np.random.default_rng(0).integers(0, 256, (batch, 48, 48), np.uint8)
    labels, ones = np.arange(batch, dtype=np.int32) % 4, np.ones(batch, np.float32)
    whole = parallel.shard(Batch(images, labels, ones, np.arange(batch, dtype=np.int32)))
    model = network(arch, size, "all")
    variables = model.init(0)
    forward = parallel.evaluate_on_devices(steps.make_eval_step(model, model.preprocessing))
    placed = parallel.replicate(variables)
    tasks: Tasks = {
        "forward": lambda: jax.block_until_ready(
            forward(placed["params"], placed["batch_stats"], whole.images)
        )
    }

    def trained(level: str) -> Callable[[], object]:
        model = network(arch, size, level)
        names = freezing.label_params(model, variables["params"])
        optimizer = freezing.make_optimizer(1e-5, names)
        step = parallel.train_on_devices(
            steps.make_train_step(
                model,
                optimizer,
                names,
                model.preprocessing,
                augmentation="none",
                class_weights=np.ones(4, np.float32),
                axis_name=parallel.AXIS,
            )
        )
        current = [parallel.replicate(state.create(variables, optimizer, 0))]

        def run() -> None:
            current[0], sums = step(current[0], whole, 0)
            jax.block_until_ready((current[0], sums))

        return run

    return tasks | {f"train {level}": trained(level) for level in levels}


def float_images(size: int, batch: int) -> tuple[np.ndarray, np.ndarray]:
    """Images as networks take them, and labels."""
    images = np.random.default_rng(0).uniform(-1, 1, (batch, size, size, 3)).astype(np.float32)
    return images, np.arange(batch) % 4


def keras_network(model: models.Model, learning_rate: float = 1e-5) -> Any:
    """The same network of keras.applications, compiled; random weights, what is frozen frozen."""
    import keras
    from keras import layers

    makers = {
        "vgg16": keras.applications.VGG16,
        "resnet50v2": keras.applications.ResNet50V2,
        "efficientnetb0": keras.applications.EfficientNetB0,
        "mobilenet": keras.applications.MobileNet,
    }
    size, pooling = model.image_size, model.head.pooling
    trunk = makers[model.arch](include_top=False, weights=None, input_shape=(size, size, 3))
    for layer in trunk.layers:
        path = f"backbone/{layer.name}/"
        layer.trainable = any(re.fullmatch(pattern, path) for pattern in patterns(model))
    hidden = (layers.Flatten() if pooling == "flatten" else layers.GlobalAveragePooling2D())(
        trunk.output
    )
    if model.head.dropout_rate:
        hidden = layers.Dropout(model.head.dropout_rate)(hidden)
    for _, width in model.head.dense:
        hidden = layers.Dense(width, "relu")(hidden)
    whole = keras.Model(trunk.input, layers.Dense(4, "softmax")(hidden))
    whole.compile(
        keras.optimizers.Adam(learning_rate),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        # XLA is slower here than TensorFlow's kernels; on JAX there is nothing else.
        jit_compile=keras.backend.backend() == "jax",
    )
    return whole


def keras_tasks(arch: str, size: int, batch: int, levels: list[str]) -> Tasks:
    """`predict_on_batch` and `train_on_batch` of keras.applications with the same head."""
    images, labels = float_images(size, batch)

    def trained(level: str) -> Callable[[], object]:
        whole = keras_network(network(arch, size, level))
        return lambda: whole.train_on_batch(images, labels)

    whole = keras_network(network(arch, size, "all"))
    return {
        "forward": lambda: whole.predict_on_batch(images),
        **{f"train {level}": trained(level) for level in levels},
    }


def torch_tasks(arch: str, size: int, batch: int, levels: list[str]) -> Tasks:
    """Eager steps of the networks in torch_networks.py, channels last."""
    import torch
    import torch_networks

    pixels, numbers = float_images(size, batch)
    # Transposed, not copied: the channels stay last in memory.
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2)
    labels = torch.from_numpy(numbers)
    whole = torch_networks.build(network(arch, size, "all"))

    def forward() -> None:
        whole.eval()
        with torch.inference_mode():
            whole(images)

    def trained(level: str) -> Callable[[], object]:
        model = network(arch, size, level)
        own = torch_networks.build(model)
        torch_networks.freeze(own, patterns(model))
        optimizer = torch.optim.Adam([p for p in own.parameters() if p.requires_grad], 1e-5)

        def run() -> None:
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(own(images), labels).backward()
            optimizer.step()

        return run

    return {"forward": forward, **{f"train {level}": trained(level) for level in levels}}


if __name__ == "__main__":
    _, framework, arch, size, batch, *levels = sys.argv
    main(framework, arch, int(size), int(batch), levels)
