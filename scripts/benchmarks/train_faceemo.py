"""Program that train.py times: training with faceemo on the data of a configuration.

    python train_faceemo.py epochs ARCH VARIANT,FIELD=VALUE...
    python train_faceemo.py fit ARCH VARIANT,FIELD=VALUE... WORKDIR [fresh]
    python train_faceemo.py augment ARCH VARIANT,FIELD=VALUE... LEVEL...

'epochs' runs an epoch of training steps, and validation unless `steps_per_epoch` is set. 'fit' is a
whole run with checkpoints, always from the same weights; 'fresh' clears the feature cache first.
'augment' enlarges and augments a batch.
"""

import contextlib
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import timing
from ml_collections import ConfigDict

from faceemo import data, models
from faceemo.commands import heap
from faceemo.config import AUGMENTATIONS, make_config
from faceemo.data.augment.augment import augment, image_keys
from faceemo.data.pipeline import Split, epoch_batches
from faceemo.models.preprocessing import preprocess
from faceemo.train import build_steps, freezing, loop, parallel
from faceemo.train.batch_stats import estimate_batch_stats
from faceemo.train.checkpoint import libraries
from faceemo.train.checkpoint.checkpoints import Checkpoints
from faceemo.train.checkpoint.progress import Progress
from faceemo.train.checkpoint.provenance import make_recipe
from faceemo.train.epoch import open_batches, train_epoch
from faceemo.train.predict_split import predict_split
from faceemo.train.programs import compile_cache
from faceemo.train.start import Start
from faceemo.train.state import TrainState

Tasks = dict[str, Callable[[], object]]


class Run(NamedTuple):
    """A run before its first step: configuration, network with initial variables, images."""

    config: ConfigDict
    start: Start
    splits: dict[str, Split]

    @classmethod
    def from_argument(cls, arch: str, arg: str) -> "Run":
        """Makes the run of `configs/ARCH.py:ARG`."""
        config = make_config(arch, arg)
        start, splits = Start.from_config(config), load_splits(config)
        return cls(config, estimate_batch_stats(config, start, splits["train"]), splits)


class Stepper:
    """Training and validation as in `faceemo.train.loop.fit`, without checkpoints."""

    def __init__(self, run: Run) -> None:
        self.run = run
        config, start, train = run.config, run.start, run.splits["train"]
        variable_labels = freezing.label_variables(start.model, start.variables)
        optimizer = build_steps.build_optimizer(
            config, config.learning_rate, start.model, variable_labels
        )
        self.step: Any = build_steps.build_train_step(
            config, start.model, optimizer, variable_labels, start.preprocessing, train
        )
        self.evaluate = build_steps.build_eval_step(start.model, start.preprocessing)
        first = build_steps.build_state(config, start.variables, optimizer, variable_labels)
        self.state: TrainState = parallel.replicate(first)
        self.progress = Progress()

    def train(self) -> None:
        """Runs one epoch of training steps."""
        train, config = self.run.splits["train"], self.run.config
        with open_batches(train, config, self.progress) as batches:
            self.state, _ = train_epoch(
                self.step,
                self.state,
                self.progress,
                train,
                batches,
                config,
                save=lambda state, progress: None,
                stop_requested=lambda: False,
                report=lambda number: None,
            )
        jax.block_until_ready(self.state)
        self.progress = Progress((*self.progress.history, {}))

    def validate(self) -> None:
        """Predicts all validation images."""
        predict_split(
            self.evaluate,
            self.state.params,
            self.state.batch_stats,
            self.run.splits["validation"],
            self.run.config.batch_size,
            name="validation",
        )


def load_splits(config: ConfigDict) -> dict[str, Split]:
    """Loads the images; messages go to standard error, because standard output carries times."""
    with contextlib.redirect_stdout(sys.stderr):
        return data.load(config)


def make_epoch_task(arch: str, arg: str) -> Tasks:
    """Makes the task 'epoch'."""
    stepper = Stepper(Run.from_argument(arch, arg))

    def epoch() -> None:
        stepper.train()
        if not stepper.run.config.steps_per_epoch:
            stepper.validate()

    return {"epoch": epoch}


def make_fit_task(arch: str, arg: str, workdir: str, *fresh: str) -> Tasks:
    """Makes the task 'fit', which writes the history without its times to WORKDIR.json."""
    run, folder = Run.from_argument(arch, arg), Path(workdir)
    # As `python -m faceemo.main` does.
    compile_cache.enable()
    libraries.choose(run.config, None)

    def fit() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        if fresh:
            shutil.rmtree(data.dataset_root(run.config) / "features", ignore_errors=True)
        start = run.start
        recipe = make_recipe(run.config, start.preprocessing, start.source, run.splits)
        with contextlib.redirect_stdout(sys.stderr):
            checkpoints = Checkpoints(folder, recipe)
            history = loop.fit(run.config, start, run.splits, checkpoints, folder)
        rows = [{k: v for k, v in row.items() if "second" not in k} for row in history]
        folder.with_suffix(".json").write_text(json.dumps(rows))

    return {"fit": fit}


def make_augmentation_tasks(arch: str, arg: str, *levels: str) -> Tasks:
    """Makes a task per level that turns stored images into the network's inputs."""
    config = make_config(arch, arg)
    preprocessing = models.build(config).preprocessing
    batch = next(epoch_batches(load_splits(config)["train"], config.batch_size))
    keys = image_keys(jax.random.PRNGKey(0), jax.numpy.int32(0), batch.index)

    def make_task(level: str) -> Callable[[], object]:
        augmented = jax.jit(
            lambda images: preprocess(
                augment(images, keys, AUGMENTATIONS[level], config.image_size), preprocessing
            )
        )
        return lambda: jax.block_until_ready(augmented(batch.images))

    return {level: make_task(level) for level in levels}


if __name__ == "__main__":
    heap.keep()
    _, what, *rest = sys.argv
    make_tasks = {
        "epochs": make_epoch_task,
        "fit": make_fit_task,
        "augment": make_augmentation_tasks,
    }
    timing.run_tasks(make_tasks[what](*rest))
