"""The training loop: epochs of steps, validation, the best checkpoint, early stopping."""

import contextlib
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from clu import parameter_overview
from ml_collections import ConfigDict

from faceemo.data.pipeline import Split, steps_per_epoch
from faceemo.data.votes import targets
from faceemo.train import (
    build_steps,
    feature_cache,
    freezing,
    interrupt,
    parallel,
    run_log,
)
from faceemo.train.batch_stats import recalibrate_batch_stats
from faceemo.train.checkpoint import event_files
from faceemo.train.checkpoint.checkpoints import Checkpoints
from faceemo.train.checkpoint.clu_modules import import_clu
from faceemo.train.checkpoint.lock import lock_workdir
from faceemo.train.checkpoint.progress import (
    Progress,
    best_epoch,
    explain_end,
    explain_finished,
    is_finished,
)
from faceemo.train.checks import collapse, dead_features, watchdog
from faceemo.train.distillation import Distillation
from faceemo.train.ema import replace_batch_stats, use_ema
from faceemo.train.epoch import open_batches, train_epoch
from faceemo.train.freezing import TRAIN
from faceemo.train.metrics import Totals, compute_recalls
from faceemo.train.optimizer import Rate, make_schedule
from faceemo.train.predict_split import predict_split
from faceemo.train.programs import stored_steps
from faceemo.train.start import Start
from faceemo.train.state import TrainState

# Draws pictures of an epoch, uint8 [H, W, 3] by name, from its number and the logits of validation.
DrawEpoch = Callable[[int, np.ndarray], Mapping[str, np.ndarray]]


def fit(
    config: ConfigDict,
    start: Start,
    splits: dict[str, Split],
    checkpoints: Checkpoints,
    workdir: Path,
    distillation: Distillation | None = None,
    draw_epoch: DrawEpoch | None = None,
) -> list[dict[str, Any]]:
    """Trains until the last epoch, or until validation accuracy has stopped growing.

    Resumes from `checkpoints` at exactly the next image. The state is saved after every epoch and
    after every `checkpoint_every_steps` steps, and the weights as well if their validation accuracy
    is the best so far.

    Args:
        config: The run's configuration.
        start: The network with its initial variables.
        splits: 'train' and 'validation'.
        checkpoints: The checkpoints in `workdir`.
        workdir: The run's folder, into which metrics are written for TensorBoard.
        distillation: The teachers, or None.
        draw_epoch: Draws the pictures that TensorBoard shows of each epoch that is the best so far,
            or None.

    Returns:
        The history: one row per epoch with 'epoch' (from 1), 'step', 'train/loss',
        'train/accuracy' (both during training, on augmented images; see `faceemo.train.metrics`),
        'train/learning_rate' (the head's, in the last step), 'train/gradient_norm' (mean over the
        steps, before clipping), 'validation/loss', 'validation/accuracy', 'recall/CLASS' (on
        validation), 'seconds' and 'images_per_second' (of training), and 'warning' if there is one.
        Epochs that an older version of faceemo trained lack some of these.

    Raises:
        UserError: If the data does not fit, votes are missing, a loss, gradient or logit is not
            finite, or another run is training in `workdir`.
        Stopped: If SIGTERM or SIGINT asked for it; the state is saved.
    """
    with lock_workdir(workdir):
        return _fit(config, start, splits, checkpoints, workdir, distillation, draw_epoch)


