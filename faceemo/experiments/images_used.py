"""What a run says of its images before it trains: how many, and what is kept of each."""

import collections
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from faceemo.analysis.statistics import wilson_interval
from faceemo.config import complete
from faceemo.config.field_words import spell
from faceemo.config.image_format import AUTO, GREY, RGB, ImageFormat
from faceemo.data.disk import memory
from faceemo.data.disk.stored_images import Images, StoredImages
from faceemo.data.ledger import ledger
from faceemo.data.ledger.ledger import Row
from faceemo.data.measure.colour import count_colourless
from faceemo.data.pipeline import Split

# With more validation images an interval of 95% reaches less than 4.4 points either way.
_FEW = 500
_GREY = ("1", "L", "LA", "I", "I;16", "F")  # Pillow's modes without colour


def describe(config: ConfigDict, splits: Mapping[str, Split], rows: Sequence[Row]) -> list[str]:
    """Describes a run's images in two to four lines.

    Args:
        config: The run's configuration.
        splits: 'train', 'validation' and 'test'.
        rows: The rows of the ledger.
    """
    counts = ", ".join(f"{len(splits[name]):,} for {name}" for name in splits)
    fates = collections.Counter(row.fate for row in rows if row.fate != ledger.KEPT)
    left_out = ", ".join(f"{n:,} {fate.replace('_', ' ')}" for fate, n in sorted(fates.items()))
    lines = [f"images      {counts}; left out: {left_out or 'none'} (policy={config.policy})"]
    if lost := _describe_loss(config, splits, [row for row in rows if row.fate == ledger.KEPT]):
        lines.append(f"            {lost}")
    if coarse := _describe_coarseness(len(splits["validation"])):
        lines.append(f"            {coarse}")
    return lines


def _describe_loss(config: ConfigDict, splits: Mapping[str, Split], kept: Sequence[Row]) -> str:
    """Describes what the stored images and the files lack of one another; '' if nothing is known.

    See `describe` for the arguments; `kept` are the rows of the images.
    """
    form = ImageFormat.from_config(config)
    native, parts = form.size, []
    sides = [min(row.width, row.height) for row in kept if row.width and row.height]
    if sides and (side := statistics.median_high(sides)) > native:
        size = min(side, config.image_size)
        if size > native:
            how = (
                f"{spell('native_size', size)} keeps as many as the network sees with "
                f"{spell('image_size', size)}"
            )
        else:
            how = (
                f"the network sees {config.image_size}, so more need {spell('image_size')} and "
                f"{spell('native_size')}"
            )
        parts.append(f"the median shorter side of the files is {side:,} pixels ({how})")
    if other := describe_other_channels(form, splits, kept):
        other_fields = (
            f"{spell('channels', GREY)} stores one channel"
            if form.in_colour
            else f"{spell('channels', AUTO)} keeps colour where there is any"
        )
        parts.append(f"{other} ({other_fields})")
    return f"stored as {form}: {'; '.join(parts)}" if parts else ""


def describe_other_channels(
    form: ImageFormat, splits: Mapping[str, Split], kept: Sequence[Row]
) -> str:
    """Describes images in colour of which grey is kept, or grey ones stored in colour; '' if none.

    Args:
        form: The format of the images.
        splits: The images.
        kept: Their rows of the ledger.
    """
    if form.in_colour:
        total = sum(map(len, splits.values()))
        grey = sum(_count_colourless(split.images) for split in splits.values())
        return (
            f"{grey:,} of {total:,} images have no colour, so that their three channels are equal"
            if grey
            else ""
        )
    colour = sum(row.mode is not None and row.mode not in _GREY for row in kept)
    return (
        f"{colour:,} of {len(kept):,} files are stored in colour, of which only brightness is kept"
        if colour
        else ""
    )


def describe_place(config: ConfigDict, splits: Mapping[str, Split]) -> str:
    """Describes in one line whether a run's images are in memory or on disk, with the sizes.

    Args:
        config: The run's configuration.
        splits: The images.
    """
    need = format_size(sum(split.images.nbytes for split in splits.values()))
    total = format_size(memory.total_bytes())
    share = spell("memory_share", config.memory_share)
    stored = [one.images for one in splits.values() if isinstance(one.images, StoredImages)]
    files = [Path(path) for images in stored for path, _ in images.files]
    if not files:
        return (
            f"memory      holds all images: {need} of {total} ({share} is the most that they take)"
        )
    readers = f"{config.data_workers} workers" if config.data_workers else "threads"
    size = format_size(sum(file.stat().st_size for file in files))
    if any(images.divided for images in stored):
        return (
            f"memory      does not hold the images: in every process, {readers} read its own parts "
            f"of them from {files[0].parent} ({size} with those of all processes)"
        )
    return (
        f"memory      does not hold the images, {need} of {total}, which is more than {share}: "
        f"{readers} read them from {files[0].parent} ({size})"
    )


def format_size(size: float) -> str:
    """Formats a number of bytes: '43.2 MB', '11.3 GB'."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"


def _count_colourless(images: Images) -> int:
    return images.colourless if isinstance(images, StoredImages) else count_colourless(images)


def describe_origin(recipe: Mapping[str, Any]) -> list[str]:
    """Describes networks behind a run that learned grey images where it shows colour, or reversed.

    Args:
        recipe: The run's recipe, see `provenance.make_recipe`.

    Returns:
        A line for each of the networks that initial weights and teachers come from.
    """
    own = ImageFormat.from_config(recipe["config"])
    lines = []
    for source in (recipe["weights"], *recipe.get("teachers", ())):
        if "trained" not in source:
            continue
        other = ImageFormat.from_config(complete(source["trained"]["config"]))
        if other.channels != own.channels:
            kinds = {GREY: "grey images", RGB: "images in colour"}
            lines.append(
                f"note        {source['source']} learned from {kinds[other.channels]}; this run "
                f"shows it {kinds[own.channels]}"
            )
    return lines


def _describe_coarseness(images: int) -> str:
    """Describes how coarse an accuracy on few validation images is; '' if they are many."""
    if images >= _FEW:
        return ""
    low, high = wilson_interval(images // 2, images)
    return (
        f"few for validation: one image is {100 / images:.1f} points of accuracy. The accuracy's "
        f"95% interval reaches up to {50 * (high - low):.0f} points either way "
        f"({spell('patience_metric', 'loss')} stops by the loss, which is finer)"
    )
