"""The cache of tokenizers built from GGUF vocabularies, and vocabularies that are not Gemma's."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import tokenizers

from aris.errors import CheckpointError
from aris.prompting import Tokenizer, gguf_vocabulary

TOKENS = ["<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>", "<start_of_image>", "<end_of_image>",
          "  ",
          *(f"<0x{value:02X}>" for value in range(256)), "he", "▁he", "▁heart", "ar", "art", *"▁heart"]  # fmt: skip
TYPES = [3, 3, 3, 2, 3, 3, 4, 4, 4, *[6] * 256, *[1] * 11]
SCORES = [-1000.0] * 9 + [0.0] * 256 + [-float(index) for index in range(11)]


def build(cache: Path | None, scores: list[float] = SCORES) -> tokenizers.Tokenizer:
    return gguf_vocabulary.from_vocabulary(TOKENS, scores, TYPES, cache_dir=cache)


def tokens_of(tokenizer: tokenizers.Tokenizer) -> list[str]:
    return tokenizer.encode("  heart heart", add_special_tokens=False).tokens


EXPECTED = ["▁▁", "he", "art", "▁heart"]


def test_small_vocabulary(tmp_path: Path) -> None:
    tokenizer = build(tmp_path)
    assert tokens_of(tokenizer) == EXPECTED
    assert tokenizer.token_to_id("<image_soft_token>") == len(TOKENS)
    assert not list(tmp_path.glob("*.partial"))


def test_second_time_comes_from_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(gguf_vocabulary, "build", lambda *_: pytest.fail("built again"))
        assert tokens_of(build(tmp_path)) == EXPECTED
    build(tmp_path, [*SCORES[:-1], -50.0])  # other scores are another tokenizer
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "not json", "folder"])
def test_damaged_entry_is_built_again(tmp_path: Path, damage: str) -> None:
    build(tmp_path)
    (entry,) = tmp_path.iterdir()
    content = entry.read_bytes()
    if damage == "folder":
        entry.unlink()
        entry.mkdir()
    elif damage == "not json":
        text = b"{}"
        entry.write_bytes(gguf_vocabulary.hashlib.sha256(text).hexdigest().encode() + b"\n" + text)
    else:
        middle = len(content) // 2
        flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
        entry.write_bytes({"cut": content[:-9], "flipped": flipped, "empty": b""}[damage])
    assert tokens_of(build(tmp_path)) == EXPECTED
    if damage != "folder":
        assert entry.read_bytes() == content
    assert not list(tmp_path.glob("*.partial"))


def test_works_where_nothing_can_be_written(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    assert tokens_of(build(blocked / "cache")) == EXPECTED


def test_works_without_platformdirs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "platformdirs", None)
    assert tokens_of(build(None)) == EXPECTED


def test_user_cache_is_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda name: str(tmp_path / name))
    Tokenizer.from_gguf(TOKENS, SCORES, TYPES)
    assert len(list((tmp_path / "aris" / "tokenizers").iterdir())) == 1


def test_writers_at_the_same_time(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: tokens_of(build(tmp_path)), range(32)))
    assert results == [EXPECTED] * 32
    assert [path.suffix for path in tmp_path.iterdir()] == [".tokenizer"]


def test_foreign_and_damaged_vocabularies(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="damaged"):
        gguf_vocabulary.from_vocabulary(TOKENS, SCORES[:-1], TYPES, cache_dir=tmp_path)
    with pytest.raises(CheckpointError, match="Gemma"):
        gguf_vocabulary.from_vocabulary(TOKENS[4:], SCORES[4:], TYPES[4:], cache_dir=tmp_path)
    with pytest.raises(CheckpointError, match="twice"):
        gguf_vocabulary.from_vocabulary([*TOKENS[:-1], "▁"], SCORES, TYPES, cache_dir=tmp_path)
    assert not list(tmp_path.iterdir())


# Every kind of piece that Gemma 3 has, in its order.
SPOKEN = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "[multimodal]", *(f"<unused{index}>" for index in range(99)),
          "<start_of_turn>", "<end_of_turn>", "\n", "\n\n", "  ", "   ", "<table>", "</table>",
          *(f"<0x{value:02X}>" for value in range(256)), "in", "▁t", "er", "▁th", "▁the", "\t", "\t\t",
          "<start_of_image>", "<end_of_image>", *"▁thenira<>b[]"]  # fmt: skip
SPOKEN_TYPES = [3, 3, 3, 2, 3, 4, *[3] * 101, *[4] * 6, *[6] * 256, *[1] * 5, 4, 4, 4, 4, *[1] * 13]
SPOKEN_SCORES = [-float(max(0, index - 369)) if kind == 1 else -1000.0 for index, kind in enumerate(SPOKEN_TYPES)]


@pytest.mark.parametrize("lost", ["types", "control", "unused", "scores", "both"])
def test_types_and_scores_that_a_converter_lost(lost: str) -> None:
    assert len(SPOKEN) == len(SPOKEN_TYPES) and SPOKEN[369] == "in"
    good = Tokenizer(gguf_vocabulary.build(SPOKEN, SPOKEN_SCORES, SPOKEN_TYPES))
    text = "<start_of_turn>the  in\n\n\nther <table><unused94>\t\t\tinn<unused95>   b[multimodal]é<end_of_turn>"
    assert [good.id_to_token(index) for index in good.encode(text)] == [
        "<start_of_turn>", "t", "h", "e", "▁▁", "in", "\n\n", "\n", "t", "h", "er", "▁", "<table>", "<unused94>",
        "\t\t", "\t", "in", "n", "<unused95>", "▁▁▁", "b", "[multimodal]", "<0xC3>", "<0xA9>", "<end_of_turn>",
    ]  # fmt: skip
    kinds = {
        "types": [1] * len(SPOKEN),
        "control": [1 if kind == 3 else kind for kind in SPOKEN_TYPES],
        "unused": [5 if kind in (3, 4) else kind for kind in SPOKEN_TYPES],
        "both": [1] * len(SPOKEN),
    }.get(lost, SPOKEN_TYPES)
    scores = [0.0] * len(SPOKEN) if lost in ("scores", "both") else SPOKEN_SCORES
    other = Tokenizer(gguf_vocabulary.build(SPOKEN, scores, kinds))
    assert other._inner.to_str() == good._inner.to_str()
    assert (other.special_ids, other.control_ids) == (good.special_ids, good.control_ids)


def test_scores_that_are_no_numbers() -> None:
    with pytest.raises(CheckpointError, match="no numbers"):
        build(None, [*SCORES[:-1], float("nan")])
