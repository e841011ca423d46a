"""What is known of a trained network beside its arrays, without the imports that these take."""

import functools
from typing import Any

from ml_collections import ConfigDict

from faceemo.config import ImageFormat, complete


class NetworkFacts:
    """Facts that the recipe of a trained network holds, with its temperature.

    Attributes:
        recipe: The run's record, see `faceemo.train.checkpoint.provenance.make_recipe`.
        temperature: Divisor of the logits for calibrated probabilities, above 0; 1 if none was
            fitted.
        best_epoch: The epoch, from 1, that the weights come from.
    """

    recipe: dict[str, Any]
    temperature: float
    best_epoch: int

    def load_trained(self) -> Any:
        """Returns the network with its arrays, a `TrainedModel`."""
        raise NotImplementedError

    @functools.cached_property
    def config(self) -> ConfigDict:
        """The run's configuration; fields that are newer than the run have their defaults."""
        return read_config(self.recipe)

    @property
    def image_format(self) -> ImageFormat:
        """The format of the images that it takes."""
        return ImageFormat.from_config(self.config)

    @property
    def arch(self) -> str:
        """The backbone's name, one of `config.ARCHS`."""
        return self.recipe["config"]["arch"]

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, in the order of the logits."""
        return tuple(self.recipe["classes"])


def read_config(recipe: dict[str, Any]) -> ConfigDict:
    """Returns a recipe's configuration, completed with the fields that it lacks."""
    return ConfigDict(complete(recipe["config"]))
