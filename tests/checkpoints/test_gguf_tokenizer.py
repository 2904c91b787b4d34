"""Vocabulary and chat template that our GGUF files get, beside those of an official file."""

from __future__ import annotations

import functools
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent.parent))
import tiny_checkpoint
from aris.checkpoints import embedded, open_checkpoint
from aris.checkpoints.checkpoint import Checkpoint
from aris.checkpoints.entries import TokenizerSource
from aris.checkpoints.export.gguf import save_gguf
from aris.checkpoints.export.gguf_tokenizer import chat_template_of, vocabulary_of
from aris.checkpoints.gguf import gemma
from aris.checkpoints.gguf.reading import GGUFFile
from aris.errors import CheckpointError
from aris.model import MedGemma, MedGemmaConfig, TextConfig
from aris.prompting import Tokenizer


@functools.cache
def official() -> tuple[list[str], list[float], list[int]]:
    """The vocabulary of the GGUF file of Gemma 3 270M, which llama.cpp's converter wrote."""
    return gemma.vocabulary(embedded.language_weights())


@functools.cache
def real_tokenizer() -> Tokenizer:
    return Tokenizer.from_gguf(*official())


def wide_checkpoint(folder: Path, base: str) -> tuple[Checkpoint, MedGemma]:
    """A small network with the whole vocabulary of Gemma 3, its tokenizer in a folder's file or a GGUF file's."""
    text = TextConfig(
        vocab_size=262_208, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=1,
        num_key_value_heads=1, head_dim=16, query_pre_attn_scalar=16, sliding_window=32,
        layer_types=("sliding_attention",),
    )  # fmt: skip
    config = MedGemmaConfig(text)
    model = MedGemma(config).eval()
    if base == "gguf":
        tokenizer = TokenizerSource(vocabulary=official())
    else:
        real_tokenizer().save(folder / "tokenizer.json")
        tokenizer = TokenizerSource(path=folder / "tokenizer.json")
    return Checkpoint("wide", config, lambda: iter(()), tokenizer), model


@pytest.mark.slow
def test_the_vocabulary_of_a_folder_is_the_official_files(tmp_path: Path) -> None:
    source, _ = wide_checkpoint(tmp_path, "folder")
    tokens, scores, types = vocabulary_of(source, 262_208)
    names, their_scores, kinds = official()
    assert tokens[138] == "  " and tokens[167] == " " * 31
    assert types[3] == 2 and kinds[3] in (2, 3), "<unk>, as SentencePiece has it"
    assert tokens[:262_144] == names
    # The marks of images are control tokens by their names, whatever a file says.
    other = {names[index]: types[index] for index in range(4, 262_144) if types[index] != kinds[index]}
    assert other == {"<start_of_image>": 3, "<end_of_image>": 3}
    order = [index for index, kind in enumerate(kinds) if kind == 1 and their_scores[index] > -250_000]
    order.sort(key=lambda index: -their_scores[index])
    # The same order of merging; pieces of one sign are in none.
    merged = [index for index in order if len(names[index]) > 1]
    assert sorted(merged, key=lambda index: -scores[index]) == merged
    assert tokens[262_144:262_146] == ["<image_soft_token>", "[PAD262145]"] and types[262_144:262_146] == [3, 5]


def test_runs_of_spaces_are_written_as_spaces(tmp_path: Path) -> None:
    inner = json.loads(tiny_checkpoint.tokenizer().to_str())
    size = len(inner["model"]["vocab"])
    inner["model"]["vocab"] |= {"▁▁": size, "▁▁▁": size + 1}
    inner["model"]["merges"] = [["▁▁", "▁"], ["▁", "▁"], *inner["model"]["merges"]]
    (tmp_path / "tokenizer.json").write_text(json.dumps(inner))
    source = replace(_source(tmp_path / "m"), tokenizer=TokenizerSource(path=tmp_path / "tokenizer.json"))
    tokens, _, types = vocabulary_of(source, size + 2)
    assert tokens[-2:] == ["  ", "   "] and types[-2:] == [4, 4] and "▁" in tokens
    ours = Tokenizer.from_file(tmp_path / "tokenizer.json")
    again = Tokenizer.from_gguf(*vocabulary_of(source, size + 2))
    for text in ("  Yes", "a   b", "     ", "Yes  \n"):
        assert again.encode(text) == ours.encode(text)
    assert ours.encode("  Yes")[0] == size


