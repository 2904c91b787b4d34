from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_encoder import CONFIG, tiny_encoder

from aris.errors import CheckpointError
from aris.literature.encoder import Encoder, default_folder


def test_vectors_are_those_of_transformers(tmp_path: Path) -> None:
    from safetensors.torch import load_file
    from transformers import BertConfig, BertModel

    folder = tiny_encoder(tmp_path / "tiny")
    oracle = BertModel(BertConfig(**CONFIG), add_pooling_layer=False)
    oracle.load_state_dict(load_file(folder / "model.safetensors"))
    oracle.eval()
    texts = ["zinc cold", "the days of aspirin stroke honey", "", "unknown " * 100]
    made = Encoder(folder).encode(texts)
    for text, row in zip(texts, made, strict=True):
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        tokenizer.enable_truncation(40)
        ids = torch.tensor([tokenizer.encode(text).ids])
        with torch.no_grad():
            wanted = oracle(ids).last_hidden_state[0].mean(0)
        np.testing.assert_allclose(row, (wanted / wanted.norm()).numpy(), atol=1e-5)
    assert Encoder(folder).encode([]).shape == (0, 16)


def test_a_vector_does_not_depend_on_its_company(tmp_path: Path) -> None:
    encoder = Encoder(tiny_encoder(tmp_path / "tiny"))
    texts = ["zinc", "aspirin stroke the a of " * 9, "\ud800 cough", "cold days"]
    together = encoder.encode(texts)
    for text, row in zip(texts, together, strict=True):
        np.testing.assert_allclose(encoder.encode([text])[0], row, atol=1e-5)


def test_what_is_no_encoder_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no config\.json"):
        Encoder(tmp_path)
    folder = tiny_encoder(tmp_path / "tiny")
    weights = (folder / "model.safetensors").read_bytes()
    for name, data in (
        ("config.json", b'{"model_type": "t5"}'), ("config.json", b"{"), ("tokenizer.json", b"{}"),
        ("model.safetensors", weights[:200]),
    ):  # fmt: skip
        kept = (folder / name).read_bytes()
        (folder / name).write_bytes(data)
        with pytest.raises(CheckpointError) as caught:
            Encoder(folder)
        assert "\n" not in str(caught.value)
        (folder / name).write_bytes(kept)


@pytest.mark.skipif(default_folder() is None, reason="all-MiniLM-L6-v2 is not installed")
def test_minilm_knows_what_is_alike() -> None:
    folder = default_folder()
    assert folder is not None
    first, second, third = Encoder(folder).encode(["heart attack", "myocardial infarction", "the weather in Lisbon"])
    assert first @ second > 0.5 > 0.2 > first @ third
