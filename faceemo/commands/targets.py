"""What a command trains: a configuration, a run's folder, or images of one's own."""

import dataclasses
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from faceemo.config import ARCHS, argument, default_workdir, make_config, shipped, validate
from faceemo.data.source.readers import joined_source
from faceemo.errors import UserError, suggest_path, suggestion
from faceemo.train import run_log
from faceemo.train.checkpoint import run_folders

_EXAMPLE = "faceemo train vgg16:7"
_FORMS = (
    "a configuration ('vgg16:7' or a file with get_config), a run's folder, or a folder, zip or "
    "csv of images"
)
_RUN_FORMS = "the folder of a trained run, or what faceemo train was given"


@dataclasses.dataclass(frozen=True)
class Target:
    """A configuration that is ready to run.

    Attributes:
        config: The configuration, validated.
        workdir: The run's folder.
        assumed: Whether the variant is the default because none was named.
        remarks: Lines for the user about choices that were made.
    """

    config: ConfigDict
    workdir: Path
    assumed: bool = False
    remarks: tuple[str, ...] = ()


def resolve(
    text: str,
    fields: Mapping[str, Any],
    workdir: Path | None = None,
    *,
    trained: bool = False,
) -> Target:
    """Makes a configuration of what the user named.

    Args:
        text: 'vgg16:7,epochs=3'; a file with `get_config`, with or without ':7,epochs=3'; the
            folder of a run; or a folder, zip or csv of images.
        fields: Fields to set in it.
        workdir: The run's folder; None for the usual one.
        trained: Whether the command reads a trained run, which a message then asks for.

    Raises:
        UserError: If there is no such configuration, or a value does not fit.
    """
    name, colon, arg = text.partition(":")
    path = Path(text)
    if name in ARCHS:
        config = make_config(name, arg, typed=name)
        return _configured(config, fields, workdir, not argument.names_variant(arg))
    if Path(name).suffix == ".py":
        config = _load_file(Path(name), arg if colon else None)
        return _configured(config, fields, workdir, not argument.names_variant(arg))
    if run_folders.is_run(path):
        from faceemo.train.checkpoint.stored_recipe import load_recipe

        config = ConfigDict(load_recipe(path)["config"])
        return _configured(config, fields, workdir or path, assumed=False)
    _refuse_folder_of_checkpoints(path)
    if trained or any(map(run_folders.is_run, path.glob("*"))):
        run_folders.refuse_folder_of_runs(path)
    if trained and _is_other_file(path):
        raise UserError(
            expected=_RUN_FORMS,
            found=f"'{path}', a file of another kind",
            fix="name the folder of a run, which contains summary.json",
        )
    if trained and path.is_dir() and _holds_no_images(path):
        raise UserError(
            expected=_RUN_FORMS,
            found=f"'{path}', "
            + ("a run without a finished epoch" if any(path.iterdir()) else "an empty folder"),
            fix=f"train there first, with --workdir {path}, or {run_folders.advise()}",
        )
    if all(map(joined_source.may_exist, joined_source.divide(path))):
        from faceemo.commands import own_images

        chosen = own_images.choose(path, fields)
        place = workdir or Path("checkpoints") / chosen.name
        return Target(chosen.config, place, remarks=chosen.explain(place))
    raise _missing(text, path, trained)


def _missing(text: str, path: Path, trained: bool) -> UserError:
    """Makes the error for what does not exist, with the name that was probably meant."""
    forms = _RUN_FORMS if trained else _FORMS
    if meant := suggest_path(path, ARCHS):
        return UserError(
            expected=forms,
            found=f"'{text}', which does not exist{meant}",
            fix="correct the name",
        )
    if trained:
        return UserError(
            expected=forms,
            found=f"'{text}', which does not exist",
            fix=f"correct the path, or {run_folders.advise()}",
        )
    return UserError(
        expected=forms,
        found=f"'{text}', which is no backbone and no path that exists",
        fix=f"name a backbone ({', '.join(ARCHS)}) as in {_EXAMPLE}, or correct the path",
    )


def _holds_no_images(path: Path) -> bool:
    """Returns whether a folder is empty, or that of a run without checkpoints."""
    return (path / run_log.NAME).is_file() or not any(path.iterdir())


def _is_other_file(path: Path) -> bool:
    """Returns whether a path is a file that cannot hold images for training."""
    return path.is_file() and path.suffix.lower() not in (".zip", ".csv", ".parquet")


def _refuse_folder_of_checkpoints(path: Path) -> None:
    """Refuses RUN/best and RUN/best/12, which hold weights but are not the folder of a run."""
    for run in (*path.parents,)[:2]:
        if path.relative_to(run).parts[0] in run_folders.SERIES and run_folders.is_run(run):
            raise UserError(
                expected="the folder of a run",
                found=f"'{path}', a folder of checkpoints inside it",
                fix=f"give the folder that contains summary.json: "
                f"{run if run.name else run.resolve()}",
            )


def _configured(
    config: ConfigDict, fields: Mapping[str, Any], workdir: Path | None, assumed: bool
) -> Target:
    config.update(fields)
    validate(config)
    return Target(config, workdir or default_workdir(config), assumed)


def _load_file(path: Path, arg: str | None) -> ConfigDict:
    """Returns what `get_config` of a file makes; a bug in the file keeps its traceback."""
    found = shipped.find(path)
    spec = importlib.util.spec_from_file_location("faceemo_configuration", found)
    if not found.is_file() or spec is None or spec.loader is None:
        raise UserError(
            expected="a configuration file that exists",
            found=f"'{path}'{suggestion(path, shipped.files())}",
            fix=f"correct the path, or name a backbone as in {_EXAMPLE}",
        )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not hasattr(module, "get_config"):
        raise UserError(
            expected=f"the function get_config in {path}",
            found="none",
            fix="write one that returns a configuration of faceemo.config.make_config",
        )
    return module.get_config() if arg is None else module.get_config(arg)
