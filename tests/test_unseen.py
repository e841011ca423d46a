"""The test split is opened once, and its record is there before its result."""

import json

import pytest

from faceemo import runs, unseen
from faceemo.config import make_config
from faceemo.errors import UserError


@pytest.fixture
def opened(monkeypatch, tmp_path):
    calls = []

    def evaluate(config, workdir, split):
        calls.append((config.arch, config.image_size, split, (workdir / unseen.NAME).exists()))

    monkeypatch.setattr(runs, "evaluate", evaluate)
    config = make_config("vgg16", "7,image_size=48").to_dict()
    del config["ema"]  # as in a run that is older than the field
    monkeypatch.setattr(unseen, "recipe_of", lambda workdir: {"config": config})
    return calls


def test_once(opened, tmp_path):
    unseen.open_test(tmp_path)
    assert opened == [("vgg16", 48, "test", True)]
    with pytest.raises(UserError, match="it was opened on"):
        unseen.open_test(tmp_path)
    assert len(opened) == 1
    unseen.open_test(tmp_path, again=True)
    assert len(opened) == 2
    assert len(json.loads((tmp_path / unseen.NAME).read_text())) == 2


def test_without_a_run_nothing_is_opened(tmp_path):
    with pytest.raises(UserError, match="trained run"):
        unseen.open_test(tmp_path)
    assert not list(tmp_path.iterdir())
