"""How far a model's confidence can be trusted, and the temperature that mends it.

A temperature T divides the logits: the answers stay the same, the probabilities get softer (T > 1)
or sharper. It is fitted on validation, by the run itself, and never on test.
"""

import dataclasses
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import scipy.special
from scipy import optimize

from faceemo import staging
from faceemo.analysis.predictions import Predictions, losses
from faceemo.analysis.statistics import wilson_interval
from faceemo.errors import UserError

NAME = "calibration.json"
SPLIT = "validation"
BINS = 15  # of confidence, as in Guo et al. 2017
_RANGE = (0.05, 20.0)  # of temperatures: beyond them the images cannot tell


def calibrated(predictions: Predictions, temperature: float) -> Predictions:
    """The same answers with the probabilities that their logits have at `temperature`."""
    return dataclasses.replace(
        predictions, probabilities=soften(predictions.probabilities, temperature)
    )


def soften(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """What float32 [N, C] become when their logits are divided by `temperature`: float32 [N, C]."""
    logs = _logs(probabilities)
    return scipy.special.softmax(logs / temperature, axis=1).astype(np.float32)


def fit_temperature(predictions: Predictions) -> float:
    """The temperature of the least mean cross-entropy, between 0.05 and 20.

    Source: C. Guo et al., On Calibration of Modern Neural Networks, ICML 2017.
    """
    logs = _logs(predictions.probabilities)
    own = logs[np.arange(len(logs)), predictions.labels]

    def loss(log_temperature: float) -> float:
        # convex in 1 / T, so that there is one minimum
        inverse = math.exp(-log_temperature)
        return float((scipy.special.logsumexp(logs * inverse, axis=1) - own * inverse).mean())

    low, high = map(math.log, _RANGE)
    found: Any = optimize.minimize_scalar(loss, bounds=(low, high), method="bounded")
    return math.exp(found.x)


def bins(predictions: Predictions, count: int = BINS) -> list[dict[str, Any]]:
    """Images by confidence, in bins of equal width over 0..1, without the empty ones.

    Returns:
        low (excluded, but for 0), high, images, confidence (mean), accuracy, interval (95%,
        Wilson).
    """
    confidence = predictions.confidence.astype(np.float64)
    right = predictions.predicted == predictions.labels
    places = np.clip(np.ceil(confidence * count).astype(int) - 1, 0, count - 1)
    result = []
    for place in np.unique(places):
        inside = places == place
        images, hits = int(inside.sum()), int(right[inside].sum())
        result.append(
            {
                "low": place / count,
                "high": (place + 1) / count,
                "images": images,
                "confidence": float(confidence[inside].mean()),
                "accuracy": hits / images,
                "interval": list(wilson_interval(hits, images)),
            }
        )
    return result


def measure(predictions: Predictions) -> dict[str, Any]:
    """How far confidence is from accuracy: ece (0..1), confidence (mean), loss (nats), bins.

    The ECE, the expected calibration error, is the mean over images of how far their bin's
    confidence is from its accuracy. Chance alone makes it larger than 0, the more the fewer images
    there are.
    """
    rows = bins(predictions)
    gaps = [row["images"] * abs(row["confidence"] - row["accuracy"]) for row in rows]
    return {
        "ece": sum(gaps) / len(predictions.labels),
        "confidence": float(predictions.confidence.astype(np.float64).mean()),
        "loss": float(losses(predictions).mean()),
        "bins": rows,
    }


def before_and_after(predictions: Predictions, fitted: Mapping[str, Any] | None) -> dict[str, Any]:
    """How calibrated a split is: before, and, if there is a temperature, it and after.

    Args:
        predictions: on the split, as the model gives them.
        fitted: of `fit`, or None.
    """
    result: dict[str, Any] = {"before": measure(predictions)}
    if fitted:
        temperature = fitted["temperature"]
        result |= {
            "temperature": temperature,
            "fitted_on": fitted["fitted_on"],
            "after": measure(calibrated(predictions, temperature)),
        }
    return result


def fit(workdir: Path, predictions: Predictions, best_epoch: int) -> dict[str, Any]:
    """Fits the temperature on validation and stores it beside the best weights.

    Args:
        workdir: the run's folder; calibration.json is written into it.
        predictions: of the best epoch's weights on validation.
        best_epoch: its number, so that a temperature is never taken for other weights'.

    Returns:
        what the file holds: temperature, fitted_on, images, best_epoch, and ece and loss before
        and after.
    """
    temperature = fit_temperature(predictions)
    before, after = measure(predictions), measure(calibrated(predictions, temperature))
    record = {
        "temperature": temperature,
        "fitted_on": SPLIT,
        "images": len(predictions.labels),
        "best_epoch": best_epoch,
        "ece_before": before["ece"],
        "ece_after": after["ece"],
        "loss_before": before["loss"],
        "loss_after": after["loss"],
    }
    with staging.file(workdir / NAME) as partial:
        partial.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return record


def read(workdir: Path, best_epoch: int) -> dict[str, Any] | None:
    """What `fit` stored for these weights; None if it did not, or for another epoch's.

    Raises:
        UserError: if the file is damaged.
    """
    path = workdir / NAME
    if not path.is_file():
        return None
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        return record if record["best_epoch"] == best_epoch and record["temperature"] > 0 else None
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            expected=f"the temperature of the run in {path}",
            found=f"{type(error).__name__}: {error}",
            fix="delete it and give the same command with --split=validation, which fits it anew",
        ) from error


def _logs(probabilities: np.ndarray) -> np.ndarray:
    """Logits, but for a number per image, float64 [N, C]; bounded as `evaluate.losses` bounds."""
    return np.log(np.maximum(probabilities.astype(np.float64), np.finfo(np.float32).tiny))