def _source(folder: Path) -> Checkpoint:
    return open_checkpoint(str(tiny_checkpoint.save(folder, vision=False)))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("chat_template.jinja", "OWN"),
        ("chat_template.json", {"chat_template": "OWN"}),
        ("processor_config.json", {"chat_template": "OWN"}),
        ("tokenizer_config.json", {"chat_template": "OWN"}),
        ("tokenizer_config.json", {"chat_template": [{"name": "rag", "template": "X"},
                                                     {"name": "default", "template": "OWN"}]}),
    ],
)  # fmt: skip
def test_the_models_own_chat_template_is_kept(name: str, content: Any, tmp_path: Path) -> None:
    source = _source(tmp_path / "m")
    assert chat_template_of(source).startswith("{{ bos_token }}"), "Gemma 3's where a model has none"
    (tmp_path / "m" / name).write_text(content if isinstance(content, str) else json.dumps(content))
    assert chat_template_of(source) == "OWN"
    path = tmp_path / "m.gguf"
    save_gguf(tiny_checkpoint.network(vision=False), source, path)
    assert GGUFFile(path).metadata["tokenizer.chat_template"] == "OWN"
    # And on from there.
    save_gguf(tiny_checkpoint.network(vision=False), open_checkpoint(str(path)), tmp_path / "again.gguf")
    assert GGUFFile(tmp_path / "again.gguf").metadata["tokenizer.chat_template"] == "OWN"


def test_the_template_without_one_renders_our_prompts(tmp_path: Path) -> None:
    jinja2 = pytest.importorskip("jinja2")
    from aris.prompting import assistant, render, system, user

    said = [system("Be short."), user(" Why? "), assistant("So."), user("And?")]
    roles = [{"role": each.role, "content": each.content[0].text} for each in said]  # type: ignore[union-attr]
    template = jinja2.Environment().from_string(chat_template_of(_source(tmp_path / "m")))
    assert template.render(messages=roles, bos_token="<bos>", add_generation_prompt=True) == render(said)


def test_ids_in_the_metadata_are_those_of_the_vocabulary(tmp_path: Path) -> None:
    save_gguf(tiny_checkpoint.network(vision=False), _source(tmp_path / "m"), tmp_path / "m.gguf")
    metadata = GGUFFile(tmp_path / "m.gguf").metadata
    named = {"bos": "<bos>", "eos": "<eos>", "eot": "<end_of_turn>", "unknown": "<unk>", "padding": "<pad>"}
    tokens = metadata["tokenizer.ggml.tokens"]
    assert {key: tokens[metadata[f"tokenizer.ggml.{key}_token_id"]] for key in named} == named
    kinds = dict(zip(tokens, metadata["tokenizer.ggml.token_type"], strict=True))
    assert (kinds["<unused94>"], kinds["<end_of_turn>"], kinds["<unk>"], kinds["\n\n"]) == (3, 3, 2, 4)
    assert metadata["tokenizer.ggml.add_space_prefix"] is False


def test_a_decoder_that_gguf_cannot_tell_is_refused(tmp_path: Path) -> None:
    source = _source(tmp_path / "m")
    text = source.config.text
    for changed, said in (
        (replace(text, query_pre_attn_scalar=20.0), "query_pre_attn_scalar"),
        (replace(text, layer_types=("full_attention",) * 6), "layer types"),
    ):
        with torch.device("meta"):
            model = MedGemma(replace(source.config, text=changed))
        with pytest.raises(CheckpointError, match=said):
            save_gguf(model, source, tmp_path / "m.gguf")
    assert not (tmp_path / "m.gguf").exists()


def test_damaged_tokenizers_are_one_clear_line(tmp_path: Path) -> None:
    source = _source(tmp_path / "m")
    path = tmp_path / "m" / "tokenizer.json"
    good = json.loads(path.read_text())
    for broken in ("{", "[" * 100_000, "[]", json.dumps({"model": {}})):
        path.write_text(broken)
        with pytest.raises(CheckpointError, match="not a readable"):
            vocabulary_of(source, 10)
    path.write_text(json.dumps(good | {"added_tokens": [{"id": 10**9, "content": "x", "special": False}]}))
    with pytest.raises(CheckpointError, match="1,000,000,000"):
        vocabulary_of(source, 10)
