"""With products in groups of rows, a sequence's bits do not depend on what runs beside it, also in bfloat16."""

from __future__ import annotations

import engine_models as em
import pytest
import torch

from aris.engine import Engine, EngineLimits
from aris.engine.cache.kv_pool import KVPool
from aris.engine.runners.batch_invariant import RowGroups
from aris.engine.runners.plain import TorchRunner
from aris.engine.runners.protocol import PrefillChunk, Rows
from aris.model import MedGemma


@pytest.fixture(scope="module", params=[torch.bfloat16, torch.float32], ids=["bfloat16", "float32"])
def model(request: pytest.FixtureRequest) -> MedGemma:
    return em.tiny().to(request.param)


def invariant(model: MedGemma, **limits: int) -> Engine:
    pool = KVPool(model.config.text, 70, 300, "cpu", model.dtype)
    return Engine(model, EngineLimits(**limits), pool=pool, runner=TorchRunner(model, pool, group=16))


def plain(model: MedGemma) -> Engine:
    pool = KVPool(model.config.text, 8, 300, "cpu", model.dtype)
    return Engine(model, pool=pool, runner=TorchRunner(model, pool))


def answer(engine: Engine, prompt: list[int], images: torch.Tensor | None) -> list[tuple[int, float | None]]:
    sequence = engine.submit(em.request(prompt, images, em.greedy(16, logprobs=True)))
    return [(step.token_id, step.logprob) for step in sequence]


def test_bits_alone_in_company_and_after_a_hit(model: MedGemma) -> None:
    cases = []
    for seed in range(8):  # each sixth begins as another does
        images = em.pixels(2, seed % 3) if seed % 2 else None
        middle = [*em.IMAGE, *em.text(50, 2)[1:], *em.IMAGE] if images is not None else em.text(62, 3)[1:]
        cases.append(([*em.text(55 + seed % 3, 1), *middle, *em.text(5 + 13 * seed, seed)[1:]], images))
    alone = [answer(invariant(model), *case) for case in cases]
    company = invariant(model, prefill_tokens=256)
    sequences = [
        company.submit(em.request(prompt, images, em.greedy(16, logprobs=True))) for prompt, images in cases
    ]
    together = [[(step.token_id, step.logprob) for step in sequence] for sequence in sequences]
    assert together == alone  # to the last bit of the log-probabilities
    assert company.stats()["prefix_cache_hits"] > 0


def test_the_groups_change_nothing_but_rounding() -> None:
    model = em.tiny()
    prompt = [*em.text(100, 1), *em.IMAGE, *em.text(80, 2)[1:]]
    one, other = answer(invariant(model), prompt, em.pixels(1, 1)), answer(plain(model), prompt, em.pixels(1, 1))
    assert [token for token, _ in one] == [token for token, _ in other]
    assert [value for _, value in one] == pytest.approx([value for _, value in other], abs=1e-3)


def test_hidden_states_of_chunks_equal_those_of_the_whole(model: MedGemma) -> None:
    ids = em.text(300, 4)
    pool = KVPool(model.config.text, 4, 20, "cpu", model.dtype)
    runner = TorchRunner(model, pool, group=16)
    with torch.inference_mode():
        whole = runner.prefill(PrefillChunk(ids, 0, 1, [1, 2, 3, 4, 5]))
        parts = []
        for start, stop in ((0, 37), (37, 38), (38, 192), (192, 300)):
            parts.append(runner.prefill(PrefillChunk(ids[start:stop], start, 2, [10, 7, 8, 9, 6])))
        assert torch.equal(torch.cat(parts), whole)
        rows = Rows([5, 6, 7], [300, 300, 301], [1, 2, 2], [[1, 2, 3, 4, 5], [10, 7, 8, 9, 6], [10, 7, 8, 9, 6]])
        together = runner.decode(rows)
        assert not torch.equal(together[0], together[1])
        for row in range(2):
            lone = Rows([rows.token_ids[row]], [300], [rows.slots[row]], [rows.block_tables[row]])
            assert torch.equal(runner.decode(lone)[0], together[row])


def test_grouped_products_are_products() -> None:
    x, weight = torch.randn(3, 5, 8), torch.randn(4, 8)
    with RowGroups(4):
        inside = torch.nn.functional.linear(x, weight)
    assert torch.allclose(inside, torch.nn.functional.linear(x, weight), atol=1e-5)
