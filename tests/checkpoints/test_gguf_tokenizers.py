"""GGUF files whose tokenizer metadata is odd: run as Gemma 3's all the same, or refused by name."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from gguf_writing import small_model, write_gguf

sys.path.insert(0, str(Path(__file__).parent.parent))
import aris
import tiny_checkpoint
from aris.backends.protocol import GenerationOptions
from aris.checkpoints.checkpoint import open_checkpoint
from aris.checkpoints.export.gguf import save_gguf
from aris.checkpoints.gguf import gemma
from aris.checkpoints.gguf.reading import GGUFFile
from aris.errors import CheckpointError


def test_turn_tokens_typed_as_words_answer_the_same(tmp_path: Path) -> None:
    """The failure that users saw: such a file gave garbage without a word."""
    folder = tiny_checkpoint.save(tmp_path / "hf", vision=False)
    source = open_checkpoint(str(folder))
    good, bad = tmp_path / "good.gguf", tmp_path / "bad.gguf"
    model = tiny_checkpoint.network(vision=False)
    save_gguf(model, source, good)
    save_gguf(model, source, bad)
    raw = bad.read_bytes()
    types = gemma.vocabulary(GGUFFile(good))[2]
    key = raw.index(b"tokenizer.ggml.token_type") + len(b"tokenizer.ggml.token_type") + 4 + 4 + 8
    assert types[106] == 3
    changed = bytearray(raw)
    for index, kind in enumerate(types):
        if kind != 6:
            changed[key + 4 * index] = 1
    bad.write_bytes(bytes(changed))
    assert set(gemma.vocabulary(GGUFFile(bad))[2]) == {1, 6}
    question = [aris.user("Is there pneumonia?\n\n  yes")]
    ours, theirs = aris.load(good, dtype="float32"), aris.load(bad, dtype="float32")
    assert theirs.prompts(question).token_ids == ours.prompts(question).token_ids
    assert theirs.prompts(question).token_ids[:2] == [2, 105]
    options = GenerationOptions(max_tokens=12)
    assert theirs.generate(question, options).text == ours.generate(question, options).text


def _written(path: Path, **changes: Any) -> GGUFFile:
    write_gguf(small_model(False), path / "m.gguf", **changes)
    return GGUFFile(path / "m.gguf")


def test_scores_and_types_may_be_absent(tmp_path: Path) -> None:
    file = _written(tmp_path, vocabulary=(["a", "b"], None, None), tokenizer_model="llama")
    assert gemma.vocabulary(file) == (["a", "b"], [0.0, 0.0], [1, 1])


@pytest.mark.parametrize("model", ["gpt2", "bert", "t5", "rwkv"])
def test_another_kind_of_tokenizer_is_refused_by_name(tmp_path: Path, model: str) -> None:
    with pytest.raises(CheckpointError, match=model):
        gemma.vocabulary(_written(tmp_path, tokenizer_model=model))


def test_every_named_stop_ends_an_answer_and_impossible_ones_do_not(tmp_path: Path) -> None:
    names = [f"w{index}" for index in range(96)]
    vocabulary = (names, [0.0] * 96, [1] * 96)
    extra = {"tokenizer.ggml.eos_token_id": 7, "tokenizer.ggml.eot_token_id": 9, "tokenizer.ggml.eom_token_id": 4_000}
    file = _written(tmp_path, vocabulary=vocabulary, extra=extra)
    assert gemma.config(file, None).eos_token_ids == (7, 9, 1, 106)
