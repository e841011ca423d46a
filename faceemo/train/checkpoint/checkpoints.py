"""What a run leaves on disk, by Orbax, so that it can go on and be used.

    WORKDIR/frozen/0       the leaves that never change, written once
    WORKDIR/latest/N       the leaves that train, the optimiser, the place in the run: what training
                           needs; N = steps taken + epochs finished
    WORKDIR/best/STEP      the leaves that train, at the best validation accuracy so far; their
                           moving average where there is one
    WORKDIR/history.json   one row per epoch, of a finished run: what stays of `latest` where only
                           the best weights are kept

Each also holds the recipe (configuration, classes, preprocessing, where the weights came from) and
the digests. `latest` and `best` keep the checkpoint before the newest too, in case that is damaged.
The optimiser, two thirds of a state, is of no use in the best one, hence two series.
"""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
from flax import traverse_util

from faceemo import staging
from faceemo.config import MAY_DIFFER, make_config
from faceemo.errors import UserError
from faceemo.train import parallel
from faceemo.train.checkpoint.progress import Progress
from faceemo.train.checkpoint.series import Series
from faceemo.train.digest import digests, like, named_leaves
from faceemo.train.ema import averaged
from faceemo.train.freezing import FREEZE, TRAIN
from faceemo.train.state import TrainState

HISTORY = "history.json"


class Checkpoints:
    """The checkpoints of one run. Of several processes the first reads and writes for all.

    Args:
        workdir: the run's folder; made if need be.
        recipe: JSON-able; what the weights mean. A workdir that holds another recipe is refused.

    Raises:
        UserError: if `workdir` belongs to a run with another recipe, or the processes of this one
            do not have the same; the message names the fields.
    """

    def __init__(self, workdir: Path, recipe: dict[str, Any]):
        self._workdir = workdir
        self._recipe = recipe
        parallel.refuse_disagreement(digests({}, _binding(recipe)))
        found = read_recipe(workdir)
        if found is not None:
            _refuse_difference(workdir, recipe, found)
        self._frozen, self._latest, self._best = _series(workdir)

    @parallel.on_first
    def save_frozen(self, variables: dict[str, Any], labels: dict[str, Any]) -> None:
        """Writes what never changes, unless it is there already.

        Args:
            variables: {'params', 'batch_stats'}, NumPy or JAX arrays.
            labels: the same trees with the labels of `optim.label`.
        """
        if self._frozen.newest_sound(["recipe"], ["weights"]) is None:
            self._frozen.set_aside_damaged(newer_than=-1)
            weights = _select(variables, labels, FREEZE)
            self._frozen.write(0, {"recipe": self._recipe}, {"weights": weights})

    @parallel.on_first
    def save(
        self, state: TrainState, labels: dict[str, Any], progress: Progress, *, best: bool = False
    ) -> None:
        """Writes where a run stands; returns when it is on disk.

        The best goes first: a run that is killed in between repeats what led there.

        Args:
            state: NumPy arrays, without a device axis.
            labels: as in `save_frozen`.
            progress: that belongs to the state.
            best: whether an epoch has just finished as the best so far.

        Raises:
            UserError: if it cannot be written; what was there before stays.
        """
        step = int(state.step)
        variables = {"params": state.params, "batch_stats": state.batch_stats}
        weights = _select(variables, labels, TRAIN)
        records = {"recipe": self._recipe, "history": progress.to_dict()}
        if best:
            shown = averaged(state)
            variables = {"params": shown.params, "batch_stats": shown.batch_stats}
            self._best.write(step, records, {"weights": _select(variables, labels, TRAIN)})
        training = traverse_util.unflatten_dict(named_leaves(_training(state)), sep="/")
        number = step + len(progress.history)
        self._latest.write(number, records, {"weights": weights, "training": training})

    @parallel.on_first
    def restore_latest(self, state: TrainState) -> tuple[TrainState, Progress] | None:
        """Where the run stands, or None before its first checkpoint.

        Clears the way for training to go on: leftovers of killed saves and best checkpoints of
        epochs that are yet to come (again) go, damaged ones are renamed.

        Args:
            state: of the same structure; its leaves are replaced by the stored ones.

        Raises:
            UserError: if there are checkpoints, but none is sound.
        """
        for series in (self._frozen, self._latest, self._best):
            series.prune()
        found = self._latest.newest_sound(["history"], ["weights", "training"])
        if found is None:
            if self._latest.numbers():
                raise UserError(
                    expected=f"a sound checkpoint in {self._latest.folder}",
                    found="damaged ones only (named above)",
                    fix="restore them from a copy, or remove that folder to train from the start",
                )
            self._best.remove(newer_than=-1)
            return None
        number, stored = found
        self._latest.set_aside_damaged(newer_than=number)
        try:
            training = like(_training(state), named_leaves(stored["training"]))
        except KeyError as error:
            raise UserError(
                expected="a checkpoint with the arrays that this version of faceemo trains with",
                found=f"a difference in {error.args[0]}",
                fix="go on with the version that wrote it (its recipe names it), or give another "
                "--workdir",
            ) from error
        state = dataclasses.replace(state, **training, **self._with_frozen(stored["weights"]))
        self._best.remove(newer_than=int(state.step))
        return state, Progress.from_dict(stored["history"])

    @parallel.on_first
    def restore_best(self) -> tuple[dict[str, Any], list[dict]]:
        """{'params', 'batch_stats'} of the best epoch, and the history up to it.

        Raises:
            UserError: if no epoch is finished yet, or none is sound.
        """
        found = self._best.newest_sound(["history"], ["weights"])
        if found is not None:
            _, stored = found
            return self._with_frozen(stored["weights"]), stored["history"]["epochs"]
        if self._best.numbers():
            raise UserError(
                expected=f"a sound checkpoint in {self._best.folder}",
                found="damaged ones only (named above)",
                fix="restore them from a copy, or train again in another --workdir",
            )
        raise UserError(
            expected=f"a finished epoch in {self._workdir}",
            found="no best checkpoint",
            fix="train first with --mode=train and the same --config and --workdir",
        )

    @parallel.on_first
    def history(self) -> list[dict]:
        """One row per epoch finished so far."""
        found = self._latest.newest_sound(["history"])
        return found[1]["history"]["epochs"] if found else recorded_history(self._workdir)

    @parallel.on_first
    def record(self, history: list[dict]) -> None:
        """Writes the rows of a run that is finished."""
        with staging.file(self._workdir / HISTORY) as partial:
            partial.write_text(json.dumps(history, indent=1) + "\n", encoding="utf-8")

    @parallel.on_first
    def has_ended(self) -> bool:
        """Whether the run was finished and left its best weights alone, so it cannot go on."""
        return not self._latest.numbers() and bool(recorded_history(self._workdir))

    def _with_frozen(self, trained: dict[str, Any]) -> dict[str, Any]:
        found = self._frozen.newest_sound(["recipe"], ["weights"])
        if found is None:
            raise UserError(
                expected=f"the leaves that never change, in {self._frozen.folder}",
                found="none that are sound",
                fix="give the same command with --mode=train, which writes them again",
            )
        flat = traverse_util.flatten_dict(found[1]["weights"])
        flat |= traverse_util.flatten_dict(trained)
        return {"params": {}, "batch_stats": {}} | traverse_util.unflatten_dict(flat)


