"""A run says where its images are, and why they are prepared again."""

import numpy as np
import pytest
from PIL import Image

from faceemo import data
from faceemo.config import field_words, make_config
from faceemo.data.ledger.rules import Rules
from faceemo.data.prepare import folders, prepare
from faceemo.data.prepare.record import Record
from faceemo.data.source.selection import Selection
from faceemo.experiments import load_images
from faceemo.train import run_log


@pytest.fixture
def config(tmp_path, monkeypatch):
    """The configuration of two classes; its images are unpacked alone, which takes no time."""
    write(tmp_path / "mine", seed=1)

    def load(config):
        root, rules = data.dataset_root(config), Rules.from_config(config)
        prepare.prepare(root, selection=Selection.from_config(config), last="unpack")
        (root / folders.UNIQUE).mkdir(exist_ok=True)
        Record(root).finish("dedupe", inputs={"rules": vars(rules)})
        print("a table")
        return {}

    monkeypatch.setattr(data, "load", load)
    monkeypatch.chdir(tmp_path)
    return make_config("vgg16", "7,source=mine,data_dir=data,classes=calm+angry,policy=strict")


def write(folder, seed):
    rng = np.random.default_rng(seed)
    for label in ("calm", "angry"):
        (folder / label).mkdir(parents=True)
        for number in range(6):
            pixels = rng.integers(0, 256, (48, 48), np.uint8)
            Image.fromarray(pixels).save(folder / label / f"{number}.png")


def load(config, workdir, capsys, **changes):
    """Loads as a run with changed fields; returns what is printed."""
    config = config.copy_and_resolve_references()
    config.update(changes)
    with run_log.keep(workdir), field_words.spelled(field_words.as_option):
        load_images.load(config)
    return capsys.readouterr().out.removeprefix("loads       ")


def test_why_images_are_prepared_again_is_one_line(config, tmp_path, capsys):
    (tmp_path / "run").mkdir()
    first = load(config, tmp_path / "run", capsys)
    assert first == "the images of mine, which are prepared in data first\n"
    again = load(config, tmp_path / "run", capsys)
    assert (
        again == "the images that were prepared in data (anew only if their source has changed)\n"
    )
    changed = load(config, tmp_path / "run", capsys, validation_share=0.3, near_distance=1)
    assert changed == (
        "the images of mine, which are prepared again in data with --validation-share 0.3 "
        "--near-distance 1: they were last prepared there with --validation-share 0.1 "
        "--near-distance 2\n"
    )
    back = load(config, tmp_path / "run", capsys, policy="original", test_share=0.2)
    new, old = back.split(": they were last prepared there with ")
    assert "--test-share 0.2" in new
    assert "--policy original" in new
    assert "--test-share 0" in old
    assert "--policy strict" in old
    assert "nothing to do" in (tmp_path / "run" / run_log.NAME).read_text()


def test_other_images_with_the_same_settings_are_told(config, tmp_path, capsys):
    load(config, tmp_path, capsys)
    write(tmp_path / "other", seed=2)
    told = "prepared again: these are not the images from which data was prepared"
    assert told in load(config, tmp_path, capsys, source="other")
    assert told not in load(config, tmp_path, capsys, source="other")
    (tmp_path / "other" / "calm" / "0.png").unlink()
    assert told in load(config, tmp_path, capsys, source="other")
