"""Writes the model card: a summary of a run's records for people who get only the model."""

import collections
import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2

from faceemo import staging
from faceemo.analysis.theme import template
from faceemo.assets.catalogue import ASSETS
from faceemo.config import SPLITS
from faceemo.config.image_format import RGB
from faceemo.data.ledger import ledger
from faceemo.errors import ESCAPE, UserError
from faceemo.train.checkpoint import image_terms
from faceemo.train.checkpoint.provenance import find_ancestors, find_other_images

NAME = image_terms.CARD
UNKNOWN = "unknown"
_RECORDS = ("scores", "slices", "calibration")  # files of a report
_REASONS = {
    ledger.NO_FACE: "no face found",
    ledger.UNREADABLE: "cannot be decoded",
    ledger.DUPLICATE: "duplicate",
    ledger.CONFLICT: "look-alikes with different labels",
    ledger.SUSPECT: "suspect label",
    ledger.NO_MAJORITY: "the votes on it name no emotion",
}


def write(workdir: Path, root: Path) -> Path:
    """Writes `workdir`/card.md from the run's own records; returns its path.

    The records are summary.json, the scores, slices and calibration of every report in `workdir`,
    and the ledger and `SOURCE.txt` (if it exists) in `root`. Call it again after each new report.

    Args:
        workdir: Folder of a finished run.
        root: Folder of its dataset.

    Raises:
        UserError: If the run is not finished.
    """
    summary_file = workdir / "summary.json"
    if not summary_file.is_file():
        raise UserError(
            expected=f"a finished run in {workdir}",
            found="no summary.json",
            fix="train it first with faceemo train",
        )
    summary = _read(summary_file)
    config = summary["config"]
    config |= {field: _hide_folders(config[field]) for field in ("data_dir", "source")}
    config |= {
        field: "+".join(map(_last_two_parts, config[field].split("+")))
        for field in ("weights", "teacher")
        if field in config  # runs of older versions have no teacher
    }
    rows = ledger.read(root)
    reports = {}
    for split in ("validation", "test"):
        folder = workdir / "report" / split
        # reports of older versions lack some files and are left out
        if all((folder / f"{name}.json").is_file() for name in _RECORDS):
            names = [*_RECORDS, *(["votes"] if (folder / "votes.json").is_file() else [])]
            reports[split] = {name: _read(folder / f"{name}.json") for name in names}
    drawn = config["dataset"] == "sample"
    earlier = find_ancestors(summary)
    text = (
        _environment()
        .get_template("analysis/card.md.j2")
        .render(
            summary=summary,
            config=config,
            classes=summary["classes"],
            counts=_counts(rows),
            splits=[split for split in SPLITS if any(row.split == split for row in rows)],
            left_out=_left_out(rows),
            images=len(rows),
            drawn=drawn,
            in_colour=config.get("channels") == RGB,  # runs of older versions have no channels
            source=_source(config, root),
            weights_licence=_weights_licence(earlier[-1]["config"] if earlier else config),
            ancestors=earlier,
            other_images=list(find_other_images(summary).values()),
            warnings=_warnings(summary),
            reports=reports,
            preprocessing=_escape_fields(summary["preprocessing"]),
            citation=_citation(summary),
        )
    )
    path = workdir / NAME
    with staging.file(path) as partial:
        partial.write_text(text, encoding="utf-8", errors=ESCAPE)
    return path


def read_validation(path: Path) -> dict[str, Any]:
    """Reads the accuracy on validation from a card, for a network that is stored without its run.

    Args:
        path: The card, which need not exist.

    Returns:
        'val_accuracy', 'val_accuracy_interval' and 'majority_baseline' with three digits, as in
        summary.json; {} if the card has no report on validation.
    """
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    section = re.search(r"^### validation$(.*?)^##", text, re.MULTILINE | re.DOTALL)
    number = r"([\d.]+)"
    found = section and re.search(
        rf"^\| accuracy \| {number} \| {number} to {number} \|$\s"
        rf"^\| always .* \| {number} \| \|$",
        section[1],
        re.MULTILINE,
    )
    if not found:
        return {}
    accuracy, low, high, baseline = map(float, found.groups())
    interval = [low, high]
    return {
        "val_accuracy": accuracy,
        "val_accuracy_interval": interval,
        "majority_baseline": baseline,
    }


