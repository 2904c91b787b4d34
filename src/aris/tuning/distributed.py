"""A run on several processes (torchrun): examples are shared out, weights and optimizer state lie in shards (FSDP2).

With the recipe's `shard: false` every process holds the whole model instead, and only gradients are added up: faster
where the model fits, as steps can then be recorded as graphs. Otherwise every decoder layer is a group of `fully_shard`
(PyTorch FSDP2): each process keeps its part of the layer's weights, NF4 codes included, and has the whole of them only
while the layer works. Embedding, tower and projector are held by every process: the first is the head too, which is
used outside any layer, and the others aren't used in every pass.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, distribute_tensor

from aris.errors import DataError
from aris.model import MedGemma
from aris.tuning.layers.nf4 import NF4Linear


@dataclass(frozen=True)
class ProcessGroup:
    """The processes that share a run, seen from this one; by default it is alone.

    Attributes:
        shards: the decoder lies in shards over the processes.
    """

    rank: int = 0
    world_size: int = 1
    shards: bool = True

    @property
    def sharded(self) -> bool:
        """True if this process holds a shard of the decoder only."""
        return self.shards and self.world_size > 1

    @property
    def is_main(self) -> bool:
        """True for the process that logs and writes."""
        return self.rank == 0

    def barrier(self) -> None:
        """Wait for all processes."""
        if self.world_size > 1:
            dist.barrier()

    def all_gather(self, values: list[Any]) -> list[Any]:
        """Join the lists of all processes in order of rank."""
        if self.world_size == 1:
            return values
        lists: list[Any] = [None] * self.world_size
        dist.all_gather_object(lists, values)
        return [value for each in lists for value in each]

    def all_reduce(self, value: Tensor) -> Tensor:
        """Sum a tensor over all processes, in place."""
        if self.world_size > 1:
            dist.all_reduce(value)
        return value


def join(device: torch.device, *, shards: bool = True) -> tuple[ProcessGroup, torch.device]:
    """Join the process group that torchrun started, if it did; return it and this process's device.

    Args:
        shards: the processes share the decoder's weights; otherwise each holds all of them.

    Raises:
        DataError: there are fewer GPUs than processes.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        return ProcessGroup(), device
    if device.type == "cuda":
        local = int(os.environ.get("LOCAL_RANK", "0"))
        if local >= torch.cuda.device_count():
            raise DataError(
                f"torchrun: process {local} has no GPU, there are {torch.cuda.device_count()}; "
                "lower --nproc-per-node to that"
            )
        device = torch.device("cuda", local)
        torch.cuda.set_device(device)
    if not dist.is_initialized():
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return ProcessGroup(dist.get_rank(), dist.get_world_size(), shards), device


def leave(process_group: ProcessGroup) -> None:
    """Leave the process group that `join` joined."""
    if process_group.world_size > 1 and dist.is_initialized():
        dist.destroy_process_group()


def silent(line: str) -> None:
    """Discard a log line: only the main process logs."""


def shard(model: MedGemma, trained: Mapping[str, Tensor], process_group: ProcessGroup) -> dict[str, Tensor]:
    """Shard a prepared model over the processes, if it is to be; return the trained parameters, now shards, by name."""
    if not process_group.sharded:
        return dict(trained)
    from torch.distributed.fsdp import fully_shard

    codes_as_parameters(model)
    mesh = init_device_mesh(model.device.type, (process_group.world_size,))
    decoder = model.language_model
    for layer in decoder.layers:
        fully_shard(layer, mesh=mesh)
    fully_shard(decoder, mesh=mesh, ignored_params={*decoder.embed_tokens.parameters(), *decoder.head.parameters()})
    parameters = dict(model.named_parameters())
    return {name: parameters[name] for name in trained}


def codes_as_parameters(model: nn.Module) -> None:
    """Register NF4 codes as parameters, as FSDP shards nothing else.

    They are seen as float8 of the same bits: until PyTorch 2.12 FSDP makes shards that could have a gradient, which
    whole numbers cannot. No arithmetic is done on them as such.
    """
    for module in model.modules():
        if isinstance(module, NF4Linear):
            for name in ("qweight", "scale_codes"):
                codes = module._buffers.pop(name)
                assert codes is not None
                module.register_parameter(name, nn.Parameter(codes.view(torch.float8_e4m3fn), requires_grad=False))


