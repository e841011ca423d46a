"""Program: Keras's learning rates, optimiser steps and losses, for the tests to compare with.

python keras_recipes.py FOLDER

It imports nothing from faceemo.
"""

import os
import sys
from pathlib import Path

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"

import keras
import numpy as np

RNG = np.random.default_rng(5)
PEAK, WARMUP, TOTAL = 0.02, 6, 25
DECAY, CLIP = 0.3, 4.0


def main(folder: Path) -> None:
    keras.config.set_floatx("float64")
    results = {"settings": np.array([PEAK, WARMUP, TOTAL, DECAY, CLIP])}

    schedule = keras.optimizers.schedules.CosineDecay(
        PEAK / WARMUP, TOTAL - (WARMUP - 1), warmup_target=PEAK, warmup_steps=WARMUP - 1
    )
    results["rates"] = np.array([float(schedule(step)) for step in range(TOTAL)])

    # Gradients of very different length: some are clipped and some are not.
    kernel = keras.Variable(RNG.normal(size=(4, 3)), name="kernel", dtype="float64")
    bias = keras.Variable(RNG.normal(size=3), name="bias", dtype="float64")
    results["kernel0"], results["bias0"] = kernel.numpy(), bias.numpy()
    optimizer = keras.optimizers.AdamW(schedule, weight_decay=DECAY, global_clipnorm=CLIP)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    optimizer.build([kernel, bias])
    lengths = 10.0 ** RNG.uniform(-2, 1, (TOTAL, 1, 1))
    for name, shape in (("kernel", (TOTAL, 4, 3)), ("bias", (TOTAL, 1, 3))):
        results[f"{name}_gradients"] = RNG.normal(size=shape) * lengths
    after = []
    for step in range(TOTAL):
        gradients = (results["kernel_gradients"][step], results["bias_gradients"][step, 0])
        optimizer.apply([keras.ops.convert_to_tensor(g) for g in gradients])
        after.append((kernel.numpy(), bias.numpy()))
    results["kernels"], results["biases"] = map(np.stack, zip(*after, strict=True))

    logits, labels = RNG.normal(size=(50, 4)) * 3, RNG.integers(0, 4, (2, 50))
    share = RNG.uniform(size=(50, 1))
    one_hot = np.eye(4)[labels]
    targets = share * one_hot[0] + (1 - share) * one_hot[1]
    results |= {"logits": logits, "labels": labels, "share": share[:, 0]}
    for smoothing in (0.0, 0.1, 0.4):
        loss = keras.losses.CategoricalCrossentropy(
            from_logits=True, label_smoothing=smoothing, reduction="none"
        )
        results[f"losses/{smoothing}"] = loss(one_hot[0], logits).numpy()
        results[f"mixed/{smoothing}"] = loss(targets, logits).numpy()

    np.savez(folder / "results.npz", **results)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
