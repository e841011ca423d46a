"""The text tables of the preparation: counts beside the original's, and leaks."""

from collections.abc import Mapping, Sequence

from faceemo.config import CLASSES, SPLITS
from faceemo.data.dedupe import Leaks

Counts = Mapping[str, Mapping[str, int]]  # split -> class -> images

# What the original project published (SPEC section 2), by stage and split, in order of CLASSES.
_PUBLISHED = {
    "unpack": {
        "train": (3976, 3978, 3982, 3173),
        "validation": (1825, 1216, 1139, 797),
        "test": (32, 32, 32, 32),
    },
    "screen": {
        "train": (3951, 3941, 3897, 3143),
        "validation": (1811, 1210, 1116, 789),
        "test": (31, 32, 31, 32),
    },
    "dedupe": {
        "train": (3914, 3841, 3782, 2643),
        "validation": (1769, 1202, 1105, 755),
        "test": (31, 32, 31, 32),
    },
}
ORIGINAL: dict[str, Counts] = {
    stage: {split: dict(zip(CLASSES, row, strict=True)) for split, row in splits.items()}
    for stage, splits in _PUBLISHED.items()
}


def counts_table(stage: str, counts: Counts) -> str:
    """`counts` after `stage` ('unpack', 'screen' or 'dedupe'), aligned.

    Above the original's, where the classes are the original's.
    """
    classes = _classes(counts)
    lines = [_line("", "", (*classes, "all"))]
    both: dict[str, Counts] = {"here": counts}
    if classes == CLASSES:
        both["original"] = ORIGINAL[stage]
    for split in (*SPLITS, "all"):
        for whose, numbers in both.items():
            splits = SPLITS if split == "all" else (split,)
            row = [sum(numbers.get(s, {}).get(label, 0) for s in splits) for label in classes]
            lines.append(_line(split if whose == "here" else "", whose, _grouped(row)))
    return "\n".join(lines)


def leaks_table(before: Leaks, after: Leaks) -> str:
    """How many images of one split have a twin in another, before and after de-duplication."""
    lines = []
    for pair in before:
        classes = _classes(before[pair])
        lines.append(_line(f"{pair}", "", (*classes, "all")))
        for sameness in before[pair]:
            for when, numbers in (("before", before), ("after", after)):
                row = [numbers[pair][sameness].get(label, 0) for label in classes]
                lines.append(_line(sameness if when == "before" else "", when, _grouped(row)))
    return "\n".join(lines)


def _classes(counts: Mapping[str, Mapping[str, int]]) -> tuple[str, ...]:
    return tuple(sorted({label for labels in counts.values() for label in labels}))


def _grouped(row: Sequence[int]) -> list[str]:
    return [f"{number:,}" for number in (*row, sum(row))]


def _line(first: str, second: str, cells: Sequence[str]) -> str:
    # 'validation in train' runs over into the second column, which is then empty
    return f"  {first:<13}{second:<9}"[:24].ljust(24) + "".join(f" {cell:>9}" for cell in cells)
