"""ONNX files read as data: the named tensors and the list of operations. Nothing of the file is run.

The format is protobuf (a message is a row of numbered fields). Of onnx.proto these are read: ModelProto.graph (7);
GraphProto.node (1) and .initializer (5); NodeProto.input (1), .name (3) and .op_type (4); TensorProto.dims (1),
.data_type (2), .float_data (4), .int32_data (5), .name (8), .raw_data (9) and .data_location (14).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np

from ...errors import InputError

LIMIT = 2**30  # bytes of the largest file that is read

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # protobuf's wire types
_TYPES = {1: "<f4", 2: "|u1", 3: "|i1", 6: "<i4", 7: "<i8", 10: "<f2", 11: "<f8"}  # TensorProto.DataType -> numpy's
_IN_INT32 = (2, 3, 6)  # types whose numbers may stand in int32_data


@dataclass(frozen=True)
class Operation:
    """One node of the graph.

    name: its name, as "/encoder/layers.0/mlp/fc1/MatMul".
    kind: what it computes, as "MatMul".
    inputs: names of tensors.
    """

    name: str
    kind: str
    inputs: tuple[str, ...]


def read_onnx(path: Path) -> tuple[dict[str, np.ndarray], list[Operation]]:
    """The tensors of an ONNX file by name, and its operations in their order.

    The tensors share the file's memory and cannot be written to.

    Raises InputError for a file that is too large, damaged, or whose tensors are of another kind than numbers or lie
    in other files.
    """
    size = path.stat().st_size
    if size > LIMIT:
        raise InputError(f"{path.name} has {size} bytes, but at most {LIMIT} are read; give a smaller ONNX file.")
    tensors, operations = {}, []
    try:
        for number, graph in _fields(memoryview(path.read_bytes())):
            for part, content in _fields(graph) if number == 7 else ():
                if part == 1:
                    operations.append(_operation(content))
                elif part == 5:
                    name, tensor = _tensor(content)
                    tensors[name] = tensor
    except (ValueError, TypeError, UnicodeDecodeError) as error:
        raise InputError(f"{path.name} is no whole ONNX file ({error}); copy it anew.") from error
    if not tensors:
        raise InputError(f"{path.name} holds no tensors; give an ONNX file with its weights inside.")
    return tensors, operations


def _operation(message: memoryview) -> Operation:
    name, kind, inputs = "", "", []
    for number, value in _fields(message):
        if number == 1:
            inputs.append(_text(value))
        elif number == 3:
            name = _text(value)
        elif number == 4:
            kind = _text(value)
    return Operation(name, kind, tuple(inputs))


def _tensor(message: memoryview) -> tuple[str, np.ndarray]:
    """The name and the numbers of a TensorProto; ValueError where they do not fit each other."""
    name, kind, dims, raw, floats, whole = "", 0, [], None, None, []
    for number, value in _fields(message):
        if number == 1:
            dims += _whole(value)
        elif number == 2:
            kind = value
        elif number == 4:
            floats = np.frombuffer(value, "<f4")
        elif number == 5:
            whole += _whole(value)
        elif number == 8:
            name = _text(value)
        elif number == 9:
            raw = value
        elif number == 14 and value:
            raise ValueError(f"the tensor {name!r} lies in another file")
    if kind not in _TYPES:
        raise ValueError(f"the tensor {name!r} is of type {kind}")
    if raw is not None:
        data = np.frombuffer(raw, _TYPES[kind])
    elif kind in _IN_INT32:
        data = np.array(whole, np.int64)
        limits = np.iinfo(_TYPES[kind])
        if len(data) and not limits.min <= data.min() <= data.max() <= limits.max:
            raise ValueError(f"numbers of the tensor {name!r} are out of range")
        data = data.astype(_TYPES[kind])
    else:
        data = floats if kind == 1 and floats is not None else np.empty(0, _TYPES[kind])
    if any(side < 0 for side in dims) or prod(dims) != data.size:
        raise ValueError(f"the tensor {name!r} of shape {dims} has {data.size} numbers")
    return name, data.reshape(dims)


# --- protobuf --------------------------------------------------------------------------------------------------------


def _fields(message: memoryview | int) -> Iterator[tuple[int, int | memoryview]]:
    """The fields of a message in their order: the number of each, and its value; ValueError where it is damaged."""
    if not isinstance(message, memoryview):
        raise ValueError("a number in place of a message")
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        number, wire = key >> 3, key & 7
        if wire == _VARINT:
            value, at = _varint(message, at)
            yield number, value
            continue
        if wire == _BYTES:
            length, at = _varint(message, at)
        elif wire in (_FIXED64, _FIXED32):
            length = 8 if wire == _FIXED64 else 4
        else:
            raise ValueError(f"unknown wire type {wire}")
        if length > len(message) - at:
            raise ValueError("it ends early")
        yield number, message[at : at + length]
        at += length


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """The number at a place, seven bits a byte from the lowest, and the place behind it."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            raise ValueError("it ends early")
        byte = message[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value & (2**64 - 1), at  # the tenth byte has bits beyond the 64 of a number
    raise ValueError("a number of more than ten bytes")


def _whole(value: int | memoryview) -> list[int]:
    """The signed whole numbers of a repeated field, of one or packed."""
    found = []
    if isinstance(value, int):
        found.append(value)
    else:
        at = 0
        while at < len(value):
            number, at = _varint(value, at)
            found.append(number)
    return [number - 2**64 if number >= 2**63 else number for number in found]


def _text(value: int | memoryview) -> str:
    return bytes(value).decode() if isinstance(value, memoryview) else ""
