"""All errors that a user can meet, read from the code that raises them."""

import ast
import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path

from faceemo.config.field_words import as_option

_REPOSITORY = Path(__file__).parents[2]
_FOLDERS = ("faceemo", "scripts")
# What stands for a part of a message that is known only when it is printed.
UNKNOWN = "…"


@dataclasses.dataclass(frozen=True)
class Message:
    """The message of an error: its three parts, with names in capitals for what varies.

    Attributes:
        path: File that raises the error, relative to the repository.
        expected: First part, 'a file ending in SUFFIX'.
        found: Second part.
        fix: Third part.
    """

    path: str
    expected: str
    found: str
    fix: str


def find_messages() -> list[Message]:
    """Lists the messages of all calls that take the parts `expected` and `fix`.

    They are those of `UserError`, of the server's `ApiError`, and of functions that raise one of
    them. Calls that only hand parts on are left out.
    """
    messages = []
    for folder in _FOLDERS:
        for path in sorted(Path(_REPOSITORY, folder).rglob("*.py")):
            name = path.relative_to(_REPOSITORY).as_posix()
            messages += _find_in(name, ast.parse(path.read_text("utf-8")))
    return messages


def _find_in(path: str, tree: ast.Module) -> Iterator[Message]:
    for scope, call in _calls(tree, [tree]):
        parts = {keyword.arg: keyword.value for keyword in call.keywords}
        if {"expected", "fix"} <= parts.keys():
            texts = {
                part: _text(parts[part], scope) if part in parts else UNKNOWN
                for part in ("expected", "found", "fix")
            }
        elif _name(call.func) == "UserError" and call.args:
            texts = _split(_text(call.args[0], scope))
        else:
            continue
        if any(letter.islower() for letter in texts["expected"]):
            yield Message(path, **texts)


def _calls(node: ast.AST, scope: list[ast.AST]) -> Iterator[tuple[list[ast.AST], ast.Call]]:
    """Yields every call with the functions around it, the innermost last."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Call):
            yield scope, child
        inner = [*scope, child] if isinstance(child, ast.FunctionDef) else scope
        yield from _calls(child, inner)


def _split(message: str) -> dict[str, str]:
    """Divides a whole message into its parts."""
    words = " ".join(message.split())
    expected, _, rest = words.removeprefix("expected ").partition(" found ")
    found, _, fix = rest.partition(" Fix: ")
    return {"expected": expected, "found": found, "fix": fix}


def _text(node: ast.expr, scope: list[ast.AST]) -> str:
    """Returns the text of a part, or the texts that the variable in its place can have."""
    if isinstance(node, ast.Name):
        return " / ".join(_assigned(node.id, scope)) or _placeholder(node.id)
    return _literal(node)


def _literal(node: ast.expr) -> str:
    """Returns the text of an expression, as far as it is written there."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=values):
            return re.sub(f"{UNKNOWN}+", UNKNOWN, "".join(map(_literal, values)))
        case ast.FormattedValue(value=value):
            return _literal(value)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _literal(left) + _literal(right)
        case ast.IfExp(body=body, orelse=orelse):
            return _choice(_literal(body), _literal(orelse))
        case ast.Call(func=ast.Name(id="spell"), args=[ast.Constant(value=field), *value]):
            return _spell(str(field), *value)
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return _placeholder(name)
    return UNKNOWN


def _spell(field: str, value: ast.expr | None = None) -> str:
    """Returns the option of a field, for a call of `field_words.spell`."""
    if value is None:
        return " ".join(as_option(field))
    return " ".join(as_option(field, value.value if isinstance(value, ast.Constant) else "VALUE"))


def _choice(one: str, other: str) -> str:
    """Returns two alternatives, the second of which may be empty."""
    if not (one and other):
        return f"[{one or other}]"
    return f"{one} / {other}"


def _assigned(name: str, scope: list[ast.AST]) -> list[str]:
    """Returns the texts that the innermost function, or the module, assigns to a name."""
    for place in reversed(scope):
        texts = [
            _literal(node.value)
            for node in ast.walk(place)
            if isinstance(node, ast.Assign)
            and any(isinstance(target, ast.Name) and target.id == name for target in node.targets)
        ]
        if texts := [text for text in texts if any(map(str.islower, text))]:
            return list(dict.fromkeys(texts))
    return []


def _placeholder(name: str) -> str:
    return name.strip("_").replace("_", " ").upper()


def _name(function: ast.expr) -> str:
    return function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")
