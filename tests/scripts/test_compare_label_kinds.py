"""scripts/compare_label_kinds.py scores the same images against labels and against votes."""

import csv
import json

import numpy as np
import pytest
from sklearn.metrics import accuracy_score
from statsmodels.stats.proportion import proportion_confint

from faceemo.errors import UserError
from tests.support.places import SCRIPTS

CLASSES = ("calm", "angry")


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import compare_label_kinds

    return compare_label_kinds


def write_run(root, variant, rows, arch="mobilenet"):
    """Writes what a sweep leaves of a run; rows are (source_path, label, majority, predicted)."""
    folder = root / f"{arch}-{variant}"
    (folder / "report" / "validation").mkdir(parents=True)
    config = {"arch": arch, "variant": variant}
    (folder / "summary.json").write_text(json.dumps({"config": config}))
    with (folder / "report" / "validation" / "predictions.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "predicted", *CLASSES, "given_label", "majority", "source_path"))
        for name, label, majority, predicted in rows:
            writer.writerow((f"validation/{name}", predicted, 0, 0, label, majority, name))


def draw_rows(seed, count=300):
    """Draws rows; labels and majorities are those of the same images for every seed."""
    fixed, rng = np.random.default_rng(0), np.random.default_rng(seed)
    labels, majorities = fixed.choice(CLASSES, (2, count))
    predicted = rng.choice(CLASSES, count)
    return [
        (f"{number}.png", *row)
        for number, row in enumerate(zip(labels, majorities, predicted, strict=True))
    ]


def test_accuracies_are_those_of_the_images_that_all_runs_share(script, tmp_path):
    runs = {(sweep, v): draw_rows(seed=10 * v + len(sweep)) for sweep in "ab" for v in (0, 10, 2)}
    runs["a", 2] = runs["a", 2][50:]  # another preparation has left some images out
    runs["b", 0] = [*runs["b", 0], ("x.png", "calm", "", "calm"), ("y.png", "fear", "calm", "calm")]
    for (sweep, variant), rows in runs.items():
        write_run(tmp_path / sweep, variant, rows)
    sweeps = {name: script.read_sweep(tmp_path / name) for name in "ab"}
    text = script.format_tables(sweeps)
    assert text.startswith("250 images")
    lines = {line.split("|")[1].strip(): line for line in text.split("\n\n")[1].splitlines()}
    assert [*lines][2:] == ["mobilenet:0", "mobilenet:2", "mobilenet:10"]
    for variant in (0, 2, 10):
        cells = lines[f"mobilenet:{variant}"].split("|")[2:-1]
        for column, (sweep, kind) in enumerate((("a", 1), ("a", 2), ("b", 1), ("b", 2))):
            rows = [row for row in runs[sweep, variant] if 50 <= _number(row) < 300]
            right = accuracy_score([row[kind] for row in rows], [row[3] for row in rows])
            low, high = proportion_confint(round(right * 250), 250, method="wilson")
            assert cells[column].strip() == f"{right:.3f}, {low:.3f} to {high:.3f}"


def _number(row):
    stem = row[0].removesuffix(".png")
    return int(stem) if stem.isdigit() else -1


def test_differences_are_between_neighbours_in_the_order_of_the_variants(script, tmp_path):
    rows = draw_rows(seed=1)
    for variant, right in ((0, 100), (1, 130), (2, 130)):
        write_run(
            tmp_path / "s",
            variant,
            [
                (name, "calm", "angry", "calm" if number < right else "angry")
                for number, (name, *_) in enumerate(rows)
            ],
        )
    text = script.format_tables({"s": script.read_sweep(tmp_path / "s")})
    first, second = text.splitlines()[-2:]
    assert first.startswith("| mobilenet:1 | +10.0, ")
    assert " | -10.0, " in first
    assert second.startswith("| mobilenet:2 | +0.0, ")


def test_what_cannot_be_compared_is_refused(script, tmp_path):
    with pytest.raises(UserError, match="found none"):
        script.read_sweep(tmp_path)
    write_run(tmp_path / "one", 0, draw_rows(1))
    write_run(tmp_path / "other", 0, [("z.png", "calm", "calm", "calm")])
    with pytest.raises(UserError, match="images that all runs have validated"):
        script.format_tables(
            {name: script.read_sweep(tmp_path / name) for name in ("one", "other")}
        )
    write_run(tmp_path / "one" / "more", 0, draw_rows(1))
    (tmp_path / "one" / "more" / "mobilenet-0").rename(tmp_path / "one" / "mobilenet-0,seed=2")
    with pytest.raises(UserError, match="two of mobilenet:0"):
        script.read_sweep(tmp_path / "one")
