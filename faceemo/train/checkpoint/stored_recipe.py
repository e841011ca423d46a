"""The recipe of the run in a folder, and the refusal of a folder whose run has another one."""

from pathlib import Path
from typing import Any

from flax import traverse_util
from ml_collections import ConfigDict

from faceemo.config import MAY_DIFFER, complete
from faceemo.errors import UserError
from faceemo.train import parallel
from faceemo.train.checkpoint import image_terms, recipe_differences, run_folders
from faceemo.train.checkpoint.provenance import CONVOLUTIONS, SUMS, describe_configuration
from faceemo.train.checkpoint.series import run_series


@parallel.on_first
def find_recipe(workdir: Path) -> dict[str, Any] | None:
    """Reads the recipe of the run in `workdir`; returns None if there is no run.

    Fields of the configuration that are newer than the run are filled in (`config.complete`).

    Raises:
        UserError: If there are checkpoints and all are damaged.
    """
    for series in run_series(workdir):
        if (found := series.read_newest(["recipe"])) is not None:
            recipe = found[1]["recipe"]
            return recipe | {"config": complete(recipe["config"])}
    if any(series.numbers() for series in run_series(workdir)):
        raise UserError(
            expected=f"an intact checkpoint in {workdir}",
            found="only damaged ones (named above)",
            fix="restore them from a copy, or give another --workdir",
        )
    return None


def load_recipe(workdir: Path) -> dict[str, Any]:
    """Reads the recipe of the run in `workdir`.

    Raises:
        UserError: If there is no run, or all of its checkpoints are damaged.
    """
    recipe = find_recipe(workdir)
    if recipe is None:
        raise UserError(
            expected=f"a trained run in {workdir}",
            found="none",
            fix="name the folder of a trained run, or train one first with faceemo train",
        )
    return recipe


def refuse_other_configuration(
    workdir: Path, config: ConfigDict, found: dict[str, Any] | None
) -> None:
    """Refuses a run's folder for what is known before any image is loaded or prepared.

    Args:
        workdir: The run's folder.
        config: The configuration of the run that is asked for.
        found: The recipe of the run that is there (`find_recipe`), or None.

    Raises:
        UserError: If the configuration or the classes of the run that is there are others.
    """
    own = describe_configuration(config)
    known = {name: value for name, value in (found or {}).items() if name in own}
    if found and recipe_differences.describe(own, known, fixed_fields):
        # With images that are not known yet, their places are named as well if these differ.
        refuse_other_run(workdir, own | {"data": {}}, known | {"data": found["data"]})


# These fields change neither the meaning of the weights nor the steps already taken.
_MAY_DIFFER = MAY_DIFFER | {"epochs", "versions", image_terms.FIELD, CONVOLUTIONS, SUMS}


def refuse_other_run(workdir: Path, own: dict[str, Any], found: dict[str, Any]) -> None:
    """Refuses the folder of a run with another recipe.

    Args:
        workdir: The folder.
        own: Recipe of the run that is asked for.
        found: Recipe of the run that is there.

    Raises:
        UserError: If they differ in a field that may not; the message names the fields.
    """
    if different := recipe_differences.describe(own, found, fixed_fields):
        raise UserError(
            expected=f"{workdir} to be empty or to hold this run",
            found=f"a run with {'; '.join(different)}",
            fix=f"give --workdir {run_folders.find_free(workdir)}, or what that run was given",
        )


def fixed_fields(recipe: dict[str, Any]) -> dict[str, Any]:
    """Returns, by dotted name, the fields that all starts and processes of a run have in common."""
    flat = traverse_util.flatten_dict(recipe, sep=".")
    return {
        # Orbax's JSON turns tuples into lists.
        name: list(value) if isinstance(value, tuple) else value
        for name, value in flat.items()
        if not set(name.split(".")) & set(_MAY_DIFFER)
    }
