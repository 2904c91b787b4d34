"""The runner on the compiled kernels: int8 weights in groups of 32, activations rounded to int8 before each product.

Every number depends on its own sequence alone (see kernels/cpu/products.h and attention.h), so tokens are the same
alone and in company, however a prompt is cut, and whatever of it was taken over. `cpu_dense` is the same for weights
of float32 and bfloat16.
"""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Sequence
from itertools import accumulate

import torch
from torch import Tensor, nn

from aris.engine.cache.kv_pool import BLOCK, KVPool
from aris.engine.runners.batch_invariant import encode_alone
from aris.engine.runners.protocol import PrefillChunk, Rows
from aris.kernels.cpu import library as lib
from aris.kernels.cpu.packing import (
    GROUP,
    LANES,
    PackedHead,
    PackedMatrix,
    alternate,
    pack_head,
    pack_matrix,
    quantize_groups,
    unpack_matrix,
)
from aris.model import AdapterBank, LoRAQuantized, MedGemma, QuantizedEmbedding, QuantizedLinear
from aris.model.attention import visible_ranges
from aris.model.decoder import DecoderLayer
from aris.model.norms import RMSNorm
from aris.model.quantized import CodedEmbedding

_PREFILL = 512
# A layer's products in the order of the library's table of adapters.
_MATRICES = (
    "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
    "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj",
)  # fmt: skip
_MOST_RANK = 1024  # of the library's `MOST_RANK`


