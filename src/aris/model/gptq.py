"""Error-compensating rounding (GPTQ: Frantar et al., arXiv 2210.17323).

Columns are rounded one after the other, and what each loses is made up for by those still to come, as far as the
layer's inputs can tell.

With X the inputs (tokens, in) and H = X^T X, a row's loss |(w - q) X^T|^2 is (w - q) H (w - q)^T. Columns go in the
order of falling H_jj ("act-order"), on scales that are fixed beforehand for each group of neighbouring columns, so
that the stored layout is that of plain rounding.
"""

from __future__ import annotations

import torch
from torch import Tensor

from aris.errors import ModelError
from aris.model.quantized import DEFAULT_GROUP, Codes, pack

DAMPING = 0.01  # of the mean of H's diagonal, added to it (the paper, section 3.3)
_BLOCK = 128  # columns whose effect on the later ones is applied together
_CLIPPING = (1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65)


class InputMoments:
    """H = X^T X of the inputs that a layer saw, float32 (in, in)."""

    def __init__(self, width: int, device: torch.device | str = "cpu") -> None:
        self.matrix = torch.zeros(width, width, device=device)
        self.tokens = 0

    def add(self, x: Tensor) -> None:
        """Inputs (..., in)."""
        rows = x.reshape(-1, x.shape[-1]).float()
        self.matrix.addmm_(rows.T, rows)
        self.tokens += rows.shape[0]


def compensated(
    weight: Tensor, moments: InputMoments, kind: str, group_size: int | None = None, damping: float = DAMPING
) -> Codes:
    """Codes of a matrix (out, in) that keep its products with the inputs in `moments` close.

    Args:
        kind: "int8" or "int4".
        group_size: None is 64 for int4 and whole rows for int8.
        damping: of H's mean diagonal; raised by itself where H cannot be factored.

    Raises:
        ModelError: an unknown format, a width that does not take the group, no inputs, or inputs that are not finite.
    """
    width = weight.shape[1]
    size = group_size or (width if kind == "int8" else DEFAULT_GROUP)
    if kind not in ("int8", "int4"):
        raise ModelError(f"quantisation {kind!r:.20}: not known; use int8 or int4")
    if size < 2 or width % size or size % 2:
        raise ModelError(f"quantisation: groups of {size} do not divide rows of {width} columns")
    if not moments.tokens or not bool(torch.isfinite(moments.matrix).all()):
        raise ModelError("quantisation: the calibration texts gave no finite inputs; give other texts")
    matrix = moments.matrix
    w = weight.to(matrix.device, torch.float32).clone()
    importance = matrix.diagonal().clone()
    scale, minimum = _ranges(w, kind, size, importance)
    wide = scale.float().repeat_interleave(size, 1)
    least = torch.zeros_like(wide) if minimum is None else minimum.float().repeat_interleave(size, 1)
    lowest, highest = (-127, 127) if kind == "int8" else (0, 15)

    order = importance.argsort(descending=True)
    inverse = _inverse_factor(matrix[order][:, order], damping)
    w, wide, least = w[:, order], wide[:, order], least[:, order]
    codes = torch.empty_like(w)
    for start in range(0, width, _BLOCK):
        stop = min(start + _BLOCK, width)
        block, factor = w[:, start:stop], inverse[start:stop, start:stop]
        errors = torch.empty_like(block)
        for column in range(stop - start):
            at = start + column
            code = torch.round((block[:, column] - least[:, at]) / wide[:, at]).clamp(lowest, highest)
            codes[:, at] = code
            error = (block[:, column] - (code * wide[:, at] + least[:, at])) / factor[column, column]
            block[:, column:] -= error[:, None] * factor[column, column:][None]
            errors[:, column] = error
        w[:, stop:] -= errors @ inverse[start:stop, stop:]
    back = torch.empty_like(codes)
    back[:, order] = codes
    if kind == "int8":
        return Codes(kind, back.to(torch.int8), scale, None, size)
    return Codes(kind, pack(back.to(torch.uint8), size), scale, minimum, size)


def _ranges(w: Tensor, kind: str, size: int, importance: Tensor) -> tuple[Tensor, Tensor | None]:
    """Scales (out, in/g) and, for int4, minima: of the shrunk ranges the one whose rounding loses least, by H_jj."""
    groups = w.view(w.shape[0], -1, size)
    if kind == "int8":
        scale = groups.abs().amax(2) / 127.0
        return torch.where(scale == 0, torch.ones_like(scale), scale), None
    weighing = importance.view(1, -1, size)
    low, high = groups.amin(2), groups.amax(2)
    middle, half = (low + high) / 2, (high - low) / 2
    best = torch.full_like(low, torch.inf)
    scale, minimum = low.bfloat16(), low.bfloat16()
    for clipping in _CLIPPING:
        step = (2 * half * clipping / 15.0).clamp(min=1e-8).bfloat16()
        least = (middle - half * clipping).bfloat16()
        wide, base = step.float()[:, :, None], least.float()[:, :, None]
        codes = torch.round((groups - base) / wide).clamp(0, 15)
        error = ((codes * wide + base - groups).square() * weighing).sum(2)
        better = error < best
        best = torch.where(better, error, best)
        scale, minimum = torch.where(better, step, scale), torch.where(better, least, minimum)
    return scale, minimum


def _inverse_factor(matrix: Tensor, damping: float) -> Tensor:
    """The upper Cholesky factor of H's inverse, H damped until it can be inverted."""
    mean = float(matrix.diagonal().mean()) or 1.0
    for _ in range(6):
        damped = matrix.clone()
        damped.diagonal().add_(damping * mean)
        factor, failed = torch.linalg.cholesky_ex(damped)
        if not int(failed):
            upper, failed = torch.linalg.cholesky_ex(torch.cholesky_inverse(factor), upper=True)
            if not int(failed) and bool(torch.isfinite(upper).all()):
                return upper
        damping *= 10
    raise ModelError("quantisation: the calibration texts give inputs that cannot be inverted; give more texts")
