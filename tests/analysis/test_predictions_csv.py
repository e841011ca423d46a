"""Scores of groups against published intervals and scikit-learn; malformed files are refused."""

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics
from sklearn.dummy import DummyClassifier

from faceemo.analysis import predictions, predictions_csv
from faceemo.errors import UserError

HEADER = "path,label,predicted,happy,neutral,sad,surprise\n"


def test_baseline_agrees_with_scikit_learns_dummy():
    labels = np.random.default_rng(0).choice(["sad", "happy", "neutral"], 50, p=[0.5, 0.3, 0.2])
    dummy = DummyClassifier(strategy="most_frequent").fit(labels, labels)
    found = predictions_csv.score([(label, "happy") for label in labels])
    assert found.baseline == dummy.score(labels, labels)
    assert found.majority == dummy.predict(labels)[0]
    assert found.accuracy == (labels == "happy").mean()


@pytest.mark.parametrize("predicted_classes", [["sad", "happy"], ["sad", "happy", "calm"], ["sad"]])
@pytest.mark.parametrize("label_classes", [["sad", "happy"], ["sad", "happy", "angry"], ["sad"]])
def test_macro_f1_agrees_with_scikit_learn_if_classes_differ(label_classes, predicted_classes):
    """A group is scored like a whole split (`predictions.compute_scores`)."""
    rng = np.random.default_rng(3)
    labels = rng.choice(label_classes, 60).tolist()
    predicted = rng.choice(predicted_classes, 60).tolist()
    oracle = metrics.f1_score(labels, predicted, average="macro", zero_division=0)
    found = predictions_csv.score(list(zip(labels, predicted, strict=True))).macro_f1
    assert found == pytest.approx(oracle)
    names = ("angry", "calm", "happy", "sad", "surprise")
    places = np.array([names.index(name) for name in labels], np.int32)
    sure = np.eye(5, dtype=np.float32)[[names.index(name) for name in predicted]]
    images, paths = np.zeros((60, 8, 8), np.uint8), tuple(map(str, range(60)))
    split = predictions.Predictions(sure, places, paths, images, names)
    assert predictions.compute_scores(split)["macro_f1"] == pytest.approx(oracle)


def test_accuracy_difference_has_the_published_interval():
    """Newcombe's table II, case (a): 56 of 70 minus 48 of 80 is 0.2, from 0.0524 to 0.3339."""

    def score(right, total):
        interval = stats.binomtest(right, total).proportion_ci(method="wilson")
        return predictions_csv.Score(
            right=right,
            images=total,
            interval=tuple(interval),
            macro_f1=0,
            majority="sad",
            baseline=0,
        )

    one, other = score(56, 70), score(48, 80)
    assert predictions_csv.accuracy_difference(one, other) == pytest.approx(
        (0.2, 0.0524, 0.3339), abs=1e-4
    )


@pytest.mark.parametrize("text", ["", HEADER, "path,label\na,sad\n"])
def test_other_files_are_refused(tmp_path, text):
    path = tmp_path / "x.csv"
    path.write_text(text)
    with pytest.raises(UserError, match="path, label, predicted"):
        predictions_csv.read(path)