def recorded_history(workdir: Path) -> list[dict]:
    """One row per epoch of the finished run in `workdir`; none if it is not finished."""
    path = workdir / HISTORY
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []


@parallel.on_first
def read_recipe(workdir: Path) -> dict[str, Any] | None:
    """The recipe of the run in `workdir`, or None if there is no run.

    A field of the configuration that is younger than the run had its default in it.

    Raises:
        UserError: if there are checkpoints and all are damaged.
    """
    for series in _series(workdir):
        if (found := series.newest_sound(["recipe"])) is not None:
            recipe = found[1]["recipe"]
            config = recipe["config"]
            # Not the variant's: 'best' may have come to differ, and it names its fields anyway.
            defaults = make_config(config["arch"]).to_dict()
            return recipe | {"config": defaults | config}
    if any(series.numbers() for series in _series(workdir)):
        raise UserError(
            expected=f"a sound checkpoint in {workdir}",
            found="damaged ones only (named above)",
            fix="restore them from a copy, or give another --workdir",
        )
    return None


def recipe_of(workdir: Path) -> dict[str, Any]:
    """The recipe of the run in `workdir`.

    Raises:
        UserError: if there is no run, or none of its checkpoints is sound.
    """
    recipe = read_recipe(workdir)
    if recipe is None:
        raise UserError(
            expected=f"a trained run in {workdir}",
            found="none",
            fix="name the folder of a trained run, or train one first with --mode=train",
        )
    return recipe


# Another value of these changes neither the weights' meaning nor the steps already taken.
_MAY_DIFFER = MAY_DIFFER | {"epochs", "versions"}


def _refuse_difference(workdir: Path, wanted: dict[str, Any], found: dict[str, Any]) -> None:
    wanted, found = (_binding(recipe) for recipe in (wanted, found))
    different = [
        f"{name}={found.get(name)!r} (this run: {wanted.get(name)!r})"
        for name in sorted(wanted.keys() | found.keys())
        if wanted.get(name) != found.get(name)
    ]
    if different:
        raise UserError(
            expected=f"{workdir} to be empty or to hold this very run",
            found=f"a run with {'; '.join(different)}",
            fix="give another --workdir, or the configuration of the run that is there",
        )


def _binding(recipe: dict[str, Any]) -> dict[str, Any]:
    """By dotted name: what may not differ between starts of a run, nor between its processes."""
    flat = traverse_util.flatten_dict(recipe, sep=".")
    return {
        # Orbax's JSON turns tuples into lists
        name: list(value) if isinstance(value, tuple) else value
        for name, value in flat.items()
        if not set(name.split(".")) & set(_MAY_DIFFER)
    }


def _series(workdir: Path) -> tuple[Series, Series, Series]:
    """Of the leaves that never change, of the whole state, of the best weights."""
    return Series(workdir / "frozen", 1), Series(workdir / "latest", 2), Series(workdir / "best", 2)


def _training(state: TrainState) -> dict[str, Any]:
    """All of a state but the variables, which are stored apart; a field that is None has none."""
    fields = (field.name for field in dataclasses.fields(state))
    return {name: getattr(state, name) for name in fields if name not in ("params", "batch_stats")}


def _select(tree: dict[str, Any], labels: dict[str, Any], wanted: str) -> dict[str, Any]:
    """The leaves of nested dicts that have the wanted label."""
    names = traverse_util.flatten_dict(labels)
    flat = traverse_util.flatten_dict(tree)
    return traverse_util.unflatten_dict(
        {path: np.asarray(leaf) for path, leaf in flat.items() if names[path] == wanted}
    )
