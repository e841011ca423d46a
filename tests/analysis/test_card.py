"""The model card: every number against the records, and text that is not markup."""

import json
import re
import shutil

import pytest

from faceemo.analysis import calibration, card, slices
from faceemo.analysis.predictions import compute_scores
from faceemo.analysis.report import report
from faceemo.assets import builtin
from faceemo.config import make_config
from faceemo.data.ledger import ledger
from faceemo.data.ledger.rules import Rules
from faceemo.errors import UserError
from faceemo.models.preprocessing import BGR_MEAN
from faceemo.train.checkpoint import image_terms
from faceemo.train.checkpoint.trained_model import TrainedModel
from tests.support.data.rows import row

pytestmark = pytest.mark.slow


def summary_of(config, predictions, **changes):
    return {
        "arch": config.arch, "variant": config.variant, "seed": config.seed,
        "best_epoch": 3, "epochs_run": 5, "params_total": 50_394_948,
        "params_trainable": 48_659_460, "seconds": 1234.5, "devices": 1, "platform": "cpu",
        "config": config.to_dict(), "classes": list(predictions.classes),
        "preprocessing": BGR_MEAN.to_dict(), "weights": {"source": "hed", "sha256": "ab" * 32},
        "data": {"train": "11" * 32, "validation": "22" * 32},
        "versions": {"python": "3.11.9", "faceemo": "0.1.0"},
    } | changes  # fmt: skip


@pytest.fixture(scope="module")
def written(tmp_path_factory, predictions, module_plain_figures):
    """A finished run with a report on test; 4 of 6 more images in the ledger are left out."""
    config = make_config("vgg16", "7,weights=hed,image_size=48,data_dir=data/my_faces")
    folder = tmp_path_factory.mktemp("card")
    workdir, root = folder / "run", folder / "data"
    root.mkdir()
    rows = [row(path) for path in predictions.paths]
    rows += [row(f"train/sad/{i}.jpg", fate=ledger.DUPLICATE) for i in range(3)]
    rows += [row("train/sad/9.jpg"), row("train/happy/9.jpg"),
             row("validation/sad/8.jpg", fate=ledger.NO_FACE)]  # fmt: skip
    ledger.write(root, rows)
    fitted = {"temperature": 1.25, "fitted_on": "validation"}
    groupings = slices.make_groupings(predictions, rows, Rules(), "test")
    summary = summary_of(config, predictions)
    report.write(
        workdir / "report" / "test", split="test", predictions=predictions, history=[],
        summary=summary, slices=slices.score_slices(predictions, groupings), fitted=fitted,
    )  # fmt: skip
    (workdir / "summary.json").write_text(json.dumps(summary))
    return folder


@pytest.fixture
def run(written, tmp_path):
    """The test's own copy of that run, and of the folder of its images."""
    shutil.copytree(written, tmp_path, dirs_exist_ok=True)
    return tmp_path / "run", tmp_path / "data"


def test_every_fate_has_its_words():
    rows = [row(f"train/sad/{fate}.jpg", fate=fate) for fate in ledger.FATES]
    assert sum(card._left_out(rows).values()) == len(ledger.FATES) - 1


