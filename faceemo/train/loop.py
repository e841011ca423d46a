"""The training loop: epochs of steps, validation, the best checkpoint, early stopping."""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
from clu import parameter_overview
from ml_collections import ConfigDict

from faceemo.data.pipeline import Split, steps_per_epoch
from faceemo.models import Model
from faceemo.models.preprocessing import Preprocessing
from faceemo.train import build_steps, feature_cache, freezing, interrupt, parallel, watchdog
from faceemo.train.checkpoint.checkpoints import Checkpoints
from faceemo.train.checkpoint.progress import Progress, best_epoch, finished
from faceemo.train.distillation import Teaching
from faceemo.train.ema import averaged, with_statistics
from faceemo.train.epoch import train_epoch
from faceemo.train.freezing import TRAIN
from faceemo.train.lock import claimed
from faceemo.train.metrics import Totals, totals_of
from faceemo.train.predict_split import predict_split
from faceemo.train.recalibrate import recalibrated
from faceemo.train.schedule import make_schedule
from faceemo.train.state import TrainState


def fit(
    config: ConfigDict,
    model: Model,
    variables: dict[str, Any],
    preprocessing: Preprocessing,
    splits: dict[str, Split],
    checkpoints: Checkpoints,
    workdir: Path,
    teaching: Teaching | None = None,
) -> list[dict[str, Any]]:
    """Trains until the last epoch or until validation accuracy has stopped growing.

    Goes on where `checkpoints` stand, to the very image. After every epoch, and every
    `checkpoint_every_steps`, the state is saved, and the weights too if their validation accuracy
    is the best so far.

    Args:
        config: of the run.
        model: of `faceemo.models.build`.
        variables: initial {'params', 'batch_stats'}.
        preprocessing: that belongs to the initial weights.
        splits: 'train' and 'validation'.
        checkpoints: of `workdir`.
        workdir: where metrics are written.
        teaching: of `faceemo.train.distillation.teaching_of`.

    Returns:
        the history: one row per epoch with 'epoch' (from 1), 'step', 'train/loss',
        'train/accuracy' (both as training went on, augmented), 'validation/loss',
        'validation/accuracy', 'seconds' and 'images_per_second' (of training), and 'warning' where
        there is one.

    Raises:
        UserError: if the data does not fit, a loss, gradient or answer is not finite, or another
            run is training in `workdir`.
        Stopped: if SIGTERM or SIGINT asked to; what was done is saved.
    """
    with claimed(workdir):
        return _fit(config, model, variables, preprocessing, splits, checkpoints, workdir, teaching)


