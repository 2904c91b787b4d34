"""The kernels that training uses against plain PyTorch: on a GPU, or in Triton's interpreter."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from aris.kernels.gpu.adamw8bit import Step
from aris.kernels.gpu.nf4 import dequantise_nf4
from aris.kernels.gpu.training import gated_gelu, rms_norm, rotate
from aris.model import rope
from aris.model.norms import RMSNorm
from aris.tuning.layers.adamw8bit import AdamW8bit, dynamic_map, quantize_blocks
from aris.tuning.layers.nf4 import NF4Linear
from triton_interpreter import DEVICE


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(11)


def rand(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, device=DEVICE)


def same_with_gradients(ours, plain, *inputs: torch.Tensor, atol: float = 1e-5) -> None:
    """Results and gradients for a random weighting of the outputs."""
    found = []
    for function in (ours, plain):
        mine = [each.detach().clone().requires_grad_() for each in inputs]
        out = function(*mine)
        out.backward(torch.linspace(-1, 1, out.numel(), device=out.device).view_as(out).to(out.dtype))
        found.append([out.detach(), *(each.grad for each in mine)])
    for one, two in zip(*found, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-5 if one.dtype == torch.float32 else 2e-2, atol=atol)


@pytest.mark.parametrize("shape", [(3, 5, 640), (2, 4, 3, 256), (7, 100)])
def test_rms_norm(shape: tuple[int, ...]) -> None:
    norm = RMSNorm(shape[-1], 1e-6).to(DEVICE)
    nn.init.normal_(norm.weight, std=0.3)
    norm.requires_grad_(False)
    same_with_gradients(lambda x: rms_norm(x, norm.weight, 1e-6), norm, rand(*shape) * 3)


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("dim", [64, 256])
def test_rotate_of_strided_heads(batch: int, dim: int) -> None:
    positions = torch.arange(9, device=DEVICE)[None] + torch.arange(batch, device=DEVICE)[:, None] * 50
    tables = rope.rope_tables(positions, dim, 10_000.0, 1.0, torch.float32)
    x = rand(batch, 9, 3, dim)
    same_with_gradients(
        lambda y: rotate(y.transpose(1, 2), tables), lambda y: rope.rotate(y.transpose(1, 2), tables), x
    )


def test_gated_gelu() -> None:
    gate, up = rand(13, 700) * 4, rand(13, 700)
    same_with_gradients(gated_gelu, lambda g, u: F.gelu(g, approximate="tanh") * u, gate, up)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(48, 256), (33, 64), (5, 1984)])
def test_nf4_to_dense(shape: tuple[int, int], dtype: torch.dtype) -> None:
    layer = NF4Linear.from_linear(nn.Linear(shape[1], shape[0], bias=False))
    plain = layer.dequantized(dtype)  # on the CPU
    parts = (part.to(DEVICE) for part in (layer.qweight, layer.scale_codes, layer.scale_factor, layer.scale_mean))
    found = dequantise_nf4(*parts, dtype).cpu()
    # In bfloat16 scale and product are each rounded, and the interpreter cuts off instead.
    torch.testing.assert_close(found, plain, rtol=1e-6 if dtype == torch.float32 else 2e-2, atol=1e-7)


def test_one_kernel_steps_many_parameters_as_one_by_one() -> None:
    shapes = [(16, 300), (4200,), (64, 65)]
    start = [rand(*shape) for shape in shapes]
    tables = tuple(table.to(DEVICE) for table in (dynamic_map(True), dynamic_map(False)))
    ours = [value.clone() for value in start]
    moments = []
    for value in ours:
        states = [quantize_blocks(torch.zeros_like(value), table) for table in tables]
        moments.append([*states[0], *states[1]])
    step = Step(ours, moments, tables)
    plain = [nn.Parameter(value.clone().cpu()) for value in start]
    optimizer = AdamW8bit(plain, lr=1e-2, betas=(0.9, 0.99), weight_decay=0.1)
    for count in range(1, 6):
        for mine, theirs in zip(ours, plain, strict=True):
            theirs.grad = torch.randn(theirs.shape) * (theirs.detach().abs() > 0.2)  # some zeros
            mine.grad = theirs.grad.to(DEVICE)
        step(rate=1e-2, decay=0.1, betas=(0.9, 0.99), eps=1e-8, count=count)
        optimizer.step()
    for index, (mine, theirs) in enumerate(zip(ours, plain, strict=True)):
        state = optimizer.state[theirs]
        # A value between two codes may go to either, so a few differ by one.
        apart = (moments[index][0].cpu().int() - state["first"].int()).abs()
        assert apart.max() <= 1 and (apart > 0).float().mean() < 0.01
        torch.testing.assert_close(moments[index][3].cpu(), state["second_largest"], rtol=1e-4, atol=1e-8)
        assert (mine.cpu() - theirs.detach()).abs().max() < 2e-3
        assert (mine.cpu() - start[index].cpu()).abs().max() > 1e-2
