"""Tokens in, tokens out: requests become sequences, and each step moves all of them on together."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from collections.abc import Sequence as Listed
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from aris.engine.block_manager import BlockManager, Copy
from aris.engine.cache.images import ImageInput, VisionCache
from aris.engine.cache.kv_pool import BLOCK, KVPool, fit_pool, memory_for_cache
from aris.engine.execution import Bound, Outcome, bind, execute
from aris.engine.limits import ContextLengthError, EngineLimits
from aris.engine.runners.choice import make_runner
from aris.engine.runners.protocol import Runner
from aris.engine.sampling import SamplingParams
from aris.engine.scheduler import Plan, Proposer, Scheduler
from aris.engine.scoring import Question, plan_scores
from aris.engine.sequence import Request, Sequence, State, Step
from aris.engine.speculation import Gate, PromptLookup
from aris.errors import ModelError
from aris.model import AdapterBank, MedGemma

Images = Tensor | tuple[ImageInput, ...] | None


@dataclass(frozen=True)
class Prefix:
    """Prefix that was prefilled once. What was computed of it is kept while there is room, and read again if not."""

    token_ids: tuple[int, ...]
    images: tuple[ImageInput, ...] = ()
    adapter: str | None = None


class Engine:
    """Runs one model for many sequences at once. Knows token ids and images, no text.

    Methods that take a prompt raise `ModelError` where it is empty, too long for the model or the limits, holds an id
    beyond the vocabulary, or does not match its images; and `EngineBusy` where too many requests wait.

    Whoever iterates over a sequence drives the engine, which moves all the others on too; several threads may. After
    `start`, a thread of the engine's own does it.

    Args:
        model: in eval mode.
        limits: what it may take.
        runner: does the tensor work on `pool`; by default the fastest there is. Give both or neither.
        proposer: proposes draft tokens (speculation), all of which are verified; by default `limits` says.
        adapters: low-rank adapters beside the model's weights, of which each request may ask for one by name. Made for
            a model as it is before the engine gets it. With a runner of the caller's own, that must have them too.

    Attributes:
        model, limits, pool, runner, vision: its parts.
        max_tokens: of one sequence, prompt and answer: what the model, the limits and the memory allow.
    """

    def __init__(
        self,
        model: MedGemma,
        limits: EngineLimits | None = None,
        *,
        pool: KVPool | None = None,
        runner: Runner | None = None,
        proposer: Proposer | None = None,
        adapters: AdapterBank | None = None,
    ) -> None:
        self.model = model
        self.adapters = adapters
        self.limits = limits or EngineLimits()
        config = model.config
        text = config.text
        longest = min(text.max_position_embeddings, self.limits.max_tokens or text.max_position_embeddings)
        if pool is None:
            nbytes = self.limits.cache_bytes
            nbytes = memory_for_cache(model.device) if nbytes is None else nbytes
            slots = self.limits.max_running + self.limits.kept_prompts
            size = fit_pool(text, model.dtype, nbytes, slots, longest)
            pool = KVPool(text, size.slots, size.blocks, model.device, model.dtype)
        self.pool = pool
        self.max_tokens = min(longest, (pool.blocks - 1) * BLOCK)
        self.runner = make_runner(model, pool, adapters) if runner is None else runner
        self.vision = VisionCache(lambda pixels: self.encode_images(pixels), self.limits.vision_bytes)
        self._manager = BlockManager(pool.slots, pool.blocks, pool.window, self.limits.kept_prompts)
        self._scheduler = Scheduler(self.limits, self._manager, self.runner.prefill_chunk)
        self._scheduler.proposer = proposer
        if proposer is None and self.limits.speculation:
            self._scheduler.proposer, self._scheduler.gate = PromptLookup(text.vocab_size), Gate()
        # Soft tokens are inputs only; a model that emits one would ask for an image that nobody sent.
        self._never_sampled = (config.boi_token_index, config.eoi_token_index, config.image_token_index)
        self._copies: list[Copy] = []  # of rings to be kept, before the next step's work
        self._stepping = threading.RLock()  # held while a step is made
        self._state = threading.Lock()  # held while sequences change hands; never during tensor work
        self._work = threading.Condition(self._state)
        self._cancelled: deque[Sequence] = deque()
        self._thread: threading.Thread | None = None
        self._stopping = False
        self._counts = dict.fromkeys(
            ("steps", "requests", "finished", "cancelled", "failed", "prompt_tokens", "generated_tokens"), 0
        )
        self._counts |= dict.fromkeys(("draft_tokens", "accepted_draft_tokens"), 0)
        self._first_token_s = 0.0
        self._first_tokens = 0

    # Requests

    def submit(self, request: Request) -> Sequence:
        """Queue a request; iterate over what is returned for its steps."""
        return self.submit_all([request])[0]

    def submit_all(self, requests: Listed[Request]) -> list[Sequence]:
        """Queue requests together, or none of them. Those on the same prompt as the first go on from its reading."""
        sequences = [self._sequence(request) for request in requests]
        first = sequences[0]
        queued = [first]
        for sequence in sequences[1:]:
            same = sequence.request.generate and first.request.generate and sequence.content == first.content
            same = same and sequence.adapter == first.adapter
            (first.children if same else queued).append(sequence)
        with self._locked():
            self._scheduler.add(queued, reserve=len(first.children))
            self._counts["requests"] += len(sequences)
            self._work.notify_all()
        return sequences

    def cancel(self, sequence: Sequence) -> None:
        """End a sequence and free what it holds, at once; one that has ended stays as it is."""
        self._cancelled.append(sequence)
        # Whoever holds the lock sees to it before letting go. It may be this very thread, if the garbage collector
        # closed a stream in the middle of something, so waiting is no option. It may also be at the very end of the
        # stack (the reader of a deep document, say): then whoever comes next sees to it.
        if _has_stack():
            self._settle()

    @torch.inference_mode()
    def encode_images(self, pixels: Tensor) -> Tensor:
        """Pixels (N, 3, S, S) to soft tokens (N, mm_tokens_per_image, width)."""
        return self.runner.encode_images(pixels)

    def prefill(
        self,
        token_ids: Listed[int],
        images: Images = None,
        prefix: Prefix | None = None,
        *,
        adapter: str | None = None,
    ) -> Prefix:
        """Read a prompt, or go on reading after `prefix`, and keep it for others that have the same adapter."""
        read = self._joined(prefix, token_ids, images, adapter)
        self._finish([Request(read.token_ids, read.images, generate=False, adapter=read.adapter)])
        return read

    def stream(
        self,
        token_ids: Listed[int],
        images: Images = None,
        params: SamplingParams | None = None,
        *,
        prefix: Prefix | None = None,
        adapter: str | None = None,
    ) -> Iterator[Step]:
        """Generate, yielding each token as soon as it is chosen. The last step has a finish reason.

        The stop token is yielded too. The prompt is checked and read at the first `next`; closing the iterator
        cancels the sequence.
        """
        read = self._joined(prefix, token_ids, images, adapter)
        sequence = self.submit(
            Request(read.token_ids, read.images, params or SamplingParams(), adapter=read.adapter)
        )
        try:
            yield from sequence
        finally:
            sequence.cancel()

    def score(
        self,
        token_ids: Listed[int],
        images: Images,
        choices: Listed[Listed[int]],
        *,
        prefix: Prefix | None = None,
        adapter: str | None = None,
    ) -> list[float]:
        """The log-probability of each choice (its tokens' summed) after the prompt, which is read once.

        `token_ids` may be empty when `prefix` is given. Choices may differ in length; no length normalisation.
        """
        return self.score_many(self._joined(prefix, token_ids, images, adapter), [((), choices)])[0]

    def score_many(self, prefix: Prefix, questions: Listed[Question]) -> list[list[float]]:
        """Scores of many (question, choices) after one prefix: it is read once, and the rest as one batch of rows.

        All have the prefix's adapter.
        """
        plan = plan_scores(prefix.token_ids, prefix.images, questions, prefix.adapter)
        further = [request for _, _, request in plan.further]
        if all(question for question, _ in questions):
            self._finish([Request(prefix.token_ids, prefix.images, generate=False, adapter=prefix.adapter)])
            done = self._finish([*plan.firsts, *further])
        else:  # the question without tokens reads the prefix
            done = self._finish(plan.firsts)
            done += self._finish(further)
        return plan.totals(done[: len(plan.firsts)], done[len(plan.firsts) :])

    def logprobs(self, token_ids: Listed[int]) -> Tensor:
        """Log-probability (T - 1,) float32 of each token of a text after those before it, for perplexity."""
        return torch.tensor([step.logprob for step in self.prompt_logprobs(token_ids)])

    def prompt_logprobs(
        self,
        token_ids: Listed[int],
        top: int = 0,
        *,
        images: Images = None,
        start: int = 1,
        adapter: str | None = None,
        submitted: Callable[[Sequence], None] = lambda _: None,
    ) -> list[Step]:
        """Each token of a prompt from the `start`-th on, as if it had been generated.

        Args:
            token_ids: the prompt. An image's soft tokens are never generated, so `start` lies behind the last of them.
            top: how many of the most probable tokens to report at each position.
            images: of the prompt's soft tokens.
            start: at least 1. What stands before it may be taken over from an earlier prompt.
            adapter: that the model has.
            submitted: is given what reads the prompt, for whoever may want to cancel it.

        Raises:
            ModelError: it was cancelled.
        """
        if start < 1:
            raise ModelError("prompt_logprobs: the first token comes after nothing; start at 1 or later")
        read = self._joined(None, token_ids, images, adapter)
        last = read.token_ids[start:]
        wanted = {start - 1 + at: (token,) for at, token in enumerate(last)}
        request = Request(
            read.token_ids, read.images, generate=False, wanted=wanted, top=top, retain=False, adapter=adapter
        )
        (sequence,) = self._finish([request], submitted)
        if len(sequence.scores) < len(wanted):
            raise ModelError("prompt_logprobs: it was cancelled before the prompt was read")
        positions = zip(sorted(wanted), last, strict=True)
        return [Step(token, sequence.scores[at][0], sequence.tops.get(at, ())) for at, token in positions]

    def _finish(
        self, requests: list[Request], submitted: Callable[[Sequence], None] = lambda _: None
    ) -> list[Sequence]:
        """Run requests to their ends."""
        if not requests:
            return []
        sequences = self.submit_all(requests)
        try:
            for sequence in sequences:
                submitted(sequence)
            return [sequence.wait() for sequence in sequences]
        finally:
            for sequence in sequences:
                sequence.cancel()

    # Steps

    def step(self) -> bool:
        """Move every sequence on by a step; False if there was nothing to do."""
        with self._stepping, torch.inference_mode():
            with self._locked():
                plan = self._scheduler.schedule()
                if not plan:
                    return False
                bound = bind(plan, self._copies)
                self._copies = []
                self._counts["steps"] += 1
            began = time.perf_counter()
            try:
                outcome = execute(bound, self.runner, self.vision)
            except BaseException as error:
                # What was written is unknown, so nothing of it may be taken over by others.
                failure = error if isinstance(error, Exception) else ModelError("the engine was interrupted")
                with self._locked():
                    # Some that were let in only got copies: they would go on from what was perhaps never made.
                    made = {(copy.kind, copy.target) for copy in plan.copies}
                    copied = [
                        each
                        for each in self._scheduler.running
                        if not made.isdisjoint([("slot", each.slot), *(("block", block) for block in each.table)])
                    ]
                    for sequence in (*plan.sequences, *copied):
                        self._end(sequence, failure)
                    if bound.copies:
                        self._manager.forget()
                if failure is not error:
                    raise
                return True
            spent = time.perf_counter() - began
            with self._locked():
                self._apply(plan, bound, outcome)
                if self._scheduler.gate is not None and bound.groups:
                    alone = not (bound.chunks or bound.copies or plan.ready)
                    self._scheduler.gate.done(len(bound.rows), spent if alone else None)
            return True

    def start(self) -> None:
        """Step in a thread of the engine's own from now on; whoever iterates only waits."""
        if self._thread is None:
            self._stopping = False
            self._thread = threading.Thread(target=self._run, name="aris-engine", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End the thread; sequences that have not ended fail."""
        thread = self._thread
        if thread is None:
            return
        with self._locked():
            self._stopping = True
            self._work.notify_all()
        thread.join()
        self._thread = None

    def forget(self) -> None:
        """Give up what is kept of prompts and images that are not in use."""
        with self._locked():
            self._manager.forget()
        self.vision.clear()

    def stats(self) -> dict[str, float]:
        """Figures of this engine since it was made, and as it is now. Counts are of tokens where not said otherwise."""
        with self._locked():
            manager, scheduler = self._manager, self._scheduler
            return {
                "running": len(scheduler.running),
                "waiting": len(scheduler.waiting),
                "cache_usage_ratio": 1.0 - manager.free_blocks / manager.usable_blocks,
                "free_blocks": manager.free_blocks,
                "free_slots": manager.free_slots,
                "kept_prompts": len(manager.snapshots),
                "prefix_cache_queries": scheduler.queried_tokens,
                "prefix_cache_hits": scheduler.hit_tokens,
                "preemptions": scheduler.preemptions,
                "images_encoded": self.vision.encoded,
                "image_cache_hits": self.vision.hits,
                "image_cache_bytes": self.vision.nbytes,
                "time_to_first_token_seconds_sum": self._first_token_s,
                "time_to_first_token_seconds_count": self._first_tokens,
                **self._counts,
            }

    def _run(self) -> None:
        while True:
            failure: Exception | None = None
            try:
                worked = self.step()
            except Exception as error:  # a defect; whoever waits must hear of it
                worked, failure = True, error
            with self._locked():
                if self._stopping:
                    failure = ModelError("the engine was stopped before this request was done")
                if failure is not None:
                    for sequence in [*self._scheduler.running, *self._scheduler.waiting]:
                        self._end(sequence, failure)
                if self._stopping:
                    return
                if not worked and not self._scheduler.waiting and not self._scheduler.running:
                    self._work.wait()

    def _advance(self, sequence: Sequence) -> float:
        """Move a sequence towards its next step; if another thread does, the seconds to wait before asking again."""
        if self._thread is not None:
            return 1.0
        if not self._stepping.acquire(blocking=False):
            return 0.02  # whoever steps now may have all that it came for before this sequence has
        try:
            # Nothing to do is right if another thread has cancelled it between the two.
            if not sequence.has_steps and not self.step() and not sequence.has_steps:
                raise RuntimeError("the engine has nothing to do for a sequence that has not ended")
        finally:
            self._stepping.release()
        return 0.0

    def _apply(self, plan: Plan, bound: Bound, outcome: Outcome) -> None:
        """Note what a step has computed, hand out tokens, and end what is done. Cancelled ones are gone already."""
        for sequence, error in outcome.errors.items():
            self._end(sequence, error)
        for part in plan.chunks:
            sequence = part.sequence
            if sequence.state is State.RUNNING:
                sequence.computed = part.stop
                self._counts["prompt_tokens"] += part.stop - part.start
                copy = self._manager.checkpoint(sequence) if part.checkpoint else None
                if copy is not None:
                    self._copies.append(copy)
                if part.stop == len(sequence.tokens):
                    sequence.parent_hidden = None
        for group in bound.groups:
            sequence = group.sequence
            if sequence.state is State.RUNNING:
                sequence.computed = group.start + group.count
                if group.drafts:
                    right = max(len(outcome.chosen.get(sequence, ())) - 1, 0)
                    sequence.computed += right
                    self._counts["draft_tokens"] += len(group.drafts)
                    self._counts["accepted_draft_tokens"] += right
                    if self._scheduler.proposer is not None:
                        self._scheduler.proposer.observe(sequence, len(group.drafts), right)
                    if self._scheduler.gate is not None:
                        self._scheduler.gate.observe(sequence, len(group.drafts), right)
        for sequence in plan.ready:
            sequence.parent_hidden = None
        for sequence in plan.sequences:
            if sequence.state is not State.RUNNING:
                continue
            if sequence in outcome.scores:
                sequence.scores.update(outcome.scores[sequence])
                sequence.tops.update(outcome.tops.get(sequence, {}))
            if sequence in outcome.hidden:
                for child in sequence.children:
                    child.parent_hidden = outcome.hidden[sequence]
                self._release_children(sequence)
            made = outcome.chosen.get(sequence, ())
            for index, chosen in enumerate(made, 1):
                self._emit(sequence, Step(chosen.token, chosen.logprob, chosen.top), last=index == len(made))
            if not sequence.request.generate and sequence.computed == len(sequence.tokens):
                self._end(sequence)

    def _emit(self, sequence: Sequence, step: Step, last: bool) -> None:
        """An answer goes on by a token, which may be its last; `last` of this step, which the mask's state is after."""
        if sequence.first_token_s is None:
            sequence.first_token_s = time.perf_counter()
            self._first_token_s += sequence.first_token_s - sequence.submitted_s
            self._first_tokens += 1
        sequence.append(step.token_id)
        self._counts["generated_tokens"] += 1
        mask = sequence.request.mask
        if step.token_id in sequence.params.stop_token_ids or (last and mask is not None and mask.finished):
            step = step._replace(finish_reason="stop")
        elif sequence.generated >= sequence.params.max_tokens or len(sequence.tokens) >= sequence.tokens_limit:
            step = step._replace(finish_reason="length")
        sequence.put(step)
        if step.finish_reason is not None:
            self._end(sequence)

    def _end(self, sequence: Sequence, error: BaseException | None = None, outcome: str = "finished") -> None:
        """Take a sequence out for good."""
        if sequence.state is State.FINISHED:
            return
        sequence.error = error
        self._counts["failed" if error is not None else outcome] += 1
        self._release_children(sequence)
        self._scheduler.remove(sequence, retain=error is None and sequence.request.retain)
        sequence.put(None)

    def _release_children(self, sequence: Sequence) -> None:
        """Forks of a sequence need not wait for it any longer."""
        for child in reversed(sequence.children):
            if child.state is State.WAITING:
                self._scheduler.waiting.appendleft(child)
        sequence.children = []

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._state.acquire()
        try:
            yield
        finally:
            try:
                self._end_cancelled()
            finally:
                self._state.release()
        # One may have come between the last look and the release, and nobody else need pass by here again.
        self._settle()

    def _settle(self) -> None:
        """End what was cancelled, unless somebody holds the state, who will."""
        while self._cancelled and self._state.acquire(blocking=False):
            try:
                self._end_cancelled()
            finally:
                self._state.release()

    def _end_cancelled(self) -> None:
        while self._cancelled:
            self._end(self._cancelled.popleft(), outcome="cancelled")

    # Prompts

    def _sequence(self, request: Request) -> Sequence:
        self._check(request)
        banned = tuple(dict.fromkeys((*request.params.banned_token_ids, *self._never_sampled)))
        banned = tuple(token for token in banned if 0 <= token < self.model.config.text.vocab_size)
        request = replace(request, params=replace(request.params, banned_token_ids=banned))
        return Sequence(
            request,
            tokens_limit=self.max_tokens,
            image_token=self.model.config.image_token_index,
            tokens_per_image=self.model.config.mm_tokens_per_image,
            advance=self._advance,
            cancel=self.cancel,
        )

    def _joined(
        self, prefix: Prefix | None, token_ids: Listed[int], images: Images, adapter: str | None = None
    ) -> Prefix:
        """Prefix and what follows it as one; a prefix keeps its adapter."""
        if isinstance(images, Tensor):
            images = ImageInput.from_embeddings(images)
        before = Prefix((), adapter=adapter) if prefix is None else prefix
        if adapter not in (None, before.adapter):
            raise ModelError(f"the prefix was read with adapter {before.adapter!r}, not with {adapter!r:.60}")
        return Prefix((*before.token_ids, *token_ids), (*before.images, *(images or ())), before.adapter)

    def _check(self, request: Request) -> None:
        config = self.model.config
        tokens = request.token_ids
        (self.adapters or AdapterBank()).require(request.adapter)
        if not tokens:
            raise ModelError("the prompt is empty; give at least one token")
        most = self.max_tokens - (1 if request.generate else 0)
        if len(tokens) > most:
            by_model = self.max_tokens == config.text.max_position_embeddings
            whose = "this model" if by_model else "this engine, as set up,"
            raise ContextLengthError(
                f"the prompt has {len(tokens):,} tokens, and {whose} reads {most:,} at most; "
                "send less text or fewer images"
            )
        soft = config.image_token_index
        asked = (token for scored in request.wanted.values() for token in scored)
        for token in (*tokens, *asked):
            if not 0 <= token < config.text.vocab_size and token != soft:
                raise ModelError(f"token id {token} is outside this model's vocabulary of {config.text.vocab_size:,}")
        for token, _ in request.params.logit_bias:
            if token >= config.text.vocab_size:
                raise ModelError(
                    f"logit_bias: token id {token} is outside this model's vocabulary of {config.text.vocab_size:,}"
                )
        slots = sum(token == soft for token in tokens)
        given = len(request.images)
        if slots != given * config.mm_tokens_per_image:
            raise ModelError(
                f"the prompt's {slots} soft image tokens do not match {given} images "
                f"of {config.mm_tokens_per_image} tokens each; put one place in the prompt for each image"
            )


def _has_stack(calls: int = 50) -> bool:
    """Return whether so many calls may still be nested."""
    try:
        return calls == 0 or _has_stack(calls - 1)
    except RecursionError:
        return False
