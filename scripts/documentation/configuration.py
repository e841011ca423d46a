"""The page docs/configuration.md, made from the table of fields."""

import re
from collections.abc import Iterable, Sequence

from faceemo.config import BACKBONES, FIELDS, MAY_DIFFER, RULES
from faceemo.config.fields import BY_BACKBONE, BY_NAME, BY_VARIANT, GROUPS

_INTRODUCTION = """# Configuration

<!-- Written by scripts/write_docs.py configuration, from faceemo/config/fields.py. -->

A configuration is `NETWORK:VARIANT,field=value,...`, such as `vgg16:7,image_size=96`. The networks
are {networks}. A variant is a number from 0 to 11
([table](study.md#the-variants)) or `best`, a recipe beyond the study. Fields can be given after the
colon or as options:

```
faceemo train vgg16:7,image_size=96,epochs=10
faceemo train vgg16:7 --image-size 96 --epochs 10
python -m faceemo.main --config configs/vgg16.py:7,image_size=96 --config.epochs=10
```

A configuration file of your own is a Python file with a function `get_config`, as those in
`configs/`.

A run can be resumed with other values of these fields: {may_differ};
and of `epochs` where `schedule` is `constant`. Every other field must have the value of the stored
run.
"""


def render() -> str:
    """Returns the text of the page."""
    sections = [
        _INTRODUCTION.format(
            networks=_join(_code(name) for name in BACKBONES),
            may_differ=_join(_code(name) for name in sorted(MAY_DIFFER)),
        )
    ]
    for group in GROUPS:
        rows = [
            (_code(name), _default(name), _words(RULES[name].takes), _words(field.doc))
            for name, field in FIELDS.items()
            if field.group == group
        ]
        table = _table(("field", "default", "takes", "meaning"), rows)
        sections.append(f"## {group}\n\n{table}")
    sections.append(f"## Weights of each network\n\n{_weights()}")
    sections.append(f"## What the variant best changes\n\n{_best()}")
    return "\n".join(sections)


def _default(name: str) -> str:
    """Returns a field's default in words."""
    if name in BY_NAME:
        return "named before the fields"
    if name in BY_VARIANT:
        return "by variant"
    if name in BY_BACKBONE:
        return "the network's first"
    default = FIELDS[name].default
    return "empty" if default == "" else _code(_value(default))


def _weights() -> str:
    rows = [
        (_code(arch), _code(name), _words(text))
        for arch, facts in BACKBONES.items()
        for name, text in facts.weights.items()
    ]
    text = "The first of each network is its default; the path of a file is taken as well.\n\n"
    return text + _table(("network", "`weights`", "what they are"), rows)


def _best() -> str:
    """Returns a table of the fields of `best` that differ from variant 9."""
    names = dict.fromkeys(name for facts in BACKBONES.values() for name in facts.best)
    rows = [
        (_code(name), *(_value(facts.best.get(name, "")) for facts in BACKBONES.values()))
        for name in names
    ]
    text = (
        "Variant `best` starts from variant 9, which trains all blocks, and changes these fields. "
        "An empty\ncell is variant 9's value.\n\n"
    )
    return text + _table(("field", *(_code(name) for name in BACKBONES)), rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _value(value: object) -> str:
    """Returns a value as the command line takes it."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def _code(text: str) -> str:
    return f"`{text}`"


def _words(text: str) -> str:
    """Returns a text in which quoted words are code: 'low' becomes `low`."""
    return re.sub(r"(?<!\w)'([^'\s]+)'(?!\w)", r"`\1`", text).replace("|", "\\|")


def _join(names: Iterable[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}"
