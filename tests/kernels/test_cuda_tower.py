"""The tower on CUDA against the model's own: on a GPU, or with its kernels in interpreter and emulator."""

from __future__ import annotations

import emulated_cuda
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from aris.engine.runners import cuda_tower
from aris.engine.runners.cuda_tower import CudaTower
from aris.kernels.gpu import tower_attention
from aris.kernels.gpu.layer_norm import shifted_norm, shifted_norm_reference
from aris.model import MedGemma, MedGemmaConfig, TextConfig, VisionConfig
from triton_interpreter import DEVICE


@pytest.fixture(autouse=True)
def tanh(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch's epilogue is GELU's tanh approximation on CUDA, and the exact one on a CPU."""

    def activated(bias: torch.Tensor, x: torch.Tensor, weight: torch.Tensor, use_gelu: bool) -> torch.Tensor:
        assert use_gelu
        return F.gelu(torch.addmm(bias, x, weight), approximate="tanh")

    if DEVICE == "cpu":
        monkeypatch.setattr(torch, "_addmm_activation", activated)


def tiny(heads: int, width: int, side: int, dtype: torch.dtype, patch: int = 4) -> MedGemma:
    """Two layers over (side / patch) squared patches; biases as large as the rest."""
    torch.manual_seed(3)
    text = TextConfig(
        vocab_size=320, hidden_size=64, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, head_dim=32, query_pre_attn_scalar=32, sliding_window=16,
        layer_types=("full_attention",), max_position_embeddings=4096,
    )  # fmt: skip
    vision = VisionConfig(width, 2 * width, 2, heads, image_size=side, patch_size=patch)
    model = MedGemma(MedGemmaConfig(text, vision, mm_tokens_per_image=16)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.15 if parameter.ndim > 1 else 0.5)
    return model.to(DEVICE, dtype)


def apart(got: torch.Tensor, wanted: torch.Tensor) -> float:
    assert got.shape == wanted.shape
    return float((got.double().cpu() - wanted.double().cpu()).norm() / wanted.double().cpu().norm())


@torch.inference_mode()
def test_more_images_than_a_pass_takes_equal_the_model_s_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda_tower, "BATCH", 2)
    model = tiny(2, 48, 32, torch.float32)
    pixels = torch.rand(3, 3, 32, 32, device=DEVICE) * 2 - 1
    kept = pixels.clone()
    assert apart(CudaTower(model)(pixels), model.encode_images(pixels)) < 1e-5
    assert torch.equal(pixels, kept)


@torch.inference_mode()
def test_patches_of_an_odd_width_that_do_not_cover_the_image() -> None:
    """147 numbers a patch, which the product pads to 152; two columns and rows of pixels are left over."""
    model = tiny(2, 48, 30, torch.float32, patch=7)
    pixels = torch.rand(2, 3, 30, 30, device=DEVICE) * 2 - 1
    assert apart(CudaTower(model)(pixels), model.encode_images(pixels)) < 1e-5


@torch.inference_mode()
def test_heads_of_72_take_the_kernel_made_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny(2, 144, 64, torch.bfloat16)
    pixels = torch.rand(1, 3, 64, 64, device=DEVICE) * 2 - 1
    calls = []
    if DEVICE == "cpu":
        if emulated_cuda.compiler() is None:
            pytest.skip("no C++ compiler")
        monkeypatch.setattr(tower_attention, "kernel", emulated_cuda.kernel)
        monkeypatch.setattr(tower_attention, "tensor_map", emulated_cuda.tensor_map)
        monkeypatch.setattr(tower_attention, "processors", lambda device: 3)
        monkeypatch.setattr(cuda_tower, "can_attend", lambda *_: True)
    elif not tower_attention.can_attend(256, 72, torch.bfloat16, model.device):
        pytest.skip("for Hopper")

    def counted(query: torch.Tensor, key_value: torch.Tensor) -> torch.Tensor:
        calls.append((tuple(query.shape), tuple(key_value.shape)))
        return tower_attention.tower_attention(query, key_value)

    monkeypatch.setattr(cuda_tower, "tower_attention", counted)
    got = CudaTower(model)(pixels)
    assert calls == [((1, 256, 2, 72), (2, 2, 72, 1, 256))] * 2
    # As near to float32 as the model's own modules in bfloat16 are.
    own = model.encode_images(pixels)
    exact = model.float().encode_images(pixels)
    assert apart(got, exact) < max(1.5 * apart(own, exact), 1e-2)


@pytest.mark.parametrize(("patches", "head_dim", "dtype", "device", "takes"), [
    (256, 72, torch.bfloat16, "cuda:0", True), (250, 72, torch.bfloat16, "cuda:0", False),
    (256, 64, torch.bfloat16, "cuda:0", False), (256, 72, torch.float32, "cuda:0", False),
    (256, 72, torch.bfloat16, "cpu", False),
])  # fmt: skip
def test_what_the_kernel_does_not_take_is_left_to_pytorch(
    patches: int, head_dim: int, dtype: torch.dtype, device: str, takes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tower_attention, "_works", lambda device: True)
    assert tower_attention.can_attend(patches, head_dim, dtype, torch.device(device)) == takes


@pytest.mark.parametrize("width", [48, 1152])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_norm_of_rows_that_lack_a_bias(width: int, dtype: torch.dtype) -> None:
    torch.manual_seed(1)
    norm = nn.LayerNorm(width, eps=1e-6, device=DEVICE, dtype=dtype)
    with torch.no_grad():
        norm.weight.normal_()
        norm.bias.normal_()
    x, shift = (torch.randn(5, width, device=DEVICE) * 3 + 20).to(dtype), torch.randn(width, device=DEVICE) * 4
    kept = x.clone()
    with torch.no_grad():
        got, wanted = shifted_norm(x, shift, norm), shifted_norm_reference(x, shift, norm)
        assert got.dtype == dtype and apart(got, wanted) < (1e-5 if dtype == torch.float32 else 8e-3)
    assert torch.equal(x, kept)
