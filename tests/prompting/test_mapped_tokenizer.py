"""The tokenizer on mapped tables gives what the library's own gives, on Gemma's whole vocabulary."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st

import tiny_checkpoint
from aris.errors import PromptError
from aris.prompting import Tokenizer, mapped_tokenizer
from aris.prompting.mapped_tokenizer import MappedTokenizer, tables

PIECES = (
    "<", ">", "<unused", "9", "4", " ", "  ", "   a", "\n", "\n\n", "\t", "▁", "▁▁", "the", "Opacity", "ß", "日本",
    "🫁",
    "\x00", "\x7f", "e\u0301", "<td>", "</table>", "[toxicity]", "<start_of_turn>", "<bos>", "<0x41>", "<unused94>",
    "pleural effusion, ", "costophrenic", "12,5 mg/dl", "\u200b", "\ufeff", "\ufffd",
)  # fmt: skip


@pytest.fixture(scope="module")
def library(tokenizer: Tokenizer) -> tokenizers.Tokenizer:
    inner = tokenizer._inner
    assert isinstance(inner, tokenizers.Tokenizer)
    return inner


@pytest.fixture(scope="module")
def made(tokenizer: Tokenizer) -> dict[str, Any]:
    found = tables(tokenizer.to_json())
    assert found is not None
    return found


@pytest.fixture
def mapped(made: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> MappedTokenizer:
    monkeypatch.setattr(MappedTokenizer, "whole", lambda _: pytest.fail("built the library's"))
    monkeypatch.setattr(mapped_tokenizer, "_CHARACTERS", 10**9)
    return MappedTokenizer(made)


def test_texts_of_every_kind_have_the_librarys_ids(mapped: MappedTokenizer, library: tokenizers.Tokenizer) -> None:
    chance = random.Random(5)
    texts = ["", "a", " ", "<", "<start_of_turn>user\nIs there   an effusion?<end_of_turn>\n<start_of_turn>model\n"]
    texts += ["".join(chance.choice(PIECES) for _ in range(chance.randint(1, 25))) for _ in range(800)]
    texts += [" " * 70 + "b", "\n" * 64, "aaaa" * 100, "<unused" * 20]
    for text in texts:
        ids = library.encode(text, add_special_tokens=False).ids
        assert mapped.encode(text).ids == ids, text
        for skip in (True, False):
            assert mapped.decode(ids, skip) == library.decode(ids, skip_special_tokens=skip), text


def test_any_unicode_text(made: dict[str, Any], library: tokenizers.Tokenizer) -> None:
    mapped = MappedTokenizer(made)

    @settings(max_examples=60, deadline=None)
    @given(st.text())
    def check(text: str) -> None:
        mapped._encoded = 0
        assert mapped.encode(text).ids == library.encode(text, add_special_tokens=False).ids

    check()


def test_any_ids_decode_alike(mapped: MappedTokenizer, library: tokenizers.Tokenizer) -> None:
    chance = random.Random(6)
    for _ in range(200):
        ids = [chance.randrange(262_145) for _ in range(20)] + [chance.randrange(236, 500) for _ in range(10)]
        chance.shuffle(ids)
        assert mapped.decode(ids, True) == library.decode(ids, skip_special_tokens=True)


def test_the_vocabulary_is_the_same(mapped: MappedTokenizer, library: tokenizers.Tokenizer) -> None:
    assert mapped.get_vocab() == library.get_vocab(with_added_tokens=True)
    assert mapped.get_vocab_size() == library.get_vocab_size(with_added_tokens=True) == 262_145
    assert mapped.token_to_id("<image_soft_token>") == 262_144 and mapped.token_to_id("no such piece") is None
    assert mapped.id_to_token(262_145) is None and mapped.id_to_token(-1) is None


def test_it_is_a_gemma_tokenizer(made: dict[str, Any], tokenizer: Tokenizer) -> None:
    one = Tokenizer(MappedTokenizer(made))
    for name in ("bos_id", "eos_id", "pad_id", "start_of_turn_id", "image_token_id", "special_ids", "control_ids"):
        assert getattr(one, name) == getattr(tokenizer, name), name
    assert one.longest_token == tokenizer.longest_token and one.to_json() == tokenizer.to_json()
    with pytest.raises(PromptError):
        one.encode("\ud800")


def test_long_texts_are_left_to_the_library(made: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    small = tiny_checkpoint.tokenizer()
    found = tables(small.to_str())
    assert found is not None
    monkeypatch.setattr(mapped_tokenizer, "_CHARACTERS", 30)
    one = MappedTokenizer(found)
    monkeypatch.setattr(MappedTokenizer, "_merged", lambda *_: pytest.fail("encoded in Python"))
    text = "pneumonia, lungs " * 4
    assert one.encode(text).ids == small.encode(text, add_special_tokens=False).ids
    assert one.encode("No").ids == small.encode("No", add_special_tokens=False).ids


@pytest.mark.parametrize(
    "change",
    [
        {"normalizer": None},
        {"pre_tokenizer": {"type": "Whitespace"}},
        {"decoder": {"type": "ByteLevel"}},
        {"truncation": {"direction": "Right", "max_length": 5, "strategy": "LongestFirst", "stride": 0}},
        {"model": {"dropout": 0.5}},
        {"model": {"byte_fallback": False}},
        {"model": {"ignore_merges": True}},
        {"model": {"type": "Unigram"}},
    ],
)
def test_other_forms_have_no_tables(change: dict[str, Any]) -> None:
    whole = json.loads(tiny_checkpoint.tokenizer().to_str())
    assert tables(json.dumps(whole)) is not None
    model = whole["model"] | change.pop("model", {})
    assert tables(json.dumps(whole | {"model": model} | change)) is None


@pytest.mark.parametrize("name", ["normalized", "lstrip", "rstrip", "single_word"])
def test_added_tokens_of_other_kinds_have_no_tables(name: str) -> None:
    whole = json.loads(tiny_checkpoint.tokenizer().to_str())
    whole["added_tokens"][7][name] = True
    assert tables(json.dumps(whole)) is None
    assert tables("no JSON") is None and tables("{}") is None
