"""Changes of a sequence's scores before its next token is chosen.

Biases, penalties on what stands there already, words that may not come, and an end that may not come yet.

The order and the formulas are vLLM's (`vllm/v1/sample/sampler.py`) and OpenAI's ("Frequency and presence penalties").
Reported log-probabilities stay the model's own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence as Listed
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from aris.engine.sampling import SamplingParams

_NEVER = float("-inf")


class Adjuster:
    """Changes the scores of one sequence as its parameters say. It depends on that sequence's tokens alone.

    Args:
        params: of the sequence.
        prompt: its token ids; ids beyond the vocabulary (images) are left out.
    """

    def __init__(self, params: SamplingParams, prompt: Listed[int]) -> None:
        self._params = params
        self._prompt_tokens = self._upto = len(prompt)
        self._prompt = sorted(set(prompt)) if params.repetition_penalty != 1.0 else []
        self._in_prompt = frozenset(self._prompt)
        self._counts: Counter[int] = Counter()

    def apply(self, scores: Tensor, tokens: Listed[int], made: Listed[int] = ()) -> Tensor:
        """Scores (vocab_size,) for the token that comes after `tokens` (prompt and answer) and then `made`.

        What is -inf stays so.
        """
        params = self._params
        self._counts.update(tokens[self._upto :])
        self._upto = len(tokens)
        scores = scores.clone()
        if params.logit_bias:
            ids, values = zip(*params.logit_bias, strict=True)
            scores[_ids(ids, scores)] += torch.tensor(values, dtype=scores.dtype, device=scores.device)
        if params.penalizes:
            self._penalize(scores, self._counts + Counter(made) if made else self._counts)
        if params.bad_words:
            self._ban(scores, [*tokens[self._prompt_tokens :], *made])
        if len(tokens) - self._prompt_tokens + len(made) < params.min_tokens and params.stop_token_ids:
            endless = scores.clone()
            endless[_ids(params.stop_token_ids, scores)] = _NEVER
            # Where a mask leaves nothing but the end, that is what must come.
            if bool(endless.max() > _NEVER):
                scores = endless
        return scores

    def _penalize(self, scores: Tensor, counts: Counter[int]) -> None:
        params = self._params
        if params.repetition_penalty != 1.0:
            seen = _ids([*self._prompt, *(token for token in counts if token not in self._in_prompt)], scores)
            values, limits = scores[seen], torch.finfo(scores.dtype)
            penalty = max(params.repetition_penalty, limits.tiny)  # 0 as a float32 would make NaN of -inf
            scores[seen] = torch.where(values > 0, values / penalty, values * penalty).clamp(max=limits.max)
        if counts and (params.frequency_penalty or params.presence_penalty):
            ids = _ids(list(counts), scores)
            times = torch.tensor(list(counts.values()), dtype=scores.dtype, device=scores.device)
            scores[ids] -= params.frequency_penalty * times + params.presence_penalty

    def _ban(self, scores: Tensor, written: list[int]) -> None:
        """The last token of each word whose others stand at the end."""
        for *before, last in self._params.bad_words:
            if written[len(written) - len(before) :] == before and last < scores.shape[0]:
                scores[last] = _NEVER


def _ids(tokens: Listed[int], scores: Tensor) -> Tensor:
    """Token ids as an index of scores; those beyond the vocabulary are left out."""
    kept = [token for token in tokens if 0 <= token < scores.shape[0]]
    return torch.tensor(kept, dtype=torch.int64, device=scores.device)
