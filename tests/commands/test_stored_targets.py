"""Which images a stored network is evaluated on, and where the report goes."""

from pathlib import Path

import pytest

from faceemo.commands import cli, modes, stored_targets
from faceemo.errors import UserError
from faceemo.train.checkpoint import model_file
from tests.commands.test_own_images import write

BUILTIN = Path("builtin")


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_source_is_divided_as_training_divides_it(here):
    write(here / "faces", happy=6, sad=6)
    target = stored_targets.resolve(BUILTIN, {"source": "faces", "test_share": 0.1}, None)
    assert target.config.classes == "happy+sad"
    assert target.config.data_dir == "data/prepared/faces"
    assert (target.config.validation_share, target.config.test_share) == (0.2, 0.1)
    assert target.workdir == Path("checkpoints/builtin-on-faces")


def test_prepared_images_are_used_as_they_are(here):
    network = here / "vgg16-7" / "model.npz"
    target = stored_targets.resolve(network, {"data_dir": "data/prepared/faces"}, None)
    assert (target.config.data_dir, target.config.source) == ("data/prepared/faces", "")
    assert target.workdir == Path("checkpoints/vgg16-7-on-faces")
    given = stored_targets.resolve(here / "mine.npz", {}, Path("there"))
    assert given.workdir == Path("there")
    assert stored_targets.resolve(here / "mine.npz", {}, None).workdir.name == "mine-on-data"


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({"image_size": 96}, "found image_size"),
        ({"policy": "keep"}, "with source for images that are not prepared.*found policy"),
        ({"source": "faces", "epochs": 3}, "found epochs"),
    ],
)
def test_fields_that_do_not_matter_are_refused(fields, found):
    with pytest.raises(UserError, match=found):
        stored_targets.resolve(BUILTIN, fields, None)


def test_what_is_a_stored_network(here):
    Path("folder").mkdir()
    for name in ("other.npz", "folder/model.npz", "note.txt"):
        Path(name).touch()
    named = ("builtin", "other.npz", "folder", "folder/model.npz")
    assert all(model_file.names_stored(Path(name)) for name in named)
    assert not any(model_file.names_stored(Path(name)) for name in ("note.txt", "nothing.npz", "."))


def test_evaluate_takes_a_stored_network(here, monkeypatch):
    made = []
    monkeypatch.setattr(modes, "evaluate_stored", lambda *words: made.append(words))
    assert cli.main(["evaluate", "builtin", "--data-dir", "d", "--split", "test"]) == 0
    ((network, config, workdir, split, groups),) = made
    assert (network, config.data_dir, split, groups) == (BUILTIN, "d", "test", None)
    assert workdir == Path("checkpoints/builtin-on-d")
