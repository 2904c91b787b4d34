"""Prompts as token ids, without a chat template: what legacy completions need of the native backend."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from aris.backends import GenerationOptions, NativeBackend, TokenLogprob
from aris.backends.native import PromptToken
from aris.backends.streaming import NativeStream
from aris.engine import Sequence as Sequenced
from aris.prompting import Prompt


def continue_tokens(
    backend: NativeBackend, token_ids: Sequence[int], options: GenerationOptions, count: int
) -> list[NativeStream]:
    """Go on after token ids as they stand, in so many ways."""
    return backend.continue_prompt(Prompt("", list(token_ids), None, 0), options, count, reasoning=True, raw=True)


def prompt_logprobs(
    backend: NativeBackend, token_ids: Sequence[int], top: int, submitted: Callable[[Sequenced], None]
) -> tuple[TokenLogprob, ...]:
    """Each token of a prompt with its log-probability after those before it (NaN for the first), and the top tokens."""
    name = backend.tokenizer.id_to_token

    def spelt(each: PromptToken) -> TokenLogprob:
        tops = tuple((name(token) or "", value) for token, value in each.top)
        return TokenLogprob(name(each.token_id) or "", float("nan") if each.logprob is None else each.logprob, tops)

    read = backend.prompt_logprobs(Prompt("", list(token_ids), None, 0), top, submitted=submitted)
    return tuple(map(spelt, read))
