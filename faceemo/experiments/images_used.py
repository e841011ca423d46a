"""What a run says of its images before it trains: how many, and what is kept of each."""

import collections
import statistics
from collections.abc import Mapping, Sequence

from ml_collections import ConfigDict

from faceemo.analysis.statistics import wilson_interval
from faceemo.config.field_words import spell
from faceemo.data.ledger import ledger
from faceemo.data.ledger.ledger import Row
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
    if lost := _describe_loss(config, [row for row in rows if row.fate == ledger.KEPT]):
        lines.append(f"            {lost}")
    if coarse := _describe_coarseness(len(splits["validation"])):
        lines.append(f"            {coarse}")
    return lines


def _describe_loss(config: ConfigDict, kept: Sequence[Row]) -> str:
    """Describes what the stored images lack of the files; '' if nothing that is known."""
    native = config.native_size
    stored = f"stored as {native}x{native} grey pixels"
    parts = []
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
    if colour := sum(row.mode is not None and row.mode not in _GREY for row in kept):
        parts.append(
            f"{colour:,} of {len(kept):,} files are in colour, which no field keeps: all networks "
            "here see grey"
        )
    return f"{stored}: {'; '.join(parts)}" if parts else ""


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
