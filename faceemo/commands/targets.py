"""What a command trains: a configuration, a run's folder, or images of one's own."""

import dataclasses
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from faceemo.config import ARCHS, argument, default_workdir, make_config, shipped, validate
from faceemo.errors import UserError, suggestion

_EXAMPLE = "faceemo train vgg16:7"
_FORMS = (
    "a configuration ('vgg16:7' or a file with get_config), a run's folder, or a folder, zip or "
    "csv of images"
)


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


def resolve(text: str, fields: Mapping[str, Any], workdir: Path | None = None) -> Target:
    """Makes a configuration of what the user named.

    Args:
        text: 'vgg16:7,epochs=3'; a file with `get_config`, with or without ':7,epochs=3'; the
            folder of a run; or a folder, zip or csv of images.
        fields: Fields to set in it.
        workdir: The run's folder; None for the usual one.

    Raises:
        UserError: If there is no such configuration, or a value does not fit.
    """
    name, colon, arg = text.partition(":")
    path = Path(text)
    if name in ARCHS:
        config = make_config(name, arg)
        return _configured(config, fields, workdir, not argument.names_variant(arg))
    if Path(name).suffix == ".py":
        config = _load_file(Path(name), arg if colon else None)
        return _configured(config, fields, workdir, not argument.names_variant(arg))
    if _is_run(path):
        from faceemo.train.checkpoint.checkpoints import load_recipe

        config = ConfigDict(load_recipe(path)["config"])
        return _configured(config, fields, workdir or path, assumed=False)
    if path.exists():
        from faceemo.commands import own_images

        chosen = own_images.choose(path, fields)
        place = workdir or Path("checkpoints") / chosen.name
        return Target(chosen.config, place, remarks=chosen.explain(place))
    raise UserError(
        expected=_FORMS,
        found=f"'{text}', which is no backbone and no path that exists{suggestion(name, ARCHS)}",
        fix=f"name a backbone ({', '.join(ARCHS)}) as in {_EXAMPLE}, or correct the path",
    )


def _is_run(path: Path) -> bool:
    """Returns whether a folder holds checkpoints of a run, intact or not: best/12 or latest/12."""
    return any(
        checkpoint.is_dir() and checkpoint.name.isdigit()
        for series in ("latest", "best")
        for checkpoint in path.glob(f"{series}/*")
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
