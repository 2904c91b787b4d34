"""The runner for CUDA devices: decode steps as captured graphs of Triton kernels, prompts on flash attention."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import wraps
from typing import Any, TypeVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from aris.engine.cache.kv_pool import BLOCK, KVPool
from aris.engine.runners.cuda_step import DecodeStep
from aris.engine.runners.cuda_tower import CudaTower
from aris.engine.runners.cuda_weights import LayerWeights, PackedEmbedding, decoder_weights, weight_of
from aris.engine.runners.protocol import PrefillChunk, Rows
from aris.kernels.gpu.activation import gated
from aris.kernels.gpu.gated_product import fits, gated_product
from aris.kernels.gpu.matmul import matmul
from aris.kernels.gpu.prefill_attention import prefill_attention
from aris.kernels.gpu.rows import add_norm, embed, finish_heads
from aris.kernels.gpu.weights import NF4_VALUES, Weight
from aris.model import MedGemma
from aris.model.attention import visible_ranges

# Rows for which a graph is kept; a batch is padded to the next of them, and larger ones are cut.
BUCKETS = (1, 2, 4, 8, 16, 24, 32, 48, 64)


Method = TypeVar("Method", bound=Callable[..., Any])


def _current(device: torch.device) -> AbstractContextManager[object]:
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()


def _on_device(method: Method) -> Method:
    """Run a method with the model's device as the current one, which is where Triton launches."""

    @wraps(method)
    def run(self: CudaRunner, *arguments: Any, **options: Any) -> Any:
        with _current(self.model.device):
            return method(self, *arguments, **options)

    return cast(Method, run)


