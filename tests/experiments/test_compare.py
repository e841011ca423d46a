"""Tests of the comparison of runs: its numbers, what it refuses, the command end to end."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from statsmodels.stats import contingency_tables

from faceemo.commands import cli
from faceemo.errors import UserError
from faceemo.experiments import compare

LABELS = ["happy", "sad", "sad", "neutral"] * 50


def write_run(folder, predicted, labels=LABELS, seed=None, **config):
    """Writes a run's folder with one prediction per label."""
    report = folder / "report" / "validation"
    report.mkdir(parents=True)
    lines = [f"validation/x/{i}.jpg,{pair[0]},{pair[1]}\n"
             for i, pair in enumerate(zip(labels, predicted, strict=True))]  # fmt: skip
    (report / "predictions.csv").write_text("path,label,predicted\n" + "".join(lines))
    config = {"arch": "vgg16", "variant": 7, "seed": seed} | config
    (folder / "summary.json").write_text(json.dumps({"config": config}))
    return folder


def with_errors(every):
    """Makes predictions of which each `every`-th is wrong."""
    return ["sad" if i % every == 0 and label != "sad" else "happy" if i % every == 0 else label
            for i, label in enumerate(LABELS)]  # fmt: skip


def test_counts_and_p_value_equal_those_of_statsmodels(tmp_path):
    runs = [compare.read_run(write_run(tmp_path / name, with_errors(every)), "validation")
            for name, every in (("a", 3), ("b", 4))]  # fmt: skip
    correct = [np.array(with_errors(every)) == LABELS for every in (3, 4)]
    table = [[(correct[0] == one) & (correct[1] == other) for other in (True, False)]
             for one in (True, False)]  # fmt: skip
    oracle = contingency_tables.mcnemar(np.sum(table, axis=2), exact=False, correction=True)
    p, method = compare.count_pairs(runs[0].predictions, runs[1].predictions).mcnemar()
    assert p == pytest.approx(oracle.pvalue)
    assert "corrected" in method
    assert f"p = {p:.2g}" in compare.format_comparison(runs)


@pytest.fixture
def run(capsys):
    """Returns a function that gives the command: exit code, output, and errors."""

    def give(*options):
        try:
            code = cli.main(["compare", *map(str, options)])
        except SystemExit as stopped:
            code = stopped.code
        return code, *capsys.readouterr()

    return give


def test_the_command_compares_seeds_and_another_recipe(tmp_path, run):
    places = [
        write_run(tmp_path / "a", with_errors(4), seed=1, arch="vgg16"),
        write_run(tmp_path / "b", with_errors(5), seed=2, arch="vgg16", data_dir="elsewhere"),
        write_run(tmp_path / "c", with_errors(100), seed=1, arch="resnet50v2"),
    ]
    code, printed, _ = run(*places)
    assert code == 0
    assert "always predicting 'sad' gives 0.500" in printed
    for letter, place in zip("ABC", places, strict=True):
        (line,) = (line for line in printed.splitlines() if str(place) in line)
        assert line.startswith(f"{letter} "), "only the legend has the long names"
        assert line.endswith(f" {place}")
    assert "\nB minus A\n" in printed
    assert "+5.0 points" in printed
    # Wrong are every 4th image in the first and every 5th in the second: 50 and 40, 10 in both.
    assert " both 120, neither 10, only A 30, only B 40\n" in printed
    assert "3 pairs were tested" in printed
    assert "2 seeds of one recipe (A: seed 1, B: seed 2)" in printed
    assert "mean 0.775, standard deviation 0.035, from 0.750 to 0.800; 95% t " in printed
    assert " of 2 seeds 0.457 to 1.000\n" in printed  # 12.706 * 0.025 on either side, up to 1
    files = [place / "report" / "validation" / "predictions.csv" for place in places]
    _, of_files, _ = run(*files[:2])
    assert "+5.0 points" in of_files
    assert "standard deviation" not in of_files


def test_a_seed_counts_once_and_another_recipe_does_not_count(tmp_path):
    """Runs made before the field `mixup` existed had none; the path of the data does not matter."""
    places = [
        write_run(tmp_path / "a", with_errors(4), seed=1),
        write_run(tmp_path / "b", with_errors(5), seed=1, data_dir="elsewhere"),
        write_run(tmp_path / "c", with_errors(5), seed=2, image_size=48),
        write_run(tmp_path / "d", with_errors(5), seed=2, mixup=0.0),
    ]
    runs = [compare.read_run(place, "validation") for place in places]
    assert "standard deviation" not in compare.format_comparison(runs[:3])
    assert "2 seeds of one recipe (A: seed 1, B: seed 1, D: seed 2)" in compare.format_comparison(
        runs
    )
    assert "mean 0.788" in compare.format_comparison(runs), "the mean of 0.775 and 0.8"


def test_equal_seeds_have_no_interval(tmp_path):
    places = [write_run(tmp_path / name, with_errors(4), seed=seed)
              for seed, name in enumerate("ab")]  # fmt: skip
    text = compare.format_comparison([compare.read_run(place, "validation") for place in places])
    assert text.count("no interval: 2 seeds gave the same value") == 2  # accuracy and macro-F1
    assert "t interval" not in text


def test_more_runs_than_letters():
    assert [compare._make_letter(number) for number in (0, 25, 26, 27, 51, 52, 701, 702)] == [
        *("A", "Z", "AA", "AB", "AZ", "BA", "ZZ", "AAA")
    ]


