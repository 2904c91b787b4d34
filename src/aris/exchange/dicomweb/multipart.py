"""multipart/related bodies (RFC 2046 5.1, RFC 2387): cut while they arrive, and written part by part.

Of a body no more than one part is held, and of a part that is too large nothing is.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from aris.exchange.dicomweb.problems import WebError

HEADER_BYTES = 16 << 10
# RFC 2046 5.1.1: 1 to 70 of these, no space at the end. Orthanc sends 73.
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,\-./:=? ]{0,127}[0-9A-Za-z'()+_,\-./:=?]")
# Spaces that a transport may have put behind a boundary.
_PADDING = 64


@dataclass(frozen=True)
class Part:
    """Part of a multipart body.

    Attributes:
        headers: their names in lower case.
        data: its content; empty where `too_large`.
        too_large: it had more bytes than a part may have, and they were dropped.
    """

    headers: dict[str, str] = field(default_factory=dict)
    data: bytes = b""
    too_large: bool = False


class PartReader:
    """Cuts a body into its parts. Feed it what arrives, then say that it has ended.

    Args:
        boundary: as the Content-Type says.
        part_bytes: of one part; a larger one comes as `too_large`.

    Raises:
        WebError: 400, it is no boundary.
    """

    def __init__(self, boundary: str, part_bytes: int) -> None:
        if not _BOUNDARY.fullmatch(boundary):
            raise WebError(400, "the boundary of the multipart body is missing or not allowed")
        marker = b"\r\n--" + boundary.encode("ascii")
        self._delimiter = re.compile(re.escape(marker) + rb"(?:(--)|[ \t]{0,%d}(?=\r\n))" % _PADDING)
        self._overlap = len(marker) + _PADDING + 2
        self._limit = part_bytes
        # The first boundary may stand at the very start, without a line before it.
        self._buffer = bytearray(b"\r\n")
        self._scanned = 0
        self._state = "preamble"
        self._headers: dict[str, str] = {}
        self._over = False

    @property
    def held(self) -> int:
        """Bytes in memory."""
        return len(self._buffer)

    def feed(self, data: bytes) -> Iterator[Part]:
        """Take what has arrived.

        Yields:
            the parts that it completes.

        Raises:
            WebError: 400, a part's headers are malformed or too long.
        """
        if self._state == "end":  # an epilogue
            return
        self._buffer += data
        while True:
            if self._state == "headers":
                if not self._read_headers():
                    return
                self._state, self._scanned, self._over = "content", 0, False
            found = self._delimiter.search(self._buffer, self._scanned)
            if found is None:
                self._drop()
                return
            part = bytes(self._buffer[: found.start()])
            del self._buffer[: found.end()]
            self._scanned = 0
            was, self._state = self._state, "headers" if found[1] is None else "end"
            if was == "content":
                over = self._over or len(part) > self._limit
                yield Part(self._headers, b"" if over else part, over)
            if self._state == "end":
                self._buffer.clear()
                return

    def finish(self) -> None:
        """The body has ended.

        Raises:
            WebError: 400, before its last boundary.
        """
        if self._state != "end":
            raise WebError(400, "the multipart body is malformed or was cut off; nothing of it is acknowledged")

    def _drop(self) -> None:
        """Forget what cannot be part of a boundary any more, where it is not kept either."""
        self._scanned = max(0, len(self._buffer) - self._overlap)
        if self._state == "content":
            self._over = self._over or self._scanned > self._limit
        if self._state == "preamble" or self._over:
            del self._buffer[: self._scanned]
            self._scanned = 0

    def _read_headers(self) -> bool:
        # The line end of the boundary is still here, so that a part without headers ends as others do.
        end = self._buffer.find(b"\r\n\r\n", 0, HEADER_BYTES)
        if end < 0:
            if len(self._buffer) > HEADER_BYTES:
                raise WebError(400, "the headers of a part of the multipart body are malformed or too long")
            return False
        block = self._buffer[:end].decode("latin-1")
        del self._buffer[: end + 4]
        # A line that begins with a space goes on from the last (RFC 5322 2.2.3).
        lines = re.sub(r"\r\n[ \t]+", " ", block).split("\r\n")
        pairs = [line.partition(":") for line in lines if line]
        if not all(colon and name.strip() for name, colon, _ in pairs):
            raise WebError(400, "the headers of a part of the multipart body are malformed or too long")
        self._headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        return True


def new_boundary() -> str:
    """A boundary that no content holds, but by a chance of 2^-160."""
    return f"aris{secrets.token_hex(20)}"


def write(parts: Iterable[tuple[dict[str, str], bytes | Iterable[bytes]]], boundary: str) -> Iterator[bytes]:
    """A body, in pieces.

    Args:
        parts: headers and content of each, whole or in pieces.
    """
    start = b""
    for headers, data in parts:
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        yield start + f"--{boundary}\r\n{lines}\r\n".encode("latin-1")
        if isinstance(data, bytes):
            yield data
        else:
            yield from data
        start = b"\r\n"
    yield start + f"--{boundary}--\r\n".encode("ascii")
