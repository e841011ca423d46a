"""Freezing: which leaf trains and which does not, decided here and nowhere else.

A model names its blocks, bottom to top, each with a pattern over parameter paths. From them comes
one tree of labels, and from the labels everything else: the optimiser's groups of parameters, which
gradients are computed, the contents of a checkpoint, and the printed plan.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any, cast

import jax
import numpy as np
import optax
from flax import traverse_util

from faceemo.models import Block, Model
from faceemo.train.checkpoint.digest import named_leaves
from faceemo.train.optimizer import Rate, keras_adam

TRAIN, FREEZE = "train", "freeze"


def label_leaves(blocks: Sequence[Block], trained: frozenset[str], tree: Any) -> Any:
    """Labels every leaf of a tree as `TRAIN` or `FREEZE`.

    Args:
        blocks: The model's blocks; the pattern of exactly one must match each leaf's whole path.
        trained: Names of the blocks that train.
        tree: Parameters or batch statistics, nested dicts.

    Returns:
        A tree like `tree` with a label in place of every leaf.

    Raises:
        ValueError: If a leaf belongs to no block or to several; the message names all such leaves.
    """
    labels, problems = {}, []
    for path in traverse_util.flatten_dict(tree, sep="/"):
        owners = [block.name for block in blocks if re.fullmatch(block.pattern, path)]
        if len(owners) != 1:
            problems.append(f"{path} (in {', '.join(owners) or 'no block'})")
        labels[path] = TRAIN if trained.intersection(owners) else FREEZE
    if problems:
        raise ValueError(f"leaves that do not belong to exactly one block: {', '.join(problems)}")
    return traverse_util.unflatten_dict(labels, sep="/")


def label_params(model: Model, params: Any) -> Any:
    """Labels all of a model's parameters with `label_leaves`.

    Raises:
        ValueError: If a block has no parameter, or `model.trained` names an unknown block.
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
    return label_leaves(model.blocks, model.trained, params)


def label_variables(model: Model, variables: dict[str, Any]) -> dict[str, Any]:
    """Labels parameters and batch statistics: {'params': ..., 'batch_stats': ...}.

    Statistics are labelled `TRAIN` in the blocks whose BatchNorm runs in training mode.
    """
    moving = frozenset() if model.moving_statistics else model.trained
    return {
        "params": label_params(model, variables["params"]),
        "batch_stats": label_leaves(model.blocks, moving, variables["batch_stats"]),
    }


def make_optimizer(
    learning_rate: Rate,
    param_labels: Any,
    *,
    blocks: Sequence[Block] = (),
    layer_decay: float = 1.0,
    weight_decay: float = 0.0,
    clip_norm: float = 0.0,
) -> optax.GradientTransformation:
    """Makes Adam for the leaves that train, without state or updates for the others.

    Args:
        learning_rate: The learning rate, see `Rate`.
        param_labels: Tree like the parameters whose leaves are 'train' or 'freeze', see
            `label_params`.
        blocks: The model's blocks, bottom to top; needed for `layer_decay`.
        layer_decay: Ratio of each block's learning rate to that of the block above it (Howard and
            Ruder 2018); the head, the last of `blocks`, has `learning_rate` itself.
        weight_decay: AdamW's decay of kernels; biases and BatchNorm's gamma and beta do not decay.
        clip_norm: Largest common norm of the gradients of all leaves that train; longer gradients
            are scaled down to it (Pascanu et al. 2013). 0 does not clip.
    """
    rates = compute_rate_factors(blocks, layer_decay) if layer_decay != 1 else {}
    transforms: dict[str, optax.GradientTransformation] = {FREEZE: optax.set_to_zero()}
    groups = cast(dict[str, str], traverse_util.flatten_dict(param_labels, sep="/"))
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
                _scale(learning_rate, factor), weight_decay=weight_decay * decays
            )
    optimizer = optax.multi_transform(transforms, traverse_util.unflatten_dict(groups, sep="/"))
    if not clip_norm:
        return optimizer
    trained = jax.tree.map(lambda label: label == TRAIN, param_labels)
    return optax.chain(optax.masked(optax.clip_by_global_norm(clip_norm), trained), optimizer)


def compute_rate_factors(blocks: Sequence[Block], layer_decay: float) -> dict[str, float]:
    """Returns the factor of each block's learning rate by its name; 1 for the head, the last."""
    return {block.name: layer_decay**depth for depth, block in enumerate(reversed(blocks))}


