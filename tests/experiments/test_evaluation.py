"""What a run's summary and its last lines say."""

from pathlib import Path

import pytest

from faceemo.experiments import evaluation


def test_a_warning_of_many_epochs_stands_once_in_the_summary():
    history = [{"epoch": n} | ({"warning": f"collapsed {n}"} if n in (2, 3, 5) else {})
               for n in range(1, 7)]  # fmt: skip
    assert evaluation._gather_warnings(history) == {"epoch 2": "collapsed 2 (also in epochs 3, 5)"}
    assert evaluation._gather_warnings(history[:2]) == {"epoch 2": "collapsed 2"}
    assert evaluation._gather_warnings(history[:1]) == {}


@pytest.mark.parametrize(
    ("run", "folder"),
    [
        ("checkpoints/vgg16-7", "checkpoints"),
        ("checkpoints/sweep/vgg16-7", "checkpoints/sweep"),
        ("/home/me/checkpoints/vgg16-7", "/home/me/checkpoints"),
        ("/tmp/run", "/tmp/run"),
        ("checkpoints", "checkpoints"),
    ],
)
def test_tensorboard_reads_all_runs_in_checkpoints_and_elsewhere_the_run_alone(
    tmp_path, monkeypatch, capsys, run, folder
):
    monkeypatch.setattr(evaluation.event_files, "list_event_files", lambda _: [Path("events")])
    evaluation.print_places(Path(run), tmp_path / "index.html")
    assert capsys.readouterr().out.endswith(f"tensorboard --logdir {folder}\n")
