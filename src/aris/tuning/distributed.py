"""One run on several processes (torchrun): rows are shared out, weights and optimizer state lie in shards (FSDP2).

With the recipe's `shard: false` every process holds the whole model instead, and only gradients are added up: faster
where the model fits, as steps can then be recorded as graphs. Otherwise every decoder layer is a group of `fully_shard`
(PyTorch FSDP2): each process keeps its part of the layer's weights, NF4 codes included, and has the whole of them only
while the layer works. Embedding, tower and projector are held by every process: the first is the head too, which is
used outside any layer, and the others aren't used in every pass.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, distribute_tensor

from aris.errors import DataError
from aris.model import MedGemma
from aris.tuning.data.collate import pack
from aris.tuning.data.rows import TokenRow
from aris.tuning.layers.nf4 import NF4Linear


@dataclass(frozen=True)
class Team:
    """This process among those that share a run; by default it is alone.

    Attributes:
        shards: whether the decoder lies in shards over the processes.
    """

    rank: int = 0
    world: int = 1
    shards: bool = True

    @property
    def sharded(self) -> bool:
        """Whether this process holds a part of the decoder only."""
        return self.shards and self.world > 1

    @property
    def leads(self) -> bool:
        """Whether this is the one that prints and writes."""
        return self.rank == 0

    def wait(self) -> None:
        """Until all are here."""
        if self.world > 1:
            dist.barrier()

    def gather(self, values: list[Any]) -> list[Any]:
        """The lists of all, joined in order of rank."""
        if self.world == 1:
            return values
        lists: list[Any] = [None] * self.world
        dist.all_gather_object(lists, values)
        return [value for each in lists for value in each]

    def total(self, value: Tensor) -> Tensor:
        """The sum over all; `value` is overwritten."""
        if self.world > 1:
            dist.all_reduce(value)
        return value

    def shares(self, rows: Sequence[TokenRow], most_tokens: int) -> list[tuple[list[TokenRow], bool]]:
        """This process's parts of a step, and whether each counts.

        Over shards all processes make the same number of passes, as the layers' weights are gathered in each: who has
        no more rows goes through its last part again, for nothing.
        """
        order = sorted(range(len(rows)), key=lambda index: (-len(rows[index].token_ids), index))
        dealt = [sorted(order[rank :: self.world]) for rank in range(self.world)]
        cuts = [pack([len(rows[index].token_ids) for index in share], most_tokens) for share in dealt]
        passes = max(len(cut) for cut in cuts)
        own = [([rows[dealt[self.rank][at]] for at in part], True) for part in cuts[self.rank]]
        if not self.sharded:
            return own
        if not own:
            own = [([rows[order[0]]], False)]
        return own + [(own[-1][0], False)] * (passes - len(own))


def join(device: torch.device, *, shards: bool = True) -> tuple[Team, torch.device]:
    """Meet the processes that torchrun started, if it did; this one's place among them and its device.

    Args:
        shards: whether they are to share the decoder's weights, or hold all of them each.

    Raises:
        DataError: there are fewer GPUs than processes.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        return Team(), device
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
    return Team(dist.get_rank(), dist.get_world_size(), shards), device


def leave(team: Team) -> None:
    """End what `join` began."""
    if team.world > 1 and dist.is_initialized():
        dist.destroy_process_group()


def silent(line: str) -> None:
    """Say nothing: only the first of several processes speaks."""


def shard(model: MedGemma, trained: Mapping[str, Tensor], team: Team) -> dict[str, Tensor]:
    """Shard a prepared model over the team, if it is to be; the trained parameters by the same names, now as shards."""
    if not team.sharded:
        return dict(trained)
    from torch.distributed.fsdp import fully_shard

    codes_as_parameters(model)
    mesh = init_device_mesh(model.device.type, (team.world,))
    decoder = model.language_model
    for layer in decoder.layers:
        fully_shard(layer, mesh=mesh)
    fully_shard(decoder, mesh=mesh, ignored_params={*decoder.embed_tokens.parameters(), *decoder.head.parameters()})
    parameters = dict(model.named_parameters())
    return {name: parameters[name] for name in trained}


