"""Features of a backbone that never changes, computed once per image, in memory and on disk.

If only the head trains and images are not augmented, every epoch would send the same pixels through
the same frozen backbone. Here they go through it once, and the epochs train the head alone, with
the same step. A file's name is a digest of everything that its features depend on: other images,
weights, sizes, batches or code give another file. Every file may be deleted at any time.
"""

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple

import flax
import jax
import jax.numpy as jnp
import jaxlib
import numpy as np
from ml_collections import ConfigDict
from tqdm import tqdm

from faceemo import data, models, staging
from faceemo.assets import downloads
from faceemo.data.augment import augment
from faceemo.data.disk.stored_images import StoredImages
from faceemo.data.pipeline import Split, epoch_batches, steps_per_epoch
from faceemo.models import Model
from faceemo.models.layers import onednn
from faceemo.models.layers.extension import calls
from faceemo.models.preprocessing import Preprocessing
from faceemo.train import eval_step, parallel, run_log
from faceemo.train.checkpoint.digest import digest_tree
from faceemo.train.eval_step import plain_inputs
from faceemo.train.start import Start

# Bytes in memory for the features of all splits together.
MAX_BYTES = 2 * 2**30


class Setup(NamedTuple):
    """The network and the data on which the steps of training and validation run.

    Attributes:
        model: The whole network, or the network without its backbone.
        preprocessing: The preprocessing that belongs to the weights; None if `splits` hold
            features.
        splits: Splits of images, or with features [N, h, w, C] in their place.
    """

    model: Model
    preprocessing: Preprocessing | None
    splits: dict[str, Split]


def cache_features(config: ConfigDict, start: Start, splits: dict[str, Split]) -> Setup:
    """Replaces images by their features, if that changes nothing but the time.

    Args:
        config: The run's configuration.
        start: The network with its initial variables.
        splits: 'train' and 'validation'.
    """
    model, variables = start.model, start.variables
    without_cache = Setup(model, start.preprocessing, splits)
    if not _is_worth_caching(config, model, len(splits["train"])):
        return without_cache
    images = {name: splits[name] for name in ("train", "validation")}
    each = jax.eval_shape(
        lambda params, batch_stats: compute_features(
            model, start.preprocessing, params, batch_stats, splits["train"].images[:1]
        ),
        variables["params"],
        variables["batch_stats"],
    )
    size = sum(map(len, images.values())) * each.size * each.dtype.itemsize
    if size > MAX_BYTES:
        print(
            f"features of all images would take {size / 2**30:.1f} GiB of memory, more than the "
            f"limit of {MAX_BYTES / 2**30:.0f} GiB: the frozen backbone runs in every epoch"
        )
        return without_cache
    common = _describe(start, config.batch_size)
    ready = {}
    for name, split in images.items():
        path = data.dataset_root(config) / "features" / f"{_digest(common, split)}.npy"
        features = _read(path, (len(split), *each.shape[1:]), each.dtype)
        if features is None:
            features = _compute_split(start, split, config.batch_size, name)
            _write(path, features, common | {"split": name})
        ready[name] = dataclasses.replace(split, images=features)
    return Setup(model.without_backbone(), None, ready)


def _is_worth_caching(config: ConfigDict, model: Model, n: int) -> bool:
    """Returns whether features are the same in every epoch and are needed more than once."""
    same = model.trained == {"head"} and config.augmentation == "none"
    same = same and not (config.erasing or config.mixup or config.cutmix or config.teacher)
    batches = steps_per_epoch(n, config.batch_size, config.steps_per_epoch)
    shown = config.epochs * min(batches * config.batch_size, n)
    # Several processes would each need all features, or their own part of every file.
    alone = jax.process_count() == 1
    return config.cache_features == "auto" and same and alone and shown > n


def compute_features(
    model: Model, preprocessing: Preprocessing, params: Any, batch_stats: Any, images: Any
) -> jax.Array:
    """Computes the head's inputs from uint8 images [B, H, W] or [B, H, W, 3]: the features.

    They are already averaged over positions if the head does that.
    """
    inputs = plain_inputs(images, model, preprocessing)
    features, _ = model.features(params, batch_stats, inputs)
    if model.head.pooling == "average":
        return features.mean((1, 2), keepdims=True)
    return features


