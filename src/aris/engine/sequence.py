"""A request and the sequence that answers it: its tokens, where its keys and values lie, and how far it is."""

from __future__ import annotations

import hashlib
import time
from array import array
from bisect import bisect_right
from collections.abc import Callable, Mapping
from collections.abc import Sequence as Listed
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from queue import Empty, SimpleQueue
from typing import Literal, NamedTuple, Protocol

from torch import Tensor

from aris.engine.cache.images import ImageInput
from aris.engine.cache.kv_pool import BLOCK
from aris.engine.logits import Adjuster
from aris.engine.sampling import Draws, SamplingParams


class TokenMask(Protocol):
    """Says which tokens may come next, for one sequence. The engine asks before each token and tells what it chose."""

    def allowed(self) -> Tensor | None:
        """Return the allowed next tokens: (vocab_size,) bool or int32 words of 32, lowest bit first; None is all."""
        ...

    def accept(self, token: int) -> None:
        """A token was chosen."""
        ...

    @property
    def finished(self) -> bool:
        """Return whether the sequence must end here."""
        ...


class Step(NamedTuple):
    """Step of a sequence: a generated token. `finish_reason` is set on the last one: "stop" (a stop token) or "length".

    `logprob` is None unless `SamplingParams.logprobs` or `top_logprobs` asked for it.
    """

    token_id: int
    logprob: float | None = None
    top_logprobs: tuple[tuple[int, float], ...] = ()
    finish_reason: Literal["stop", "length"] | None = None


@dataclass(frozen=True)
class Request:
    """Request to the engine.

    Attributes:
        token_ids: the prompt.
        images: those of the prompt's soft tokens, in order.
        params: how to generate.
        generate: False only reads the prompt, for `wanted` or to keep it.
        mask: restricts the answer's tokens; used by this request alone.
        keep: lengths of prefixes of the prompt that shall be kept for others, besides the whole when it has ended.
        wanted: for positions of the prompt, the tokens whose log-probability of coming next is to be recorded.
        top: how many of the most probable tokens are to be recorded at each wanted position too.
        rows_from: prompt tokens from here on are computed as rows of decode steps, beside those of other sequences,
            which suits many short continuations of one prefix; None computes none so.
        retain: whether what was computed is kept for others after the end.
        adapter: name of the adapter that the model has for this sequence; None is the base model. Nothing that was
            computed with one serves another.
    """

    token_ids: Listed[int]
    images: tuple[ImageInput, ...] = ()
    params: SamplingParams = field(default_factory=SamplingParams)
    generate: bool = True
    mask: TokenMask | None = None
    keep: tuple[int, ...] = ()
    wanted: Mapping[int, Listed[int]] = field(default_factory=dict)
    top: int = 0
    rows_from: int | None = None
    retain: bool = True
    adapter: str | None = None


class State(Enum):
    """State of a sequence."""

    WAITING = "waiting"
    RUNNING = "running"
    FINISHED = "finished"


@dataclass(frozen=True)
class ImageSpan:
    """A run of soft tokens [start, stop) of a prompt; `first` images come before it. Its tokens see each other."""

    start: int
    stop: int
    first: int


