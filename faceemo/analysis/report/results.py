"""A model's results on one split, from which a report's figures and page are made."""

import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any

from faceemo.analysis import calibration, vote_scores
from faceemo.analysis.predictions import Predictions, compute_scores
from faceemo.analysis.report.failures import GalleryExtras
from faceemo.train.checkpoint import progress


@dataclasses.dataclass(frozen=True, eq=False)
class Results:
    """A model's results on one split.

    Attributes:
        split: Name of the split.
        predictions: The model's predictions on it.
        history: One row per epoch, with 'epoch', 'train/loss', 'train/accuracy', 'validation/loss',
            'validation/accuracy', 'seconds' and 'images_per_second'; may be empty. A missing value
            is shown as a gap.
        summary: The run's record, as the page shows it; mappings inside it become tables of their
            own. Fields that are used where present: arch, variant, dataset (also from config) and
            majority_baseline (of validation).
        slices: Scores of the slices (`slices.score_slices`).
        fitted: The run's temperature (`calibration.fit`); None if it has none.
        extras: Optional material for the gallery.
    """

    split: str
    predictions: Predictions
    history: Sequence[dict[str, float]]
    summary: Mapping[str, Any]
    slices: Sequence[Mapping[str, Any]] = ()
    fitted: Mapping[str, Any] | None = None
    extras: GalleryExtras = dataclasses.field(default_factory=GalleryExtras)

    @functools.cached_property
    def calibrated(self) -> Predictions:
        """The predictions at the run's temperature: what `faceemo predict` gives for the images."""
        if not self.fitted:
            return self.predictions
        return calibration.calibrate(self.predictions, self.fitted["temperature"])

    @functools.cached_property
    def scores(self) -> dict[str, Any]:
        """Scores of the split (`predictions.compute_scores`); the loss is without temperature."""
        return compute_scores(self.predictions)

    @functools.cached_property
    def calibration(self) -> dict[str, Any]:
        """Calibration of the split (`calibration.measure_before_and_after`)."""
        return calibration.measure_before_and_after(self.predictions, self.fitted)

    @functools.cached_property
    def votes(self) -> dict[str, Any] | None:
        """Scores against votes and labels (`vote_scores.score_votes`), at the temperature."""
        return vote_scores.score_votes(self.calibrated)

    @property
    def is_drawn(self) -> bool:
        """True if the images are drawings, which every figure and the page then say."""
        return self._field("dataset") == "sample"

    @property
    def model(self) -> str:
        """Name of the model, for example 'vgg16:7'."""
        parts = [self._field("arch"), self._field("variant")]
        return ":".join(str(part) for part in parts if part is not None) or "model"

    @property
    def title(self) -> str:
        """Model and split, for example 'vgg16:7 on test'."""
        return f"{self.model} on {self.split}"

    @property
    def subtitle(self) -> str:
        """Model, split and number of images, for figures about the split."""
        kind = "drawings, not photographs" if self.is_drawn else "images"
        return f"{self.title}, {self.scores['images']:,} {kind}"

    @property
    def training_subtitle(self) -> str:
        """Model, for figures about its training."""
        return f"{self.model}, on drawings, not photographs" if self.is_drawn else self.model

    @property
    def validation_baseline(self) -> float | None:
        """Share of validation's most frequent class; None where it is not known."""
        own = self.scores["majority_baseline"] if self.split == "validation" else None
        return self.summary.get("majority_baseline", own)

    @property
    def best_epoch(self) -> int | None:
        """Number of the epoch with the best validation accuracy; None if no epoch has one."""
        key = "validation/accuracy"
        rated = [row for row in self.history if math.isfinite(row.get(key, math.nan))]
        return int(rated[progress.best_epoch(rated) - 1]["epoch"]) if rated else None

    def _field(self, name: str) -> Any:
        """Returns a field of the summary, or of the config in it."""
        config = self.summary.get("config")
        inner = config.get(name) if isinstance(config, Mapping) else None
        return self.summary.get(name, inner)
