"""scripts/list_data_part.py prints the files of a part as rsync takes them."""

from pathlib import Path

import pytest

from faceemo import data
from faceemo.data.disk.stored_images import StoredImages
from faceemo.data.division import list_part
from tests.support.data.on_disk import store
from tests.support.places import SCRIPTS
from tests.support.train.tiny import make_splits


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs the script on images in the folder mine; returns them and the function that does."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    monkeypatch.chdir(tmp_path)
    import list_data_part

    splits = {
        name: store(split, Path("mine/tfds") / name, shards=10)
        for name, split in make_splits().items()
    }

    def load(config, *, on_disk):
        assert (config.data_dir, on_disk) == ("mine", True)
        print("a table of the preparation")
        return splits

    monkeypatch.setattr(data, "load", load)

    def run(*words):
        parser = list_data_part.make_parser()
        list_data_part.main(parser.parse_args([*words, "vgg16:7", "--data-dir", "mine"]))

    return splits, run


def test_the_listed_files_hold_the_part_and_all_of_validation_and_test(run, capsys, tmp_path):
    splits, run = run
    run("1", "3")
    listed = capsys.readouterr().out.splitlines()
    files = [tmp_path / "mine" / path for path in listed]
    assert all(file.is_file() for file in files)
    assert len(listed) == len(set(listed)) < 30
    for path in {file.resolve() for file in (tmp_path / "mine").rglob("*.array_record")}:
        if path not in {file.resolve() for file in files}:
            path.unlink()
    train = splits["train"]
    assert isinstance(train.images, StoredImages)
    assert len(train.images[list_part(train.labels, 1, 3)]) == len(train) // 3
    for name in ("validation", "test"):
        assert len(splits[name].images[:]) == len(splits[name])


def test_a_part_beyond_the_last_is_refused(run):
    with pytest.raises(ValueError, match="expected a part from 0 to 2; found part 3"):
        run[1]("3", "3")
