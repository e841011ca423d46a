"""The pages and other static files of the demo, made once: requests never read the disk."""

import dataclasses
import json
from collections.abc import Mapping
from importlib import resources
from typing import Any

import jinja2

from faceemo.analysis.theme import template
from faceemo.inference import formats
from faceemo.inference.serve import examples
from faceemo.inference.serve.decode_upload import FORMAT_NAMES
from faceemo.inference.serve.films import run as films
from faceemo.inference.serve.schemas import ModelInfo

_PACKAGE = "faceemo.inference.serve"
_METHODS = ("get", "post", "delete")


@dataclasses.dataclass(frozen=True)
class StaticFile:
    """A file that is sent as it is."""

    content_type: str
    content: bytes


def make_static_files(info: ModelInfo, openapi: Mapping[str, Any]) -> dict[str, StaticFile]:
    """Renders all static files of the demo; returns them by path.

    Args:
        info: Facts about the network.
        openapi: OpenAPI description of the API.
    """
    example_images = examples.make_examples()
    shared = {
        "info": info,
        "formats": FORMAT_NAMES,
        "film_formats": films.FORMAT_NAMES,
        "films": bool(info.limits.film_bytes),
    }
    columns = formats.list_columns(info.classes)
    index = _render("index.html.j2", examples=example_images, columns=columns, **shared)
    texts = {
        "/": ("text/html", index),
        "/api": ("text/html", _render("api.html.j2", **shared, **_describe_api(openapi))),
        "/style.css": (
            "text/css",
            template.render("analysis/theme/base.css.j2") + _read("demo.css"),
        ),
        **{f"/{name}": ("text/javascript", _read(name)) for name in _list_scripts()},
    }
    files = {
        path: StaticFile(f"{media_type}; charset=utf-8", text.encode())
        for path, (media_type, text) in texts.items()
    }
    return files | {
        f"/examples/{example.name}": StaticFile("image/png", example.png)
        for example in example_images
    }


def _describe_api(openapi: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the operations and schemas of an OpenAPI description as the page shows them."""
    operations = [
        {"method": method.upper(), "path": path, **operations[method]}
        for path, operations in openapi["paths"].items()
        for method in _METHODS
        if method in operations
    ]
    return {"operations": operations, "schemas": openapi["components"]["schemas"]}


def _describe_type(schema: Mapping[str, Any]) -> str:
    """Returns the type of a JSON schema in a few words."""
    if "$ref" in schema:
        return schema["$ref"].rpartition("/")[2]
    if "anyOf" in schema:
        return " or ".join(map(_describe_type, schema["anyOf"]))
    if "enum" in schema or "const" in schema:
        return " or ".join(map(json.dumps, schema.get("enum") or [schema["const"]]))
    if schema.get("type") == "array":
        items = schema.get("prefixItems")
        if items:
            return f"{len(items)} × {_describe_type(items[0])}"
        return f"list of {_describe_type(schema['items'])}"
    if isinstance(schema.get("additionalProperties"), Mapping):
        return f"object of {_describe_type(schema['additionalProperties'])}"
    return schema.get("type", "any")


def _list_references(schema: Mapping[str, Any]) -> list[str]:
    """Returns the names of the schemas that a schema may stand for."""
    parts = schema.get("anyOf", [schema])
    return [_describe_type(part) for part in parts if "$ref" in part]


def _list_scripts() -> list[str]:
    """Lists the modules of the page's script, of which demo.js imports the others."""
    names = (file.name for file in (resources.files(_PACKAGE) / "page").iterdir())
    return sorted(name for name in names if name.endswith(".js"))


def _read(name: str) -> str:
    return (resources.files(_PACKAGE) / "page" / name).read_text(encoding="utf-8")


def _render(name: str, **context: Any) -> str:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(_PACKAGE, "page"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["type"] = _describe_type
    environment.filters["references"] = _list_references
    environment.filters["pretty"] = lambda value: json.dumps(value, indent=2, ensure_ascii=False)
    return environment.get_template(name).render(**context)
