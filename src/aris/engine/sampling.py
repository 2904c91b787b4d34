"""Choosing the next token from logits: greedy, or seeded sampling by temperature, top-k, top-p and min-p."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from aris.errors import ModelError


@dataclass(frozen=True)
class SamplingParams:
    """How to generate.

    Attributes:
        max_tokens: tokens to generate at most, the stop token included; at least 1.
        temperature: 0 is greedy, the default for clinical tasks; otherwise logits are divided by it.
        top_k: keep the k most likely tokens; 0 keeps all.
        top_p: keep the fewest tokens whose probabilities reach this sum, in (0, 1] (arXiv 1904.09751).
        min_p: keep tokens at least this fraction as likely as the most likely one, in [0, 1] (arXiv 2407.01082).
        seed: makes sampling repeatable; None draws a new one.
        stop_token_ids: a token that ends the sequence.
        banned_token_ids: tokens that are never chosen, such as the image markers.
        top_logprobs: how many of the most likely tokens to report with each step.
    """

    max_tokens: int = 512
    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    seed: int | None = None
    stop_token_ids: tuple[int, ...] = (1, 106)
    banned_token_ids: tuple[int, ...] = ()
    top_logprobs: int = 0

    def __post_init__(self) -> None:
        checks = {
            "max_tokens must be at least 1": self.max_tokens >= 1,
            "temperature must be 0 or more": 0.0 <= self.temperature < float("inf"),
            "top_k must be 0 or more": self.top_k >= 0,
            "top_p must be in (0, 1]": 0.0 < self.top_p <= 1.0,
            "min_p must be in [0, 1]": 0.0 <= self.min_p <= 1.0,
            "top_logprobs must be 0 or more": self.top_logprobs >= 0,
        }
        for message, holds in checks.items():
            if not holds:
                raise ModelError(f"sampling: {message}")


class Sampler:
    """Draws tokens for one sequence; holds its random state."""

    def __init__(self, params: SamplingParams) -> None:
        self.params = params
        self._random = torch.Generator()
        if params.seed is None:
            self._random.seed()
        else:
            self._random.manual_seed(params.seed)
        self._banned = torch.tensor(params.banned_token_ids, dtype=torch.int64)

    def __call__(self, logits: Tensor) -> tuple[int, float, tuple[tuple[int, float], ...]]:
        """Choose from logits (vocab_size,) of any float dtype.

        Returns:
            The token, its log-probability under the model (before temperature and truncation, banned tokens left
            out), and the `top_logprobs` most likely tokens with theirs.
        """
        logits = logits.float()
        banned = self._banned[self._banned < logits.shape[0]].to(logits.device)
        if len(banned):
            logits = logits.index_fill(0, banned, float("-inf"))
        logprobs = logits.log_softmax(dim=-1)
        token = int(logits.argmax()) if self.params.temperature == 0.0 else self._draw(logits)
        top: tuple[tuple[int, float], ...] = ()
        if self.params.top_logprobs:
            values, ids = logprobs.topk(min(self.params.top_logprobs, logprobs.shape[0]))
            top = tuple(zip(ids.tolist(), values.tolist(), strict=True))
        return token, float(logprobs[token]), top

    def _draw(self, logits: Tensor) -> int:
        kept = truncated(logits / self.params.temperature, self.params)
        # The draw is on the CPU so that a seed gives the same tokens on every device.
        return int(torch.multinomial(kept.softmax(dim=-1).cpu(), 1, generator=self._random))


def truncated(logits: Tensor, params: SamplingParams) -> Tensor:
    """Logits (vocab_size,) with -inf where top-k, then top-p, then min-p leave a token out; the best always stays."""
    ordered, order = logits.sort(descending=True, stable=True)
    keep = torch.ones_like(ordered, dtype=torch.bool)
    if params.top_k:
        keep[params.top_k :] = False
    probabilities = ordered.masked_fill(~keep, float("-inf")).softmax(dim=-1)
    if params.top_p < 1.0:
        # A token stays while those before it have not reached top_p yet.
        keep &= probabilities.cumsum(dim=-1) - probabilities < params.top_p
    if params.min_p > 0.0:
        keep &= probabilities >= params.min_p * probabilities[0]
    keep[0] = True
    return torch.full_like(logits, float("-inf")).scatter(0, order[keep], ordered[keep])
