"""The CUDA runner against the plain one: on a GPU, or with its kernels in Triton's interpreter."""

from __future__ import annotations

import pytest
import torch

from aris.engine.cache.kv_pool import KVPool
from aris.engine.runners.adapted import AdapterRunner
from aris.engine.runners.choice import make_runner
from aris.engine.runners.cuda import CudaRunner
from aris.engine.runners.plain import TorchRunner
from aris.engine.runners.protocol import PrefillChunk, Rows
from aris.model import AdapterBank, LowRank, MedGemma, MedGemmaConfig, TextConfig, VisionConfig
from aris.model.relevance import Target, patch_relevance
from quantized_models import quantize_model
from triton_interpreter import DEVICE

SOFT = 310


def tiny(tied: bool = True) -> MedGemma:
    """Two query heads a key head, a window shorter than the prompts, and shapes that 4-bit spans fill."""
    torch.manual_seed(3)
    text = TextConfig(
        vocab_size=320, hidden_size=128, intermediate_size=256, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=32, query_pre_attn_scalar=32, sliding_window=16,
        layer_types=("sliding_attention", "full_attention"), rope_factor=8.0, max_position_embeddings=4096,
        tie_word_embeddings=tied,
    )  # fmt: skip
    config = MedGemmaConfig(
        text, VisionConfig(16, 32, 1, 2, image_size=16, patch_size=4), mm_tokens_per_image=4, boi_token_index=308,
        eoi_token_index=309, image_token_index=SOFT,
    )  # fmt: skip
    model = MedGemma(config).eval().to(DEVICE)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.2)
    return model


def same(got: torch.Tensor, wanted: torch.Tensor) -> None:
    assert got.shape == wanted.shape
    assert float((got.cpu() - wanted.cpu()).norm() / wanted.cpu().norm()) < 2e-5


@pytest.mark.parametrize(("tied", "coded"), [(True, False), (False, False), (False, True)])
@torch.inference_mode()
def test_prompts_and_steps_equal_the_plain_runner(tied: bool, coded: bool) -> None:
    prompt = [2, 11, 308, SOFT, SOFT, SOFT, SOFT, 309, *range(20, 60)]
    soft = torch.randn(1, 4, 128, generator=torch.Generator().manual_seed(1)).to(DEVICE)
    tables = [[3, 5], [1, 2]]
    outputs = []
    for make in (TorchRunner, lambda model, pool: CudaRunner.wrap(model, pool)):
        model = tiny(tied)
        if coded:
            quantize_model(model, "int8", group_size=64)
        pool = KVPool(model.config.text, 4, 7, DEVICE, torch.float32)
        runner = make(model, pool)
        assert runner is not None
        out = [
            runner.prefill(PrefillChunk(prompt, 0, 1, tables[0], soft)),
            runner.prefill(PrefillChunk(list(range(100, 105)), 0, 2, tables[1])),
            # A second chunk sees the first through ring and pages.
            runner.prefill(PrefillChunk(list(range(60, 80)), len(prompt), 1, tables[0])),
        ]
        at = len(prompt) + 20
        out.append(runner.decode(Rows([7], [at], [1], [tables[0]])).clone())
        rows = Rows([8, 9], [at + 1, 5], [1, 2], tables)
        hidden = runner.decode(rows)
        out.append(hidden.clone())
        out.append(runner.logits(hidden)[:, :308].clone())
        banned = torch.tensor([308, 309, SOFT])
        out.append(runner.greedy(hidden, banned).float())
        # Three rows of one sequence and one of another: each sees the ones before it.
        rows = Rows([12, 13, 14, 15], [at + 2, at + 3, at + 4, 6], [1, 1, 1, 2], [tables[0]] * 3 + [tables[1]])
        hidden = runner.decode(rows)
        out.append(hidden.clone())
        best = runner.logits(hidden).argmax(1)
        out.append(runner.greedy(hidden, best.cpu()).float())
        outputs.append(out)
    for got, wanted in zip(outputs[1], outputs[0], strict=True):
        same(got, wanted)


