"""Prompts as token ids, without a chat template: what legacy completions need of the native backend."""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch

from aris.backends import GenerationOptions, NativeBackend, TokenLogprob
from aris.backends.streaming import NativeStream
from aris.engine import SamplingParams
from aris.prompting import Prompt


def continue_tokens(backend: NativeBackend, token_ids: Sequence[int], options: GenerationOptions) -> NativeStream:
    """Go on after token ids as they stand."""
    params = SamplingParams(
        max_tokens=options.max_tokens,
        temperature=options.temperature,
        top_k=options.top_k,
        top_p=options.top_p,
        min_p=options.min_p,
        seed=options.seed,
        stop_token_ids=backend.model.config.eos_token_ids,
        top_logprobs=options.top_logprobs or 0,
    )
    prompt = Prompt("", list(token_ids), None, 0)
    return NativeStream(backend, prompt, params, options, thoughts=True, started=time.perf_counter())


@torch.inference_mode()
def prompt_logprobs(backend: NativeBackend, token_ids: Sequence[int], top: int) -> tuple[TokenLogprob, ...]:
    """Each token of a prompt with its log-probability after those before it (NaN for the first), and the likeliest."""
    name = backend.tokenizer.id_to_token
    values = backend.engine.logprobs(token_ids).tolist() if len(token_ids) > 1 else []
    return tuple(
        TokenLogprob(name(token) or "", value) for token, value in zip(token_ids, [float("nan"), *values], strict=True)
    )
