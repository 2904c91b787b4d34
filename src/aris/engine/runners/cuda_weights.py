"""The decoder's weights as the CUDA kernels want them: q, k and v in one matrix, gate and up in one, codes in words.

Nothing is held twice: the model's own layers become views of the joined matrices, or packed layers on the same memory.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aris.kernels.gpu.matmul import dequantise, matmul
from aris.kernels.gpu.tiles import can_tile
from aris.kernels.gpu.weights import Weight, pack_tiles, pack_words, stack
from aris.model import MedGemma
from aris.model.decoder import DecoderLayer
from aris.model.quantized import CodedEmbedding


@dataclass(frozen=True)
class LayerWeights:
    """Weights of one decoder layer. Norm weights are as stored, w of 1 + w."""

    qkv: Weight
    o: Weight
    gate_up: Weight
    down: Weight
    q_norm: Tensor
    k_norm: Tensor
    input_norm: Tensor
    post_attention_norm: Tensor
    pre_feedforward_norm: Tensor
    post_feedforward_norm: Tensor
    is_local: bool


class PackedLinear(nn.Module):
    """A linear layer on a kernel's weight, which may be some rows of a larger one."""

    def __init__(self, weight: Weight, table: Tensor | None) -> None:
        super().__init__()
        self.packed = weight
        self.table = table
        self.in_features, self.out_features = weight.in_features, weight.out_features

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) to (..., out); by way of the dense matrix where a gradient is asked for: the kernel has none."""
        if x.requires_grad and torch.is_grad_enabled():
            return F.linear(x, dequantise(self.packed, x.dtype, self.table))
        flat = x.reshape(-1, x.shape[-1])
        return matmul(flat, self.packed, table=self.table).view(*x.shape[:-1], -1)


class PackedEmbedding(CodedEmbedding):
    """The tied embedding on a kernel's weight (see `model.quantized.QuantizedEmbedding`)."""

    def __init__(self, weight: Weight, table: Tensor | None) -> None:
        super().__init__()
        self.packed = weight
        self.table = table

    def lookup(self, token_ids: Tensor, dtype: torch.dtype) -> Tensor:
        """Ids (...) int64 to rows (..., width)."""
        flat = token_ids.reshape(-1)
        whole = self.packed
        scale, minimum = whole.scale, whole.minimum
        rows = Weight(
            whole.format,
            whole.data[flat],
            None if scale is None else scale[flat],
            None if minimum is None else minimum[flat],
            whole.group_size,
        )
        return dequantise(rows, dtype, self.table).view(*token_ids.shape, -1)

    def logits(self, hidden: Tensor) -> Tensor:
        """Hidden states (..., width) to scores (..., vocabulary)."""
        flat = hidden.reshape(-1, hidden.shape[-1])
        return matmul(flat, self.packed, table=self.table).view(*hidden.shape[:-1], -1)


def rows_of(weight: Weight, start: int, stop: int) -> Weight:
    """Some rows of a matrix, on the same memory."""
    return Weight(
        weight.format,
        weight.data[start:stop],
        None if weight.scale is None else weight.scale[start:stop],
        None if weight.minimum is None else weight.minimum[start:stop],
        weight.group_size,
        weight.tiled,
    )


def weight_of(module: nn.Module) -> Weight | None:
    """A layer's matrix; None if these kernels cannot use the layer as it is (an adapter, a bias, odd groups).

    int4 layers are laid out in tiles where this machine has the kernel for them; an embedding stays in words, as its
    rows are also read one by one.
    """
    if isinstance(module, PackedLinear | PackedEmbedding):
        return module.packed
    kind = getattr(module, "format", None)
    if kind is None:
        plain = type(module) in (nn.Linear, nn.Embedding) and getattr(module, "bias", None) is None
        weight = getattr(module, "weight", None)
        return Weight("dense", weight.data) if plain and isinstance(weight, Tensor) else None
    group, width = int(module.group_size), int(module.in_features)  # type: ignore[arg-type]
    data, scale = module.qweight, module.scale
    assert isinstance(data, Tensor) and isinstance(scale, Tensor)
    if kind == "int8":
        return Weight("int8", data, scale, None, group or width)
    if width % 128 or 128 % group:
        return None
    minimum = module.minimum if kind == "int4" else None
    assert minimum is None or isinstance(minimum, Tensor)
    is_table = isinstance(module, CodedEmbedding)
    if minimum is not None and not is_table and data.is_cuda and can_tile(len(data), width, group):
        return pack_tiles(data, scale, minimum, group)
    return Weight(str(kind), pack_words(data, group), scale, minimum, group)


def _join(parent: nn.Module, names: tuple[str, ...], table: Tensor | None) -> Weight | None:
    parts = [weight_of(getattr(parent, name)) for name in names]
    known = [part for part in parts if part is not None]
    if len(known) != len(names) or len({(part.format, part.group_size, part.tiled) for part in known}) != 1:
        return None
    whole = stack(known) if len(known) > 1 else known[0]
    start = 0
    for name, part in zip(names, known, strict=True):
        stop = start + part.out_features
        module = getattr(parent, name)
        if whole.format == "dense":
            module.weight.data = whole.data[start:stop]
        elif not isinstance(module, PackedLinear):
            setattr(parent, name, PackedLinear(rows_of(whole, start, stop), table))
        start = stop
    return whole


def layer_weights(layer: DecoderLayer, table: Tensor | None) -> LayerWeights | None:
    """A layer's weights joined in place; None if one of its products is of a kind that the kernels do not know."""
    attention, mlp = layer.self_attn, layer.mlp
    qkv = _join(attention, ("q_proj", "k_proj", "v_proj"), table)
    o = _join(attention, ("o_proj",), table)
    gate_up = _join(mlp, ("gate_proj", "up_proj"), table)
    down = _join(mlp, ("down_proj",), table)
    if qkv is None or o is None or gate_up is None or down is None:
        return None
    return LayerWeights(
        qkv, o, gate_up, down,
        attention.q_norm.weight.data, attention.k_norm.weight.data,
        layer.input_layernorm.weight.data, layer.post_attention_layernorm.weight.data,
        layer.pre_feedforward_layernorm.weight.data, layer.post_feedforward_layernorm.weight.data,
        attention.is_local,
    )  # fmt: skip


def decoder_weights(model: MedGemma, table: Tensor) -> list[LayerWeights] | None:
    """All layers' weights; None if the kernels cannot run this model (adapters, or shapes that they do not take)."""
    text = model.config.text
    groups = text.num_attention_heads // text.num_key_value_heads
    if groups & (groups - 1) or text.head_dim & (text.head_dim - 1):
        return None
    if model.device.type == "cuda" and model.dtype != torch.bfloat16:
        return None  # the tiles are made for bfloat16; float32 is for parity, where the plain runner is as good
    weights = []
    for layer in model.language_model.layers:
        assert isinstance(layer, DecoderLayer)
        joined = layer_weights(layer, table)
        if joined is None:
            return None
        weights.append(joined)
    return weights
