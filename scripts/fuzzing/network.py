"""The untrained network with which the fuzzer's targets predict."""

from faceemo.config import CLASSES, make_config
from faceemo.models import build
from faceemo.train.checkpoint.trained_model import TrainedModel


def small_network(*, draw: bool = True) -> TrainedModel:
    """Makes VGG16 at 32 pixels with random weights; without any if `draw` is False."""
    config = make_config("vgg16", "0,weights=none,image_size=32")
    model = build(config)
    recipe = {
        "config": config.to_dict(),
        "classes": list(CLASSES),
        "preprocessing": model.preprocessing.to_dict(),
        "weights": {"source": "none", "sha256": None},
    }
    variables = model.init(0) if draw else {}
    return TrainedModel(model, variables, recipe, temperature=1.0, best_epoch=1)
