"""What ends a run, what is said of it, and how it goes on."""

import pytest

from faceemo.config import field_words
from faceemo.train.checkpoint.progress import explain_end, explain_finished, is_finished
from tests.support.train.tiny import tiny_config


def history(accuracies, losses):
    return [
        {"validation/accuracy": accuracy, "validation/loss": loss}
        for accuracy, loss in zip(accuracies, losses, strict=True)
    ]


FALLING = history((0.5, 0.6, 0.6, 0.55), (1.0, 0.9, 0.8, 0.7))
RISING = history((0.5, 0.6, 0.6, 0.55), (1.0, 0.9, 1.1, 1.2))


@pytest.mark.parametrize(
    ("rows", "metric", "finished"),
    [
        (FALLING, "accuracy", True),
        (FALLING, "loss", False),
        (RISING, "accuracy", True),
        (RISING, "loss", True),
        (RISING[:3], "loss", False),
        ([], "loss", False),
    ],
)
def test_patience_counts_epochs_since_the_best_of_its_metric(rows, metric, finished):
    config = tiny_config(epochs=9, patience=2, patience_metric=metric)
    assert is_finished(rows, config) == finished
    assert not is_finished(rows, tiny_config(epochs=9, patience=0, patience_metric=metric))
    assert is_finished(rows, tiny_config(epochs=len(rows), patience=0))


@pytest.mark.parametrize(
    ("rows", "changes", "parts"),
    [
        (
            FALLING,
            {"epochs": 9},
            ("stops early, after epoch 4 of 9", "accuracy has not improved since epoch 2",
             "still fell meanwhile, from 0.9000 in epoch 2 to 0.7000, its lowest",
             "with patience=4, or with patience=0"),
        ),
        (
            RISING,
            {"epochs": 9, "patience_metric": "loss"},
            ("validation loss has not improved since epoch 2", "rose meanwhile",
             "best accuracy is that of epoch 2"),
        ),
        (
            FALLING,
            {"epochs": 4},
            ("ends after epoch 4 of 4. The best accuracy is that of epoch 2, but validation loss "
             "was lowest in the last epoch (0.7000)", "again with epochs=8: it goes on"),
        ),
        (FALLING[:2], {"epochs": 2}, ("its best so far", "again with epochs=4: it goes on")),
        (
            FALLING[:2],
            {"epochs": 2, "schedule": "cosine"},
            ("start a new run, with epochs=4", "schedule=cosine"),
        ),
    ],
)  # fmt: skip
def test_the_end_is_explained_with_how_to_go_on(rows, changes, parts):
    said = explain_end(rows, tiny_config(patience=2, **changes))
    assert all(part in said for part in parts), said


def test_a_stop_whose_loss_rose_does_not_advise_to_train_longer():
    said = explain_end(RISING, tiny_config(epochs=9, patience=2))
    assert "training longer is unlikely to help" in said
    assert "To train longer" not in said


def test_a_finished_run_says_how_to_train_it_longer_or_anew(tmp_path):
    config = tiny_config(epochs=9, patience=2)
    (tmp_path / "run-2").mkdir()
    with field_words.spelled(field_words.as_option):
        said = explain_finished(FALLING, config, tmp_path / "run")
    assert said is not None
    assert "after epoch 4 of 9, so nothing is left to train" in said
    assert "with --patience 4, or with --patience 0" in said
    assert said.endswith(f"--workdir {tmp_path / 'run-3'}")
    assert explain_finished(FALLING[:3], config, tmp_path / "run") is None


def test_a_run_that_is_past_its_best_is_not_advised_to_train_longer():
    assert explain_end(RISING, tiny_config(epochs=4, patience=0)) == (
        "ends after epoch 4 of 4. The best accuracy is that of epoch 2. Validation loss has risen "
        "from 0.9000 in epoch 2 to 1.2000: training longer is unlikely to help"
    )
