"""Tests of the leaderboard's page: its slices, its links, its width."""

import dataclasses
import json
import re
import urllib.parse

import numpy as np
import pytest

from faceemo.analysis import slices
from faceemo.analysis.predictions import compute_scores
from faceemo.analysis.report import report
from faceemo.config import make_config
from faceemo.experiments import leaderboard, leaderboard_slices
from tests.support import chromium

ARGS = ("7,image_size=48,weights=hed", "7,image_size=48,weights=hed,seed=5", "2,weights=none")


def cuts_of(predictions):
    """Returns cuts as a run makes them; those that need a ledger are random."""
    rng = np.random.default_rng(1)
    count = len(predictions.labels)

    def drawn(by, order, shares):
        return slices.Grouping(
            by, f"{by}, drawn.", tuple(rng.choice(order, count, p=shares)), order
        )

    light = slices._make_quarters("brightness", "Of grey.", rng.normal(120, 40, count), ".0f")
    return [
        drawn("leaks", (slices.CLEAN, slices.LEAKED), (0.9, 0.1)),
        light,
        drawn("duplicate group", ("alone", "same pixels", "near"), (0.8, 0.15, 0.05)),
        drawn("age", tuple(f"from {10 * n} to {10 * n + 9}" for n in range(9)), (1 / 9,) * 9),
    ]  # fmt: skip


def write_run(workdir, arg, predictions, *, whole=False, **more):
    """Writes a run's records, and its report's page if `whole`; `more` goes into the summary."""
    config = make_config("vgg16", arg)
    scores = compute_scores(predictions)
    found = slices.score_slices(predictions, cuts_of(predictions))
    summary = {
        "arch": "vgg16", "variant": config.variant, "seed": config.seed,
        "config": config.to_dict(), "val_accuracy": scores["accuracy"],
        "val_accuracy_interval": scores["accuracy_interval"], "val_macro_f1": scores["macro_f1"],
        "majority_baseline": scores["majority_baseline"], "train_accuracy": 0.7, "best_epoch": 2,
        "epochs_run": 3, "seconds": 1234, "params_trainable": 48_659_460,
        "data": {"validation": "11" * 32},
    } | more  # fmt: skip
    folder = workdir / "report" / "validation"
    folder.mkdir(parents=True)
    (workdir / "summary.json").write_text(json.dumps(summary))
    if whole:
        report.write(
            folder, split="validation", predictions=predictions, history=[], summary=summary,
            slices=found,
        )  # fmt: skip
    else:
        (folder / "slices.json").write_text(json.dumps(found))
    return found


@pytest.fixture(scope="module")
def board(tmp_path_factory, make_predictions, module_plain_figures):
    """Returns a sweep's folder with three runs on the same images, their slices, and its page."""
    root = tmp_path_factory.mktemp("sweep")
    base = make_predictions(n=400)
    records = {}
    for number, arg in enumerate(ARGS):
        rng = np.random.default_rng(number)
        odds = base.probabilities * np.exp(rng.normal(0, number, base.probabilities.shape))
        odds = (odds / odds.sum(axis=1, keepdims=True)).astype(np.float32)
        name = "vgg16-" + arg
        predictions = dataclasses.replace(base, probabilities=odds)
        warnings = {"epoch 1": "nearly all answers are 'happy'"} if number == 1 else {}
        records[name] = write_run(
            root / name, arg, predictions, whole=number == 0, warnings=warnings
        )
    return root, records, leaderboard.write(root, leaderboard.read_rows(root), {"x": "no room"})


@pytest.mark.slow
def test_runs_on_the_same_images_share_a_comparison(board):
    root, records, _ = board
    names = list(records)
    found, without = leaderboard_slices.read_comparisons(root, names)
    assert [comparison.by for comparison in found] == [
        "leaks",
        "brightness",
        "duplicate group",
        "age",
    ]
    assert not without
    for place, comparison in enumerate(found):
        assert [line.name for line in comparison.lines] == names
        for line in comparison.lines:
            assert list(line.slices) == records[line.name][place]["slices"]
        assert sum(images for _, images in comparison.columns) == 400
    leaks = found[0].lines[1]
    clean, leaked = (part["right"] / part["images"] for part in leaks.slices)
    assert leaks.difference[0] == pytest.approx(leaked - clean)


