"""The runner on compiled kernels: near the plain one on the same weights, and the same bits in any company."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from engine_models import engine, greedy, request

import aris
from aris.checkpoints.embedded import language_weights
from aris.engine.cache.kv_pool import KVPool
from aris.engine.runners.choice import make_runner
from aris.engine.runners.cpu import CpuRunner
from aris.engine.runners.cpu_dense import DenseRunner
from aris.engine.runners.plain import TorchRunner
from aris.engine.runners.protocol import PrefillChunk, Rows
from aris.kernels.cpu import library as lib
from aris.model import MedGemma, MedGemmaConfig, TextConfig, VisionConfig, attach_lora
from quantized_models import quantize_model

needs_library = pytest.mark.skipif(lib.library() is None, reason=f"no compiled kernels here: {lib.why_not()}")
BOI, EOI, SOFT = 308, 309, 310
IMAGE = [BOI, SOFT, SOFT, SOFT, SOFT, EOI]


def model(kv_heads: int = 2) -> MedGemma:
    torch.manual_seed(3)
    text = TextConfig(
        vocab_size=320, hidden_size=64, intermediate_size=96, num_hidden_layers=4, num_attention_heads=4,
        num_key_value_heads=kv_heads, head_dim=32, query_pre_attn_scalar=24, sliding_window=70,
        layer_types=("sliding_attention", "sliding_attention", "full_attention", "sliding_attention"),
        max_position_embeddings=2000,
    )  # fmt: skip
    config = MedGemmaConfig(
        text, VisionConfig(16, 32, 1, 2, image_size=16, patch_size=4), mm_tokens_per_image=4,
        boi_token_index=BOI, eoi_token_index=EOI, image_token_index=SOFT,
    )  # fmt: skip
    made = MedGemma(config).eval().requires_grad_(False)
    for parameter in made.parameters():
        parameter.normal_(std=0.15)
    quantize_model(made, "int8", group_size=32, head="int8")
    return made


def test_a_head_of_its_own_is_left_to_the_plain_runner() -> None:
    made = model()
    made.language_model.lm_head = made.language_model.embed_tokens
    assert CpuRunner.wrap(made, pool_of(made)) is None


def pool_of(made: MedGemma) -> KVPool:
    return KVPool(made.config.text, 9, 60, "cpu", made.dtype)


def text(length: int, seed: int) -> list[int]:
    random = torch.Generator().manual_seed(seed)
    return [2, *torch.randint(10, 300, (length - 1,), generator=random).tolist()]


def near(found: torch.Tensor, wanted: torch.Tensor) -> None:
    """As near as activations in 8 bits are."""
    assert F.cosine_similarity(found, wanted).min() > 0.998
    assert (found - wanted).norm() < 0.04 * wanted.norm()


@needs_library
@pytest.mark.parametrize("kv_heads", [1, 2, 4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_near_the_plain_runner(kv_heads: int, dtype: torch.dtype) -> None:
    plain_model = model(kv_heads).to(dtype)
    ours_model = model(kv_heads).to(dtype)
    plain = TorchRunner(plain_model, pool_of(plain_model))
    ours = CpuRunner.wrap(ours_model, pool_of(ours_model))
    assert ours is not None
    ids = [*text(150, 0), *IMAGE, *text(60, 1)[1:]]  # beyond the window, with an image
    soft = plain_model.encode_images(torch.rand(1, 3, 16, 16).to(dtype))
    for runner in (plain, ours):
        runner.found = [runner.prefill(PrefillChunk(ids[:130], 0, 3, [4, 2, 9, 5]))]
        runner.found.append(runner.prefill(PrefillChunk(ids[130:], 130, 3, [4, 2, 9, 5], soft)))
        runner.prefill(PrefillChunk(text(20, 2), 0, 5, [11]))
        rows = Rows([7, 8, 9], [len(ids), len(ids) + 1, 20], [3, 3, 5], [[4, 2, 9, 5], [4, 2, 9, 5], [11]])
        runner.found.append(runner.decode(rows))
    tolerant = dtype == torch.bfloat16
    for found, wanted in zip(ours.found, plain.found, strict=True):
        if tolerant:
            assert F.cosine_similarity(found, wanted.float()).min() > 0.995
        else:
            near(found, wanted)
    near(ours.logits(plain.found[2].float()), plain.logits(plain.found[2]).float())
    layer = ours_model.language_model.layers[0]
    x = torch.randn(3, 64)
    for name in ("q_proj", "k_proj", "v_proj"):  # what is left in the model are the same weights
        reference = getattr(plain_model.language_model.layers[0].self_attn, name).dequantized()
        torch.testing.assert_close(getattr(layer.self_attn, name)(x), x @ reference.T, rtol=2e-3, atol=2e-3)
    for name in ("gate_proj", "up_proj"):
        reference = getattr(plain_model.language_model.layers[0].mlp, name).dequantized()
        torch.testing.assert_close(getattr(layer.mlp, name)(x), x @ reference.T, rtol=2e-3, atol=2e-3)


@needs_library
def test_bits_do_not_depend_on_how_a_prompt_is_cut() -> None:
    made = model()
    runner = CpuRunner.wrap(made, pool_of(made))
    assert runner is not None
    ids, table = text(200, 4), list(range(1, 6))
    whole = runner.prefill(PrefillChunk(ids, 0, 1, table))
    for cut in (64, 128, 192):
        first = runner.prefill(PrefillChunk(ids[:cut], 0, 2, list(range(11, 16))))
        rest = runner.prefill(PrefillChunk(ids[cut:], cut, 2, list(range(11, 16))))
        assert torch.equal(torch.cat((first, rest)), whole)
    runner.prefill(PrefillChunk(ids[:150], 0, 3, list(range(21, 26))))
    for at in range(150, 200):  # token by token, in company
        company = Rows([ids[at], 5], [at, 30], [3, 4], [list(range(21, 26)), [31]])
        assert torch.equal(runner.decode(company)[0], whole[at])


@needs_library
def test_streams_get_the_tokens_that_each_gets_alone() -> None:
    made = model()
    together = engine(made, slots=16, blocks=100)
    assert isinstance(together.runner, CpuRunner)
    prompts = [text(9 + 11 * number, number) for number in range(16)]
    sequences = together.submit_all([request(prompt, params=greedy(12)) for prompt in prompts])
    answers = [list(each.wait().tokens) for each in sequences]
    for prompt, answer in zip(prompts, answers, strict=True):
        assert list(together.submit(request(prompt, params=greedy(12))).wait().tokens) == answer


@needs_library
def test_a_second_engine_on_a_model_has_the_kernels_too() -> None:
    made, prompt = model(), text(90, 5)
    first = engine(made, slots=4, blocks=20)
    answer = list(first.submit(request(prompt, params=greedy(12))).wait().tokens)
    second = engine(made, slots=4, blocks=20)
    assert isinstance(second.runner, CpuRunner) and second.runner.layers == first.runner.layers
    assert list(second.submit(request(prompt, params=greedy(12))).wait().tokens) == answer
    del first
    assert made.logits(torch.randn(1, 64)).shape == (1, 320)  # the model itself goes on as long as either is there
    assert list(second.submit(request(prompt, params=greedy(12))).wait().tokens) == answer


def test_nano_keeps_its_codes_and_24_streams_are_each_as_alone() -> None:
    if lib.library() is None:
        pytest.skip(lib.why_not())
    nano = aris.load("aris-nano")
    runner = nano.engine.runner
    assert isinstance(runner, CpuRunner) and runner.nbytes < 310e6
    prompts = [[2, *nano.tokenizer.encode(f"Question {number}: what does a chest film show" + " today" * number)]
               for number in range(24)]  # fmt: skip
    params = greedy(4)
    sequences = nano.engine.submit_all([request(prompt, params=params) for prompt in prompts])
    answers = [list(each.wait().tokens) for each in sequences]
    for prompt, answer in list(zip(prompts, answers, strict=True))[::5]:
        assert list(nano.engine.submit(request(prompt, params=params)).wait().tokens) == answer


@pytest.mark.parametrize("name", ["token_embd.weight", "blk.0.attn_q.weight", "blk.3.ffn_up.weight"])
def test_codes_of_a_gguf_file_are_its_values(name: str) -> None:
    file = language_weights()
    stored = file.codes(name)
    assert stored is not None
    codes, scales = (part[:512] for part in stored)
    values = (codes.view(len(codes), -1, 32).float() * scales[:, :, None]).view(codes.shape)
    assert torch.equal(values, file.rows(name, 512)) and torch.equal(scales, scales.half().float())
    assert file.codes("blk.0.attn_output.weight") is None  # Q4_K has minima


def test_without_the_library_the_plain_runner_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARIS_PLAIN_CPU", "1")
    lib._opened.cache_clear()
    try:
        assert lib.library() is None and "ARIS_PLAIN_CPU" in lib.why_not()
        made = model()
        assert isinstance(make_runner(made, pool_of(made)), TorchRunner)
    finally:
        monkeypatch.delenv("ARIS_PLAIN_CPU")
        lib._opened.cache_clear()


def test_a_compiler_that_fails_is_told_of_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("CXX", "false")
    monkeypatch.setattr(lib, "VARIANTS", (lib.Variant("any", (), ()),))
    lib._opened.cache_clear()
    try:
        assert lib.library() is None and "could not be built" in lib.why_not()
        assert not list(tmp_path.rglob("*.so"))
    finally:
        monkeypatch.undo()
        lib._opened.cache_clear()


def dense(dtype: torch.dtype) -> MedGemma:
    torch.manual_seed(3)
    made = MedGemma(model().config).eval().requires_grad_(False)
    for parameter in made.parameters():
        parameter.normal_(std=0.15)
    return made.to(dtype)


@needs_library
@pytest.mark.parametrize("attached", [False, True], ids=["", "with an adapter on the model"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_dense_weights_are_those_of_the_modules(dtype: torch.dtype, attached: bool) -> None:
    made = dense(dtype)
    if attached:
        attach_lora(made.language_model, lambda name: "q_proj" in name or "down_proj" in name, 4, 8.0)
        for name, parameter in made.language_model.named_parameters():
            if "lora" in name:
                parameter.requires_grad_(False).normal_(std=0.2)
    plain, ours = TorchRunner(made, pool_of(made)), DenseRunner.wrap(made, pool_of(made))
    assert ours is not None and isinstance(make_runner(made, pool_of(made)), DenseRunner)
    ids = [*text(150, 0), *IMAGE, *text(60, 1)[1:]]  # beyond the window, with an image
    soft = made.encode_images(torch.rand(1, 3, 16, 16).to(dtype))
    found: list[list[torch.Tensor]] = [[], []]
    for runner, states in zip((plain, ours), found, strict=True):
        states.append(runner.prefill(PrefillChunk(ids[:130], 0, 3, [4, 2, 9, 5])))
        states.append(runner.prefill(PrefillChunk(ids[130:], 130, 3, [4, 2, 9, 5], soft)))
        states.append(runner.decode(Rows([7, 8], [len(ids), len(ids) + 1], [3, 3], [[4, 2, 9, 5]] * 2)))
        states.append(runner.logits(states[-1]))
        words = runner.greedy(states[2], torch.tensor([9]))
        assert torch.equal(words, states[3].index_fill(1, torch.tensor([9]), float("-inf")).argmax(1))
    for one, other in zip(*found, strict=True):
        if dtype == torch.float32:
            torch.testing.assert_close(other, one, rtol=1e-3, atol=1e-3)
        else:
            assert F.cosine_similarity(other, one.float()).min() > 0.998


@needs_library
def test_what_the_dense_kernels_cannot_run_goes_to_the_modules_in_groups() -> None:
    made = dense(torch.float32)
    q = made.language_model.layers[0].self_attn.q_proj
    q.bias = torch.nn.Parameter(torch.zeros(q.out_features))
    runner = make_runner(made, pool_of(made))
    assert isinstance(runner, TorchRunner) and runner.group
