"""The tokenizer beside transformers' and SentencePiece's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import tokenizers
from hypothesis import example, given, settings
from hypothesis import strategies as st
from prompting_strategies import CONTROL, GENERATED, TEXTS

from aris.errors import CheckpointError, PromptError
from aris.prompting import Tokenizer


def test_ids_of_gemma_3(tokenizer: Tokenizer) -> None:
    assert (tokenizer.pad_id, tokenizer.eos_id, tokenizer.bos_id) == (0, 1, 2)
    assert (tokenizer.start_of_turn_id, tokenizer.end_of_turn_id) == (105, 106)
    assert (tokenizer.start_of_image_id, tokenizer.end_of_image_id) == (255_999, 256_000)
    assert tokenizer.image_token_id == 262_144
    assert tokenizer.vocab_size == 262145
    assert tokenizer.encode("\n\n") == [108]
    assert len(tokenizer.special_ids) == 10
    assert tokenizer.token_to_id("<unused94>") in tokenizer.control_ids - tokenizer.special_ids


def test_merges_are_transformers(tokenizer: Tokenizer, hf_tokenizer: Any) -> None:
    ours = json.loads(tokenizer._inner.to_str())
    theirs = json.loads(hf_tokenizer._tokenizer.to_str())
    assert ours["model"]["merges"] == theirs["model"]["merges"]
    for part in ("normalizer", "pre_tokenizer", "decoder"):
        assert ours[part] == theirs[part]
    # As published for Gemma 3's tokenizer.json: the number of merges, and the first of them.
    assert len(ours["model"]["merges"]) == 514_906
    assert ours["model"]["merges"][0] == ["\n" * 30, "\n"]


@settings(GENERATED, max_examples=100)
@given(TEXTS | st.lists(st.sampled_from(CONTROL) | TEXTS, max_size=6).map("".join))
@example("")
@example(" " * 64 + "x")
@example("▁▁▁ ▁ x▁")
def test_encode_equals_transformers(tokenizer: Tokenizer, hf_tokenizer: Any, text: str) -> None:
    assert tokenizer.encode(text) == hf_tokenizer.encode(text, add_special_tokens=False)


@settings(GENERATED, max_examples=100)
@given(TEXTS.filter(lambda text: "▁▁" not in text))
@example(" " * 31 + "a" + " " * 33 + "\t" * 40 + "\n" * 40)
def test_encode_equals_sentencepiece(tokenizer: Tokenizer, sentencepiece_model: Any, text: str) -> None:
    # Left out: a run of the character "▁" itself. There transformers finds an added token in the raw text where
    # SentencePiece takes it for spaces, and we go with transformers (see the example above).
    assert tokenizer.encode(text) == sentencepiece_model.encode(text)


@settings(GENERATED, max_examples=60)
@given(TEXTS.filter(lambda text: "▁" not in text))
@example("<eos>")  # a text may spell a control token
def test_decode_gives_the_text_back(tokenizer: Tokenizer, text: str) -> None:
    assert tokenizer.decode(tokenizer.encode(text), skip_special_tokens=False) == text


@settings(GENERATED, max_examples=60)
@given(st.lists(st.integers(0, 262_144) | st.integers(0, 500), max_size=20), st.booleans())
def test_decode_equals_transformers(tokenizer: Tokenizer, hf_tokenizer: Any, ids: list[int], skip: bool) -> None:
    assert tokenizer.decode(ids, skip) == hf_tokenizer.decode(ids, skip_special_tokens=skip)


def test_thinking_markers_survive_decoding(tokenizer: Tokenizer) -> None:
    ids = tokenizer.encode("<unused94>thought\nlook<unused95>Normal.<end_of_turn>")
    assert tokenizer.decode(ids) == "<unused94>thought\nlook<unused95>Normal."
    assert tokenizer.decode(ids, skip_special_tokens=False).endswith("<end_of_turn>")


def test_bos_is_added_once(tokenizer: Tokenizer) -> None:
    assert tokenizer.encode("lungs", add_bos=True)[0] == 2
    assert tokenizer.encode("<bos>lungs", add_bos=True) == tokenizer.encode("lungs", add_bos=True)
    assert tokenizer.encode("", add_bos=True) == [2]


def test_lone_surrogate_is_refused(tokenizer: Tokenizer) -> None:
    with pytest.raises(PromptError, match="surrogate"):
        tokenizer.encode("x\ud83e")


@settings(GENERATED, max_examples=100)
@given(TEXTS, st.booleans())
def test_stream_equals_decode(tokenizer: Tokenizer, text: str, skip: bool) -> None:
    ids = [*tokenizer.encode(text), tokenizer.end_of_turn_id]
    decoder = tokenizer.stream_decoder(skip)
    pieces = [decoder.push(token) for token in ids]
    assert all("\ufffd" not in piece for piece in pieces) or "\ufffd" in text
    assert "".join(pieces) + decoder.flush() == tokenizer.decode(ids, skip)


def test_stream_keeps_characters_whole_and_spaces(tokenizer: Tokenizer) -> None:
    ids = tokenizer.encode(" the \U000e0100x")  # a variation selector outside the vocabulary: four byte tokens
    decoder = tokenizer.stream_decoder()
    assert [piece for piece in map(decoder.push, ids) if piece] == [" the", " ", "\U000e0100", "x"]


def test_stream_ends_inside_a_character(tokenizer: Tokenizer) -> None:
    decoder = tokenizer.stream_decoder()
    ids = tokenizer.encode("\U000e0100")
    assert [decoder.push(token) for token in ids[:-1]] == [""] * (len(ids) - 1)
    assert decoder.flush() == "\ufffd"
    assert decoder.push(tokenizer.encode("x")[0]) == "x"
    assert [decoder.push(ids[0]), decoder.push(tokenizer.encode("x")[0])] == ["", "\ufffdx"]


def test_from_file_reads_what_gguf_gave(tokenizer: Tokenizer, tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    tokenizer._inner.save(str(path))
    again = Tokenizer.from_file(path)
    text = "Heart size   normal.\n\n\n<start_of_image><table>\t\tµ🫁"
    assert again.encode(text) == tokenizer.encode(text)
    assert again.control_ids == tokenizer.control_ids


def test_bad_files_give_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="not found"):
        Tokenizer.from_file(tmp_path / "tokenizer.json")
    damaged = tmp_path / "damaged.json"
    damaged.write_text('{"version": "1.0", "model"')
    with pytest.raises(CheckpointError, match="not a readable tokenizer") as caught:
        Tokenizer.from_file(damaged)
    assert "\n" not in str(caught.value)
    foreign = tmp_path / "foreign.json"
    tokenizers.Tokenizer(tokenizers.models.BPE()).save(str(foreign))
    with pytest.raises(CheckpointError, match="<bos>"):
        Tokenizer.from_file(foreign)