class Sequence:
    """A request in the engine, and the caller's handle on it: iterate over it for its steps, once.

    Attributes:
        request: as submitted; adapter: its adapter.
        tokens: prompt and answer so far.
        prompt_tokens: length of the prompt.
        computed: tokens whose keys and values are in the pool.
        written: positions below which the pool may have been written, rejected draft tokens included.
        slot, table: its ring and its blocks; 0 and [] while it has none.
        scores: for each wanted position, the log-probabilities of its tokens.
        tops: for each wanted position, the most probable tokens with theirs, if they were asked for.
        state: waiting, running or finished.
        hit_tokens: prompt tokens that another sequence had computed.
        submitted_s, first_token_s, prefill_s, image_s: seconds on a monotonic clock: when it came, when its first
            token did (None before); how long the device read its prompt and encoded its images.
        proposals: a place for a proposer's own state.
        draws, adjuster: its random numbers, and what changes its scores before a token is chosen (None for nothing).
    """

    def __init__(
        self,
        request: Request,
        *,
        tokens_limit: int,
        image_token: int,
        tokens_per_image: int,
        advance: Callable[[Sequence], float],
        cancel: Callable[[Sequence], None],
    ) -> None:
        self.request = request
        self.adapter = request.adapter
        self.params = request.params
        self.tokens = list(request.token_ids)
        self.prompt_tokens = len(self.tokens)
        self.rows_from = self.prompt_tokens if request.rows_from is None else request.rows_from
        self.tokens_limit = tokens_limit
        self.spans = _spans(self.tokens, image_token, tokens_per_image)
        self.content: list[int | bytes] = list(self.tokens)
        for span in self.spans:
            for at in range(span.start, span.stop):
                self.content[at] = request.images[span.first + (at - span.start) // tokens_per_image].digest
        self.keys: list[bytes] = []
        extend_keys(self.keys, self.content, len(self.content))
        self.draws = Draws(request.params.seed)
        self.adjuster = Adjuster(request.params, self.tokens) if request.params.adjusts else None
        self.computed = 0
        self.written = 0
        self.slot = 0
        self.table: list[int] = []
        self.state = State.WAITING
        self.scores: dict[int, tuple[float, ...]] = {}
        self.tops: dict[int, tuple[tuple[int, float], ...]] = {}
        self.children: list[Sequence] = []
        self.parent_hidden: Tensor | None = None
        self.hit_tokens = 0
        self.submitted_s = time.perf_counter()
        self.first_token_s: float | None = None
        self.prefill_s = self.image_s = 0.0
        self.proposals: object | None = None
        self.error: BaseException | None = None
        self._advance = advance
        self._cancel = cancel
        self._steps: SimpleQueue[Step | None] = SimpleQueue()

    @property
    def generated(self) -> int:
        """Tokens of the answer so far."""
        return len(self.tokens) - self.prompt_tokens

    @property
    def finished(self) -> bool:
        """Return whether it has ended, also by an error or by `cancel`."""
        return self.state is State.FINISHED

    def __iter__(self) -> Sequence:
        return self

    def __next__(self) -> Step:
        step = self._next()
        if step is None:
            self._steps.put(None)  # ended stays ended
            if self.error is not None:
                raise self.error
            raise StopIteration
        return step

    def wait(self) -> Sequence:
        """Let it run to its end; its steps are passed over. Raises what it failed with."""
        for _ in self:
            pass
        return self

    def cancel(self) -> None:
        """End it and free what it holds, now. Any thread may, and more than once."""
        self._cancel(self)

    @property
    def has_steps(self) -> bool:
        """Return whether a step, or the end, is at hand."""
        return not self._steps.empty()

    def put(self, step: Step | None) -> None:
        """For the engine: hand out a step; None is the end."""
        self._steps.put(step)

    def _next(self) -> Step | None:
        while True:
            try:
                return self._steps.get_nowait()
            except Empty:
                wait = self._advance(self)
                if wait:
                    with suppress(Empty):
                        return self._steps.get(timeout=wait)

    def append(self, token: int) -> None:
        """For the engine: the answer goes on by a token."""
        self.tokens.append(token)
        self.content.append(token)
        if len(self.content) % BLOCK == 0:
            extend_keys(self.keys, self.content, len(self.content))

    def match_limit(self) -> int:
        """Return the number of tokens that may be reused from others: not those whose results are needed."""
        if self.request.wanted and len(self.scores) < len(self.request.wanted):
            return min(position for position in self.request.wanted if position not in self.scores)
        if self.parent_hidden is not None or not self.request.generate:
            return len(self.tokens)
        return len(self.tokens) - 1

    def before_image(self, length: int) -> int:
        """`length`, or the start of the image that it would cut."""
        for span in self.spans:
            if span.start < length < span.stop:
                return span.start
        return length

    def cut(self, start: int, chunk: int) -> int:
        """Return the end of the prompt's chunk that begins at `start`.

        At multiples of `chunk` and at kept lengths, but never inside an image: it depends on the sequence alone.
        """
        stop = min((start // chunk + 1) * chunk, self.rows_from)
        stop = min([stop, *(kept for kept in self.request.keep if start < kept)])
        for span in self.spans:
            if span.start < stop < span.stop:
                stop = span.stop
        return stop

    def images_in(self, start: int, stop: int) -> tuple[int, int]:
        """Return the range [first, last) of images in [start, stop) of the prompt, which cuts none."""
        inside = [span for span in self.spans if start <= span.start < stop]
        if not inside:
            return 0, 0
        last = next((span.first for span in self.spans if span.start >= stop), len(self.request.images))
        return inside[0].first, last


def _spans(tokens: Listed[int], image_token: int, tokens_per_image: int) -> list[ImageSpan]:
    """Runs of soft tokens, in order."""
    spans: list[ImageSpan] = []
    soft = at = 0
    while at < len(tokens):
        try:
            start = tokens.index(image_token, at)
        except ValueError:
            break
        at = start
        while at < len(tokens) and tokens[at] == image_token:
            at += 1
        spans.append(ImageSpan(start, at, soft // tokens_per_image))
        soft += at - start
    return spans


def extend_keys(keys: list[bytes], content: Listed[int | bytes], length: int) -> None:
    """Add the keys of the full blocks of `content[:length]` that have none yet.

    A block's key is a hash of the one before it, its token ids, and the digests of the images that its soft tokens
    are of: equal keys mean equal blocks, and equal ones before them.
    """
    for block in range(len(keys), length // BLOCK):
        part = content[block * BLOCK : (block + 1) * BLOCK]
        digest = hashlib.sha256(keys[-1] if keys else b"aris")
        digest.update(array("q", (-1 if isinstance(item, bytes) else item for item in part)).tobytes())
        for item in dict.fromkeys(item for item in part if isinstance(item, bytes)):
            digest.update(item)
        keys.append(digest.digest())


class Holder(Protocol):
    """Holder of computed tokens in the pool: a running sequence, or a snapshot of one."""

    adapter: str | None
    content: list[int | bytes]
    keys: list[bytes]
    computed: int
    written: int
    slot: int
    table: list[int]


def common_length(one: Holder | Sequence, other: Holder | Sequence, limit: int) -> int:
    """Return the length of the prefix in which two agree, up to `limit`; none if another adapter has computed them."""
    if one.adapter != other.adapter:
        return 0
    blocks = min(len(one.keys), len(other.keys), limit // BLOCK)
    # Keys chain: equal at one block means equal at all before, so the first difference is found by bisection.
    same = bisect_right(range(blocks), False, key=lambda block: one.keys[block] != other.keys[block])
    at = same * BLOCK
    stop = min(limit, len(one.content), len(other.content))
    while at < stop and one.content[at] == other.content[at]:
        at += 1
    return at