def format_rates(model: Model, learning_rate: float, layer_decay: float) -> str:
    """Formats the (highest) learning rate of each block that trains in one line, head first."""
    factors = compute_rate_factors(model.blocks, layer_decay).items()
    shown = [f"{name} {f * learning_rate:.1e}" for name, f in factors if name in model.trained]
    return f"learning rates: {', '.join(shown)}"


def _scale(rate: Rate, factor: float) -> Rate:
    return (lambda count: factor * rate(count)) if callable(rate) else factor * rate


def map_trained(function: Callable[..., Any], param_labels: Any, tree: Any, *others: Any) -> Any:
    """Applies `function` to the leaves labelled `TRAIN` and leaves the others untouched."""
    return jax.tree.map(
        lambda label, leaf, *rest: function(leaf, *rest) if label == TRAIN else leaf,
        param_labels,
        tree,
        *others,
    )


def list_trained(param_labels: Any, tree: Any) -> list[Any]:
    """Returns the leaves of `tree` that are labelled `TRAIN`."""
    pairs = zip(jax.tree.leaves(param_labels), jax.tree.leaves(tree), strict=True)
    return [leaf for label, leaf in pairs if label == TRAIN]


def audit(variable_labels: Any, before: Any, after: Any) -> str:
    """Compares every leaf, bit for bit, with its value before training.

    Args:
        variable_labels: Tree whose leaves are 'train' or 'freeze'.
        before: Arrays, a tree like `variable_labels`.
        after: NumPy arrays, a tree like `variable_labels`.

    Returns:
        A sentence: how many leaves were frozen, how many of those that train have moved, and which
        have not (constants, such as EfficientNetB0's `normalization`; parts without gradients).

    Raises:
        RuntimeError: If a frozen leaf has changed.
    """
    moved = jax.tree.map(
        lambda old, new: np.asarray(old).tobytes() != np.asarray(new).tobytes(), before, after
    )
    labels, changed = named_leaves(variable_labels), named_leaves(moved)
    frozen, trained = (
        {name: bool(changed[name]) for name, label in labels.items() if label == which}
        for which in (FREEZE, TRAIN)
    )
    if any(frozen.values()):
        names = ", ".join(name for name, is_other in frozen.items() if is_other)
        raise RuntimeError(
            f"{sum(frozen.values())} of {len(frozen)} frozen leaves changed in training: {names}"
        )
    still = ", ".join(name for name, is_other in trained.items() if not is_other)
    unchanged = f"arrays that were frozen: {len(frozen)}, all unchanged to the bit; "
    return (
        f"{unchanged if frozen else ''}arrays that trained: {len(trained)}, "
        f"{sum(trained.values())} of which changed{f' (unchanged: {still})' if still else ''}"
    )


def make_plan(model: Model, params: Any, batch_stats: Any) -> list[dict[str, Any]]:
    """Lists what trains, what is frozen and how BatchNorm behaves, a row per block, bottom to top.

    Args:
        model: The network.
        params: Its parameters, or their shapes.
        batch_stats: Its batch statistics, or their shapes.

    Returns:
        Rows with 'block' (name), 'trained' and 'frozen' (numbers of parameters), and 'batch_norm'
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


def summarise_plan(rows: list[dict[str, Any]]) -> str:
    """Formats the rows of `make_plan` as one line: which blocks train, and how many parameters."""
    trained, frozen = (sum(row[key] for row in rows) for key in ("trained", "frozen"))
    blocks = [row["block"] for row in rows if row["trained"]]
    what = "the head alone" if blocks == ["head"] else ", ".join(blocks) if frozen else "all blocks"
    return f"trains      {what}: {trained:,} of {trained + frozen:,} parameters"


def format_plan(rows: list[dict[str, Any]]) -> str:
    """Formats the rows of `make_plan` as a table with totals."""
    trained, frozen = (sum(row[key] for row in rows) for key in ("trained", "frozen"))
    rows = [*rows, {"block": "total", "trained": trained, "frozen": frozen, "batch_norm": ""}]
    lines = [f"{'block':<10}{'trained':>14}{'frozen':>14}  BatchNorm"]
    for row in rows:
        line = f"{row['block']:<10}{row['trained']:>14,}{row['frozen']:>14,}  {row['batch_norm']}"
        lines.append(line.rstrip())
    return "\n".join(lines)