def clip_gradients(
    trained: Mapping[str, Tensor], max_norm: float, process_group: ProcessGroup, flat: Tensor | None = None
) -> Tensor:
    """Sum the gradients of replicated parameters over the processes, and clip all by their norm; return that norm ().

    Args:
        flat: a buffer of all gradients, of which each parameter's is a view, if there is one.
    """
    if not process_group.sharded:
        if process_group.world_size > 1:
            _sum_gradients(list(trained.values()), process_group, flat)
        return nn.utils.clip_grad_norm_(list(trained.values()), max_norm)
    own: list[Tensor] = []
    common: list[Tensor] = []
    for parameter in trained.values():
        if isinstance(parameter, DTensor):
            if parameter.grad is not None:
                assert isinstance(parameter.grad, DTensor)
                # FSDP averages over the processes (gloo knows no other way); a step's loss is the sum over examples.
                own.append(parameter.grad.to_local().mul_(process_group.world_size))
        else:
            if parameter.grad is None:  # no image here; there may be one elsewhere
                parameter.grad = torch.zeros_like(parameter)
            common.append(process_group.all_reduce(parameter.grad))
    device = next(iter(trained.values())).device
    squares = torch.zeros((), device=device)
    for grad in own:
        squares += grad.float().square().sum()
    process_group.all_reduce(squares)
    for grad in common:
        squares += grad.float().square().sum()
    norm = squares.sqrt()
    factor = (max_norm / (norm + 1e-6)).clamp(max=1.0)
    for grad in (*own, *common):
        grad.mul_(factor.to(grad.dtype))
    return norm


def _sum_gradients(parameters: list[Tensor], process_group: ProcessGroup, flat: Tensor | None) -> None:
    """Sum every parameter's gradient over the processes, in one message."""
    if flat is not None:
        process_group.all_reduce(flat)
        return
    grads = [torch.zeros_like(each) if each.grad is None else each.grad for each in parameters]
    together = process_group.all_reduce(torch.cat([grad.flatten() for grad in grads]))
    for parameter, part in zip(parameters, together.split([grad.numel() for grad in grads]), strict=True):
        parameter.grad = part.view_as(parameter)


def full_tensor(value: Tensor) -> Tensor:
    """Gather a tensor that may be sharded, without gradient; all processes must call it."""
    value = value.detach()
    return value.full_tensor() if isinstance(value, DTensor) else value


def shard_like(value: Tensor, parameter: Tensor) -> Tensor:
    """Lay out a full tensor as a parameter is."""
    if not isinstance(parameter, DTensor):
        return value
    device = parameter.device
    return distribute_tensor(value.to(device, parameter.dtype), parameter.device_mesh, parameter.placements)


def full_optimizer_state(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return an optimizer's state dict with full tensors."""
    return {
        "param_groups": state["param_groups"],
        "state": {
            index: {name: full_tensor(value) if isinstance(value, Tensor) else value for name, value in values.items()}
            for index, values in state["state"].items()
        },
    }


def load_optimizer(optimizer: torch.optim.Optimizer, state: Mapping[str, Any]) -> None:
    """Load a state of full tensors into an optimizer whose parameters may be shards.

    Raises:
        DataError: the state is of the other optimizer: 8-bit moments are for one process.
    """
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    wanted = "first" if type(optimizer).__name__ == "AdamW8bit" else "exp_avg"
    laid = {}
    for index, values in state["state"].items():
        if wanted not in values:
            raise DataError(
                "training: the state has other moments than this run (adamw8bit is for one process, several use adamw);"
                " go on with as many processes as before, or set optimizer: adamw from the start"
            )
        parameter = parameters[index]
        laid[index] = {
            name: shard_like(value, parameter)
            if isinstance(value, Tensor) and value.shape == parameter.shape
            else value
            for name, value in values.items()
        }
    optimizer.load_state_dict({"param_groups": state["param_groups"], "state": laid})


def unshard(model: MedGemma, trained: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Replace shards by full trained parameters, for saving; the model computes no more after that."""
    out: dict[str, Tensor] = {}
    for name, parameter in trained.items():
        out[name] = full_tensor(parameter)
        if isinstance(parameter, DTensor):
            parent, _, leaf = name.rpartition(".")
            setattr(model.get_submodule(parent), leaf, nn.Parameter(out[name], requires_grad=False))
    return out
