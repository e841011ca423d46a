"""The images on which `faceemo evaluate` evaluates a stored network, and the folder for that."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from faceemo.assets import builtin
from faceemo.commands.targets import Target
from faceemo.config import make_config, validate
from faceemo.config.field_words import spell
from faceemo.data.ledger.rules import Rules
from faceemo.data.source.selection import Selection
from faceemo.errors import UserError
from faceemo.train.checkpoint import model_file

# The fields about images that are prepared, and about those that are there as prepared.
_PREPARED = {"data_dir", "dataset"}
_TO_PREPARE = (
    _PREPARED
    | {"screen", "exact_screening"}
    | {field.name for kind in (Rules, Selection) for field in dataclasses.fields(kind)}
)


def resolve(network: Path, fields: Mapping[str, Any], workdir: Path | None) -> Target:
    """Makes a configuration of the images that the user named.

    Args:
        network: `builtin`, or the path of a stored network.
        fields: Fields that the user gave.
        workdir: Folder for the report; None for the usual one.

    Raises:
        UserError: If a field is given that does not concern these images, or a value does not fit.
    """
    new = bool(fields.get("source")) or fields.get("dataset") == "sample"
    if wrong := sorted(fields.keys() - (_TO_PREPARE if new else _PREPARED)):
        raise UserError(
            expected=f"only options about images beside the stored network {network}"
            + ("" if new else f", with {spell('source')} for images that are not prepared yet"),
            found=", ".join(map(spell, wrong)),
            fix="leave them out",
        )
    if fields.get("source"):
        from faceemo.commands import own_images

        rest = {name: value for name, value in fields.items() if name != "source"}
        chosen = own_images.choose(Path(fields["source"]), rest)
        config, name = chosen.config, chosen.name
    else:
        config = make_config("mobilenet")
        config.update(fields)
        validate(config)
        name = "sample" if new else Path(config.data_dir).resolve().name
    return Target(config, workdir or Path("checkpoints") / f"{_name(network)}-on-{name}")


def _name(network: Path) -> str:
    """Returns a name for a stored network: that of its folder if its file has the usual name."""
    if str(network) in builtin.FOLDERS:
        return str(network)
    return network.resolve().parent.name if network.name == model_file.NAME else network.stem
