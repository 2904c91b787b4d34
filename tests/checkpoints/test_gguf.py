"""GGUF against the gguf package: block by block on random bytes, whole files written by its writer, and damage."""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from aris.checkpoints import gguf_gemma, load_model, open_checkpoint
from aris.checkpoints.gguf import GGUFFile
from aris.checkpoints.gguf_blocks import FORMATS
from aris.errors import ArisError, CheckpointError
from aris.model import MedGemma, MedGemmaConfig, TextConfig, VisionConfig

gguf = pytest.importorskip("gguf")


@pytest.mark.parametrize("number", FORMATS, ids=lambda n: FORMATS[n].name)
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_blocks_equal_the_gguf_package(number: int, seed: int) -> None:
    form = FORMATS[number]
    kind = gguf.GGMLQuantizationType(number)
    assert gguf.GGML_QUANT_SIZES[kind] == (form.values, form.nbytes)
    raw = np.random.default_rng(seed).integers(0, 256, (8, form.nbytes * 4), dtype=np.uint8)
    with np.errstate(all="ignore"):
        view = {0: np.float32, 1: np.float16}.get(number, np.uint8)
        reference = gguf.quants.dequantize(raw.view(view), kind).astype(np.float32)
        ours = form.dequantize(raw.reshape(-1, form.nbytes)).reshape(reference.shape)
    assert np.array_equal(reference, ours, equal_nan=True)


def small_model(vision: bool) -> MedGemma:
    text = TextConfig(
        vocab_size=96, hidden_size=64, intermediate_size=96, num_hidden_layers=6, num_attention_heads=2,
        num_key_value_heads=1, head_dim=32, query_pre_attn_scalar=32, sliding_window=8, rope_factor=8.0,
        layer_types=("sliding_attention",) * 5 + ("full_attention",), max_position_embeddings=512,
    )  # fmt: skip
    tower = VisionConfig(32, 48, 2, 2, image_size=32, patch_size=8) if vision else None
    model = MedGemma(MedGemmaConfig(text, tower, mm_tokens_per_image=1 if vision else 256)).eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.2)
    return model


