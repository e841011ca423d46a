"""The command as a user gives it: from a zip to a report, in processes of their own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from faceemo.data.sample import sample
from faceemo.experiments import held_out, sweep
from tests.support import forked
from tests.support.places import REPOSITORY
from tests.support.xla import COMPILE_QUICKLY

CONFIG7 = "--config=configs/vgg16.py:7"
CONFIG = "configs/mobilenet.py:2,image_size=32,weights=none,epochs=2,learning_rate=0.0003"


def command(*arguments, **environment):
    """Runs the command in the checkout; returns the finished process."""
    return forked.run("faceemo.main", *arguments, **{"XLA_FLAGS": COMPILE_QUICKLY} | environment)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with a small zip and the run that was trained on it; what the command printed."""
    folder = tmp_path_factory.mktemp("main")
    sample.write_zip(folder / "data", seed=3, counts={"train": 80, "validation": 40, "test": 16})
    options = ("--config", f"{CONFIG},data_dir={folder / 'data'}", "--workdir", str(folder / "run"))
    return folder, options, command(*options)


@pytest.mark.slow
def test_training_leaves_everything_that_it_names(trained):
    folder, _, process = trained
    assert process.returncode == 0, process.stderr
    everything_is_there(process.stdout)
    summary = json.loads((folder / "run" / "summary.json").read_text())
    assert summary["epochs_run"] == 2
    assert 1 <= summary["best_epoch"] <= 2
    assert summary["params_trainable"] < summary["params_total"]
    assert summary["val_accuracy_interval"][0] < summary["val_accuracy"]
    assert summary["config"]["image_size"] == 32
    assert "Traceback" not in process.stderr


def everything_is_there(told):
    """What a command says that it has written."""
    for line in ("report", "summary", "checkpoint", "metrics"):
        (path,) = [x.split()[1] for x in told.splitlines() if x.startswith(line)]
        assert Path(path).exists(), path


@pytest.mark.slow
def test_tensorboard_gets_the_pictures(trained):
    folder, _, process = trained
    tags = EventAccumulator(str(folder / "run")).Reload().Tags()["tensors"]
    assert {"validation/confusion_matrix", "validation/misclassified"} < set(tags)
    assert f"tensorboard --logdir {folder / 'run'}\n" in process.stdout


@pytest.mark.slow
def test_evaluation_restores_the_best_and_reports_on_test(trained):
    folder, options, _ = trained
    process = command(*options, "--mode=evaluate", "--split=test")
    assert process.returncode == 0, process.stderr
    assert (folder / "run" / "report" / "test" / "index.html").exists()
    everything_is_there(process.stdout)
    assert len(json.loads((folder / "run" / held_out.NAME).read_text())) == 1
    again = command(*options, "--mode=evaluate", "--split=validation")
    summary = json.loads((folder / "run" / "summary.json").read_text())
    assert f"validation: accuracy {summary['val_accuracy']:.4f}" in again.stdout


@pytest.mark.slow
def test_the_same_command_goes_on_where_it_stood(trained):
    """A finished run trains no further; two devices take the checkpoint of one."""
    _, options, _ = trained
    flags = f"--xla_force_host_platform_device_count=2 {COMPILE_QUICKLY}"
    process = command(*options, "--config.epochs=3", XLA_FLAGS=flags)
    assert process.returncode == 0, process.stderr
    assert "continues after epoch 2" in process.stdout
    assert "epoch  3" in process.stdout


@pytest.mark.slow
def test_what_a_sweep_keeps_of_a_run_is_reported_on_and_never_lost(trained):
    """After the test above: three epochs, and then the best weights alone."""
    folder, options, _ = trained
    run = folder / "run"
    sweep.keep_best_weights(run)
    (best,) = (run / "best").iterdir()
    curve = run / "report" / "validation" / "accuracy.png"
    curve.unlink()
    assert command(*options, "--config.epochs=3").returncode == 0
    assert curve.exists()
    process = command(*options, "--config.epochs=9", "--config.patience=0")
    assert process.returncode == 2
    assert "can go on after 3 epochs; found a finished run" in process.stderr
    assert best.is_dir()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--config=configs/vgg16.py:12",), "variant from 0 to 11"),
        (("--config=configs/vgg16.py:7,weights=lost.h5",), "'hed', 'imagenet', 'none'"),
        (("--config=configs/vgg16.py:7,batchsize=8",), "write configs/vgg16.py:7,batch_size=8"),
        ((CONFIG7, "--config.imagesize=48"), "write --config.image_size=48"),
        ((CONFIG7, "--noconfig.extradense"), "did you mean 'extra_dense'?"),
        ((CONFIG7, "--config.image_size=8"), "32 to 1024"),
        ((CONFIG7, "--config.image_size=big"), "a whole number for image_size; found 'big'"),
        ((CONFIG7, "--config.variant=3"), "found the field 'variant'"),
        ((CONFIG7, "--mode=evalaute"), "did you mean 'evaluate'?"),
        ((CONFIG7, "--split=vaildation"), "did you mean 'validation'?"),
        ((CONFIG7, "--wrkdir=x"), "found --wrkdir (did you mean 'workdir'?)"),
        ((CONFIG7, "train"), "options only"),
        (("--config", "configs/vgg61.py:7"), "did you mean 'configs/vgg16.py'?"),
        (("--config=elsewhere/vgg16.py",), "name one that exists: configs/efficientnetb0.py"),
        ((), "write for example python -m faceemo.main --config configs/vgg16.py:7"),
        (("--config=",), "found no --config"),
        (("--cofig", "configs/vgg16.py:7"), "found --cofig (did you mean 'config'?)"),
    ],
)
def test_a_mistake_gets_one_message_and_no_traceback(arguments, message):
    process = command(*arguments)
    assert process.returncode == 2
    assert message in process.stderr
    assert "Traceback" not in process.stderr
    assert process.stderr.count("faceemo: error:") == 1


