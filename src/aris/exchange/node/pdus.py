"""Checks of the PDUs that a peer sends before and within an association (PS3.8 9.3, PS3.7 6.3), before they are parsed.

A header that declares too much is refused before its bytes are read; a request or message that is not built as the
standard says, before a library parses it.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import Literal

ASSOCIATE_RQ, P_DATA, RELEASE_RQ, RELEASE_RP, ABORT = 0x01, 0x04, 0x05, 0x06, 0x07
HEADER = 6
# 128 presentation contexts of 60 transfer syntaxes each take some 250 kB.
REQUEST_BYTES = 512 << 10
_ITEMS = 10_000
_SHORT_PDU = 64  # releases and aborts have 4 bytes
# Senders that count the header of the one value in a PDU, or not.
_SLACK = 12
_VALUES_A_PDU = 512
_COMMAND_BYTES = 16 << 10
_EMPTY_VALUES = 64  # within a message
_C_STORE_RQ, _C_ECHO_RQ, _C_CANCEL_RQ, _NO_DATA = 0x0001, 0x0030, 0x0FFF, 0x0101
_TITLE = re.compile(rb"[ -\[\]-~]*\0*")


class PduError(Exception):
    """A peer sent what the standard, or a limit, does not allow. The message quotes nothing of it."""


def length_of(header: bytes, most: int, *, first: bool) -> tuple[int, int]:
    """Type and length of a PDU from its first six bytes.

    Args:
        most: bytes that a P-DATA-TF PDU may have, as we told the peer.
        first: whether it is the connection's first, which asks for an association; no later one does.

    Raises:
        PduError: it may not come now, or declares more than its kind may have.
    """
    kind, _, length = struct.unpack(">BBL", header)
    if first != (kind == ASSOCIATE_RQ):
        raise PduError("no request of an association" if first else "an unexpected PDU")
    limits = {ASSOCIATE_RQ: REQUEST_BYTES, P_DATA: most + _SLACK,
              RELEASE_RQ: _SHORT_PDU, RELEASE_RP: _SHORT_PDU, ABORT: _SHORT_PDU}  # fmt: skip
    if kind not in limits:
        raise PduError("an unknown or unexpected PDU")
    if length > limits[kind]:
        raise PduError("a PDU that declares more bytes than it may have")
    return kind, length


def check_request(body: bytes) -> None:
    """Check an A-ASSOCIATE-RQ's structure (PS3.8 9.3.2): `body` is all after the header of six bytes.

    Raises:
        PduError: it is malformed, or proposes more than any sender does.
    """
    if len(body) < 68:
        raise PduError("a request of an association that is cut off")
    for title in (body[4:20], body[20:36]):
        if not _TITLE.fullmatch(title) or not title.strip(b" \0"):
            raise PduError("an AE title that is none")
    budget = [_ITEMS]
    items = _items(body[68:], budget)
    kinds = [kind for kind, _ in items]
    contexts = [content for kind, content in items if kind == 0x20]
    if kinds.count(0x10) != 1 or kinds.count(0x50) != 1 or not 1 <= len(contexts) <= 128:
        raise PduError("a request without its items, or with too many presentation contexts")
    numbers = set()
    for content in contexts:
        if len(content) < 4 or content[0] % 2 == 0 or content[0] in numbers:
            raise PduError("a presentation context without a number of its own")
        numbers.add(content[0])
        inner = _items(content[4:], budget)
        if sum(kind == 0x30 for kind, _ in inner) != 1 or not any(kind == 0x40 for kind, _ in inner):
            raise PduError("a presentation context without its syntaxes")
        if any(len(uid) > 66 for kind, uid in inner if kind in (0x30, 0x40)):
            raise PduError("a syntax that is no UID")
    for kind, content in items:
        if kind == 0x10 and len(content) > 66:
            raise PduError("an application context that is no UID")
        if kind == 0x50:
            _items(content, budget)


def _items(data: bytes, budget: list[int]) -> list[tuple[int, bytes]]:
    """Items one after the other: type and content."""
    found, at = [], 0
    while at < len(data):
        budget[0] -= 1
        if at + 4 > len(data) or budget[0] < 0:
            raise PduError("items that are cut off, or too many")
        kind, _, length = struct.unpack_from(">BBH", data, at)
        if at + 4 + length > len(data):
            raise PduError("an item that is longer than what holds it")
        found.append((kind, data[at + 4 : at + 4 + length]))
        at += 4 + length
    return found


@dataclass
class Sequence:
    """The messages of an association, one after the other: a command, then its data where the command says so.

    Attributes:
        inside: whether a message has begun and not ended.
        bytes_of_message: of the one that is arriving.
    """

    inside: bool = False
    bytes_of_message: int = 0
    _expects: Literal["command", "data"] = "command"
    _cancel: bool = False
    _context: int = 0
    _command: bytes = b""
    _empty: int = 0

    def take(self, body: bytes) -> list[int]:
        """Check a P-DATA-TF PDU's values.

        Args:
            body: all after the header of six bytes.

        Returns:
            the sizes of the messages that it completes; of cancels, which have no answer, none.

        Raises:
            PduError: it is malformed, or not what may come now.
        """
        done: list[int] = []
        at = values = 0
        while at < len(body):
            values += 1
            if at + 6 > len(body) or values > _VALUES_A_PDU:
                raise PduError("data that are cut off, or in too many pieces")
            length, context, control = struct.unpack_from(">LBB", body, at)
            if length < 2 or at + 4 + length > len(body):
                raise PduError("a piece of data that is longer than what holds it")
            if self._value(context, control, body[at + 6 : at + 4 + length]):
                if not self._cancel:
                    done.append(self.bytes_of_message)
                self._reset()
            at += 4 + length
        if not values:
            raise PduError("a PDU of data without any")
        return done

    def _value(self, context: int, control: int, content: bytes) -> bool:
        """Return whether this piece completes a message."""
        command, last = bool(control & 1), bool(control & 2)
        if command != (self._expects == "command") or (self.inside and context != self._context):
            raise PduError("a command and its data out of their order")
        self.inside, self._context = True, context
        self.bytes_of_message += len(content)
        self._empty += not content
        if self._empty > _EMPTY_VALUES:
            raise PduError("too many pieces without content")
        if not command:
            return last
        self._command += content
        if len(self._command) > _COMMAND_BYTES:
            raise PduError("a command that is too long")
        if not last:
            return False
        kind, data = _said(self._command)
        self._cancel = kind == _C_CANCEL_RQ
        if data:
            self._expects = "data"
        return not data

    def _reset(self) -> None:
        self.inside, self.bytes_of_message, self._expects, self._command, self._empty = False, 0, "command", b"", 0


def _said(command: bytes) -> tuple[int, bool]:
    """Command Field of a command set, and whether data follow (PS3.7 6.3.1: Implicit VR Little Endian, group 0000).

    Raises:
        PduError: it is malformed, or not of a kind that a node answers: echo, store and cancel.
    """
    numbers: dict[int, int] = {}
    at, seen = 0, -1
    while at < len(command):
        if at + 8 > len(command):
            raise PduError("a command that is cut off")
        group, element, length = struct.unpack_from("<HHL", command, at)
        if group != 0 or element <= seen or at + 8 + length > len(command):
            raise PduError("a command that is malformed")
        if length == 2:
            (numbers[element],) = struct.unpack_from("<H", command, at + 8)
        seen, at = element, at + 8 + length
    kind, data = numbers.get(0x0100), numbers.get(0x0800)
    if kind not in (_C_STORE_RQ, _C_ECHO_RQ, _C_CANCEL_RQ) or data is None:
        raise PduError("a command that is not answered here")
    if (kind == _C_STORE_RQ) != (data != _NO_DATA):
        raise PduError("a command that says otherwise of its data")
    return kind, data != _NO_DATA
