"""Only checkpoints that are as they were saved are used, and no checkpoint is lost."""

import re
import resource
import shutil
import types

import numpy as np
import orbax.checkpoint as ocp
import pytest

from faceemo.errors import UserError
from faceemo.train.checkpoint import series
from faceemo.train.checkpoint.checkpoints import Checkpoints
from faceemo.train.checkpoint.digest import (
    digest_items,
    find_differences,
    make_seal,
    named_leaves,
    unflatten_like,
)
from faceemo.train.checkpoint.provenance import make_recipe
from faceemo.train.checkpoint.series import Series
from tests.support.train.processes import assert_identical, results
from tests.support.train.tiny import GREY, make_model, make_splits, tiny_config
from tests.train.test_loop import fit

# TensorStore goes on reading after the first error, and calls an event loop that has ended by then.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings(
        "ignore:Exception ignored in. None:pytest.PytestUnraisableExceptionWarning"
    ),
]
# Accuracy still grows after the first epoch.
RUN = {"epochs": 3, "patience": 0, "learning_rate": 0.002, "augmentation": "none"}


def train(workdir, **changes):
    """Trains a model so wide that Orbax stores its leaves outside the index, which it checks."""
    return fit(workdir, model=make_model(noise=0.2, width=300), **RUN | changes)


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    """A run of three epochs with two checkpoints in `best`: its folder and its history."""
    workdir = tmp_path_factory.mktemp("three") / "run"
    history, _ = train(workdir)
    assert len(list((workdir / "best").glob("[0-9]*"))) == 2
    return workdir, history


@pytest.fixture
def copy(three, tmp_path):
    shutil.copytree(three[0], tmp_path / "run")
    return tmp_path / "run"


def numbers(folder):
    return sorted(int(path.name) for path in folder.glob("[0-9]*"))


