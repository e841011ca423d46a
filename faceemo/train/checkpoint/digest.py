"""Digests that show whether a checkpoint is as it was saved, which Orbax does not check."""

import hashlib
import json
from collections.abc import Collection, Mapping
from typing import Any

import jax
import numpy as np


def named_leaves(tree: Any) -> dict[str, np.ndarray]:
    """Returns the arrays of a tree by their paths, such as 'opt_state/0/mu/head/kernel'.

    The names are the same for named tuples and for the dicts and lists that Orbax makes of them.
    """
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {"/".join(map(_name, path)): np.asarray(leaf) for path, leaf in leaves}


def unflatten_like(template: Any, leaves: Mapping[str, np.ndarray]) -> Any:
    """Returns a tree of `template`'s structure with the given `named_leaves`.

    Raises:
        KeyError: If the names differ; its argument lists those that only one of the two has.
    """
    names = named_leaves(template)
    if different := sorted(names.keys() ^ leaves.keys()):
        raise KeyError(", ".join(different))
    return jax.tree.unflatten(jax.tree.structure(template), [leaves[name] for name in names])


def digest_items(arrays: Mapping[str, Any], records: Mapping[str, Any]) -> dict[str, str]:
    """Computes the sha256, in hex, of every array (dtype, shape, bytes) and of every record.

    Args:
        arrays: Trees of arrays by name.
        records: JSON-serialisable values by name.

    Returns:
        Digests by the name of the record or the path of the array.
    """
    found = {name: _digest_json(value) for name, value in records.items()}
    return found | {name: _digest_array(leaf) for name, leaf in named_leaves(arrays).items()}


def digest_tree(tree: Any) -> str:
    """Computes one sha256, in hex, of all arrays of a tree and their paths."""
    return _digest_json(digest_items({"tree": tree}, {}))


def make_seal(digests: dict[str, str]) -> dict[str, Any]:
    """Makes the record to store beside digested items: their digests, and one digest of these."""
    return {"leaves": digests, "root": _digest_json(digests)}


def find_differences(
    seal: Mapping[str, Any], digests: Mapping[str, str], items: Collection[str]
) -> list[str]:
    """Returns the names of everything that is not as it was when the seal was made.

    Args:
        seal: `make_seal`'s result.
        digests: `digest_items` of what there is now.
        items: Names of the trees and records that `digests` covers.
    """
    if seal["root"] != _digest_json(seal["leaves"]):
        return ["digest"]
    expected = {name: d for name, d in seal["leaves"].items() if name.split("/")[0] in items}
    names = sorted(expected.keys() | digests.keys())
    return [name for name in names if expected.get(name) != digests.get(name)]


def _digest_array(array: np.ndarray) -> str:
    total = hashlib.sha256(f"{array.dtype.str} {array.shape} ".encode())
    total.update(np.ascontiguousarray(array).data)
    return total.hexdigest()


def _digest_json(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _name(key: Any) -> str:
    """Returns the name of a step in a path: a dict's key, a field's name or a sequence's index."""
    for attribute in ("key", "name", "idx"):
        if hasattr(key, attribute):
            return str(getattr(key, attribute))
    raise TypeError(f"{key!r} is no step of a path")