def _fit(
    config: ConfigDict,
    start: Start,
    splits: dict[str, Split],
    checkpoints: Checkpoints,
    workdir: Path,
    distillation: Distillation | None,
    draw_epoch: DrawEpoch | None,
) -> list[dict[str, Any]]:
    model, train = start.model, splits["train"]
    targets.refuse_missing(config, train)
    for name in ("train", "validation"):
        watchdog.refuse_wrong_labels(splits[name], splits[name].classes, model.num_classes, name)
    variable_labels = freezing.label_variables(model, start.variables)
    _describe(config, start, workdir)
    steps = steps_per_epoch(len(train), config.batch_size, config.steps_per_epoch)
    schedule = make_schedule(config, steps)
    optimizer = build_steps.build_optimizer(config, schedule, model, variable_labels)
    state = build_steps.build_state(config, start.variables, optimizer, variable_labels)
    progress = Progress()
    watchdog.refuse_unlike_pixels(splits, state, start, config.augmentation)

    finished = None
    checkpoints.save_frozen(start.variables, variable_labels)
    if (stored := checkpoints.restore_latest(state)) is not None:
        state, progress = stored
        finished = explain_finished(progress.history, config, workdir)
        print(finished or _format_resumption(progress, steps))
    step = int(state.step)
    state = parallel.replicate(state)

    setup = feature_cache.Setup(model, start.preprocessing, splits)
    constant = 0.0
    if not is_finished(progress.history, config):
        constant = dead_features.measure(config, start, train)
        if stored is None:
            dead_features.refuse(config, start, constant)
        setup = feature_cache.cache_features(config, start, splits)
    train, validation = setup.splits["train"], setup.splits["validation"]
    train_step = build_steps.build_train_step(
        config, setup.model, optimizer, variable_labels, setup.preprocessing, train, distillation
    )
    if distillation is None:  # a teacher's weights are a part of the program
        weights = build_steps.compute_class_weights(train, config.class_weights)
        facts = (config.to_json(sort_keys=True), setup.model, setup.preprocessing, weights, steps)
        train_step = stored_steps.store(train_step, "train", *facts)
    eval_step = build_steps.build_eval_step(setup.model, setup.preprocessing)
    moments_step = build_steps.build_moments_step(
        config, model, variable_labels, start.preprocessing
    )
    moving = (
        TRAIN in jax.tree.leaves(variable_labels["batch_stats"]) and config.bn_policy == "keras"
    )

    def save(state: TrainState, progress: Progress, *, best: bool = False) -> None:
        checkpoints.save(parallel.unreplicate(state), variable_labels, progress, best=best)

    writer = event_files.open_writer(workdir, config, step)
    report = import_clu("periodic_actions").ReportProgress(
        num_train_steps=steps * config.epochs, writer=writer, every_secs=30
    )
    warned = False
    with (
        contextlib.closing(writer),
        interrupt.catch_signals() as stop_requested,
        open_batches(train, config, progress) as batches,
    ):

        def stop_if_requested() -> None:
            if stop_requested():
                save(state, progress)
                raise interrupt.Stopped

        while not is_finished(progress.history, config):
            epoch = len(progress.history)
            state, progress = train_epoch(
                train_step,
                state,
                progress,
                train,
                batches,
                config,
                save=save,
                stop_requested=stop_requested,
                report=report,
            )
            began = time.perf_counter() - progress.seconds
            if moments_step is not None:
                batch_stats = recalibrate_batch_stats(
                    _run_before(stop_if_requested, moments_step),
                    use_ema(state),
                    variable_labels["batch_stats"],
                    train,
                    config,
                    epoch,
                )
                state = replace_batch_stats(state, batch_stats)
            seconds = time.perf_counter() - began
            validated = use_ema(state)
            logits = predict_split(
                _run_before(stop_if_requested, eval_step),
                validated.params,
                validated.batch_stats,
                validation,
                config.batch_size,
                name="validation",
            )
            watchdog.refuse_nonfinite_logits(logits, epoch + 1, config, moving=moving)
            recalls = compute_recalls(logits, validation.labels, validation.classes)
            row = {
                "epoch": epoch + 1,
                "step": (epoch + 1) * steps,
                **_name_metrics("train", progress.totals),
                "train/learning_rate": _rate_of_step(schedule, (epoch + 1) * steps),
                **_name_metrics("validation", Totals.from_logits(logits, validation.labels)),
                **{f"recall/{name}": recall for name, recall in recalls.items()},
                "seconds": seconds,
                "images_per_second": float(progress.totals.accuracy.count) / seconds,
            }
            if math.isfinite(norm := progress.gradient_norms / steps):
                row["train/gradient_norm"] = norm
            warning = collapse.detect_collapse(
                logits,
                validation.labels,
                train.classes,
                train_accuracy=row["train/accuracy"],
                train_loss=None if distillation else row["train/loss"],
                constant_features=constant,
                moving=moving,
            )
            if warning:
                row["warning"] = warning
            progress = Progress((*progress.history, row))
            best = best_epoch(progress.history) == epoch + 1
            # Before the checkpoint: a resumed run removes what its checkpoint does not contain.
            writer.write_scalars(row["step"], {k: v for k, v in row.items() if "/" in k})
            if best and draw_epoch and parallel.is_first():
                writer.write_images(row["step"], draw_epoch(epoch + 1, logits))
            writer.flush()
            save(state, progress, best=best)
            print(_format_row(row, best))
            if warning and not warned:
                run_log.warn(f"{warning}. Later epochs with this fault are marked 'collapsed'")
                warned = True
    if finished is None:
        print(explain_end(progress.history, config))
    last = parallel.unreplicate(state)
    after = {"params": last.params, "batch_stats": last.batch_stats}
    print(freezing.audit(variable_labels, start.variables, after))
    return list(progress.history)


def _describe(config: ConfigDict, start: Start, workdir: Path) -> None:
    """Prints what trains, and writes tables of the blocks and of all parameters."""
    model, params = start.model, start.variables["params"]
    plan = freezing.make_plan(model, params, start.variables["batch_stats"])
    print(freezing.summarise_plan(plan))
    with run_log.details():
        print(freezing.format_plan(plan))
        if config.layer_decay != 1:
            print(freezing.format_rates(model, config.learning_rate, config.layer_decay))
        if parallel.is_first():
            overview = workdir / "parameters.txt"
            overview.write_text(f"{parameter_overview.get_parameter_overview(params)}\n")
            print(f"every parameter with its shape: {overview}")


def _run_before(action: Callable[[], None], step: Callable[..., Any]) -> Callable[..., Any]:
    """Wraps `step` so that every call runs `action` first."""

    def call(*args: Any) -> Any:
        action()
        return step(*args)

    return call


def _name_metrics(split: str, totals: Totals) -> dict[str, float]:
    return {f"{split}/{name}": float(value) for name, value in totals.compute().items()}


def _rate_of_step(schedule: Rate, number: int) -> float:
    """Returns the learning rate that the step with this number, from 1, was taken with."""
    return float(schedule(jnp.int32(number - 1)) if callable(schedule) else schedule)


def _format_row(row: dict[str, Any], best: bool) -> str:
    values = "  ".join(
        f"{split} loss {row[f'{split}/loss']:.4f} accuracy {row[f'{split}/accuracy']:.4f}"
        for split in ("train", "validation")
    )
    pace = f"{row['seconds']:.0f} s ({row['images_per_second']:.0f} images/s)"
    remarks = "  best so far" * best + "  collapsed" * ("warning" in row)
    return f"epoch {row['epoch']:>2}  {values}  {pace}{remarks}"


def _format_resumption(progress: Progress, steps: int) -> str:
    """Formats from where a run goes on, in one line."""
    done = len(progress.history)
    if not progress.batch:
        return f"continues after epoch {done}"
    return f"continues inside epoch {done + 1}, after {progress.batch} of its {steps} steps"