class PackedLinear(nn.Module):
    """A decoder's layer on packed weights; only to be looked at, as the library computes with them."""

    def __init__(self, packed: PackedMatrix, first: int, outputs: int, *, every: int = 1) -> None:
        super().__init__()
        self.packed, self.first, self.every = packed, first, every
        self.in_features, self.out_features = packed.columns, outputs

    def dense(self) -> Tensor:
        """The float32 matrix (out, in)."""
        blocks = unpack_matrix(self.packed).view(-1, LANES, self.in_features)
        return blocks[self.first // LANES :: self.every].reshape(-1, self.in_features)[: self.out_features]

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) to (..., out), by way of the dense matrix: slow."""
        return nn.functional.linear(x, self.dense().to(x.dtype))


class CpuRunner:
    """Runs a decoder whose matrices are quantised; `wrap` makes it. See `protocol.Runner` for what its methods do."""

    def __init__(
        self,
        model: MedGemma,
        pool: KVPool,
        layers: list[dict[str, PackedMatrix]],
        head: PackedHead,
        adapters: AdapterBank | None = None,
    ) -> None:
        self.model = model
        self._positions = {} if adapters is None else {name: at for at, name in enumerate(adapters.names)}
        self.pool = pool
        self.prefill_chunk = _PREFILL
        self.layers, self.head = layers, head
        found = lib.library()
        assert found is not None
        self._library = found
        self._kept: list[Tensor] = []  # tensors whose memory the structures point to
        self._structure = self._describe()
        if adapters is not None:
            self._structure.adapters = self._describe_adapters(adapters)
        self._state = found.aris_open(torch.get_num_threads())
        weakref.finalize(self, found.aris_close, self._state)
        self.scored_blocks = 0  # blocks of 16 words that greedy choices scored in full, of all the head's

    @classmethod
    def wrap(cls, model: MedGemma, pool: KVPool, adapters: AdapterBank | None = None) -> CpuRunner | None:
        """A runner on a model's weights, whose layers become views of the packed ones; None if it cannot run them."""
        if lib.library() is None or not takes(adapters):
            return None
        before = model.language_model.embed_tokens
        if isinstance(before, _PackedEmbedding):  # of another engine on the same model
            assert before.packed is not None
            layers = [_packed(layer) for layer in model.language_model.layers if isinstance(layer, DecoderLayer)]
            runner = cls(model, pool, layers, before.packed, adapters)
            before.add(runner)
            return runner
        if not _fits(model):
            return None
        layers = [_pack_layer(layer) for layer in model.language_model.layers if isinstance(layer, DecoderLayer)]
        embedding = model.language_model.embed_tokens
        head = pack_head(*_codes(embedding))
        model.language_model.embed_tokens = _PackedEmbedding()
        runner = cls(model, pool, layers, head, adapters)
        model.language_model.embed_tokens = _PackedEmbedding(runner)
        return runner

    @property
    def nbytes(self) -> int:
        """Bytes of the decoder's packed weights, the head included."""
        return self.head.nbytes + sum(matrix.nbytes for layer in self.layers for matrix in layer.values())

    def prefill(self, chunk: PrefillChunk) -> Tensor:
        """See `Runner.prefill`."""
        count = len(chunk.token_ids)
        ids = torch.tensor(chunk.token_ids)
        x = self.embed(ids.masked_fill(ids == self.model.config.image_token_index, 0))
        positions = torch.arange(chunk.start, chunk.start + count)
        last = positions
        if chunk.image_embeddings is not None:
            is_image = ids == self.model.config.image_token_index
            x[is_image] = chunk.image_embeddings.flatten(0, 1).float()
            reach = self.model.config.mm_tokens_per_image - 1
            last = visible_ranges(positions[None], is_image[None], self.pool.window, reach).last[0].contiguous()
        table = torch.tensor(list(chunk.block_table))
        names = [chunk.adapter] * count if chunk.adapter else ()
        self._run(x, positions, [chunk.slot] * count, table, [0] * count, last, names)
        return x if chunk.outputs is None else x[-chunk.outputs :]

    def encode_images(self, pixels: Tensor) -> Tensor:
        """See `Runner.encode_images`; one image at a time, so that each is the same alone and in company."""
        return encode_alone(self.model, pixels)

    def decode(self, rows: Rows) -> Tensor:
        """See `Runner.decode`."""
        x = self.embed(torch.tensor(list(rows.token_ids)))
        tables = [list(table) for table in rows.block_tables]
        starts = [0, *accumulate(len(table) for table in tables)][:-1]
        flat = torch.tensor([block for table in tables for block in table])
        self._run(x, torch.tensor(list(rows.positions)), rows.slots, flat, starts, None, rows.adapters)
        return x

    def embed(self, ids: Tensor) -> Tensor:
        """Word ids (R,) int64 to scaled embeddings (R, W) float32."""
        x = torch.empty(len(ids), self.head.columns)
        self._library.aris_embed(self._structure, ids.data_ptr(), len(ids), x.data_ptr())
        return x

    def logits(self, hidden: Tensor) -> Tensor:
        """See `Runner.logits`; float32."""
        states = hidden.float().contiguous()
        scores = torch.empty(len(states), self.head.words)
        self._library.aris_scores(self._state, self._structure, states.data_ptr(), len(states), scores.data_ptr())
        return scores

    def greedy(self, hidden: Tensor, banned: Tensor) -> Tensor:
        """See `Runner.greedy`: exactly the argmax of `logits`, found without most of them (see kernels/cpu/head.h)."""
        states, banned = hidden.float().contiguous(), banned.to(torch.int64).contiguous()
        words, count = torch.empty(len(states), dtype=torch.int64), len(states)
        self.scored_blocks = self._library.aris_greedy(
            self._state, self._structure, states.data_ptr(), count, banned.data_ptr(), len(banned), words.data_ptr()
        )
        return words

    def copy_slot(self, source: int, target: int, tokens: int | None = None) -> None:
        """See `Runner.copy_slot`."""
        self.pool.copy_slot(source, target, tokens)

    def copy_block(self, source: int, target: int) -> None:
        """See `Runner.copy_block`."""
        self.pool.copy_block(source, target)

    def _run(
        self,
        x: Tensor,
        positions: Tensor,
        slots: Sequence[int],
        tables: Tensor,
        starts: Sequence[int],
        last: Tensor | None,
        names: Sequence[str | None],
    ) -> None:
        """Embeddings (R, W) float32 to final hidden states, in place; `last` if the rows are a chunk."""
        slot_ids, first_blocks = torch.tensor(list(slots)), torch.tensor(list(starts))
        adapters = None
        if any(names):
            adapters = torch.tensor([-1 if name is None else self._positions[name] for name in names])
        rows = lib.RowsOf(
            len(x),
            positions.data_ptr(),
            slot_ids.data_ptr(),
            tables.data_ptr(),
            first_blocks.data_ptr(),
            None if last is None else last.data_ptr(),
            None if adapters is None else adapters.data_ptr(),
        )
        self._library.aris_run(self._state, self._structure, ctypes.byref(rows), x.data_ptr())

    def _describe(self) -> lib.Model:
        text, decoder, pool = self.model.config.text, self.model.language_model, self.pool
        layers = (lib.Layer * len(decoder.layers))()
        for index, (described, layer) in enumerate(zip(layers, decoder.layers, strict=True)):
            assert isinstance(layer, DecoderLayer)
            self._describe_weights(described, index)
            described.input_norm = self._norm(layer.input_layernorm)
            described.q_norm, described.k_norm = self._norm(layer.self_attn.q_norm), self._norm(layer.self_attn.k_norm)
            described.post_attention_norm = self._norm(layer.post_attention_layernorm)
            described.pre_feedforward_norm = self._norm(layer.pre_feedforward_layernorm)
            described.post_feedforward_norm = self._norm(layer.post_feedforward_layernorm)
            described.keys, described.values = pool.keys[index].data_ptr(), pool.values[index].data_ptr()
            described.local = int(pool.local[index])
        scale = torch.tensor(text.hidden_size**0.5, dtype=self.model.dtype).item()  # rounded as the embedding does
        self._layers = layers
        return lib.Model(
            text.hidden_size, text.num_attention_heads, text.num_key_value_heads, text.head_dim,
            text.intermediate_size, len(layers), pool.ring, pool.window, BLOCK,
            text.rms_norm_eps, text.query_pre_attn_scalar**-0.5, scale, int(pool.dtype == torch.bfloat16),
            layers, self._norm(decoder.norm),
            self._frequencies(text.rope_theta, text.rope_factor), self._frequencies(text.rope_local_base_freq, 1.0),
            self._describe_head(),
        )  # fmt: skip

    def _describe_weights(self, described: lib.Layer, index: int) -> None:
        for name, packed in self.layers[index].items():
            matrix = lib.Matrix(packed.codes.data_ptr(), packed.scales.data_ptr(), packed.outputs, packed.columns)
            setattr(described, name, matrix)

    def _describe_head(self) -> lib.Head:
        head = self.head
        return lib.Head(
            head.upper.data_ptr(), head.lower.data_ptr(), head.scales.data_ptr(), head.bounds.data_ptr(),
            head.parts.data_ptr(), head.units.data_ptr(), head.words, len(head.bounds), head.columns,
        )  # fmt: skip

    def _describe_adapters(self, bank: AdapterBank) -> ctypes.Array[lib.LowRank]:
        """The library's table of adapters, in float32: A (r, in), and B with its factor as (r, out)."""
        count = len(self.model.language_model.layers)
        table = (lib.LowRank * (len(bank.names) * count * len(_MATRICES)))()
        for at, layers in enumerate(bank.layers.values()):
            for name, pair in layers.items():
                _, _, index, matrix = name.split(".", 3)
                low, high = pair.low.float().contiguous(), (pair.high.float() * pair.scale).T.contiguous()
                self._kept += [low, high]
                row = (at * count + int(index)) * len(_MATRICES) + _MATRICES.index(matrix)
                table[row] = lib.LowRank(low.data_ptr(), high.data_ptr(), len(low))
        return table

    def _norm(self, norm: RMSNorm) -> int:
        self._kept.append(1.0 + norm.weight.detach().float())
        return self._kept[-1].data_ptr()

    def _frequencies(self, theta: float, factor: float) -> int:
        dim = self.model.config.text.head_dim
        exponents = torch.arange(0, dim, 2, dtype=torch.float32) / dim
        self._kept.append(1.0 / (theta**exponents) / factor)
        return self._kept[-1].data_ptr()