def _compute_split(start: Start, split: Split, batch_size: int, name: str) -> np.ndarray:
    """Computes the features of a split, [N, h, w, C].

    Batches are cut as in training, so that sums are taken in the same order.
    """
    print(f"computes    features of the {len(split):,} {name} images, once for all epochs")
    step = parallel.map_eval_step(
        lambda params, batch_stats, images: compute_features(
            start.model, start.preprocessing, params, batch_stats, images
        )
    )
    params = parallel.replicate({"backbone": start.variables["params"]["backbone"]})
    batch_stats = parallel.replicate(start.variables["batch_stats"])
    total, result, done = steps_per_epoch(len(split), batch_size), None, 0
    batches = epoch_batches(split, batch_size)
    title = f"features of {name}"
    for batch in tqdm(batches, title, total, unit="batch", leave=False, disable=None):
        images = parallel.shard(batch).images
        features = parallel.unreplicate(step(params, batch_stats, images))
        features = features.reshape(-1, *features.shape[2:])[: len(batch.labels)]
        features = features[batch.mask > 0]
        if result is None:
            # Not a list to concatenate at the end, which would take the memory twice.
            result = np.empty((len(split), *features.shape[1:]), features.dtype)
        result[done : done + len(features)] = features
        done += len(features)
    assert result is not None
    return result


def _describe(start: Start, batch_size: int) -> dict[str, Any]:
    """Describes everything that features depend on besides the images."""
    model = start.model
    backbone = {
        "params": start.variables["params"]["backbone"],
        "batch_stats": start.variables["batch_stats"],
    }
    return {
        "arch": model.arch,
        "image_size": model.image_size,
        "dtype": str(jnp.dtype(model.head.dtype)),
        "pooling": model.head.pooling,
        "preprocessing": start.preprocessing.to_dict(),
        "weights": digest_tree(backbone),
        "code": _digest_code(),
        "versions": {module.__name__: module.__version__ for module in (jax, jaxlib, flax)},
        # The size of a batch decides in which order sums are taken.
        "batch_size": batch_size,
        "devices": jax.device_count(),
        "platform": jax.default_backend(),
        "onednn": onednn.in_use(),
        "extension": calls.in_use(),
    }


def _digest_code() -> str:
    """Computes the sha256, in hex, of the code between stored images and features."""
    sources = [
        # Recursive, because layers and readers of weights are in subfolders.
        *Path(models.__file__).parent.rglob("*.py"),
        *(Path(str(module.__file__)) for module in (augment, eval_step)),
        Path(__file__),
    ]
    total = hashlib.sha256()
    for source in sorted(sources):
        total.update(source.read_bytes())
    return total.hexdigest()


def _digest(description: dict[str, Any], split: Split) -> str:
    """Computes the name of a split's file: 32 hex digits."""
    total = hashlib.sha256(json.dumps(description, sort_keys=True).encode())
    images = split.images
    if isinstance(images, StoredImages):
        digest = images.digest
    else:
        digest = hashlib.sha256(np.ascontiguousarray(images).data).hexdigest()
    total.update(f"{images.shape} {digest}".encode())
    return total.hexdigest()[:32]


def _write(path: Path, features: np.ndarray, description: dict[str, Any]) -> None:
    """Writes features, and beside them a JSON file with their description and sha256."""
    record = path.with_suffix(".json")
    try:
        record.unlink(missing_ok=True)
        with staging.file(path) as partial:
            np.save(partial, features)
            digest = downloads.file_digest(partial, "sha256")
        with staging.file(record) as partial:
            partial.write_text(json.dumps(description | {"sha256": digest}, indent=2) + "\n")
        with run_log.details():
            print(f"features of {len(features):,} images: computed once and stored in {path}")
    except OSError as error:
        print(f"features of {len(features):,} images: computed, but not stored on disk ({error})")


def _read(path: Path, shape: tuple[int, ...], dtype: Any) -> np.ndarray | None:
    """Reads features [N, h, w, C]; returns None if there are none, or they are damaged."""
    record = path.with_suffix(".json")
    if not (path.is_file() and record.is_file()):
        return None
    try:
        if json.loads(record.read_text())["sha256"] == downloads.file_digest(path, "sha256"):
            # NumPy files cannot store the type bfloat16; they return raw bytes.
            features = np.load(path).view(dtype)
            assert features.shape == shape
            with run_log.details():
                print(f"features of {len(features):,} images: read from {path}")
            return features
        problem = "their sha256 is not the stored one"
    except (OSError, ValueError, KeyError) as error:
        problem = str(error)
    print(f"features in {path} are damaged ({problem}): they are computed again")
    return None
