"""The loading of a run's images, with a line on where they are and why they are prepared again."""

from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from faceemo import data
from faceemo.config.image_format import ImageFormat, list_automatic
from faceemo.data import auto_format
from faceemo.data.pipeline import Split
from faceemo.data.prepare.record import Record
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
        splits = data.load(config)
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
