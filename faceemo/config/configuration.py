"""Configurations: made from a backbone, a variant and overrides, and validated."""

import dataclasses
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from faceemo.config import argument, classes, field_words, validation
from faceemo.config.backbones import ARCHS, BACKBONES
from faceemo.config.fields import BY_NAME, FIELDS, FORMER_DEFAULTS
from faceemo.config.variants import VARIANTS
from faceemo.errors import UserError, closest, suggestion

SPLITS = ("train", "validation", "test")
# A run may be resumed with another value of these; of `epochs` too, unless a schedule ends with it.
MAY_DIFFER = {
    *("data_dir", "source", "votes", "patience", "patience_metric"),
    *("checkpoint_every_steps", "cache_features", "memory_share", "data_workers"),
}


_MAX_NAME_BYTES = 200  # of a run's folder; file systems take 255


def make_config(arch: str, arg: str | None = None, *, typed: str | None = None) -> ConfigDict:
    """Makes the locked configuration of a backbone in one of its variants.

    Args:
        arch: One of `ARCHS`.
        arg: The text after the colon of `--config configs/vgg16.py:7,image_size=96`: a variant's
            number (default 7) or 'best', and `field=value` pairs, separated by commas.
        typed: What the user typed before the colon, for messages; None stands for
            configs/ARCH.py.

    Raises:
        UserError: If there is no such backbone, or `arg` names an unknown field, or a value that
            the field does not take.
    """
    if arch not in ARCHS:
        raise UserError(
            expected=f"a backbone: {validation.quote_list(ARCHS)}",
            found=f"'{arch}'{suggestion(arch, ARCHS)}",
            fix="name one of these",
        )
    variant, overrides = argument.parse(arg)
    config = _defaults(arch, variant)
    for field, text in overrides.items():
        example = f"{typed or f'configs/{arch}.py'}:{variant},{{field}}={text}"
        if field_words.are_overrides():
            example = f"--overrides {{field}}={text}"
        kind = check_field(field, example)
        config[field] = argument.convert_text(field, text, kind)
    return validate(config)


def complete(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Completes a stored configuration with the fields that are newer than it.

    They get the values that they had in effect then (`FORMER_DEFAULTS`), or their defaults: not
    those of a variant, as 'best' may have changed since.
    """
    return make_config(stored["arch"]).to_dict() | FORMER_DEFAULTS | dict(stored)


def validate(config: ConfigDict) -> ConfigDict:
    """Returns `config` if it has exactly the fields of `make_config`, each with a valid value.

    The names of classes in it are written in their normal form (`classes.normalize_name`).

    Raises:
        UserError: If a field is missing, unknown, of another type or out of range. All of them are
            named, with the values that they take.
    """
    wrong_fields = [
        *(f"no field '{field}'" for field in FIELDS if field not in config),
        *(
            f"the unknown field '{field}'{suggestion(field, FIELDS)}"
            for field in config
            if field not in FIELDS
        ),
    ]
    if wrong_fields:
        raise UserError(
            expected="a configuration with the fields of faceemo.config.make_config and no others",
            found="; ".join(wrong_fields),
            fix="start from make_config in the configuration file, and set only fields that it "
            "has; docs/extend.md tells how to add a field",
        )
    problems = [
        f"{name}={config[name]!r} (takes {argument.KINDS[field.kind]})"
        for name, field in FIELDS.items()
        if name != "variant" and not _is_of(config[name], field.kind)
    ]
    if problems := problems or validation.find_problems(config):
        raise UserError(
            expected="every field within its range",
            found="; ".join(problems),
            fix="change the value, or leave the field out to get its default",
        )
    classes.normalize(config)
    return config


def check_field(field: str, example: str) -> type:
    """Returns the type of a field, unless no option of the command line can set it.

    Args:
        field: Name as it was typed.
        example: The corrected option, with '{field}' in the place of the name.

    Raises:
        UserError: If there is no such field, or it follows from the configuration file's name and
            variant.
    """
    known = [name for name in FIELDS if name not in BY_NAME]
    if field in known:
        return FIELDS[field].kind
    if field in BY_NAME:
        raise UserError(
            expected="backbone and variant before all fields, as in vgg16:7 or configs/vgg16.py:7",
            found=f"the field '{field}'",
            fix="remove the field, and name the backbone and the variant there",
        )
    close = closest(field, known)
    raise UserError(
        expected="a field of the configuration",
        found=f"'{field}'{suggestion(field, known)}",
        fix=f"write {example.format(field=close)}"
        if close
        else "look up the fields with faceemo train --help",
    )


def default_workdir(config: ConfigDict) -> Path:
    """Returns checkpoints/ARCH-VARIANT, with the fields that differ from the variant's.

    Fields that may differ between the parts of a resumed run (`MAY_DIFFER`) are left out. A name
    that is too long for a folder is cut off and ends in a digest.
    """
    plain = make_config(config.arch, str(config.variant))
    unnamed = MAY_DIFFER | ({"epochs"} if config.schedule == "constant" else set())
    changed = [
        f"{field}={Path(str(config[field])).name}"
        for field in sorted(config)
        if config[field] != plain[field] and field not in unnamed
    ]
    name = ",".join([f"{config.arch}-{config.variant}", *changed])
    if len(encoded := name.encode(errors="surrogateescape")) > _MAX_NAME_BYTES:
        digest = hashlib.sha256(encoded).hexdigest()[:12]
        name = f"{encoded[: _MAX_NAME_BYTES - 13].decode(errors='ignore')}~{digest}"
    return Path("checkpoints") / name


def _is_of(value: object, kind: type) -> bool:
    """Returns whether a value has a field's type; whole numbers pass as numbers."""
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return True
    return type(value) is kind


def _defaults(arch: str, variant: int | str) -> ConfigDict:
    """Makes the locked configuration of a variant, without any change to it."""
    row = VARIANTS[variant if isinstance(variant, int) else 9]
    derived = {
        "arch": arch,
        "variant": variant,
        "weights": next(iter(BACKBONES[arch].weights)),
        **dataclasses.asdict(row),
    }
    config = ConfigDict()
    for name, field in FIELDS.items():
        config[name] = derived.get(name, field.default)
    config.lock()
    if variant == "best":
        config.update(BACKBONES[arch].best)
    return config
