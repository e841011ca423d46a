"""The model card: what a run's records say about the model, for whoever gets it without the run."""

import collections
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2

from faceemo import staging
from faceemo.analysis.theme import template
from faceemo.assets.catalogue import ASSETS
from faceemo.config import SPLITS
from faceemo.data.ledger import ledger
from faceemo.errors import UserError
from faceemo.train.checkpoint.provenance import ancestors

NAME = "card.md"
NOTE = "SOURCE.txt"  # in the dataset's folder: what its owner has to say of the images
UNKNOWN = "unknown"
_RECORDS = ("scores", "slices", "calibration")  # of a report
_DRAWN = "MIT: drawn by faceemo itself; they show nobody"
_REASONS = {
    ledger.NO_FACE: "no face found",
    ledger.UNREADABLE: "cannot be decoded",
    ledger.DUPLICATE: "duplicate",
    ledger.CONFLICT: "look-alikes with different labels",
    ledger.SUSPECT: "suspect label",
}


def write(workdir: Path, root: Path) -> Path:
    """Writes `workdir`/card.md from the run's own records; returns its path.

    Read are summary.json, the scores, slices and calibration of every report in `workdir`, and in
    `root` the ledger and `NOTE`, if there is one: run it again when there is another report.

    Args:
        workdir: of a finished run.
        root: folder of its dataset.

    Raises:
        UserError: if the run is not finished.
    """
    summary_file = workdir / "summary.json"
    if not summary_file.is_file():
        raise UserError(
            expected=f"a finished run in {workdir}",
            found="no summary.json",
            fix="train it first with --mode=train",
        )
    summary = _read(summary_file)
    config = summary["config"]
    # where this machine keeps images and networks tells others nothing
    config |= {field: Path(config[field]).name for field in ("data_dir", "source")}
    config |= {
        field: "+".join(map(_place, config[field].split("+")))
        for field in ("weights", "teacher")
        if field in config  # an older faceemo's run had no teacher
    }
    rows = ledger.read(root)
    reports = {
        split: {name: _read(workdir / "report" / split / f"{name}.json") for name in _RECORDS}
        for split in ("validation", "test")
        # an older faceemo's report lacks some, and is left out
        if all((workdir / "report" / split / f"{name}.json").is_file() for name in _RECORDS)
    }
    drawn = config["dataset"] == "sample"
    earlier = ancestors(summary)
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
            source=_source(config, root),
            weights_licence=_weights_licence(earlier[-1]["config"] if earlier else config),
            ancestors=earlier,
            warnings=_warnings(summary),
            reports=reports,
            changed=_plain(summary["preprocessing"]),
            citation=_citation(summary),
        )
    )
    path = workdir / NAME
    with staging.file(path) as partial:
        partial.write_text(text, encoding="utf-8", errors="backslashreplace")
    return path


def _counts(rows: list[ledger.Row]) -> dict[str, dict[str, list[int]]]:
    """{class: {split: [images of the source, images used]}}."""
    every = ledger.counts(rows)
    used = ledger.counts([row for row in rows if row.fate == ledger.KEPT])
    return {
        label: {
            split: [every[split].get(label, 0), used.get(split, {}).get(label, 0)]
            for split in every
        }
        for label in ledger.classes(rows)
    }


def _left_out(rows: list[ledger.Row]) -> dict[str, int]:
    """{reason: images}, without zeros."""
    fates = collections.Counter(row.fate for row in rows)
    return {words: fates[fate] for fate, words in _REASONS.items() if fates[fate]}


def _source(config: Mapping[str, Any], root: Path) -> str:
    """Where the images come from, and their licence."""
    if config["dataset"] == "sample":
        return f"Source: drawn faces, of seed {config['seed']}. Licence: {_DRAWN}."
    note = root / NOTE
    if note.is_file():
        text = _cell(note.read_text(encoding="utf-8", errors="replace"))
        return f"Source and licence, as {NOTE} beside the images says: {text}"
    name = _cell(config["source"] or config["data_dir"])
    return f"Source: the user's own files, {name}. Licence: {UNKNOWN}; no {NOTE} beside them tells."


def _weights_licence(config: Mapping[str, Any]) -> str:
    """Of the initial weights; a file of the user's has none that is known."""
    if config["weights"] == "none":
        return "none needed: they were random"
    asset = ASSETS.get(f"{config['arch']}.{config['weights']}")
    return asset.licence if asset else UNKNOWN


def _plain(fields: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(name.replace("_", " "), _cell(value)) for name, value in fields.items()]


def _citation(summary: Mapping[str, Any]) -> str:
    """A BibTeX entry: the software, its version and which model of it."""
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
    """Of the run; the networks that they name as everywhere in the card."""
    found = dict(summary.get("warnings", {}))
    for one in (summary["weights"], *summary.get("teachers", ())):
        path = one["source"]
        found = {where: text.replace(path, _place(path)) for where, text in found.items()}
    return found


def _place(path: str) -> str:
    """A file's name and its folder's; a word that is no path stays as it is."""
    return Path(*Path(path).parts[-2:]).as_posix() if path else path


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _cell(value: Any) -> str:
    """Text for a cell of a Markdown table: nothing in it is markup, nor ends the cell."""
    if isinstance(value, list | tuple):
        return ", ".join(map(_cell, value))
    if isinstance(value, float) and not math.isfinite(value):
        return "–"
    text = f"{value:g}" if isinstance(value, float) else str(value)
    for letter in "\\`*_[]<>|":
        text = text.replace(letter, f"\\{letter}")
    return " ".join(text.split())


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("faceemo", ""),
        autoescape=False,  # Markdown: `cell` escapes
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["number"] = template.number
    environment.filters["cell"] = _cell
    environment.filters["place"] = _place
    environment.filters["facts"] = _plain
    return environment
