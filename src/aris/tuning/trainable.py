"""The trained and the frozen parameters: adapters, projector, and if asked the tower; and the loss of a batch."""

from __future__ import annotations

import contextlib
from typing import Any

import torch
import torch.nn.functional as F
import torch.utils.checkpoint
from torch import Tensor, nn

from aris.checkpoints.names import EMBEDDING, HEAD
from aris.errors import DataError
from aris.model import MedGemma
from aris.tuning.data.collate import Batch
from aris.tuning.layers.adamw8bit import AdamW8bit
from aris.tuning.layers.adapters import attach
from aris.tuning.layers.cross_entropy import chunked_cross_entropy
from aris.tuning.layers.nf4 import quantize_for_training
from aris.tuning.recipe import Recipe

# States whose logits over the whole vocabulary exist at once: 1,024 times 262,144 in float32 are 1 GiB.
_LOGITS_AT_ONCE = 1024


def prepare(model: MedGemma, recipe: Recipe, device: torch.device | None = None) -> dict[str, Tensor]:
    """Put adapters on the targeted layers, fill the projector if it is trained and empty, and freeze the rest.

    Args:
        device: to move the model to; by default it stays.

    Returns:
        The trained parameters by name, in float32.
    """
    model.requires_grad_(False)
    device = device or model.device
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(recipe.seed)
        if recipe.method == "qlora":
            quantize_for_training(model, device)
        model.to(device)
        if recipe.method != "full":
            attach(
                model,
                recipe.targets,
                recipe.lora_r,
                recipe.lora_alpha,
                tower=recipe.tower_adapters,
                rslora=recipe.rslora,
                dora=recipe.dora,
            )
        if model.multi_modal_projector is not None and recipe.projector:
            weight = model.multi_modal_projector.mm_input_projection_weight
            if not weight.any():
                # Soft tokens start at the size of scaled word embeddings, which is what the decoder knows.
                words = torch.arange(min(2000, model.config.text.vocab_size), device=model.device)
                size = model.language_model.embed(words[None]).float().std()
                with torch.no_grad():
                    weight.copy_(torch.randn(weight.shape, device=weight.device) * size / weight.shape[0] ** 0.5)
    trained = {}
    for name, parameter in model.named_parameters():
        tower = name.startswith("vision_tower.")
        wanted = "lora_" in name or (tower and recipe.tower_learning_rate > 0)
        wanted = wanted or (recipe.projector and name.startswith("multi_modal_projector."))
        # The embedding is the head too (tied), and a third of a small model: it stays, and is never copied.
        whole = recipe.method == "full" and name.startswith("language_model.") and name not in (EMBEDDING, HEAD)
        if wanted or whole:
            parameter.data = parameter.data.float()
            trained[name] = parameter.requires_grad_(True)
        elif tower and recipe.projector:
            # Frozen, but kept exact: it is small, and its features are what everything else is fitted to.
            parameter.data = parameter.data.float()
    model.language_model.gradient_checkpointing = recipe.checkpointing
    if device.type == "cuda":
        with contextlib.suppress(ImportError):  # no Triton
            from aris.tuning.layers.fused import fuse

            fuse(model)
    return trained


def parameter_groups(trained: dict[str, Tensor], recipe: Recipe) -> list[dict[str, Any]]:
    """Group parameters for AdamW, each group with its `peak` learning rate; weight decay on matrices only."""
    groups: dict[tuple[float, float, bool], list[Tensor]] = {}
    for name, parameter in trained.items():
        peak = recipe.tower_learning_rate if name.startswith("vision_tower.") else recipe.learning_rate
        decay = recipe.weight_decay if parameter.dim() > 1 else 0.0
        # Shards apart: they are not stepped together with whole tensors.
        groups.setdefault((peak, decay, name.startswith("language_model.")), []).append(parameter)
    return [
        {"params": parameters, "peak": peak, "weight_decay": decay} for (peak, decay, _), parameters in groups.items()
    ]


def make_optimizer(trained: dict[str, Tensor], recipe: Recipe, *, sharded: bool = False) -> torch.optim.Optimizer:
    """Make AdamW over the groups, its moments in the recipe's precision; the loop sets the learning rate.

    Over shards the moments are float32 in any case: blocks of 8-bit codes would follow the number of processes, and
    each process holds only its share.
    """
    kind = AdamW8bit if recipe.optimizer == "adamw8bit" and not sharded else torch.optim.AdamW
    return kind(parameter_groups(trained, recipe), lr=0.0, betas=(0.9, 0.99))


def soft_tokens(model: MedGemma, pixels: Tensor | None, *, train_tower: bool = False) -> Tensor | None:
    """Compute the soft tokens (P, M, W) of images; None of none.

    Args:
        pixels: (P, 3, S, S), or what the tower and the pooling made of them (P, M, V).

    Raises:
        DataError: the model has no tower.
    """
    if pixels is None:
        return None
    if model.vision_tower is None or model.multi_modal_projector is None:
        raise DataError("rows: they hold images and the model has no vision tower; use a multimodal model")
    soft: Tensor
    if pixels.dim() == 3:
        soft = model.multi_modal_projector.project(pixels)
        return soft
    with torch.set_grad_enabled(train_tower and torch.is_grad_enabled()):
        patches = model.vision_tower(pixels)
    soft = model.multi_modal_projector(patches)
    return soft


def answer_losses(
    model: MedGemma,
    batch: Batch,
    pixels: Tensor | None,
    *,
    train_tower: bool = False,
    soft: Tensor | None = None,
) -> tuple[Tensor, Tensor | None]:
    """Compute the cross-entropy of the answer tokens; the head never sees any other position.

    Args:
        batch: on the model's device.
        pixels: of the batch's images, as `soft_tokens` takes them, or None if it has none.
        soft: their soft tokens in place of pixels.

    Returns:
        Losses (K,) float32, and without gradients whether each token was the argmax (K,) bool, else None.

    Raises:
        DataError: there are images and the model has no tower.
    """
    if soft is None:
        soft = soft_tokens(model, pixels, train_tower=train_tower)
    states = model.hidden_states(batch.token_ids, soft, starts=batch.starts)
    hidden = states[batch.row_index, batch.token_index]  # (K, W)
    targets = batch.targets
    losses, right = [], []
    learning = torch.is_grad_enabled()

    head = model.language_model.head
    if learning and isinstance(head, nn.Embedding):
        return chunked_cross_entropy(hidden, head.weight, targets), None

    def chunk_loss(states: Tensor, wanted: Tensor) -> Tensor:
        return F.cross_entropy(model.logits(states).float(), wanted, reduction="none")

    for states, wanted in zip(hidden.split(_LOGITS_AT_ONCE), targets.split(_LOGITS_AT_ONCE), strict=True):
        if learning:
            # The backward pass computes the logits again; they are not kept.
            kept = torch.utils.checkpoint.checkpoint(
                chunk_loss, states, wanted, use_reentrant=False, preserve_rng_state=False
            )
            losses.append(kept)
        else:
            logits = model.logits(states).float()
            losses.append(F.cross_entropy(logits, wanted, reduction="none"))
            right.append(logits.argmax(-1) == wanted)
    return torch.cat(losses), None if learning else torch.cat(right)


def example_means(values: Tensor, batch: Batch) -> Tensor:
    """Average the values (K,) of answer tokens to a mean for each example (E,): a yes counts as much as a report."""
    size = len(batch.weights)
    counts = torch.bincount(batch.example_index, minlength=size).to(values.dtype)
    sums = torch.zeros(size, dtype=values.dtype, device=values.device).index_add(0, batch.example_index, values)
    return sums / counts
