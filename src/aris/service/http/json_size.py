"""Size of the objects that JSON would make of a body, counted while it arrives; only bounded ones are built.

A body of a few megabytes may spell millions of lists, each of which takes fifty times its two characters.
"""

from __future__ import annotations

_BRACKETS = b"[]{}"
_NOT_BRACKETS = bytes(sorted(set(range(256)) - set(_BRACKETS)))


class JsonSizeError(Exception):
    """A document has more values than is allowed."""


class JsonDepthError(Exception):
    """A document is nested deeper than is allowed."""


class JsonSize:
    """Counts the values and the depth of a JSON document that arrives in pieces. It checks no syntax.

    Lists, objects, elements and members count, and strings, which are not looked into, up to twice as many.

    Args:
        values: at most.
        depth: of lists and objects in each other, at most.
    """

    def __init__(self, values: int, depth: int) -> None:
        self._most_values, self._most_depth = values, depth
        self._values = self._strings = self._depth = 0
        self._inside = False  # a string goes on
        self._waiting = b""  # a backslash whose second character is in the next piece
        self._over = False  # what follows the end of a document, or is none, makes nothing

    def feed(self, piece: bytes) -> None:
        """Look at more of it.

        Raises:
            JsonSizeError, JsonDepthError: it is too much.
        """
        if self._over:
            return
        piece = self._waiting + piece
        self._waiting = b""
        if b"\\" in piece:
            # What is escaped ends no string: pairs of backslashes first, so that each other one is what it looks like.
            piece = piece.replace(b"\\\\", b"")
            if piece.endswith(b"\\"):
                piece, self._waiting = piece[:-1], b"\\"
            piece = piece.replace(b'\\"', b"")
        parts = piece.split(b'"')
        left = b"".join(parts[self._inside :: 2])
        self._strings += (len(parts) - self._inside) // 2
        self._inside ^= not len(parts) % 2
        self._values += sum(map(left.count, (b"[", b"{", b",", b":")))
        if self._values > self._most_values or self._strings > 2 * self._most_values:
            raise JsonSizeError(f"it has more than {self._most_values:,} values")
        for sign in left.translate(None, _NOT_BRACKETS):
            self._depth += 1 if sign in b"[{" else -1
            if self._depth > self._most_depth:
                raise JsonDepthError(f"it is nested deeper than {self._most_depth}")
            if self._depth < 0:
                self._over = True
                return
