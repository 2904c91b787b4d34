"""A model's weights as named arrays in the form in which they run, and the model again from them, without a copy.

What is kept is what an engine made of a model on the CPU: dense tensors, quantised codes, or the compiled kernels'
packed matrices. Reading a checkpoint again, rounding and packing it is what this saves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from typing import Any

import torch
from torch import Tensor, nn

from aris.engine.runners.cpu import install_packed, packed_parts
from aris.kernels.cpu.packing import PackedHead, PackedMatrix
from aris.model import Codes, MedGemma, MedGemmaConfig, QuantizedEmbedding, QuantizedLinear, TextConfig, VisionConfig

# Changes when the same description would mean other weights: also with the order in kernels/cpu/packing.py.
FORMAT = 1
_HEAD_PARTS = ("upper", "lower", "scales", "bounds", "parts", "units")


def describe(model: MedGemma) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return the arguments of `rebuild`, as JSON takes them, and the tensors.

    Raises:
        ValueError: the model has modules that have no such form (adapters, say).
    """
    tensors: dict[str, Tensor] = {}
    about: dict[str, Any] = {"format": FORMAT, "config": asdict(model.config)}
    packed = packed_parts(model)
    if packed is not None:
        layers, head = packed
        about["packed"] = [{name: [each.outputs, each.columns] for name, each in layer.items()} for layer in layers]
        for index, layer in enumerate(layers):
            for name, matrix in layer.items():
                tensors[f"packed.{index}.{name}.codes"] = matrix.codes
                tensors[f"packed.{index}.{name}.scales"] = matrix.scales
        about["head"] = [head.words, head.columns]
        tensors |= {f"head.{name}": getattr(head, name) for name in _HEAD_PARTS}
    about["quantized"] = {}
    for name, module in model.named_modules():
        if isinstance(module, QuantizedLinear | QuantizedEmbedding):
            about["quantized"][name] = [type(module).__name__, module.format, module.group_size]
        elif type(module).__module__.startswith("aris.model.adapter"):
            raise ValueError(f"{name}: an adapter beside its matrix has no form of its own")
    tensors |= {name: value.detach() for name, value in (*model.named_parameters(), *model.named_buffers())}
    return about, tensors


def rebuild(about: Mapping[str, Any], tensors: Callable[[str], Tensor], names: frozenset[str]) -> MedGemma:
    """The model of `describe`, in eval mode, on the very memory of the tensors.

    Args:
        about: as `describe` gave it.
        tensors: gives a tensor by name.
        names: of all tensors.

    Raises:
        ValueError, KeyError, TypeError: it is of another format, or something is missing.
    """
    if about["format"] != FORMAT:
        raise ValueError("another format")
    config = _config(about["config"])
    with torch.device("meta"):
        model = MedGemma(config)
    used: set[str] = set()

    def take(name: str) -> Tensor:
        used.add(name)
        return tensors(name)

    if "packed" in about:
        layers = [
            {
                name: PackedMatrix(
                    take(f"packed.{index}.{name}.codes"), take(f"packed.{index}.{name}.scales"), outputs, columns
                )
                for name, (outputs, columns) in layer.items()
            }
            for index, layer in enumerate(about["packed"])
        ]
        words, columns = about["head"]
        head = PackedHead(**{name: take(f"head.{name}") for name in _HEAD_PARTS}, words=words, columns=columns)
        install_packed(model, layers, head)
    for name, (class_name, kind, group) in about["quantized"].items():
        above, _, leaf = name.rpartition(".")
        minimum = take(f"{name}.minimum") if f"{name}.minimum" in names else None
        codes = Codes(kind, take(f"{name}.qweight"), take(f"{name}.scale"), minimum, group)
        made = {each.__name__: each for each in (QuantizedEmbedding, QuantizedLinear)}[class_name]
        setattr(model.get_submodule(above), leaf, made.from_codes(codes))
    for name, value in list(model.named_parameters()):
        fresh = take(name)
        if fresh.shape != value.shape:
            raise ValueError(f"{name}: another shape")
        above, _, leaf = name.rpartition(".")
        setattr(model.get_submodule(above), leaf, nn.Parameter(fresh, requires_grad=False))
    if used != names:
        raise ValueError("tensors that have no place")
    return model.eval()


def _config(given: Mapping[str, Any]) -> MedGemmaConfig:
    """A configuration from `asdict`, by way of JSON."""

    def of(kind: Any, values: Mapping[str, Any]) -> Any:
        if set(values) != {field.name for field in fields(kind)}:
            raise ValueError("another configuration")
        return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})

    vision = given["vision"]
    whole = dict(given) | {
        "text": of(TextConfig, given["text"]),
        "vision": None if vision is None else of(VisionConfig, vision),
    }
    return of(MedGemmaConfig, whole)
