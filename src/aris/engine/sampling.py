"""Choosing next tokens from logits, for a batch.

Greedy, or seeded sampling by temperature, top-k, top-p and min-p, after penalties and biases (`logits`).

A row's choice depends on its own logits and its own random numbers alone, never on the batch that it is in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from aris.errors import ModelError

# Truncation looks among this many of the most probable tokens first; a full sort of 262k only if they do not settle it.
_CANDIDATES = 1024
# Below the one the argmax has all of the probability, above the other all have the same; and logits that are
# divided by much less or more leave float32's range.
_LEAST_TEMPERATURE, _MOST_TEMPERATURE = 1e-5, 1e30
# A mask with bits in no more words than this is applied by token ids, otherwise over the whole vocabulary.
_FEW_WORDS = 256


@dataclass(frozen=True)
class SamplingParams:
    """Sampling parameters of a request.

    Attributes:
        max_tokens: tokens to generate at most, the stop token included; at least 1.
        temperature: 0 is greedy, the default for clinical tasks, and so is less than 1e-5; otherwise logits are divided
            by it.
        top_k: keep the k most likely tokens; 0 keeps all.
        top_p: keep the fewest tokens whose probabilities reach this sum, in (0, 1] (arXiv 1904.09751).
        min_p: keep tokens at least this fraction as likely as the most likely one, in [0, 1] (arXiv 2407.01082).
        seed: makes sampling deterministic; None draws a new one.
        stop_token_ids: a token that ends the sequence.
        banned_token_ids: tokens that are never chosen, such as the image markers.
        repetition_penalty: scores of tokens that stand in the prompt or the answer are divided by it where they are
            positive, and multiplied where they are not (arXiv 1909.05858); more than 0, 1 changes nothing.
        presence_penalty: is taken from the scores of tokens that stand in the answer, in [-2, 2].
        frequency_penalty: likewise, once for each time that they do, in [-2, 2].
        min_tokens: no stop token is chosen before so many others; at most `max_tokens`.
        logit_bias: (token id, what is added to its score) pairs, each in [-100, 100]. It brings back no banned token.
        bad_words: token ids of words that the answer may not hold.
        logprobs: report each token's log-probability. Without it greedy decoding may skip most of the head.
        top_logprobs: how many of the most likely tokens to report with each step; more than 0 implies `logprobs`.
    """

    max_tokens: int = 512
    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    seed: int | None = None
    stop_token_ids: tuple[int, ...] = (1, 106)
    banned_token_ids: tuple[int, ...] = ()
    logprobs: bool = False
    top_logprobs: int = 0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    min_tokens: int = 0
    logit_bias: tuple[tuple[int, float], ...] = ()
    bad_words: tuple[tuple[int, ...], ...] = ()

    def __post_init__(self) -> None:
        checks = {
            "max_tokens must be at least 1": self.max_tokens >= 1,
            "temperature must be 0 or more": 0.0 <= self.temperature < float("inf"),
            "top_k must be 0 or more": self.top_k >= 0,
            "top_p must be in (0, 1]": 0.0 < self.top_p <= 1.0,
            "min_p must be in [0, 1]": 0.0 <= self.min_p <= 1.0,
            "top_logprobs must be 0 or more": self.top_logprobs >= 0,
            "seed must be between -2**63 and 2**64": self.seed is None or -(2**63) <= self.seed < 2**64,
            "repetition_penalty must be more than 0": 0.0 < self.repetition_penalty < float("inf"),
            "presence_penalty must be in [-2, 2]": -2.0 <= self.presence_penalty <= 2.0,
            "frequency_penalty must be in [-2, 2]": -2.0 <= self.frequency_penalty <= 2.0,
            "min_tokens must be between 0 and max_tokens": 0 <= self.min_tokens <= self.max_tokens,
            "logit_bias must be in [-100, 100], each token once": self._bias_is_good(),
            "bad_words must have at least one token each": all(self.bad_words),
        }
        for message, holds in checks.items():
            if not holds:
                raise ModelError(f"sampling: {message}")

    @property
    def greedy(self) -> bool:
        """Return whether the argmax is always chosen."""
        return self.temperature < _LEAST_TEMPERATURE

    @property
    def wants_logprobs(self) -> bool:
        """Return whether log-probabilities are to be reported."""
        return self.logprobs or self.top_logprobs > 0

    @property
    def penalizes(self) -> bool:
        """Return whether what stands in the text changes how likely it is to come again."""
        return self.repetition_penalty != 1.0 or self.presence_penalty != 0.0 or self.frequency_penalty != 0.0

    @property
    def adjusts(self) -> bool:
        """Return whether the scores are changed before a token is chosen (see `logits`)."""
        return self.penalizes or self.min_tokens > 0 or bool(self.logit_bias) or bool(self.bad_words)

    def _bias_is_good(self) -> bool:
        once = len({token for token, _ in self.logit_bias}) == len(self.logit_bias)
        return once and all(token >= 0 and -100.0 <= value <= 100.0 for token, value in self.logit_bias)


class Draws:
    """Uniform random numbers of one sequence, one for each token that it samples."""

    def __init__(self, seed: int | None) -> None:
        # On the CPU, so that a seed gives the same tokens on every device.
        self._random = torch.Generator()
        if seed is None:
            self._random.seed()
        else:
            self._random.manual_seed(seed)

    def next(self) -> float:
        """The next number in [0, 1)."""
        return float(torch.rand((), generator=self._random, dtype=torch.float64))


class Chosen(NamedTuple):
    """A chosen token, -1 if the mask left none.

    Its log-probability is the model's, before temperature and truncation, banned and masked tokens left out; None and
    () where it was not asked for.
    """

    token: int
    logprob: float | None = None
    top: tuple[tuple[int, float], ...] = ()


def choose(
    logits: Tensor,
    params: Sequence[SamplingParams],
    draws: Sequence[Draws],
    allowed: Sequence[Tensor | None] | None = None,
    adjust: Sequence[Callable[[Tensor], Tensor] | None] | None = None,
) -> list[Chosen]:
    """Choose a token for each of R rows.

    Args:
        logits: (R, vocab_size), any float dtype.
        params, draws: of each row.
        allowed: for each row what may be chosen (see `sequence.TokenMask.allowed`), or None for all.
        adjust: for each row the change of its scores (vocab_size,) (see `logits.Adjuster`), or None for none.
    """
    scores = _restricted(logits.float(), params, allowed)
    adjusted = _adjusted(scores, adjust)
    best, argmax = adjusted.max(dim=1)
    tokens = argmax.tolist()
    limited = adjusted is not scores or (allowed is not None and any(mask is not None for mask in allowed))
    blocked = (best == float("-inf")).tolist() if limited else [False] * len(tokens)
    for row, each in enumerate(params):
        if blocked[row]:
            tokens[row] = -1
        elif not each.greedy:
            tokens[row] = _draw(adjusted[row], each, draws[row].next())
    reporting = [row for row, each in enumerate(params) if each.wants_logprobs]
    logprob: dict[int, float] = {}
    top: dict[int, tuple[tuple[int, float], ...]] = {}
    if reporting:
        logprobs = (scores if len(reporting) == len(params) else scores[reporting]).log_softmax(dim=-1)
        picked = torch.tensor([max(tokens[row], 0) for row in reporting], device=logprobs.device)
        logprob = dict(zip(reporting, logprobs.gather(1, picked[:, None])[:, 0].tolist(), strict=True))
        most = min(max(params[row].top_logprobs for row in reporting), logprobs.shape[1])
        if most:
            values, ids = logprobs.topk(most, dim=1)
            for row, likely, best in zip(reporting, ids.tolist(), values.tolist(), strict=True):
                count = params[row].top_logprobs
                top[row] = tuple(zip(likely[:count], best[:count], strict=True))
    return [Chosen(token, logprob.get(row), top.get(row, ())) for row, token in enumerate(tokens)]


def _adjusted(scores: Tensor, adjust: Sequence[Callable[[Tensor], Tensor] | None] | None) -> Tensor:
    """Scores (R, vocab_size) as tokens are chosen by; the very same tensor where nothing changes them."""
    if adjust is None or all(each is None for each in adjust):
        return scores
    return torch.stack([scores[row] if each is None else each(scores[row]) for row, each in enumerate(adjust)])


def _restricted(scores: Tensor, params: Sequence[SamplingParams], allowed: Sequence[Tensor | None] | None) -> Tensor:
    """Scores (R, vocab_size) with -inf at banned tokens and where masks say no."""
    vocabulary = scores.shape[1]
    if all(each.banned_token_ids == params[0].banned_token_ids for each in params):
        banned = [token for token in params[0].banned_token_ids if token < vocabulary]
        if banned:
            scores = scores.index_fill(1, torch.tensor(banned, device=scores.device), float("-inf"))
    else:
        scores = scores.clone()
        for row, each in enumerate(params):
            banned = [token for token in each.banned_token_ids if token < vocabulary]
            if banned:
                scores[row, banned] = float("-inf")
    if allowed is None or all(mask is None for mask in allowed):
        return scores
    scores = scores.clone()
    for row, mask in enumerate(allowed):
        if mask is None:
            continue
        ids = _few(mask, vocabulary)
        if ids is None:
            scores[row].masked_fill_(~unpacked(mask.to(scores.device), vocabulary), float("-inf"))
        else:
            ids = ids.to(scores.device)
            kept = scores[row, ids]
            scores[row].fill_(float("-inf"))
            scores[row, ids] = kept
    return scores


def _few(mask: Tensor, vocabulary: int) -> Tensor | None:
    """The tokens that a mask of words allows, where they lie in few of them, as they mostly do in JSON; else None."""
    if mask.dtype is torch.bool or mask.device.type != "cpu":
        return None
    words = mask.nonzero()[:, 0]
    if len(words) > _FEW_WORDS:
        return None
    bits = torch.arange(32)
    ids = (words[:, None] * 32 + bits)[(mask[words].long()[:, None] >> bits & 1).bool()]
    return ids[ids < vocabulary]


def unpacked(mask: Tensor, vocabulary: int) -> Tensor:
    """A mask as (vocabulary,) bool, from bool or from int32 words, lowest bit first; what it does not reach is out."""
    if mask.dtype is not torch.bool:
        bits = torch.arange(32, device=mask.device, dtype=torch.int32)
        mask = (mask.to(torch.int32)[:, None] >> bits & 1).bool().flatten()
    if mask.shape[0] < vocabulary:
        mask = torch.cat((mask, mask.new_zeros(vocabulary - mask.shape[0])))
    return mask[:vocabulary]


def _draw(scores: Tensor, params: SamplingParams, uniform: float) -> int:
    """The token at which the sum of the kept probabilities, greatest first, passes `uniform` of the whole."""
    scores = scores / min(params.temperature, _MOST_TEMPERATURE)
    if not params.top_k and params.top_p == 1.0 and params.min_p == 0.0:
        kept = scores.double().softmax(dim=0).cumsum(dim=0)
        return _at(kept, uniform)
    likely, ids = candidates(scores, params)
    return int(ids[_at(likely.double().softmax(dim=0).cumsum(dim=0), uniform)])


def _at(sums: Tensor, uniform: float) -> int:
    """The first index whose running sum exceeds `uniform` of the last; never one of no weight."""
    wanted = torch.tensor(uniform, dtype=sums.dtype, device=sums.device) * sums[-1]
    at = int(torch.searchsorted(sums, wanted, right=True))
    return min(at, int(torch.searchsorted(sums, sums[-1])))


def candidates(scores: Tensor, params: SamplingParams) -> tuple[Tensor, Tensor]:
    """The scores that top-k, then top-p, then min-p keep of (vocab_size,), best first, and their token ids.

    The best always stays. Top-p and min-p go by the probabilities after top-k.
    """
    vocabulary = scores.shape[0]
    if params.top_k:
        ordered, ids = scores.topk(min(params.top_k, vocabulary))
        weights = ordered.softmax(dim=0)
    else:
        # Few tokens hold nearly all of the probability: sort all only if these do not reach top-p or min-p.
        total = scores.logsumexp(dim=0)
        ordered, ids = scores.topk(min(_CANDIDATES, vocabulary))
        weights = (ordered - total).exp()
        settled = float(weights.sum()) >= params.top_p if params.top_p < 1.0 else False
        settled = settled or (params.min_p > 0.0 and bool(weights[-1] < params.min_p * weights[0]))
        if not settled and vocabulary > _CANDIDATES:
            ordered, ids = scores.sort(descending=True, stable=True)
            weights = (ordered - total).exp()
    keep = torch.ones_like(ordered, dtype=torch.bool)
    if params.top_p < 1.0:
        # A token stays while those before it have not reached top_p yet.
        keep &= weights.cumsum(dim=0) - weights < params.top_p
    if params.min_p > 0.0:
        keep &= weights >= params.min_p * weights[0]
    keep[0] = True
    return ordered[keep], ids[keep]
