"""What the command does, each from a configuration to files on disk."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import scipy.special
from ml_collections import ConfigDict

from faceemo import data, models, staging
from faceemo.analysis import calibration, card, slices
from faceemo.analysis.predictions import Predictions, classification_report, compute_scores
from faceemo.analysis.report import report
from faceemo.analysis.report.failures import GalleryExtras
from faceemo.analysis.report.range_test import draw_range_test
from faceemo.analysis.saliency import gradcam
from faceemo.analysis.theme import style
from faceemo.config import SPLITS, classes_of
from faceemo.data.ledger import ledger, rules
from faceemo.data.pipeline import Split
from faceemo.errors import UserError
from faceemo.experiments import held_out
from faceemo.models import Model
from faceemo.models.preprocessing import Preprocessing
from faceemo.train import freezing, loop, parallel
from faceemo.train.batch_stats import settled
from faceemo.train.checkpoint.checkpoints import Checkpoints, recipe_of
from faceemo.train.checkpoint.progress import finished
from faceemo.train.checkpoint.provenance import inherited_images, make_recipe
from faceemo.train.checkpoint.temperature import read_calibration
from faceemo.train.distillation import teaching_of
from faceemo.train.lr_find import range_test
from faceemo.train.predict_split import predict_split
from faceemo.train.steps import make_eval_step


def plan(config: ConfigDict) -> None:
    """Prints what trains and what is frozen; needs neither data nor weights."""
    model = models.build(config, len(classes_of(config)))
    variables = model.shapes()
    rows = freezing.freeze_plan(model, variables["params"], variables["batch_stats"])
    print(freezing.format_plan(rows))
    if config.layer_decay != 1:
        print(freezing.format_rates(model, config.learning_rate, config.layer_decay))


def train(config: ConfigDict, workdir: Path) -> dict[str, Any]:
    """Trains or goes on, reports on validation, and writes and returns the summary.

    Returns:
        what `workdir/summary.json` holds.
    """
    model = models.build(config, len(classes_of(config)))
    # Before the data, which may take long: a missing file of weights is said at once.
    variables, preprocessing, source = models.load_weights(
        model, model.init(config.seed), config.weights
    )
    teaching = teaching_of(config, classes_of(config))
    splits = data.load(config)
    variables = settled(config, model, variables, preprocessing, splits["train"])
    if parallel.is_first():
        workdir.mkdir(parents=True, exist_ok=True)
    teachers = [teacher.record() for teacher in teaching.teachers] if teaching else []
    recipe = make_recipe(config, preprocessing, source, splits, teachers)
    if (warning := inherited_images(recipe)) and parallel.is_first():
        print(f"warning: {warning}", file=sys.stderr)
    checkpoints = Checkpoints(workdir, recipe)
    if checkpoints.has_ended():
        history = checkpoints.history()
        _refuse_to_go_on(config, history, workdir)
    else:
        history = loop.fit(
            config, model, variables, preprocessing, splits, checkpoints, workdir, teaching
        )
        checkpoints.record(history)
    answered = _predict(
        config, model, preprocessing, checkpoints, splits["validation"], "validation"
    )
    summary = _summary(model, recipe, history, answered.best_epoch, answered.predictions)
    if not parallel.is_first():
        return summary
    fitted = calibration.fit(workdir, answered.predictions, answered.best_epoch)
    summary["calibration"] = fitted
    with staging.file(workdir / "summary.json") as partial:
        partial.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    page = _report(config, workdir, "validation", answered, history, summary, fitted)
    _print_result("validation", answered.predictions)
    print(
        f"calibration: temperature {fitted['temperature']:.3f}, expected calibration error "
        f"{fitted['ece_before']:.4f}, {fitted['ece_after']:.4f} with it"
    )
    _print_places(workdir, page)
    return summary


def lr_find(config: ConfigDict, workdir: Path) -> None:
    """Tries learning rates, prints how the loss went, draws it and suggests one."""
    model = models.build(config, len(classes_of(config)))
    variables, preprocessing, _ = models.load_weights(
        model, model.init(config.seed), config.weights
    )
    teaching = teaching_of(config, classes_of(config))
    train = data.load(config)["train"]
    variables = settled(config, model, variables, preprocessing, train)
    test = range_test(config, model, variables, preprocessing, train, teaching)
    subtitle = f"{config.arch}:{config.variant}, {config.image_size} px, batch {config.batch_size}"
    figure = draw_range_test(
        test.rates, test.losses, test.smoothed, test.suggestion, subtitle=subtitle
    )
    picture = workdir / "lr_find.png"
    if parallel.is_first():
        with staging.file(picture) as partial:
            style.save(figure, partial)
    print(test.table())
    print(f"suggestion  --config.learning_rate={test.suggestion:.1e}")
    print(f"picture     {picture}")


def evaluate(config: ConfigDict, workdir: Path, split: str, groups: Path | None = None) -> None:
    """Restores the best epoch of the run in `workdir` and reports on a split.

    That the test split was opened is on record before anything of it is seen.

    Args:
        config: of the run.
        workdir: of the run.
        split: 'validation' or 'test'.
        groups: a CSV that divides the images in further ways (`slices.read_columns`).

    Raises:
        UserError: if there is no such run, or it is one of another configuration.
    """
    columns = slices.read_columns(groups) if groups else None
    recipe = recipe_of(workdir)
    splits = data.load(config)
    preprocessing = Preprocessing.from_dict(recipe["preprocessing"])
    checkpoints = Checkpoints(
        workdir,
        make_recipe(config, preprocessing, recipe["weights"], splits, recipe.get("teachers", ())),
    )
    model = models.build(config, len(classes_of(config)))
    if split == "test" and parallel.is_first():
        held_out.record_opening(workdir)
    answered = _predict(config, model, preprocessing, checkpoints, splits[split], split)
    history = checkpoints.history()
    if not parallel.is_first():
        return
    fitted = read_calibration(workdir, answered.best_epoch)
    if fitted is None and split == calibration.SPLIT:
        fitted = calibration.fit(workdir, answered.predictions, answered.best_epoch)
    summary_file = workdir / "summary.json"
    summary = json.loads(summary_file.read_text()) if summary_file.exists() else recipe
    page = _report(config, workdir, split, answered, history, summary, fitted, columns)
    print(classification_report(answered.predictions))
    _print_result(split, answered.predictions)
    _print_places(workdir, page)


def _print_places(workdir: Path, page: Path) -> None:
    """Where a run's results are."""
    metrics = workdir / "metrics"
    places = {"summary": workdir / "summary.json", "checkpoint": workdir / "best"}
    print(f"report      {page}")
    for name, path in (places | {"metrics": metrics}).items():
        if path.exists():
            print(f"{name:<11} {path}")
    if metrics.exists():
        print(f"            tensorboard --logdir {metrics}")


