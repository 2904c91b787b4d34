"""Readers of conversations from JSON Lines or Parquet: a user's own tuning data.

    {"messages": [{"role": "user", "content": [{"type": "image", "path": "films/1.png"},
                                               {"type": "text", "text": "Describe this X-ray."}]},
                  {"role": "assistant", "content": "FINDINGS: ..."}],
     "group": "patient 17", "task": "draft", "weight": 1.0}

`group`, `task` and `weight` may be left out. An image part names a file by `path`, or holds it: `data` (base64), an
OpenAI `image_url` with a data: URL, or in Parquet `bytes`. Nothing is fetched from a network. A preference row has
`prompt` (messages, the user's last), `chosen` and `rejected` (texts) in place of `messages`. A bad row never stops the
reading: each is reported by file, line and reason, without its contents, and the caller decides.

An answer may open with reasoning as the model writes it, `<unused94>thought\\n...<unused95>`: its two markers are
learnt as the tokens they are. An answer that spells any other control token is a bad row.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aris.errors import DataError, why_not_imported
from aris.tuning.data.examples import Conversation, Turn, split_reasoning
from aris.tuning.data.image_folders import Labels, read_image_folder
from aris.tuning.data.images import ImageBank

_ROLES = ("system", "user", "assistant")
_FIELDS = {"messages", "group", "task", "weight"}
_MESSAGE_FIELDS = {"role", "content"}
_PAIR_FIELDS = {"prompt", "chosen", "rejected", "group", "task", "weight"}


@dataclass(frozen=True)
class BadExample:
    """A row that was left out; prints as `file:line: reason`, without the line (0) where a file is a row."""

    file: Path
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.reason}" if self.line else f"{self.file}: {self.reason}"


@dataclass(frozen=True)
class PreferencePair:
    """A preference: two conversations that differ in the last answer alone.

    Attributes:
        chosen: ends with the better answer (a signed report).
        rejected: ends with the worse one (the draft that it corrected).
    """

    chosen: Conversation
    rejected: Conversation

    @property
    def group(self) -> str:
        """Group that the pair is about."""
        return self.chosen.group


class _RowError(Exception):
    """The reason why a row is bad."""


def read_examples(
    path: Path, bank: ImageBank, root: Path | None = None, labels: Labels | None = None
) -> tuple[list[tuple[int, Conversation | PreferencePair]], list[BadExample]]:
    """Read the good rows of a JSON Lines or Parquet file, each with its line (in Parquet: its row) from 1, and the bad.

    Args:
        bank: receives the rows' images.
        root: start of relative image paths; the file's own folder by default. No path may lead out of it.
        labels: for a folder of images in a folder for each class; its images are numbered in order of name.

    Raises:
        DataError: the file cannot be read at all.
    """
    if path.is_dir():
        found, wrong = read_image_folder(path, bank, labels)
        return list(enumerate(found, 1)), [BadExample(each.file, 0, each.reason) for each in wrong]
    base = (root or path.parent).resolve()
    good: list[tuple[int, Conversation | PreferencePair]] = []
    bad: list[BadExample] = []
    for number, read in _raw_rows(path):
        try:
            row = _loaded(read) if isinstance(read, bytes) else read
            made = _pair(row, bank, base) if _is_pair(row) else _conversation(row, bank, base)
            good.append((number, made))
        except _RowError as reason:
            bad.append(BadExample(path, number, str(reason)))
    return good, bad


def _raw_rows(path: Path) -> Iterator[tuple[int, Any]]:
    """Yield lines as bytes, or the objects of a Parquet file, numbered from 1."""
    if path.suffix == ".parquet":
        try:
            import pyarrow.parquet as parquet
        except ImportError as error:
            why = why_not_imported(error, "pyarrow")
            raise DataError(f"{path}: reading Parquet needs pyarrow ({why}); install it, or give JSON Lines") from None
        try:
            file = parquet.ParquetFile(path)
            number = 0
            for batch in file.iter_batches(batch_size=256):
                for row in batch.to_pylist():
                    number += 1
                    yield number, _without_nulls(row)
        except (OSError, ValueError) as error:  # whose words may quote a row
            raise DataError(f"{path}: not readable as Parquet ({type(error).__name__}); write it again") from None
        return
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError:
        raise DataError(f"{path}: not readable; give a JSON Lines file of conversations") from None
    yield from ((number, line) for number, line in enumerate(lines, 1) if line.strip())


def _without_nulls(value: Any) -> Any:
    """Drop the fields that a Parquet row left out: a struct has every field of its column, and those come as None."""
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value


def _loaded(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise _RowError("not JSON") from None
    except RecursionError:
        raise _RowError("nested too deep") from None


def _is_pair(row: Any) -> bool:
    return isinstance(row, dict) and "messages" not in row and bool({"chosen", "rejected"} & row.keys())


def _pair(row: dict[str, Any], bank: ImageBank, root: Path) -> PreferencePair:
    unknown = set(row) - _PAIR_FIELDS
    if unknown:
        raise _RowError(f"unknown field {sorted(unknown)[0]!r:.40}; known are {', '.join(sorted(_PAIR_FIELDS))}")
    prompt: Any = row.get("prompt")
    if isinstance(prompt, str):
        prompt = [{"role": "user", "content": prompt}]
    if not isinstance(prompt, list) or not prompt:
        raise _RowError("'prompt' must be a text or a list of messages that ends with the user's")
    rest = {key: row[key] for key in ("group", "task", "weight") if key in row}
    made = []
    for name in ("chosen", "rejected"):
        answer = row.get(name)
        if not isinstance(answer, str) or not answer.strip():
            raise _RowError(f"{name!r} must be a text that is not empty")
        messages = [*prompt, {"role": "assistant", "content": answer}]
        made.append(_conversation(rest | {"messages": messages}, bank, root))
    if row["chosen"].strip() == row["rejected"].strip():
        raise _RowError("'chosen' and 'rejected' are the same, so there is nothing to prefer")
    return PreferencePair(*made)


def _conversation(row: Any, bank: ImageBank, root: Path) -> Conversation:
    if not isinstance(row, dict):
        raise _RowError("not an object")
    unknown = set(row) - _FIELDS
    if unknown:
        raise _RowError(f"unknown field {sorted(unknown)[0]!r:.40}; known are {', '.join(sorted(_FIELDS))}")
    messages = row.get("messages")
    if not isinstance(messages, list) or not messages:
        raise _RowError("'messages' must be a list with at least a user's and an assistant's turn")
    task, group, weight = row.get("task", "chat"), row.get("group", ""), row.get("weight", 1.0)
    if not isinstance(task, str) or not task:
        raise _RowError("'task' must be a name")
    if not isinstance(group, str | int) or isinstance(group, bool):
        raise _RowError("'group' must be a text or a whole number")
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 < weight < math.inf:
        raise _RowError("'weight' must be a number above 0")
    roles: list[str] = []
    for index, message in enumerate(messages, 1):
        role = message.get("role") if isinstance(message, dict) else None
        if role not in _ROLES:
            raise _RowError(f"message {index}: the role must be system, user or assistant")
        if unknown := set(message) - _MESSAGE_FIELDS:
            # A weight of 0, images beside the text: to leave such out would train something else than was meant.
            raise _RowError(f"message {index}: unknown field {sorted(unknown)[0]!r:.40}; known are role and content")
        roles.append(role)
    spoken = roles[1:] if roles[0] == "system" else roles
    if not spoken or len(spoken) % 2 or any(r != ("user", "assistant")[i % 2] for i, r in enumerate(spoken)):
        raise _RowError("user and assistant must alternate, from the user to the assistant")
    # Images come last: a row that is bad elsewhere leaves none behind.
    checked = [_parts(message, index) for index, message in enumerate(messages, 1)]
    turns = tuple(
        Turn(role, tuple(part if isinstance(part, str) else _image(part, bank, root) for part in parts))
        for role, parts in zip(roles, checked, strict=True)
    )
    return Conversation(task, turns, str(group), float(weight))


@dataclass(frozen=True)
class _Source:
    """The source of an image: a path, or the file's contents."""

    path: str = ""
    contents: bytes = b""


