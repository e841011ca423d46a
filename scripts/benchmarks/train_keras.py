"""Program that train.py times: the original project's workflow, in Keras on TensorFlow.

    python train_keras.py epochs|fit|augment ARCH VARIANT,FIELD=VALUE... [WORKDIR | LEVEL...]

It was written for this comparison from a description of the original: ImageDataGenerator reads the
prepared folders, and enlarges and augments on the host; `model.fit` trains. The original's defects
are left out: pixels are scaled once, as the backbone requires, and ResNet50V2 is not ResNet50 V1.
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

import frameworks
import keras
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
_AUGMENTATIONS: dict[str, dict[str, Any]] = {"none": {}, "low": _LOW, "mid": _MID, "high": _MID}


def make_generator(arch: str, level: str) -> ImageDataGenerator:
    """Makes a generator that augments and preprocesses one image at a time, float [S, S, 3]."""
    preprocess = {
        "vgg16": keras.applications.vgg16.preprocess_input,
        "resnet50v2": keras.applications.resnet_v2.preprocess_input,
        "efficientnetb0": keras.applications.efficientnet.preprocess_input,
        # Not keras.applications.mobilenet's: faceemo's MobileNet has VGG16's preprocessing.
        "mobilenet": keras.applications.vgg16.preprocess_input,
    }[arch]

    def stretch_contrast(image: np.ndarray) -> np.ndarray:
        low, high = image.min(), image.max()
        stretched = (image - low) / max(high - low, 1e-7)
        return preprocess(255 * stretched ** np.random.default_rng().uniform(0.5, 2.0))

    function = stretch_contrast if level == "high" else preprocess
    return ImageDataGenerator(preprocessing_function=function, **_AUGMENTATIONS[level])


class Workflow:
    """The model of a configuration, and generators for its training and validation images."""

    def __init__(self, arch: str, arg: str) -> None:
        self.config = config = make_config(arch, arg)
        keras.utils.set_random_seed(config.seed)
        self.model = frameworks.build_keras_model(models.build(config), config.learning_rate)
        folders = data.dataset_root(config) / UNIQUE

        def make_flow(split: str, level: str) -> Any:
            with contextlib.redirect_stdout(sys.stderr):
                return make_generator(arch, level).flow_from_directory(
                    folders / split,
                    (config.image_size, config.image_size),
                    classes=config.classes.split("+"),
                    class_mode="sparse",
                    batch_size=config.batch_size,
                    shuffle=split == "train",
                    interpolation="bilinear",
                )

        self.train = make_flow("train", config.augmentation)
        self.validation = make_flow("validation", "none")

    def fit(self, epochs: int, callbacks: list[Any] | None = None) -> None:
        """Trains; if `steps_per_epoch` is set, only for so many steps and without validation."""
        steps = self.config.steps_per_epoch
        self.model.fit(
            self.train,
            epochs=epochs,
            steps_per_epoch=steps or None,
            validation_data=None if steps else self.validation,
            callbacks=callbacks,
            verbose=0,
        )


def make_epoch_task(arch: str, arg: str) -> Tasks:
    """Makes the task 'epoch'."""
    workflow = Workflow(arch, arg)
    return {"epoch": lambda: workflow.fit(1)}


def make_fit_task(arch: str, arg: str, workdir: str) -> Tasks:
    """Makes the task 'fit': all epochs from the same weights; the best epoch's model is saved."""
    workflow, folder = Workflow(arch, arg), Path(workdir)
    initial_weights = workflow.model.get_weights()

    def fit() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        workflow.model.set_weights(initial_weights)
        save_best = keras.callbacks.ModelCheckpoint(
            folder / "best.keras", monitor="val_accuracy", save_best_only=True
        )
        workflow.fit(workflow.config.epochs, [save_best])

    return {"fit": fit}


def make_augmentation_tasks(arch: str, arg: str, *levels: str) -> Tasks:
    """Makes a task per level that turns enlarged images into the network's inputs."""
    config = make_config(arch, arg)
    read_batches = ImageDataGenerator().flow_from_directory
    with contextlib.redirect_stdout(sys.stderr):
        images, _ = next(
            read_batches(
                data.dataset_root(config) / UNIQUE / "train",
                (config.image_size, config.image_size),
                batch_size=config.batch_size,
                shuffle=False,
                interpolation="bilinear",
            )
        )

    def make_task(level: str) -> Callable[[], object]:
        batches = make_generator(arch, level).flow(images, batch_size=len(images), shuffle=False)
        return lambda: next(batches)

    return {level: make_task(level) for level in levels}


if __name__ == "__main__":
    _, what, *rest = sys.argv
    make_tasks = {
        "epochs": make_epoch_task,
        "fit": make_fit_task,
        "augment": make_augmentation_tasks,
    }
    timing.run_tasks(make_tasks[what](*rest))
