"""AdamW whose moments take 8 bits each: blockwise dynamic quantisation (arXiv 2110.02861)."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

BLOCK = 256
# Smaller tensors keep float32 moments: they cost nothing, and norms are sensitive.
_SMALLEST = 4096


def dynamic_map(signed: bool) -> Tensor:
    """Return the 256 values float32 that codes stand for, in -1..1 or 0..1, in rising order.

    Each of seven decades has twice the values of the one below (section 1.3 of the paper), so small values keep
    their order of magnitude and large ones their digits.
    """
    values = [0.0, 1.0]
    for decade in range(7):
        count = 2 ** (decade if signed else decade + 1)
        edges = torch.linspace(0.1, 1.0, count + 1, dtype=torch.float64)
        middles = ((edges[1:] + edges[:-1]) / 2 * 10.0 ** (decade - 6)).tolist()
        values += middles + ([-value for value in middles] if signed else [])
    return torch.tensor(sorted(values), dtype=torch.float32)


def quantize_blocks(values: Tensor, table: Tensor) -> tuple[Tensor, Tensor]:
    """Quantise values float32 to codes uint8 (blocks, 256) and each block's largest magnitude float32 (blocks,)."""
    blocks = F.pad(values.reshape(-1), (0, -values.numel() % BLOCK)).view(-1, BLOCK)
    largest = blocks.abs().amax(1)
    safe = torch.where(largest == 0, torch.ones_like(largest), largest)
    codes = torch.bucketize(blocks / safe[:, None], (table[1:] + table[:-1]) / 2, out_int32=True)
    return codes.to(torch.uint8), largest


def restore_blocks(codes: Tensor, largest: Tensor, table: Tensor, shape: torch.Size) -> Tensor:
    """Restore the values float32 of `quantize_blocks`, in `shape`."""
    return (table[codes.int()] * largest[:, None]).view(-1)[: shape.numel()].view(shape)


def _in_one_kernel(parameter: Tensor) -> bool:
    return (
        parameter.device.type == "cuda"
        and parameter.is_contiguous()
        and parameter.grad is not None
        and parameter.grad.is_contiguous()
        and importlib.util.find_spec("triton") is not None
    )


class AdamW8bit(torch.optim.Optimizer):
    """AdamW (decoupled weight decay, as PyTorch's) over float32 parameters; arguments as there."""

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})
        self._tables: dict[torch.device, tuple[Tensor, Tensor]] = {}
        self._together: dict[int, tuple[tuple[int, ...], Any]] = {}

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient."""
        for index, group in enumerate(self.param_groups):
            present = [parameter for parameter in group["params"] if parameter.grad is not None]
            together = [p for p in present if p.numel() >= _SMALLEST and _in_one_kernel(p)]
            if together:
                self._update_together(index, together, group)
            for parameter in present:
                if not together or parameter.numel() < _SMALLEST or not _in_one_kernel(parameter):
                    self._update(parameter, group)

    def _update_together(self, index: int, parameters: list[Tensor], group: dict[str, Any]) -> None:
        """Update parameters as `_update` does, in one kernel on the GPU."""
        from aris.kernels.gpu.adamw8bit import Step

        tables = self._tables_on(parameters[0].device)
        for parameter in parameters:
            if not (state := self.state[parameter]):
                state["step"] = torch.zeros(())
                for name, table in zip(("first", "second"), tables, strict=True):
                    state[name], state[f"{name}_largest"] = quantize_blocks(torch.zeros_like(parameter), table)
        names = ("first", "first_largest", "second", "second_largest")
        key = tuple(map(id, parameters))
        if self._together.get(index, ((), None))[0] != key:
            moments = [[self.state[parameter][name] for name in names] for parameter in parameters]
            self._together[index] = (key, Step(parameters, moments, tables))
        step = self._together[index][1]
        count = int(self.state[parameters[0]]["step"]) + 1
        for parameter in parameters:
            self.state[parameter]["step"].fill_(count)
        step(rate=group["lr"], decay=group["weight_decay"], betas=group["betas"], eps=group["eps"], count=count)

    def _update(self, parameter: Tensor, group: dict[str, Any]) -> None:
        state, grad, tables = self.state[parameter], parameter.grad, self._tables_on(parameter.device)
        assert grad is not None
        small = parameter.numel() < _SMALLEST
        if not state:
            state["step"] = torch.zeros(())
            first, second = torch.zeros_like(grad), torch.zeros_like(grad)
        elif small:
            first, second = state["first"], state["second"]
        else:
            first, second = (
                restore_blocks(state[name], state[f"{name}_largest"], table, parameter.shape)
                for name, table in zip(("first", "second"), tables, strict=True)
            )
        state["step"] += 1
        count = int(state["step"])
        low, high = group["betas"]
        first.lerp_(grad, 1 - low)
        second.mul_(high).addcmul_(grad, grad, value=1 - high)
        parameter.mul_(1 - group["lr"] * group["weight_decay"])
        size = (second / (1 - high**count)).sqrt_().add_(group["eps"])
        parameter.addcdiv_(first, size, value=-group["lr"] / (1 - low**count))
        if small:
            state["first"], state["second"] = first, second
            return
        for name, value, table in (("first", first, tables[0]), ("second", second, tables[1])):
            state[name], state[f"{name}_largest"] = quantize_blocks(value, table)

    def _tables_on(self, device: torch.device) -> tuple[Tensor, Tensor]:
        if device not in self._tables:
            self._tables[device] = (dynamic_map(True).to(device), dynamic_map(False).to(device))
        return self._tables[device]

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load a state; PyTorch casts it to the parameters' dtype, and codes are cast back, exactly."""
        super().load_state_dict(state_dict)
        self._together.clear()  # it points at the states that were
        for state in self.state.values():
            for name in ("first", "second"):
                if f"{name}_largest" in state:
                    state[name] = state[name].to(torch.uint8)
