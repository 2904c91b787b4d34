"""A model as named arrays and back: the same numbers, packed, quantised or dense."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from engine_models import engine, greedy, request
from test_cpu_runner import model, needs_library, text
from torch import Tensor

from aris.engine.runners import cpu
from aris.engine.stored_model import describe, rebuild
from aris.kernels.cpu.packing import pack_head, unpack_matrix
from aris.model import MedGemma, attach_lora


def there_and_back(made: MedGemma) -> MedGemma:
    about, tensors = describe(made)
    copies: dict[str, Tensor] = {name: value.clone() for name, value in tensors.items()}
    return rebuild(json.loads(json.dumps(about)), copies.__getitem__, frozenset(copies))


def test_quantised_weights_and_everything_else_are_the_same() -> None:
    made = model()
    again = there_and_back(made)
    assert again.config == made.config and not again.training
    one, two = made.state_dict(), again.state_dict()
    assert one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)
    ids = torch.tensor([text(20, 1)])
    assert torch.equal(made(ids), again(ids))


def test_packed_weights_are_the_same() -> None:
    made = model(kv_heads=1)
    layers: list[Any] = [cpu._pack_layer(layer) for layer in made.language_model.layers]  # type: ignore[arg-type]
    head = pack_head(*cpu._codes(made.language_model.embed_tokens))
    made.language_model.embed_tokens = cpu._PackedEmbedding(packed=head)
    parts = cpu.packed_parts(there_and_back(made))
    assert parts is not None
    for before, after in zip(layers, parts[0], strict=True):
        assert before.keys() == after.keys()
        assert all(torch.equal(unpack_matrix(before[name]), unpack_matrix(after[name])) for name in before)
    assert (parts[1].words, parts[1].columns) == (head.words, head.columns)
    for name in ("upper", "lower", "scales", "bounds", "parts", "units"):
        assert torch.equal(getattr(head, name), getattr(parts[1], name))
    for one, two in zip(made.modules(), there_and_back(made).modules(), strict=True):
        if isinstance(one, cpu.PackedLinear):
            assert isinstance(two, cpu.PackedLinear) and torch.equal(one.dense(), two.dense())


@needs_library
def test_an_engine_on_what_was_kept_packs_nothing_and_writes_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    first = engine(model())
    assert isinstance(first.runner, cpu.CpuRunner)
    wanted = [step.token_id for step in first.submit(request(text(40, 2), params=greedy(12)))]
    for name in ("pack_matrix", "pack_head"):
        monkeypatch.setattr(cpu, name, lambda *_: pytest.fail("packed again"))
    second = engine(there_and_back(first.model))
    assert isinstance(second.runner, cpu.CpuRunner)
    assert [step.token_id for step in second.submit(request(text(40, 2), params=greedy(12)))] == wanted


def test_what_has_no_form_is_not_described() -> None:
    made = model()
    attach_lora(made, lambda name: name.endswith("q_proj"), r=2, alpha=4)
    with pytest.raises(ValueError, match="adapter"):
        describe(made)


@pytest.mark.parametrize("harm", ["format", "missing", "more", "field"])
def test_another_form_is_refused(harm: str) -> None:
    about, tensors = describe(model())
    about = json.loads(json.dumps(about))
    if harm == "format":
        about["format"] += 1
    elif harm == "missing":
        tensors.pop("language_model.norm.weight")
    elif harm == "more":
        tensors["language_model.other.weight"] = torch.zeros(1)
    else:
        del about["config"]["text"]["rope_theta"]
    with pytest.raises((KeyError, ValueError)):
        rebuild(about, tensors.__getitem__, frozenset(tensors))
