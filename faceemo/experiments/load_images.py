"""The loading of a run's images, with a line on where they are and why they are prepared again."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
from ml_collections import ConfigDict

from faceemo import data
from faceemo.config.image_format import ImageFormat, list_automatic
from faceemo.data import auto_format
from faceemo.data.disk import whole_split
from faceemo.data.disk.stored_images import StoredImages
from faceemo.data.pipeline import Split
from faceemo.data.prepare.record import Record
from faceemo.errors import UserError
from faceemo.experiments import images_used
from faceemo.train import parallel, run_log


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

    The others open the files that it names, each of them at the same path on its own host.

    Raises:
        UserError: In every process, if a host lacks a file, or has another one in its place.
    """
    splits, sizes = parallel.on_first(_load_first)(config)
    found = {path: Path(path).stat().st_size for path in sizes if Path(path).is_file()}
    if not parallel.is_true_in_all(found == sizes):
        folder = Path(min(sizes)).parent
        raise UserError(
            expected=f"the same files in {folder} on every host",
            found="a host that lacks some, or has others",
            fix="put the data on a disk that all hosts share, or prepare it on one of them "
            "(faceemo prepare) and copy the whole folder to the same path on the others",
        )
    memory = data.memory_for_images(config) / parallel.count_processes_here()
    return whole_split.place(splits, memory)


def _load_first(config: ConfigDict) -> tuple[dict[str, Split], dict[str, int]]:
    """Returns the splits with their images on disk, and the size in bytes of each file."""
    splits = data.load(config, on_disk=True)
    stored = [one.images for one in splits.values() if isinstance(one.images, StoredImages)]
    files = [path for images in stored for path, _ in images.files]
    return splits, {path: Path(path).stat().st_size for path in files}
