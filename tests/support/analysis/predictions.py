"""Fixtures of predictions and a history, for tests of reports and comparisons."""

import numpy as np
import pytest

from faceemo.analysis.predictions import Predictions
from faceemo.config import CLASSES


def make(n=120, seed=0, paths=None, side=48):
    """Makes predictions with unequal classes, about two thirds right, and all pairs confused."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(4, size=n, p=[0.4, 0.3, 0.2, 0.1]).astype(np.int32)
    logits = rng.normal(size=(n, 4)) * 1.5 + 2 * np.eye(4)[labels]
    odds = np.exp(logits)
    return Predictions(
        probabilities=(odds / odds.sum(axis=1, keepdims=True)).astype(np.float32),
        labels=labels,
        paths=paths or tuple(f"test/{CLASSES[label]}/{i}.jpg" for i, label in enumerate(labels)),
        images=rng.integers(0, 256, size=(n, side, side), dtype=np.uint8),
    )


@pytest.fixture(scope="session")
def make_predictions():
    return make


@pytest.fixture(scope="session")
def predictions():
    return make()


@pytest.fixture
def history():
    return [
        {
            "epoch": epoch,
            "train/loss": 1.2 / epoch,
            "train/accuracy": 0.5 + 0.08 * epoch,
            "validation/loss": 1.1 / epoch + 0.2,
            "validation/accuracy": (0.5, 0.68, 0.66, 0.68)[epoch - 1],
            "seconds": 12.3,
            "images_per_second": 345.6,
        }
        for epoch in (1, 2, 3, 4)
    ]
