"""Quantised folders: what is written is what was rounded, it opens in place, and failures leave nothing behind."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import packed_models
import pytest
import torch
from safetensors.torch import load_file, save_file

from aris.checkpoints import Calibration, Rounding, load_model, open_checkpoint, quantize_checkpoint
from aris.errors import CheckpointError, ModelError
from aris.model import MedGemma, QuantizedEmbedding, QuantizedLinear
from quantized_models import quantize_model

IDS = torch.randint(0, 300, (1, 24), generator=torch.Generator().manual_seed(1))
TEXTS = Calibration(torch.randint(0, 300, (12, 32), generator=torch.Generator().manual_seed(2)).tolist(), {"n": 12})


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return packed_models.save(packed_models.network(), tmp_path_factory.mktemp("source") / "plain")


@pytest.mark.parametrize(
    "rounding", [Rounding("int8"), Rounding("int4"), Rounding("int4", 32, "int4"), Rounding("int4", None, "keep")]
)
@pytest.mark.parametrize("shard", [10**9, 60_000])
def test_it_opens_as_the_model_rounded_in_memory(rounding: Rounding, shard: int, plain: Path, tmp_path: Path) -> None:
    report = quantize_checkpoint(open_checkpoint(str(plain)), tmp_path / "out", rounding, shard=shard)
    assert (tmp_path / "out" / "model.safetensors.index.json").exists() == (shard < 10**9)
    opened = open_checkpoint(str(tmp_path / "out"))
    mine = load_model(opened, packed=True)
    other = load_model(open_checkpoint(str(plain)))
    assert report.matrices == quantize_model(
        other, rounding.format, group_size=rounding.group_size, head=rounding.head
    )
    state, wanted = mine.state_dict(), other.state_dict()
    assert state.keys() == wanted.keys()
    assert all(torch.equal(state[name], wanted[name]) for name in wanted)
    assert report.nbytes == sum(tensor.nbytes for tensor in state.values()) < 0.6 * report.dense_bytes
    assert opened.quantization["format"] == rounding.format and opened.quantization["rounding"] == "nearest"
    dense = load_model(opened, dtype=torch.float32)
    assert not any(isinstance(module, QuantizedLinear | QuantizedEmbedding) for module in dense.modules())
    with torch.inference_mode():
        packed = load_model(opened, dtype=torch.float32, packed=True)
        assert torch.allclose(packed(IDS), dense(IDS), atol=1e-4)


def test_other_readers_read_the_file(plain: Path, tmp_path: Path) -> None:
    """safetensors' own reader checks the layout: no gaps, no overlaps."""
    quantize_checkpoint(open_checkpoint(str(plain)), tmp_path / "out", Rounding("int4"))
    tensors = load_file(tmp_path / "out" / "model.safetensors")
    state = load_model(open_checkpoint(str(tmp_path / "out")), packed=True).state_dict()
    assert tensors.keys() == state.keys()
    assert all(torch.equal(tensors[name], state[name]) for name in state)


@torch.inference_mode()
def test_codes_that_lie_unaligned_in_a_file_are_multiplied_all_the_same(plain: Path, tmp_path: Path) -> None:
    """PyTorch's int8 product crashes on memory that is not aligned, and safetensors of others align nothing."""
    quantize_checkpoint(open_checkpoint(str(plain)), tmp_path / "out", Rounding("int8"))
    path = tmp_path / "out" / "model.safetensors"
    raw = path.read_bytes()
    size = int.from_bytes(raw[:8], "little")
    path.write_bytes((size + 4).to_bytes(8, "little") + raw[8 : 8 + size] + b"    " + raw[8 + size :])
    opened = open_checkpoint(str(tmp_path / "out"))
    moved, dense = load_model(opened, packed=True), load_model(opened)
    assert torch.allclose(moved(IDS).float(), dense(IDS).float(), rtol=0.1, atol=0.1)


def test_codes_stay_mapped(plain: Path, tmp_path: Path) -> None:
    """Loaded in place: a tensor's memory is the file's, so neighbours in the file are neighbours in memory."""
    quantize_checkpoint(open_checkpoint(str(plain)), tmp_path / "out", Rounding("int8"))
    model = load_model(open_checkpoint(str(tmp_path / "out")), packed=True)
    size = (tmp_path / "out" / "model.safetensors").stat().st_size
    places = [module.qweight.data_ptr() for module in model.modules() if isinstance(module, QuantizedLinear)]
    assert len(places) == 14 and max(places) - min(places) < size


def test_calibration_lowers_the_error_and_is_recorded(plain: Path, tmp_path: Path) -> None:
    source = open_checkpoint(str(plain))
    dense = load_model(source, dtype=torch.float32)
    away = []
    for name, texts in (("nearest", None), ("texts", TEXTS)):
        report = quantize_checkpoint(source, tmp_path / name, Rounding("int4", 64, "keep"), calibration=texts)
        model = load_model(open_checkpoint(str(tmp_path / name)), dtype=torch.float32, packed=True)
        ids = torch.tensor(TEXTS.sequences)
        with torch.inference_mode():
            away.append(float((model.hidden_states(ids) - dense.hidden_states(ids)).square().mean()))
    assert away[1] < 0.9 * away[0]
    assert report.quantization["rounding"] == "gptq" and report.quantization["calibration"] == {"n": 12}
    assert report.matrices == 14


