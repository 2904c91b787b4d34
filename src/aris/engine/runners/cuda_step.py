"""Decode step of R rows in Triton kernels, from token ids to the argmax of the next tokens, to be captured in a graph.

All memory is allocated beforehand. Every kernel starts before the one ahead of it has ended
(programmatic dependent launch), and asks for its first weights before it waits for that one's results.
"""

from __future__ import annotations

import torch
from torch import Tensor

from aris.engine.cache.kv_pool import KVPool
from aris.engine.runners.cuda_weights import LayerWeights
from aris.kernels.gpu.decode_attention import decode_attention
from aris.kernels.gpu.matmul import matmul
from aris.kernels.gpu.matvec import matvec
from aris.kernels.gpu.row_attention import attend_row, can_attend, workspace
from aris.kernels.gpu.rows import add_norm, embed, finish_heads
from aris.kernels.gpu.tiles import Norm, parts_of, tiled_product
from aris.kernels.gpu.weights import Weight
from aris.model.config import TextConfig

Options = dict[str, int]

# Tiles of products by format and role, the fastest on an H100 at 4B's shapes (`benchmarks/tune_gpu_kernels.py`).
_ONE_ROW: dict[tuple[str, str], Options] = {
    ("dense", "qkv"): {"block_n": 16, "block_k": 512, "num_warps": 8},
    ("dense", "o"): {"block_n": 4, "block_k": 512, "num_warps": 8},
    ("dense", "gate_up"): {"block_n": 4, "block_k": 512, "num_warps": 4},
    ("dense", "down"): {"block_n": 8, "block_k": 512, "num_warps": 4, "parts": 2},
    ("dense", "head"): {"block_n": 16, "block_k": 512, "num_warps": 4, "tiles": 2},
    ("int8", "head"): {"block_n": 8, "block_k": 512, "num_warps": 2},
    ("int8", "down"): {"block_n": 8, "block_k": 512, "num_warps": 2, "parts": 2},
    ("int8", "*"): {"block_n": 8, "block_k": 512, "num_warps": 2},
    ("int4", "qkv"): {"block_n": 4, "block_k": 512, "num_warps": 1},
    ("int4", "o"): {"block_n": 8, "block_k": 1024, "num_warps": 1, "parts": 2},
    ("int4", "gate_up"): {"block_n": 8, "block_k": 512, "num_warps": 1},
    ("int4", "down"): {"block_n": 4, "block_k": 1024, "num_warps": 1, "parts": 4},
    ("int4", "head"): {"block_n": 16, "block_k": 512, "num_warps": 1},
}
_MANY_ROWS: dict[tuple[str, str], Options] = {
    ("dense", "qkv"): {"block_n": 32, "block_k": 128, "num_warps": 4, "stages": 5},
    ("dense", "o"): {"block_n": 32, "block_k": 128, "num_warps": 4, "stages": 5, "parts": 2},
    ("dense", "gate_up"): {"block_n": 32, "block_k": 64, "num_warps": 4, "stages": 3},
    ("dense", "down"): {"block_n": 32, "block_k": 128, "num_warps": 4, "stages": 5, "parts": 4},
    ("dense", "head"): {"block_n": 128, "block_k": 128, "num_warps": 4, "stages": 3},
    ("int8", "head"): {"block_n": 64, "block_k": 128, "num_warps": 4, "stages": 4},
    ("int8", "down"): {"block_n": 32, "block_k": 128, "num_warps": 4, "stages": 4, "parts": 4},
    ("int8", "*"): {"block_n": 32, "block_k": 128, "num_warps": 4, "stages": 4},
    ("int4", "down"): {"block_n": 32, "num_warps": 2, "stages": 3, "parts": 4},
    ("int4", "o"): {"block_n": 32, "num_warps": 2, "stages": 3, "parts": 2},
    ("int4", "*"): {"block_n": 32, "num_warps": 2, "stages": 3},
}


# How attention of one row is cut up, and threads of a norm.
_ATTENTION_ONE: Options = {"splits": 64, "block_s": 16, "num_warps": 4}
_NORM_WARPS = 4


