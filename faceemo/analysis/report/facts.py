"""The facts of a run's record in words, for people who read its report."""

from collections.abc import Mapping, Sequence
from typing import Any

from faceemo.analysis.theme.template import format_fact
from faceemo.train.checkpoint import image_terms

# Names of fields whose words do not speak for themselves.
_NAMES = {
    "arch": "backbone",
    "val_accuracy": "validation accuracy",
    "val_accuracy_interval": "95% interval of validation accuracy",
    "val_macro_f1": "validation macro-F1",
    "val_accuracy_majority": "validation accuracy against the majority of the votes",
    "val_accuracy_majority_interval": "95% interval of that",
    "val_accuracy_label": "validation accuracy against the source's labels",
    "val_accuracy_label_interval": "95% interval of that one",
    "val_loss": "validation loss before calibration",
    "train_accuracy": "training accuracy",
    "majority_baseline": "majority baseline of validation",
    "epochs_run": "epochs that ran",
    "params_total": "parameters",
    "params_trainable": "parameters that train",
    "seconds": "seconds of training",
    "platform": "kind of device",
    "config": "configuration",
    "weights": "initial weights",
    "data": "images, sha256 of pixels and labels",
    "vote_shares": "votes on the training images, sha256 of the shares of the classes",
    "image_terms": "terms of the images behind the initial weights and teachers",
    "versions": "versions of packages",
    "trained": "run that made them",
    "ece_before": "expected calibration error as trained",
    "ece_after": "expected calibration error at the temperature",
    "loss_before": "loss as trained",
    "loss_after": "loss at the temperature",
}

Facts = list[tuple[str, str]]


def describe(summary: Mapping[str, Any]) -> tuple[Facts, list[tuple[str, Facts]]]:
    """Describes a run's record.

    Args:
        summary: The record (`Results.summary`).

    Returns:
        Names and values of the plain fields; and for each mapping its name, and the names and
        values in it. The names of a configuration's fields are those that a configuration takes.
    """
    facts: Facts = []
    tables = []
    for key, value in summary.items():
        if key == image_terms.FIELD:
            whose = _name_images(summary)
            terms = [(whose.get(name, name), _text(name, one)) for name, one in value.items()]
            tables.append((_name(key), terms))
        elif isinstance(value, Mapping):
            exact = key == "config"
            rows = [
                (name if exact else _name(name), _text(name, one)) for name, one in value.items()
            ]
            tables.append((_name(key), rows))
        else:
            facts.append((_name(key), _text(key, value)))
    return facts, tables


def _name_images(record: Mapping[str, Any]) -> dict[str, str]:
    """Returns words for the images of a run and of those behind it, by the digest of the images.

    Args:
        record: The record of the run.
    """
    names = {}
    for source in (record.get("weights", {}), *record.get("teachers", ())):
        if trained := source.get("trained"):
            names |= _name_images(trained)
            names[trained["data"]["train"]] = f"images of {source['source']}"
    return names | {record.get("data", {}).get("train", ""): "images of this run"}


def _name(key: str) -> str:
    return _NAMES.get(key, str(key).replace("_", " "))


def _text(key: str, value: Any) -> str:
    if key.endswith("_interval") and isinstance(value, Sequence) and len(value) == 2:
        return f"{value[0]:.4f} to {value[1]:.4f}"
    if isinstance(value, Mapping):
        return _describe_run(value)
    if isinstance(value, list | tuple) and any(isinstance(part, Mapping) for part in value):
        return "; ".join(map(_describe_run, value))
    return format_fact(value, key)


def _describe_run(record: Mapping[str, Any]) -> str:
    """Describes the record of another run, or of a source of weights, in a few words."""
    config = record.get("config", record.get("trained", {}).get("config"))
    words = [str(record["source"])] if "source" in record else []
    if config:
        words.append(f"{config['arch']}:{config['variant']}, seed {config['seed']}")
    return ", ".join(words) or "; ".join(
        f"{key}: {format_fact(value, key)}" for key, value in record.items()
    )
