"""Tokens in, tokens out: prefill, incremental decoding on the hybrid cache, and scoring of given choices."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from aris.engine.sampling import Sampler, SamplingParams
from aris.errors import ModelError
from aris.model import HybridCache, MedGemma

# Prompt tokens in one forward pass; bounds the memory of activations. An image is never split.
PREFILL_CHUNK = 2048


@dataclass(frozen=True)
class Step:
    """One generated token. `finish_reason` is set on the last one: "stop" (a stop token) or "length"."""

    token_id: int
    logprob: float
    top_logprobs: tuple[tuple[int, float], ...] = ()
    finish_reason: Literal["stop", "length"] | None = None


@dataclass(frozen=True)
class Prefix:
    """A prompt that was read once and can be continued many times; holds its keys, values and next-token logits."""

    cache: HybridCache
    logits: Tensor  # (vocab_size,) after the prefix's last token


class Engine:
    """Runs one model. Knows token ids and image embeddings, no text.

    Every method raises `ModelError` where a prompt is empty, too long for the model, holds an id beyond the
    vocabulary, or does not match its images.
    """

    def __init__(self, model: MedGemma) -> None:
        self.model = model
        config = model.config
        # Soft tokens are inputs only; a model that emits one would ask for an image that nobody sent.
        self._never_sampled = (config.boi_token_index, config.eoi_token_index, config.image_token_index)

    @torch.inference_mode()
    def encode_images(self, pixels: Tensor) -> Tensor:
        """Pixels (N, 3, S, S) to soft tokens (N, mm_tokens_per_image, width)."""
        return self.model.encode_images(pixels)

    @torch.inference_mode()
    def prefill(
        self, token_ids: Sequence[int], image_embeddings: Tensor | None = None, prefix: Prefix | None = None
    ) -> Prefix:
        """Read a prompt, or go on reading after `prefix` (which stays as it was)."""
        self._check(token_ids, room_for=1, after=0 if prefix is None else prefix.cache.lengths[0])
        cache = self.model.new_cache() if prefix is None else prefix.cache.fork(1)
        hidden = None
        used = 0
        for chunk in self._chunks(token_ids):
            soft = self._soft_tokens(chunk, image_embeddings, used)
            used += 0 if soft is None else len(soft)
            ids = torch.tensor([chunk], device=self.model.device)
            hidden = self.model.hidden_states(ids, soft, cache)
        if image_embeddings is not None and used != len(image_embeddings):
            raise ModelError(f"{len(image_embeddings)} images were given but the prompt has room for {used}")
        assert hidden is not None
        return Prefix(cache, self.model.logits(hidden[0, -1]))

    @torch.inference_mode()
    def stream(
        self,
        token_ids: Sequence[int],
        image_embeddings: Tensor | None = None,
        params: SamplingParams | None = None,
        *,
        prefix: Prefix | None = None,
    ) -> Iterator[Step]:
        """Generate, yielding each token as soon as it is chosen. The last step has a finish reason.

        The stop token is yielded too. The prompt is checked and read at the first `next`.
        """
        params = params or SamplingParams()
        banned = tuple(dict.fromkeys((*params.banned_token_ids, *self._never_sampled)))
        sampler = Sampler(replace(params, banned_token_ids=banned))
        read = self.prefill(token_ids, image_embeddings, prefix)
        cache, logits = read.cache, read.logits
        room = self.model.config.text.max_position_embeddings - cache.lengths[0]
        for index in range(params.max_tokens):
            token, logprob, top = sampler(logits)
            if token in params.stop_token_ids:
                yield Step(token, logprob, top, "stop")
                return
            last = index + 1 == params.max_tokens or index + 1 >= room
            yield Step(token, logprob, top, "length" if last else None)
            if last:
                return
            hidden = self.model.hidden_states(torch.tensor([[token]], device=self.model.device), None, cache)
            logits = self.model.logits(hidden[0, -1])

    @torch.inference_mode()
    def score(
        self,
        token_ids: Sequence[int],
        image_embeddings: Tensor | None,
        choices: Sequence[Sequence[int]],
        *,
        prefix: Prefix | None = None,
    ) -> list[float]:
        """The log-probability of each choice (its tokens' summed) after the prompt, which is read once.

        `token_ids` may be empty when `prefix` is given. Choices may differ in length; no length normalisation.
        """
        if not choices or not all(choices):
            raise ModelError("score: every choice needs at least one token")
        read = prefix if prefix is not None and not token_ids else self.prefill(token_ids, image_embeddings, prefix)
        first = read.logits.float().log_softmax(dim=-1)
        totals = [float(first[choice[0]]) for choice in choices]
        longer = [index for index, choice in enumerate(choices) if len(choice) > 1]
        if longer:
            # All choices but their last tokens, side by side on copies of the prefix's cache.
            lengths = [len(choices[index]) - 1 for index in longer]
            batch = torch.zeros(len(longer), max(lengths), dtype=torch.int64)
            for row, index in enumerate(longer):
                self._check(choices[index], room_for=0, after=read.cache.lengths[0])
                batch[row, : lengths[row]] = torch.tensor(choices[index][:-1])
            batch = batch.to(self.model.device)
            hidden = self.model.hidden_states(batch, None, read.cache.fork(len(longer)), lengths)
            for row, index in enumerate(longer):
                logprobs = self.model.logits(hidden[row, : lengths[row]]).float().log_softmax(dim=-1)
                following = torch.tensor(choices[index][1:], device=logprobs.device)
                totals[index] += float(logprobs.gather(1, following[:, None]).sum())
        return totals

    @torch.inference_mode()
    def logprobs(self, token_ids: Sequence[int]) -> Tensor:
        """Log-probability (T - 1,) float32 of each token of a text after those before it, for perplexity."""
        self._check(token_ids, room_for=0, after=0)
        ids = torch.tensor([list(token_ids)], device=self.model.device)
        hidden = self.model.hidden_states(ids)[0]
        out = []
        for start in range(0, len(token_ids) - 1, 128):  # 128 rows of 262k logits at once
            stop = min(start + 128, len(token_ids) - 1)
            scores = self.model.logits(hidden[start:stop]).float().log_softmax(dim=-1)
            out.append(scores.gather(1, ids[0, start + 1 : stop + 1, None])[:, 0])
        return torch.cat(out) if out else torch.zeros(0)

    def _soft_tokens(self, chunk: Sequence[int], image_embeddings: Tensor | None, used: int) -> Tensor | None:
        """The embeddings of the images in a chunk, `used` of which came before; None for text alone."""
        config = self.model.config
        slots = sum(token == config.image_token_index for token in chunk)
        if not slots:
            return None
        images = slots // config.mm_tokens_per_image
        if image_embeddings is None or slots % config.mm_tokens_per_image or used + images > len(image_embeddings):
            given = 0 if image_embeddings is None else len(image_embeddings)
            raise ModelError(
                f"the prompt's {slots} soft image tokens do not match {given} images "
                f"of {config.mm_tokens_per_image} tokens each"
            )
        return image_embeddings[used : used + images]

    def _chunks(self, token_ids: Sequence[int]) -> Iterator[list[int]]:
        """The prompt in parts of about PREFILL_CHUNK tokens, cut only between tokens that are not of an image."""
        soft = self.model.config.image_token_index
        start = 0
        while start < len(token_ids):
            stop = min(start + PREFILL_CHUNK, len(token_ids))
            while stop < len(token_ids) and token_ids[stop] == soft:
                stop += 1
            yield list(token_ids[start:stop])
            start = stop

    def _check(self, token_ids: Sequence[int], *, room_for: int, after: int) -> None:
        text = self.model.config.text
        if not token_ids:
            raise ModelError("the prompt is empty; give at least one token")
        if after + len(token_ids) + room_for > text.max_position_embeddings:
            raise ModelError(
                f"the prompt has {after + len(token_ids):,} tokens, and this model reads "
                f"{text.max_position_embeddings - room_for:,} at most; send less text or fewer images"
            )
        soft = self.model.config.image_token_index
        for token in token_ids:
            if not 0 <= token < text.vocab_size and token != soft:
                raise ModelError(f"token id {token} is outside this model's vocabulary of {text.vocab_size:,}")
