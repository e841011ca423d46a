"""Program that writes Keras's results for a network, and for a step of Adam with it.

python keras_networks.py FOLDER NETWORK

For VGG16 it writes only the step; keras_oracle.py has the rest. For a narrow MobileNet it writes
no step.

Every weight and statistic is random, drawn so that all activations are of order one. Nothing of
faceemo is used.
"""

import functools
import sys
from pathlib import Path

import keras
import numpy as np
from keras import layers
from keras_oracle import name_weights, randomise

RNG = np.random.default_rng(20)
SIZES = (96, 48, 75, 224)
MAKERS = {
    "vgg16": keras.applications.VGG16,
    "resnet50v2": keras.applications.ResNet50V2,
    "efficientnetb0": keras.applications.EfficientNetB0,
    "mobilenet": keras.applications.MobileNet,
}
NARROW = {f"mobilenet-{alpha}": alpha for alpha in (0.25, 0.75)}
for name, alpha in NARROW.items():
    MAKERS[name] = functools.partial(keras.applications.MobileNet, alpha=alpha)
EXTRA_WIDTH = {"resnet50v2": 4096, "efficientnetb0": 1280, "mobilenet": 1024}
EXTRA_WIDTH |= dict.fromkeys(NARROW, 1024)
# Number of the last pair of convolutions in each block of MobileNet.
PAIRS = (1, 3, 5, 11, 13)
LEVELS = ("0", "1", "2", "3", "all")
STEPPED = ("0", "1", "all")
LEARNING_RATE = 1e-3
# Units of VGG16's dense layers, as in small_head.py.
WIDTH = 64


def set_weights(model: keras.Model, weights: list[np.ndarray]) -> None:
    """Sets weights as Keras does, and finalises normalisations, which Keras does not."""
    model.set_weights(weights)
    for layer in model.layers:
        if isinstance(layer, layers.Normalization):
            layer.finalize_state()


def make_backbone(arch: str, size: int | None) -> keras.Model:
    """Makes a backbone without dropout, for images of any size if `size` is None."""
    model = MAKERS[arch](include_top=False, weights=None, input_shape=(size, size, 3))
    return disable_dropout(model)


def make_images(arch: str, size: int) -> np.ndarray:
    """Draws preprocessed noise over coarse patches, so that deep features differ by position."""
    bounds = {"vgg16": (-124, 152), "efficientnetb0": (0, 255)}
    low, high = bounds.get(arch, (-1, 1))
    patch = np.arange(size) * 4 // size
    patches = RNG.uniform(low, high, (4, 4, 4, 3))[:, patch][:, :, patch]
    return ((patches + RNG.uniform(low, high, patches.shape)) / 2).astype(np.float32)


def draw_weights(model: keras.Model) -> None:
    """Draws random weights; `draw_statistics` draws those of BatchNorm."""
    for layer in model.layers:
        depthwise = isinstance(layer, layers.DepthwiseConv2D)
        for weight in layer.weights:
            fan = np.prod(weight.shape[:2] if depthwise else weight.shape[:-1])
            spread = {"kernel": np.sqrt(2 / fan), "bias": 0.3, "beta": 0.3}.get(weight.name)
            if weight.name == "count":
                weight.assign(7)
            elif spread:
                weight.assign(RNG.normal(0, spread, weight.shape))
            else:  # gamma, normalisation
                weight.assign(RNG.uniform(0.3, 1.5, weight.shape))


def disable_dropout(model: keras.Model) -> keras.Model:
    """Sets the rates of all dropout layers to 0 and returns the model."""
    for layer in model.layers:
        if isinstance(layer, layers.Dropout):
            layer.rate = 0
    return model


def draw_statistics(model: keras.Model, batch: np.ndarray) -> None:
    """Draws random statistics for which all activations for `batch` are of order one.

    They are the batch's own with random changes, which gamma and beta compensate: otherwise the
    changes would add up, over EfficientNet's layers to activations in the thousands.
    """
    norms = [layer for layer in model.layers if isinstance(layer, layers.BatchNormalization)]
    for norm in norms:
        norm.momentum = 0
    model(batch, training=True)
    for norm in norms:
        norm.momentum = 0.99
        gamma, beta, mean, variance = norm.get_weights()
        deviation = np.sqrt(variance + norm.epsilon)
        shift = RNG.normal(0, 0.3, mean.shape) * deviation
        moved = variance * RNG.uniform(0.6, 1.6, variance.shape)
        norm.beta.assign(beta + gamma * shift / deviation)
        norm.gamma.assign(gamma * np.sqrt(moved + norm.epsilon) / deviation)
        norm.moving_mean.assign(mean + shift)
        norm.moving_variance.assign(moved)