def open_test(workdir: Path, *, again: bool = False) -> None:
    """Reports on the test split by the best epoch of a finished run, once.

    Args:
        workdir: of the run.
        again: whether to go on though it was opened before.

    Raises:
        UserError: if there is no run, or its test split was opened before.
    """
    recipe = recipe_of(workdir)
    if not again:
        held_out.refuse_reopening(workdir)
    evaluate(ConfigDict(recipe["config"]), workdir, "test")


def _refuse_to_go_on(config: ConfigDict, history: list[dict[str, Any]], workdir: Path) -> None:
    """Of a run that keeps its best weights alone, only what is done already can be asked for."""
    if not finished(history, config.epochs, config.patience):
        raise UserError(
            expected=f"a state in {workdir} from which training can go on after "
            f"{len(history)} epochs",
            found="a finished run that kept its best weights alone, as those of a sweep do",
            fix="give another --workdir (or --root), or remove that folder to train from the start",
        )


class _Answered(NamedTuple):
    predictions: Predictions
    best_epoch: int  # whose weights answered
    heat: Callable[[np.ndarray, np.ndarray], np.ndarray]  # of `gradcam.make_heat`


def _predict(
    config: ConfigDict,
    model: Model,
    preprocessing: Preprocessing,
    checkpoints: Checkpoints,
    split: Split,
    name: str,
) -> _Answered:
    """The best epoch's answers on a split."""
    if name not in SPLITS or not len(split):
        raise UserError(
            expected=f"images in the {name} split",
            found="none",
            fix="evaluate on another --split; if the source has no such split, a new run with "
            "test_share=0.1 sets some of its training images aside",
        )
    variables, history = checkpoints.restore_best()
    copies = parallel.replicate(variables)
    step = parallel.evaluate_on_devices(make_eval_step(model, preprocessing))
    logits = predict_split(
        step, copies["params"], copies["batch_stats"], split, config.batch_size, name=name
    )
    probabilities = scipy.special.softmax(logits, axis=1)
    answers = Predictions(probabilities, split.labels, split.paths, split.images, split.classes)
    heat = gradcam.make_heat(model, preprocessing, variables)
    return _Answered(answers, len(history), heat)


def _report(
    config: ConfigDict,
    workdir: Path,
    split: str,
    answered: _Answered,
    history: list[dict[str, Any]],
    summary: dict[str, Any],
    fitted: dict[str, Any] | None,
    columns: dict[str, dict[str, str]] | None = None,
) -> Path:
    """Writes the report on a split and, of a finished run, the card anew; the report's page."""
    rows = ledger.read(data.dataset_root(config))
    cuts = slices.make_groupings(
        answered.predictions, rows, rules.of_config(config), split, columns
    )
    label_scores = {row.path: row.label_score for row in rows if row.label_score is not None}
    page = report.write(
        workdir / "report" / split,
        split=split,
        predictions=answered.predictions,
        history=history,
        summary=summary,
        slices=slices.score_slices(answered.predictions, cuts),
        fitted=fitted,
        extras=GalleryExtras(label_scores, answered.heat),
    )
    if (workdir / "summary.json").is_file():  # not so where training was stopped after an epoch
        print(f"card        {card.write(workdir, data.dataset_root(config))}")
    return page


def _summary(
    model: Model,
    recipe: dict[str, Any],
    history: list[dict[str, Any]],
    best: int,
    predictions: Predictions,
) -> dict[str, Any]:
    variables = model.shapes()
    rows = freezing.freeze_plan(model, variables["params"], variables["batch_stats"])
    result = compute_scores(predictions)
    trainable = sum(row["trained"] for row in rows)
    config = recipe["config"]
    warnings = {f"epoch {row['epoch']}": row["warning"] for row in history if "warning" in row}
    if warning := inherited_images(recipe):
        warnings["origin"] = warning
    return {
        "arch": config["arch"],
        "variant": config["variant"],
        "val_accuracy": result["accuracy"],
        "val_accuracy_interval": result["accuracy_interval"],
        "val_macro_f1": result["macro_f1"],
        "val_loss": result["loss"],
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


def _print_result(split: str, predictions: Predictions) -> None:
    result = compute_scores(predictions)
    low, high = result["accuracy_interval"]
    print(
        f"{split}: accuracy {result['accuracy']:.4f} (95% interval {low:.4f} to {high:.4f}), "
        f"macro-F1 {result['macro_f1']:.4f}, {result['images']} images; always answering "
        f"'{result['majority_class']}' gives {result['majority_baseline']:.4f}"
    )