def _source(part: Any, index: int) -> _Source | None:
    """Return the image of a part; None if the part is not an image."""
    if not isinstance(part, dict) or part.get("type") not in ("image", "image_url"):
        return None
    if isinstance(part.get("path"), str) and "bytes" not in part:
        return _Source(path=part["path"])
    if isinstance(part.get("bytes"), bytes):
        return _Source(contents=part["bytes"])
    encoded = part.get("data")
    url = part.get("image_url", part.get("url"))
    if isinstance(url, dict):
        url = url.get("url")
    if isinstance(url, str):
        head, comma, encoded = url.partition(",")
        if not comma or not head.startswith("data:image/") or not head.endswith(";base64"):
            raise _RowError(f"message {index}: an image's url must be data:image/...;base64; nothing is fetched")
    if not isinstance(encoded, str):
        return None
    try:
        return _Source(contents=base64.b64decode(encoded, validate=True))
    except (binascii.Error, ValueError):
        raise _RowError(f"message {index}: an image's data is not base64") from None


def _parts(message: dict[str, Any], index: int) -> list[str | _Source]:
    """Check a message; return its texts as they are, and its images as their sources."""
    content, role = message.get("content"), message["role"]
    if isinstance(content, str):
        content = [{"type": "text", "text": content}]
    if not isinstance(content, list):
        raise _RowError(f"message {index}: 'content' must be a text or a list of parts")
    parts: list[str | _Source] = []
    for part in content:
        kind = part.get("type") if isinstance(part, dict) else None
        if kind == "text" and isinstance(part.get("text"), str):
            parts.append(part["text"])
        elif (source := _source(part, index)) is not None:
            if role != "user":
                raise _RowError(f"message {index}: only the user's turns may hold images")
            parts.append(source)
        else:
            raise _RowError(f"message {index}: a part must be a text with 'text' or an image with 'path' or 'data'")
    text = "".join(part for part in parts if isinstance(part, str))
    if role == "assistant" and not text.strip():
        raise _RowError(f"message {index}: the assistant's text is empty")
    if role == "assistant":
        try:
            split_reasoning(text)
        except DataError as error:
            raise _RowError(f"message {index}: {error}") from None
    if not text.strip() and not any(isinstance(part, _Source) for part in parts):
        raise _RowError(f"message {index}: it is empty; give a text or an image")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _RowError(f"message {index}: half of a surrogate pair") from None
    return parts


def _image(source: _Source, bank: ImageBank, root: Path) -> int:
    if source.contents:
        try:
            return bank.add(source.contents)
        except (OSError, ValueError) as error:
            raise _RowError(f"an image's data is not a readable image{_why(error)}") from None
    try:
        path = (root / source.path).resolve()
        if not path.is_relative_to(root):
            raise _RowError(f"image {source.path!r:.120} lies outside the data folder")
        return bank.add(path)
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL
        raise _RowError(f"image {source.path!r:.120} is missing or not readable{_why(error)}") from None


def _why(error: Exception) -> str:
    """Return the image reader's reason; the system's own errors name the whole path, and are left out."""
    return f" ({error})" if isinstance(error, OSError) and error.errno is None and str(error) else ""