def codes_as_parameters(model: nn.Module) -> None:
    """NF4 codes become parameters, as FSDP shards nothing else.

    They are seen as float8 of the same bits: until PyTorch 2.12 FSDP makes shards that could have a gradient, which
    whole numbers cannot. No arithmetic is done on them as such.
    """
    for module in model.modules():
        if isinstance(module, NF4Linear):
            for name in ("qweight", "scale_codes"):
                codes = module._buffers.pop(name)
                assert codes is not None
                module.register_parameter(name, nn.Parameter(codes.view(torch.float8_e4m3fn), requires_grad=False))


def clip(trained: Mapping[str, Tensor], most: float, team: Team, flat: Tensor | None = None) -> Tensor:
    """Sum gradients of what every process holds, scale all to the norm `most` at most; the norm before, ().

    Args:
        flat: the gradients of all parameters, of which each one's is a view, if there is such a buffer.
    """
    if not team.sharded:
        if team.world > 1:
            _add_up(list(trained.values()), team, flat)
        return nn.utils.clip_grad_norm_(list(trained.values()), most)
    own: list[Tensor] = []
    common: list[Tensor] = []
    for parameter in trained.values():
        if isinstance(parameter, DTensor):
            if parameter.grad is not None:
                assert isinstance(parameter.grad, DTensor)
                # FSDP gives the mean over the processes (gloo knows no other); a step's loss is the sum over all rows.
                own.append(parameter.grad.to_local().mul_(team.world))
        else:
            if parameter.grad is None:  # no picture here; there may be one elsewhere
                parameter.grad = torch.zeros_like(parameter)
            common.append(team.total(parameter.grad))
    device = next(iter(trained.values())).device
    squares = torch.zeros((), device=device)
    for grad in own:
        squares += grad.float().square().sum()
    team.total(squares)
    for grad in common:
        squares += grad.float().square().sum()
    norm = squares.sqrt()
    factor = (most / (norm + 1e-6)).clamp(max=1.0)
    for grad in (*own, *common):
        grad.mul_(factor.to(grad.dtype))
    return norm


def _add_up(parameters: list[Tensor], team: Team, flat: Tensor | None) -> None:
    """Every process's gradients become the sum of all, in one message."""
    if flat is not None:
        team.total(flat)
        return
    grads = [torch.zeros_like(each) if each.grad is None else each.grad for each in parameters]
    together = team.total(torch.cat([grad.flatten() for grad in grads]))
    for parameter, part in zip(parameters, together.split([grad.numel() for grad in grads]), strict=True):
        parameter.grad = part.view_as(parameter)


def whole(value: Tensor) -> Tensor:
    """A tensor of which this process may have a shard, as a whole, without gradient; all processes must ask."""
    value = value.detach()
    return value.full_tensor() if isinstance(value, DTensor) else value


def like(value: Tensor, parameter: Tensor) -> Tensor:
    """A whole value laid out as a parameter is."""
    if not isinstance(parameter, DTensor):
        return value
    device = parameter.device
    return distribute_tensor(value.to(device, parameter.dtype), parameter.device_mesh, parameter.placements)


def whole_state(state: Mapping[str, Any]) -> dict[str, Any]:
    """An optimizer's state dict with whole tensors."""
    return {
        "param_groups": state["param_groups"],
        "state": {
            index: {name: whole(value) if isinstance(value, Tensor) else value for name, value in values.items()}
            for index, values in state["state"].items()
        },
    }


def load_optimizer(optimizer: torch.optim.Optimizer, state: Mapping[str, Any]) -> None:
    """Put a whole state into an optimizer whose parameters may be shards.

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
            name: like(value, parameter) if isinstance(value, Tensor) and value.shape == parameter.shape else value
            for name, value in values.items()
        }
    optimizer.load_state_dict({"param_groups": state["param_groups"], "state": laid})


def unshard(model: MedGemma, trained: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Put whole trained parameters in place of shards, for saving; the model computes no more after that."""
    out: dict[str, Tensor] = {}
    for name, parameter in trained.items():
        out[name] = whole(parameter)
        if isinstance(parameter, DTensor):
            parent, _, leaf = name.rpartition(".")
            setattr(model.get_submodule(parent), leaf, nn.Parameter(out[name], requires_grad=False))
    return out
