"""Digests by which a checkpoint is known to be what was saved; Orbax does not look."""

import hashlib
import json
from collections.abc import Collection, Mapping
from typing import Any

import jax
import numpy as np


def named_leaves(tree: Any) -> dict[str, np.ndarray]:
    """The arrays of a tree by their paths, 'opt_state/0/mu/head/kernel'.

    The names are the same for named tuples and for the dicts and lists that Orbax makes of them.
    """
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {"/".join(map(_name, path)): np.asarray(leaf) for path, leaf in leaves}


def like(template: Any, leaves: Mapping[str, np.ndarray]) -> Any:
    """The tree of `template`'s structure that has these `named_leaves`.

    Raises:
        KeyError: with the names that only one of the two has.
    """
    names = named_leaves(template)
    if different := sorted(names.keys() ^ leaves.keys()):
        raise KeyError(", ".join(different))
    return jax.tree.unflatten(jax.tree.structure(template), [leaves[name] for name in names])


def digests(arrays: Mapping[str, Any], records: Mapping[str, Any]) -> dict[str, str]:
    """sha256 in hex of every array (dtype, shape, bytes) and of every record.

    Args:
        arrays: trees of arrays by name.
        records: JSON-able values by name.
    """
    found = {name: _of_json(value) for name, value in records.items()}
    return found | {name: _of_array(leaf) for name, leaf in named_leaves(arrays).items()}


def sealed(found: dict[str, str]) -> dict[str, Any]:
    """`digests` with one over them all."""
    return {"leaves": found, "root": _of_json(found)}


def differences(
    seal: Mapping[str, Any], found: Mapping[str, str], items: Collection[str]
) -> list[str]:
    """The names of what is not as it was sealed.

    Args:
        seal: of `sealed`.
        found: `digests` of what is there now.
        items: the names of trees and records that `found` is about.
    """
    if seal["root"] != _of_json(seal["leaves"]):
        return ["digest"]
    wanted = {name: d for name, d in seal["leaves"].items() if name.split("/")[0] in items}
    names = sorted(wanted.keys() | found.keys())
    return [name for name in names if wanted.get(name) != found.get(name)]


def _of_array(array: np.ndarray) -> str:
    total = hashlib.sha256(f"{array.dtype.str} {array.shape} ".encode())
    total.update(np.ascontiguousarray(array).data)
    return total.hexdigest()


def _of_json(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _name(key: Any) -> str:
    """What a step of a path is called: a dict's key, a field's name, a place in a sequence."""
    for attribute in ("key", "name", "idx"):
        if hasattr(key, attribute):
            return str(getattr(key, attribute))
    raise TypeError(f"{key!r} is no step of a path")
