"""Several low-rank adapters beside one set of weights, chosen for each row of a batch.

`y = x W^T` for all rows at once, and for the rows of each adapter `scale * (x A^T) B^T` on top, as
`adapters.LoRALinear` computes it: nothing is merged, so adapters take turns without a copy of the weights (S-LoRA,
arXiv 2311.03285).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aris.errors import ModelError

# Everything that an adapter may be on: tower and projector run once for all, before it is known for whom.
_DECODER = "language_model."


@dataclass(frozen=True)
class LowRank:
    """Low-rank matrices of one layer's adapter: A (r, in), B (out, r), and the factor of their product."""

    low: Tensor
    high: Tensor
    scale: float

    def __call__(self, x: Tensor) -> Tensor:
        """Compute the adapter's addition to the layer's output, (..., in) to (..., out), in its own dtype."""
        return F.linear(F.linear(x.to(self.low.dtype), self.low), self.high) * self.scale


class AdapterBank:
    """Adapters by name. `None` stands for the base model everywhere.

    Attributes:
        layers: for each adapter its matrices by the names of the model's layers.
    """

    def __init__(self) -> None:
        self.layers: dict[str, dict[str, LowRank]] = {}
        # For the batch at hand: each adapter in it, and its rows (None: all of them).
        self._chosen: list[tuple[str, Tensor | None]] = []

    @property
    def names(self) -> tuple[str, ...]:
        """The adapters, in the order in which they came."""
        return tuple(self.layers)

    @property
    def nbytes(self) -> int:
        """Bytes of all matrices."""
        pairs = [each for layers in self.layers.values() for each in layers.values()]
        return sum(pair.low.nbytes + pair.high.nbytes for pair in pairs)

    def add(self, name: str, layers: Mapping[str, LowRank]) -> None:
        """Add an adapter.

        Raises:
            ModelError: the name is empty or taken, or a layer is none of the decoder's.
        """
        if not name or name != name.strip():
            raise ModelError(f"adapter name {name!r:.60}: it must not be empty or stand in white space")
        if name in self.layers:
            raise ModelError(f"adapter {name!r:.60}: there are two of this name; give each its own")
        others = [layer for layer in layers if not layer.startswith(_DECODER)]
        if others:
            raise ModelError(
                f"adapter {name!r:.60} changes {len(others)} layers of the vision tower or projector ({others[0]}); "
                "images are encoded once for all requests, so it cannot be switched: put it on the model for good "
                "(adapter=..., --adapter FOLDER), or merge it (aris tune merge)"
            )
        self.layers[name] = dict(layers)

    def require(self, name: str | None) -> None:
        """Raise `ModelError` unless there is an adapter of this name, or it is None."""
        if name is not None and name not in self.layers:
            known = ", ".join(self.names) or "none"
            raise ModelError(f"adapter {name!r:.60}: not loaded; this model has {known}")

    def install(self, model: nn.Module) -> None:
        """Put the adapters on a model's own layers, which then follow `chosen`. A layer that has one keeps it."""
        for name in dict.fromkeys(layer for layers in self.layers.values() for layer in layers):
            layer = model.get_submodule(name)
            if not isinstance(layer, SwitchedLinear):
                parent, _, leaf = name.rpartition(".")
                setattr(model.get_submodule(parent), leaf, SwitchedLinear(layer, name, self))

    @contextmanager
    def chosen(self, names: Sequence[str | None], device: torch.device | str) -> Iterator[None]:
        """Within this context, row i of a batch that the model computes has the adapter `names[i]`."""
        groups: dict[str, list[int]] = {}
        for row, name in enumerate(names):
            if name is not None:
                groups.setdefault(name, []).append(row)
        self._chosen = [
            (name, None if len(rows) == len(names) else torch.tensor(rows, device=device))
            for name, rows in groups.items()
        ]
        try:
            yield
        finally:
            self._chosen = []

    def apply(self, layer: str, x: Tensor, out: Tensor) -> Tensor:
        """`out` with what the chosen adapters add to a layer's output for x: both (B, ...), row by row."""
        for name, rows in self._chosen:
            pair = self.layers[name].get(layer)
            if pair is None:
                continue
            more = pair(x if rows is None else x[rows]).to(out.dtype)
            out = out + more if rows is None else out.index_add(0, rows, more)
        return out


class SwitchedLinear(nn.Module):
    """A linear layer of any kind under a bank's adapters."""

    def __init__(self, base: nn.Module, name: str, bank: AdapterBank) -> None:
        super().__init__()
        self.base = base
        self.name = name
        self.bank = bank

    def forward(self, x: Tensor) -> Tensor:
        """(B, ..., in) to (B, ..., out)."""
        return self.bank.apply(self.name, x, self.base(x))
