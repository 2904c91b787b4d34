"""Gemma's tokenizer on tables that are mapped from a file: ready at once, where building the library's takes seconds.

It stands in for a `tokenizers.Tokenizer` of the one form that Gemma has: byte-pair merges over the text as a whole with
"▁" for spaces, bytes for what has no piece, added tokens cut out of the raw text first (leftmost, then longest). Short
texts are encoded here, in Python; the first long one, and all after it, by the library's own tokenizer, which is built
then. Both give the same ids.
"""

from __future__ import annotations

import gc
import hashlib
import heapq
import json
import re
import threading
from bisect import bisect_left
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import tokenizers

# Changes when the same tables would mean another tokenizer.
FORMAT = 1
# Characters that are encoded here in all: about 15 us each, so 0.3 s, and a tenth of what building the library's takes.
_CHARACTERS = 20_000
_SPACE = "▁"
_BYTE = re.compile("<0x([0-9A-F]{2})>")
# The parts of a tokenizer.json that this module knows, beside vocabulary, merges and added tokens.
_REPLACE = {"type": "Replace", "pattern": {"String": " "}, "content": _SPACE}
_SPLIT = {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False}
_DECODERS = [
    {"type": "Replace", "pattern": {"String": _SPACE}, "content": " "},
    {"type": "ByteFallback"},
    {"type": "Fuse"},
]


class Added(NamedTuple):
    """An added token."""

    content: str
    special: bool


class Ids(NamedTuple):
    """Token ids of a text, as `encode` gives them."""

    ids: list[int]


def tables(source: str) -> dict[str, npt.NDArray[Any]] | None:
    """The tables of a tokenizer.json's text, in some seconds; None if it is of another form than Gemma's."""
    collecting = gc.isenabled()
    gc.disable()  # a million small objects are made, none of which is garbage: three times quicker
    try:
        made = _tables(json.loads(source))
        return None if made is None else made | {"source": np.frombuffer(source.encode(), dtype=np.uint8)}
    except (KeyError, TypeError, ValueError, AttributeError, IndexError):
        return None
    finally:
        if collecting:
            gc.enable()


def _tables(whole: dict[str, Any]) -> dict[str, npt.NDArray[Any]] | None:
    model = whole["model"]
    added = whole["added_tokens"]
    plain = not any(model.get(name) for name in ("dropout", "ignore_merges", "end_of_word_suffix"))
    plain &= not model.get("continuing_subword_prefix") and model.get("type", "BPE") == "BPE"
    plain &= bool(model.get("byte_fallback")) and not whole.get("truncation") and not whole.get("padding")
    plain &= whole.get("normalizer") == _REPLACE and whole.get("pre_tokenizer") in (None, _SPLIT)
    plain &= (whole.get("decoder") or {}).get("decoders") == _DECODERS
    plain &= not any(each[name] for each in added for name in ("normalized", "single_word", "lstrip", "rstrip"))
    vocabulary: dict[str, int] = model["vocab"]
    pieces = {index: piece for piece, index in vocabulary.items()}
    plain &= len(pieces) == len(vocabulary) and all(f"<0x{value:02X}>" in vocabulary for value in range(256))
    for each in added:
        plain &= vocabulary.get(each["content"], each["id"]) == each["id"]
        plain &= pieces.setdefault(each["id"], each["content"]) == each["content"]
    if not plain or not all(pieces.values()) or min(pieces) < 0 or max(pieces) > 4 * len(pieces):
        return None
    halves = [merge.split(" ") if isinstance(merge, str) else merge for merge in model["merges"]]
    left, right, joined = (
        np.fromiter((vocabulary[part] for part in parts), dtype=np.uint64, count=len(halves))
        for parts in ((one for one, _ in halves), (two for _, two in halves), (one + two for one, two in halves))
    )
    # Of a pair that is there twice the last counts, as in the library.
    keys, last = np.unique((left << np.uint64(32) | right)[::-1], return_index=True)
    rank = len(halves) - 1 - last
    words = [pieces.get(index, "").encode() for index in range(max(pieces) + 1)]
    hashes = np.fromiter(map(_hash, words), dtype=np.uint64, count=len(words))
    order = np.argsort(hashes, kind="stable")
    present = order[np.array([bool(word) for word in words])[order]].astype(np.uint32)
    return {
        "text": np.frombuffer(b"".join(words), dtype=np.uint8),
        "ends": np.cumsum([0, *map(len, words)], dtype=np.uint64).astype(np.uint32),
        "hashes": hashes[present],
        "hashed": present,
        "pairs": keys,
        "ranks": rank.astype(np.uint32),
        "joined": joined[rank].astype(np.uint32),
        "added": np.array([each["id"] for each in added], dtype=np.uint32),
        "special": np.array([each["special"] for each in added], dtype=np.uint8),
        "longest": np.array([max(map(len, pieces.values()))], dtype=np.uint32),
    }