class CudaRunner:
    """Runs a bfloat16 model, its weights dense or quantised, on one CUDA device (see `protocol.Runner`).

    The model's layers are joined in place (see `cuda_weights`); it still runs by itself afterwards, but its weights are
    not to be changed, as some are kept as copies. Graphs are captured when a batch size is first seen.
    """

    def __init__(
        self,
        model: MedGemma,
        pool: KVPool,
        weights: list[LayerWeights],
        embedding: Weight,
        head: Weight,
        table: Tensor,
        *,
        prefill_chunk: int = 8192,
    ) -> None:
        self.model, self.pool, self.weights, self.embedding, self.head = model, pool, weights, embedding, head
        self.prefill_chunk = max(prefill_chunk // BLOCK, 1) * BLOCK
        self.max_blocks = min(pool.blocks, -(-model.config.text.max_position_embeddings // BLOCK))
        self.table = table
        config = model.config
        ids = (config.boi_token_index, config.eoi_token_index, config.image_token_index)
        known = [i for i in ids if i < config.text.vocab_size]
        self._banned = torch.tensor(known, dtype=torch.int64, device=model.device)
        self._banned_set = set(ids)
        self._steps: dict[tuple[int, bool], DecodeStep] = {}
        self._graphs: dict[tuple[int, bool], torch.cuda.CUDAGraph] = {}
        plain = model.vision_tower is not None and not model.config.vision.stem_channels  # type: ignore[union-attr]
        self._tower = CudaTower(model) if plain and model.device.type == "cuda" else None
        # The step whose results were returned last, its rows, and the hidden states as they were handed out.
        self._current: DecodeStep | None = None
        self._rows: Rows | None = None
        self._hidden: Tensor | None = None
        self._tokens: list[int] | None = None
        # The step after it was launched already, on the tokens that it gave.
        self._launched = False

    @classmethod
    def wrap(cls, model: MedGemma, pool: KVPool, *, prefill_chunk: int = 8192) -> CudaRunner | None:
        """A runner for the model; None if the kernels do not take it (another dtype, adapters that are not merged)."""
        with _current(model.device):
            table = torch.tensor(NF4_VALUES, device=model.device)
            weights = decoder_weights(model, table)
            decoder = model.language_model
            embedding = weight_of(decoder.embed_tokens)
            head = embedding if decoder.lm_head is None else weight_of(decoder.lm_head)
            if weights is None or embedding is None or head is None:
                return None
            if embedding.format != "dense":
                decoder.embed_tokens = PackedEmbedding(embedding, table)
            if decoder.lm_head is not None and head.format != "dense":
                decoder.lm_head = PackedEmbedding(head, table)
            return cls(model, pool, weights, embedding, head, table, prefill_chunk=prefill_chunk)

    @_on_device
    def encode_images(self, pixels: Tensor) -> Tensor:
        """See `Runner.encode_images`."""
        return self.model.encode_images(pixels) if self._tower is None else self._tower(pixels)

    # Decoding

    @_on_device
    def decode(self, rows: Rows) -> Tensor:
        """See `Runner.decode`.

        After greedy steps the next one is launched before this one's tokens are read, as if every sequence went on. If
        they do, it is only fetched here; if not, it has written one position behind what its sequences hold, which
        nobody sees before it is written again.
        """
        if len(rows) > BUCKETS[-1]:
            self._current = None
            return torch.cat([self._replay(part)[1].hidden[: len(part)].clone() for part in _cut(rows, BUCKETS[-1])])
        if not (self._launched and self._follows(rows)):
            _, self._current = self._replay(rows)
        step = self._current
        assert step is not None
        self._launched, self._tokens = False, None
        self._rows = rows
        self._hidden = step.hidden[: len(rows)].clone()
        return self._hidden

    @_on_device
    def logits(self, hidden: Tensor) -> Tensor:
        """See `Runner.logits`."""
        step = self._current
        if step is not None and hidden is self._hidden and not self._launched:
            return step.logits[: hidden.shape[0]]
        return matmul(hidden, self.head, table=self.table)

    @_on_device
    def greedy(self, hidden: Tensor, banned: Tensor) -> Tensor:
        """See `Runner.greedy`; the result is on the CPU. The image markers are never chosen."""
        step = self._current
        ours = step is not None and hidden is self._hidden and set(banned.tolist()) <= self._banned_set
        if step is None or not ours:
            logits = self.logits(hidden)
            return logits.index_fill(1, banned.to(hidden.device), float("-inf")).argmax(dim=1).cpu()
        count = hidden.shape[0]
        if not self._launched:
            ready = step.fetch_tokens()
            self._launch_next(step)
            step.wait(ready)
            self._tokens = step.fetched[:count].tolist()
        return torch.tensor(self._tokens)

    def _launch_next(self, step: DecodeStep) -> None:
        """Launch the step that follows if every sequence goes on and has room in its last block."""
        rows = self._rows
        if rows is None or not step.distinct:
            return
        if any((at + 1) // BLOCK >= len(table) for at, table in zip(rows.positions, rows.block_tables, strict=True)):
            return
        entered = [row for row, at in enumerate(rows.positions) if (at + 1) % BLOCK == 0]
        if entered:
            pages = [(rows.positions[row] + 1) // BLOCK for row in entered]
            blocks = [rows.block_tables[row][page] for row, page in zip(entered, pages, strict=True)]
            where = torch.tensor([entered, pages, blocks], device=step.tables.device)
            step.tables[where[0], where[1]] = where[2].to(torch.int32)
        step.feed(len(rows))
        self._run(step)
        self._launched = True

    def _rewritten(self, slot: int) -> None:
        """Void a step that was launched on a slot whose contents change, even if the next rows look like it."""
        if self._rows is not None and slot in self._rows.slots:
            self._launched, self._rows = False, None

    def _follows(self, rows: Rows) -> bool:
        """Return whether rows are those of the step that was launched ahead."""
        before = self._rows
        return (
            before is not None
            and list(rows.slots) == list(before.slots)
            and list(rows.token_ids) == self._tokens
            and all(now == then + 1 for now, then in zip(rows.positions, before.positions, strict=True))
            and all(
                now[: at // BLOCK + 1] == then[: at // BLOCK + 1]
                for at, now, then in zip(rows.positions, rows.block_tables, before.block_tables, strict=True)
            )
        )

    def copy_slot(self, source: int, target: int, tokens: int | None = None) -> None:
        """See `Runner.copy_slot`."""
        self._rewritten(target)
        self.pool.copy_slot(source, target, tokens)

    def copy_block(self, source: int, target: int) -> None:
        """See `Runner.copy_block`."""
        self.pool.copy_block(source, target)

    def step_for(self, count: int, *, distinct: bool) -> tuple[DecodeStep, torch.cuda.CUDAGraph | None]:
        """The buffers and the graph of the bucket that holds `count` rows; captured when first asked for."""
        size = next(bucket for bucket in BUCKETS if bucket >= count)
        key = (size, distinct)
        if key not in self._steps:
            step = DecodeStep(
                self.model.config.text, self.weights, self.embedding, self.head,
                self.model.language_model.norm.weight.data, self.pool,
                size, self.max_blocks, distinct=distinct, banned=self._banned, table=self.table,
            )  # fmt: skip
            self._steps[key] = step
            if step.on_gpu:
                self._graphs[key] = _capture(step)
        return self._steps[key], self._graphs.get(key)

    def _replay(self, rows: Rows) -> tuple[bool, DecodeStep]:
        count = len(rows)
        distinct = len(set(rows.slots)) == count
        step, _ = self.step_for(count, distinct=distinct)
        inputs = torch.zeros(3, step.rows, dtype=torch.int64)
        inputs[:, :count] = torch.tensor([list(rows.token_ids), list(rows.positions), list(rows.slots)])
        needed = max(position // BLOCK + 1 for position in rows.positions)
        tables = torch.zeros(step.rows, needed, dtype=torch.int32)
        for row, (table, position) in enumerate(zip(rows.block_tables, rows.positions, strict=True)):
            used = position // BLOCK + 1
            tables[row, :used] = torch.tensor(list(table[:used]), dtype=torch.int32)
        step.inputs.copy_(inputs)
        step.tables[:, :needed].copy_(tables)
        self._run(step)
        return distinct, step

    def _run(self, step: DecodeStep) -> None:
        graph = self._graphs.get((step.rows, step.distinct))
        if graph is None:
            step.run()
        else:
            graph.replay()

    # Prompts

    @_on_device
    def prefill(self, chunk: PrefillChunk) -> Tensor:
        """See `Runner.prefill`."""
        self._rewritten(chunk.slot)
        model, text = self.model, self.model.config.text
        device, tokens = model.device, len(chunk.token_ids)
        ids = torch.tensor([list(chunk.token_ids)], device=device)
        positions = torch.arange(chunk.start, chunk.start + tokens, device=device)
        dim = text.head_dim
        x = torch.empty(tokens, text.hidden_size, dtype=model.dtype, device=device)
        angles = tuple(torch.empty(tokens, dim // 2, device=device) for _ in range(4))
        step, _ = self.step_for(1, distinct=True)
        safe = (
            ids[0]
            if chunk.image_embeddings is None
            else ids[0].masked_fill(ids[0] == model.config.image_token_index, 0)
        )
        embed(safe, positions, self.embedding, step.frequencies, step.local_frequencies, step.factor, x, angles)  # type: ignore[arg-type]
        reach, is_image = 0, ids == model.config.image_token_index
        if chunk.image_embeddings is not None:
            x.masked_scatter_(is_image[0, :, None], chunk.image_embeddings.to(x.dtype))
            reach = model.config.mm_tokens_per_image - 1
        visible = visible_ranges(positions[None], is_image, text.sliding_window, reach)
        past = _Past(self.pool, chunk, positions)
        # What each query sees, as indices into the keys that a layer of a kind has: earlier ones, then its own.
        ranges = {}
        for local, first in ((True, visible.local_first), (False, visible.first)):
            base = past.first if local else 0
            ranges[local] = tuple((part[0] - base).clamp(min=0).to(torch.int32) for part in (first, visible.last))
        normed = torch.empty_like(x)
        eps = text.rms_norm_eps
        add_norm(x, self.weights[0].input_norm, eps, normed)
        for index, layer in enumerate(self.weights):
            last = index + 1 == len(self.weights)
            # In the last layer only the tokens that are asked for attend: nothing depends on the others any more.
            kept = chunk.outputs if last and chunk.outputs else tokens
            qkv = self._linear(normed, layer.qkv)
            attended = self._attend_prompt(
                index, layer, qkv, angles[2:] if layer.is_local else angles[:2], past, ranges, kept
            )
            if kept < tokens:
                x, normed = x[-kept:].contiguous(), normed[-kept:].contiguous()
            branch = self._linear(attended, layer.o)
            add_norm(x, layer.pre_feedforward_norm, eps, normed, branch=branch,
                     post_weight=layer.post_attention_norm, residual_out=x)  # fmt: skip
            branch = self._linear(self._gated(normed, layer.gate_up), layer.down)
            weight = model.language_model.norm.weight.data if last else self.weights[index + 1].input_norm
            add_norm(x, weight, eps, normed, branch=branch, post_weight=layer.post_feedforward_norm, residual_out=x)
        return normed

    def _linear(self, x: Tensor, weight: Weight) -> Tensor:
        if weight.format == "dense":
            return F.linear(x, weight.data)
        return matmul(x, weight, table=self.table)

    def _gated(self, x: Tensor, weight: Weight) -> Tensor:
        if weight.format == "dense" and fits(len(x), weight.data):
            return gated_product(x, weight.data)
        return gated(self._linear(x, weight))

    def _attend_prompt(
        self,
        index: int,
        layer: LayerWeights,
        qkv: Tensor,
        angles: Sequence[Tensor],
        past: _Past,
        ranges: dict[bool, tuple[Tensor, ...]],
        kept: int,
    ) -> Tensor:
        """Attention of the last `kept` tokens, (kept, H D); keys and values of all go to the cache."""
        text = self.model.config.text
        tokens, heads, kv_heads, dim = len(qkv), text.num_attention_heads, text.num_key_value_heads, text.head_dim
        old_key, old_value = past.before(index)
        old = 0 if old_key is None else len(old_key)
        query = torch.empty(tokens, heads, dim, dtype=qkv.dtype, device=qkv.device)
        key = torch.empty(old + tokens, kv_heads, dim, dtype=qkv.dtype, device=qkv.device)
        value = torch.empty_like(key)
        if old_key is not None and old_value is not None:
            key[:old], value[:old] = old_key, old_value
        pool = (self.pool.keys[index].view(-1, kv_heads, dim), self.pool.values[index].view(-1, kv_heads, dim))
        finish_heads(
            qkv, layer.q_norm, layer.k_norm, (angles[0], angles[1]), text.rms_norm_eps, heads, kv_heads, query, pool,
            past.local_positions if layer.is_local else past.global_positions, copy=(key[old:], value[old:]),
        )  # fmt: skip
        first, last = (part[-kept:] for part in ranges[layer.is_local])
        return prefill_attention(
            query[None, -kept:], key[None], value[None], scale=text.query_pre_attn_scalar**-0.5,
            first=first, last=last,
        )[0]  # fmt: skip


class _Past:
    """Past of a prompt's chunk: the cached tokens before it, and the positions of its own keys and values."""

    def __init__(self, pool: KVPool, chunk: PrefillChunk, positions: Tensor) -> None:
        self._pool, self._slot, self._start = pool, chunk.slot, chunk.start
        self._table = torch.tensor(list(chunk.block_table), dtype=torch.int64, device=pool.device)
        # The first earlier position that a local layer's keys begin with.
        self.first = max(0, chunk.start - pool.window + 1)
        self._recent = torch.arange(self.first, chunk.start, device=pool.device) % pool.ring
        # Of a chunk longer than the ring only the end stays in it.
        kept = positions >= chunk.start + len(positions) - pool.ring
        self.local_positions = torch.where(kept, chunk.slot * pool.ring + positions % pool.ring, -1)
        self.global_positions = self._table[positions // BLOCK] * BLOCK + positions % BLOCK

    def before(self, layer: int) -> tuple[Tensor | None, Tensor | None]:
        """Earlier keys and values (S, K, D), None if there are none."""
        if not self._start:
            return None, None
        key, value = self._pool.keys[layer], self._pool.values[layer]
        if self._pool.local[layer]:
            return key[self._slot, self._recent], value[self._slot, self._recent]
        used = self._table[: -(-self._start // BLOCK)]
        return key[used].flatten(0, 1)[: self._start], value[used].flatten(0, 1)[: self._start]


def _capture(step: DecodeStep) -> torch.cuda.CUDAGraph:
    """A step as a graph. It runs once before, on slot and block 0, so that its kernels are compiled and loaded."""
    side = torch.cuda.Stream(step.hidden.device)
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        step.run()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    # Other threads may use the device meanwhile, to encode an image for instance.
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        step.run()
    return graph


def _cut(rows: Rows, size: int) -> list[Rows]:
    return [
        Rows(
            rows.token_ids[at : at + size],
            rows.positions[at : at + size],
            rows.slots[at : at + size],
            rows.block_tables[at : at + size],
        )
        for at in range(0, len(rows), size)
    ]
