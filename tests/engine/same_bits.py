"""Ways in which a sequence may be computed, each of which must give the bits that it gets alone in a fresh engine.

    python tests/engine/same_bits.py [float32|bfloat16] ...

Run as a program it prints the runner, or the ways that gave other bits. `test_same_bits` runs it in processes whose
libraries are held to other instruction sets.
"""

from __future__ import annotations

import sys

import engine_models as em
import torch

from aris.engine import Engine, EngineLimits, ImageInput, Sequence
from aris.engine.cache.kv_pool import KVPool
from aris.model import MedGemma, MedGemmaConfig, TextConfig, VisionConfig

Answer = list[tuple[int, float | None]]


def network(dtype: torch.dtype) -> MedGemma:
    """Of sizes at which libraries choose among several products."""
    torch.manual_seed(3)
    text = TextConfig(
        vocab_size=em.VOCABULARY, hidden_size=96, intermediate_size=208, num_hidden_layers=4, num_attention_heads=4,
        num_key_value_heads=2, head_dim=48, query_pre_attn_scalar=48, sliding_window=40,
        layer_types=("sliding_attention", "sliding_attention", "full_attention", "sliding_attention"),
        max_position_embeddings=2000,
    )  # fmt: skip
    vision = VisionConfig(48, 80, 2, 3, image_size=16, patch_size=4)
    model = MedGemma(MedGemmaConfig(
        text, vision, mm_tokens_per_image=4, boi_token_index=em.BOI, eoi_token_index=em.EOI, image_token_index=em.SOFT
    ))  # fmt: skip
    for parameter in model.requires_grad_(False).parameters():
        parameter.normal_(std=0.15)
    return model.eval().to(dtype)


def fresh(model: MedGemma, blocks: int = 120, **limits: int) -> Engine:
    pool = KVPool(model.config.text, 20, blocks, "cpu", model.dtype)
    return Engine(model, EngineLimits(**limits), pool=pool)


def ask(engine: Engine, prompt: list[int], images: torch.Tensor | None, tokens: int = 6) -> Sequence:
    return engine.submit(em.request(prompt, images, em.greedy(tokens, logprobs=True)))


def inputs(images: torch.Tensor | None) -> tuple[ImageInput, ...]:
    return () if images is None else ImageInput.from_pixels(images)


def read(sequence: Sequence) -> Answer:
    return [(step.token_id, step.logprob) for step in sequence]


def differences(dtype: torch.dtype) -> list[str]:
    """The ways that gave other bits; none, if all is well."""
    model = network(dtype)
    wrong = []
    cases = []
    for seed in range(4):
        images = em.pixels(2, seed % 2) if seed % 2 else None
        middle = [*em.IMAGE, *em.text(50, 2)[1:], *em.IMAGE] if images is not None else em.text(62, 3)[1:]
        cases.append(([*em.text(55 + seed % 3, 1), *middle, *em.text(5 + 13 * seed, seed)[1:]], images))
    alone = [read(ask(fresh(model), *case)) for case in cases]

    company = fresh(model, prefill_tokens=128)
    sequences = [ask(company, *case) for case in cases]
    if [read(each) for each in sequences] != alone:
        wrong.append("in company")
    if [read(ask(company, *case)) for case in cases] != alone:  # each after its own prompt
        wrong.append("over a prefix that was read before")

    prompt, images = cases[1]
    turn = [*prompt, *(token for token, _ in alone[1]), *em.text(9, 7)[1:]]
    if read(ask(company, turn, images)) != read(ask(fresh(model), turn, images)):
        wrong.append("over an answer that was generated before")

    short = fresh(model, blocks=6)
    long = [(em.text(118, 20 + at), None, 20) for at in range(2)]  # each needs a third block, and there is one
    made = [read(each) for each in [ask(short, *case) for case in long]]
    if made != [read(ask(fresh(model), *case)) for case in long]:
        wrong.append("sent back and computed again")
    if not short.stats()["preemptions"]:
        wrong.append("nobody was sent back, so nothing was tried")

    questions = [(em.text(4 + n, n)[1:], [[20 + n], [30 + n, 31]]) for n in range(3)]
    one = fresh(model)
    together = one.score_many(one.prefill(prompt, inputs(images)), questions)
    for (question, choices), scores in zip(questions, together, strict=True):
        if fresh(model).score([*prompt, *question], inputs(images), choices) != scores:
            wrong.append("scored together with other questions")
            break

    steps = fresh(model).prompt_logprobs(turn, images=inputs(images), start=len(prompt))
    if steps != company.prompt_logprobs(turn, images=inputs(images), start=len(prompt)):
        wrong.append("log-probabilities of a prompt over a prefix")

    tower = fresh(model).encode_images(em.pixels(3, 1))
    if not all(torch.equal(fresh(model).encode_images(em.pixels(3, 1)[at : at + 1])[0], tower[at]) for at in range(3)):
        wrong.append("an image beside others")

    torch.set_num_threads(3)  # tensors are cut elsewhere than in two
    several, some = fresh(model), cases[1:3]
    if [read(each) for each in [ask(several, *case, 2) for case in some]] != [
        read(ask(fresh(model), *case, 2)) for case in some
    ]:
        wrong.append("in company on three threads")
    torch.set_num_threads(2)
    return wrong


if __name__ == "__main__":
    torch.set_num_threads(2)
    for name in sys.argv[1:] or ["float32", "bfloat16"]:
        with torch.inference_mode():
            found = differences(getattr(torch, name))
        if found:
            sys.exit(f"{name}: other bits {'; '.join(found)}")
    print(type(fresh(network(torch.float32)).runner).__name__)
