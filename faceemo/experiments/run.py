"""The modes of a run, each from a configuration to results on disk."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from faceemo import data, models, staging
from faceemo.analysis import calibration, slices
from faceemo.analysis.predictions import classification_report
from faceemo.analysis.report import epoch_pictures
from faceemo.analysis.report.range_test import draw_range_test
from faceemo.analysis.theme import style
from faceemo.assets import builtin
from faceemo.config import classes_of
from faceemo.config.field_words import spell
from faceemo.data.ledger import ledger
from faceemo.data.pipeline import Split
from faceemo.errors import UserError
from faceemo.experiments import evaluation, held_out, images_used, load_images, seen_by_builtin
from faceemo.models.preprocessing import Preprocessing
from faceemo.train import loop, parallel, run_log
from faceemo.train.batch_stats import estimate_batch_stats
from faceemo.train.checkpoint import image_terms, libraries, run_folders
from faceemo.train.checkpoint.checkpoints import Checkpoints
from faceemo.train.checkpoint.progress import explain_finished, is_finished
from faceemo.train.checkpoint.provenance import check_inherited_images, make_recipe
from faceemo.train.checkpoint.stored_recipe import (
    find_recipe,
    load_recipe,
    refuse_other_configuration,
)
from faceemo.train.checkpoint.temperature import read_calibration
from faceemo.train.checks import dead_features
from faceemo.train.distillation import make_distillation
from faceemo.train.lr_find import range_test
from faceemo.train.start import Start


def train(config: ConfigDict, workdir: Path) -> dict[str, Any]:
    """Trains or resumes a run, reports on validation, and writes the summary.

    Args:
        config: The run's configuration.
        workdir: The run's folder, which is made if it does not exist.

    Returns:
        The contents of `workdir/summary.json`.
    """
    if not parallel.on_first(run_folders.is_run)(workdir):
        dead_features.refuse_known(config)
    found = find_recipe(workdir)
    config = load_images.replace_automatic(config, found)
    # Before the data, which another configuration would prepare again.
    refuse_other_configuration(workdir, config, found)
    libraries.choose(config, found)
    # Before the data, which may take long, so that missing weights are reported at once.
    start = Start.from_config(config)
    distillation = make_distillation(config, classes_of(config))
    if parallel.is_first():
        staging.make_folder(workdir)
    root = data.dataset_root(config)
    splits = load_images.load(config)
    if parallel.is_first():  # the others print nothing, and their hosts may lack the ledger
        print(*images_used.describe(config, splits, ledger.read(root)), sep="\n")
    start = estimate_batch_stats(config, start, splits["train"])
    teachers = [teacher.to_dict() for teacher in distillation.teachers] if distillation else []
    terms = image_terms.read_own(config, root)
    recipe = make_recipe(config, start.preprocessing, start.source, splits, teachers, terms)
    for line in images_used.describe_origin(recipe):
        print(line)
    warning, note = check_inherited_images(recipe), None
    if warning and parallel.is_first():
        warning, note = _list_seen(warning, recipe, splits, root, workdir)
        if warning:
            run_log.warn(warning)
        else:
            print(f"note        {note}")
    checkpoints = Checkpoints(workdir, recipe)
    if checkpoints.has_only_best():
        history = checkpoints.history()
        _refuse_more_epochs(config, history, workdir)
        print(explain_finished(history, config, workdir))
    else:
        draw_epoch = _make_draw_epoch(config, splits["validation"])
        history = loop.fit(config, start, splits, checkpoints, workdir, distillation, draw_epoch)
        checkpoints.write_history(history)
    evaluated = evaluation.evaluate_best(
        config, start.model, start.preprocessing, checkpoints, splits["validation"], "validation"
    )
    summary = evaluation.summarise(
        start.model, recipe, history, evaluated.best_epoch, evaluated.predictions
    )
    if not parallel.is_first():
        return summary
    fitted = calibration.fit(workdir, evaluated.predictions, evaluated.best_epoch)
    summary["calibration"] = fitted
    if warning:
        summary["warnings"]["origin"] = warning
    elif note:
        del summary["warnings"]["origin"]
        summary["notes"] = {"origin": note}
        if not summary["warnings"]:
            del summary["warnings"]
    with staging.file(workdir / "summary.json") as partial:
        partial.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    page = evaluation.write_report(
        config, workdir, "validation", evaluated, history, summary, fitted
    )
    evaluation.print_result("validation", evaluated.predictions)
    print(calibration.describe(fitted))
    evaluation.print_places(workdir, page)
    return summary


def lr_find(config: ConfigDict, workdir: Path) -> None:
    """Runs a learning-rate range test, prints and draws its losses, and suggests a rate."""
    config = load_images.replace_automatic(config, None)
    libraries.choose(config, None)
    start = Start.from_config(config)
    distillation = make_distillation(config, classes_of(config))
    train = load_images.load(config)["train"]
    start = estimate_batch_stats(config, start, train)
    test = range_test(config, start, train, distillation)
    subtitle = f"{config.arch}:{config.variant}, {config.image_size} px, batch {config.batch_size}"
    figure = draw_range_test(
        test.rates, test.losses, test.smoothed, test.suggestion, subtitle=subtitle
    )
    picture = workdir / "lr_find.png"
    if parallel.is_first():
        with staging.file(picture) as partial:
            style.save(figure, partial)
    print(test.format_table())
    print(f"suggestion  {spell('learning_rate', f'{test.suggestion:.1e}')}")
    print(f"picture     {picture}")


def evaluate(config: ConfigDict, workdir: Path, split: str, groups: Path | None = None) -> None:
    """Restores the best weights of the run in `workdir` and reports on a split.

    The opening of the test split is recorded before any prediction on it.

    Args:
        config: The run's configuration.
        workdir: The run's folder.
        split: 'validation' or 'test'.
        groups: CSV with further columns to group the images by (`slices.read_columns`).

    Raises:
        UserError: If there is no run in `workdir`, or its configuration differs.
    """
    columns = slices.read_columns(groups) if groups else None
    recipe = load_recipe(workdir)
    config = load_images.replace_automatic(config, recipe)
    refuse_other_configuration(workdir, config, recipe)
    libraries.choose(config, recipe)
    splits = load_images.load(config)
    columns = evaluation.match_groups(columns, config, splits[split], split)
    preprocessing = Preprocessing.from_dict(recipe["preprocessing"])
    checkpoints = Checkpoints(
        workdir,
        make_recipe(config, preprocessing, recipe["weights"], splits, recipe.get("teachers", ())),
    )
    model = models.build(config, len(classes_of(config)))
    if split == "test" and parallel.is_first():
        held_out.record_opening(workdir)
    evaluated = evaluation.evaluate_best(
        config, model, preprocessing, checkpoints, splits[split], split
    )
    history = checkpoints.history()
    if not parallel.is_first():
        return
    fitted = read_calibration(workdir, evaluated.best_epoch)
    if fitted is None and split == calibration.SPLIT:
        fitted = calibration.fit(workdir, evaluated.predictions, evaluated.best_epoch)
    summary_file = workdir / "summary.json"
    summary = json.loads(summary_file.read_text()) if summary_file.exists() else recipe
    page = evaluation.write_report(
        config, workdir, split, evaluated, history, summary, fitted, columns
    )
    print(classification_report(evaluated.predictions))
    evaluation.print_result(split, evaluated.predictions)
    evaluation.print_places(workdir, page)


def open_test(workdir: Path, *, again: bool = False) -> None:
    """Reports on the test split, once, with the best weights of a finished run.

    Args:
        workdir: The run's folder.
        again: Whether to report although the test split was opened before.

    Raises:
        UserError: If there is no run, or its test split was opened before.
    """
    recipe = load_recipe(workdir)
    if not again:
        held_out.refuse_reopening(workdir)
    evaluate(ConfigDict(recipe["config"]), workdir, "test")


def _list_seen(
    warning: str, recipe: dict[str, Any], splits: dict[str, Split], root: Path, workdir: Path
) -> tuple[str | None, str | None]:
    """Lists images that `builtin` may have learned in the run's folder; says how many they are.

    Args:
        warning: The warning of `check_inherited_images`.
        recipe: The run's record.
        splits: The run's images.
        root: Folder of the dataset.
        workdir: The run's folder.

    Returns:
        The warning in these terms, and None; or None and a note instead, if the run learns from
        `builtin` alone and no more images are found than chance gives. All runs on the same images
        have the same text.
    """
    scored = [path for name in ("validation", "test") for path in splits[name].paths]
    seen = seen_by_builtin.find_seen(recipe, ledger.read(root), scored)
    if seen is None:
        return warning, None
    seen_by_builtin.write_list(workdir / seen_by_builtin.NAME, seen.rows, root)
    place = f"{seen_by_builtin.NAME} in the run's folder"
    found = seen.describe(place)
    if not seen_by_builtin.is_only_origin(recipe):
        return f"{warning}. {found}", None
    found = f"this run learns from '{builtin.NAME}': {found}"
    return (found, None) if seen.exceeds_chance() else (None, found)


def _refuse_more_epochs(config: ConfigDict, history: list[dict[str, Any]], workdir: Path) -> None:
    """Refuses to continue a run that kept only its best weights."""
    if not is_finished(history, config):
        raise UserError(
            expected=f"a state in {workdir} from which training can go on after "
            f"{len(history)} epochs",
            found="a finished run that kept only its best weights, as the runs of a sweep do",
            fix=f"give --workdir {run_folders.find_free(workdir)} (or another --root), or remove "
            f"{workdir} to train from the start",
        )


def _make_draw_epoch(config: ConfigDict, validation: Split) -> loop.DrawEpoch:
    """Makes the function that draws the pictures of an epoch for TensorBoard."""
    kind = "drawings" if config.dataset == "sample" else "images"
    about = f"{config.arch}:{config.variant}, {len(validation):,} validation {kind}"

    def draw(epoch: int, logits: np.ndarray) -> dict[str, np.ndarray]:
        predictions = evaluation.make_predictions(logits, validation)
        return epoch_pictures.draw(predictions, f"{about}, epoch {epoch}")

    return draw
