"""Relevance of image patches to a network's score: gradients, layer by layer, in float32.

One layer is widened to float32, recomputed and differentiated at a time, so the memory is that of the layers' inputs
and one layer, whatever format the weights are in. Quantised weights are differentiated as the dense ones they stand
for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call

from aris.errors import ModelError
from aris.model.attention import visible_ranges
from aris.model.config import LOCAL
from aris.model.decoder import Decoder
from aris.model.medgemma import MedGemma
from aris.model.rope import rope_tables

# Words whose embeddings are widened at once.
_WORDS = 16_384
METHOD = "gradient times (pixel - mean), summed over each patch"
Step = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Target:
    """A word whose score is explained.

    Attributes:
        position: of the token after which it comes.
        token: its id.
        against: the id of another word: the difference of both is explained; None: its log-probability.
    """

    position: int
    token: int
    against: int | None = None


def patch_relevance(
    model: MedGemma, pixels: Tensor, token_ids: Sequence[int], targets: Sequence[Target]
) -> tuple[Tensor, float]:
    """Compute the contribution of each patch of each image to the sum of the targets' scores.

    Args:
        pixels: (N, 3, S, S) float in -1..1, the images of the prompt in its order.
        token_ids: the prompt and, behind it, what of the answer the targets lie in.
        targets: at least one.

    Returns:
        relevance (N, side, side) float32, side = patches a side: positive speaks for the targets, negative against
        them; and the score, in nats.

    Raises:
        ModelError: the model has no tower, no target is given, or the prompt is longer than the model reads.
    """
    states, gradients, score = patch_gradients(model, pixels, token_ids, targets)
    assert model.config.vision is not None
    return combine(states[0], gradients[0], model.config.vision.patch_size), score


def patch_gradients(
    model: MedGemma, pixels: Tensor, token_ids: Sequence[int], targets: Sequence[Target]
) -> tuple[list[Tensor], list[Tensor], float]:
    """As `patch_relevance`, with all that is on the way.

    Returns:
        states: the pixels (N, 3, S, S), then (N, P, V) the patches before each layer of the tower, after the last, and
        after the final norm, all float32; the gradients of the targets' sum with respect to them; and that sum.
    """
    if model.vision_tower is None or model.multi_modal_projector is None or model.config.vision is None:
        raise ModelError("relevance: this model has no vision tower, so there is no image to explain")
    if not targets:
        raise ModelError("relevance: nothing to explain; give at least one target")
    if len(token_ids) > model.config.text.max_position_embeddings:
        raise ModelError(f"relevance: {len(token_ids)} tokens are more than the model reads")
    tower = model.vision_tower
    parts = [tower.embeddings, *tower.encoder.layers, tower.post_layernorm, model.multi_modal_projector]
    steps = [_wide(part) for part in parts]
    states = _forward(steps, pixels.to(model.device).float())
    score, gradient = _of_soft_tokens(model, states[-1], token_ids, targets)
    gradients = _backward(steps, states, gradient)
    return states[:-1], gradients[:-1], score


def combine(pixels: Tensor, gradients: Tensor, patch_size: int) -> Tensor:
    """The relevance (N, side, side) of patches: gradient times the pixel less its view's mean, summed over each patch.

    To first order this is what the score would lose if the patch were of the mean grey.

    Args:
        pixels, gradients: (N, channels, S, S).
    """
    images, side = pixels.shape[0], pixels.shape[-1] // patch_size
    product = (gradients * (pixels - pixels.mean((1, 2, 3), keepdim=True))).sum(1)
    kept = product[:, : side * patch_size, : side * patch_size]  # a convolution leaves a rest at the border out
    return kept.reshape(images, side, patch_size, side, patch_size).sum((2, 4))


def _of_soft_tokens(
    model: MedGemma, soft: Tensor, token_ids: Sequence[int], targets: Sequence[Target]
) -> tuple[float, Tensor]:
    """The score, and its gradient with respect to soft tokens (N, M, W)."""
    decoder, config = model.language_model, model.config.text
    ids = torch.tensor([list(token_ids)], device=model.device)
    with torch.no_grad():
        words, is_image = model.embed(ids, soft.to(model.dtype))
        embedded = words.float().masked_scatter(is_image[..., None], soft)  # the soft tokens as they are, not rounded
    positions = torch.arange(ids.shape[1], device=ids.device)[None]
    visible = visible_ranges(positions, is_image, config.sliding_window, model.config.mm_tokens_per_image - 1)
    local = rope_tables(positions, config.head_dim, config.rope_local_base_freq, 1.0, torch.float32)
    far = rope_tables(positions, config.head_dim, config.rope_theta, config.rope_factor, torch.float32)
    real = [ids.shape[1]]
    steps = [
        _wide(layer, local if kind == LOCAL else far, visible, positions, None, real)
        for layer, kind in zip(decoder.layers, config.layer_types, strict=True)
    ]
    steps.append(_wide(decoder.norm))
    states = _forward(steps, embedded)
    score, last = _score(decoder, states[-1][0], targets)
    gradient = _backward(steps, states, last[None])[0]
    return score, gradient[is_image].view(soft.shape)


def _score(decoder: Decoder, hidden: Tensor, targets: Sequence[Target]) -> tuple[float, Tensor]:
    """The targets' sum, and its gradient with respect to the final hidden states (T, W).

    d log p(w) / d h is w's embedding less the mean of all words', each weighed by its probability.
    """
    gradient = torch.zeros_like(hidden)
    score = 0.0
    free = [target for target in targets if target.against is None]
    for target in targets:
        state = hidden[target.position]
        (row,) = _rows(decoder, [target.token], state)
        if target.against is not None:
            row = row - _rows(decoder, [target.against], state)[0]
        gradient[target.position] += row
        score += float(state @ row)
    if free:
        states = hidden[[target.position for target in free]]
        with torch.no_grad():
            logits = decoder.logits(states.to(decoder.norm.weight.dtype)).float()
        score -= float(logits.logsumexp(-1).sum())
        share = logits.softmax(-1)
        for start in range(0, share.shape[1], _WORDS):
            part = share[:, start : start + _WORDS]
            mean = part @ _rows(decoder, range(start, start + part.shape[1]), states)
            for index, target in enumerate(free):
                gradient[target.position] -= mean[index]
    return score, gradient


def _rows(decoder: Decoder, ids: Sequence[int], like: Tensor) -> Tensor:
    """Rows (n, W) float32 of the head, which score words."""
    index = torch.tensor(ids, device=like.device)
    embedding = decoder.head
    if isinstance(embedding, nn.Embedding):
        return embedding.weight.detach()[index].float()
    return embedding.lookup(index, torch.float32)


def _wide(module: nn.Module, *arguments: object) -> Step:
    """A module as a function of its input, in float32 whatever its weights are stored in."""

    def step(x: Tensor) -> Tensor:
        weights = {name: weight.detach().float() for name, weight in module.named_parameters()}
        made: Tensor = functional_call(module, weights, (x, *arguments))
        return made

    return step


def _forward(steps: Sequence[Step], x: Tensor) -> list[Tensor]:
    """The inputs of all steps, and the output of the last."""
    states = [x.detach()]
    for step in steps:
        # With gradients on, quantised layers take the way that has them; nothing of it is kept.
        with torch.enable_grad():
            states.append(step(states[-1].requires_grad_()).detach())
        states[-2].requires_grad_(False)
    return states


def _backward(steps: Sequence[Step], states: Sequence[Tensor], gradient: Tensor) -> list[Tensor]:
    """The gradients with respect to `states`, given that with respect to the last."""
    gradients = [gradient]
    for step, state in zip(reversed(steps), reversed(states[:-1]), strict=True):
        with torch.enable_grad():
            x = state.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(step(x), x, gradients[-1])
        gradients.append(gradient)
    return gradients[::-1]
