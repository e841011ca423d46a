"""The training loop: epochs of steps, validation, the best checkpoint, early stopping."""

import dataclasses
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
from clu import parameter_overview
from ml_collections import ConfigDict
from tqdm import tqdm

from faceemo.config import CLASSES
from faceemo.data.pipeline import Batch, Split, epoch_batches, steps_per_epoch
from faceemo.errors import UserError
from faceemo.models import Model
from faceemo.models.preprocessing import Preprocessing
from faceemo.train import average, features, optim, parallel
from faceemo.train.checkpoint import Checkpoints
from faceemo.train.metrics import Totals, totals_of
from faceemo.train.mixing import MixedBatch, mixing_of, with_partners
from faceemo.train.optim import TRAIN
from faceemo.train.predict import predict_split
from faceemo.train.recalibrate import make_moments_step, recalibrated
from faceemo.train.schedule import make_schedule
from faceemo.train.state import TrainState, create
from faceemo.train.steps import make_eval_step, make_train_step

# Between two looks at the device's sums, seconds: each look waits for the step under way.
_REFRESH = 0.5
# A short bar, so that all figures fit into a hundred columns.
_BAR = (
    "{desc} {percentage:.0f}%|{bar:10}| {n_fmt}/{total_fmt} {rate_fmt}, left {remaining}{postfix}"
)


def fit(
    config: ConfigDict,
    model: Model,
    variables: dict[str, Any],
    preprocessing: Preprocessing,
    splits: dict[str, Split],
    checkpoints: Checkpoints,
    workdir: Path,
) -> list[dict[str, Any]]:
    """Trains until the last epoch or until validation accuracy has stopped growing.

    Goes on where `checkpoints` stand. After every epoch the state is saved, and the weights too if
    their validation accuracy is the best so far.

    Args:
        config: of the run.
        model: of `faceemo.models.build`.
        variables: initial {'params', 'batch_stats'}.
        preprocessing: that belongs to the initial weights.
        splits: 'train' and 'validation'.
        checkpoints: of `workdir`.
        workdir: where metrics are written.

    Returns:
        the history: one row per epoch with 'epoch' (from 1), 'step', 'train/loss',
        'train/accuracy' (both as training went on, augmented), 'validation/loss',
        'validation/accuracy', 'seconds' and 'images_per_second' (of training).

    Raises:
        UserError: if the loss is not finite.
    """
    # They bring TensorFlow along, which nothing but the writer needs.
    from clu import metric_writers, periodic_actions

    labels = {
        "params": optim.label_params(model, variables["params"]),
        "batch_stats": optim.label(model.blocks, model.trained, variables["batch_stats"]),
    }
    plan = optim.freeze_plan(model, variables["params"], variables["batch_stats"])
    print(optim.format_plan(plan))
    overview = workdir / "parameters.txt"
    overview.write_text(parameter_overview.get_parameter_overview(variables["params"]) + "\n")
    print(f"every parameter with its shape: {overview}")

    stage = features.stage(config, model, variables, preprocessing, splits)
    train, validation = stage.splits["train"], stage.splits["validation"]
    steps = steps_per_epoch(len(train), config.batch_size, config.steps_per_epoch)
    optimizer = optim.make_optimizer(
        make_schedule(config, steps),
        labels["params"],
        blocks=model.blocks,
        layer_decay=config.layer_decay,
        weight_decay=config.weight_decay,
        clip_norm=config.clip_norm,
    )
    step = make_train_step(
        stage.model,
        optimizer,
        labels["params"],
        stage.preprocessing,
        augmentation=config.augmentation,
        class_weights=class_weights(train, config.class_weights),
        axis_name=parallel.AXIS,
        label_smoothing=config.label_smoothing,
        erasing=config.erasing,
        mixing=mixing_of(config),
        ema=config.ema,
    )
    train_step = parallel.train_on_devices(step)
    eval_step = parallel.evaluate_on_devices(make_eval_step(stage.model, stage.preprocessing))

    moments_step = None
    if config.bn_policy == "recalibrate" and TRAIN in jax.tree.leaves(labels["batch_stats"]):
        moments_step = parallel.measure_on_devices(
            make_moments_step(
                model,
                preprocessing,
                labels["batch_stats"],
                augmentation=config.augmentation,
                axis_name=parallel.AXIS,
            )
        )

    checkpoints.save_frozen(variables, labels)
    state, history = create(variables, optimizer, config.seed), []
    if config.ema:
        state = dataclasses.replace(state, average=average.start(variables, labels))
    if (stored := checkpoints.restore_latest(state)) is not None:
        state, history = stored
        print(f"continues after epoch {len(history)}")
    state = parallel.replicate(state)

    writer = metric_writers.create_default_writer(workdir / "metrics", asynchronous=False)
    report = periodic_actions.ReportProgress(
        num_train_steps=steps * config.epochs, writer=writer, every_secs=30
    )
    while not _finished(history, config):
        start, epoch = time.perf_counter(), len(history)
        state, totals = _train_epoch(train_step, state, train, config, epoch, report)
        if moments_step is not None:
            fresh = recalibrated(
                moments_step,
                average.averaged(state),
                labels["batch_stats"],
                train,
                config,
                epoch,
            )
            state = average.with_statistics(state, fresh.batch_stats)
        shown = average.averaged(state)
        seconds = time.perf_counter() - start
        logits = predict_split(
            eval_step,
            shown.params,
            shown.batch_stats,
            validation,
            config.batch_size,
            name="validation",
        )
        row = {
            "epoch": epoch + 1,
            "step": (epoch + 1) * steps,
            **_named("train", totals),
            **_named("validation", totals_of(logits, validation.labels)),
            "seconds": seconds,
            "images_per_second": float(totals.accuracy.count) / seconds,
        }
        history.append(row)
        best = best_epoch(history) == epoch + 1
        checkpoints.save(parallel.unreplicate(state), labels, history, best=best)
        writer.write_scalars(row["step"], {k: v for k, v in row.items() if "/" in k})
        writer.flush()
        print(_sentence(row, best))
    writer.close()
    last = parallel.unreplicate(state)
    after = {"params": last.params, "batch_stats": last.batch_stats}
    print(optim.audit(labels, variables, after))
    return history


