"""The loading of a run's images, with a line on where they are and why they are prepared again."""

from ml_collections import ConfigDict

from faceemo import data
from faceemo.data.pipeline import Split
from faceemo.data.prepare.record import Record
from faceemo.train import run_log


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
    return splits
