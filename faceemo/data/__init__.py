"""The data of a run: from a zip, folder or csv of face images to decoded splits."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ml_collections import ConfigDict

from faceemo.config.image_format import ImageFormat
from faceemo.errors import UserError

# NumPy would be half of what the help of a command imports.
if TYPE_CHECKING:
    from faceemo.data.pipeline import Split


def dataset_root(config: ConfigDict) -> Path:
    """Returns the folder of the configured dataset, see `faceemo.data.prepare.prepare`."""
    data_dir = Path(config.data_dir)
    return data_dir / "sample" if config.dataset == "sample" else data_dir


def check_present(config: ConfigDict) -> None:
    """Refuses a configuration whose images are missing; takes no time and needs no JAX.

    Raises:
        UserError: If there are no images, with where to put them.
    """
    from faceemo.data.source import archive
    from faceemo.data.source.selection import Selection

    if config.dataset != "sample":  # which is drawn when it is loaded
        archive.check_present(dataset_root(config), Selection.from_config(config))


def refuse_to_replace(config: ConfigDict) -> None:
    """Refuses the default classes for a folder of images that was prepared with others.

    A command that leaves the classes out more probably means those of the folder than that its
    images be prepared again.

    Raises:
        UserError: If the folder was prepared with other classes; the message has the options that
            name them.
    """
    from faceemo.config.field_words import spell
    from faceemo.data.ledger.rules import Rules
    from faceemo.data.prepare.record import Record
    from faceemo.data.source.selection import Selection

    selection, root = Selection.from_config(config), dataset_root(config)
    if config.dataset == "sample" or selection != Selection():
        return
    record = Record(root)
    changes = record.find_changes(selection, Rules.from_config(config), config.screen) or {}
    if "classes" not in changes:
        return
    # Other rules are applied within seconds, and are no part of the selection.
    own = {field.name for field in dataclasses.fields(Selection)}
    words = " ".join(spell(name, pair[0]) for name, pair in changes.items() if name in own)
    default = changes["classes"][1]
    raise UserError(
        expected=f"the classes with which {root} was prepared, {changes['classes'][0]}",
        found=f"the default ones, {default}",
        fix=f"add {words}; or, for other images or classes, name another folder "
        f"({spell('data_dir', 'FOLDER')})",
    )


def describe_load(config: ConfigDict) -> str:
    """Says what `load` will do: read images that are prepared, or prepare them, and why again."""
    from faceemo.config.field_words import spell
    from faceemo.data.ledger.rules import Rules
    from faceemo.data.prepare.record import Record
    from faceemo.data.sample import sample
    from faceemo.data.source import archive
    from faceemo.data.source.selection import Selection

    root = dataset_root(config)
    if config.dataset == "sample":
        source = "faceemo's drawn faces"
        if not (root / sample.ZIP_NAME).exists():
            return f"{source}, which are drawn and prepared in {root} first"
    else:
        source = config.source or str(root / archive.FOLDER)
    changes = Record(root).find_changes(
        Selection.from_config(config), Rules.from_config(config), config.screen
    )
    if changes is None:
        return f"the images of {source}, which are prepared in {root} first"
    if not changes:
        return f"the images that were prepared in {root} (anew only if their source has changed)"
    old, new = (
        " ".join(spell(name, pair[side]) for name, pair in changes.items()) for side in (0, 1)
    )
    return (
        f"the images of {source}, which are prepared again in {root} with {new}: they were last "
        f"prepared there with {old}"
    )


def load(
    config: ConfigDict,
    *,
    form: ImageFormat | None = None,
    classes: Sequence[str] | None = None,
    on_disk: bool = False,
) -> "dict[str, Split]":
    """Loads the configured dataset, after preparing it if that has not been done yet.

    Args:
        config: The configuration.
        form: Format of the images, if not the configured one, whose automatic values are found.
        classes: The classes in another order than the configured one.
        on_disk: Whether images stay on disk, whatever memory there is.

    Returns:
        The splits 'train', 'validation' and 'test' (empty if there is none), ordered by path. Their
        images are in memory, or on disk if they would take more than `memory_for_images`.

    Raises:
        UserError: If there is no data, or it cannot be used.
    """
    # Imported here because the builder imports TFDS, and preparation OpenCV.
    from faceemo.data import auto_format, builder
    from faceemo.data.ledger.rules import Rules
    from faceemo.data.prepare import prepare
    from faceemo.data.sample import sample
    from faceemo.data.source.selection import Selection

    root = dataset_root(config)
    if config.dataset == "sample" and not (root / sample.ZIP_NAME).exists():
        sample.write_zip(root, config.seed)
    selection = Selection.from_config(config)
    rules = Rules.from_config(config)
    prepare.prepare(
        root, rules, selection=selection, screen=config.screen, exact=config.exact_screening
    )
    form = form or auto_format.find(config, root)[0]
    limit = -1 if on_disk else memory_for_images(config)
    return builder.load(root, form, classes or selection.classes, limit)


def memory_for_images(config: ConfigDict) -> float:
    """Returns the bytes of memory that the configured images may take once they are decoded."""
    from faceemo.data.disk import memory

    return config.memory_share * memory.total_bytes()
