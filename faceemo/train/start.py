"""The start of a run: a network with its initial variables."""

import dataclasses
from typing import Any

from ml_collections import ConfigDict

from faceemo import models
from faceemo.config import classes_of
from faceemo.models import Model
from faceemo.models.preprocessing import Preprocessing


@dataclasses.dataclass(frozen=True, eq=False)
class Start:
    """A network before its first training step.

    Attributes:
        model: The network.
        variables: Initial {'params', 'batch_stats'}, see `Model.init`.
        preprocessing: The preprocessing that belongs to the weights.
        source: Origin of the weights: {'source': str, 'sha256': str or None}, and under 'trained'
            the recipe of the run that trained them, if faceemo did.
    """

    model: Model
    variables: dict[str, Any]
    preprocessing: Preprocessing
    source: dict[str, Any]

    @classmethod
    def from_config(cls, config: ConfigDict) -> "Start":
        """Builds the configured network, draws its variables and loads its pretrained weights.

        Raises:
            UserError: If the weights cannot be obtained, or do not fit the backbone.
        """
        model = models.build(config, len(classes_of(config)))
        draws_all = models.keep_initial_values(model, config.weights)
        drawn = model.init(config.seed) if draws_all else model.init_head(config.seed)
        return cls(model, *models.load_weights(model, drawn, config.weights))
