"""The recipe beyond the study that each backbone does best with: the variant `:best`.

What stands here are the fields of `faceemo.config.make_config` that differ from variant 9, which
trains all blocks. README's "Results" shows what they bring on validation: VGG16 from `hed` weights,
EfficientNetB0 from `lite0`, MobileNet from `faceres`, ResNet50V2 from random ones. None has been
tried from Keras's ImageNet weights, which change less if lower blocks train more slowly:
`layer_decay=0.8,learning_rate=5e-4` would be the first thing to try.
"""

from typing import Any

# The learning rate rises, then falls to zero; the validated parameters are an average over the last
# thousand steps or so. Neither mixing nor teachers are part of it: "Results" shows what they
# brought to MobileNet, which overfits without, after nine epochs at 128 pixels.
_COMMON: dict[str, Any] = {
    "epochs": 20,
    "patience": 0,  # a falling learning rate improves until its end
    "schedule": "cosine",
    "warmup_epochs": 1.0,
    "weight_decay": 0.05,
    "clip_norm": 1.0,
    "label_smoothing": 0.1,
    "erasing": 0.25,
    "ema": 0.999,
}
BEST: dict[str, dict[str, Any]] = {
    # The lower a block, the more slowly it trains. Three times the rate was far worse after 200
    # steps (0.39 against 0.54). The two lowest blocks cost a third of a step; whether they would
    # help was not tried.
    "vgg16": _COMMON | {"learning_rate": 1e-4, "layer_decay": 0.7, "unfreeze": "3"},
    "resnet50v2": _COMMON | {"learning_rate": 1e-3},
    # From `lite0`, at 64 pixels and after 250 steps, 0.659 against 0.617 with half of it, which is
    # what trained from random weights.
    "efficientnetb0": _COMMON | {"learning_rate": 2e-3},
    # From `faceres`, at 128 pixels and after 250 steps, 0.751; with twice the rate 0.697, with 3e-4
    # and statistics that stand still 0.725.
    "mobilenet": _COMMON | {"learning_rate": 1e-3},
}