def test_the_source_is_named_by_its_values(plain: Path, tmp_path: Path) -> None:
    one = quantize_checkpoint(open_checkpoint(str(plain)), tmp_path / "a", Rounding("int8"))
    two = quantize_checkpoint(open_checkpoint(str(plain)), tmp_path / "b", Rounding("int4"), calibration=TEXTS)
    assert one.quantization["source"] == two.quantization["source"]
    changed = packed_models.network()
    changed.language_model.norm.weight.data[0] += 1
    other = packed_models.save(changed, tmp_path / "changed")
    three = quantize_checkpoint(open_checkpoint(str(other)), tmp_path / "c", Rounding("int8"))
    assert three.quantization["source"]["weights_sha256"] != one.quantization["source"]["weights_sha256"]


def test_what_cannot_be_is_said_and_leaves_nothing(plain: Path, tmp_path: Path) -> None:
    source = open_checkpoint(str(plain))
    (tmp_path / "there").mkdir()
    with pytest.raises(CheckpointError, match="exists already"):
        quantize_checkpoint(source, tmp_path / "there", Rounding("int8"))
    with pytest.raises(CheckpointError, match="no such folder"):
        quantize_checkpoint(source, tmp_path / "no" / "where", Rounding("int8"))
    with pytest.raises(ModelError, match="groups of 48"):
        quantize_checkpoint(source, tmp_path / "out", Rounding("int4", 48))
    with pytest.raises(ModelError, match="int3"):
        quantize_checkpoint(source, tmp_path / "out", Rounding("int3"))
    with pytest.raises(ModelError, match="nf4"):
        quantize_checkpoint(source, tmp_path / "out", Rounding("int4", None, "nf4"))
    with pytest.raises(ModelError, match="tokens that the model does not have"):
        quantize_checkpoint(source, tmp_path / "out", Rounding("int4"), calibration=Calibration([[1, 300]], {}))
    quantize_checkpoint(source, tmp_path / "good", Rounding("int8"))
    with pytest.raises(CheckpointError, match="quantised already"):
        quantize_checkpoint(open_checkpoint(str(tmp_path / "good")), tmp_path / "twice", Rounding("int4"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["good", "there"]


def test_a_disk_that_fills_up_leaves_nothing(plain: Path, tmp_path: Path) -> None:
    """A limit on a file's size fails the write as a full disk does."""
    source = open_checkpoint(str(plain))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    try:
        with pytest.raises(CheckpointError, match="disk is full"):
            quantize_checkpoint(source, tmp_path / "out", Rounding("int8"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("damage", ["scale missing", "minimum short", "scale as float", "codes too narrow"])
def test_damaged_parts_are_named(damage: str, plain: Path, tmp_path: Path) -> None:
    quantize_checkpoint(open_checkpoint(str(plain)), tmp_path / "out", Rounding("int4"))
    path = tmp_path / "out" / "model.safetensors"
    tensors = load_file(path)
    stem = "language_model.layers.0.mlp.up_proj"
    if damage == "scale missing":
        del tensors[f"{stem}.scale"]
    elif damage == "minimum short":
        tensors[f"{stem}.minimum"] = tensors[f"{stem}.minimum"][:-1].contiguous()
    elif damage == "scale as float":
        tensors[f"{stem}.scale"] = tensors[f"{stem}.scale"].float()
    else:
        tensors[f"{stem}.qweight"] = tensors[f"{stem}.qweight"][:, :-1].contiguous()
    save_file(tensors, path)
    with pytest.raises(CheckpointError, match=r"up_proj"):
        load_model(open_checkpoint(str(tmp_path / "out")), packed=True)


_PEAK = """
import sys
from pathlib import Path
import torch
from aris.checkpoints import Rounding, load_model, open_checkpoint, quantize_checkpoint
from aris.model import quantize_matrix
def peak():
    return int(open('/proc/self/status').read().split('VmHWM:')[1].split()[0]) * 1024
quantize_matrix(torch.randn(64, 128), 'int4')
start = peak()
if sys.argv[1] == 'quantise':
    quantize_checkpoint(open_checkpoint(sys.argv[2]), Path(sys.argv[3]), Rounding('int4'))
else:
    load_model(open_checkpoint(sys.argv[2]), packed=True)
print(peak() - start)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak of memory as Linux gives it")
def test_memory_stays_far_below_the_dense_model(tmp_path: Path) -> None:
    """Many layers of one size: the peak is that of a matrix or two, not of the model."""
    folder = tmp_path / "deep"
    config = packed_models.network(layers=1).config
    text = replace(
        config.text, hidden_size=512, intermediate_size=2048, num_hidden_layers=80,
        layer_types=("sliding_attention",) * 80,
    )  # fmt: skip
    packed_models.save(MedGemma(replace(config, text=text)), folder)
    dense = (folder / "model.safetensors").stat().st_size
    assert dense > 500e6

    def grown(*words: str) -> int:
        done = subprocess.run([sys.executable, "-c", _PEAK, *words], capture_output=True, text=True, check=True)
        return int(done.stdout)

    out = str(tmp_path / "out")
    assert grown("quantise", str(folder), out) < 0.5 * dense
    assert grown("load", out) < 0.45 * dense
    assert json.loads((tmp_path / "out" / "config.json").read_text())["quantization_config"]["quant_method"] == "aris"
