"""The checkpoints of a run, written by Orbax.

Training resumes from them, and prediction reads its weights from them.

    WORKDIR/frozen/0       the leaves that never change, written once
    WORKDIR/latest/N       everything that training needs to resume: the leaves that train, the
                           optimiser, the progress; N = steps taken + epochs finished
    WORKDIR/best/STEP      the leaves that train (their moving averages, if the run keeps them) at
                           the best validation accuracy so far
    WORKDIR/history.json   one row per epoch of a finished run, for runs that keep only their best
                           weights and remove `latest`

Each checkpoint also holds the recipe (configuration, classes, preprocessing, origin of the weights)
and the digests. `latest` and `best` also keep the checkpoint before the newest, in case that is
damaged. There are two series because the best weights do not need the optimiser, which is two
thirds of a state.
"""

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from flax import traverse_util

from faceemo import staging
from faceemo.errors import UserError
from faceemo.train import parallel
from faceemo.train.checkpoint.digest import digest_items, named_leaves, unflatten_like
from faceemo.train.checkpoint.series import run_series
from faceemo.train.checkpoint.stored_recipe import find_recipe, fixed_fields, refuse_other_run
from faceemo.train.ema import use_ema
from faceemo.train.freezing import FREEZE, TRAIN
from faceemo.train.state import TrainState

if TYPE_CHECKING:
    from faceemo.train.checkpoint.progress import Progress

HISTORY = "history.json"


