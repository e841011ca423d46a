"""The evaluation of a run's best weights: predictions, report, summary, and what is printed."""

import dataclasses
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from ml_collections import ConfigDict

from faceemo import data
from faceemo.analysis import card, slices, vote_scores
from faceemo.analysis.predictions import Predictions, compute_scores
from faceemo.analysis.probabilities import softmax
from faceemo.analysis.report import report
from faceemo.analysis.report.failures import GalleryExtras
from faceemo.analysis.saliency import gradcam
from faceemo.config import SPLITS
from faceemo.config.field_words import spell
from faceemo.data.ledger import ledger
from faceemo.data.ledger.rules import Rules
from faceemo.data.pipeline import Split
from faceemo.data.source import source_paths
from faceemo.errors import UserError
from faceemo.models import Model
from faceemo.models.preprocessing import Preprocessing
from faceemo.train import freezing, parallel, run_log
from faceemo.train.build_steps import build_eval_step
from faceemo.train.checkpoint import event_files
from faceemo.train.checkpoint.checkpoints import Checkpoints
from faceemo.train.checkpoint.provenance import check_inherited_images
from faceemo.train.predict_split import predict_split


class Evaluation(NamedTuple):
    """Predictions of the best weights on a split.

    Attributes:
        predictions: The predictions.
        best_epoch: The epoch, from 1, that the weights come from.
        heat: Function that computes heatmaps, see `gradcam.make_heat`.
    """

    predictions: Predictions
    best_epoch: int
    heat: Callable[[np.ndarray, np.ndarray], np.ndarray]


def evaluate_best(
    config: ConfigDict,
    model: Model,
    preprocessing: Preprocessing,
    checkpoints: Checkpoints,
    split: Split,
    name: str,
) -> Evaluation:
    """Restores the best weights and predicts a split with them.

    Args:
        config: The run's configuration.
        model: The network.
        preprocessing: Its preprocessing.
        checkpoints: The run's checkpoints.
        split: The images.
        name: Name of the split, 'validation' or 'test'.

    Raises:
        UserError: If the split has no images, or no intact checkpoint is left.
    """
    _refuse_empty(split, name)
    variables, history = checkpoints.restore_best()
    predictions = predict(model, preprocessing, variables, split, name, config.batch_size)
    heat = gradcam.make_heat(model, preprocessing, variables)
    return Evaluation(predictions, len(history), heat)


def _refuse_empty(split: Split, name: str) -> None:
    if name not in SPLITS or not len(split):
        raise UserError(
            expected=f"images in the {name} split",
            found="none",
            fix="evaluate on another --split; if the source has no such split, a new run with "
            f"{spell('test_share', 0.1)} sets some of its training images aside",
        )


def match_groups(
    columns: dict[str, dict[str, str]] | None, config: ConfigDict, images: Split, split: str
) -> dict[str, dict[str, str]] | None:
    """Finds the images of a user's file of groups (`slices.match_columns`), if there is one.

    Args:
        columns: The user's groups (`slices.read_columns`), or None.
        config: The run's configuration.
        images: The images of the split.
        split: Name of the split, 'validation' or 'test'.

    Raises:
        UserError: If a column names none of the images, or there are none.
    """
    if columns is None:
        return None
    _refuse_empty(images, split)
    names, _ = source_paths.name_in_source(data.dataset_root(config), images.paths)
    return slices.match_columns(columns, images.paths, names, split)


def predict(
    model: Model,
    preprocessing: Preprocessing,
    variables: dict[str, Any],
    split: Split,
    name: str,
    batch_size: int,
) -> Predictions:
    """Predicts a split.

    Args:
        model: The network.
        preprocessing: Its preprocessing.
        variables: {'params', 'batch_stats'}.
        split: The images.
        name: Name of the split, 'validation' or 'test'.
        batch_size: Number of images that are predicted at a time.

    Raises:
        UserError: If the split has no images.
    """
    _refuse_empty(split, name)
    print(f"measures    the best weights on the {len(split):,} {name} images")
    copies = parallel.replicate(variables)
    step = build_eval_step(model, preprocessing)
    logits = predict_split(
        step, copies["params"], copies["batch_stats"], split, batch_size, name=name
    )
    return make_predictions(logits, split)


def make_predictions(logits: np.ndarray, split: Split) -> Predictions:
    """Makes predictions on a split from logits float32 [N, C]."""
    probabilities = softmax(logits)
    return Predictions(
        probabilities, split.labels, split.paths, split.images, split.classes, votes=split.votes
    )