def test_runs_on_different_images_are_not_compared(board, tmp_path, make_predictions):
    """Equal numbers of images do not suffice; a run without slices is named, not dropped."""
    base = make_predictions(n=60)
    for name in ("a", "b", "old"):
        write_run(tmp_path / name, "7", base)
    summary = json.loads((tmp_path / "b" / "summary.json").read_text())
    summary["data"]["validation"] = "22" * 32
    (tmp_path / "b" / "summary.json").write_text(json.dumps(summary))
    (tmp_path / "old" / "report" / "validation" / "slices.json").unlink()
    found, without = leaderboard_slices.read_comparisons(tmp_path, ["a", "b", "old"])
    assert without == ["old"]
    assert [[line.name for line in c.lines] for c in found] == [["a"], ["b"]] * 4
    page = leaderboard.write(tmp_path, leaderboard.read_rows(tmp_path), {}).read_text()
    assert "These runs have no slices" in page
    assert "<code>old</code>" in page


def test_headings_have_text_and_nothing_needs_hovering(board):
    text = board[-1].read_text()
    assert not re.search(r"<th\b[^>]*>\s*</th>", text)
    assert not re.search(r"<[^>]*\stitle=", text)
    (link,) = re.findall(r'<a href="#warnings" aria-label="([^"]*)">', text)
    assert link == "warnings of vgg16:7 image_size=48,weights=hed, seed 5"
    assert " (epoch 1)</b></dt><dd>nearly all answers are &#39;happy&#39;</dd>" in text


@pytest.mark.slow
@pytest.mark.skipif(chromium.PROGRAM is None, reason="there is no Chromium on this machine")
@pytest.mark.parametrize("width", [1200, 390])
@pytest.mark.parametrize("dark", [False, True])
def test_links_lead_to_the_reports_and_nothing_is_wider_than_the_window(
    board, tmp_path, width, dark
):
    _, records, path = board
    (whole, *_) = records
    wide = "[...document.querySelectorAll('body *')].filter(e => !e.closest('.scroll') && "
    wide += "e.getBoundingClientRect().right > document.documentElement.clientWidth + 1)"
    with chromium.open_page(tmp_path / "profile") as page:
        page.open(path, width=width, dark=dark)
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert page.evaluate(f"{wide}.map(e => e.outerHTML.slice(0, 90))") == []
        inner = "[...document.querySelectorAll('.compared')].map(e => e.scrollWidth > "
        inner += "e.parentElement.clientWidth + 1 && e.rows[0].cells.length < 6)"
        assert page.evaluate(inner) == [False] * 4, "a table of few slices needs no scrolling"
        links = "[...document.querySelectorAll('a')].map(e => decodeURIComponent("
        links += "e.getAttribute('href')))"
        expected = {f"{name}/report/validation/index.html" for name in records}
        expected |= {f"{to}#slices" for to in expected} | {"#warnings"}
        assert set(page.evaluate(links)) == expected
        warned = "document.querySelector('#warnings').innerText"
        assert "seed 5 (epoch 1)\nnearly all answers are 'happy'" in page.evaluate(warned)
        page.call("Emulation.setEmulatedMedia", media="print")
        painted = "[...document.querySelectorAll('.bar, .bar *, .slices i')].every(e => "
        painted += "getComputedStyle(e).printColorAdjust == 'exact')"
        assert page.evaluate(painted), (
            "bars are backgrounds, which browsers leave out when printing"
        )
        assert {a for a in page.requests if not a.startswith("data:")} == {path.as_uri()}
        address = urllib.parse.quote(f"{whole}/report/validation/index.html")
        page.click_link(f'#slices a[href="{address}#slices"]')
        assert page.evaluate("document.querySelector('h1').innerText").startswith("vgg16:")
        assert page.evaluate("document.querySelector('#slices h2').innerText") == "Slices"
        assert page.console_errors == []
