"""Size of the objects that JSON would make of a body, counted while it arrives; only bounded ones are built.

A body of a few megabytes may spell millions of lists, each of which takes fifty times its two characters.
"""

from __future__ import annotations

import re

# A whole string: it is replaced by nothing (a template as replacement would be expanded in Python for each).
_STRING = re.compile(rb'"(?:[^"\\]+|\\.)*+"', re.DOTALL)
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
        self._open = b""  # the beginning of a string, without what was looked at of it
        self._over = False  # what follows the end of a document, or is none, makes nothing

    def feed(self, piece: bytes) -> None:
        """Look at more of it.

        Raises:
            JsonSizeError, JsonDepthError: it is too much.
        """
        if self._over:
            return
        if self._open == b'"':
            # Most of a body is the inside of a few long strings.
            end = piece.find(b'"')
            if piece.find(b"\\", 0, len(piece) if end < 0 else end) < 0:
                if end < 0:
                    return
                piece, self._open = piece[end + 1 :], b""
        left, strings = _STRING.subn(b"", self._open + piece)
        at = left.find(b'"')
        if at < 0:
            self._open = b""
        else:
            # It goes on in the next piece: its quote is kept, and a backslash that waits for its second character.
            inside = left[at:]
            self._open = b'"\\' if (len(inside) - len(inside.rstrip(b"\\"))) % 2 else b'"'
            left = left[:at]
        self._strings += strings + (at >= 0)
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
