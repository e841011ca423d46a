"""Reader of Caffe's descriptions of networks (deploy.prototxt), in protobuf's text format."""

import re
from collections.abc import Iterator
from typing import Any

# Fields by name, each with all its values in order: numbers, words, or messages of this kind.
Message = dict[str, list[Any]]
_TOKENS = re.compile(r'#[^\n]*|"([^"]*)"|([{}:])|([^\s{}:"#]+)')


def parse(text: str) -> Message:
    """Parses a description.

    Raises:
        ValueError: If it ends inside a message.
    """
    tokens = (match for match in _TOKENS.finditer(text) if not match[0].startswith("#"))
    return _parse_message(tokens, end=None)


def read_one(message: Message, name: str, default: Any = None) -> Any:
    """Returns a field's only value, or `default` if the message does not have the field.

    Raises:
        ValueError: If the field has several values.
    """
    values = message.get(name, [default])
    if len(values) != 1:
        raise ValueError(f"expected one {name} in the description of a network, found {values}")
    return values[0]


def _parse_message(tokens: Iterator[re.Match[str]], end: str | None) -> Message:
    message: Message = {}
    for token in tokens:
        if token[0] == end:
            return message
        follows = next(tokens)
        value = _parse_message(tokens, "}") if follows[0] == "{" else _convert(next(tokens))
        message.setdefault(token[0], []).append(value)
    if end is not None:
        raise ValueError("the description of a network ends inside a message")
    return message


def _convert(token: re.Match[str]) -> Any:
    if token[1] is not None:
        return token[1]
    if token[0] in ("true", "false"):
        return token[0] == "true"
    for kind in (int, float):
        try:
            return kind(token[0])
        except ValueError:
            continue
    return token[0]
