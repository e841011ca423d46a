"""Compares the arrays of a weight file with those that a network has."""

from collections.abc import Mapping
from typing import Any

Shape = tuple[int, ...]


def find_mismatches(found: Mapping[str, Any], expected: Mapping[str, Shape]) -> list[str]:
    """Lists the arrays that are missing, left over, of another shape or not numeric.

    Args:
        found: Arrays or HDF5 datasets by 'layer/weight'.
        expected: Expected shapes by 'layer/weight'.

    Returns:
        A phrase for each problem.
    """
    if found and not set(found) & set(expected):
        first = ", ".join(list(found)[:3])
        return [f"none of them, but {len(found)} of another network: {first}, ..."]
    problems = [f"{name} is missing" for name in expected if name not in found]
    for name, dataset in found.items():
        if name not in expected:
            problems.append(f"{name} {dataset.shape} is left over")
        elif dataset.shape != expected[name]:
            problems.append(f"{name} has shape {dataset.shape} instead of {expected[name]}")
        elif not is_numeric(dataset):
            problems.append(f"{name} has dtype {dataset.dtype}")
    return problems


def is_numeric(dataset: Any) -> bool:
    """Returns whether an array or HDF5 dataset holds integers or floats."""
    return dataset.dtype.kind in "fiu"
