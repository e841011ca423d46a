"""The evaluation of a stored network, `builtin` or a model.npz, on images of one's own.

A run knows its images; a stored network is given some: those of a source, which are prepared as a
run would prepare them, those of a folder as it is prepared, or those of another run.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from ml_collections import ConfigDict

from faceemo import data, staging
from faceemo.analysis import calibration, slices
from faceemo.analysis.predictions import Predictions, classification_report
from faceemo.analysis.saliency import gradcam
from faceemo.config import FIELDS, classes_of
from faceemo.config.field_words import spell
from faceemo.data.ledger import ledger
from faceemo.data.pipeline import Split
from faceemo.data.prepare.record import Record
from faceemo.errors import UserError
from faceemo.experiments import evaluation, held_out, images_used, seen_by_builtin
from faceemo.train.checkpoint import trained_model
from faceemo.train.checkpoint.class_subset import keep_classes
from faceemo.train.checkpoint.provenance import digest_split
from faceemo.train.checkpoint.trained_model import TrainedModel


def evaluate(
    network: Path, config: ConfigDict, workdir: Path, split: str, groups: Path | None = None
) -> None:
    """Reports on a split with a stored network.

    Args:
        network: `builtin`, or the path of a stored network.
        config: Says which images, in the fields of a run's configuration; those about training do
            not matter. Without a source, the images are those that data_dir holds, as they are
            prepared there.
        workdir: Folder for the report.
        split: 'validation' or 'test'.
        groups: CSV with further columns to group the images by (`slices.read_columns`).

    Raises:
        UserError: If there is no network or no image, or the network does not know their classes.
    """
    columns = slices.read_columns(groups) if groups else None
    trained, splits = load_images(network, trained_model.read(network), config)
    images = splits[split]
    columns = evaluation.match_groups(columns, config, images, split)
    if split == "test":
        held_out.record_opening(workdir)
    _tell_of_other_channels(trained, config, images)
    predictions = predict(trained, images, split)
    _tell_of_seen(trained, config, images, workdir / seen_by_builtin.NAME)
    heat = gradcam.make_heat(trained.model, trained.preprocessing, trained.variables)
    evaluated = evaluation.Evaluation(predictions, trained.best_epoch, heat)
    # 1 stands for a network without a temperature
    fitted = (
        {"temperature": trained.temperature, "fitted_on": calibration.SPLIT}
        if trained.temperature != 1
        else None
    )
    page = evaluation.write_report(
        config, workdir, split, evaluated, [], trained.recipe, fitted, columns
    )
    print(classification_report(predictions))
    evaluation.print_result(split, predictions)
    print(f"report      {page}")


def load_images(
    network: Path, trained: TrainedModel, config: ConfigDict
) -> tuple[TrainedModel, dict[str, Split]]:
    """Loads the images that a configuration names, as a stored network takes them.

    Args:
        network: The path that the user gave, for messages.
        trained: The network.
        config: As for `evaluate`. Rules and classes of images that are used as they are prepared
            are set in it.

    Returns:
        The network, restricted to the classes of the images, and the splits: paths and images are
        those of a run with this configuration, labels are in the order of the network's classes.

    Raises:
        UserError: If the network does not know the classes of the images.
    """
    if config.source or config.dataset == "sample":
        place = config.source or "the sample"
        trained = _restrict(network, trained, classes_of(config), place, options=True)
        return trained, data.load(config, form=trained.image_format, classes=trained.classes)
    root = data.dataset_root(config)
    rules = Record(root).inputs("dedupe").get("rules")
    if rules is None:
        raise UserError(
            expected=f"prepared images in {root} for {network}",
            found="none",
            fix=f"name images with {spell('source', 'my_faces')}, or a folder that faceemo prepare "
            f"or a training run has filled with {spell('data_dir')}",
        )
    config.update({name: value for name, value in rules.items() if name in FIELDS})
    rows = ledger.read(root)
    classes = sorted({row.label for row in rows if row.fate == ledger.KEPT})
    trained = _restrict(network, trained, classes, str(root), options=True)
    from faceemo.data import builder  # which takes a second

    memory = data.memory_for_images(config)
    return trained, builder.load(root, trained.image_format, trained.classes, memory)


def predict_images_of(network: Path, run: Path, split: str) -> tuple[Predictions, bool]:
    """Predicts the images of a run's split with a stored network.

    Args:
        network: `builtin`, or the path of a stored network.
        run: The run's folder.
        split: 'validation' or 'test'.

    Returns:
        The predictions, and whether the network's best epoch was chosen on these images, as that of
        the run was.

    Raises:
        UserError: If there is no network, no run or no image, or the network does not know the
            run's classes.
    """
    from faceemo.train.checkpoint.stored_recipe import load_recipe

    trained = trained_model.read(network)
    recipe = load_recipe(run)
    config = ConfigDict(recipe["config"])
    trained = _restrict(network, trained, recipe["classes"], str(run), options=False)
    splits = data.load(config, form=trained.image_format, classes=trained.classes)
    _tell_of_seen(trained, config, splits[split], None)
    chosen = digest_split(splits[split]) == trained.recipe["data"].get(calibration.SPLIT)
    return predict(trained, splits[split], split), chosen


def predict(trained: TrainedModel, images: Split, split: str) -> Predictions:
    """Predicts a split, not calibrated, with a network that is in memory."""
    return evaluation.predict(
        trained.model,
        trained.preprocessing,
        trained.variables,
        images,
        split,
        int(trained.config.batch_size),
    )


def _restrict(
    network: Path, trained: TrainedModel, classes: Sequence[str], place: str, options: bool
) -> TrainedModel:
    """Restricts a network to the classes of images, and says so; refuses classes it does not know.

    `options` tells whether the command can select and map classes.
    """
    if set(classes) == set(trained.classes):
        return trained
    if len(classes) > 1 and set(classes) < set(trained.classes):
        kept = [name for name in trained.classes if name in classes]
        print(
            f"note        {network} knows {len(trained.classes)} classes and predicts only those "
            f"of the images: {', '.join(kept)}"
        )
        return keep_classes(trained, kept)
    fix = "train a network on these classes (faceemo train)"
    if not options:
        fix = f"{fix}, and compare with that"
    elif set(classes) > set(trained.classes):
        fix = f"leave the others out with {spell('classes', '+'.join(trained.classes))}, or {fix}"
    else:
        fix = f"map names with {spell('class_map', 'joy=happy')} if these mean the same, or {fix}"
    raise UserError(
        expected=f"images of the classes of {network}: {', '.join(trained.classes)}",
        found=f"{', '.join(classes)} in {place}",
        fix=fix,
    )


def _tell_of_other_channels(trained: TrainedModel, config: ConfigDict, images: Split) -> None:
    """Tells of images in colour that a network sees in grey, and of grey ones that it does not."""
    paths = {*images.paths}
    rows = [row for row in ledger.read(data.dataset_root(config)) if row.path in paths]
    described = images_used.describe_other_channels(trained.image_format, {"": images}, rows)
    if described:
        print(f"note        the network takes {trained.image_format}; {described}")


def _tell_of_seen(
    trained: TrainedModel, config: ConfigDict, images: Split, place: Path | None
) -> None:
    """Tells of images that `builtin` has probably learned, and warns if chance gives fewer.

    They are listed in `place` unless that is None.
    """
    root = data.dataset_root(config)
    rows = ledger.read(root)
    seen = seen_by_builtin.find_seen(trained.recipe, rows, images.paths)
    if seen is None or not seen.rows:
        return
    if place:
        staging.make_folder(place.parent)
        seen_by_builtin.write_list(place, seen.rows, root)
    described = seen.describe(place)
    if seen.exceeds_chance():
        print(f"warning: {described}", file=sys.stderr)
    else:
        print(f"note        {described}")
