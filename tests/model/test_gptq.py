"""Error-compensating rounding against its definition and against rounding to nearest."""

from __future__ import annotations

import pytest
import torch

from aris.errors import ModelError
from aris.model.gptq import InputMoments, compensated
from aris.model.quantized import quantize_matrix


def correlated(width: int = 128, tokens: int = 600) -> torch.Tensor:
    """Inputs as layers have them: a few directions carry most, and columns differ in size."""
    generator = torch.Generator().manual_seed(4)
    low = torch.randn(tokens, 24, generator=generator) @ torch.randn(24, width, generator=generator)
    sizes = torch.exp(torch.randn(width, generator=generator))
    return (low + 0.5 * torch.randn(tokens, width, generator=generator)) * sizes


def moments_of(x: torch.Tensor) -> InputMoments:
    moments = InputMoments(x.shape[1])
    for part in x.split(100):
        moments.add(part[None])
    return moments


@pytest.mark.parametrize(("kind", "group", "gain"), [("int4", 64, 0.6), ("int4", 32, 0.6), ("int8", None, 0.7)])
def test_outputs_on_other_inputs_are_closer_than_with_rounding_to_nearest(
    kind: str, group: int | None, gain: float
) -> None:
    x = correlated()
    weight = torch.randn(48, 128, generator=torch.Generator().manual_seed(5))
    seen, unseen = x[:500], x[500:]
    made = compensated(weight, moments_of(seen), kind, group)
    nearest = quantize_matrix(weight, kind, group)
    assert made.qweight.dtype == nearest.qweight.dtype and made.qweight.shape == nearest.qweight.shape
    assert made.scale.shape == nearest.scale.shape and made.scale.dtype == nearest.scale.dtype
    errors = [float((unseen @ (codes.dequantized() - weight).T).square().sum()) for codes in (made, nearest)]
    assert errors[0] < gain * errors[1]


def test_without_correlation_it_rounds_to_nearest() -> None:
    """H is a multiple of the identity: nothing can be made up for."""
    weight = torch.randn(8, 128, generator=torch.Generator().manual_seed(6))
    moments = InputMoments(128)
    moments.add(torch.eye(128) * 3)
    made = compensated(weight, moments, "int8")
    assert torch.equal(made.qweight, quantize_matrix(weight, "int8").qweight)


def test_it_is_the_papers_algorithm_column_by_column() -> None:
    """Against the plain recursion (OBQ with a fixed order): after each column H's inverse loses it (equation 3)."""
    x = correlated(width=16, tokens=200)
    weight = torch.randn(3, 16, generator=torch.Generator().manual_seed(7))
    made = compensated(weight, moments_of(x), "int8", damping=0.01)
    matrix = (x.T @ x).double()
    order = matrix.diagonal().argsort(descending=True)
    matrix += 0.01 * matrix.diagonal().mean() * torch.eye(16)
    inverse = torch.linalg.inv(matrix[order][:, order])
    w = weight.double()[:, order].clone()
    scale = made.scale.double()[:, 0]
    expected = torch.empty(3, 16)
    for column in range(16):
        code = torch.round(w[:, column] / scale).clamp(-127, 127)
        expected[:, order[column]] = code.float()
        error = (w[:, column] - code * scale) / inverse[column, column]
        w -= error[:, None] * inverse[column][None]
        inverse = inverse - inverse[:, column, None] @ inverse[None, column] / inverse[column, column]
    assert (made.qweight.float() - expected).abs().max() <= 1  # a value between two codes may fall either way
    assert float((made.qweight.float() == expected).float().mean()) > 0.95


def test_a_column_that_is_never_used_does_no_harm() -> None:
    x = correlated()
    x[:, 7] = 0
    weight = torch.randn(8, 128)
    made = compensated(weight, moments_of(x), "int4")
    assert bool(torch.isfinite(made.dequantized()).all())


def test_what_it_cannot_do_is_said() -> None:
    weight = torch.randn(4, 128)
    with pytest.raises(ModelError, match="no finite inputs"):
        compensated(weight, InputMoments(128), "int4")
    broken = correlated()
    broken[0, 0] = torch.nan
    with pytest.raises(ModelError, match="no finite inputs"):
        compensated(weight, moments_of(broken), "int4")
    with pytest.raises(ModelError, match="groups of 48"):
        compensated(weight, moments_of(correlated()), "int4", 48)
    with pytest.raises(ModelError, match="int3"):
        compensated(weight, moments_of(correlated()), "int3")
