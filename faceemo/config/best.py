"""The recipe beyond the study that all backbones share: the variant `:best`.

These are the fields that differ from variant 9, which trains all blocks; `BACKBONES` adds what is
particular to each network. docs/results.md shows what they bring on validation. None of the recipes
has been tried from Keras's ImageNet weights. These should change little in the lower blocks, so try
`layer_decay=0.8,learning_rate=5e-4` first.
"""

from typing import Any

# The learning rate rises, then falls to zero; the validated parameters are an average over roughly
# the last thousand steps. Neither mixing nor teachers are part of the recipe: docs/results.md shows
# what they brought to MobileNet, which overfits without them after nine epochs at 128 pixels.
COMMON: dict[str, Any] = {
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
