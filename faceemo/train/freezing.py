"""Freezing: which leaf trains and which does not, decided here and nowhere else.

A model names its blocks, bottom to top, each with a pattern over parameter paths. From them comes
one tree of labels, and from the labels everything else: the optimiser's two branches, the gradients
that are computed at all, what a checkpoint holds, and the printed plan.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any, cast

import jax
import numpy as np
import optax
from flax import traverse_util

from faceemo.models import Block, Model
from faceemo.train.digest import named_leaves
from faceemo.train.optimizer import Rate, keras_adam

TRAIN, FREEZE = "train", "freeze"


def label(blocks: Sequence[Block], trained: frozenset[str], tree: Any) -> Any:
    """A tree like `tree` (nested dicts) whose leaves are `TRAIN` or `FREEZE`.

    Args:
        blocks: the model's blocks; the pattern of exactly one must match each leaf's path whole.
        trained: names of the blocks that train.
        tree: parameters, or batch statistics.

    Raises:
        ValueError: naming every leaf that no block or more than one claims.
    """
    labels, problems = {}, []
    for path in traverse_util.flatten_dict(tree, sep="/"):
        owners = [block.name for block in blocks if re.fullmatch(block.pattern, path)]
        if len(owners) != 1:
            problems.append(f"{path} (claimed by {owners or 'no block'})")
        labels[path] = TRAIN if trained.intersection(owners) else FREEZE
    if problems:
        raise ValueError(f"every leaf belongs to exactly one block; not so: {', '.join(problems)}")
    return traverse_util.unflatten_dict(labels, sep="/")


def label_params(model: Model, params: Any) -> Any:
    """`label` for all of a model's parameters.

    Raises:
        ValueError: if a block claims no parameter, or `trained` names no block.
    """
    paths = list(traverse_util.flatten_dict(params, sep="/"))
    idle = [
        block.name
        for block in model.blocks
        if not any(re.fullmatch(block.pattern, path) for path in paths)
    ]
    unknown = model.trained - {block.name for block in model.blocks}
    if idle or unknown:
        raise ValueError(f"blocks without parameters: {idle}; trained but unknown: {list(unknown)}")
    return label(model.blocks, model.trained, params)


def make_optimizer(
    learning_rate: Rate,
    labels: Any,
    *,
    blocks: Sequence[Block] = (),
    layer_decay: float = 1.0,
    weight_decay: float = 0.0,
    clip_norm: float = 0.0,
) -> optax.GradientTransformation:
    """Adam for the leaves that train; no state and no update for the others.

    Args:
        learning_rate: see `Rate`.
        labels: of `label_params`.
        blocks: of the model, bottom to top; needed for `layer_decay`.
        layer_decay: each block's learning rate is that of the one above times this (Howard and
            Ruder 2018); the head, the last of `blocks`, has `learning_rate` itself.
        weight_decay: AdamW's, of kernels; biases and BatchNorm's gamma and beta do not decay.
        clip_norm: gradients whose common norm, over all leaves that train, is longer are scaled
            down to it (Pascanu et al. 2013); 0 leaves them.
    """
    rates = layer_rates(blocks, layer_decay) if layer_decay != 1 else {}
    transforms: dict[str, optax.GradientTransformation] = {FREEZE: optax.set_to_zero()}
    groups = cast(dict[str, str], traverse_util.flatten_dict(labels, sep="/"))
    for path, name in groups.items():
        factor = 1.0
        decays = bool(weight_decay) and path.rpartition("/")[2] == "kernel"
        if name == TRAIN:
            if rates:
                (owner,) = (block.name for block in blocks if re.fullmatch(block.pattern, path))
                name, factor = f"{name} {owner}", rates[owner]
            name += " with decay" * decays
        groups[path] = name
        if name not in transforms:
            transforms[name] = keras_adam(
                _scaled(learning_rate, factor), weight_decay=weight_decay * decays
            )
    optimizer = optax.multi_transform(transforms, traverse_util.unflatten_dict(groups, sep="/"))
    if not clip_norm:
        return optimizer
    trained = jax.tree.map(lambda name: name == TRAIN, labels)
    return optax.chain(optax.masked(optax.clip_by_global_norm(clip_norm), trained), optimizer)


def layer_rates(blocks: Sequence[Block], layer_decay: float) -> dict[str, float]:
    """The factor of each block's learning rate, by its name; 1 for the last, the head."""
    return {block.name: layer_decay**depth for depth, block in enumerate(reversed(blocks))}


