"""Adapters that take turns: each sequence gets the tokens of the model that has its adapter merged."""

from __future__ import annotations

import engine_models as em
import pytest
import test_cpu_runner
import torch

from aris.engine import Engine, EngineLimits
from aris.engine.cache.kv_pool import KVPool
from aris.engine.runners.adapted import AdapterRunner
from aris.engine.runners.cpu import CpuRunner
from aris.engine.runners.plain import TorchRunner
from aris.engine.runners.protocol import PrefillChunk, Rows
from aris.errors import ModelError
from aris.kernels.cpu import library as lib
from aris.model import AdapterBank, LowRank, MedGemma

NAMES = (None, "one", "two")


def bank_of(model: MedGemma, std: float = 0.3) -> AdapterBank:
    """Two adapters of different ranks; the second is on the feed-forward of two layers only."""
    random = torch.Generator().manual_seed(5)
    bank = AdapterBank()
    for rank, name, on in ((4, "one", "_proj"), (3, "two", "1.mlp.")):
        layers = {}
        for layer, module in model.named_modules():
            if layer.startswith("language_model.") and layer.endswith("_proj") and on in layer:
                low = torch.randn(rank, module.in_features, generator=random) * std
                high = torch.randn(module.out_features, rank, generator=random) * std
                layers[layer] = LowRank(low, high, 0.7)
        bank.add(name, layers)
    assert len(bank.layers["one"]) == 28 and len(bank.layers["two"]) == 3
    return bank


def merged(bank: AdapterBank, name: str | None) -> MedGemma:
    """The tiny model with an adapter folded into its weights."""
    model = em.tiny()
    with torch.no_grad():
        for layer, pair in (bank.layers[name] if name else {}).items():
            model.get_submodule(layer).weight += pair.scale * pair.high @ pair.low
    return model


def engine_with(model: MedGemma, bank: AdapterBank, **limits: int) -> Engine:
    pool = KVPool(model.config.text, 81, 401, "cpu", model.dtype)
    return Engine(model, EngineLimits(**limits), pool=pool, adapters=bank)


@pytest.fixture
def parts() -> tuple[MedGemma, AdapterBank]:
    model = em.tiny()
    return model, bank_of(model)


def test_a_mixed_batch_gives_each_what_its_merged_model_gives(parts: tuple[MedGemma, AdapterBank]) -> None:
    model, bank = parts
    alone = {name: merged(bank, name) for name in NAMES}
    engine = engine_with(model, bank, prefill_tokens=96)
    pictures = em.pixels(1, 1)
    prompts = [(em.text(length, length), None) for length in (9, 70, 130)]
    prompts.append(([2, *em.IMAGE, *range(20, 40)], pictures))
    cases = [(*prompt, name) for prompt in prompts for name in NAMES]
    sequences = [engine.submit(em.request(ids, images, adapter=name)) for ids, images, name in cases]
    answers = []
    for (ids, images, name), sequence in zip(cases, sequences, strict=True):
        answers.append(em.tokens(sequence))
        assert answers[-1] == em.plain(alone[name], ids, 20, images)
    assert len({tuple(answer) for answer in answers[3:6]}) == 3  # the adapters do change the answers
    assert engine.stats()["images_encoded"] == 1  # the tower is the same for all


def test_a_beginning_is_shared_only_with_the_same_adapter(parts: tuple[MedGemma, AdapterBank]) -> None:
    model, bank = parts
    engine = engine_with(model, bank)
    prompt = em.text(150, 1)
    for _ in range(2):
        for name in NAMES:
            sequence = engine.submit(em.request(prompt, adapter=name))
            seen = em.tokens(sequence)
            assert seen == em.plain(merged(bank, name), prompt, 20)
    assert engine.stats()["kept_prompts"] == 3
    # Behind each other and side by side, from running ones and from what was kept.
    engine = engine_with(model, bank)
    first = engine.submit(em.request(prompt, params=em.greedy(30)))
    next(first)
    hits = []
    for name in ("one", "one", None):
        sequence = engine.submit(em.request(prompt, adapter=name))
        em.tokens(sequence)
        hits.append(sequence.hit_tokens)
    assert hits == [0, 149, 149]


def test_requests_queued_together_fork_only_with_the_same_adapter(parts: tuple[MedGemma, AdapterBank]) -> None:
    model, bank = parts
    engine = engine_with(model, bank)
    prompt = em.text(80, 2)
    sequences = engine.submit_all([em.request(prompt, adapter=name) for name in ("one", "two", "one")])
    for name, sequence in zip(("one", "two", "one"), sequences, strict=True):
        assert em.tokens(sequence) == em.plain(merged(bank, name), prompt, 20)
    assert engine.stats()["prompt_tokens"] == 160


def test_scores_and_log_probabilities_are_those_of_the_merged_model(parts: tuple[MedGemma, AdapterBank]) -> None:
    model, bank = parts
    engine = engine_with(model, bank)
    prompt, choices = em.text(60, 3), [[11, 12], [50], [13, 14, 15]]
    for name in (*NAMES, *NAMES):
        plain = em.engine(merged(bank, name))
        found = engine.score(prompt, None, choices, adapter=name)
        assert found == pytest.approx(plain.score(prompt, None, choices), abs=1e-3)
        prefix = engine.prefill(prompt, adapter=name)
        assert engine.score_many(prefix, [([7, 8], choices)])[0] == pytest.approx(
            plain.score([*prompt, 7, 8], None, choices), abs=1e-3
        )
        steps = engine.prompt_logprobs(prompt, adapter=name, start=40)
        assert [step.logprob for step in steps] == pytest.approx(plain.logprobs(prompt)[39:].tolist(), abs=1e-3)


