"""Messages between a command and the server of the same user: values as JSON and raw arrays, never pickles.

Both ends are the same build of Aris (see `resident`), so the classes' fields need no versions.
"""

from __future__ import annotations

import json
import socket
from dataclasses import fields
from typing import Any

import numpy as np

from aris.backends.constraints.masks import Grammar
from aris.backends.protocol import GenerationOptions, Relevance, Reply, Timings, TokenLogprob, Usage
from aris.prompting import Frame, Image, Message, Segment, Text

_CLASSES: dict[str, Any] = {
    each.__name__: each
    for each in (
        Frame, GenerationOptions, Grammar, Image, Message, Relevance, Reply, Segment, Text, Timings, TokenLogprob, Usage
    )
}  # fmt: skip
_MAX_HEADER, _MAX_ARRAYS = 256 << 20, 8 << 30
_PIECE = 1 << 20


class Gone(Exception):  # noqa: N818  (no error of the user's)
    """The other end has gone, or does not speak this language."""


def send(connection: socket.socket, value: Any) -> None:
    """Send a value.

    Raises:
        Gone: nobody takes it.
        TypeError: it is of a class that has no form here.
    """
    arrays: list[np.ndarray[Any, Any]] = []
    header = json.dumps({"value": _written(value, arrays), "sizes": [each.nbytes for each in arrays]}).encode()
    try:
        connection.sendall(len(header).to_bytes(8, "little") + header)
        for array in arrays:
            connection.sendall(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    except OSError:
        raise Gone from None


def receive(connection: socket.socket) -> Any:
    """The next value.

    Raises:
        Gone: the other end has closed, or what it sent is no value.
    """
    size = int.from_bytes(_exactly(connection, 8), "little")
    if size > _MAX_HEADER:
        raise Gone
    try:
        header = json.loads(_exactly(connection, size))
        sizes = [int(each) for each in header["sizes"]]
        if sum(sizes) > _MAX_ARRAYS or any(each < 0 for each in sizes):
            raise Gone
        return _read(header["value"], [_exactly(connection, each) for each in sizes])
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
        raise Gone from None


def _exactly(connection: socket.socket, size: int) -> bytearray:
    out = bytearray(size)
    view, at = memoryview(out), 0
    while at < size:
        try:
            count = connection.recv_into(view[at : at + _PIECE])
        except OSError:
            raise Gone from None
        if count == 0:
            raise Gone
        at += count
    return out


def _written(value: Any, arrays: list[np.ndarray[Any, Any]]) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.ndarray):
        arrays.append(value)
        return {"array": [value.dtype.str, list(value.shape), len(arrays) - 1]}
    kind = type(value).__name__
    if _CLASSES.get(kind) is type(value):
        names = [each.name for each in fields(value)]
        return {"class": [kind, {name: _written(getattr(value, name), arrays) for name in names}]}
    if isinstance(value, tuple | list | frozenset | set):
        return {type(value).__name__: [_written(each, arrays) for each in value]}
    if isinstance(value, dict):
        return {"dict": [[_written(key, arrays), _written(each, arrays)] for key, each in value.items()]}
    raise TypeError(f"a {kind} has no form here")


def _read(value: Any, arrays: list[bytearray]) -> Any:
    if not isinstance(value, dict):
        return value
    ((kind, inside),) = value.items()
    if kind == "array":
        dtype, shape, index = inside
        return np.frombuffer(arrays[index], dtype=np.dtype(dtype)).reshape(shape)
    if kind == "class":
        name, given = inside
        return _CLASSES[name](**{field: _read(each, arrays) for field, each in given.items()})
    if kind == "dict":
        return {_read(key, arrays): _read(each, arrays) for key, each in inside}
    return {"tuple": tuple, "list": list, "set": set, "frozenset": frozenset}[kind](
        [_read(each, arrays) for each in inside]
    )
