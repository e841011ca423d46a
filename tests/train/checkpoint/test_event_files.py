"""What TensorBoard reads of a run: values, pictures, hyper-parameters, each epoch once."""

import json
import math
import shutil

import cv2
import numpy as np
import pytest
from sklearn.metrics import recall_score
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.plugins.hparams import metadata
from tensorboard.util.tensor_util import make_ndarray

from faceemo.train import build_steps, parallel
from faceemo.train.checkpoint import event_files
from faceemo.train.checkpoint.checkpoints import Checkpoints
from faceemo.train.checkpoint.progress import Progress
from tests.support.train.processes import assert_identical, results
from tests.support.train.tiny import make_splits, tiny_config
from tests.train.test_loop import fit

pytestmark = pytest.mark.slow

RUN = {"epochs": 4, "patience": 0, "schedule": "cosine", "warmup_epochs": 1.0, "clip_norm": 0.01}
NEW = ("recall/", "train/learning_rate", "train/gradient_norm")
HPARAMS = "_hparams_/session_start_info"


def read(workdir, tag):
    """Returns the values of a tag by step, as TensorBoard reads them; refuses a step twice."""
    events = EventAccumulator(str(workdir), size_guidance={"tensors": 0}).Reload()
    found = {}
    for event in events.Tensors(tag):
        assert event.step not in found
        proto = event.tensor_proto
        if proto.string_val:
            encoded = np.frombuffer(proto.string_val[2], np.uint8)
            found[event.step] = cv2.imdecode(encoded, cv2.IMREAD_COLOR)[..., ::-1]
        else:
            found[event.step] = make_ndarray(proto).item()
    return found


def read_hparams(workdir):
    events = EventAccumulator(str(workdir)).Reload()
    content = events.SummaryMetadata(HPARAMS).plugin_data.content
    values = metadata.parse_session_start_info_plugin_data(content).hparams
    return {name: getattr(value, value.WhichOneof("kind")) for name, value in values.items()}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run's folder and history, the logits drawn by epoch, and the norm of each step."""
    workdir, drawn, norms = tmp_path_factory.mktemp("trained"), {}, []

    def draw(epoch, logits):
        drawn[epoch] = logits
        return {"validation/picture": np.full((2, 3, 3), epoch, np.uint8)}

    def record(*arguments, build=build_steps.build_train_step):
        step = build(*arguments)

        def call(*inputs):
            state, sums = step(*inputs)
            norms.append(float(parallel.unreplicate(sums)["gradient_norm"]))
            return state, sums

        return call

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build_steps, "build_train_step", record)
        history, _ = fit(workdir, draw_epoch=draw, **RUN)
    return workdir, history, drawn, norms


def test_every_metric_of_the_history_reaches_tensorboard(trained):
    workdir, history, _, _ = trained
    tags = {name for row in history for name in row if "/" in name}
    assert {"train/loss", "validation/accuracy", "train/gradient_norm", "recall/sad"} < tags
    for tag in tags:
        found = read(workdir, tag)
        assert list(found) == [5, 10, 15, 20]
        assert list(found.values()) == pytest.approx([row[tag] for row in history], rel=1e-6)


def test_learning_rate_is_that_of_the_last_step_of_the_epoch(trained):
    """By hand: five steps of warm-up, then a cosine over sixteen, of which the first is the top."""
    workdir, _, _, _ = trained
    expected = [0.03 * (1 + math.cos(math.pi * (5 * n - 5) / 16)) / 2 for n in (1, 2, 3, 4)]
    assert list(read(workdir, "train/learning_rate").values()) == pytest.approx(expected, rel=1e-5)


def test_gradient_norm_is_the_mean_over_the_steps_before_clipping(trained):
    workdir, _, _, norms = trained
    expected = np.reshape(norms, (4, 5)).mean(axis=1)
    assert list(read(workdir, "train/gradient_norm").values()) == pytest.approx(expected, rel=1e-6)
    assert min(norms) > RUN["clip_norm"]


