"""The methods among which the evidence maps' was chosen on validation films: gradients, and attention with gradients."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from aris.model import MedGemma
from aris.model.relevance import combine

Floats = npt.NDArray[np.float64]


def candidates(
    model: MedGemma, states: Sequence[Tensor], gradients: Sequence[Tensor], sign: int, fill: Tensor
) -> dict[str, Floats]:
    """Maps (side, side) of the patches of one image, for the answer that `sign` names (1 "Yes", -1 "No").

    Args:
        states, gradients: as from `model.relevance.patch_gradients`.
        fill: what deletion puts in (1, 3, S, S): a map that knows it has an advantage that no user's has.
    """
    assert model.config.vision is not None
    pixels, slope = states[0], sign * gradients[0]
    states, gradients = states[1:], gradients[1:]
    side = round(states[0].shape[1] ** 0.5)
    last = len(states) - 1
    size = model.config.vision.patch_size
    made: dict[str, Tensor] = {
        "gradient x pixel": combine(pixels - pixels.mean(), slope, size) + cells(slope * pixels.mean(), size),
        "gradient x (pixel - mean)": combine(pixels, slope, size),
        "gradient x (pixel - fill), which knows the fill": cells(slope * (pixels - fill), size),
        "length of the gradient at the pixels": cells(slope.abs(), size),
    }
    for layer in (0, 2, 4, 6, last):
        name = "the end" if layer == last else f"layer {layer}"
        state, gradient = states[layer][0], sign * gradients[layer][0]
        made[f"gradient x state at {name}"] = (gradient * state).sum(-1)
        # Grad-CAM (arXiv 1610.02391): the gradient's mean over the patches weighs the channels.
        made[f"grad-CAM at {name}"] = (gradient.mean(0) * state).sum(-1)
        made[f"length of the gradient at {name}"] = gradient.norm(dim=-1)
    seeds = {
        "no seed": torch.full((side * side,), 1 / side**2),
        "gradient x state at the end": made["gradient x state at the end"].clamp(min=0),
    }
    for name, seed in seeds.items():
        made[f"attention x gradient, {name}"] = rollout(model, states, gradients, sign, seed)
    return {name: values.view(side, side).double().numpy() for name, values in made.items()}


def cells(values: Tensor, size: int) -> Tensor:
    """Sums over channels and patches, (1, side, side)."""
    return torch.nn.functional.avg_pool2d(values.sum(1), size) * size**2


def rollout(
    model: MedGemma, states: Sequence[Tensor], gradients: Sequence[Tensor], sign: int, seed: Tensor
) -> Tensor:
    """Attention times its gradient, positive part, mean over heads, from the last layer to the first (Chefer et al.,
    arXiv 2103.15679), applied to a seed (P,) over the last layer's patches."""
    assert model.vision_tower is not None
    relevance = seed
    layers = list(model.vision_tower.encoder.layers)
    for layer, state, gradient in reversed(list(zip(layers, states, gradients[1:], strict=False))):
        attention, x = layer.self_attn, state.detach().float()
        weights = {name: weight.detach().float() for name, weight in layer.named_parameters()}

        def linear(name: str, value: Tensor, weights: dict[str, Tensor] = weights) -> Tensor:
            return torch.nn.functional.linear(value, weights[f"{name}.weight"], weights[f"{name}.bias"])

        width = x.shape[-1]
        normed = torch.nn.functional.layer_norm(
            x, (width,), weights["layer_norm1.weight"], weights["layer_norm1.bias"], layer.layer_norm1.eps
        )
        query, key, value = (
            linear(f"self_attn.{part}", normed)[0].view(-1, attention.heads, attention.head_dim).transpose(0, 1)
            for part in ("q_proj", "k_proj", "v_proj")
        )
        with torch.enable_grad():
            share = (query @ key.transpose(1, 2) * attention.head_dim**-0.5).softmax(-1).requires_grad_()
            out = linear("self_attn.out_proj", (share @ value).transpose(0, 1).reshape(1, -1, width))
            after = x + out
            normed = torch.nn.functional.layer_norm(
                after, (width,), weights["layer_norm2.weight"], weights["layer_norm2.bias"], layer.layer_norm2.eps
            )
            inner = torch.nn.functional.gelu(linear("mlp.fc1", normed), approximate="tanh")
            (slope,) = torch.autograd.grad(after + linear("mlp.fc2", inner), share, gradient)
        relevance = relevance + relevance @ (sign * slope * share.detach()).clamp(min=0).mean(0)
    return relevance