class _PackedEmbedding(CodedEmbedding):
    """The model's embedding and head on the runner's packed one."""

    def __init__(self, runner: CpuRunner | None = None, packed: PackedHead | None = None) -> None:
        super().__init__()
        self._runners: weakref.WeakSet[CpuRunner] = weakref.WeakSet()
        self.packed = packed if runner is None else runner.head
        if runner is not None:
            self.add(runner)

    def add(self, runner: CpuRunner) -> None:
        """Another runner on the same weights."""
        self._runners.add(runner)

    def lookup(self, token_ids: Tensor, dtype: torch.dtype) -> Tensor:
        """Ids (...) int64 to rows (..., width)."""
        runner = self._of()
        scale = runner._structure.embedding_scale
        rows = runner.embed(token_ids.reshape(-1).contiguous()) / scale
        return rows.to(dtype).view(*token_ids.shape, -1)

    def logits(self, hidden: Tensor) -> Tensor:
        """Hidden states (..., width) to scores (..., vocabulary)."""
        scores = self._of().logits(hidden.reshape(-1, hidden.shape[-1]))
        return scores.to(hidden.dtype).view(*hidden.shape[:-1], -1)

    def _of(self) -> CpuRunner:
        runner = next(iter(self._runners), None)
        if runner is None:
            raise RuntimeError("the engine that held this model's weights is gone; load the model again")
        return runner


def _fits(model: MedGemma) -> bool:
    """Return whether a model is quantised, on the CPU, and of sizes that the kernels take."""
    text = model.config.text
    sizes = (text.hidden_size, text.num_attention_heads * text.head_dim, text.intermediate_size)
    if model.device.type != "cpu" or any(size % GROUP for size in sizes) or text.head_dim % 32:
        return False
    embedding = model.language_model.embed_tokens
    if model.language_model.lm_head is not None:
        return False  # the kernels score with the embedding
    if not isinstance(embedding, QuantizedEmbedding) or embedding.format != "int8":
        return False
    layers = [layer for layer in model.language_model.layers if isinstance(layer, DecoderLayer)]
    return all(
        isinstance(each, QuantizedLinear | LoRAQuantized)
        for layer in layers
        for part in (layer.self_attn, layer.mlp)
        for name, each in part.named_children()
        if name.endswith("_proj")
    )


