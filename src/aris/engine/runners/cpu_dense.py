"""The runner on the compiled kernels for float32 and bfloat16 weights, which stay as and where the model has them.

Activations are float32 between products. As in `cpu`, every number depends on its own sequence alone: libraries'
products, which choose another order of sums for another number of rows, are nowhere on the way but in the tower, whose
images go through it one at a time.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from aris.engine.cache.kv_pool import KVPool
from aris.engine.runners.batch_invariant import Products
from aris.engine.runners.cpu import CpuRunner, takes
from aris.kernels.cpu import library as lib
from aris.model import AdapterBank, MedGemma
from aris.model.adapter_bank import LowRank
from aris.model.adapters import LoRALinear
from aris.model.decoder import DecoderLayer

_LANES = 16  # every size is a multiple of it
# Of the library's `ArisDenseLayer`.
_NAMES = {
    "q": "self_attn.q_proj", "k": "self_attn.k_proj", "v": "self_attn.v_proj", "o": "self_attn.o_proj",
    "gate": "mlp.gate_proj", "up": "mlp.up_proj", "down": "mlp.down_proj",
}  # fmt: skip


# Names an adapter that was put on the model, so that every row has it.
_ATTACHED = "attached"


class DenseRunner(CpuRunner):
    """Runs a decoder of linear layers, with or without an adapter on them; made by `wrap`. Modules stay as they are."""

    _always: str | None = None  # the adapter of every row

    @classmethod
    def wrap(cls, model: MedGemma, pool: KVPool, adapters: AdapterBank | None = None) -> DenseRunner | None:
        """A runner on a model's own weights; None if the kernels cannot run them."""
        if lib.library() is None or not _fits(model):
            return None
        attached = _attached(model)
        if attached is not None and adapters is not None:
            return None
        if not takes(adapters or attached):
            return None
        # What packed weights are for the other runner, the modules themselves are here.
        runner = cls(model, pool, [], None, adapters or attached)  # type: ignore[arg-type]
        runner._always = None if attached is None else _ATTACHED
        return runner

    @property
    def nbytes(self) -> int:
        """Bytes of the decoder's weights, the head included."""
        return sum(parameter.nbytes for parameter in self.model.language_model.parameters())

    def embed(self, ids: Tensor) -> Tensor:
        """Word ids (R,) int64 to scaled embeddings (R, W) float32."""
        return self.model.language_model.embed(ids[None])[0].float().contiguous()

    def logits(self, hidden: Tensor) -> Tensor:
        """See `Runner.logits`; float32, whatever head the model has."""
        with Products(self.product):
            return self.model.logits(hidden.float().contiguous()).float()

    def greedy(self, hidden: Tensor, banned: Tensor) -> Tensor:
        """See `Runner.greedy`."""
        return self.logits(hidden).index_fill(1, banned, float("-inf")).argmax(dim=1)

    def product(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """Rows (R, in) float32 times a matrix (out, in) float32 or bfloat16: (R, out) float32."""
        if x.shape[1] % _LANES:
            more = (0, -x.shape[1] % _LANES)
            x, weight = nn.functional.pad(x, more), nn.functional.pad(weight, more)
        x, dense = x.contiguous(), _dense(weight := weight.detach().contiguous())
        out = torch.empty(len(x), len(weight))
        self._library.aris_dense(self._state, ctypes.byref(dense), x.data_ptr(), len(x), out.data_ptr())
        return out if bias is None else out + bias.float()

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
        every = [self._always] * len(x) if self._always else names
        super()._run(x, positions, slots, tables, starts, last, every)

    def _describe_weights(self, position: lib.Layer, index: int) -> None:
        layer = self.model.language_model.layers[index]
        dense = lib.DenseLayer()
        for name, path in _NAMES.items():
            weight = layer.get_submodule(path).weight
            assert isinstance(weight, Tensor)
            self._kept.append(weight.detach())
            setattr(dense, name, _dense(self._kept[-1]))
        position.dense = ctypes.pointer(dense)

    def _describe_head(self) -> lib.Head:
        return lib.Head()  # not the library's business


def _dense(weight: Tensor) -> lib.Dense:
    return lib.Dense(weight.data_ptr(), *weight.shape, int(weight.dtype == torch.bfloat16))


def _attached(model: MedGemma) -> AdapterBank | None:
    """The adapter on a model's own layers, if it has one."""
    layers = {
        f"language_model.{name}": LowRank(each.lora_A.weight.detach(), each.lora_B.weight.detach(), each.scale)
        for name, each in model.language_model.named_modules()
        if isinstance(each, LoRALinear)
    }
    if not layers:
        return None
    bank = AdapterBank()
    bank.add(_ATTACHED, layers)
    return bank


def _fits(model: MedGemma) -> bool:
    """Return whether a model is dense, on the CPU, and of sizes that the kernels take."""
    text = model.config.text
    sizes = (text.hidden_size, text.num_attention_heads * text.head_dim, text.intermediate_size, text.head_dim)
    if model.device.type != "cpu" or any(size % _LANES for size in sizes):
        return False
    layers = [layer for layer in model.language_model.layers if isinstance(layer, DecoderLayer)]
    linear = [layer.get_submodule(path) for layer in layers for path in _NAMES.values()]
    return len(layers) == len(model.language_model.layers) and all(
        type(each) in (nn.Linear, LoRALinear)
        and each.bias is None
        and each.weight.dtype in (torch.float32, torch.bfloat16)
        and each.weight.is_contiguous()
        for each in linear
    )
