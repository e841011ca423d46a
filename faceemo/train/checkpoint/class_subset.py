"""A trained network that predicts only some of its classes."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from faceemo.config.classes import name_key
from faceemo.errors import UserError, suggestion

if TYPE_CHECKING:
    from faceemo.train.checkpoint.trained_model import TrainedModel


def keep_classes(trained: "TrainedModel", classes: Sequence[str]) -> "TrainedModel":
    """Returns the network with the logits of some of its classes alone.

    The probabilities of the others are left out, and the rest divided by their sum, which is the
    softmax of the remaining logits.

    Args:
        trained: The network.
        classes: At least two of its classes, in the order in which they are to be predicted.

    Raises:
        UserError: If it has no such class, or a class is named twice.
    """
    index = find_places(trained.classes, classes)
    params = trained.variables["params"]
    last = {name: leaf[..., index] for name, leaf in params["head"]["predictions"].items()}
    head = params["head"] | {"predictions": last}
    return type(trained).from_recipe(
        restrict_recipe(trained.recipe, index),
        trained.variables | {"params": params | {"head": head}},
        trained.temperature,
        trained.best_epoch,
    )


def find_places(own: Sequence[str], classes: Sequence[str]) -> list[int]:
    """Returns the place of each of some classes among those of a network.

    Args:
        own: The network's classes.
        classes: At least two of them, in any spelling.

    Raises:
        UserError: If there is no such class, or a class is named twice.
    """
    known = {name_key(label): index for index, label in enumerate(own)}
    unknown = [label for label in classes if name_key(label) not in known]
    index = [known[name_key(label)] for label in classes if name_key(label) in known]
    if unknown or len(index) < 2 or len(set(index)) < len(index):
        found = f"{'+'.join(classes)}"
        if unknown:
            found += f"{suggestion(unknown[0], own)}"
        raise UserError(
            expected="two or more different classes of the network: " + "+".join(own),
            found=found,
            fix="name some of these, joined by '+'",
        )
    return index


def restrict_recipe(recipe: dict[str, Any], index: Sequence[int]) -> dict[str, Any]:
    """Returns the recipe of a network with the classes at these places alone."""
    names = [recipe["classes"][place] for place in index]
    return recipe | {
        "classes": names,
        "config": {**recipe["config"], "classes": "+".join(names)},
    }
