"""Run as a program: faceemo's side of `train.py`, on the data that a configuration names.

python train_faceemo.py epochs ARCH VARIANT,FIELD=VALUE...
python train_faceemo.py fit ARCH VARIANT,FIELD=VALUE... WORKDIR [fresh]
python train_faceemo.py augment ARCH VARIANT,FIELD=VALUE... LEVEL...

'epochs' runs an epoch of training steps and, unless `steps_per_epoch` limits it, one of validation.
'fit' is a whole run with its checkpoints, from the same weights every time; 'fresh' forgets
features that were kept before. 'augment' enlarges and augments a batch.
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
from faceemo.config import AUGMENTATIONS, make_config
from faceemo.data.augment.augment import augment, image_keys
from faceemo.data.pipeline import Split, epoch_batches
from faceemo.models.preprocessing import Preprocessing, preprocess
from faceemo.train import build_steps, compile_cache, loop, parallel
from faceemo.train.checkpoint.checkpoints import Checkpoints
from faceemo.train.checkpoint.progress import Progress
from faceemo.train.checkpoint.provenance import make_recipe
from faceemo.train.epoch import train_epoch
from faceemo.train.predict_split import predict_split
from faceemo.train.state import TrainState

Tasks = dict[str, Callable[[], object]]


class Run(NamedTuple):
    """What a run starts from."""

    config: ConfigDict
    model: models.Model
    variables: dict[str, Any]
    preprocessing: Preprocessing
    source: dict[str, Any]
    splits: dict[str, Split]

    @classmethod
    def of(cls, arch: str, arg: str) -> "Run":
        """Of `configs/ARCH.py:ARG`."""
        config = make_config(arch, arg)
        model = models.build(config)
        start = models.load_weights(model, model.init(config.seed), config.weights)
        return cls(config, model, *start, loaded(config))


class Stepping:
    """The pieces of `train.loop.fit` without its checkpoints."""

    def __init__(self, run: Run) -> None:
        self.run = run
        labels = build_steps.labels_of(run.model, run.variables)
        optimizer = build_steps.optimizer_of(
            run.config, run.config.learning_rate, run.model, labels
        )
        train = run.splits["train"]
        self.step: Any = build_steps.training_step(
            run.config, run.model, optimizer, labels, run.preprocessing, train
        )
        self.evaluate = build_steps.evaluation_step(run.model, run.preprocessing)
        first = build_steps.first_state(run.config, run.variables, optimizer, labels)
        self.state: TrainState = parallel.replicate(first)
        self.progress = Progress()

    def train(self) -> None:
        """An epoch of training steps."""
        self.state, _ = train_epoch(
            self.step,
            self.state,
            self.progress,
            self.run.splits["train"],
            self.run.config,
            save=lambda state, progress: None,
            asked=lambda: False,
            report=lambda number: None,
        )
        jax.block_until_ready(self.state)
        self.progress = Progress((*self.progress.history, {}))

    def validate(self) -> None:
        """All validation images through the evaluation step."""
        predict_split(
            self.evaluate,
            self.state.params,
            self.state.batch_stats,
            self.run.splits["validation"],
            self.run.config.batch_size,
            name="validation",
        )


def loaded(config: ConfigDict) -> dict[str, Split]:
    """The images; what is said about them goes where it does not disturb."""
    with contextlib.redirect_stdout(sys.stderr):
        return data.load(config)


def epochs(arch: str, arg: str) -> Tasks:
    """The task 'epoch'."""
    stepping = Stepping(Run.of(arch, arg))

    def epoch() -> None:
        stepping.train()
        if not stepping.run.config.steps_per_epoch:
            stepping.validate()

    return {"epoch": epoch}


def fit(arch: str, arg: str, workdir: str, *fresh: str) -> Tasks:
    """The task 'fit', which writes WORKDIR.json: the history, without how long it took."""
    run, folder = Run.of(arch, arg), Path(workdir)
    # As the command does.
    compile_cache.keep()

    def whole() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        if fresh:
            shutil.rmtree(data.dataset_root(run.config) / "features", ignore_errors=True)
        recipe = make_recipe(run.config, run.preprocessing, run.source, run.splits)
        with contextlib.redirect_stdout(sys.stderr):
            history = loop.fit(
                run.config,
                run.model,
                run.variables,
                run.preprocessing,
                run.splits,
                Checkpoints(folder, recipe),
                folder,
            )
        kept = [{k: v for k, v in row.items() if "second" not in k} for row in history]
        folder.with_suffix(".json").write_text(json.dumps(kept))

    return {"fit": whole}


def augmenting(arch: str, arg: str, *levels: str) -> Tasks:
    """A task for each level: from stored images to the network's inputs."""
    config = make_config(arch, arg)
    preprocessing = models.build(config).preprocessing
    batch = next(epoch_batches(loaded(config)["train"], config.batch_size))
    keys = image_keys(jax.random.PRNGKey(0), jax.numpy.int32(0), batch.index)

    def task(level: str) -> Callable[[], object]:
        augmented = jax.jit(
            lambda images: preprocess(
                augment(images, keys, AUGMENTATIONS[level], config.image_size), preprocessing
            )
        )
        return lambda: jax.block_until_ready(augmented(batch.images))

    return {level: task(level) for level in levels}


if __name__ == "__main__":
    _, what, *rest = sys.argv
    timing.answer({"epochs": epochs, "fit": fit, "augment": augmenting}[what](*rest))