class Checkpoints:
    """The checkpoints of one run; of several processes, the first reads and writes for all.

    Args:
        workdir: The run's folder, which is made if it does not exist.
        recipe: The run's record, see `provenance.make_recipe`.

    Raises:
        UserError: If `workdir` belongs to a run with another recipe, or the processes of this run
            have different ones; the message names the fields.
    """

    def __init__(self, workdir: Path, recipe: dict[str, Any]):
        self._workdir = workdir
        self._recipe = recipe
        parallel.refuse_disagreement(digest_items({}, fixed_fields(recipe)))
        found = find_recipe(workdir)
        if found is not None:
            refuse_other_run(workdir, recipe, found)
        self._frozen, self._latest, self._best = run_series(workdir)

    @parallel.on_first
    def save_frozen(self, variables: dict[str, Any], variable_labels: dict[str, Any]) -> None:
        """Writes the leaves that never change, unless they are stored already.

        Args:
            variables: {'params', 'batch_stats'}, NumPy or JAX arrays.
            variable_labels: Trees like `variables` whose leaves are 'train' or 'freeze', see
                `freezing.label_variables`.
        """
        if self._frozen.read_newest(["recipe"], ["weights"]) is None:
            self._frozen.set_aside_damaged(newer_than=-1)
            weights = _select(variables, variable_labels, FREEZE)
            self._frozen.write(0, {"recipe": self._recipe}, {"weights": weights})

    @parallel.on_first
    def save(
        self,
        state: TrainState,
        variable_labels: dict[str, Any],
        progress: "Progress",
        *,
        best: bool = False,
    ) -> None:
        """Writes a checkpoint, and returns when it is on disk.

        The best weights are written first: a run that is killed in between repeats its last steps.

        Args:
            state: The training state, NumPy arrays without a device axis.
            variable_labels: As for `save_frozen`.
            progress: The progress that belongs to the state.
            best: Whether an epoch has just finished as the best so far.

        Raises:
            UserError: If it cannot be written; existing checkpoints stay.
        """
        step = int(state.step)
        variables = {"params": state.params, "batch_stats": state.batch_stats}
        weights = _select(variables, variable_labels, TRAIN)
        records = {"recipe": self._recipe, "history": progress.to_dict()}
        if best:
            validated = use_ema(state)
            variables = {"params": validated.params, "batch_stats": validated.batch_stats}
            self._best.write(step, records, {"weights": _select(variables, variable_labels, TRAIN)})
        training = traverse_util.unflatten_dict(named_leaves(_training_fields(state)), sep="/")
        number = step + len(progress.history)
        self._latest.write(number, records, {"weights": weights, "training": training})

    @parallel.on_first
    def restore_latest(self, state: TrainState) -> "tuple[TrainState, Progress] | None":
        """Restores the newest state for training to resume, or returns None if there is none.

        Removes leftovers of killed saves and the best weights of epochs after that state, and
        renames damaged checkpoints.

        Args:
            state: A state of the same structure.

        Raises:
            UserError: If all checkpoints are damaged, or the stored arrays are not those of
                `state`.
        """
        for series in (self._frozen, self._latest, self._best):
            series.remove_leftovers()
        found = self._latest.read_newest(["history"], ["weights", "training"])
        if found is None:
            if self._latest.numbers():
                raise UserError(
                    expected=f"an intact checkpoint in {self._latest.folder}",
                    found="only damaged ones (named above)",
                    fix="restore them from a copy, or remove that folder to train from the start",
                )
            self._best.remove(newer_than=-1)
            return None
        number, stored = found
        self._latest.set_aside_damaged(newer_than=number)
        try:
            training = unflatten_like(_training_fields(state), named_leaves(stored["training"]))
        except KeyError as error:
            raise UserError(
                expected="a checkpoint with the arrays that this version of faceemo trains",
                found=f"arrays that only one of the two has: {error.args[0]}",
                fix="resume with the version that wrote it (its recipe names it), or give another "
                "--workdir",
            ) from error
        state = dataclasses.replace(state, **training, **self._with_frozen(stored["weights"]))
        self._best.remove(newer_than=int(state.step))
        # Its sums are CLU's, which prediction from a run's best weights does without.
        from faceemo.train.checkpoint.progress import Progress

        return state, Progress.from_dict(stored["history"])

    @parallel.on_first
    def restore_best(self) -> tuple[dict[str, Any], list[dict]]:
        """Restores {'params', 'batch_stats'} of the best epoch, and the history up to it.

        Raises:
            UserError: If no epoch is finished yet, or all checkpoints are damaged.
        """
        found = self._best.read_newest(["history"], ["weights"])
        if found is not None:
            _, stored = found
            return self._with_frozen(stored["weights"]), stored["history"]["epochs"]
        if self._best.numbers():
            raise UserError(
                expected=f"an intact checkpoint in {self._best.folder}",
                found="only damaged ones (named above)",
                fix="restore them from a copy, or train again in another --workdir",
            )
        raise UserError(
            expected=f"a finished epoch in {self._workdir}",
            found="no best checkpoint",
            fix="train first with the same configuration and workdir",
        )

    @parallel.on_first
    def history(self) -> list[dict]:
        """Reads the rows of the epochs finished so far."""
        found = self._latest.read_newest(["history"])
        return found[1]["history"]["epochs"] if found else read_history(self._workdir)

    @parallel.on_first
    def write_history(self, history: list[dict]) -> None:
        """Writes the rows of all epochs of a finished run to history.json."""
        with staging.file(self._workdir / HISTORY) as partial:
            partial.write_text(json.dumps(history, indent=1) + "\n", encoding="utf-8")

    @parallel.on_first
    def has_only_best(self) -> bool:
        """Returns whether the run is finished and kept only its best weights: it cannot resume."""
        return not self._latest.numbers() and bool(read_history(self._workdir))

    def _with_frozen(self, trained: dict[str, Any]) -> dict[str, Any]:
        """Adds the frozen leaves to those that train: {'params', 'batch_stats'}."""
        found = self._frozen.read_newest(["recipe"], ["weights"])
        if found is None:
            raise UserError(
                expected=f"the frozen leaves in {self._frozen.folder}",
                found="no intact checkpoint",
                fix="restore the folder from a copy; if the run still has its folder latest, the "
                "command that trained it also writes it again; otherwise train in another "
                "--workdir",
            )
        flat = traverse_util.flatten_dict(found[1]["weights"])
        flat |= traverse_util.flatten_dict(trained)
        return {"params": {}, "batch_stats": {}} | traverse_util.unflatten_dict(flat)


def read_history(workdir: Path) -> list[dict]:
    """Reads the rows of the epochs of a finished run; there are none if it is not finished."""
    path = workdir / HISTORY
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []


def _training_fields(state: TrainState) -> dict[str, Any]:
    """Returns the fields of a state besides the variables, which are stored separately."""
    fields = (field.name for field in dataclasses.fields(state))
    return {name: getattr(state, name) for name in fields if name not in ("params", "batch_stats")}


def _select(
    variables: dict[str, Any], variable_labels: dict[str, Any], label: str
) -> dict[str, Any]:
    """Selects the leaves of nested dicts that have a label."""
    labels = traverse_util.flatten_dict(variable_labels)
    flat = traverse_util.flatten_dict(variables)
    return traverse_util.unflatten_dict(
        {path: np.asarray(leaf) for path, leaf in flat.items() if labels[path] == label}
    )
