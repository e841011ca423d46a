"""Measures a model's calibration, and fits the temperature that improves it.

A temperature T divides the logits: predicted classes stay the same, probabilities get softer
(T > 1) or sharper. A run fits it on validation, never on test.
"""

import dataclasses
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from faceemo import staging
from faceemo.analysis.predictions import Predictions, cross_entropies
from faceemo.analysis.probabilities import apply_temperature, log_probabilities
from faceemo.analysis.statistics import wilson_interval
from faceemo.train.checkpoint.temperature import CALIBRATION

SPLIT = "validation"
BINS = 15  # bins of confidence, as in Guo et al. 2017
_TEMPERATURES = (0.05, 20.0)  # range of the fit: beyond it the loss hardly changes


def calibrate(predictions: Predictions, temperature: float) -> Predictions:
    """Returns predictions with the probabilities that their logits have at `temperature`."""
    return dataclasses.replace(
        predictions, probabilities=apply_temperature(predictions.probabilities, temperature)
    )


def fit_temperature(predictions: Predictions) -> float:
    """Returns the temperature with the least mean cross-entropy, between 0.05 and 20.

    Source: C. Guo et al., On Calibration of Modern Neural Networks, ICML 2017.
    """
    # Takes half a second, which reports on other splits need not wait for.
    from scipy import optimize, special

    logits = log_probabilities(predictions.probabilities)
    true = logits[np.arange(len(logits)), predictions.labels]

    def loss(log_temperature: float) -> float:
        # convex in 1 / T, so there is one minimum
        inverse = math.exp(-log_temperature)
        return float((special.logsumexp(logits * inverse, axis=1) - true * inverse).mean())

    low, high = map(math.log, _TEMPERATURES)
    found: Any = optimize.minimize_scalar(loss, bounds=(low, high), method="bounded")
    return math.exp(found.x)


def bin_by_confidence(predictions: Predictions, count: int = BINS) -> list[dict[str, Any]]:
    """Divides the images into bins of confidence of equal width over 0..1, leaving out empty ones.

    Returns:
        For each bin: low (excluded, except 0), high, images, confidence (mean), accuracy and
        interval (95%, Wilson).
    """
    confidence = predictions.confidence.astype(np.float64)
    right = predictions.predicted == predictions.labels
    places = find_bins(confidence, count)
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


def find_bins(confidence: np.ndarray, count: int = BINS) -> np.ndarray:
    """Returns the bin of each confidence, int [N]: upper edges belong to their bins."""
    return np.clip(np.ceil(confidence * count).astype(int) - 1, 0, count - 1)


def measure(predictions: Predictions) -> dict[str, Any]:
    """Measures the calibration of predictions.

    The expected calibration error (ECE) is the mean over images of the distance between their
    bin's confidence and its accuracy. Chance alone makes it larger than 0, more so with few images.

    Returns:
        ece (0..1), confidence (mean), loss (nats) and bins (see `bin_by_confidence`).
    """
    rows = bin_by_confidence(predictions)
    gaps = [row["images"] * abs(row["confidence"] - row["accuracy"]) for row in rows]
    return {
        "ece": sum(gaps) / len(predictions.labels),
        "confidence": float(predictions.confidence.astype(np.float64).mean()),
        "loss": float(cross_entropies(predictions).mean()),
        "bins": rows,
    }


def describe(fitted: Mapping[str, Any]) -> str:
    """Describes a run's temperature, and what it changes, in one line.

    Args:
        fitted: What `fit` returned.
    """
    temperature = fitted["temperature"]
    lowest, highest = _TEMPERATURES
    if temperature > 0.99 * highest:
        effect = "the most allowed: its probabilities do not tell right answers from wrong ones"
    elif temperature < 1.01 * lowest:
        effect = "the least allowed: nearly all of its answers are right"
    else:
        effect = "less certain" if temperature > 1 else "more certain"
        effect = f"which makes probabilities {effect}"
    text = (
        f"calibration: logits are divided by {temperature:.2f}, {effect}; expected calibration "
        f"error {fitted['ece_before']:.4f} before, {fitted['ece_after']:.4f} after"
    )
    if fitted["ece_after"] <= fitted["ece_before"]:
        return text
    return f"{text} (the temperature is chosen by the loss)"


def measure_before_and_after(
    predictions: Predictions, fitted: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Measures the calibration of a split without and with the run's temperature.

    Args:
        predictions: Predictions on the split at temperature 1.
        fitted: The run's temperature (`fit`), or None.

    Returns:
        before (`measure`); with a temperature also temperature, fitted_on and after (`measure`).
    """
    result: dict[str, Any] = {"before": measure(predictions)}
    if fitted:
        temperature = fitted["temperature"]
        result |= {
            "temperature": temperature,
            "fitted_on": fitted["fitted_on"],
            "after": measure(calibrate(predictions, temperature)),
        }
    return result


def fit(workdir: Path, predictions: Predictions, best_epoch: int) -> dict[str, Any]:
    """Fits the temperature on validation and stores it beside the best weights.

    Args:
        workdir: The run's folder; calibration.json is written into it.
        predictions: Predictions of the best epoch's weights on validation.
        best_epoch: Number of that epoch, so that the temperature is never used with other weights.

    Returns:
        The content of the file: temperature, fitted_on, images, best_epoch, and ece and loss before
        and after.
    """
    temperature = fit_temperature(predictions)
    before, after = measure(predictions), measure(calibrate(predictions, temperature))
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
    with staging.file(workdir / CALIBRATION) as partial:
        partial.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return record
