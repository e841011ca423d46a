r"""EfficientNetB0: the 12 variants of the original study, and the recipe `best`.

docs/study.md has the variants' results with VGG16; `best` goes beyond the study.

    python -m faceemo.main --config configs/efficientnetb0.py:7
    python -m faceemo.main --config configs/efficientnetb0.py:7,image_size=96,dataset=sample
    python -m faceemo.main --config configs/efficientnetb0.py:best

| variant | augmentation | learning rate | unfrozen blocks | extra dense | batch | class weights |
|---|---|---|---|---|---|---|
| 0 | none | 0.001 | 0 | no | 32 | none |
| 1 | low | 0.001 | 0 | no | 32 | none |
| 2 | low | 0.0001 | 1 | no | 32 | none |
| 3 | high | 0.0001 | 1 | no | 32 | none |
| 4 | high | 0.0001 | 2 | no | 32 | none |
| 5 | high | 0.0001 | 2 | yes | 32 | none |
| 6 | high | 1e-05 | 2 | yes | 32 | none |
| 7 | mid | 1e-05 | 2 | yes | 32 | none |
| 8 | mid | 1e-05 | 3 | yes | 32 | none |
| 9 | mid | 1e-05 | all | no | 32 | none |
| 10 | mid | 1e-05 | all | no | 128 | none |
| 11 | mid | 1e-05 | all | no | 128 | balanced |
| best | mid | 0.002 | all | no | 32 | none |

Variants 0 to 11 use images of 224 pixels, at most six epochs and a patience of two.
`best` also differs from variant 9 in epochs=20, patience=0, schedule=cosine, warmup_epochs=1,
weight_decay=0.05, clip_norm=1, label_smoothing=0.1, erasing=0.25, ema=0.999.
Initial weights:
- `imagenet` (the default): Keras's, trained on ImageNet
- `lite0`: those of EfficientNet-Lite0, trained on ImageNet; from the Python package index
- `none`: random

Measured on validation (4,881 leak-free images; single runs from `lite0` weights;
docs/results.md has conditions and dates): at 48 pixels after four epochs `9` 0.398 (95% interval
0.384 to 0.411), `best` 0.738 (0.725 to 0.750); at 96 pixels after 14 epochs `best` 0.810 (0.799 to
0.821).

    python -m faceemo.main --config \
        configs/efficientnetb0.py:best,weights=lite0,image_size=96,policy=strict,epochs=14
"""

from faceemo.config import make_config
from faceemo.errors import reported


def get_config(arg=None):
    """Returns the configuration that `arg` names; see `faceemo.config.make_config`."""
    with reported():
        return make_config("efficientnetb0", arg)
