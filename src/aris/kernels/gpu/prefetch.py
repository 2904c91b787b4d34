"""Bringing the weights of later products into the L2 cache while a small step, which waits more than it moves, runs."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def fetch_ahead(base, nbytes, program, programs, THREADS: tl.constexpr):
    """Ask for `nbytes` at `base` to be brought into the L2 cache, this program's share of them."""
    thread = tl.arange(0, THREADS)
    share = tl.cdiv(tl.cdiv(nbytes, programs * THREADS), 16) * 16
    offset = (program * THREADS + thread) * share
    size = tl.maximum(tl.minimum(nbytes - offset, share), 0)
    tl.inline_asm_elementwise(
        "{ .reg .pred p; setp.gt.s32 p, $2, 0; @p cp.async.bulk.prefetch.L2.global [$1], $2; mov.u32 $0, 0; }",
        "=r,l,r",
        [base.to(tl.int64) + offset, size],
        dtype=tl.int32,
        is_pure=False,
        pack=1,
    )