def format_rates(model: Model, learning_rate: float, layer_decay: float) -> str:
    """One line: the (highest) learning rate of each block that trains, the head first."""
    factors = layer_rates(model.blocks, layer_decay).items()
    shown = [f"{name} {f * learning_rate:.1e}" for name, f in factors if name in model.trained]
    return f"learning rates: {', '.join(shown)}"


def _scaled(rate: Rate, factor: float) -> Rate:
    return (lambda count: factor * rate(count)) if callable(rate) else factor * rate


def map_trained(function: Callable[..., Any], labels: Any, tree: Any, *others: Any) -> Any:
    """Applies `function` to the leaves labelled `TRAIN` and leaves the others untouched."""
    return jax.tree.map(
        lambda name, leaf, *rest: function(leaf, *rest) if name == TRAIN else leaf,
        labels,
        tree,
        *others,
    )


def audit(labels: Any, before: Any, after: Any) -> str:
    """Compares every leaf, bit for bit, with what it was before training.

    Args:
        labels: of `label`.
        before: arrays like `labels`.
        after: NumPy arrays like `labels`.

    Returns:
        a sentence: how many leaves were frozen, how many of those that train have moved, and which
        have not (constants, such as EfficientNetB0's `normalization`; parts that nothing reaches).

    Raises:
        RuntimeError: if a frozen leaf has changed.
    """
    moved = jax.tree.map(
        lambda old, new: np.asarray(old).tobytes() != np.asarray(new).tobytes(), before, after
    )
    kinds, changed = named_leaves(labels), named_leaves(moved)
    frozen, trained = (
        {name: bool(changed[name]) for name, kind in kinds.items() if kind == which}
        for which in (FREEZE, TRAIN)
    )
    if any(frozen.values()):
        names = ", ".join(name for name, is_other in frozen.items() if is_other)
        raise RuntimeError(
            f"{sum(frozen.values())} of {len(frozen)} frozen leaves changed in training: {names}"
        )
    still = ", ".join(name for name, is_other in trained.items() if not is_other)
    return (
        f"frozen leaves: {len(frozen)}, all bit-identical to the start; "
        f"trained leaves: {sum(trained.values())} of {len(trained)} moved"
        + (f", not {still}" if still else "")
    )


def freeze_plan(model: Model, params: Any, batch_stats: Any) -> list[dict[str, Any]]:
    """One row per block, bottom to top: what trains, what is frozen, how BatchNorm behaves.

    Returns:
        rows with 'block' (name), 'trained' and 'frozen' (numbers of parameters), and 'batch_norm'
        ('-', 'frozen' or 'batch statistics').
    """
    leaves = cast(dict[str, Any], traverse_util.flatten_dict(params, sep="/"))
    sizes = {path: leaf.size for path, leaf in leaves.items()}
    statistics = list(traverse_util.flatten_dict(batch_stats, sep="/"))
    rows = []
    for block in model.blocks:
        size = sum(n for path, n in sizes.items() if re.fullmatch(block.pattern, path))
        trains = block.name in model.trained
        mode = "batch statistics" if trains and not model.moving_statistics else "frozen"
        normalised = any(re.fullmatch(block.pattern, path) for path in statistics)
        rows.append(
            {
                "block": block.name,
                "trained": size if trains else 0,
                "frozen": 0 if trains else size,
                "batch_norm": mode if normalised else "-",
            }
        )
    return rows


def format_plan(rows: list[dict[str, Any]]) -> str:
    """The rows of `freeze_plan` as a table with totals."""
    trained, frozen = (sum(row[key] for row in rows) for key in ("trained", "frozen"))
    rows = [*rows, {"block": "total", "trained": trained, "frozen": frozen, "batch_norm": ""}]
    lines = [f"{'block':<10}{'trained':>14}{'frozen':>14}  BatchNorm"]
    for row in rows:
        line = f"{row['block']:<10}{row['trained']:>14,}{row['frozen']:>14,}  {row['batch_norm']}"
        lines.append(line.rstrip())
    return "\n".join(lines)