def write_gguf(model: MedGemma, path: Path) -> None:
    """As llama.cpp's converter does: reversed names, norms as 1 + w."""
    text = model.config.text
    writer = gguf.GGUFWriter(path, "gemma3")
    writer.add_block_count(text.num_hidden_layers)
    writer.add_context_length(text.max_position_embeddings)
    writer.add_embedding_length(text.hidden_size)
    writer.add_feed_forward_length(text.intermediate_size)
    writer.add_head_count(text.num_attention_heads)
    writer.add_head_count_kv(text.num_key_value_heads)
    writer.add_key_length(text.head_dim)
    writer.add_value_length(text.head_dim)
    writer.add_sliding_window(text.sliding_window)
    writer.add_layer_norm_rms_eps(text.rms_norm_eps)
    writer.add_rope_freq_base(text.rope_theta)
    writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
    writer.add_rope_scaling_factor(text.rope_factor)
    writer.add_token_list(["a", "b"])
    writer.add_token_scores([0.0, -1.0])
    writer.add_token_types([1, 1])
    back = {f"language_model.layers.{{}}.{ours}": f"blk.{{}}.{theirs}" for theirs, ours in gguf_gemma._BLOCK.items()}
    for name, tensor in model.state_dict().items():
        values = tensor.numpy().astype(np.float32)
        if name.endswith("norm.weight") and name.startswith("language_model"):
            values = values + 1
        if name.startswith("language_model.layers."):
            _, _, layer, rest = name.split(".", 3)
            theirs = back[f"language_model.layers.{{}}.{rest.removesuffix('.weight')}"].format(layer) + ".weight"
        elif name.startswith("language_model."):
            theirs = {ours: key for key, ours in gguf_gemma._TOP.items()}[name]
        else:
            continue
        writer.add_tensor(theirs, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_mmproj(model: MedGemma, path: Path) -> None:
    assert model.config.vision is not None
    vision = model.config.vision
    writer = gguf.GGUFWriter(path, "clip")
    for key, value in {
        "clip.vision.embedding_length": vision.hidden_size,
        "clip.vision.feed_forward_length": vision.intermediate_size,
        "clip.vision.block_count": vision.num_hidden_layers,
        "clip.vision.attention.head_count": vision.num_attention_heads,
        "clip.vision.image_size": vision.image_size,
        "clip.vision.patch_size": vision.patch_size,
    }.items():
        writer.add_uint32(key, value)
    writer.add_float32("clip.vision.attention.layer_norm_epsilon", 1e-6)
    writer.add_string("clip.projector_type", "gemma3")
    top = {ours: key for key, ours in gguf_gemma._VISION_TOP.items()}
    block = {ours: key for key, ours in gguf_gemma._VISION_BLOCK.items()} | {"mlp.fc1": "ffn_up", "mlp.fc2": "ffn_down"}
    for name, tensor in model.state_dict().items():
        values = tensor.numpy().astype(np.float32)
        if name in top:
            writer.add_tensor(top[name], values + 1 if "soft_emb_norm" in name else values)
        elif name.startswith("vision_tower.encoder.layers."):
            _, _, _, layer, rest = name.split(".", 4)
            part, kind = rest.rsplit(".", 1)
            writer.add_tensor(f"v.blk.{layer}.{block[part]}.{kind}", values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def test_a_written_file_loads_with_its_tower_and_gives_the_same_logits(tmp_path: Path) -> None:
    model = small_model(vision=True)
    write_gguf(model, tmp_path / "model.gguf")
    write_mmproj(model, tmp_path / "mmproj-model.gguf")
    checkpoint = open_checkpoint(str(tmp_path / "model.gguf"))
    # The file keeps epsilon in float32.
    assert replace(checkpoint.config.text, rms_norm_eps=1e-6) == model.config.text
    loaded = load_model(checkpoint, dtype=torch.float32)
    ids = torch.arange(2, 40)[None]
    with torch.no_grad():
        assert torch.allclose(loaded(ids), model(ids), atol=1e-5)
        tower = loaded.vision_tower, model.vision_tower
        pixels = torch.rand(1, 3, 32, 32)
        assert tower[0] is not None and tower[1] is not None
        assert torch.allclose(tower[0](pixels), tower[1](pixels), atol=1e-5)


def test_without_mmproj_images_are_refused(tmp_path: Path) -> None:
    write_gguf(small_model(vision=False), tmp_path / "model.gguf")
    model = load_model(open_checkpoint(str(tmp_path / "model.gguf")), dtype=torch.float32)
    with pytest.raises(ArisError, match=r"no vision tower.*mmproj"):
        model.encode_images(torch.zeros(1, 3, 896, 896))


def test_parts_of_a_file_are_read_as_one(tmp_path: Path) -> None:
    write_gguf(small_model(vision=False), tmp_path / "model.gguf")
    data = (tmp_path / "model.gguf").read_bytes()
    cut = len(data) // 2 + 3  # inside a tensor, not aligned
    (tmp_path / "a").write_bytes(data[:cut])
    (tmp_path / "b").write_bytes(data[cut:])
    whole, parts = GGUFFile(tmp_path / "model.gguf"), GGUFFile(tmp_path / "a", tmp_path / "b")
    for name in whole.tensors:
        assert torch.equal(whole.tensor(name), parts.tensor(name))


def test_damage_and_foreign_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    with pytest.raises(CheckpointError, match="no such"):
        open_checkpoint(str(path))
    path.write_bytes(b"")
    with pytest.raises(CheckpointError, match="empty"):
        open_checkpoint(str(path))
    path.write_bytes(b"hello, this is not a model at all")
    with pytest.raises(CheckpointError, match="not a GGUF file"):
        open_checkpoint(str(path))
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 9, 0, 0) + bytes(20))
    with pytest.raises(CheckpointError, match="version 9"):
        open_checkpoint(str(path))
    write_gguf(small_model(vision=False), path)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) - 5000])
    with pytest.raises(CheckpointError, match="truncated"):
        open_checkpoint(str(path))
    path.write_bytes(data.replace(b"gemma3", b"llama3"))
    with pytest.raises(CheckpointError, match=r"llama3.*Gemma 3"):
        open_checkpoint(str(path))
    path.write_bytes(data.replace(b"blk.2.ffn_up", b"blk.2.ffn_zz"))
    with pytest.raises(CheckpointError, match="not part of Gemma 3"):
        load_model(open_checkpoint(str(path)))


@pytest.fixture(scope="module")
def good_bytes(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("gguf") / "model.gguf"
    write_gguf(small_model(vision=False), path)
    return path.read_bytes()


@settings(max_examples=120, deadline=None)
@given(data=st.data())
def test_flipped_bytes_in_the_header_raise_nothing_but_checkpoint_errors(
    data: st.DataObject, good_bytes: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    damaged = bytearray(good_bytes)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, 4000))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("fuzz") / "model.gguf"
    path.write_bytes(bytes(damaged)[: data.draw(st.sampled_from([len(damaged), 900, 3000]))])
    try:
        file = GGUFFile(path)
        gguf_gemma.config(file, None)
        list(gguf_gemma.entries(file))
    except ArisError as error:
        assert "\n" not in str(error)
    except (TypeError, ValueError, OverflowError) as error:
        raise AssertionError(f"escaped: {error!r}") from error