def write_report(
    config: ConfigDict,
    workdir: Path,
    split: str,
    evaluated: Evaluation,
    history: list[dict[str, Any]],
    summary: dict[str, Any],
    fitted: dict[str, Any] | None,
    columns: dict[str, dict[str, str]] | None = None,
) -> Path:
    """Writes the report on a split and, if the run is finished, the card; returns the page."""
    print("draws       the report")
    root = data.dataset_root(config)
    rows = ledger.read(root)
    names, named_in = source_paths.name_in_source(root, evaluated.predictions.paths)
    predictions = dataclasses.replace(evaluated.predictions, names=names)
    cuts = slices.make_groupings(predictions, rows, Rules.from_config(config), split, columns)
    if predictions.votes:
        cuts.append(vote_scores.group_by_agreement(predictions.votes))
    label_scores = {row.path: row.label_score for row in rows if row.label_score is not None}
    page = report.write(
        workdir / "report" / split,
        split=split,
        predictions=predictions,
        history=history,
        summary=summary,
        slices=slices.score_slices(predictions, cuts),
        fitted=fitted,
        extras=GalleryExtras(label_scores, evaluated.heat, named_in),
    )
    if (workdir / "summary.json").is_file():  # There is none yet if training was stopped.
        print(f"card        {card.write(workdir, root)}")
    return page


def summarise(
    model: Model,
    recipe: dict[str, Any],
    history: list[dict[str, Any]],
    best: int,
    predictions: Predictions,
) -> dict[str, Any]:
    """Makes the contents of summary.json, without the calibration.

    Args:
        model: The network.
        recipe: The run's record, see `make_recipe`.
        history: One row per epoch.
        best: Number of the best epoch, from 1.
        predictions: Predictions of the best weights on validation.
    """
    variables = model.shapes()
    rows = freezing.make_plan(model, variables["params"], variables["batch_stats"])
    result = compute_scores(predictions)
    trainable = sum(row["trained"] for row in rows)
    config = recipe["config"]
    warnings = _gather_warnings(history)
    if warning := check_inherited_images(recipe):
        warnings["origin"] = warning
    return {
        "arch": config["arch"],
        "variant": config["variant"],
        "val_accuracy": result["accuracy"],
        "val_accuracy_interval": result["accuracy_interval"],
        "val_macro_f1": result["macro_f1"],
        "val_loss": result["loss"],
        **_summarise_votes(predictions),
        "train_accuracy": history[best - 1]["train/accuracy"],
        "majority_baseline": result["majority_baseline"],
        "best_epoch": best,
        "epochs_run": len(history),
        "params_total": trainable + sum(row["frozen"] for row in rows),
        "params_trainable": trainable,
        "seconds": sum(row["seconds"] for row in history),
        "seed": config["seed"],
        "devices": jax.device_count(),
        "platform": jax.default_backend(),
        **({"warnings": warnings} if warnings else {}),
        **recipe,
    }


def _summarise_votes(predictions: Predictions) -> dict[str, Any]:
    """Returns the accuracies against votes and against labels, where there are both."""
    scores = vote_scores.score_votes(predictions)
    if scores is None:
        return {}
    return {
        f"val_accuracy_{kind}{end}": scores[kind][f"accuracy{end}"]
        for kind in ("majority", "label")
        if scores[kind]
        for end in ("", "_interval")
    }


def _gather_warnings(history: list[dict[str, Any]]) -> dict[str, str]:
    """Returns the first warning of the epochs by its epoch, with the numbers of the others."""
    warned = [row for row in history if "warning" in row]
    if not warned:
        return {}
    first, *others = warned
    numbers = ", ".join(str(row["epoch"]) for row in others)
    also = f" (also in epoch{'s' * (len(others) > 1)} {numbers})" if others else ""
    return {f"epoch {first['epoch']}": f"{first['warning']}{also}"}


def print_result(split: str, predictions: Predictions) -> None:
    """Prints the scores on a split beside the majority baseline."""
    result = compute_scores(predictions)
    low, high = result["accuracy_interval"]
    print(
        f"{split}: accuracy {result['accuracy']:.4f} (95% interval {low:.4f} to {high:.4f}), "
        f"macro-F1 {result['macro_f1']:.4f}, {result['images']} images; always predicting "
        f"'{result['majority_class']}' gives {result['majority_baseline']:.4f}"
    )
    for line in vote_scores.describe(predictions):
        print(f"{split}: {line}")


def print_places(workdir: Path, page: Path) -> None:
    """Prints where a run's results are."""
    places = {
        "summary": workdir / "summary.json",
        "checkpoint": workdir / "best",
        "log": workdir / run_log.NAME,
    }
    print(f"report      {page}")
    for name, path in places.items():
        if path.exists():
            print(f"{name:<11} {path}")
    if files := event_files.list_event_files(workdir):
        print(f"metrics     {files[-1]}")
        print(f"            {shlex.join(['tensorboard', '--logdir', str(_log_folder(workdir))])}")


def _log_folder(workdir: Path) -> Path:
    """Returns the folder that TensorBoard should read.

    Of a run in `checkpoints/` it is the folder above, so that TensorBoard shows all runs by their
    names. Another folder may hold much besides the run, so it is the run's own there.
    """
    return workdir.parent if "checkpoints" in workdir.parent.parts else workdir