def test_sent_back_sequences_keep_their_adapters(parts: tuple[MedGemma, AdapterBank]) -> None:
    model, bank = parts
    pool = KVPool(model.config.text, 9, 9, "cpu", model.dtype)
    engine = Engine(model, EngineLimits(), pool=pool, adapters=bank)
    cases = [(em.text(60, 10 + index), NAMES[index % 3]) for index in range(4)]
    sequences = [engine.submit(em.request(ids, params=em.greedy(140), adapter=name)) for ids, name in cases]
    for (ids, name), sequence in zip(cases, sequences, strict=True):
        assert em.tokens(sequence) == em.plain(merged(bank, name), ids, 140)
    assert engine.stats()["preemptions"] > 0


def test_bits_do_not_depend_on_company_in_groups(parts: tuple[MedGemma, AdapterBank]) -> None:
    model, bank = parts
    model, pool = model.to(torch.bfloat16), KVPool(model.config.text, 9, 60, "cpu", torch.bfloat16)
    for layers in bank.layers.values():
        for layer, pair in layers.items():
            layers[layer] = LowRank(pair.low.bfloat16(), pair.high.bfloat16(), pair.scale)
    runner = TorchRunner(model, pool, group=16, adapters=bank)
    for slot, name in enumerate(NAMES, 1):
        runner.prefill(PrefillChunk(em.text(20, slot), 0, slot, [slot], adapter=name))
    rows = Rows([7, 8, 9], [20, 20, 20], [1, 2, 3], [[1], [2], [3]], NAMES)
    together = runner.decode(rows)
    for row in range(3):
        assert torch.equal(runner.decode(rows.only([row]))[0], together[row])


def test_a_fast_runner_without_adapters_has_the_plain_one_beside_it(parts: tuple[MedGemma, AdapterBank]) -> None:
    model, bank = parts
    alone = {name: merged(bank, name) for name in NAMES}
    pool = KVPool(model.config.text, 81, 401, "cpu", model.dtype)
    runner = AdapterRunner(TorchRunner(model, pool), TorchRunner(model, pool, adapters=bank))
    engine = Engine(model, EngineLimits(), pool=pool, runner=runner, adapters=bank)
    cases = [(em.text(40 + index, index), NAMES[index % 3]) for index in range(6)]
    sequences = [engine.submit(em.request(ids, adapter=name)) for ids, name in cases]
    for (ids, name), sequence in zip(cases, sequences, strict=True):
        assert em.tokens(sequence) == em.plain(alone[name], ids, 20)


@pytest.mark.skipif(lib.library() is None, reason=f"no compiled kernels here: {lib.why_not()}")
def test_the_compiled_kernels_take_adapters_row_by_row() -> None:
    ours_model, plain_model = test_cpu_runner.model(), test_cpu_runner.model()
    bank = bank_of(plain_model, std=0.25)
    plain = TorchRunner(plain_model, test_cpu_runner.pool_of(plain_model), adapters=bank)
    ours = CpuRunner.wrap(ours_model, test_cpu_runner.pool_of(ours_model), bank)
    assert ours is not None
    ids = test_cpu_runner.text(150, 1)
    found = {}
    for name in NAMES:
        chunk = PrefillChunk(ids, 0, 1, [1, 2, 3], adapter=name)
        found[name] = ours.prefill(chunk)
        test_cpu_runner.near(found[name], plain.prefill(chunk))
    for one, other in ((None, "one"), (None, "two"), ("one", "two")):  # far more than the rounding of activations
        assert (found[one] - found[other]).norm() > 0.2 * found[one].norm()
    for runner in (ours, plain):
        for slot, name in enumerate(NAMES, 1):
            runner.prefill(PrefillChunk(ids[:20], 0, slot, [3 + slot], adapter=name))
    rows = Rows([7, 7, 7], [20, 20, 20], [1, 2, 3], [[4], [5], [6]], NAMES)
    together = ours.decode(rows)
    test_cpu_runner.near(together, plain.decode(rows))
    for row in range(3):
        assert torch.equal(ours.decode(rows.only([row]))[0], together[row])


def test_what_cannot_be_is_said(parts: tuple[MedGemma, AdapterBank]) -> None:
    model, bank = parts
    engine = engine_with(model, bank)
    with pytest.raises(ModelError, match="adapter 'three': not loaded; this model has one, two"):
        engine.submit(em.request(em.text(9, 1), adapter="three"))
    with pytest.raises(ModelError, match="this model has none"):
        em.engine(em.tiny()).submit(em.request(em.text(9, 1), adapter="one"))
    prefix = engine.prefill(em.text(30, 1), adapter="one")
    with pytest.raises(ModelError, match="was read with adapter 'one'"):
        engine.score([5], None, [[6]], prefix=prefix, adapter="two")
    pair = bank.layers["two"].popitem()[1]
    with pytest.raises(ModelError, match="there are two of this name"):
        bank.add("one", {})
    with pytest.raises(ModelError, match="cannot be switched"):
        bank.add("three", {"vision_tower.encoder.layers.0.self_attn.q_proj": pair})
    with pytest.raises(ModelError, match="must not be empty"):
        bank.add("", {})
