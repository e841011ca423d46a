"""The parts of ONNX's protocol buffers that a network's file needs, written without a library.

A message is a list of buffers, so that the arrays of a network are not copied. The numbers of the
fields are those of onnx.proto, which ONNX never changes.
"""

from collections.abc import Sequence

import numpy as np

Message = list[bytes | memoryview]
Attribute = int | float | Sequence[int]

_IR_VERSION, _OPSET = 8, 15  # of 2021; what is newer has no operator that is needed here
FLOAT, UINT8, INT64 = 1, 2, 7
_TYPES = {np.dtype(np.float32): FLOAT, np.dtype(np.uint8): UINT8, np.dtype(np.int64): INT64}
# Wire types, and the types of attributes.
_VARINT, _BYTES, _FOUR_BYTES = 0, 2, 5
_FLOAT_ATTRIBUTE, _INT_ATTRIBUTE, _INTS_ATTRIBUTE = 1, 2, 7


def make_node(
    operator: str, name: str, inputs: Sequence[str], output: str, **attributes: Attribute
) -> Message:
    """Makes a NodeProto with one output."""
    texts = [(1, one) for one in inputs] + [(2, output), (3, name), (4, operator)]
    message = [part for number, one in texts for part in _text(number, one)]
    for key, value in attributes.items():
        message += _nest(5, _make_attribute(key, value))
    return message


def make_tensor(name: str, array: np.ndarray) -> Message:
    """Makes a TensorProto of an array, float32, uint8 or int64, whose buffer it keeps."""
    array = np.asarray(array, order="C")
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    sizes = [part for size in array.shape for part in _number(1, size)]
    content: Message = [little.reshape(-1).view(np.uint8).data]
    return [*sizes, *_number(2, _TYPES[array.dtype]), *_text(8, name), *_nest(9, content)]


def make_value(name: str, kind: int, shape: Sequence[int | str]) -> Message:
    """Makes a ValueInfoProto: an input or output, with a name for each size that is free."""
    sizes: Message = []
    for size in shape:
        sizes += _nest(1, _text(2, size) if isinstance(size, str) else _number(1, size))
    return [*_text(1, name), *_nest(2, _nest(1, [*_number(1, kind), *_nest(2, sizes)]))]


def make_model(
    nodes: Sequence[Message],
    tensors: Sequence[Message],
    source: Message,
    results: Sequence[Message],
) -> Message:
    """Makes a ModelProto.

    Args:
        nodes: The graph's nodes, each after those whose outputs it takes.
        tensors: The constants.
        source: The input, see `make_value`.
        results: The outputs.
    """
    parts = [(1, node) for node in nodes] + [(5, one) for one in tensors]
    graph = [
        buffer
        for number, part in [*parts, (11, source), *((12, one) for one in results)]
        for buffer in _nest(number, part)
    ]
    graph += _text(2, "faceemo")
    model = [*_number(1, _IR_VERSION), *_text(2, "faceemo"), *_nest(7, graph)]
    return model + _nest(8, [*_text(1, ""), *_number(2, _OPSET)])


def _make_attribute(name: str, value: Attribute) -> Message:
    if isinstance(value, float):
        content: Message = [_key(2, _FOUR_BYTES) + np.float32(value).astype("<f4").tobytes()]
        kind = _FLOAT_ATTRIBUTE
    elif isinstance(value, int):
        content, kind = _number(3, value), _INT_ATTRIBUTE
    else:
        content = [part for one in value for part in _number(8, one)]
        kind = _INTS_ATTRIBUTE
    return [*_text(1, name), *content, *_number(20, kind)]


def _nest(number: int, message: Message) -> Message:
    """Makes a field of a message, with its length before it."""
    return [_key(number, _BYTES) + _varint(sum(map(len, message))), *message]


def _text(number: int, text: str) -> Message:
    return _nest(number, [text.encode()])


def _number(number: int, value: int) -> Message:
    return [_key(number, _VARINT) + _varint(value)]


def _key(number: int, wire_type: int) -> bytes:
    return _varint(number << 3 | wire_type)


def _varint(value: int) -> bytes:
    """Encodes a number from 0 on in groups of seven bits, the lowest first."""
    groups = bytearray()
    while value > 127:
        groups.append(value & 127 | 128)
        value >>= 7
    return bytes([*groups, value])