def test_runs_on_different_images_are_refused(tmp_path, run):
    one = write_run(tmp_path / "a", with_errors(4))
    fewer = write_run(tmp_path / "b", with_errors(4)[:-1], LABELS[:-1])
    code, _, message = run(one, fewer)
    assert code == 2
    assert "1 images only in" in message
    assert message.count("\n") == 1
    relabelled = write_run(tmp_path / "c", with_errors(4), ["neutral", *LABELS[1:]])
    runs = [compare.read_run(place, "validation") for place in (one, relabelled)]
    with pytest.raises(UserError, match=r"1 images whose labels differ .*validation/x/0.jpg"):
        compare.refuse_different_images(runs)
    message = run(one, fewer, "--split", "test")[2]
    assert f"a report on test in the run {one}; found none. Fix: write it" in message


def test_an_image_is_named_by_its_path_in_the_users_source(tmp_path):
    def add_names(place):
        file = place / "report" / "validation" / "predictions.csv"
        header, *rows = file.read_text().splitlines()
        named = [f"{header},source_path", *(f"{row},mine/{row.split(',')[0]}" for row in rows)]
        file.write_text("\n".join(named))
        return compare.read_run(place, "validation")

    one = add_names(write_run(tmp_path / "a", LABELS))
    fewer = add_names(write_run(tmp_path / "b", LABELS[:-1], LABELS[:-1]))
    for runs in ((one, fewer), (fewer, one)):
        with pytest.raises(UserError, match=r"such as 'mine/validation/x/199\.jpg'"):
            compare.refuse_different_images(runs)


def test_a_run_is_said_to_be_favoured_on_the_images_on_which_it_was_chosen(tmp_path):
    one, other = (
        compare.read_run(write_run(tmp_path / name, LABELS), "validation") for name in "ab"
    )
    network = write_run(tmp_path / "builtin-on-x", LABELS)
    (network / "summary.json").unlink()
    stored = [
        compare.read_run(network, "validation"),
        dataclasses.replace(one, name="builtin", recipe=None, chosen=False),
    ]
    for network in stored:
        printed = compare.format_comparison([one, network, other])
        assert (
            "those of B were not, as far as faceemo can tell, so the comparison favours A and C; "
            in printed
        )
    alike = dataclasses.replace(stored[1], chosen=True)  # the run's own weights in a file
    unknown = dataclasses.replace(other, chosen=None)  # a predictions.csv
    for second in (other, alike, unknown):
        assert "favours" not in compare.format_comparison([one, second])
    for place in ("a", "b"):
        report = tmp_path / place / "report"
        (report / "validation").rename(report / "test")
    tested = [compare.read_run(tmp_path / place, "test") for place in "ab"]
    assert "favours" not in compare.format_comparison([*tested, stored[1]])


def test_the_fields_by_which_two_runs_score_other_images_are_named(tmp_path, run):
    """validation_share has the default 0.1 in runs that do not record it."""
    one = write_run(tmp_path / "a", LABELS, data_dir="a", source="x", validation_share=0.2)
    fewer = write_run(tmp_path / "b", LABELS[:-1], LABELS[:-1], data_dir="b", source="x", epochs=9)
    code, _, message = run(one, fewer)
    assert code == 2
    assert message.count("\n") == 1
    assert "configurations differ in validation_share (0.2 and 0.1). Fix:" in message
    assert (
        f"those of {one} add --validation-share 0.2 to the command that trained {fewer}" in message
    )
    moved = write_run(tmp_path / "c", LABELS[:-1], LABELS[:-1], data_dir="other faces")
    plain = write_run(tmp_path / "d", LABELS)
    assert "differ in data_dir ('data' and 'other faces')" in run(plain, moved)[2]
    kept = write_run(tmp_path / "e", LABELS[:-1], LABELS[:-1])
    assert "Fix: evaluate both on the same split" in run(plain, kept)[2]


def test_a_run_is_not_compared_with_itself(tmp_path, run):
    one = write_run(tmp_path / "a", with_errors(4))
    code, _, message = run(one, tmp_path / "a" / ".." / one.name)
    assert code == 2
    assert "expected different runs to compare" in message


def test_a_difference_that_rounds_to_zero_has_no_minus(tmp_path, monkeypatch):
    runs = [compare.read_run(write_run(tmp_path / name, LABELS), "validation") for name in "ab"]
    monkeypatch.setattr(compare.PairedCounts, "difference", lambda _: (-0.0004, -0.0003, 0.0004))
    printed = compare.format_comparison(runs)
    assert "+0.0 points, 95% interval +0.0 to +0.0" in printed


@pytest.mark.parametrize(
    ("places", "message"),
    [
        (("builtin", "builtin/model.npz"), "a run among what is compared.*found none"),
        (("all", "builtin"), "'all', which is no run itself but holds 1. Fix: .*: all/one"),
        (("biultin", "all/one"), "'biultin', which does not exist .did you mean 'builtin'"),
        (("builtin", "faces"), "found 'faces', .* none of these, but holds images. Fix: train one"),
        (("faces", "all/one"), "found 'faces', .* none of these, but holds images. Fix: train one"),
        (("empty", "all/one"), "found 'empty', a folder that is none of these. Fix: train one"),
    ],
)
def test_what_cannot_be_compared_is_one_error(tmp_path, monkeypatch, places, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "all" / "one" / "best" / "3").mkdir(parents=True)
    (tmp_path / "faces" / "sad").mkdir(parents=True)
    (tmp_path / "faces" / "sad" / "1.png").touch()
    (tmp_path / "empty").mkdir()
    (tmp_path / "builtin").mkdir()
    (tmp_path / "builtin" / "model.npz").touch()
    with pytest.raises(UserError, match=message):
        compare.read_runs([Path(place) for place in places], "validation")
