"""Tests of the commands that train and evaluate, from their words to results on disk."""

import json
import zipfile
from pathlib import Path

import pytest

from faceemo.commands import cli, modes
from faceemo.config import default_workdir, make_config
from faceemo.data.sample import sample
from faceemo.errors import UserError
from faceemo.train import parallel


@pytest.fixture
def calls(monkeypatch):
    """What the commands ask of `modes.run_mode`, in its place."""
    made = []
    monkeypatch.setattr(
        modes,
        "run_mode",
        lambda mode, config, workdir, **rest: made.append((mode, config, workdir, rest)),
    )
    return made


def test_the_words_of_a_command_become_a_configuration_and_its_mode(calls):
    fields = ["--image-size", "64", "--extra-dense", "--no-exact-screening", "--cutmix=0.5"]
    expected = make_config("vgg16", "3,epochs=2,image_size=64,extra_dense=true,cutmix=0.5")
    for name, mode in (("train", "train"), ("plan", "plan"), ("lr-find", "lr_find")):
        assert cli.main([name, "vgg16:3,epochs=2", *fields]) == 0
        assert calls[-1][:3] == (mode, expected, default_workdir(expected))
    assert cli.main(["plan", "vgg16"]) == 0
    assert calls[-1][3]["assumed"]


def test_evaluation_and_several_processes_have_options_of_their_own(calls):
    cli.main(["evaluate", "vgg16:3", "--split", "test", "--groups", "g.csv", "--workdir", "w"])
    mode, _, workdir, rest = calls[-1]
    assert (mode, workdir, rest["split"], rest["groups"]) == (
        "evaluate", Path("w"), "test", Path("g.csv"),
    )  # fmt: skip
    options = ["--coordinator", "a:1", "--num_processes", "2", "--process_id=1"]
    cli.main(["train", "vgg16:3", *options])
    assert calls[-1][3]["processes"] == modes.Processes("a:1", 2, 1)


def test_images_are_missed_on_the_host_of_the_first_process_alone(tmp_path, monkeypatch):
    config = make_config("vgg16", f"7,data_dir={tmp_path / 'none'},source={tmp_path / 'none.zip'}")
    with pytest.raises(UserError, match=r"none\.zip"):
        modes._check_images(config, modes.Processes(), may_replace=False)
    # as in a process that is not the first
    monkeypatch.setattr(parallel, "on_first", lambda function: lambda *arguments: None)
    modes._check_images(config, modes.Processes("localhost:1", 2, 1), may_replace=False)


def test_half_a_description_of_several_processes_is_refused(capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(["train", "vgg16:3", "--num-processes", "2"])
    assert stopped.value.code == 2
    assert "found no --coordinator" in capsys.readouterr().err


def test_a_mistyped_run_is_answered_in_the_words_of_the_command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name, words in (("evaluate", "the folder of a trained run"), ("train", "a configuration")):
        with pytest.raises(SystemExit, match="2"):
            cli.main([name, "checkpoints/nothing"])
        assert capsys.readouterr().err.startswith(f"faceemo: error: expected {words}")


def test_missing_images_are_reported_before_missing_weights(tmp_path, monkeypatch, capsys):
    """Neither the weights nor JAX's devices are asked for."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(modes, "_heading", lambda *_: pytest.fail("began to train"))
    for command in ("train", "lr-find", "evaluate"):
        with pytest.raises(SystemExit, match="2"):
            cli.main([command, "vgg16:7"])
        assert "Facial_emotion_images.zip" in capsys.readouterr().err
    assert not Path("checkpoints").exists()


def test_a_shortened_warm_up_is_said_at_the_start():
    short = modes._heading(make_config("mobilenet", "best,epochs=1"), False)
    assert short.endswith("warm-up shortened from 1 epoch to 0.25")
    assert "warm-up" not in modes._heading(make_config("mobilenet", "best"), False)


def test_an_interruption_says_what_the_same_command_does(tmp_path):
    """A folder that holds only the log of a run has nothing to resume from."""
    (tmp_path / "train.log").touch()
    begun = modes._describe_interruption("train", tmp_path)
    assert begun == "stopped; nothing had been trained yet; the same command starts again"
    (tmp_path / "latest" / "3").mkdir(parents=True)
    assert "resumes from what" in modes._describe_interruption("train", tmp_path)
    assert "starts again" in modes._describe_interruption("evaluate", tmp_path)


@pytest.mark.slow(seconds=30)
@pytest.mark.usefixtures("plain_figures")
def test_a_folder_of_faces_is_trained_resumed_and_evaluated(tmp_path, monkeypatch, capsys):
    drawn = sample.write_zip(tmp_path, seed=5, counts=sample.MIN_COUNTS | {"train": 60})
    with zipfile.ZipFile(drawn) as archive:
        for name in archive.namelist():
            if "/train/" in name:
                place = tmp_path / "my faces" / name.partition("/train/")[2]
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(archive.read(name))
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    options = ["--image-size", "64", "--epochs", "2"]
    assert cli.main(["train", "my faces", *options]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("classes   classes=happy+neutral+sad+surprise: ")
    assert "image_size as you gave it" in printed
    run = Path("checkpoints/my faces")
    summary = json.loads((run / "summary.json").read_text())
    assert summary["weights"]["source"] == "builtin"
    assert summary["params_trainable"] < 5000, "the head alone"
    assert Path("data/prepared/my faces/ledger.jsonl").is_file()

    assert cli.main(["train", str(run), "--epochs", "3"]) == 0
    assert "continues after epoch 2" in capsys.readouterr().out
    best = json.loads((run / "summary.json").read_text())["val_accuracy"]
    for target in ([str(run)], ["my faces", "--image-size", "64", "--epochs", "3"]):
        assert cli.main(["evaluate", *target]) == 0
        assert f"validation: accuracy {best:.4f}" in capsys.readouterr().out
