"""Layer inputs that were kept on the host give the same gradients, in any order of passes, and reuse their places."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest
import torch
from test_graphs import DEVICE, by_length, examples_of
from tiny_training import IMAGE, tiny_loop, tiny_model, tiny_recipe

from aris.model import MedGemma
from aris.tuning.data.collate import StaticBatch, collate, static_batch
from aris.tuning.layers.offload import HostStore
from aris.tuning.steps.graphs import GraphedSteps, static_loss
from aris.tuning.trainable import answer_losses, prepare

pytestmark = pytest.mark.filterwarnings("ignore:.*deterministic")


def tuned(first_layer_too: bool = True) -> tuple[MedGemma, dict[str, torch.Tensor]]:
    model = tiny_model()
    targets = ["all-linear"] if first_layer_too else ["*.layers.2.mlp.*"]
    recipe = tiny_recipe(checkpointing=True, targets=targets, projector=False, tower_learning_rate=0)
    trained = prepare(model, recipe, DEVICE)
    with torch.no_grad():
        for name, parameter in trained.items():
            if "lora_B" in name:
                parameter.normal_(std=0.2)
    return model, trained


def gradients(model: MedGemma, trained: dict[str, torch.Tensor], seed: int) -> list[torch.Tensor]:
    loss = answer_losses(model, collate(examples_of(seed, images=False)).to(DEVICE), None)[0].mean()
    return list(torch.autograd.grad(loss, list(trained.values())))


@pytest.mark.parametrize("first_layer_too", [True, False])
def test_gradients_are_those_of_plain_checkpointing(first_layer_too: bool) -> None:
    model, trained = tuned(first_layer_too)
    plain = [gradients(model, trained, seed) for seed in range(3)]
    store = HostStore(model.language_model)
    for seed in range(3):
        for ours, theirs in zip(gradients(model, trained, seed), plain[seed], strict=True):
            assert torch.equal(ours, theirs) and theirs.any()
    # Two of three layers' inputs leave; where nothing before the last layer is trained, none does.
    assert store.buffers == (2 if first_layer_too else 0) and len(store._free) == store.buffers


def test_passes_that_overlap_keep_their_inputs_apart() -> None:
    model, trained = tuned()
    parameters = list(trained.values())
    plain = [gradients(model, trained, seed) for seed in range(2)]
    store = HostStore(model.language_model)
    batches = [collate(examples_of(seed, images=False)).to(DEVICE) for seed in range(2)]
    losses = [answer_losses(model, batch, None)[0].mean() for batch in batches]
    for seed in (0, 1):  # not the other way round, as a stack would have it
        found = torch.autograd.grad(losses[seed], parameters, retain_graph=True)
        again = torch.autograd.grad(losses[seed], parameters)
        for ours, twice, theirs in zip(found, again, plain[seed], strict=True):
            assert torch.equal(ours, theirs) and torch.equal(twice, theirs)
    del losses
    assert store.buffers == 4 and len(store._free) == 4


def test_what_is_kept_on_the_host_is_not_kept_on_the_device() -> None:
    """After the way there, two of three layers' inputs are gone from the device."""

    def alive(offload: bool) -> int:
        model, _ = tuned()
        store = HostStore(model.language_model) if offload else None
        states = model.hidden_states(collate(examples_of(0, images=False)).to(DEVICE).token_ids)
        if store is not None:
            store.settle()
        gc.collect()
        # By their types: `isinstance` would ask each object, and those that stand for modules would be imported.
        found = [each for each in gc.get_objects() if issubclass(type(each), torch.Tensor)]
        found = [each for each in found if each.shape == states.shape and each.device == states.device]
        return len({each.data_ptr() for each in found})

    assert alive(False) - alive(True) == 2


def test_recorded_steps_take_it_along() -> None:
    """With a GPU the third batch is played back; without one, batches of fixed shape are equal all the same."""
    grads = []
    for offload in (False, True):
        model, trained = tuned()
        if offload:
            HostStore(model.language_model)

        def loss(batch: StaticBatch, model: MedGemma = model) -> torch.Tensor:
            return static_loss(model, batch, train_tower=False)

        told: list[str] = []
        steps = GraphedSteps(trained, loss, told.append)
        for seed in range(4):
            steps.zero()
            examples = examples_of(seed, images=False)
            steps.add(static_batch(examples, 20.0, by_length, packed=False, image_token=IMAGE, pixels=None))
        assert not told and len(steps) == (1 if DEVICE.type == "cuda" else 0)
        grads.append([parameter.grad.clone() for parameter in trained.values() if parameter.grad is not None])
    assert all(torch.equal(a, b) for a, b in zip(*grads, strict=True)) and len(grads[0])


def test_on_a_cpu_the_setting_says_that_there_is_nothing_to_do(tmp_path: Path) -> None:
    said: list[str] = []
    loop = tiny_loop(tmp_path, offload_activations=True, checkpointing=True, log=said.append)
    assert ("nothing to do" in "".join(said)) == (loop.model.device.type == "cpu")