def best_epoch(history: list[dict[str, Any]]) -> int:
    """The number, from 1, of the first epoch with the highest validation accuracy."""
    return int(np.argmax([row["validation/accuracy"] for row in history])) + 1


def class_weights(split: Split, rule: str) -> np.ndarray:
    """Factors of the images' losses, float32 [C].

    'none' is 1 everywhere; 'balanced' is n / (classes * n_class), scikit-learn's rule.
    """
    if rule == "none":
        return np.ones(len(CLASSES), np.float32)
    counts = split.class_counts()
    if not counts.all():
        raise UserError(
            expected="training images of every class for class_weights='balanced'",
            found=f"none of {', '.join(c for c, n in zip(CLASSES, counts, strict=True) if not n)}",
            fix="add images of that class, or set class_weights='none'",
        )
    return (counts.sum() / (len(CLASSES) * counts)).astype(np.float32)


def _finished(history: list[dict[str, Any]], config: ConfigDict) -> bool:
    """Whether the last epoch is done, or patience is over."""
    if len(history) >= config.epochs:
        return True
    if not history or not config.patience:
        return False
    return len(history) - best_epoch(history) >= config.patience


def _train_epoch(
    step: Callable[..., Any],
    state: TrainState,
    split: Split,
    config: ConfigDict,
    epoch: int,
    report: Callable[[int], Any],
) -> tuple[TrainState, Totals]:
    """Runs one epoch, numbered from 0; returns the state and the sums over its images."""
    totals, pending = Totals.of(), []
    steps = steps_per_epoch(len(split), config.batch_size, config.steps_per_epoch)
    batches: Iterator[Batch | MixedBatch] = epoch_batches(
        split, config.batch_size, seed=config.seed, epoch=epoch, steps=config.steps_per_epoch
    )
    if mixing_of(config):
        batches = with_partners(batches, split, config.seed, epoch)
    bar = tqdm(
        total=min(len(split), steps * config.batch_size),
        desc=f"epoch {epoch + 1}/{config.epochs}",
        unit="img",
        bar_format=_BAR,
        disable=None,
        leave=False,
    )
    looked = time.perf_counter()
    with bar:
        for number, batch in enumerate(batches, 1):
            state, sums = step(state, parallel.shard(batch), epoch)
            pending.append(sums)
            if number == steps or time.perf_counter() - looked > _REFRESH:
                for sums in map(parallel.unreplicate, pending):
                    totals = totals.merge(Totals.of(**sums))
                values = {name: float(value) for name, value in totals.compute().items()}
                _refuse_nonfinite(values["loss"], epoch, config)
                bar.update(int(totals.accuracy.count) - bar.n)
                shown = {name: f"{value:.3f}" for name, value in values.items()}
                bar.set_postfix(shown | {"run left": _time_left(bar, epoch, config.epochs)})
                report(epoch * steps + number)
                pending, looked = [], time.perf_counter()
    return state, totals


def _time_left(bar: tqdm, epoch: int, epochs: int) -> str:
    """Until the last epoch, at the pace of this one."""
    elapsed = bar.format_dict["elapsed"]
    total = bar.total or 1
    images = total - bar.n + (epochs - epoch - 1) * total
    return tqdm.format_interval(int(elapsed * images / max(bar.n, 1)))


def _refuse_nonfinite(loss: float, epoch: int, config: ConfigDict) -> None:
    if not np.isfinite(loss):
        raise UserError(
            expected="a finite training loss",
            found=f"{loss} in epoch {epoch + 1}",
            fix=f"lower learning_rate (now {config.learning_rate:g}), or set dtype='float32' if it "
            "is not; the epochs before are saved, and the same command goes on from them",
        )


def _named(split: str, totals: Totals) -> dict[str, float]:
    return {f"{split}/{name}": float(value) for name, value in totals.compute().items()}


def _sentence(row: dict[str, Any], best: bool) -> str:
    values = "  ".join(
        f"{split} loss {row[f'{split}/loss']:.4f} accuracy {row[f'{split}/accuracy']:.4f}"
        for split in ("train", "validation")
    )
    pace = f"{row['seconds']:.0f} s ({row['images_per_second']:.0f} images/s)"
    return f"epoch {row['epoch']:>2}  {values}  {pace}{'  best so far' if best else ''}"