def both(slots: int, blocks: int) -> list[TorchRunner | CudaRunner]:
    """The plain runner and the fast one, each with a model and a pool of its own."""
    out: list[TorchRunner | CudaRunner] = []
    for fast in (False, True):
        model = tiny()
        pool = KVPool(model.config.text, slots, blocks, DEVICE, torch.float32)
        runner = CudaRunner.wrap(model, pool) if fast else TorchRunner(model, pool)
        assert runner is not None
        out.append(runner)
    return out


BANNED = torch.tensor([308, 309, SOFT])


@torch.inference_mode()
def test_steps_that_are_launched_ahead_give_what_the_plain_runner_gives() -> None:
    answers = []
    for runner in both(4, 8):
        tables = [[3, 5], [1, 2]]  # the second block is at hand before the first is full
        starts = [60, 61]
        for slot, table, start in zip((1, 2), tables, starts, strict=True):
            runner.prefill(PrefillChunk(list(range(start)), 0, slot, table))
        tokens, made = [7, 8], []
        for step in range(7):
            rows = Rows(tokens, [start + step for start in starts], [1, 2], tables)
            hidden = runner.decode(rows)
            tokens = runner.greedy(hidden, BANNED).tolist()
            made.append(tokens)
        # One ends, and the other goes on alone.
        hidden = runner.decode(Rows(tokens[1:], [starts[1] + 7], [2], tables[1:]))
        made.append([*runner.greedy(hidden, BANNED).tolist(), -1])
        answers.append(made)
    assert answers[0] == answers[1]


@torch.inference_mode()
def test_a_step_launched_on_what_a_slot_held_before_is_void() -> None:
    results = []
    for runner in both(3, 4):
        runner.prefill(PrefillChunk(list(range(40)), 0, 1, [1]))
        (token,) = runner.greedy(runner.decode(Rows([7], [40], [1], [[1]])), BANNED).tolist()
        # Another prompt in the same slot and block, one token longer, and the very row that was guessed.
        runner.prefill(PrefillChunk(list(range(100, 141)), 0, 1, [1]))
        results.append(runner.decode(Rows([token], [41], [1], [[1]])).clone())
        runner.greedy(results[-1], BANNED)
        runner.prefill(PrefillChunk(list(range(50)), 0, 2, [2]))
        runner.copy_slot(2, 1)
        runner.copy_block(2, 1)
        results.append(runner.decode(Rows([token], [42], [1], [[1]])).clone())
    same(results[2], results[0])
    same(results[3], results[1])


@torch.inference_mode()
def test_scores_may_be_asked_for_after_the_next_step_was_launched() -> None:
    plain, fast = ((runner.prefill(PrefillChunk(list(range(20)), 0, 1, [1])), runner)[1] for runner in both(3, 4))
    rows = Rows([7], [20], [1], [[1]])
    wanted, hidden = plain.decode(rows), fast.decode(rows)
    fast.greedy(hidden, BANNED)
    same(fast.logits(hidden)[:, :308], plain.logits(wanted)[:, :308])
    banned = torch.cat((BANNED, plain.logits(wanted).argmax(1).cpu()))
    assert fast.greedy(hidden, banned).tolist() == plain.greedy(wanted, banned).tolist()


@torch.inference_mode()
def test_more_rows_than_the_largest_graph() -> None:
    model = tiny()
    pool = KVPool(model.config.text, 68, 68, DEVICE, torch.float32)
    rows = Rows(list(range(66)), [0] * 66, list(range(1, 67)), [[i] for i in range(1, 67)])
    wanted = TorchRunner(model, pool).decode(rows)
    runner = CudaRunner.wrap(model, pool)
    assert runner is not None
    hidden = runner.decode(rows)
    same(hidden, wanted)
    same(runner.logits(hidden), model.logits(wanted))


def test_a_model_with_an_adapter_is_left_to_the_plain_runner() -> None:
    from aris.model import attach_lora

    model = tiny()
    attach_lora(model, lambda name: name.endswith("q_proj"), 2, 4.0)
    assert CudaRunner.wrap(model, KVPool(model.config.text, 2, 2, DEVICE, torch.float32)) is None


