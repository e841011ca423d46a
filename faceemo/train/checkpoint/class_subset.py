"""A trained network that predicts only some of its classes."""

from collections.abc import Sequence

from faceemo.config.classes import name_key
from faceemo.errors import UserError, suggestion
from faceemo.train.checkpoint.trained_model import TrainedModel


def keep_classes(trained: TrainedModel, classes: Sequence[str]) -> TrainedModel:
    """Returns the network with the logits of some of its classes alone.

    The probabilities of the others are left out, and the rest divided by their sum, which is the
    softmax of the remaining logits.

    Args:
        trained: The network.
        classes: At least two of its classes, in the order in which they are to be predicted.

    Raises:
        UserError: If it has no such class, or a class is named twice.
    """
    known = {name_key(label): index for index, label in enumerate(trained.classes)}
    unknown = [label for label in classes if name_key(label) not in known]
    index = [known[name_key(label)] for label in classes if name_key(label) in known]
    if unknown or len(index) < 2 or len(set(index)) < len(index):
        found = f"{'+'.join(classes)}"
        if unknown:
            found += f"{suggestion(unknown[0], trained.classes)}"
        raise UserError(
            expected="two or more different classes of the network: " + "+".join(trained.classes),
            found=found,
            fix="name some of these, joined by '+'",
        )
    names = [trained.classes[place] for place in index]
    params = trained.variables["params"]
    last = {name: leaf[..., index] for name, leaf in params["head"]["predictions"].items()}
    head = params["head"] | {"predictions": last}
    recipe = trained.recipe | {
        "classes": names,
        "config": {**trained.recipe["config"], "classes": "+".join(names)},
    }
    return TrainedModel.from_recipe(
        recipe,
        trained.variables | {"params": params | {"head": head}},
        trained.temperature,
        trained.best_epoch,
    )
