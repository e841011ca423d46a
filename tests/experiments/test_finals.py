"""Tests of the final models: which are trained, as in a sweep, and that the stored ones load."""

import importlib.util
import json
import sys
import textwrap

import pytest

from faceemo.errors import UserError
from faceemo.experiments import finals, sweep
from faceemo.train.checkpoint import trained_model
from faceemo.train.checkpoint.trained_model import TrainedModel
from tests.support import finished
from tests.support.places import REPOSITORY

# Replaces training: it copies a finished run, or fails for vgg16.
STAND_IN = """
    import json, pathlib, shutil, sys
    whole, workdir, config = sys.argv[1], pathlib.Path(sys.argv[2]), json.loads(sys.argv[3])
    if config["arch"] == "vgg16":
        sys.exit("no room")
    shutil.copytree(whole, workdir)
    history = [{"validation/accuracy": accuracy} for accuracy in (0.5, 0.4)]
    (workdir / "history.json").write_text(json.dumps(history))
    (workdir / "summary.json").write_text(json.dumps({
        "arch": config["arch"], "variant": config["variant"], "seed": config["seed"],
        "config": config, "val_accuracy": 0.5, "val_accuracy_interval": [0.4, 0.6],
        "val_macro_f1": 0.4, "majority_baseline": 0.25, "train_accuracy": 0.6, "best_epoch": 1,
        "epochs_run": 2, "seconds": 90, "params_trainable": 1234567,
    }))
"""


@pytest.fixture(scope="module")
def script():
    """Returns scripts/train_final.py as a module."""
    path = REPOSITORY / "scripts" / "train_final.py"
    spec = importlib.util.spec_from_file_location("train_final", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_number_of_epochs_is_given_once_in_either_place():
    assert finals.add_epochs("", None) == "epochs=20"
    assert finals.add_epochs("patience=0", 8) == "epochs=8,patience=0"
    assert finals.add_epochs("patience=0,epochs=8", None) == "patience=0,epochs=8"
    with pytest.raises(UserError, match="found --epochs 4 and --overrides with epochs=8"):
        finals.add_epochs("epochs=8", 4)


def test_by_default_the_studys_final_models_train_for_20_epochs(script, monkeypatch, tmp_path):
    plans = []
    monkeypatch.setattr(
        script, "run_sweep", lambda root, plan_runs, _: plans.append((root, plan_runs()))
    )
    monkeypatch.setattr(sys, "argv", ["train_final.py"])
    script.main()
    monkeypatch.setattr(
        sys, "argv",
        ["train_final.py", "resnet50v2:best", "--epochs=3", "--overrides=image_size=48",
         "--seeds=2", f"--root={tmp_path}"],
    )  # fmt: skip
    script.main()
    (_, runs), (root, others) = plans
    assert [(run.config.arch, run.config.variant, run.config.epochs) for run in runs] == [
        ("vgg16", 7, 20), ("resnet50v2", 8, 20), ("efficientnetb0", 9, 20),
    ]  # fmt: skip
    assert all(run.config.image_size == 224 for run in runs)
    assert root == tmp_path
    assert [run.config.variant for run in others] == ["best", "best"]
    assert {(run.config.epochs, run.config.image_size) for run in others} == {(3, 48)}


@pytest.mark.parametrize(
    "name", ["vgg16", "vgg16:", ":7", "vgg16:12", "lenet:7", "lenet:best", "vgg16:7,x=1"]
)
def test_an_invalid_model_name_is_refused(name, tmp_path):
    with pytest.raises(UserError):
        sweep.plan_runs(tmp_path, finals.parse_models([name]))


@pytest.mark.slow
def test_trained_models_are_stored_and_failures_are_listed(script, monkeypatch, tmp_path, capsys):
    program = tmp_path / "stand_in.py"
    program.write_text(textwrap.dedent(STAND_IN))
    whole, root = tmp_path / "whole", tmp_path / "final"
    finished.write(whole)

    def command(run, configs):
        config = json.dumps(run.config.to_dict())
        return [sys.executable, str(program), str(whole), str(run.workdir), config]

    monkeypatch.setattr(sweep.Run, "command", command)
    monkeypatch.setattr(sweep.data, "check_present", lambda config: None)  # it needs no images
    monkeypatch.setattr(
        sys, "argv", ["train_final.py", "vgg16:7", "efficientnetb0:2", "--epochs=2",
                      "--overrides=image_size=32,weights=none", f"--root={root}"],
    )  # fmt: skip
    name = "efficientnetb0-2,image_size=32,weights=none"
    for attempt in (1, 2):
        assert script.main() == 1
        output = capsys.readouterr().out
        assert output.count("already finished") == attempt - 1
        path = root / finals.FOLDER / name / trained_model.NAME
        assert f"stored      {path} (16." in output
        assert "failed      vgg16-7,image_size=32,weights=none: no room" in output
        assert TrainedModel.load(path).temperature == 1.375
        assert sorted(entry.name for entry in path.parent.iterdir()) == ["card.md", "model.npz"]
        assert (root / "leaderboard.html").exists()
        path.unlink()
    (root / name / "calibration.json").unlink()
    assert script.main() == 1
    output = capsys.readouterr().out
    assert f"failed      {name}: expected the temperature" in output, "trained, but not stored"
