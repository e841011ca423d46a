"""The demo's own files, made once: nothing on the disk is looked up for a request."""

import dataclasses
import json
from collections.abc import Mapping
from importlib import resources
from typing import Any

import jinja2

from faceemo.analysis.theme import template
from faceemo.inference.serve import examples
from faceemo.inference.serve.decode_upload import NAMES
from faceemo.inference.serve.schemas import About

_PACKAGE = "faceemo.inference.serve"
_METHODS = ("get", "post")


@dataclasses.dataclass(frozen=True)
class File:
    """What is sent for an address."""

    kind: str
    content: bytes


def made(about: About, description: Mapping[str, Any]) -> dict[str, File]:
    """Every file of the demo, by its address.

    Args:
        about: the network.
        description: of the API, by OpenAPI.
    """
    drawn = examples.drawn()
    shared = {"about": about, "formats": NAMES}
    texts = {
        "/": ("text/html", _rendered("index.html.j2", examples=drawn, **shared)),
        "/api": ("text/html", _rendered("api.html.j2", **shared, **_read(description))),
        "/style.css": (
            "text/css",
            template.render("analysis/theme/house.css.j2") + _text("demo.css"),
        ),
        "/demo.js": ("text/javascript", _text("demo.js")),
    }
    found = {
        address: File(f"{kind}; charset=utf-8", text.encode())
        for address, (kind, text) in texts.items()
    }
    return found | {f"/examples/{one.name}": File("image/png", one.png) for one in drawn}


def _read(description: Mapping[str, Any]) -> dict[str, Any]:
    """Operations and schemas as the page shows them."""
    operations = [
        {"method": method.upper(), "path": path, **operations[method]}
        for path, operations in description["paths"].items()
        for method in _METHODS
        if method in operations
    ]
    return {"operations": operations, "schemas": description["components"]["schemas"]}


def _kind(schema: Mapping[str, Any]) -> str:
    """A type of JSON Schema in a few words."""
    if "$ref" in schema:
        return schema["$ref"].rpartition("/")[2]
    if "anyOf" in schema:
        return " or ".join(map(_kind, schema["anyOf"]))
    if "enum" in schema or "const" in schema:
        return " or ".join(map(json.dumps, schema.get("enum") or [schema["const"]]))
    if schema.get("type") == "array":
        of = schema.get("prefixItems")
        return f"{len(of)} × {_kind(of[0])}" if of else f"list of {_kind(schema['items'])}"
    if isinstance(schema.get("additionalProperties"), Mapping):
        return f"object of {_kind(schema['additionalProperties'])}"
    return schema.get("type", "any")


def _text(name: str) -> str:
    return (resources.files(_PACKAGE) / "page" / name).read_text(encoding="utf-8")


def _rendered(name: str, **context: Any) -> str:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(_PACKAGE, "page"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["kind"] = _kind
    return environment.get_template(name).render(**context)
