"""What a run leaves on disk, by Orbax, so that it can go on and be used.

    WORKDIR/frozen/0       the leaves that never change, written once
    WORKDIR/latest/STEP    the leaves that train, the optimiser, the history: what training needs
    WORKDIR/best/STEP      the leaves that train, at the best validation accuracy so far; their
                           moving average where there is one

Each also holds the recipe: configuration, classes, preprocessing, where the weights came from.
Two managers instead of one with two policies, because the optimiser, two thirds of a state, is of
no use in the best one.
"""

from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from flax import traverse_util

from faceemo.config import make_config
from faceemo.errors import UserError
from faceemo.train.average import averaged
from faceemo.train.optim import FREEZE, TRAIN
from faceemo.train.state import TrainState


class Checkpoints:
    """The checkpoints of one run.

    Args:
        workdir: the run's folder; made if need be.
        recipe: JSON-able; what the weights mean. A workdir that holds another recipe is refused.

    Raises:
        UserError: if `workdir` belongs to a run with another recipe; the message names the fields.
    """

    def __init__(self, workdir: Path, recipe: dict[str, Any]):
        self._workdir = workdir
        self._recipe = recipe
        found = read_recipe(workdir)
        if found is not None:
            _refuse_difference(workdir, recipe, found)
        self._frozen, self._latest, self._best = (
            _open(workdir / name) for name in ("frozen", "latest", "best")
        )

    def save_frozen(self, variables: dict[str, Any], labels: dict[str, Any]) -> None:
        """Writes what never changes, unless it is there already.

        Args:
            variables: {'params', 'batch_stats'}, NumPy or JAX arrays.
            labels: the same trees with the labels of `optim.label`.
        """
        if self._frozen.latest_step() is None:
            items = {"recipe": ocp.args.JsonSave(self._recipe)}
            if frozen := _select(variables, labels, FREEZE):
                items["weights"] = ocp.args.StandardSave(frozen)
            self._frozen.save(0, args=ocp.args.Composite(**items))

    def save(
        self, state: TrainState, labels: dict[str, Any], history: list[dict], *, best: bool
    ) -> None:
        """Writes the state after an epoch; returns when it is on disk.

        The best goes first: a run that is killed in between repeats the epoch and finds it there.

        Args:
            state: NumPy arrays, without a device axis.
            labels: as in `save_frozen`.
            history: one row per finished epoch.
            best: whether the last epoch is the best so far.
        """
        step = int(state.step)
        variables = {"params": state.params, "batch_stats": state.batch_stats}
        items = {
            "recipe": ocp.args.JsonSave(self._recipe),
            "history": ocp.args.JsonSave({"epochs": history}),
            "weights": ocp.args.StandardSave(_select(variables, labels, TRAIN)),
        }
        if best and step not in self._best.all_steps():
            shown = averaged(state)
            variables = {"params": shown.params, "batch_stats": shown.batch_stats}
            weights = ocp.args.StandardSave(_select(variables, labels, TRAIN))
            self._best.save(step, args=ocp.args.Composite(**items | {"weights": weights}))
        items["training"] = ocp.args.StandardSave(_training(state))
        self._latest.save(step, args=ocp.args.Composite(**items))

    def restore_latest(self, state: TrainState) -> tuple[TrainState, list[dict]] | None:
        """Where the run stands, or None before its first checkpoint.

        Args:
            state: of the same shapes; its frozen leaves are replaced by the stored ones.
        """
        step = self._latest.latest_step()
        if step is None:
            return None
        training = jax.tree.map(np.asarray, _training(state))
        args = {
            "history": ocp.args.JsonRestore(),
            "weights": ocp.args.StandardRestore(),
            "training": ocp.args.StandardRestore(training),
        }
        stored = self._latest.restore(step, args=ocp.args.Composite(**args))
        variables = self._with_frozen(stored.weights)
        state = TrainState(**stored.training, **variables)
        return state, stored.history["epochs"]

    def restore_best(self) -> tuple[dict[str, Any], list[dict]]:
        """{'params', 'batch_stats'} of the best epoch, and the history up to it.

        Raises:
            UserError: if no epoch is finished yet.
        """
        step = self._best.latest_step()
        if step is None:
            raise UserError(
                expected=f"a finished epoch in {self._workdir}",
                found="no best checkpoint",
                fix="train first with --mode=train and the same --config and --workdir",
            )
        args = {"history": ocp.args.JsonRestore(), "weights": ocp.args.StandardRestore()}
        stored = self._best.restore(step, args=ocp.args.Composite(**args))
        return self._with_frozen(stored.weights), stored.history["epochs"]

    def history(self) -> list[dict]:
        """One row per epoch finished so far."""
        step = self._latest.latest_step()
        if step is None:
            return []
        args = ocp.args.Composite(history=ocp.args.JsonRestore())
        return self._latest.restore(step, args=args).history["epochs"]

    def _with_frozen(self, trained: dict[str, Any]) -> dict[str, Any]:
        flat = traverse_util.flatten_dict(trained)
        if (self._workdir / "frozen" / "0" / "weights").exists():
            args = ocp.args.Composite(weights=ocp.args.StandardRestore())
            flat |= traverse_util.flatten_dict(self._frozen.restore(0, args=args).weights)
        return {"params": {}, "batch_stats": {}} | traverse_util.unflatten_dict(flat)


