"""Features of a trunk that never changes, computed once per image, in memory and on disk.

Where only the head trains and images are shown as they are, every epoch would send the same pixels
through the same frozen trunk. Here they go through once; the epochs then train the head alone, by
the same step. On disk features are found by what they were made from: another image, weight,
size, cut of the batches or line of the code is another file, and every file can be deleted at any
time.
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
from flax import traverse_util
from ml_collections import ConfigDict
from tqdm import tqdm

from faceemo import data, models, staging
from faceemo.assets import downloads
from faceemo.data.augment import augment
from faceemo.data.augment.augment import enlarge
from faceemo.data.pipeline import Split, epoch_batches, steps_per_epoch
from faceemo.models import Model
from faceemo.models.preprocessing import Preprocessing, preprocess
from faceemo.train import parallel

# Of all splits' features together, in memory: bytes.
LIMIT = 2 * 2**30


class Stage(NamedTuple):
    """What the steps run on.

    Attributes:
        model: the whole network, or without its trunk.
        preprocessing: None where `splits` hold features.
        splits: of images, or of features [N, h, w, C] in the place of images.
    """

    model: Model
    preprocessing: Preprocessing | None
    splits: dict[str, Split]


def stage(
    config: ConfigDict,
    model: Model,
    variables: dict[str, Any],
    preprocessing: Preprocessing,
    splits: dict[str, Split],
) -> Stage:
    """Features in the place of images where that changes nothing but the time; else all as it is.

    Args:
        config: of the run.
        model: of `faceemo.models.build`.
        variables: with which the run starts.
        preprocessing: that belongs to the weights.
        splits: 'train' and 'validation'.
    """
    plain = Stage(model, preprocessing, splits)
    if not _pays(config, model, len(splits["train"])):
        return plain
    images = {name: splits[name] for name in ("train", "validation")}
    each = jax.eval_shape(
        lambda params, batch_stats: _features(
            model, preprocessing, params, batch_stats, np.zeros((1, 8, 8), np.uint8)
        ),
        variables["params"],
        variables["batch_stats"],
    )
    size = sum(map(len, images.values())) * each.size * each.dtype.itemsize
    if size > LIMIT:
        print(
            f"features of all images would take {size / 2**30:.1f} GiB, more than the "
            f"{LIMIT / 2**30:.0f} GiB that are kept: the frozen trunk runs in every epoch"
        )
        return plain
    common = _settings(model, variables, preprocessing, config.batch_size)
    ready = {}
    for name, split in images.items():
        place = data.root_of(config) / "features" / f"{_key(common, split)}.npy"
        features = _read(place, (len(split), *each.shape[1:]), each.dtype)
        if features is None:
            features = _compute(model, preprocessing, variables, split, config.batch_size, name)
            _write(place, features, common | {"split": name})
        ready[name] = dataclasses.replace(split, images=features)
    return Stage(model.without_trunk(), None, ready)


def _pays(config: ConfigDict, model: Model, n: int) -> bool:
    """Whether features are the same in every epoch, and are needed more than once."""
    same = model.trained == {"head"} and config.augmentation == "none"
    same = same and not (config.erasing or config.mixup or config.cutmix or config.teacher)
    steps = steps_per_epoch(n, config.batch_size, config.steps_per_epoch)
    shown = config.epochs * min(steps * config.batch_size, n)
    # Several processes would each need all features, or their own part of every file.
    alone = jax.process_count() == 1
    return config.cache_features == "auto" and same and alone and shown > n


def _features(
    model: Model, preprocessing: Preprocessing, params: Any, batch_stats: Any, images: Any
) -> jax.Array:
    """What the head takes, of images uint8 [B, H, W]: averaged already where it averages first."""
    inputs = preprocess(enlarge(images, model.image_size), preprocessing)
    features, _ = model.features(params, batch_stats, inputs)
    if model.head.pooling == "average":
        return features.mean((1, 2), keepdims=True)
    return features


def _compute(
    model: Model,
    preprocessing: Preprocessing,
    variables: dict[str, Any],
    split: Split,
    batch_size: int,
    name: str,
) -> np.ndarray:
    """[N, h, w, C], in batches as they are cut in training, so that no sum is ordered otherwise."""
    step = parallel.evaluate_on_devices(
        lambda params, batch_stats, images: _features(
            model, preprocessing, params, batch_stats, images
        )
    )
    params = parallel.replicate({"backbone": variables["params"]["backbone"]})
    batch_stats = parallel.replicate(variables["batch_stats"])
    total, result, done = steps_per_epoch(len(split), batch_size), None, 0
    batches = epoch_batches(split, batch_size)
    label = f"features of {name}"
    for batch in tqdm(batches, label, total, unit="batch", leave=False, disable=None):
        images = parallel.shard(batch).images
        features = parallel.unreplicate(step(params, batch_stats, images))
        features = features.reshape(-1, *features.shape[2:])[: len(batch.labels)]
        features = features[batch.mask > 0]
        if result is None:
            # Not a list to be joined at the end: that would take the memory twice.
            result = np.empty((len(split), *features.shape[1:]), features.dtype)
        result[done : done + len(features)] = features
        done += len(features)
    assert result is not None
    return result


def _settings(
    model: Model, variables: dict[str, Any], preprocessing: Preprocessing, batch_size: int
) -> dict[str, Any]:
    """All that features are made from but the images."""
    sources = [*Path(models.__file__).parent.rglob("*.py"), Path(augment.__file__), Path(__file__)]
    code = hashlib.sha256()
    for source in sorted(sources):
        code.update(source.read_bytes())
    weights = hashlib.sha256()
    trunk = {
        "params": variables["params"]["backbone"],
        "batch_stats": variables["batch_stats"],
    }
    for path, leaf in sorted(traverse_util.flatten_dict(trunk, sep="/").items()):
        weights.update(f"{path} {np.shape(leaf)} ".encode())
        weights.update(np.ascontiguousarray(leaf).tobytes())
    return {
        "arch": model.arch,
        "image_size": model.image_size,
        "dtype": str(jnp.dtype(model.head.dtype)),
        "pooling": model.head.pooling,
        "preprocessing": preprocessing.to_dict(),
        "weights": weights.hexdigest(),
        "code": code.hexdigest(),
        "versions": {module.__name__: module.__version__ for module in (jax, jaxlib, flax)},
        # How a batch is cut decides in which order a sum is taken.
        "batch_size": batch_size,
        "devices": jax.device_count(),
        "platform": jax.default_backend(),
    }


def _key(settings: dict[str, Any], split: Split) -> str:
    total = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    total.update(str(split.images.shape).encode())
    total.update(np.ascontiguousarray(split.images).tobytes())
    return total.hexdigest()[:32]


def _write(place: Path, features: np.ndarray, settings: dict[str, Any]) -> None:
    """Writes the features and then, beside them, what they are and their hash."""
    record = place.with_suffix(".json")
    try:
        record.unlink(missing_ok=True)
        with staging.file(place) as partial:
            np.save(partial, features)
            digest = downloads.file_digest(partial, "sha256")
        with staging.file(record) as partial:
            partial.write_text(json.dumps(settings | {"sha256": digest}, indent=2) + "\n")
        print(f"features of {len(features):,} images: computed once, kept in {place}")
    except OSError as error:
        print(f"features of {len(features):,} images: computed, but not kept on disk ({error})")


def _read(place: Path, shape: tuple[int, ...], dtype: Any) -> np.ndarray | None:
    """Features [N, h, w, C] that were written whole, or None."""
    record = place.with_suffix(".json")
    if not (place.is_file() and record.is_file()):
        return None
    try:
        if json.loads(record.read_text())["sha256"] == downloads.file_digest(place, "sha256"):
            # NumPy's files know no bfloat16 and give its bytes back.
            features = np.load(place).view(dtype)
            assert features.shape == shape
            print(f"features of {len(features):,} images: from {place}")
            return features
        problem = "not the bytes that were written"
    except (OSError, ValueError, KeyError) as error:
        problem = str(error)
    print(f"features in {place} are damaged ({problem}): computed anew")
    return None