@pytest.mark.parametrize(("kind", "head"), [("int8", "int8"), ("int4", "int8"), ("int4", "int4")])
@torch.inference_mode()
def test_a_quantised_model_equals_its_reference(kind: str, head: str) -> None:
    outputs = []
    for fast in (False, True):
        model = tiny()
        quantize_model(model, kind, head=head)
        pool = KVPool(model.config.text, 3, 4, DEVICE, torch.float32)
        runner = CudaRunner.wrap(model, pool) if fast else TorchRunner(model, pool)
        assert runner is not None
        out = [runner.prefill(PrefillChunk(list(range(20)), 0, 1, [1]))]
        hidden = runner.decode(Rows([7], [20], [1], [[1]]))
        out += [hidden.clone(), runner.logits(hidden)[:, :308].clone()]
        hidden = runner.decode(Rows([8, 9], [21, 22], [1, 1], [[1]] * 2))
        out += [hidden.clone(), runner.logits(hidden)[:, :308].clone()]
        # The model's own modules go on working, on the packed weights.
        out.append(model(torch.arange(12, device=DEVICE)[None]))
        outputs.append(out)
    for got, wanted in zip(outputs[1], outputs[0], strict=True):
        assert float((got - wanted).norm() / wanted.norm()) < 2e-4


@torch.inference_mode()
def test_rows_with_an_adapter_go_to_the_plain_runner_beside() -> None:
    pair = LowRank(torch.randn(2, 128, device=DEVICE) * 0.3, torch.randn(128, 2, device=DEVICE) * 0.3, 1.0)
    found = []
    for fast in (False, True):
        model, bank = tiny(), AdapterBank()
        bank.add("one", {"language_model.layers.0.self_attn.q_proj": pair})
        pool = KVPool(model.config.text, 5, 5, DEVICE, torch.float32)
        wrapped = CudaRunner.wrap(model, pool) if fast else None
        plain = TorchRunner(model, pool, adapters=bank)
        runner = plain if wrapped is None else AdapterRunner(wrapped, plain)
        out = [runner.prefill(PrefillChunk([2, 11, 12], 0, slot, [slot], adapter="one")) for slot in (1, 2)]
        rows = Rows([7, 8, 5, 9], [3, 0, 0, 3], [1, 3, 4, 2], [[1], [3], [4], [2]], ["one", None, None, "one"])
        hidden = runner.decode(rows)
        out.append(hidden)
        found.append(out)
    for got, wanted in zip(found[1], found[0], strict=True):
        same(got, wanted)


@pytest.mark.parametrize("kind", ["int8", "int4"])
def test_packed_layers_can_be_differentiated(kind: str) -> None:
    """For evidence maps: the kernels have no gradients, so the dense matrices that they stand for are used."""
    ids = [2, 11, 308, SOFT, SOFT, SOFT, SOFT, 309, 20]
    pixels = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0)).to(DEVICE)
    model = tiny()
    quantize_model(model, kind)
    wanted, _ = patch_relevance(model, pixels, ids, [Target(8, 30, 40)])
    assert CudaRunner.wrap(model, KVPool(model.config.text, 4, 7, DEVICE, torch.float32)) is not None
    found, _ = patch_relevance(model, pixels, ids, [Target(8, 30, 40)])
    same(found, wanted)


@torch.inference_mode()
def test_a_prompt_asked_for_its_last_tokens_gives_the_same() -> None:
    model = tiny()
    pool = KVPool(model.config.text, 4, 7, DEVICE, torch.float32)
    runner = CudaRunner.wrap(model, pool)
    if runner is None:
        pytest.skip("these kernels take bfloat16 alone on a GPU")
    prompt = [2, *range(20, 60)]
    whole = runner.prefill(PrefillChunk(prompt, 0, 1, [1]))
    for count in (1, 3):
        same(runner.prefill(PrefillChunk(prompt, 0, 2, [2], outputs=count)), whole[-count:])


def test_cards_before_8_0_run_the_model_s_own_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    """They have no bfloat16, and 64 KiB of shared memory."""
    model = tiny()
    monkeypatch.setattr(MedGemma, "device", property(lambda self: torch.device("cuda", 0)))
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    pool = KVPool(model.config.text, 4, 7, DEVICE, torch.float32)
    assert type(make_runner(model, pool)) is TorchRunner
