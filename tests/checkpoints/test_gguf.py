"""GGUF against the gguf package: block by block on random bytes, the real 270M file, and files by its writer."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from gguf_writing import gguf, small_model, write_gguf, write_mmproj
from hypothesis import given, settings
from hypothesis import strategies as st

from aris.checkpoints import embedded, load_model, open_checkpoint
from aris.checkpoints.gguf import gemma
from aris.checkpoints.gguf.blocks import FORMATS
from aris.checkpoints.gguf.reading import GGUFFile
from aris.errors import ArisError, CheckpointError


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


@pytest.fixture(scope="module")
def real() -> GGUFFile:
    try:
        return embedded.language_weights()
    except CheckpointError as error:
        pytest.skip(str(error))


def test_every_tensor_of_the_real_270m_equals_the_gguf_package(real: GGUFFile) -> None:
    """Beginning and end of each, and the whole of a few, one of each format."""
    whole: set[str] = set()
    for name, info in real.tensors.items():
        ours = real.tensor(name).reshape(-1, info.shape[-1]).numpy()
        if info.format.name not in whole and len(ours) < 10_000:
            whole.add(info.format.name)
            rows = [slice(0, None)]
        else:
            rows = [slice(0, 4), slice(max(0, len(ours) - 4), None)]
        row_bytes = info.shape[-1] // info.format.values * info.format.nbytes
        for part in rows:
            start, stop, _ = part.indices(len(ours))
            raw = real.space.read(real._data + info.offset + start * row_bytes, (stop - start) * row_bytes)
            kind = gguf.GGMLQuantizationType[info.format.name]
            raw = raw.view(np.float32) if info.format.name == "F32" else raw.reshape(stop - start, row_bytes)
            assert np.array_equal(gguf.quants.dequantize(raw, kind).reshape(stop - start, -1), ours[part]), name
    assert whole >= {"F32", "Q5_0", "Q4_K", "Q6_K"} and len(real.tensors) == 236


def test_the_real_270m_is_understood(real: GGUFFile) -> None:
    text = gemma.text_config(real)
    assert (text.num_hidden_layers, text.hidden_size, text.intermediate_size) == (18, 640, 2048)
    assert (text.num_attention_heads, text.num_key_value_heads, text.head_dim) == (4, 1, 256)
    assert (text.sliding_window, text.query_pre_attn_scalar, text.rope_factor) == (512, 256, 1.0)
    assert (text.rope_theta, text.rope_local_base_freq) == (1e6, 1e4)
    assert [i for i, kind in enumerate(text.layer_types) if kind == "full_attention"] == [5, 11, 17]
    tokens, scores, types = gemma.vocabulary(real)
    assert len(tokens) == len(scores) == len(types) == text.vocab_size == 262_144


@pytest.mark.parametrize(("side", "swapped"), [(1, False), (2, False), (1, True)])
def test_a_written_file_loads_with_its_tower_and_gives_the_same_logits(
    side: int, swapped: bool, tmp_path: Path
) -> None:
    model = small_model(vision=True, side=side)
    write_gguf(model, tmp_path / "model.gguf")
    write_mmproj(model, tmp_path / "mmproj-model.gguf", swapped=swapped)
    checkpoint = open_checkpoint(str(tmp_path / "model.gguf"))
    # The file keeps epsilon in float32.
    assert replace(checkpoint.config.text, rms_norm_eps=1e-6) == model.config.text
    assert checkpoint.config.mm_tokens_per_image == side**2
    loaded = load_model(checkpoint, dtype=torch.float32)
    ids = torch.arange(2, 40)[None]
    with torch.no_grad():
        assert torch.allclose(loaded(ids), model(ids), atol=1e-5)
        pixels = torch.rand(1, 3, 32, 32)
        assert torch.allclose(loaded.encode_images(pixels), model.encode_images(pixels), atol=1e-5)


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


def test_a_head_that_is_the_embedding_is_dropped_and_another_used(tmp_path: Path) -> None:
    model, path = small_model(vision=False), tmp_path / "model.gguf"
    embedding = model.state_dict()["language_model.embed_tokens.weight"]
    write_gguf(model, path, head=embedding)
    assert load_model(open_checkpoint(str(path))).language_model.lm_head is None
    other = embedding.clone()
    other[3, 3] += 1e-3
    # In another format it may be a fine-tune's, so it is taken as it is, as llama.cpp takes it.
    for head, kind in ((other, gguf.GGMLQuantizationType.F32), (embedding, gguf.GGMLQuantizationType.Q4_0)):
        write_gguf(model, path, head=head, head_kind=kind)
        loaded = load_model(open_checkpoint(str(path)), dtype=torch.float32).language_model
        wanted = gguf.quants.dequantize(gguf.quants.quantize(head.numpy(), kind), kind)
        assert torch.equal(loaded.head.weight, torch.from_numpy(wanted)) and torch.equal(
            loaded.embed_tokens.weight, embedding
        )


def test_what_writers_leave_out_is_gemma_3s_own(tmp_path: Path) -> None:
    write_gguf(small_model(vision=False), tmp_path / "model.gguf")
    file = GGUFFile(tmp_path / "model.gguf")
    for key in ("rope.scaling.type", "rope.freq_base", "attention.key_length", "attention.value_length",
                "attention.sliding_window"):  # fmt: skip
        file.metadata.pop(f"gemma3.{key}")
    text = gemma.text_config(file)
    # A factor without a type is linear, as in llama.cpp.
    assert (text.rope_factor, text.rope_theta, text.head_dim, text.sliding_window) == (8.0, 1e6, 256, 512)
    assert (text.query_pre_attn_scalar, text.rope_local_base_freq) == (256, 1e4)
    file.metadata["gemma3.attention.sliding_window_pattern"] = [True, False] * 3
    assert gemma.text_config(file).layer_types == ("sliding_attention", "full_attention") * 3
    del file.metadata["gemma3.attention.sliding_window_pattern"]
    del file.metadata["gemma3.rope.scaling.factor"]
    assert gemma.text_config(file).rope_factor == 1.0
    file.metadata["gemma3.block_count"] = 62  # 27B: scaled RoPE, and a query scale of width / heads
    large = gemma.text_config(file)
    assert (large.rope_factor, large.sliding_window, large.query_pre_attn_scalar) == (8.0, 1024, 32)
    file.metadata["gemma3.rope.scaling.type"] = "yarn"
    with pytest.raises(CheckpointError, match="'yarn' is not used by Gemma 3"):
        gemma.text_config(file)


def test_a_tower_of_another_model_is_refused(tmp_path: Path) -> None:
    model = small_model(vision=True)
    write_gguf(model, tmp_path / "model.gguf")
    write_mmproj(model, tmp_path / "mmproj.gguf", width=2560)
    with pytest.raises(CheckpointError, match=r"width 2560.*belongs"):
        open_checkpoint(str(tmp_path / "model.gguf"))
    with pytest.raises(CheckpointError, match="tower alone"):
        open_checkpoint(str(tmp_path / "mmproj.gguf"))
    write_mmproj(model, tmp_path / "mmproj-other.gguf")
    with pytest.raises(CheckpointError, match="2 mmproj files"):
        open_checkpoint(str(tmp_path / "model.gguf"))


@pytest.mark.parametrize(
    "name",
    ["mmproj.gguf", "mmproj-model-f16.gguf", "model.mmproj-Q8_0.gguf", "google_medgemma-4b-it-mmproj-bf16.GGUF",
     "MMPROJ-F32.gguf", "medgemma-vision.gguf", "clip.gguf"],
)  # fmt: skip
def test_a_tower_is_found_by_any_usual_name(name: str, tmp_path: Path) -> None:
    model = small_model(vision=True)
    write_gguf(model, tmp_path / "model.gguf")
    write_gguf(small_model(vision=False), tmp_path / "another-model.gguf")
    write_mmproj(model, tmp_path / name)
    vision = open_checkpoint(str(tmp_path / "model.gguf")).config.vision
    assert vision is not None and vision.hidden_size == model.config.vision.hidden_size


def test_the_towers_own_mean_is_used(tmp_path: Path) -> None:
    model = small_model(vision=True)
    write_gguf(model, tmp_path / "model.gguf")
    write_mmproj(model, tmp_path / "mmproj.gguf", mean=[0.25, 0.5, 0.75])
    assert open_checkpoint(str(tmp_path / "model.gguf")).processor == {"image_mean": [0.25, 0.5, 0.75]}
    write_mmproj(model, tmp_path / "mmproj.gguf", mean=[0.5])
    with pytest.raises(CheckpointError, match="image_mean is not three"):
        open_checkpoint(str(tmp_path / "model.gguf"))


def test_of_several_towers_one_is_chosen(tmp_path: Path) -> None:
    model = small_model(vision=True)
    write_gguf(model, tmp_path / "model.gguf")
    write_mmproj(model, tmp_path / "mmproj-f16.gguf", width=2560)
    write_mmproj(model, tmp_path / "x.mmproj.gguf")
    with pytest.raises(CheckpointError, match=r"2 mmproj files \(mmproj-f16.gguf, x.mmproj.gguf\).*--mmproj FILE"):
        open_checkpoint(str(tmp_path / "model.gguf"))
    chosen = open_checkpoint(str(tmp_path / "model.gguf"), mmproj=tmp_path / "x.mmproj.gguf")
    assert chosen.config.vision is not None
    with pytest.raises(CheckpointError, match="width 2560"):
        open_checkpoint(str(tmp_path / "model.gguf"), mmproj=tmp_path / "mmproj-f16.gguf")
    with pytest.raises(CheckpointError, match=r"missing|no such|not found|cannot be read"):
        open_checkpoint(str(tmp_path / "model.gguf"), mmproj=tmp_path / "absent.gguf")
    with pytest.raises(CheckpointError, match=r"go with a \.gguf model"):
        open_checkpoint(str(tmp_path), mmproj=tmp_path / "x.mmproj.gguf")


PEAK = """
import sys, torch
from aris.checkpoints import load_model, open_checkpoint
def status(field):
    return next(int(l.split()[1]) for l in open("/proc/self/status") if l.startswith(field)) * 1024
load_model(open_checkpoint(sys.argv[2]))  # what PyTorch imports at the first model is not the weights
checkpoint = open_checkpoint(sys.argv[1])
open("/proc/self/clear_refs", "w").write("5")  # restart the peak from here
before = status("VmRSS")
model = load_model(checkpoint, dtype=torch.bfloat16)
print((status("VmHWM") - before) / sum(p.nbytes for p in model.parameters()))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_peak_memory_stays_close_to_the_weights(tmp_path: Path) -> None:
    """120 MB of bf16 weights from 64 MB of Q8_0, most of it the embedding."""
    small = small_model(vision=False)
    text = replace(small.config.text, vocab_size=160_000, hidden_size=320)
    big = type(small)(replace(small.config, text=text))
    write_gguf(big, tmp_path / "big.gguf", kind=gguf.GGMLQuantizationType.Q8_0)
    write_gguf(small, tmp_path / "small.gguf")
    command = [sys.executable, "-c", PEAK, str(tmp_path / "big.gguf"), str(tmp_path / "small.gguf")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert float(done.stdout) < 1.15
