"""Tests that the test split is opened once, and recorded before the result is computed."""

import json

import pytest

from faceemo.config import make_config
from faceemo.errors import UserError
from faceemo.experiments import held_out, run


@pytest.fixture
def opened(monkeypatch):
    """Returns the calls of `run.evaluate`, which here only records the opening."""
    calls = []

    def evaluate(config, workdir, split):
        held_out.record_opening(workdir)
        calls.append((config.arch, config.image_size, split))

    monkeypatch.setattr(run, "evaluate", evaluate)
    config = make_config("vgg16", "7,image_size=48").to_dict()
    monkeypatch.setattr(run, "load_recipe", lambda workdir: {"config": config})
    return calls


def test_the_test_split_opens_once(opened, tmp_path):
    run.open_test(tmp_path)
    assert opened == [("vgg16", 48, "test")]
    with pytest.raises(UserError, match=r"opened on .* \(no report was finished"):
        run.open_test(tmp_path)
    assert len(opened) == 1
    run.open_test(tmp_path, again=True)
    assert len(opened) == 2
    assert len(json.loads((tmp_path / held_out.NAME).read_text())) == 2


def test_a_report_without_a_record_counts_too(opened, tmp_path):
    """An older faceemo wrote no record, and a user may have removed it."""
    page = tmp_path / "report" / "test" / "index.html"
    page.parent.mkdir(parents=True)
    page.touch()
    with pytest.raises(UserError, match=r"its report is .*index\.html"):
        run.open_test(tmp_path)
    assert not opened


def test_without_a_run_nothing_is_opened(tmp_path):
    with pytest.raises(UserError, match="trained run"):
        run.open_test(tmp_path)
    assert not list(tmp_path.iterdir())