def make_heads(arch: str) -> dict[str, list[layers.Layer]]:
    """Makes the layers of the head, without and with the extra layer."""
    pooling = layers.GlobalAveragePooling2D()
    extra = layers.Dense(EXTRA_WIDTH[arch], activation="relu", name="fc_extra")
    last = {"bias_initializer": "normal", "name": "predictions"}
    return {
        "plain": [pooling, layers.Dense(4, **last)],
        "extra": [pooling, extra, layers.Dense(4, **last)],
    }


def compute_network(arch: str, folder: Path) -> dict[str, np.ndarray]:
    """Computes features and logits at all sizes and a training pass; writes weight files.

    The files and 'weights' are those of the first size; 'norms' of a size replaces some of them.
    """
    results, tops = {}, make_heads(arch)
    bases, weights = {}, None
    for size in SIZES:
        batch = make_images(arch, size)
        # EfficientNet pads maps of an even side, and of an unknown one, otherwise than odd ones.
        side = size if arch == "efficientnetb0" and size % 32 else None
        base = bases[side] = bases.get(side) or make_backbone(arch, side)
        if weights is None:
            draw_weights(base)
        set_weights(base, weights or base.get_weights())
        draw_statistics(base, batch)
        weights = weights or base.get_weights()
        results |= {
            n: a for n, a in name_weights(f"{arch}/norms{size}", base).items() if "bn/" in n
        }
        results[f"{arch}/inputs{size}"] = batch
        features = base(batch, training=False)
        results[f"{arch}/features{size}"] = features.numpy()
        for kind, top in tops.items():
            hidden = features
            for layer in top:
                hidden = layer(hidden)
            results[f"{arch}/logits{size}/{kind}"] = hidden.numpy()
    results |= {
        f"{arch}/head/{kind}/{layer.name}/{weight.name}": weight.numpy()
        for kind, top in tops.items()
        for layer in top
        for weight in layer.weights
    }
    assert weights is not None
    first = bases[None]  # of the first size
    set_weights(first, weights)
    results |= name_weights(f"{arch}/weights", first)
    first.save(folder / f"{arch}.h5")
    first.save_weights(folder / f"{arch}.weights.h5")
    first.save(folder / f"{arch}.keras")
    results[f"{arch}/training"] = first(results[f"{arch}/inputs96"], training=True).numpy()
    moved = name_weights(f"{arch}/moved", first)
    return results | {name: array for name, array in moved.items() if "moving_" in name}


def compute_imagenet(folder: Path) -> dict[str, np.ndarray]:
    """Computes features with EfficientNetB0's ImageNet file, for which a random one stands in."""
    official, batch = folder / "official.h5", make_images("efficientnetb0", 48)
    module = sys.modules[keras.applications.EfficientNetB0.__module__]
    module.file_utils.get_file = lambda *args, **rest: str(official)

    def load() -> keras.Model:
        return keras.applications.EfficientNetB0(
            include_top=False, weights="imagenet", input_shape=(48, 48, 3), name="imagenet"
        )

    base = make_backbone("efficientnetb0", 48)
    draw_weights(base)
    normalization = next(x for x in base.layers if isinstance(x, layers.Normalization))
    numbers = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225], 0)
    normalization.set_weights([np.float32(number) for number in numbers])
    base.save(official)
    loaded = disable_dropout(load())
    draw_statistics(loaded, batch)
    base.set_weights(loaded.get_weights())
    base.save(official)

    for end in ("h5", "weights.h5", "keras"):
        (loaded.save_weights if end == "weights.h5" else loaded.save)(folder / f"imagenet.{end}")
    return {"imagenet/inputs": batch, "imagenet/features": loaded(batch).numpy()}


