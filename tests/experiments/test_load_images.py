"""A run says where its images are, why they are prepared again, and what a host lacks."""

from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

from faceemo import data
from faceemo.commands import modes
from faceemo.config import field_words, make_config
from faceemo.data.disk.stored_images import StoredImages
from faceemo.data.division import list_part
from faceemo.data.ledger.rules import Rules
from faceemo.data.prepare import folders, prepare
from faceemo.data.prepare.record import Record
from faceemo.data.source.selection import Selection
from faceemo.errors import UserError
from faceemo.experiments import load_images
from faceemo.train import parallel, run_log
from tests.support.data.on_disk import store
from tests.support.train.tiny import make_split, tiny_config


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


def test_default_classes_do_not_replace_those_of_a_folder(config, tmp_path, capsys):
    load(config, tmp_path, capsys, validation_share=0.3)
    before = Path("data/preparation.json").read_bytes()
    default = make_config("vgg16", "7,data_dir=data")
    with (
        field_words.spelled(field_words.as_option),
        pytest.raises(UserError, match=r"was prepared, calm\+angry; found the default") as error,
    ):
        modes.run_mode("train", default, tmp_path / "new")
    assert "add --classes calm+angry --validation-share 0.3;" in str(error.value)
    assert Path("data/preparation.json").read_bytes() == before
    assert not (tmp_path / "new").exists()
    # What names other images or classes, or the folder's own ones, is no mistake.
    for changes in ({"classes": "calm+happy"}, {"source": "mine"}, {"classes": "calm+angry"}):
        meant = make_config("vgg16", "7,data_dir=data")
        meant.update(changes)
        data.refuse_to_replace(meant)
    data.refuse_to_replace(make_config("vgg16", "7,data_dir=other"))


@pytest.fixture
def splits(tmp_path, monkeypatch):
    """The images that the first of two processes names; this is the second, alone on its host."""
    found = {
        "train": store(make_split(70, 0), tmp_path / "train", shards=10),
        "validation": store(make_split(9, 1), tmp_path / "validation"),
    }
    sizes = {path: Path(path).stat().st_size for split in found.values() for path in names(split)}
    monkeypatch.setattr(load_images, "_load_first", lambda config: (found, sizes))
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    monkeypatch.setattr(jax, "process_index", lambda: 1)
    monkeypatch.setattr(jax, "device_count", lambda: 2)
    monkeypatch.setattr(parallel, "on_first", lambda function: function)
    monkeypatch.setattr(parallel, "find_false", lambda flag: [] if flag else [1])
    monkeypatch.setattr(parallel, "count_processes_here", lambda: 1)
    monkeypatch.setattr(parallel, "refuse_disagreement", lambda digests: None)
    return found


def names(split):
    return [path for path, _ in split.images.files]


def lose(splits):
    """Removes the files that the second process does not need; returns those that it needs."""
    needed = load_images.list_files(splits, 1, 2)
    lost = set(names(splits["train"])) - needed
    assert lost
    for path in lost:
        Path(path).unlink()
    return needed


@pytest.mark.parametrize("parts", [2, 6])
def test_a_host_may_lack_the_files_of_other_parts(splits, parts):
    lose(splits)
    loaded = load_images._load_together(tiny_config(data_parts=parts, batch_size=18))
    train = loaded["train"]
    for name in loaded:
        images = loaded[name].images
        assert isinstance(images, StoredImages)
        assert images.divided == (name == "train")
    own = list_part(train.labels, 1, 2)
    np.testing.assert_array_equal(train.images[own], make_split(70, 0).images[own])


def test_images_are_not_divided_where_every_host_holds_all_of_them(splits):
    """Though there are parts, which the processes do not divide."""
    loaded = load_images._load_together(tiny_config(data_parts=3, batch_size=18))
    for name, split in (("train", make_split(70, 0)), ("validation", make_split(9, 1))):
        np.testing.assert_array_equal(loaded[name].images, split.images)


@pytest.mark.parametrize("kind", ["train", "validation", "other size"])
def test_a_host_that_lacks_a_file_of_its_part_is_refused(splits, kind):
    needed = lose(splits)
    folder = "train" if kind == "other size" else kind
    path = Path(next(path for path in sorted(needed) if f"/{folder}/" in path))
    if kind == "other size":
        path.write_bytes(path.read_bytes()[:-1])
    else:
        path.unlink()
    with pytest.raises(
        UserError, match=r"or fewer, on the host of process 1\..*list_data_part\.py"
    ):
        load_images._load_together(tiny_config(data_parts=2, batch_size=18))


def test_hosts_that_lack_files_are_named(monkeypatch, splits):
    lose(splits)
    monkeypatch.setattr(parallel, "find_false", lambda flag: [1, 2, 4, 7, 11, 20, 30])
    with pytest.raises(UserError, match="each of processes 1, 2, 4, 7, 11 and 2 more"):
        load_images._load_together(tiny_config(data_parts=1, batch_size=18))


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({"data_parts": 1, "batch_size": 18}, "other files, or fewer, on the host of process 1"),
        ({"data_parts": 3, "batch_size": 18}, "3 parts, 2 processes, batches of 18 images, 2 dev"),
        ({"data_parts": 6, "batch_size": 15}, "6 parts, 2 processes, batches of 15 images, 2 dev"),
    ],
)
def test_parts_that_do_not_fit_the_processes_are_refused(splits, fields, found):
    lose(splits)
    with pytest.raises(UserError, match=f"found {found}.*data_parts"):
        load_images._load_together(tiny_config(**fields))
