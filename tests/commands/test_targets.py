"""Tests of what a command takes as its configuration."""

from pathlib import Path

import pytest

from faceemo.commands import targets
from faceemo.config import default_workdir, make_config, shipped
from faceemo.errors import UserError
from tests.support.places import CONFIGS

OWN = """
from faceemo.config import make_config

def get_config(arg="7"):
    return make_config("vgg16", f"{arg},weights=none")
"""


@pytest.mark.parametrize(
    ("text", "fields", "expected", "assumed"),
    [
        ("vgg16:3,epochs=2", {}, ("vgg16", "3,epochs=2"), False),
        ("mobilenet:best", {"image_size": 64}, ("mobilenet", "best,image_size=64"), False),
        ("vgg16", {}, ("vgg16", "7"), True),
        ("vgg16:epochs=2", {}, ("vgg16", "epochs=2"), True),
        ("configs/vgg16.py:3", {"epochs": 2}, ("vgg16", "3,epochs=2"), False),
    ],
)
def test_a_configuration_by_name_or_file(text, fields, expected, assumed, monkeypatch):
    monkeypatch.chdir(CONFIGS.parent)
    target = targets.resolve(text, fields)
    assert target.config == make_config(*expected)
    assert target.workdir == default_workdir(target.config)
    assert target.assumed == assumed
    assert not target.remarks


def test_a_file_of_ones_own(tmp_path):
    (tmp_path / "own.py").write_text(OWN)
    for text, variant in (("own.py", "7"), ("own.py:3", "3")):
        target = targets.resolve(str(tmp_path / text), {"epochs": 1}, Path("there"))
        assert target.config == make_config("vgg16", f"{variant},weights=none,epochs=1")
        assert target.workdir == Path("there")
    (tmp_path / "bug.py").write_text("def get_config():\n    raise KeyError('a bug')\n")
    with pytest.raises(KeyError, match="a bug"):
        targets.resolve(str(tmp_path / "bug.py"), {})


def test_the_files_that_come_with_faceemo_are_found_in_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert targets.resolve("configs/vgg16.py:3", {}).config == make_config("vgg16", "3")
    assert Path("configs/vgg16.py") in shipped.files()
    other = Path("elsewhere/vgg16.py")
    assert shipped.find(other) == other
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "vgg16.py").write_text(OWN)
    assert targets.resolve("configs/vgg16.py:3", {}).config.weights == "none", "one's own is first"


def test_an_installed_package_has_the_files_in_it(tmp_path, monkeypatch):
    installed = tmp_path / "faceemo"
    (installed / "config").mkdir(parents=True)
    (installed / "configs").mkdir()
    (installed / "configs" / "vgg16.py").touch()
    monkeypatch.setattr(shipped, "__file__", str(installed / "config" / "shipped.py"))
    monkeypatch.chdir(tmp_path)
    assert shipped.find(Path("configs/vgg16.py")) == installed / "configs" / "vgg16.py"
    assert shipped.files() == [Path("configs/vgg16.py")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("vgg61:7", "found 'vgg61:7', which does not exist .did you mean 'vgg16:7'"),
        ("configs/vgg61.py:7", "did you mean 'configs/vgg16.py'"),
        ("vgg16:12", "variant from 0 to 11.*found the variant '12'. Fix"),
        ("vgg16:7,imagesize=8", "did you mean 'image_size'.*write vgg16:7,image_size=8$"),
        ("empty.py", "the function get_config in empty.py"),
        ("note.txt", "a folder, zip or csv of images.*found the file note.txt"),
    ],
)
def test_what_is_none_of_these_is_refused(tmp_path, monkeypatch, text, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.py").touch()
    (tmp_path / "note.txt").touch()
    with pytest.raises(UserError, match=message):
        targets.resolve(text, {})


@pytest.mark.parametrize(
    ("text", "trained", "message"),
    [
        ("checkpoints/myfaces", True, "^expected the folder of a trained run.*; found "
         "'checkpoints/myfaces', which does not exist .did you mean 'checkpoints/my_faces'"),
        ("checkpoints/myfaces", False, "^expected a configuration.*; found "
         "'checkpoints/myfaces', which does not exist .did you mean 'checkpoints/my_faces'"),
        ("checkpoints", True, "'checkpoints', which is no run .*: checkpoints/my_faces$"),
        ("checkpoints", False, "'checkpoints', which is no run .*: checkpoints/my_faces$"),
        (".", True, r"'.', which is no run .*: checkpoints/my_faces$"),
        ("checkpoints/my_faces/best", True, "Fix: give .* summary.json: checkpoints/my_faces$"),
        ("checkpoints/my_faces/best/3", False, "summary.json: checkpoints/my_faces$"),
    ],
)  # fmt: skip
def test_a_path_that_is_almost_a_run_is_named(tmp_path, monkeypatch, text, trained, message):
    monkeypatch.chdir(tmp_path)
    Path("checkpoints/my_faces/best/3").mkdir(parents=True)
    with pytest.raises(UserError, match=message):
        targets.resolve(text, {}, trained=trained)


def test_fields_that_do_not_fit_together_are_refused():
    with pytest.raises(UserError, match=r"warmup_epochs=3 .takes less than epochs, 2"):
        targets.resolve("vgg16:7", {"epochs": 2, "warmup_epochs": 3.0})


def test_what_is_no_run_is_told_apart_from_images(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("checkpoints/begun").mkdir(parents=True)
    with pytest.raises(UserError, match=r"'nothing', which does not exist\. Fix.*no run in"):
        targets.resolve("nothing", {}, trained=True)
    with pytest.raises(UserError, match="'checkpoints/begun', an empty folder"):
        targets.resolve("checkpoints/begun", {}, trained=True)
    Path("checkpoints/begun/train.log").touch()
    with pytest.raises(UserError, match="'checkpoints/begun', a run without a finished epoch"):
        targets.resolve("checkpoints/begun", {}, trained=True)
    Path("checkpoints/done/best/3").mkdir(parents=True)
    with pytest.raises(UserError, match=r"such as checkpoints/done$"):
        targets.resolve("nothing", {}, trained=True)
    monkeypatch.chdir("checkpoints/done")
    with pytest.raises(UserError, match=f"summary.json: {tmp_path}/checkpoints/done$"):
        targets.resolve("best", {}, trained=True)
