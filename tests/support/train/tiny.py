"""A model of a hundred parameters with the interface of the real ones, so that loops run in ms."""

import dataclasses
import types

import jax
import jax.numpy as jnp
import numpy as np

from faceemo.config import make_config
from faceemo.data.pipeline import Split
from faceemo.data.votes.arrays import Votes
from faceemo.models import Block
from faceemo.models.preprocessing import Preprocessing
from faceemo.train.start import Start

SIZE = 32
GREY = Preprocessing(reverse_channels=False, scale=1 / 127.5, mean=(1.0, 1.0, 1.0))


def make_model(trained=("top", "head"), noise=0.0, statistics=False, width=6):
    """A model of three layers in three blocks.

    `noise` is a dropout rate, drawn from the images' keys. With `statistics`, the features' mean is
    subtracted: the batch's in training mode, otherwise a moving average.
    """

    def init(seed):
        keys = jax.random.split(jax.random.PRNGKey(seed), 3)
        shapes = {"low": (4 * 3, 5), "top": (5, width), "head": (width, 4)}
        layers = {
            name: {
                "kernel": jax.random.normal(key, shape) / shape[0] ** 0.5,
                "bias": jnp.zeros(shape[1]),
            }
            for key, (name, shape) in zip(keys, shapes.items(), strict=True)
        }
        head = {"predictions": layers.pop("head")}
        moving = {"backbone": {"top": {"moving_mean": jnp.zeros(width)}}} if statistics else {}
        return {"params": {"backbone": layers, "head": head}, "batch_stats": moving}

    def features(params, stats, x, mode=None):
        del mode  # no layer of these depends on it
        half = x.shape[1] // 2
        x = x.reshape(len(x), 2, half, 2, half, 3).mean(axis=(2, 4)).reshape(len(x), -1)
        for layer in params["backbone"].values():
            x = jnp.tanh(x @ layer["kernel"] + layer["bias"][None])
        return x, stats

    def apply(params, stats, x, *, train=False, mask=None, keys=None, axis_name=None):
        x, _ = features(params, stats, x)
        if train and noise:
            x *= jax.vmap(lambda key: jax.random.bernoulli(key, 1 - noise, x.shape[1:]))(keys)
        if statistics:
            mean = stats["backbone"]["top"]["moving_mean"]
            if train:
                sums = (x * mask[:, None]).sum(0), mask.sum()
                total, count = jax.lax.psum(sums, axis_name) if axis_name else sums
                moved = 0.9 * mean + 0.1 * total / count
                mean, stats = total / count, {"backbone": {"top": {"moving_mean": moved}}}
            x -= mean[None]
        layer = params["head"]["predictions"]
        return x @ layer["kernel"] + layer["bias"][None], stats

    return types.SimpleNamespace(
        arch="tiny",
        image_size=SIZE,
        num_classes=4,
        trained=frozenset(trained),
        blocks=(
            Block("low", r"backbone/low/.*"),
            Block("top", r"backbone/top/.*"),
            Block("head", r"head/.*"),
        ),
        preprocessing=GREY,
        moving_statistics=False,
        head=types.SimpleNamespace(pooling="flatten"),
        features=features,
        init=init,
        shapes=lambda: jax.eval_shape(init, 0),
        apply=apply,
    )


def make_start(model, seed=0, variables=None):
    """The start of a run: the model with random variables of `seed`, or with those given."""
    return Start(model, variables or model.init(seed), GREY, {"source": "none"})


def make_split(n, seed):
    """Noise images whose upper and lower halves show the class, mirrored or not."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 4, n).astype(np.int32)
    images = rng.integers(60, 120, (n, 16, 16))
    images[:, :8] += 90 * (labels // 2)[:, None, None]
    images[:, 8:] += 90 * (labels % 2)[:, None, None]
    return Split(images.astype(np.uint8), labels, tuple(f"{i}.jpg" for i in range(n)))


def add_votes(split, shares=None):
    """Adds votes of the given shares [N, C]; random ones by default, none on every tenth image."""
    if shares is None:
        shares = np.random.default_rng(7).dirichlet(np.ones(4), len(split))
        shares[::10] = 0
    agreement = np.full(len(split), 0.5, np.float32)
    shares = np.asarray(shares, np.float32)
    votes = Votes(shares, split.labels, agreement, agreement, split.labels)
    return dataclasses.replace(split, votes=votes)


def pixels(split):
    """The images of a split that is in memory, to be read or changed."""
    assert isinstance(split.images, np.ndarray)
    return split.images


def make_splits():
    return {"train": make_split(70, 0), "validation": make_split(30, 1), "test": make_split(10, 2)}


def tiny_config(**changes):
    config = make_config("vgg16", "7,batch_size=16,weights=none,learning_rate=0.03")
    config.update(changes)
    return config