def test_recall_is_that_of_scikit_learn_and_pictures_are_those_of_the_best_epochs(trained):
    workdir, history, drawn, _ = trained
    validation = make_splits()["validation"]
    accuracies = [row["validation/accuracy"] for row in history]
    best = [n + 1 for n in range(4) if all(accuracies[n] > one for one in accuracies[:n])]
    assert sorted(drawn) == best
    for epoch, logits in drawn.items():
        expected = recall_score(validation.labels, logits.argmax(1), average=None)
        for name, value in zip(validation.classes, expected, strict=True):
            assert read(workdir, f"recall/{name}")[5 * epoch] == pytest.approx(value)
    pictures = read(workdir, "validation/picture")
    assert list(pictures) == [5 * epoch for epoch in best]
    for step, picture in pictures.items():
        np.testing.assert_array_equal(picture, np.full((2, 3, 3), step // 5))


def test_hyper_parameters_are_the_configuration(trained):
    workdir, _, _, _ = trained
    found = read_hparams(workdir)
    expected = tiny_config(**RUN).to_dict()
    assert found.keys() == expected.keys()
    assert found == expected


def test_runs_have_the_names_of_their_folders(trained, tmp_path):
    workdir, _, _, _ = trained
    names = {"vgg16-7", "mobilenet-0,image_size=48"}
    for name in names:
        shutil.copytree(workdir, tmp_path / "sweep" / name)
    runs = EventMultiplexer().AddRunsFromDirectory(str(tmp_path)).Reload().Runs()
    assert runs.keys() == {f"sweep/{name}" for name in names}


def draw(epoch, logits):
    return {"validation/picture": np.zeros((1, 1, 3), np.uint8)}


def test_a_run_killed_before_its_checkpoint_is_written_once(trained, tmp_path, monkeypatch):
    """It dies after the third epoch's values are in the file and before its state is saved."""
    workdir, history, drawn, _ = trained
    real, calls = Checkpoints.save, []

    def save(*arguments, **options):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        real(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "save", save)
        with pytest.raises(KeyboardInterrupt):
            fit(tmp_path / "run", draw_epoch=draw, **RUN)
    assert list(read(tmp_path / "run", "validation/loss")) == [5, 10, 15]
    again, _ = fit(tmp_path / "run", draw_epoch=draw, **RUN)
    assert results(again) == results(history)
    assert list(read(tmp_path / "run", "validation/loss")) == [5, 10, 15, 20]
    assert list(read(tmp_path / "run", "validation/picture")) == [5 * epoch for epoch in drawn]
    assert_identical(workdir, tmp_path / "run")


def test_a_run_of_an_older_version_goes_on(tmp_path, monkeypatch):
    """It stored no norms, recalls and learning rates, and its events are in a folder below."""
    workdir, changes = tmp_path / "run", RUN | {"schedule": "constant"}

    def to_old_dict(progress, to_dict=Progress.to_dict):
        fields = to_dict(progress)
        del fields["gradient_norms"]
        for row in fields["epochs"]:
            for name in [name for name in row if name.startswith(NEW)]:
                del row[name]
        return fields

    with monkeypatch.context() as patch:
        patch.setattr(Progress, "to_dict", to_old_dict)
        fit(workdir, **changes | {"epochs": 2})
    (workdir / "metrics").mkdir()
    for path in event_files.list_event_files(workdir):
        path.rename(workdir / "metrics" / path.name)
    history, _ = fit(workdir, **changes | {"epochs": 3})
    assert [sum(name.startswith(NEW) for name in row) for row in history] == [0, 0, 2 + 4]
    assert list(read(workdir, "validation/loss")) == [5, 10, 15]
    assert not (workdir / "metrics").exists()


def test_the_mean_of_an_epoch_whose_first_norms_are_unknown_is_unknown():
    fields = Progress(batch=3, gradient_norms=1.5).to_dict()
    assert Progress.from_dict(json.loads(json.dumps(fields))).gradient_norms == 1.5
    del fields["gradient_norms"]
    assert math.isnan(Progress.from_dict(fields).gradient_norms)
    assert Progress.from_dict(fields | {"batch": 0}).gradient_norms == 0


def test_later_events_are_removed_and_a_torn_end_does_no_harm(tmp_path):
    for steps, start in (((5, 10, 15), 0), ((15, 20), 10), ((), 20)):
        writer = event_files.open_writer(tmp_path, tiny_config(seed=start), start)
        for step in steps:
            writer.write_scalars(step, {"validation/loss": start + step / 100})
        writer.close()
    assert read(tmp_path, "validation/loss") == pytest.approx(
        {5: 0.05, 10: 0.10, 15: 10.15, 20: 10.20}
    )
    assert read_hparams(tmp_path)["seed"] == 20, "those of the newest start"
    (first, *_) = event_files.list_event_files(tmp_path)
    torn = tmp_path / "torn"
    torn.mkdir()
    shutil.copy(first, torn / first.name)
    (torn / first.name).write_bytes(first.read_bytes()[:-5])
    event_files.open_writer(torn, tiny_config(), 10).close()
    assert read(torn, "validation/loss") == pytest.approx({5: 0.05})
    event_files.open_writer(torn, tiny_config(), 0).close()
    assert len(event_files.list_event_files(torn)) == 1, "a run that starts anew has no events"