def _counts(rows: list[ledger.Row]) -> dict[str, dict[str, list[int]]]:
    """Returns {class: {split: [images of the source, images used]}}."""
    every = ledger.count_by_split(rows)
    used = ledger.count_by_split([row for row in rows if row.fate == ledger.KEPT])
    return {
        label: {
            split: [every[split].get(label, 0), used.get(split, {}).get(label, 0)]
            for split in every
        }
        for label in ledger.list_classes(rows)
    }


def _left_out(rows: list[ledger.Row]) -> dict[str, int]:
    """Returns {reason: images}, without zeros."""
    fates = collections.Counter(row.fate for row in rows)
    return {words: fates[fate] for fate, words in _REASONS.items() if fates[fate]}


def _source(config: Mapping[str, Any], root: Path) -> str:
    """Returns sentences on the source of the images and their licence."""
    if config["dataset"] == "sample":
        return f"Source: drawn faces, of seed {config['seed']}. Licence: {image_terms.DRAWN}."
    if terms := image_terms.read_note(root):
        return image_terms.quote(_escape(terms))
    name = _escape(config["source"] or config["data_dir"])
    return (
        f"Source: the user's own files, {name}. Licence: {UNKNOWN}; there is no {image_terms.NOTE} "
        "beside them."
    )


def _weights_licence(config: Mapping[str, Any]) -> str:
    """Returns the licence of the initial weights; that of a user's own file is not known."""
    if config["weights"] == "none":
        return "none needed: they were random"
    asset = ASSETS.get(f"{config['arch']}.{config['weights']}")
    return asset.licence if asset else UNKNOWN


def _escape_fields(fields: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(name.replace("_", " "), _escape(value)) for name, value in fields.items()]


def _citation(summary: Mapping[str, Any]) -> str:
    """Returns a BibTeX entry for the software, its version and the model."""
    version = summary["versions"].get("faceemo", UNKNOWN)
    return (
        "@software{faceemo,\n"
        "  author = {{The faceemo authors}},\n"
        "  title = {faceemo: emotions in face images by transfer learning, in JAX and Flax},\n"
        f"  version = {{{version}}},\n"
        f"  note = {{model {summary['arch']}:{summary['variant']}, seed {summary['seed']}}}\n"
        "}"
    )


def _warnings(summary: Mapping[str, Any]) -> dict[str, str]:
    """Returns the run's warnings, with shortened paths as everywhere in the card."""
    warnings = dict(summary.get("warnings", {}))
    for network in (summary["weights"], *summary.get("teachers", ())):
        path = network["source"]
        warnings = {
            where: text.replace(path, _last_two_parts(path)) for where, text in warnings.items()
        }
    return warnings


def _hide_folders(path: str) -> str:
    """Shortens a path outside the working directory, whose folders mean nothing to others."""
    parts = Path(path).parts
    outside = Path(path).is_absolute() or parts[:1] in (("..",), ("~",))
    return f"…/{parts[-1]}" if outside and len(parts) > 1 else path


def _last_two_parts(path: str) -> str:
    """Returns a file's name and its folder's; a word that is not a path stays as it is."""
    return Path(*Path(path).parts[-2:]).as_posix() if path else path


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _escape(value: Any) -> str:
    """Escapes text for a cell of a Markdown table, so that it is neither markup nor a new cell."""
    if isinstance(value, list | tuple):
        return ", ".join(map(_escape, value))
    if isinstance(value, float) and not math.isfinite(value):
        return "–"
    text = f"{value:g}" if isinstance(value, float) else str(value)
    for letter in "\\`*[]<>|":
        text = text.replace(letter, f"\\{letter}")
    # An underscore between letters or digits is no markup.
    text = re.sub(r"(?<![^\W_])_|_(?![^\W_])", r"\\_", text)
    return " ".join(text.split())


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("faceemo", ""),
        autoescape=False,  # the filter `cell` escapes Markdown
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["number"] = template.format_number
    environment.filters["cell"] = _escape
    environment.filters["short_path"] = _last_two_parts
    environment.filters["escape_fields"] = _escape_fields
    return environment
