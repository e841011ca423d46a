"""The loading of a run's images, with a line on where they are and why they are prepared again."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
from ml_collections import ConfigDict

from faceemo import data
from faceemo.config.field_words import spell
from faceemo.config.image_format import ImageFormat, list_automatic
from faceemo.data import auto_format, division
from faceemo.data.disk import whole_split
from faceemo.data.disk.stored_images import StoredImages
from faceemo.data.pipeline import Split
from faceemo.data.prepare.record import Record
from faceemo.errors import UserError
from faceemo.experiments import images_used
from faceemo.train import parallel, run_log
from faceemo.train.checkpoint.digest import digest_items
from faceemo.train.checkpoint.provenance import describe_configuration
from faceemo.train.checkpoint.stored_recipe import fixed_fields


def replace_automatic(config: ConfigDict, found: Mapping[str, Any] | None) -> ConfigDict:
    """Replaces automatic values of the images' format, and prints which values these are.

    Args:
        config: The run's configuration.
        found: The recipe of the run that is there (`stored_recipe.find_recipe`), whose values are
            taken, so that it can be resumed without its source; or None.

    Returns:
        The configuration that the run's recipe records.

    Raises:
        UserError: If the source of the images is missing, or its layout is unknown.
    """
    if not list_automatic(config):
        return config
    if found:
        form, reason = ImageFormat.from_config(found["config"]), "as the run that is there has it"
    else:
        form, reason = parallel.on_first(auto_format.find)(config, data.dataset_root(config))
    print(auto_format.describe(config, form, reason))
    return auto_format.replace(config, form)


def load(config: ConfigDict) -> dict[str, Split]:
    """Loads the images of a run as `data.load` does; what preparing them prints goes to the log.

    Args:
        config: The run's configuration.

    Returns:
        The splits 'train', 'validation' and 'test'.

    Raises:
        UserError: If there is no data, or it cannot be used.
    """
    root = data.dataset_root(config)
    before = Record(root).inputs("unpack")
    print(f"loads       {data.describe_load(config)}")
    with run_log.details():
        splits = data.load(config) if jax.process_count() == 1 else _load_together(config)
    if not parallel.is_first():
        return splits  # the others print nothing, and their hosts may lack what is read for it
    after = Record(root).inputs("unpack")
    # a folder that is its own source has no digest as one
    digest = "source" if after["source"] else "images"
    if before and before.get(digest) != after[digest]:
        print(
            f"            prepared again: these are not the images from which {root} was prepared"
        )
    if splits:
        print(images_used.describe_place(config, splits))
    return splits


def _load_together(config: ConfigDict) -> dict[str, Split]:
    """Loads the images of a run of several processes, of which the first alone prepares them.

    The others open the files that it names, each of them at the same path on its own host: all of
    them, or those that their parts of the training images need.

    Raises:
        UserError: In every process, if a host lacks a file that it needs, or has another one in its
            place.
    """
    splits, sizes = parallel.on_first(_load_first)(config)
    held = {path for path, size in sizes.items() if _has_size(Path(path), size)}
    lacking = parallel.find_false(held == sizes.keys())
    if not lacking:
        memory = data.memory_for_images(config) / parallel.count_processes_here()
        return whole_split.place(splits, memory)
    # Before anything depends on the configuration, so that all processes go the same way.
    parallel.refuse_disagreement(digest_items({}, fixed_fields(describe_configuration(config))))
    processes, folder = jax.process_count(), Path(min(sizes)).parent
    if config.data_parts == 1:
        raise UserError(
            expected=f"the same files in {folder} on every host",
            found=f"other files, or fewer, on {_name_hosts(lacking)}",
            fix="put the data on a disk that all hosts share, or prepare it on one of them "
            "(faceemo prepare) and copy the whole folder to the same path on the others, or give "
            f"{spell('data_parts')}, which divides the images over the hosts (docs/scale.md)",
        )
    if config.data_parts % processes or config.batch_size % jax.device_count():
        raise UserError(
            expected="a number of parts that the processes divide, and a batch that the devices "
            "divide, where a host lacks some of the images",
            found=f"{config.data_parts} parts, {processes} processes, batches of "
            f"{config.batch_size} images, {jax.device_count()} devices",
            fix=f"give other values of {spell('data_parts')} and {spell('batch_size')}, or copy "
            f"all files in {folder} to every host",
        )
    own = list_files(splits, jax.process_index(), processes)
    if lacking := parallel.find_false(held >= own):
        raise UserError(
            expected=f"on every host the files in {folder} that hold its own part of the images",
            found=f"other files, or fewer, on {_name_hosts(lacking)}",
            fix="list the files of a host with scripts/list_data_part.py where the images were "
            "prepared, and copy them to the same path on that host",
        )
    train = splits["train"]
    images = dataclasses.replace(_stored(train), divided=True)
    return splits | {"train": dataclasses.replace(train, images=images)}


def _name_hosts(processes: Sequence[int]) -> str:
    """Names the hosts of processes, of which a large run may have many."""
    few = ", ".join(map(str, processes[:5]))
    more = f" and {len(processes) - 5} more" if len(processes) > 5 else ""
    return f"the host of {'process' if len(processes) == 1 else 'each of processes'} {few}{more}"


def _load_first(config: ConfigDict) -> tuple[dict[str, Split], dict[str, int]]:
    """Returns the splits with their images on disk, and the size in bytes of each file."""
    splits = data.load(config, on_disk=True)
    files = [path for split in splits.values() for path, _ in _stored(split).files]
    return splits, {path: Path(path).stat().st_size for path in files}


def list_files(splits: Mapping[str, Split], part: int, parts: int) -> set[str]:
    """Returns the paths of the files that a host needs which reads one part of the training images.

    Args:
        splits: All splits, with their images on disk. Every host needs those of validation and test
            whole.
        part: Number of the part, from 0.
        parts: Number of parts.
    """
    train = splits["train"]
    own = _stored(train).find_files(division.list_part(train.labels, part, parts))
    others = [split for name, split in splits.items() if name != "train"]
    return {*own, *(path for split in others for path, _ in _stored(split).files)}


def _stored(split: Split) -> StoredImages:
    assert isinstance(split.images, StoredImages)
    return split.images


def _has_size(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size
