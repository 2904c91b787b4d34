"""Prompts as token ids, without a chat template: what legacy completions need of the native backend."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from aris.backends import GenerationOptions, NativeBackend, TokenLogprob
from aris.backends.streaming import NativeStream
from aris.prompting import Prompt

_ROWS = 128  # of 262k logits at once


def continue_tokens(backend: NativeBackend, token_ids: Sequence[int], options: GenerationOptions) -> NativeStream:
    """Go on after token ids as they stand."""
    return backend.continue_prompt(Prompt("", list(token_ids), None, 0), options, thoughts=True)[0]


@torch.inference_mode()
def prompt_logprobs(backend: NativeBackend, token_ids: Sequence[int], top: int) -> tuple[TokenLogprob, ...]:
    """Each token of a prompt with its log-probability after those before it (NaN for the first), and the likeliest."""
    name = backend.tokenizer.id_to_token
    model = backend.model
    ids = torch.tensor([list(token_ids)], device=model.device)
    out = [TokenLogprob(name(token_ids[0]) or "", float("nan"))]
    hidden = model.hidden_states(ids)[0, :-1]
    for start in range(0, len(hidden), _ROWS):
        scores = model.logits(hidden[start : start + _ROWS]).float().log_softmax(dim=-1)
        following = ids[0, start + 1 : start + 1 + len(scores)]
        own = scores.gather(1, following[:, None])[:, 0].tolist()
        values, likeliest = (each.tolist() for each in scores.topk(top))
        for row, token in enumerate(following.tolist()):
            tops = tuple((name(other) or "", value) for other, value in zip(likeliest[row], values[row], strict=True))
            out.append(TokenLogprob(name(token) or "", own[row], tops))
    return tuple(out)