class MappedTokenizer:
    """A tokenizer on `tables`, with those methods of `tokenizers.Tokenizer` that `tokenizer.Tokenizer` calls."""

    def __init__(self, given: Mapping[str, npt.NDArray[Any]]) -> None:
        self._source = given["source"]
        self._text = given["text"].data
        # Views of memory: `bisect` on them is quicker than NumPy on one value.
        self._ends, self._hashes, self._hashed, self._pairs, self._ranks, self._joined = (
            given[name].data for name in ("ends", "hashes", "hashed", "pairs", "ranks", "joined")
        )
        self._pair_table = given["pairs"]
        self._count = len(self._ends) - 1
        self.longest = int(given["longest"][0])
        special = given["special"].tolist()
        self._added = {
            index: Added(self._piece(index), bool(flag))
            for index, flag in zip(given["added"].tolist(), special, strict=True)
        }
        self._of_added = {each.content: index for index, each in self._added.items()}
        by_first: dict[str, set[int]] = {}
        for each in self._added.values():
            by_first.setdefault(each.content[0], set()).add(len(each.content))
        self._lengths = {first: sorted(sizes, reverse=True) for first, sizes in by_first.items()}
        self._firsts = re.compile("[" + "".join(map(re.escape, by_first)) + "]") if by_first else re.compile("(?!)")
        self._letters: dict[str, list[int]] = {}
        self._encoded = 0
        self._whole: tokenizers.Tokenizer | None = None
        self._building = threading.Lock()

    def whole(self) -> tokenizers.Tokenizer:
        """The library's tokenizer, built at the first call (seconds)."""
        with self._building:
            if self._whole is None:
                self._whole = tokenizers.Tokenizer.from_buffer(self._source.tobytes())
        return self._whole

    def to_str(self) -> str:
        """The tokenizer.json."""
        return self._source.tobytes().decode()

    def token_to_id(self, token: str) -> int | None:
        """See `tokenizers.Tokenizer`."""
        index = self._of_added.get(token)
        return self._index(token.encode("utf-8", "surrogatepass")) if index is None else index

    def id_to_token(self, token_id: int) -> str | None:
        """See `tokenizers.Tokenizer`."""
        return (self._piece(token_id) or None) if 0 <= token_id < self._count else None

    def get_added_tokens_decoder(self) -> dict[int, Added]:
        """See `tokenizers.Tokenizer`."""
        return dict(self._added)

    def get_vocab_size(self, with_added_tokens: bool = True) -> int:
        """See `tokenizers.Tokenizer`; added tokens count."""
        return len(self._hashed)

    def get_vocab(self, with_added_tokens: bool = True) -> dict[str, int]:
        """See `tokenizers.Tokenizer`; added tokens are among them."""
        text, ends = self._text.tobytes(), self._ends.tolist()
        return {
            text[ends[index] : ends[index + 1]].decode(): index
            for index in range(self._count)
            if ends[index] < ends[index + 1]
        }

    def encode(self, text: str, add_special_tokens: bool = False) -> Ids | tokenizers.Encoding:
        """See `tokenizers.Tokenizer`; special tokens are not added.

        Raises:
            UnicodeEncodeError: the text has no UTF-8 form.
        """
        text.encode()
        if self._whole is None:
            self._encoded += len(text)
        if self._whole is not None or self._encoded > _CHARACTERS:
            return self.whole().encode(text, add_special_tokens=False)
        ids: list[int] = []
        start = at = 0
        while (found := self._firsts.search(text, at)) is not None:
            at = found.start()
            for length in self._lengths[text[at]]:
                index = self._of_added.get(text[at : at + length])
                if index is not None and len(text) >= at + length:
                    ids += self._merged(text[start:at])
                    ids.append(index)
                    start = at = at + length
                    break
            else:
                at += 1
        return Ids(ids + self._merged(text[start:]))

    def decode(self, ids: list[int], skip_special_tokens: bool = True) -> str:
        """See `tokenizers.Tokenizer`."""
        out: list[str] = []
        pending = bytearray()

        def flush() -> None:
            if pending:
                try:
                    out.append(pending.decode())
                except UnicodeDecodeError:
                    out.append("\ufffd" * len(pending))
                pending.clear()

        for index in ids:
            token = self.id_to_token(index)
            added = self._added.get(index)
            if token is None or (skip_special_tokens and added is not None and added.special):
                continue
            byte = _BYTE.fullmatch(token)
            if byte is not None:
                pending.append(int(byte[1], 16))
                continue
            flush()
            out.append(token.replace(_SPACE, " "))
        flush()
        return "".join(out)

    def _piece(self, index: int) -> str:
        return self._text[self._ends[index] : self._ends[index + 1]].tobytes().decode()

    def _index(self, word: bytes) -> int | None:
        wanted = _hash(word)
        at = bisect_left(self._hashes, wanted)
        while at < len(self._hashes) and self._hashes[at] == wanted:
            index = self._hashed[at]
            if self._text[self._ends[index] : self._ends[index + 1]] == word:
                return int(index)
            at += 1
        return None

    def _letter(self, letter: str) -> list[int]:
        """The piece of a character, or its bytes'."""
        found = self._letters.get(letter)
        if found is None:
            index = self._index(letter.encode())
            bytes_of = (self._index(b"<0x%02X>" % value) for value in letter.encode())
            found = [each for each in bytes_of if each is not None] if index is None else [index]
            self._letters[letter] = found
        return found

    def _merged(self, text: str) -> list[int]:
        """A text without added tokens: the pair of the best rank is joined, the leftmost first, until none is left."""
        ids = [index for letter in text.replace(" ", _SPACE) for index in self._letter(letter)]
        if len(ids) < 2:
            return ids
        count = len(ids)
        after, before = [*range(1, count), -1], [-1, *range(count - 1)]
        queue: list[tuple[int, int, int]] = []
        row = np.array(ids, dtype=np.uint64)
        wanted = row[:-1] << np.uint64(32) | row[1:]
        table = self._pair_table
        positions = np.minimum(np.searchsorted(table, wanted), max(0, len(table) - 1))
        for at in np.nonzero(table[positions] == wanted)[0].tolist() if len(table) else []:
            position = int(positions[at])
            queue.append((self._ranks[position], at, self._joined[position]))
        heapq.heapify(queue)
        while queue:
            _, at, joined = heapq.heappop(queue)
            following = after[at]
            if ids[at] < 0 or following < 0 or self._pair(ids[at], ids[following])[1] != joined:
                continue  # of symbols that are joined with others by now
            ids[at], ids[following] = joined, -1
            after[at] = after[following]
            if after[at] >= 0:
                before[after[at]] = at
                rank, index = self._pair(joined, ids[after[at]])
                if index >= 0:
                    heapq.heappush(queue, (rank, at, index))
            if before[at] >= 0:
                rank, index = self._pair(ids[before[at]], joined)
                if index >= 0:
                    heapq.heappush(queue, (rank, before[at], index))
        return [index for index in ids if index >= 0]

    def _pair(self, left: int, right: int) -> tuple[int, int]:
        """(rank, what the two become), or (-1, -1)."""
        wanted = left << 32 | right
        at = bisect_left(self._pairs, wanted)
        if at < len(self._pairs) and self._pairs[at] == wanted:
            return self._ranks[at], self._joined[at]
        return -1, -1


def _hash(word: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(word, digest_size=8).digest(), "little")