OWN = """
from faceemo.config import make_config

def get_config(arg=None):
    config = make_config("vgg16", "7,weights=none,image_size=32")
    {line}
    return config
"""


@pytest.mark.parametrize(
    ("line", "code", "message"),
    [
        ("config.epochs = 2", 0, "VGG16, variant 7 (the default; none was named), 32 px"),
        ("config.unlock(); config.loss_alpha = 3.0", 2, "the unknown field 'loss_alpha'"),
        ("config.unlock(); del config.seed", 2, "no field 'seed'"),
        (
            "config = type(config)({**config.to_dict(), 'image_size': [32]})",
            2,
            "image_size=[32] (takes a whole number)",
        ),
        ("config.image_size = [32]", 1, "TypeError"),
        ("int('no number')", 1, "ValueError: invalid literal"),
        ("{}['a mistake']", 1, "KeyError: 'a mistake'"),
        ("open('a file that is not there')", 1, "FileNotFoundError"),
        ("config.imagesize = 48", 1, "AttributeError"),
    ],
)
def test_mistakes_in_a_configuration_file_are_named_and_bugs_keep_their_traceback(
    tmp_path, line, code, message
):
    (tmp_path / "own.py").write_text(OWN.replace("{line}", line))
    process = command(f"--config={tmp_path / 'own.py'}", "--mode=plan")
    assert process.returncode == code
    assert message in process.stdout + process.stderr
    assert ("Traceback" in process.stderr) == (code == 1)


def test_the_first_line_tells_what_is_trained_and_on_what():
    process = command("--config=configs/mobilenet.py:3,weights=none,image_size=64", "--mode=plan")
    first = process.stdout.splitlines()[0]
    assert first == "MobileNet, variant 3, 64 px, batch 32, 6 epochs, weights none, 1 cpu device"


@pytest.mark.slow
def test_a_stopped_run_says_that_it_is_saved_also_by_its_exit_code(tmp_path):
    code = """
from absl import app
from faceemo import main
from faceemo.experiments import run
from faceemo.train import interrupt

def stop(config, workdir):
    raise interrupt.Stopped

run.train = stop
app.run(main.main, flags_parser=main._parse)
"""
    process = subprocess.run(
        [
            sys.executable,
            "-c",
            code,
            "--config=configs/vgg16.py:7,weights=none,dataset=sample",
            "--workdir=w",
        ],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert process.returncode == 75, process.stderr
    assert "saved in w; the same command resumes it" in process.stderr


@pytest.mark.parametrize(
    "options",
    [
        ("--num_processes=2",),
        ("--coordinator=localhost:1",),
        ("--coordinator=auto", "--process_id=0"),
    ],
)
def test_half_a_description_of_several_processes_is_refused(options):
    process = command("--config=configs/vgg16.py:7,weights=none", "--mode=plan", *options)
    assert process.returncode == 2
    assert "--process_id" in process.stderr
    assert "Traceback" not in process.stderr


def test_no_data_says_where_to_put_the_zip(tmp_path):
    process = command(
        f"--config=configs/vgg16.py:0,weights=none,image_size=32,data_dir={tmp_path}",
        f"--workdir={tmp_path / 'run'}",
    )
    assert process.returncode == 2
    assert "Facial_emotion_images.zip" in process.stderr
    assert not (tmp_path / "run").exists()


def test_the_plan_needs_no_data(tmp_path):
    process = command("--config=configs/vgg16.py:0", "--mode=plan", f"--workdir={tmp_path / 'no'}")
    assert process.returncode == 0, process.stderr
    assert "14,714,688" in process.stdout, "all of VGG16's convolutions are frozen in variant 0"
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_mode_imports_only_what_it_needs():
    """Each of these takes from half a second to four."""
    code = """
import sys
def found(*names):
    return [name for name in names if name in sys.modules]
needless = ["tensorflow", "sklearn", "pandas", "scipy.stats", "scipy.optimize"]
import faceemo.experiments.plan
print(*found(*needless, "matplotlib", "orbax", "jinja2", "cv2", "clu"))
import faceemo.experiments.run
print(*found(*needless))
"""
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=200
    )
    assert process.returncode == 0, process.stderr
    assert process.stdout.split() == []
