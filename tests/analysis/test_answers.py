"""Groups of answers against published intervals and scikit-learn; files that are no answers."""

import numpy as np
import pytest
from scipy import stats
from sklearn.dummy import DummyClassifier

from faceemo.analysis import answers
from faceemo.errors import UserError

HEADER = "path,label,predicted,happy,neutral,sad,surprise\n"


def test_the_baseline_is_scikit_learns_dummy():
    labels = np.random.default_rng(0).choice(["sad", "happy", "neutral"], 50, p=[0.5, 0.3, 0.2])
    dummy = DummyClassifier(strategy="most_frequent").fit(labels, labels)
    found = answers.score([(label, "happy") for label in labels])
    assert found.baseline == dummy.score(labels, labels)
    assert found.majority == dummy.predict(labels)[0]
    assert found.accuracy == (labels == "happy").mean()


def test_difference_has_the_published_interval():
    """Newcombe's table II, case (a): 56 of 70 less 48 of 80 is 0.2, from 0.0524 to 0.3339."""

    def score(right, total):
        interval = stats.binomtest(right, total).proportion_ci(method="wilson")
        return answers.Score(
            right=right,
            images=total,
            interval=tuple(interval),
            macro_f1=0,
            majority="sad",
            baseline=0,
        )

    one, other = score(56, 70), score(48, 80)
    assert answers.difference(one, other) == pytest.approx((0.2, 0.0524, 0.3339), abs=1e-4)


@pytest.mark.parametrize("text", ["", HEADER, "path,label\na,sad\n"])
def test_other_files_are_refused(tmp_path, text):
    path = tmp_path / "x.csv"
    path.write_text(text)
    with pytest.raises(UserError, match="path, label, predicted"):
        answers.read(path)