def tile(weight: Weight, role: str, rows: int) -> Options:
    """Options of `matvec` (one row) or `matmul` for a role in the layer; fewer parts where they do not fit."""
    if weight.tiled:
        return {"parts": parts_of(weight, rows)} if role in ("o", "down") else {}
    table = _ONE_ROW if rows == 1 else _MANY_ROWS
    kind = "int4" if weight.format == "nf4" else weight.format
    options = dict(table.get((kind, role)) or table[kind, "*"])
    while options.get("parts", 1) > 1 and weight.in_features % (options["parts"] * 128):
        options["parts"] -= 1
    return options


class DecodeStep:
    """Buffers and kernels for R rows.

    Args:
        text, weights, embedding, head, norm: the decoder; `head` scores words (mostly the embedding again), `norm` is
            the final norm's weight.
        pool: the cache.
        rows: R, 1 to 64.
        max_blocks: blocks that a sequence can have.
        distinct: whether every row belongs to another sequence, which lets attention write the cache itself.
        banned: int64 ids that are never chosen.
        table: NF4's values.

    Attributes:
        inputs: (3, R) int64: token_ids, positions, slots, which are its rows; tables (R, max_blocks) int32 too.
        hidden: (R, W), logits: (R, vocabulary), tokens: (R,) int64, outputs.
    """

    def __init__(
        self,
        text: TextConfig,
        weights: list[LayerWeights],
        embedding: Weight,
        head: Weight,
        norm: Tensor,
        pool: KVPool,
        rows: int,
        max_blocks: int,
        *,
        distinct: bool,
        banned: Tensor,
        table: Tensor,
    ) -> None:
        self.text, self.weights, self.embedding, self.head = text, weights, embedding, head
        self.norm, self.pool = norm, pool
        self.rows, self.distinct, self.banned, self.table = rows, distinct, banned, table
        device, dtype = norm.device, norm.dtype
        # It does not exist before Hopper, nor in Triton's interpreter, where these kernels are tested without a GPU.
        self.on_gpu = device.type == "cuda"
        self.pdl = self.on_gpu and torch.cuda.get_device_capability(device) >= (9, 0)
        # One row on tiles: the norms are part of the products that read them.
        self.joined = rows == 1 and all(
            weight.tiled for layer in weights for weight in (layer.qkv, layer.o, layer.gate_up, layer.down)
        )
        width, dim = text.hidden_size, text.head_dim
        heads, kv_heads = text.num_attention_heads, text.num_key_value_heads

        def buffer(*shape: int, kind: torch.dtype = dtype) -> Tensor:
            return torch.zeros(shape, dtype=kind, device=device)

        self.inputs = buffer(3, rows, kind=torch.int64)
        self.token_ids, self.positions, self.slots = self.inputs
        self.tables = buffer(rows, max_blocks, kind=torch.int32)
        self.residual, self.normed = buffer(rows, width), buffer(rows, width)
        self.onward = buffer(rows, width) if self.joined else self.residual
        self.qkv = buffer(rows, (heads + 2 * kv_heads) * dim)
        self.query, self.attended = buffer(rows, heads, dim), buffer(rows, heads, dim)
        self.inner = buffer(rows, text.intermediate_size)
        # Results of a product split along its columns, in float32 until they are added up.
        branches = [pair for layer in weights for pair in ((layer.o, "o"), (layer.down, "down"))]
        parts = max(tile(weight, role, rows).get("parts", 1) for weight, role in branches)
        self.parts = buffer(parts, rows, width, kind=torch.float32)
        self.branch = buffer(rows, width)
        self.angles = tuple(buffer(rows, dim // 2, kind=torch.float32) for _ in range(4))
        exponents = torch.arange(0, dim, 2, dtype=torch.float32, device=device) / dim
        self.frequencies = 1.0 / (text.rope_theta**exponents) / text.rope_factor
        self.local_frequencies = 1.0 / (text.rope_local_base_freq**exponents)
        self.factor = float(torch.tensor(width**0.5, dtype=dtype))
        # With many rows there are programs enough without cutting the keys up.
        self.splits = _ATTENTION_ONE["splits"] if rows == 1 else max(1, min(32, 264 // (rows * kv_heads)))
        self.workspace = (
            buffer(rows * heads * self.splits * dim, kind=torch.float32),
            buffer(2 * rows * heads * self.splits, kind=torch.float32),
            buffer(rows * kv_heads, kind=torch.int32),
        )
        self.row_space = None
        # Beside dense products, which last longer, Triton's kernel is as fast.
        if self.joined and distinct and can_attend(dim, heads, kv_heads, dtype):
            self.row_space = workspace(heads, kv_heads, dim, device)
        self.hidden = buffer(rows, width)
        self.logits = buffer(rows, head.out_features)
        self.tokens = buffer(rows, kind=torch.int64)
        self.entries = [buffer(rows, kind=torch.int64) for _ in range(2)]  # of new entries: local, global

        # Tokens on their way to the CPU; read after `wait`.
        self.fetched = torch.zeros(rows, dtype=torch.int64, pin_memory=self.on_gpu)

    def fetch_tokens(self) -> torch.cuda.Event | None:
        """Begin to copy `tokens` to `fetched`; what `wait` takes."""
        self.fetched.copy_(self.tokens, non_blocking=True)
        if not self.on_gpu:
            return None
        event = torch.cuda.Event()
        event.record()
        return event

    def wait(self, event: torch.cuda.Event | None) -> None:
        """Until `fetched` holds the tokens."""
        if event is not None:
            event.synchronize()

    def feed(self, count: int) -> None:
        """Make the first `count` rows' tokens the inputs of the next step, one position on."""
        self.token_ids[:count].copy_(self.tokens[:count])
        self.positions[:count].add_(1)

    def run(self) -> None:
        """Launch the step's kernels."""
        local_angles, angles = self.angles[2:], self.angles[:2]
        embed(
            self.token_ids, self.positions, self.embedding, self.frequencies, self.local_frequencies, self.factor,
            self.residual, self.angles,  # type: ignore[arg-type]
        )  # fmt: skip
        if not self.distinct:
            ring = self.pool.ring
            torch.add(self.slots * ring, self.positions % ring, out=self.entries[0])
            page = self.tables.gather(1, (self.positions // 64)[:, None])[:, 0].to(torch.int64)
            torch.add(page * 64, self.positions % 64, out=self.entries[1])
        if self.joined:
            self._run_joined(local_angles, angles)
        else:
            self._run_layers(local_angles, angles)
        self._product(self.head, "head", self.hidden, self.logits)
        self.logits.index_fill_(1, self.banned, float("-inf"))
        torch.argmax(self.logits, dim=1, out=self.tokens)

    def _run_layers(self, local_angles: tuple[Tensor, ...], angles: tuple[Tensor, ...]) -> None:
        add_norm(self.residual, self.weights[0].input_norm, self.text.rms_norm_eps, self.normed)
        for index, layer in enumerate(self.weights):
            self._product(layer.qkv, "qkv", self.normed, self.qkv)
            self._attend(index, layer, local_angles if layer.is_local else angles)
            branch = self._branch(layer.o, "o", self.attended.view(self.rows, -1))
            self._join(branch, layer.post_attention_norm, layer.pre_feedforward_norm, self.normed)
            self._product(layer.gate_up, "gate_up", self.normed, self.inner)
            branch = self._branch(layer.down, "down", self.inner)
            last = index + 1 == len(self.weights)
            following = self.norm if last else self.weights[index + 1].input_norm
            self._join(branch, layer.post_feedforward_norm, following, self.hidden if last else self.normed)

    def _run_joined(self, local_angles: tuple[Tensor, ...], angles: tuple[Tensor, ...]) -> None:
        """The layers of one row on tiles; the residual goes to and fro between two buffers."""
        eps, branch, post = self.text.rms_norm_eps, None, None
        residual, onward = self.residual, self.onward
        for index, layer in enumerate(self.weights):
            norm = Norm(branch, residual, onward, post, layer.input_norm, eps)
            tiled_product(layer.qkv, residual, self.qkv, norm=norm, pdl=self.pdl)
            if branch is not None:
                residual, onward = onward, residual
            self._attend(index, layer, local_angles if layer.is_local else angles)
            branch = self._parts_of(layer.o, self.attended.view(1, -1))
            norm = Norm(branch, residual, onward, layer.post_attention_norm, layer.pre_feedforward_norm, eps)
            tiled_product(layer.gate_up, residual, self.inner, gated=True, norm=norm, pdl=self.pdl)
            residual, onward = onward, residual
            branch, post = self._parts_of(layer.down, self.inner), layer.post_feedforward_norm
        assert branch is not None
        add_norm(
            residual, self.norm, eps, self.hidden, branch=branch[:, None], post_weight=post,
            residual_out=residual, num_warps=_NORM_WARPS, pdl=self.pdl,
        )  # fmt: skip

    def _parts_of(self, weight: Weight, x: Tensor) -> Tensor:
        out = self.parts[: parts_of(weight, 1)]
        tiled_product(weight, x, out, pdl=self.pdl)
        return out[:, 0]

    def _product(self, weight: Weight, role: str, x: Tensor, out: Tensor) -> None:
        options = tile(weight, role, self.rows)
        gated = role == "gate_up"
        if self.rows == 1 and not weight.tiled:
            target = out if options.get("parts", 1) > 1 else out[0]
            matvec(weight, target, x[0], table=self.table, gated=gated, pdl=self.pdl, **options)
        else:
            matmul(x, weight, gate=gated, table=self.table, out=out, pdl=self.pdl, **options)

    def _branch(self, weight: Weight, role: str, x: Tensor) -> Tensor:
        """A product that goes into a norm: whole, or in parts that the norm adds up."""
        parts = tile(weight, role, self.rows).get("parts", 1)
        out = self.branch if parts == 1 and not weight.tiled else self.parts[:parts]
        flat = self.rows == 1 and parts > 1 and not weight.tiled
        self._product(weight, role, x, out.view(parts, -1) if flat else out)
        return out

    def _join(self, branch: Tensor, post: Tensor, pre: Tensor, out: Tensor) -> None:
        add_norm(
            self.residual, pre, self.text.rms_norm_eps, out, branch=branch, post_weight=post,
            residual_out=self.residual, num_warps=_NORM_WARPS if self.rows == 1 else None, pdl=self.pdl,
        )  # fmt: skip

    def _attend(self, index: int, layer: LayerWeights, angles: tuple[Tensor, ...]) -> None:
        text = self.text
        pool = (self.pool.keys[index], self.pool.values[index])
        cos, sin = angles
        if self.row_space is not None:
            attend_row(
                self.attended, pool, self.positions, self.slots, scale=text.query_pre_attn_scalar**-0.5,
                space=self.row_space, qkv=self.qkv, norms=(layer.q_norm, layer.k_norm), rope=(cos, sin),
                window=text.sliding_window if layer.is_local else None, tables=None if layer.is_local else self.tables,
                eps=text.rms_norm_eps, pdl=self.pdl,
            )  # fmt: skip
            return
        common = {
            "scale": text.query_pre_attn_scalar**-0.5,
            "splits": self.splits,
            "workspace": self.workspace,
            "window": text.sliding_window if layer.is_local else None,
            "tables": None if layer.is_local else self.tables,
            "eps": text.rms_norm_eps,
            "dot": self.rows > 1,
            "block_s": _ATTENTION_ONE["block_s"] if self.rows == 1 else 32,
            "num_warps": _ATTENTION_ONE["num_warps"] if self.rows == 1 else 4,
            "pdl": self.pdl,
        }
        if self.distinct:
            decode_attention(
                self.attended, pool, self.positions, self.slots, qkv=self.qkv, norms=(layer.q_norm, layer.k_norm),
                rope=(cos, sin), **common,
            )  # fmt: skip
            return
        flat = tuple(part.view(-1, *part.shape[2:]) for part in pool)
        finish_heads(
            self.qkv, layer.q_norm, layer.k_norm, (cos, sin), text.rms_norm_eps, text.num_attention_heads,
            text.num_key_value_heads, self.query, flat, self.entries[0 if layer.is_local else 1],  # type: ignore[arg-type]
            pdl=self.pdl,
        )  # fmt: skip
        decode_attention(
            self.attended, pool, self.positions, self.slots, query=self.query, **common
        )
