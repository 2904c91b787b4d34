"""A GGUF file's vocabulary as a `tokenizers` tokenizer, equal to the `tokenizer.json` that Gemma 3 ships.

Gemma's tokenizer is a SentencePiece model of type BPE: pieces with scores, byte fallback, no dummy prefix, spaces
written as "▁" (U+2581). GGUF keeps the pieces, scores and types (`tokenizer.ggml.model` is "llama"). SentencePiece
joins the pair whose joined piece scores best; `tokenizers` wants the pairs listed, best first. Each piece therefore
becomes one merge for every way to cut it into two pieces, ordered by score and then by the lengths of the halves:
what transformers' SentencePiece converter did to make Gemma's `tokenizer.json`.

Things that GGUF writers change are undone here: runs of spaces are stored with real spaces instead of "▁", pieces
other than normal ones get a made-up score (-1000) where SentencePiece has 0, control tokens get the type of words,
and scores are left out or all the same.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

import numpy as np
import tokenizers
from tokenizers import AddedToken, decoders, models, normalizers, pre_tokenizers

from aris.checkpoints.pieces import (
    CONTROL,
    IMAGE_SOFT_TOKEN,
    NORMAL,
    SPECIAL_TOKENS,
    UNKNOWN,
    USER_DEFINED,
    kind_of,
)
from aris.errors import CheckpointError

# Changes when the same vocabulary would give another tokenizer, so that old cache entries are not read.
_FORMAT = b"gemma-bpe-2"
_SPACES = re.compile(" +")


def _merges(pieces: Sequence[str], scores: Sequence[float], vocabulary: dict[str, int]) -> Iterator[tuple[str, str]]:
    """Every cut of a piece into two pieces: best score first, then longer left half, then longer right half."""
    order = sorted(range(len(pieces)), key=lambda index: -scores[index])  # stable: equal scores stay in id order
    for _, group in groupby(order, key=lambda index: scores[index]):
        cuts = []
        for index in group:
            piece = pieces[index]
            for end in range(len(piece) - 1, 0, -1):
                left, right = piece[:end], piece[end:]
                if left in vocabulary and right in vocabulary:
                    cuts.append((left, right))
        # Normal pieces have distinct scores, so this sorts only the runs of spaces and the like, all of score 0.
        # Longest first lets a run of spaces grow to 31 from its left end, as SentencePiece's longest match does.
        cuts.sort(key=lambda cut: (-len(cut[0]), -len(cut[1])))
        yield from cuts


def build(tokens: Sequence[str], scores: Sequence[float], types: Sequence[int]) -> tokenizers.Tokenizer:
    """Make the tokenizer anew, in a few seconds for 262,144 tokens. Arguments and errors as `from_vocabulary`."""
    kinds = [kind_of(token, int(kind)) for token, kind in zip(tokens, types, strict=True)]
    pieces = [
        "▁" * len(token) if kind == USER_DEFINED and _SPACES.fullmatch(token) else token
        for token, kind in zip(tokens, kinds, strict=True)
    ]
    if not np.isfinite(np.asarray(scores, dtype=np.float32)).all():
        raise CheckpointError("GGUF vocabulary: some scores are no numbers; the file is damaged")
    words = [float(score) for score, kind in zip(scores, kinds, strict=True) if kind == NORMAL]
    if len(set(words)) == 1:
        first = kinds.index(NORMAL)  # Gemma's pieces stand in the order of their scores, the first has 0
        scores = [float(first - index) for index in range(len(pieces))]
    spm_scores = [float(score) if kind == NORMAL else 0.0 for score, kind in zip(scores, kinds, strict=True)]
    vocabulary = {piece: index for index, piece in enumerate(pieces)}
    if len(vocabulary) != len(pieces):
        raise CheckpointError("GGUF vocabulary: some tokens occur twice; the file is damaged or not of Gemma 3")
    tokenizer = tokenizers.Tokenizer(
        models.BPE(
            vocab=vocabulary,
            merges=list(_merges(pieces, spm_scores, vocabulary)),
            unk_token="<unk>",
            fuse_unk=True,
            byte_fallback=True,
        )
    )
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    # No space is left to split at after the normalizer; Gemma's tokenizer.json has this step, so it is here too.
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    # Added tokens are cut out of the raw text before normalizing and merging: leftmost first, then longest. Thus runs
    # of newlines and tabs never merge with words. The runs of spaces are spelt "▁▁" here and match no raw space:
    # those do go through the merges. Both is as in Gemma's tokenizer.json.
    tokenizer.add_tokens(
        [
            AddedToken(piece, normalized=False, special=piece in SPECIAL_TOKENS)
            for piece, kind in zip(pieces, kinds, strict=True)
            if kind in (UNKNOWN, CONTROL, USER_DEFINED)
        ]
    )
    if IMAGE_SOFT_TOKEN not in vocabulary:
        # Text-only files end at 262,143; the soft token's id is the next one, as in every multimodal Gemma 3.
        tokenizer.add_special_tokens([AddedToken(IMAGE_SOFT_TOKEN, normalized=False, special=True)])
    return tokenizer


def from_vocabulary(
    tokens: Sequence[str], scores: Sequence[float], types: Sequence[int], *, cache_dir: Path | None = None
) -> tokenizers.Tokenizer:
    """The tokenizer of a GGUF vocabulary, built once and then read from a cache.

    Args:
        tokens, scores, types: `tokenizer.ggml.tokens`, `.scores` and `.token_type`, of equal length. Scores that are
            all the same mean that pieces were learnt in the order of their ids.
        cache_dir: where built tokenizers are kept; by default the user's cache folder (platformdirs). One that
            cannot be written, or an entry that is damaged, costs the time to build and nothing else.

    Raises:
        CheckpointError: the vocabulary is not one of Gemma's.
    """
    if not len(tokens) == len(scores) == len(types):
        raise CheckpointError(
            f"GGUF vocabulary: {len(tokens)} tokens, {len(scores)} scores and {len(types)} types; the file is damaged"
        )
    missing = {"<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>"}.difference(tokens)
    if missing:
        raise CheckpointError(f"GGUF vocabulary: no token {sorted(missing)[0]}; Aris runs Gemma 3 and MedGemma")
    folder = cache_dir or _user_cache()
    entry = folder / f"{_content_hash(tokens, scores, types)}.tokenizer" if folder else None
    tokenizer = _read(entry) if entry else None
    if tokenizer is None:
        tokenizer = build(tokens, scores, types)
        if entry:
            _write(entry, tokenizer)
    return tokenizer


def _content_hash(tokens: Sequence[str], scores: Sequence[float], types: Sequence[int]) -> str:
    digest = hashlib.sha256(_FORMAT + tokenizers.__version__.encode())
    digest.update("\0".join(tokens).encode("utf-8", "surrogatepass"))
    digest.update(np.asarray(scores, dtype="<f4").tobytes())
    digest.update(np.asarray(types, dtype="<i4").tobytes())
    return digest.hexdigest()


def _user_cache() -> Path | None:
    """The folder for built tokenizers, or None where platformdirs is not installed (it is optional in this room)."""
    try:
        import platformdirs
    except ImportError:
        return None
    return Path(platformdirs.user_cache_dir("aris")) / "tokenizers"


def _read(entry: Path) -> tokenizers.Tokenizer | None:
    """A cache entry: the sha256 of a tokenizer.json, a newline, the tokenizer.json. None if absent or damaged."""
    try:
        digest, _, content = entry.read_bytes().partition(b"\n")
    except OSError:
        return None
    if hashlib.sha256(content).hexdigest().encode() != digest:
        return None
    try:
        return tokenizers.Tokenizer.from_buffer(content)
    except Exception:  # tokenizers raises bare Exception; an entry that it cannot read is built again
        return None


def _write(entry: Path, tokenizer: tokenizers.Tokenizer) -> None:
    """Write to a file of our own and rename it: readers and other writers see a whole entry or none."""
    content = tokenizer.to_str().encode()
    partial = None
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=entry.parent, suffix=".partial", delete=False) as file:
            partial = Path(file.name)
            file.write(hashlib.sha256(content).hexdigest().encode() + b"\n" + content)
        partial.replace(entry)
    except OSError:  # a read-only home, a full disk: the cache is a convenience
        if partial:
            partial.unlink(missing_ok=True)
