"""Reads conversations from JSON Lines: what a user's own tuning data looks like.

    {"messages": [{"role": "user", "content": [{"type": "image", "path": "films/1.png"},
                                               {"type": "text", "text": "Describe this X-ray."}]},
                  {"role": "assistant", "content": "FINDINGS: ..."}],
     "group": "patient 17", "task": "draft", "weight": 1.0}

`group`, `task` and `weight` may be left out. A bad row never stops the reading: each is reported by file, line and
reason, without its contents, and the caller decides.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from aris.errors import DataError
from aris.tuning.rows import Conversation, Turn

_ROLES = ("system", "user", "assistant")
_FIELDS = {"messages", "group", "task", "weight"}


@dataclass(frozen=True)
class BadRow:
    """A row that was left out; prints as `file:line: reason`."""

    file: Path
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.reason}"


class PictureBank:
    """Grey pictures of one size, each file read once; an index stands for a picture in a row.

    Args:
        size: side in pixels; the aspect ratio is not kept, as in Gemma 3's image processor.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._images: list[np.ndarray] = []
        self._known: dict[Path, int] = {}

    def __len__(self) -> int:
        return len(self._images)

    def add(self, path: Path) -> int:
        """The index of a file's picture.

        Raises:
            OSError: it is not a readable image.
        """
        known = self._known.get(path)
        if known is None:
            try:
                with Image.open(path) as image:
                    grey = image.convert("L").resize((self.size, self.size), Image.Resampling.BILINEAR)
            except (Image.DecompressionBombError, SyntaxError, ValueError) as error:  # what Pillow's decoders raise
                raise OSError(str(error)) from None
            known = self._known[path] = len(self._images)
            self._images.append(np.asarray(grey))
        return known

    def pixels(self) -> Tensor:
        """(N, size, size) uint8."""
        if not self._images:
            return torch.zeros(0, self.size, self.size, dtype=torch.uint8)
        return torch.from_numpy(np.stack(self._images))


class _BadRowError(Exception):
    """Why a row is bad."""


def read_conversations(
    path: Path, pictures: PictureBank, root: Path | None = None
) -> tuple[list[Conversation], list[BadRow]]:
    """The good rows of a JSON Lines file, and the bad ones.

    Args:
        pictures: receives the rows' images.
        root: where relative image paths start; the file's own folder by default. No path may lead out of it.

    Raises:
        DataError: the file cannot be read at all.
    """
    base = (root or path.parent).resolve()
    good: list[Conversation] = []
    bad: list[BadRow] = []
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError:
        raise DataError(f"{path}: not readable; give a JSON Lines file of conversations") from None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            good.append(_conversation(line, pictures, base))
        except _BadRowError as reason:
            bad.append(BadRow(path, number, str(reason)))
    return good, bad


def require_all_good(bad: Sequence[BadRow], shown: int = 5) -> None:
    """Raise `DataError` that names the first bad rows, if there are any."""
    if bad:
        more = f"; and {len(bad) - shown} more" if len(bad) > shown else ""
        raise DataError("; ".join(str(row) for row in bad[:shown]) + more)


def _conversation(line: bytes, pictures: PictureBank, root: Path) -> Conversation:
    try:
        row = json.loads(line)
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise _BadRowError("not JSON") from None
    except RecursionError:
        raise _BadRowError("nested too deep") from None
    if not isinstance(row, dict):
        raise _BadRowError("not an object")
    unknown = set(row) - _FIELDS
    if unknown:
        raise _BadRowError(f"unknown field {sorted(unknown)[0]!r:.40}; known are {', '.join(sorted(_FIELDS))}")
    messages = row.get("messages")
    if not isinstance(messages, list) or not messages:
        raise _BadRowError("'messages' must be a list with at least a user's and an assistant's turn")
    task, group, weight = row.get("task", "chat"), row.get("group", ""), row.get("weight", 1.0)
    if not isinstance(task, str) or not task:
        raise _BadRowError("'task' must be a name")
    if not isinstance(group, str | int) or isinstance(group, bool):
        raise _BadRowError("'group' must be a text or a whole number")
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 < weight < math.inf:
        raise _BadRowError("'weight' must be a number above 0")
    roles: list[str] = []
    for index, message in enumerate(messages, 1):
        role = message.get("role") if isinstance(message, dict) else None
        if role not in _ROLES:
            raise _BadRowError(f"message {index}: the role must be system, user or assistant")
        roles.append(role)
    spoken = roles[1:] if roles[0] == "system" else roles
    if not spoken or len(spoken) % 2 or any(r != ("user", "assistant")[i % 2] for i, r in enumerate(spoken)):
        raise _BadRowError("user and assistant must alternate, from the user to the assistant")
    # Pictures come last: a row that is bad elsewhere leaves none behind.
    checked = [_parts(message, index) for index, message in enumerate(messages, 1)]
    turns = tuple(
        Turn(role, tuple(part if isinstance(part, str) else _picture(part[0], pictures, root) for part in parts))
        for role, parts in zip(roles, checked, strict=True)
    )
    return Conversation(task, turns, str(group), float(weight))


def _parts(message: dict[str, Any], index: int) -> list[str | tuple[str]]:
    """Texts as they are, pictures as a path in a tuple of one."""
    content, role = message.get("content"), message["role"]
    if isinstance(content, str):
        content = [{"type": "text", "text": content}]
    if not isinstance(content, list):
        raise _BadRowError(f"message {index}: 'content' must be a text or a list of parts")
    parts: list[str | tuple[str]] = []
    for part in content:
        kind = part.get("type") if isinstance(part, dict) else None
        if kind == "text" and isinstance(part.get("text"), str):
            parts.append(part["text"])
        elif kind == "image" and isinstance(part.get("path"), str):
            if role != "user":
                raise _BadRowError(f"message {index}: only the user's turns may hold images")
            parts.append((part["path"],))
        else:
            raise _BadRowError(f"message {index}: a part must be a text with 'text' or an image with 'path'")
    text = "".join(part for part in parts if isinstance(part, str))
    if role == "assistant" and not text.strip():
        raise _BadRowError(f"message {index}: the assistant's text is empty")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _BadRowError(f"message {index}: half of a surrogate pair") from None
    return parts


def _picture(name: str, pictures: PictureBank, root: Path) -> int:
    try:
        path = (root / name).resolve()
        if not path.is_relative_to(root):
            raise _BadRowError(f"image {name!r:.120} lies outside the data folder")
        return pictures.add(path)
    except (OSError, ValueError):  # ValueError: a path with a NUL
        raise _BadRowError(f"image {name!r:.120} is missing or not readable") from None