def flip(place):
    """Flips a bit of an array in a checkpoint, in a place where Orbax restores it without error."""
    files = [path for path in place.glob("weights/**/d/*") if path.is_file()]
    data = max(files, key=lambda path: path.stat().st_size)
    before, content = restored(place), data.read_bytes()
    for at in range(len(content) // 2, len(content) // 2 + 20):
        data.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        try:
            after = restored(place)
        except ValueError:  # it no longer decompresses
            continue
        if any(after[name].tobytes() != before[name].tobytes() for name in before):
            return
    raise AssertionError("Orbax noticed every flipped bit")


def restored(place):
    return named_leaves(ocp.StandardCheckpointer().restore((place / "weights").absolute()))


def test_a_flipped_bit_that_orbax_restores_is_found(copy, three, capsys):
    """The run resumes from the checkpoint before, warns, and ends with the same result."""
    newest = numbers(copy / "latest")[-1]
    flip(copy / "latest" / str(newest))
    history, _ = train(copy)
    said = capsys.readouterr()
    assert f"latest/{newest} is damaged" in said.err
    assert "weights/params/" in said.err, "the leaf is named"
    assert "continues after epoch 2" in said.out
    assert results(history) == results(three[1])
    assert (copy / "latest" / f"damaged-{newest}").is_dir(), "set aside, not destroyed"
    shutil.rmtree(copy / "latest" / f"damaged-{newest}")
    assert_identical(copy, three[0])


@pytest.mark.parametrize("victim", ["history/metadata", "digest/metadata", "recipe/metadata"])
def test_a_changed_record_is_found(copy, capsys, victim):
    newest = numbers(copy / "latest")[-1]
    record = copy / "latest" / str(newest) / victim
    text = record.read_text()
    place = next(at for at in range(len(text) // 2, len(text)) if text[at] in "12345678")
    record.write_text(text[:place] + str(int(text[place]) + 1) + text[place + 1 :])
    train(copy)
    said = capsys.readouterr()
    found = f"latest/{newest} is damaged" in said.err
    # Training does not read this recipe while the one beside the frozen leaves is intact.
    assert found or victim == "recipe/metadata"
    assert ("continues after epoch 2" in said.out) == found


def test_a_lost_file_is_found(copy, capsys):
    newest = numbers(copy / "latest")[-1]
    shutil.rmtree(copy / "latest" / str(newest) / "training")
    train(copy)
    said = capsys.readouterr()
    assert f"latest/{newest} is damaged" in said.err
    assert "continues after epoch 2" in said.out


def test_without_an_intact_checkpoint_training_is_refused(copy):
    for number in numbers(copy / "latest"):
        flip(copy / "latest" / str(number))
    with pytest.raises(UserError, match="remove that folder to train from the start"):
        train(copy)


def test_a_damaged_best_falls_back_to_the_best_before(copy, three, capsys):
    before, newest = numbers(copy / "best")
    flip(copy / "best" / str(newest))
    checkpoints = Checkpoints(copy, recipe())
    _, history = checkpoints.restore_best()
    assert f"best/{newest} is damaged" in capsys.readouterr().err
    assert history[-1]["step"] == before
    assert results(history) == results(three[1])[: len(history)]


def test_damaged_frozen_leaves_are_written_again_by_training(copy, three, capsys):
    shutil.rmtree(copy / "frozen" / "0" / "weights" / "d")
    with pytest.raises(UserError, match="the command that trained it also writes it again"):
        Checkpoints(copy, recipe()).restore_best()
    train(copy)
    assert "frozen/0 is damaged" in capsys.readouterr().err
    shutil.rmtree(copy / "frozen" / "damaged-0")
    assert_identical(copy, three[0])


def test_leftovers_of_killed_saves_are_removed_and_nothing_else(copy):
    for name in ("latest", "best"):
        leftover = copy / name / "99.orbax-checkpoint-tmp-1" / "weights"
        leftover.mkdir(parents=True)
        (copy / name / "mine.txt").write_text("stays")
    Checkpoints(copy, recipe()).restore_best()
    assert list(copy.glob("*/*tmp*")), (
        "reading removes nothing, because another process may be writing"
    )
    train(copy)
    assert not list(copy.glob("*/*tmp*"))
    assert len(list(copy.glob("*/mine.txt"))) == 2


def test_a_full_disk_loses_no_checkpoint(copy, three, monkeypatch):
    """The operating system refuses to write: files may not grow beyond 600 bytes."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    save = ocp.CheckpointManager.save

    def limited(*arguments, **options):
        resource.setrlimit(resource.RLIMIT_FSIZE, (600, limits[1]))
        try:
            return save(*arguments, **options)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    with monkeypatch.context() as patch:
        patch.setattr(series.ocp.CheckpointManager, "save", limited)
        with pytest.raises(UserError, match="make room"):
            train(copy, epochs=5)
    assert_identical(copy, three[0])
    assert len(train(copy, epochs=5)[0]) == 5
    # Only now: threads of the save that failed may have gone on writing for a moment.
    assert not list(copy.glob("*/*tmp*"))


def test_other_classes_or_preprocessing_are_refused_with_the_difference(copy):
    for change, message in (
        ({"classes": ["a", "b", "c", "d"]}, "the classes happy, .*this run: a, b, c, d"),
        ({"preprocessing": GREY.to_dict() | {"scale": 1.0}}, "preprocessing.scale=0.0078.*1.0"),
    ):
        with pytest.raises(UserError, match=message):
            Checkpoints(copy, recipe() | change)


def test_a_run_older_than_the_terms_of_its_images_resumes(copy):
    Checkpoints(copy, recipe() | {"image_terms": {"ab" * 32: "for research"}})


def test_a_state_with_other_arrays_is_refused_with_their_names(copy, monkeypatch):
    from faceemo.train.checkpoint import checkpoints

    real = checkpoints._training_fields
    monkeypatch.setattr(
        checkpoints,
        "_training_fields",
        lambda state: real(state) | {"ema": np.zeros(3, np.float32)},
    )
    with pytest.raises(UserError, match="only one of the two has: ema"):
        train(copy, epochs=4)


def test_the_best_weights_of_a_killed_epoch_do_not_count(copy, three):
    """Killed between the two saves of an epoch, a run has weights of an epoch after its latest."""
    last = max(numbers(copy / "latest"))
    shutil.rmtree(copy / "latest" / str(last))
    history, checkpoints = train(copy)
    assert results(history) == results(three[1])
    assert results(checkpoints.restore_best()[1]) == results(three[1])


@pytest.mark.parametrize("lost", [[], ["weights"], ["history"]])
def test_a_checkpoint_without_its_digest_is_not_used(copy, three, capsys, lost):
    newest = numbers(copy / "latest")[-1]
    for item in ["digest", *lost]:
        shutil.rmtree(copy / "latest" / str(newest) / item)
    history, _ = train(copy)
    said = capsys.readouterr()
    assert re.search(f"latest/{newest} is damaged .*no digest", said.err)
    assert "continues after epoch 2" in said.out
    assert results(history) == results(three[1])


def test_a_kill_inside_a_removal_leaves_no_half_checkpoint(copy, monkeypatch):
    def kill(place, **_):
        shutil.rmtree(next(place.glob("digest")))
        raise KeyboardInterrupt

    best, (oldest, _) = Series(copy / "best", keep=2), numbers(copy / "best")
    with monkeypatch.context() as patch:
        patch.setattr(series, "shutil", types.SimpleNamespace(rmtree=kill))
        with pytest.raises(KeyboardInterrupt):
            best.remove(newer_than=oldest)
    assert best.numbers() == [oldest]
    best.remove_leftovers()
    assert [path.name for path in best.folder.iterdir()] == [str(oldest)]


def test_digests_see_dtype_shape_name_and_value():
    base = {"w": {"a": np.arange(6, dtype=np.float32).reshape(2, 3)}}
    seal = make_seal(digest_items(base, {"r": {"x": 1}}))
    assert not find_differences(seal, digest_items(base, {"r": {"x": 1}}), {"w", "r"})
    array = base["w"]["a"]
    for other in (array.view(np.int32), array.reshape(3, 2), array + 0 * array - np.spacing(array)):
        assert find_differences(seal, digest_items({"w": {"a": other}}, {}), {"w"}) == ["w/a"]
    assert find_differences(seal, digest_items({"w": {"b": array}}, {}), {"w"}) == ["w/a", "w/b"]
    assert find_differences(seal, digest_items({}, {"r": {"x": 2}}), {"r"}) == ["r"]
    seal["leaves"]["w/a"] = seal["leaves"]["r"]
    assert find_differences(seal, digest_items(base, {}), {"w"}) == ["digest"]


def test_names_of_leaves_are_the_same_after_orbax_restores_tuples(tmp_path):
    import optax

    state = optax.adam(1e-3).init({"k": np.ones(3, np.float32)})
    series = Series(tmp_path / "s", keep=2)
    series.write(3, {}, {"training": {"opt_state": state}})
    newest = series.read_newest([], ["training"])
    assert newest is not None
    _, items = newest
    again = unflatten_like({"opt_state": state}, named_leaves(items["training"]))["opt_state"]
    assert type(again[0]) is type(state[0])
    np.testing.assert_array_equal(again[0].mu["k"], state[0].mu["k"])


def recipe():
    return make_recipe(tiny_config(**RUN), GREY, {"source": "none"}, make_splits())
