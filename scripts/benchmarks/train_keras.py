"""Run as a program: the original project's workflow in Keras, as `train.py` compares it.

python train_keras.py epochs|fit|augment ARCH VARIANT,FIELD=VALUE... [WORKDIR | LEVEL...]

Written for this comparison after a description of it: ImageDataGenerator reads the prepared
folders, enlarges and augments on the host, `model.fit` trains, on TensorFlow. The original's
defects are left out: pixels are scaled once, as the backbone wants it, and ResNet50V2 is that.
"""

import contextlib
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"

import keras
import network
import numpy as np
import timing
from keras.src.legacy.preprocessing.image import ImageDataGenerator

from faceemo import data, models
from faceemo.config import make_config
from faceemo.data.prepare.folders import UNIQUE

Tasks = dict[str, Callable[[], object]]

_LOW = {
    "width_shift_range": 0.05,
    "height_shift_range": 0.05,
    "zoom_range": 0.05,
    "horizontal_flip": True,
}
_MID = _LOW | {"rotation_range": 15}
_LEVELS: dict[str, dict[str, Any]] = {"none": {}, "low": _LOW, "mid": _MID, "high": _MID}


def generator(arch: str, level: str) -> ImageDataGenerator:
    """Augments one image at a time, float [S, S, 3] in 0..255, and preprocesses it."""
    scaled = {
        "vgg16": keras.applications.vgg16.preprocess_input,
        "resnet50v2": keras.applications.resnet_v2.preprocess_input,
        "efficientnetb0": keras.applications.efficientnet.preprocess_input,
        # not keras.applications.mobilenet's: these weights, made with Keras, have VGG16's
        "mobilenet": keras.applications.vgg16.preprocess_input,
    }[arch]

    def contrast(image: np.ndarray) -> np.ndarray:
        low, high = image.min(), image.max()
        stretched = (image - low) / max(high - low, 1e-7)
        return scaled(255 * stretched ** np.random.default_rng().uniform(0.5, 2.0))

    last = contrast if level == "high" else scaled
    return ImageDataGenerator(preprocessing_function=last, **_LEVELS[level])


class Workflow:
    """The network and the two folders of a configuration."""

    def __init__(self, arch: str, arg: str) -> None:
        self.config = config = make_config(arch, arg)
        keras.utils.set_random_seed(config.seed)
        self.network = network.keras_network(models.build(config), config.learning_rate)
        folders = data.dataset_root(config) / UNIQUE

        def flow(split: str, level: str) -> Any:
            with contextlib.redirect_stdout(sys.stderr):
                return generator(arch, level).flow_from_directory(
                    folders / split,
                    (config.image_size, config.image_size),
                    classes=config.classes.split("+"),
                    class_mode="sparse",
                    batch_size=config.batch_size,
                    shuffle=split == "train",
                    interpolation="bilinear",
                )

        self.train = flow("train", config.augmentation)
        self.validation = flow("validation", "none")

    def fit(self, epochs: int, callbacks: list[Any] | None = None) -> None:
        """Trains, limited to `steps_per_epoch` without validation if that is not 0."""
        steps = self.config.steps_per_epoch
        self.network.fit(
            self.train,
            epochs=epochs,
            steps_per_epoch=steps or None,
            validation_data=None if steps else self.validation,
            callbacks=callbacks,
            verbose=0,
        )


def epochs(arch: str, arg: str) -> Tasks:
    """The task 'epoch'."""
    workflow = Workflow(arch, arg)
    return {"epoch": lambda: workflow.fit(1)}


def fit(arch: str, arg: str, workdir: str) -> Tasks:
    """The task 'fit': all epochs from the same weights, the best one's network written."""
    workflow, folder = Workflow(arch, arg), Path(workdir)
    start = workflow.network.get_weights()

    def whole() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        workflow.network.set_weights(start)
        best = keras.callbacks.ModelCheckpoint(
            folder / "best.keras", monitor="val_accuracy", save_best_only=True
        )
        workflow.fit(workflow.config.epochs, [best])

    return {"fit": whole}


def augmenting(arch: str, arg: str, *levels: str) -> Tasks:
    """A task for each level: from images that are enlarged already to the network's inputs."""
    config = make_config(arch, arg)
    plain = ImageDataGenerator().flow_from_directory
    with contextlib.redirect_stdout(sys.stderr):
        images, _ = next(
            plain(
                data.dataset_root(config) / UNIQUE / "train",
                (config.image_size, config.image_size),
                batch_size=config.batch_size,
                shuffle=False,
                interpolation="bilinear",
            )
        )

    def task(level: str) -> Callable[[], object]:
        batches = generator(arch, level).flow(images, batch_size=len(images), shuffle=False)
        return lambda: next(batches)

    return {level: task(level) for level in levels}


if __name__ == "__main__":
    _, what, *rest = sys.argv
    timing.answer({"epochs": epochs, "fit": fit, "augment": augmenting}[what](*rest))