def _fit(
    config: ConfigDict,
    model: Model,
    variables: dict[str, Any],
    preprocessing: Preprocessing,
    splits: dict[str, Split],
    checkpoints: Checkpoints,
    workdir: Path,
    teaching: Teaching | None = None,
) -> list[dict[str, Any]]:
    # They bring TensorFlow along, which nothing but the writer needs.
    from clu import metric_writers, periodic_actions

    train = splits["train"]
    for name in ("train", "validation"):
        watchdog.refuse_foreign_labels(splits[name], splits[name].classes, model.num_classes, name)
    labels = build_steps.labels_of(model, variables)
    _describe(config, model, variables, workdir)
    steps = steps_per_epoch(len(train), config.batch_size, config.steps_per_epoch)
    optimizer = build_steps.optimizer_of(config, make_schedule(config, steps), model, labels)
    state, progress = build_steps.first_state(config, variables, optimizer, labels), Progress()
    watchdog.refuse_unlike_pixels(splits, state, model, preprocessing, config.augmentation)

    checkpoints.save_frozen(variables, labels)
    if (stored := checkpoints.restore_latest(state)) is not None:
        state, progress = stored
        place = f", batch {progress.batch} of the next" if progress.batch else ""
        print(f"continues after epoch {len(progress.history)}{place}")
    state = parallel.replicate(state)

    shown = feature_cache.Stage(model, preprocessing, splits)
    if not finished(progress.history, config.epochs, config.patience):
        shown = feature_cache.stage(config, model, variables, preprocessing, splits)
    train, validation = shown.splits["train"], shown.splits["validation"]
    train_step = build_steps.training_step(
        config, shown.model, optimizer, labels, shown.preprocessing, train, teaching
    )
    eval_step = build_steps.evaluation_step(shown.model, shown.preprocessing)
    moments_step = build_steps.moments_step(config, model, labels, preprocessing)

    moving = TRAIN in jax.tree.leaves(labels["batch_stats"]) and config.bn_policy == "keras"

    def save(state: TrainState, progress: Progress, *, best: bool = False) -> None:
        checkpoints.save(parallel.unreplicate(state), labels, progress, best=best)

    writer = metric_writers.create_default_writer(
        workdir / "metrics", just_logging=not parallel.is_first(), asynchronous=False
    )
    report = periodic_actions.ReportProgress(
        num_train_steps=steps * config.epochs, writer=writer, every_secs=30
    )
    with interrupt.requests() as asked:

        def pause() -> None:
            if asked():
                save(state, progress)
                raise interrupt.Stopped

        while not finished(progress.history, config.epochs, config.patience):
            epoch = len(progress.history)
            state, progress = train_epoch(
                train_step,
                state,
                progress,
                train,
                config,
                save=save,
                asked=asked,
                report=report,
            )
            began = time.perf_counter() - progress.seconds
            if moments_step is not None:
                fresh = recalibrated(
                    _after(pause, moments_step),
                    averaged(state),
                    labels["batch_stats"],
                    train,
                    config,
                    epoch,
                )
                state = with_statistics(state, fresh.batch_stats)
            seconds = time.perf_counter() - began
            validated = averaged(state)
            logits = predict_split(
                _after(pause, eval_step),
                validated.params,
                validated.batch_stats,
                validation,
                config.batch_size,
                name="validation",
            )
            watchdog.refuse_nonfinite_answers(logits, epoch + 1, config, moving=moving)
            row = {
                "epoch": epoch + 1,
                "step": (epoch + 1) * steps,
                **_named("train", progress.totals),
                **_named("validation", totals_of(logits, validation.labels)),
                "seconds": seconds,
                "images_per_second": float(progress.totals.accuracy.count) / seconds,
            }
            warning = watchdog.collapse(
                logits,
                validation.labels,
                train.classes,
                train_accuracy=row["train/accuracy"],
                moving=moving,
            )
            if warning:
                row["warning"] = warning
            # Before the checkpoint: a row that is written twice is the same, a lost one is lost.
            writer.write_scalars(row["step"], {k: v for k, v in row.items() if "/" in k})
            writer.flush()
            progress = Progress((*progress.history, row))
            best = best_epoch(progress.history) == epoch + 1
            save(state, progress, best=best)
            print(_sentence(row, best))
            if warning:
                print(f"warning: {warning}", file=sys.stderr)
    writer.close()
    last = parallel.unreplicate(state)
    after = {"params": last.params, "batch_stats": last.batch_stats}
    print(freezing.audit(labels, variables, after))
    return list(progress.history)


def _describe(config: ConfigDict, model: Model, variables: dict[str, Any], workdir: Path) -> None:
    """Says what trains, and writes down every parameter."""
    plan = freezing.freeze_plan(model, variables["params"], variables["batch_stats"])
    print(freezing.format_plan(plan))
    if config.layer_decay != 1:
        print(freezing.format_rates(model, config.learning_rate, config.layer_decay))
    if parallel.is_first():
        overview = workdir / "parameters.txt"
        table = parameter_overview.get_parameter_overview(variables["params"])
        overview.write_text(f"{table}\n")
        print(f"every parameter with its shape: {overview}")


def _after(pause: Callable[[], None], step: Callable[..., Any]) -> Callable[..., Any]:
    """`step` with a `pause` before every call."""

    def call(*args: Any) -> Any:
        pause()
        return step(*args)

    return call


def _named(split: str, totals: Totals) -> dict[str, float]:
    return {f"{split}/{name}": float(value) for name, value in totals.compute().items()}


def _sentence(row: dict[str, Any], best: bool) -> str:
    values = "  ".join(
        f"{split} loss {row[f'{split}/loss']:.4f} accuracy {row[f'{split}/accuracy']:.4f}"
        for split in ("train", "validation")
    )
    pace = f"{row['seconds']:.0f} s ({row['images_per_second']:.0f} images/s)"
    return f"epoch {row['epoch']:>2}  {values}  {pace}{'  best so far' if best else ''}"