def takes(adapters: AdapterBank | None) -> bool:
    """Return whether the kernels have room for all adapters' ranks."""
    layers = () if adapters is None else adapters.layers.values()
    return all(len(pair.low) <= _MOST_RANK for each in layers for pair in each.values())


def _codes(module: nn.Module) -> tuple[Tensor, Tensor]:
    """Codes int8 (out, in) and scales float16 (out, in/32): the module's own where it has such, else rounded anew."""
    if isinstance(module, QuantizedLinear | QuantizedEmbedding) and module.format == "int8":
        size = module.group_size
        scale = module.scale.half()
        if size % GROUP == 0 and int(module.qweight.min()) >= -128:
            return module.qweight, scale.repeat_interleave(size // GROUP, 1) if size > GROUP else scale
    if isinstance(module, LoRAQuantized):
        return quantize_groups(module.merged())
    assert isinstance(module, QuantizedLinear | QuantizedEmbedding)
    return quantize_groups(module.dequantized())


def _packed(layer: DecoderLayer) -> dict[str, PackedMatrix]:
    """Return the packed weights that `_pack_layer` made of a layer before."""
    attention, mlp = layer.self_attn, layer.mlp
    modules = {"qkv": attention.q_proj, "o": attention.o_proj, "gate_up": mlp.gate_proj, "down": mlp.down_proj}
    return {name: module.packed for name, module in modules.items() if isinstance(module, PackedLinear)}


def _pack_layer(layer: DecoderLayer) -> dict[str, PackedMatrix]:
    """A layer's matrices packed, and its modules made views of them."""
    attention, mlp = layer.self_attn, layer.mlp
    parts = [_codes(each) for each in (attention.q_proj, attention.k_proj, attention.v_proj)]
    counts = [len(codes) for codes, _ in parts]
    qkv = pack_matrix(torch.cat([codes for codes, _ in parts]), torch.cat([scales for _, scales in parts]))
    o, down = pack_matrix(*_codes(attention.o_proj)), pack_matrix(*_codes(mlp.down_proj))
    gate_up = pack_matrix(*alternate(_codes(mlp.gate_proj), _codes(mlp.up_proj)))
    packed = {"qkv": qkv, "o": o, "gate_up": gate_up, "down": down}
    _install(layer, packed, counts)
    return packed


def _install(layer: DecoderLayer, packed: dict[str, PackedMatrix], counts: list[int]) -> None:
    """Make a layer's modules views of its packed matrices; `counts` are the outputs of q, k and v."""
    attention, mlp = layer.self_attn, layer.mlp
    qkv, o, gate_up, down = (packed[name] for name in ("qkv", "o", "gate_up", "down"))
    for name, first, count in zip(("q_proj", "k_proj", "v_proj"), [0, *accumulate(counts)], counts, strict=False):
        setattr(attention, name, PackedLinear(qkv, first, count))
    width = o.columns, down.columns
    attention.o_proj = PackedLinear(o, 0, down.outputs)  # type: ignore[assignment]
    mlp.down_proj = PackedLinear(down, 0, o.outputs)  # type: ignore[assignment]
    mlp.gate_proj = PackedLinear(gate_up, 0, width[1], every=2)  # type: ignore[assignment]
    mlp.up_proj = PackedLinear(gate_up, LANES, width[1], every=2)  # type: ignore[assignment]


def packed_parts(model: MedGemma) -> tuple[list[dict[str, PackedMatrix]], PackedHead] | None:
    """The packed matrices of each layer and the packed head, once a runner was made on the model; else None."""
    embedding = model.language_model.embed_tokens
    if not isinstance(embedding, _PackedEmbedding) or embedding.packed is None:
        return None
    layers = [_packed(layer) for layer in model.language_model.layers if isinstance(layer, DecoderLayer)]
    return layers, embedding.packed


def install_packed(model: MedGemma, layers: list[dict[str, PackedMatrix]], head: PackedHead) -> None:
    """Give a model without weights the matrices of `packed_parts`, in the place of packing its own."""
    text = model.config.text
    own = text.num_key_value_heads * text.head_dim
    counts = [text.num_attention_heads * text.head_dim, own, own]
    for layer, packed in zip(model.language_model.layers, layers, strict=True):
        assert isinstance(layer, DecoderLayer)
        _install(layer, packed, counts)
    model.language_model.embed_tokens = _PackedEmbedding(packed=head)
