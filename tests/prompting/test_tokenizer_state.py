"""What a `tokenizer.json` holds beside the vocabulary does not change the ids: one way to cut a text is Gemma 3's."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tokenizers
from tokenizers import AddedToken, models, normalizers, pre_tokenizers, processors

sys.path.insert(0, str(Path(__file__).parent.parent))
import tiny_checkpoint
from aris.errors import CheckpointError, PromptError
from aris.prompting import PromptProcessor, Tokenizer, user
from aris.prompting.prompt import Prompt

TEXT = "  Yes, the lungs:\n\n\n pneumonia <unused94> <end_of_turn> x " + "and so on " * 20


def _ids(tokenizer: Tokenizer) -> tuple[list[int], list[int], str]:
    prompt = PromptProcessor(tokenizer, None)([user(TEXT)])
    ids = tokenizer.encode(TEXT)
    return prompt.token_ids, ids, tokenizer.decode([*ids, tokenizer.encode("<unused95>")[0]])


def _truncation(inner: tokenizers.Tokenizer) -> None:
    inner.enable_truncation(64)


def _left_truncation(inner: tokenizers.Tokenizer) -> None:
    inner.enable_truncation(64, stride=3, direction="left")


def _padding(inner: tokenizers.Tokenizer) -> None:
    inner.enable_padding(length=4096, pad_id=0, pad_token="<pad>", direction="left")


def _padding_beyond_memory(inner: tokenizers.Tokenizer) -> None:
    inner.enable_padding(length=10**15)


def _padding_to_a_multiple(inner: tokenizers.Tokenizer) -> None:
    inner.enable_padding(pad_to_multiple_of=64)


def _template(inner: tokenizers.Tokenizer) -> None:
    inner.post_processor = processors.TemplateProcessing(
        single="<bos> $A <eos>", special_tokens=[("<bos>", 2), ("<eos>", 1)]
    )


def _dropout(inner: tokenizers.Tokenizer) -> None:
    inner.model.dropout = 0.9


def _no_byte_fallback(inner: tokenizers.Tokenizer) -> None:
    inner.model.byte_fallback = False


def _dummy_prefix(inner: tokenizers.Tokenizer) -> None:
    inner.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])


def _stripped_and_lowered(inner: tokenizers.Tokenizer) -> None:
    inner.normalizer = normalizers.Sequence(
        [normalizers.Strip(), normalizers.Lowercase(), normalizers.NFKC(), normalizers.Replace(" ", "▁")]
    )


def _metaspace(inner: tokenizers.Tokenizer) -> None:
    inner.normalizer = None
    inner.pre_tokenizer = pre_tokenizers.Metaspace("▁", "always")


def _whitespace(inner: tokenizers.Tokenizer) -> None:
    inner.pre_tokenizer = pre_tokenizers.Whitespace()


def _no_decoder(inner: tokenizers.Tokenizer) -> None:
    inner.decoder = tokenizers.decoders.Metaspace()


@pytest.mark.parametrize(
    "change",
    [
        _truncation,
        _left_truncation,
        _padding,
        _padding_beyond_memory,
        _padding_to_a_multiple,
        _template,
        _dropout,
        _no_byte_fallback,
        _dummy_prefix,
        _stripped_and_lowered,
        _metaspace,
        _whitespace,
        _no_decoder,
    ],
)
def test_settings_of_another_tool(tmp_path: Path, change: Callable[[tokenizers.Tokenizer], None]) -> None:
    clean, other = tiny_checkpoint.tokenizer(), tiny_checkpoint.tokenizer()
    change(other)
    other.save(str(tmp_path / "tokenizer.json"))
    assert _ids(Tokenizer.from_file(tmp_path / "tokenizer.json")) == _ids(Tokenizer(clean))


def _edited(edit: Callable[[dict[str, Any]], None]) -> tokenizers.Tokenizer:
    whole = json.loads(tiny_checkpoint.tokenizer().to_str())
    edit(whole)
    return tokenizers.Tokenizer.from_str(json.dumps(whole))


@pytest.mark.parametrize("flag", ["lstrip", "rstrip", "single_word", "normalized", "special"])
def test_flags_of_added_tokens(flag: str) -> None:
    def edit(whole: dict[str, Any]) -> None:
        for token in whole["added_tokens"]:
            token[flag] = not token[flag]

    assert _ids(Tokenizer(_edited(edit))) == _ids(Tokenizer(tiny_checkpoint.tokenizer()))


def test_control_tokens_that_are_words_in_the_file() -> None:
    bare = _edited(lambda whole: whole.update(added_tokens=[]))
    tokenizer, clean = Tokenizer(bare), Tokenizer(tiny_checkpoint.tokenizer())
    assert _ids(tokenizer) == _ids(clean)
    assert tokenizer.special_ids == clean.special_ids and tokenizer.control_ids == clean.control_ids


def test_a_token_of_a_fine_tune_keeps_its_flags() -> None:
    inner = tiny_checkpoint.tokenizer()
    inner.add_tokens([AddedToken("[RTF]", lstrip=True, normalized=False)])
    tokenizer = Tokenizer(inner)
    assert tokenizer.encode("a  [RTF]")[1:] == [tokenizer.token_to_id("[RTF]")]


def test_other_models_and_ids_that_cannot_be_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="BPE"):
        Tokenizer(tokenizers.Tokenizer(models.WordLevel({"<bos>": 0}, unk_token="<bos>")))
    path = tmp_path / "tokenizer.json"
    whole = json.loads(tiny_checkpoint.tokenizer().to_str())
    whole["model"]["continuing_subword_prefix"] = "##"  # the library panics on it
    path.write_text(json.dumps(whole))
    with pytest.raises(CheckpointError, match="not a readable"):
        Tokenizer.from_file(path)
    whole["model"] |= {"continuing_subword_prefix": None, "end_of_word_suffix": "</w>"}
    path.write_text(json.dumps(whole))
    with pytest.raises(CheckpointError, match="end_of_word_suffix"):
        Tokenizer.from_file(path)
    path.write_text('{"a":' * 10_000 + "1" + "}" * 10_000)
    with pytest.raises(CheckpointError, match="not a readable"):
        Tokenizer.from_file(path)


class _Losing(Tokenizer):
    """A tokenizer that loses a part of what it is given."""

    lost: Callable[[list[int]], list[int]]

    def encode(self, text: str, add_bos: bool = False) -> list[int]:
        return type(self).lost(super().encode(text, add_bos))


@pytest.mark.parametrize(
    ("lost", "said"),
    [
        (lambda ids: ids[:60], "start_of_turn"),
        (lambda ids: [each for each in ids if each != 106], "end_of_turn"),
        (lambda ids: ids[1:], "bos"),
        (lambda ids: [*ids, 2], "bos"),
        (lambda ids: [each for each in ids if each != 105], "start_of_turn"),
        (lambda ids: [*ids[:20], *ids[21:]], "lost a part"),
        (lambda ids: ids[:-1], "lost a part"),
        (lambda ids: [*ids, 0, 0], "lost a part"),
    ],
)
@pytest.mark.parametrize("trusted", [False, True])
def test_a_prompt_that_lost_its_structure_is_an_error(
    lost: Callable[[list[int]], list[int]], said: str, trusted: bool
) -> None:
    def prompt(tokenizer: Tokenizer) -> Prompt:
        return PromptProcessor(tokenizer, None)([user("One two three " * 20)], trusted=trusted)

    assert prompt(Tokenizer(tiny_checkpoint.tokenizer())).token_ids[0] == 2
    losing = type("Losing", (_Losing,), {"lost": staticmethod(lost)})
    with pytest.raises(PromptError, match=said):
        prompt(losing(tiny_checkpoint.tokenizer()))