def find_block(arch: str, layer: str) -> int:
    """Returns the number of a layer's block, counted from the bottom."""
    if arch == "vgg16":
        return int(layer[5]) if layer.startswith("block") else 0
    if arch == "resnet50v2":
        return 5 if layer.startswith("post") else int(layer[4]) if layer[:4] == "conv" else 0
    if arch == "mobilenet":
        pair = int(layer.split("_")[2]) if layer.startswith("conv_") else 0
        return sum(last < pair for last in (0, *PAIRS))
    return 7 if layer.startswith("top") else int(layer[5]) if layer[:5] == "block" else 0


def freeze(arch: str, base: keras.Model, level: str) -> None:
    """Freezes all but the top blocks, as the field `unfreeze` does."""
    blocks = 7 if arch == "efficientnetb0" else 5
    lowest = 0 if level == "all" else blocks - int(level) + 1
    for layer in base.layers:
        layer.trainable = find_block(arch, layer.name) >= lowest


def subsample(array: np.ndarray) -> np.ndarray:
    """Selects about 50,000 values of an array, from all channels."""
    return array.ravel()[:: (array.size // 50_000) | 1]


def compute_steps(arch: str, folder: Path, head: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Computes one step of Adam in float64 at some levels, and the weight counts at all levels."""
    size = 32 if arch == "vgg16" else 48
    base = make_backbone(arch, size)
    hidden = base.output
    if arch == "vgg16":
        top = [layers.Flatten(), *(layers.Dense(WIDTH, "relu", name=f"fc{n}") for n in (1, 2))]
    else:
        top = [layers.GlobalAveragePooling2D()]
    for layer in [*top, layers.Dense(4, name="predictions")]:
        hidden = layer(hidden)
    whole = keras.Model(base.input, hidden)
    if arch == "vgg16":
        whole.load_weights(folder / "vgg16_whole.weights.h5")
    else:
        base.load_weights(folder / f"{arch}.h5")
        whole.get_layer("predictions").set_weights([head["kernel"], head["bias"]])
    for layer in base.layers:
        if isinstance(layer, layers.Rescaling):
            layer.scale = np.float64(layer.scale)  # a Python number would become float32
    batch = make_images(arch, size).astype(np.float64)
    results = {f"{arch}/step/inputs": batch}
    start = {weight.path: weight.numpy() for weight in whole.weights}
    for level in LEVELS:
        freeze(arch, base, level)
        trained = [int(np.prod(w.shape)) for w in base.trainable_weights]
        frozen = [int(np.prod(w.shape)) for w in base.non_trainable_weights]
        results[f"{arch}/counts/{level}"] = np.array([sum(trained), sum(frozen)])
        if level not in STEPPED:
            continue
        for weight in whole.weights:
            weight.assign(start[weight.path])
        optimizer = keras.optimizers.Adam(LEARNING_RATE)  # its epsilon is 1e-7
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        whole.compile(optimizer, loss, run_eagerly=True)
        whole.train_on_batch(batch, np.array([0, 1, 2, 3]))
        for weight in whole.weights:
            name = "/".join(weight.path.split("/")[-2:])
            change = subsample(weight.numpy() - start[weight.path])
            if weight.trainable or "moving_" in name:
                results[f"{arch}/step{level}/{name}"] = change
    return results


def save_whole_vgg16(folder: Path) -> None:
    """Writes the weights of a whole VGG16 at 32 pixels, with narrow dense layers."""
    base = make_backbone("vgg16", 32)
    hidden = layers.Flatten()(base.output)
    for name, width in (("fc1", WIDTH), ("fc2", WIDTH), ("predictions", 4)):
        hidden = layers.Dense(width, name=name)(hidden)
    whole = keras.Model(base.input, hidden)
    randomise(whole)
    whole.save_weights(folder / "vgg16_whole.weights.h5")


def main(folder: Path, arch: str) -> None:
    keras.utils.set_random_seed(20)
    results = {}
    if arch == "vgg16":
        save_whole_vgg16(folder)
    else:
        results |= compute_network(arch, folder)
    if arch == "efficientnetb0":
        results |= compute_imagenet(folder)
    if arch not in NARROW:
        keras.config.set_floatx("float64")
        keras.config.set_dtype_policy("float64")
        head = {n: results.get(f"{arch}/head/plain/predictions/{n}") for n in ("kernel", "bias")}
        results |= compute_steps(arch, folder, head)
    np.savez(folder / "results.npz", **results)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
