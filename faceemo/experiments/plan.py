"""The mode `plan` of a run: which parameters train and which are frozen."""

from ml_collections import ConfigDict

from faceemo import models
from faceemo.config import classes_of
from faceemo.train import freezing


def print_plan(config: ConfigDict) -> None:
    """Prints what trains and what is frozen; needs neither data nor weights."""
    model = models.build(config, len(classes_of(config)))
    variables = model.shapes()
    rows = freezing.make_plan(model, variables["params"], variables["batch_stats"])
    print(freezing.format_plan(rows))
    if config.layer_decay != 1:
        print(freezing.format_rates(model, config.learning_rate, config.layer_decay))