def tables(text):
    """Returns the rows of all tables, each as a list of cells."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def test_numbers_are_the_records(run, predictions):
    text = card.write(*run).read_text("utf-8")
    rows = tables(text)
    scores = compute_scores(predictions)
    low, high = scores["accuracy_interval"]
    assert ["accuracy", f"{scores['accuracy']:.3f}", f"{low:.3f} to {high:.3f}"] in rows
    card_of_validation = text.replace("### test\n", "### validation\n")
    (run[0] / "other.md").write_text(card_of_validation)
    assert card.read_validation(run[0] / "other.md") == {
        "val_accuracy": round(scores["accuracy"], 3),
        "val_accuracy_interval": [round(low, 3), round(high, 3)],
        "majority_baseline": round(scores["majority_baseline"], 3),
    }
    assert card.read_validation(run[0] / card.NAME) == {}
    assert ["always predicting happy", f"{scores['majority_baseline']:.3f}", ""] in rows
    ece = calibration.measure(calibration.calibrate(predictions, 1.25))["ece"]
    assert [
        "the same after it, with temperature 1.250, fitted on validation",
        f"{ece:.3f}",
        "",
    ] in rows
    sad = scores["per_class"]["sad"]
    assert ["sad", str(sad["support"]), f"{sad['precision']:.3f}", f"{sad['recall']:.3f}"] in [
        cells[:4] for cells in rows
    ]
    quarters = [cells for cells in rows if cells[0].startswith("brightness: ")]
    assert sum(int(cells[1]) for cells in quarters) == len(predictions.labels)
    support = {name: scores["per_class"][name]["support"] for name in predictions.classes}
    assert ["sad", "1 of 4", "0 of 1", f"{support['sad']} of {support['sad']}"] in rows
    assert "Of 126 images 122 were used; left out: no face found 1, duplicate 3." in text
    assert (
        "48,659,460 of 50,394,948 parameters trained, 5 epochs; the weights are those of epoch"
        in text
    )
    assert "Licence: MIT." in text  # of hed's weights, as the assets have it
    assert ["data dir", "data/my_faces"] in rows, "as it was given, without visible escapes"
    assert (
        "Source: the user's own files, data/my_faces. Licence: unknown; there is no SOURCE.txt"
        in text
    )
    assert "11" * 32 in text
    assert ["image size", "48"] in rows
    assert "There was no report" not in text


def test_every_table_is_well_formed(run):
    """Each row has as many cells as its head, and no line of a table is separated from it."""
    text = card.write(*run).read_text("utf-8")
    for block in text.split("\n\n"):
        lines = block.strip().splitlines()
        if lines and lines[0].startswith("|"):
            assert all(line.startswith("|") for line in lines), block
            assert len({len(re.split(r"(?<!\\)\|", line)) for line in lines}) == 1, block
            assert set(lines[1]) == {"|", "-"}, block
    assert "{%" not in text
    assert "\n\n\n" not in text


def test_card_without_a_report_on_test_says_so(run):
    workdir, root = run
    (workdir / "report" / "test").rename(workdir / "report" / "validation")
    text = card.write(workdir, root).read_text("utf-8")
    assert "There was no report on the test split" in text
    assert "### test" not in text
    assert "The epoch was chosen, and the temperature fitted, on validation" in text


def test_card_quotes_the_owner_of_the_images_and_names_no_path_of_the_machine(run, predictions):
    workdir, root = run
    config = make_config("vgg16", "7,weights=none,data_dir=/home/jane/faces")
    (workdir / "summary.json").write_text(json.dumps(summary_of(config, predictions)))
    assert "own files, …/faces. Licence: unknown" in card.write(workdir, root).read_text("utf-8")
    (root / image_terms.NOTE).write_text("FER2013,\n# for | research\n")
    text = card.write(workdir, root).read_text("utf-8")
    assert "as SOURCE.txt beside the images says: FER2013, # for \\| research" in text
    assert "unknown" not in text.split("## Data")[1].split("## Recipe")[0]
    assert "jane" not in text


def test_drawings_are_called_drawings_and_hostile_names_are_text(run, predictions):
    workdir, root = run
    config = make_config("vgg16", "7,weights=none,dataset=sample")
    config.data_dir = "a|b`<script>\n# c"
    summary = summary_of(config, predictions)
    (workdir / "summary.json").write_text(json.dumps(summary))
    text = card.write(workdir, root).read_text("utf-8")
    assert "Trained on drawings, not photographs" in text
    assert "none needed" in text
    assert "a\\|b\\`\\<script\\> # c" in text
    assert "\n# c" not in text


def test_card_names_the_runs_behind_the_initial_weights(run, predictions):
    """The initial weights are an earlier run's, which began with hed's."""
    workdir, root = run
    eldest = summary_of(make_config("vgg16", "8,weights=hed,image_size=64"), predictions)
    summary = summary_of(
        make_config("vgg16", "7,weights=none,image_size=48"), predictions,
        weights={"source": "my|net.npz", "sha256": "cd" * 32, "trained": eldest},
        warnings={"initial weights": "trained on other images"},
    )  # fmt: skip
    (workdir / "summary.json").write_text(json.dumps(summary))
    text = card.write(workdir, root).read_text("utf-8")
    lines = text.split("## Recipe")[1].splitlines()
    assert "my\\|net.npz" in lines[2]
    assert "Licence of the weights at the beginning, hed: MIT" in lines[2]
    (row,) = (line for line in lines if line.startswith("| vgg16:8 "))
    assert row == "| vgg16:8 | 64 | 6 | 1e-05 | those of this run | hed |"
    assert "- Warning, initial weights: trained on other images." in lines
    (workdir / "summary.json").write_text(json.dumps(summary | {"data": {"train": "33" * 32}}))
    assert f"| 1e-05 | {'11' * 32} | hed |" in card.write(workdir, root).read_text("utf-8")


def test_card_names_the_terms_of_the_images_behind_the_initial_weights(run, predictions):
    """The builtin network has them in its card; other networks in their recipe, or nowhere."""
    workdir, root = run
    builtin_run = TrainedModel.load(builtin.FOLDERS[builtin.NAME]).recipe
    weights = {"source": builtin.NAME, "sha256": "cd" * 32, "trained": builtin_run}
    terms = image_terms.collect([weights])
    config = make_config("mobilenet", "0,weights=builtin,image_size=48")
    summary = summary_of(config, predictions, weights=weights, image_terms=terms)
    (workdir / "summary.json").write_text(json.dumps(summary))
    text = card.write(workdir, root).read_text("utf-8").split("## Recipe")[1]
    assert "whose terms hold for this network too" in text
    assert text.count("- FER2013 (P.-L. Carrier") == 1
    assert "For research; the images" in text
    assert "terms of these images are not recorded" not in text
    heir = {"source": "no/such/file.npz", "sha256": "ef" * 32, "trained": summary}
    assert image_terms.collect([heir]) == terms, "handed on"
    (workdir / "summary.json").write_text(json.dumps(summary_of(config, predictions, weights=heir)))
    text = card.write(workdir, root).read_text("utf-8")
    assert "- The source and the terms of these images are not recorded." in text


def test_an_unfinished_run_has_no_card(tmp_path):
    with pytest.raises(UserError, match=r"no summary\.json"):
        card.write(tmp_path, tmp_path)


def test_an_older_report_is_left_out(run):
    workdir, root = run
    (workdir / "report" / "test" / "slices.json").unlink()
    assert "There was no report on the test split" in card.write(workdir, root).read_text("utf-8")