def read_recipe(workdir: Path) -> dict[str, Any] | None:
    """The recipe of the run in `workdir`, or None if there is no run.

    A field of the configuration that is younger than the run had its default in it.
    """
    if not (workdir / "frozen" / "0").is_dir():
        return None
    args = ocp.args.Composite(recipe=ocp.args.JsonRestore())
    recipe = _open(workdir / "frozen").restore(0, args=args).recipe
    config = recipe["config"]
    recipe["config"] = make_config(config["arch"]).to_dict() | config
    return recipe


# Another value of these changes neither the weights' meaning nor the steps already taken.
_MAY_DIFFER = ("epochs", "patience", "data_dir", "cache_features", "versions")


def _refuse_difference(workdir: Path, wanted: dict[str, Any], found: dict[str, Any]) -> None:
    wanted, found = (_flat(recipe) for recipe in (wanted, found))
    different = [
        f"{name}={found.get(name)!r} (this run: {wanted.get(name)!r})"
        for name in sorted(wanted.keys() | found.keys())
        if wanted.get(name) != found.get(name) and not set(name.split(".")) & set(_MAY_DIFFER)
    ]
    if different:
        raise UserError(
            expected=f"{workdir} to be empty or to hold this very run",
            found=f"a run with {'; '.join(different)}",
            fix="give another --workdir, or the configuration of the run that is there",
        )


def _flat(recipe: dict[str, Any]) -> dict[str, Any]:
    # Orbax's JSON turns tuples into lists
    flat = traverse_util.flatten_dict(recipe, sep=".")
    return {name: list(v) if isinstance(v, tuple) else v for name, v in flat.items()}


def _open(folder: Path) -> ocp.CheckpointManager:
    options = ocp.CheckpointManagerOptions(
        max_to_keep=1, enable_async_checkpointing=False, cleanup_tmp_directories=True
    )
    return ocp.CheckpointManager(folder.absolute(), options=options)


def _training(state: TrainState) -> dict[str, Any]:
    training = {"step": state.step, "rng": state.rng, "opt_state": state.opt_state}
    return training if state.average is None else training | {"average": state.average}


def _select(tree: dict[str, Any], labels: dict[str, Any], wanted: str) -> dict[str, Any]:
    """The leaves of nested dicts that have the wanted label."""
    names = traverse_util.flatten_dict(labels)
    flat = traverse_util.flatten_dict(tree)
    return traverse_util.unflatten_dict(
        {path: np.asarray(leaf) for path, leaf in flat.items() if names[path] == wanted}
    )
