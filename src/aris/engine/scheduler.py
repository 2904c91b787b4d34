"""Scheduling of a step: a token of every answer, and chunks of the prompts that are being prefilled.

First come, first served. An answer that runs is never stalled by prompts for longer than `prefill_tokens` take; the
oldest prompt that is being read gets a chunk of every step, however many come behind it. If blocks run out, the
youngest sequence goes back to the head of the queue, and what it had is computed again later, so the oldest always
gets on.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple, Protocol

from aris.engine.block_manager import BlockManager, Copy
from aris.engine.cache.kv_pool import BLOCK
from aris.engine.limits import EngineBusy, EngineLimits
from aris.engine.sequence import Sequence, State
from aris.engine.speculation import Gate


class Proposer(Protocol):
    """Proposer of draft tokens (speculation). Accepted ones save steps, rejected ones change nothing."""

    def propose(self, sequence: Sequence, room: int) -> list[int]:
        """Up to `room` tokens that may follow `sequence.tokens`; [] for none."""
        ...

    def observe(self, sequence: Sequence, proposed: int, accepted: int) -> None:
        """Take the number of accepted draft tokens of the last proposal."""
        ...


@dataclass(frozen=True)
class Chunk:
    """Prompt tokens [start, stop) of a sequence to read; `checkpoint`: to be kept for others once they are."""

    sequence: Sequence
    start: int
    stop: int
    checkpoint: bool = False


class RowGroup(NamedTuple):
    """`count` tokens of a sequence from position `start` as rows, and draft tokens after the last of them.

    The tokens themselves are taken from the sequence when the step is launched.
    """

    sequence: Sequence
    start: int
    count: int  # type: ignore[assignment]  # a tuple's own method of that name is of no use here
    drafts: tuple[int, ...] = ()

    @property
    def reaches_end(self) -> bool:
        """Return whether the last row gives the next token."""
        return self.start + self.count == len(self.sequence.tokens)


@dataclass
class Plan:
    """The work of one step, in the order in which it is done."""

    copies: list[Copy] = field(default_factory=list)
    chunks: list[Chunk] = field(default_factory=list)
    rows: list[RowGroup] = field(default_factory=list)
    ready: list[Sequence] = field(default_factory=list)  # forks whose next token needs no more than their parent's
    done: list[Sequence] = field(default_factory=list)  # those of which everything asked for is known already

    def __bool__(self) -> bool:
        return bool(self.copies or self.chunks or self.rows or self.ready or self.done)

    @property
    def sequences(self) -> list[Sequence]:
        """All that take part."""
        chunked = [part.sequence for part in self.chunks]
        return list(dict.fromkeys([*chunked, *(group.sequence for group in self.rows), *self.ready, *self.done]))


class Scheduler:
    """The queue, and those that run.

    Args:
        limits: of the engine.
        manager: of the pool's slots and blocks.
        prefill_chunk: tokens of a chunk of a long prompt.

    Attributes:
        waiting, running: sequences, oldest first.
        proposer: proposes draft tokens of running answers, if there is one.
        gate: says how many of them are worth their rows; None takes all.
    """

    def __init__(self, limits: EngineLimits, manager: BlockManager, prefill_chunk: int) -> None:
        self.limits = limits
        self.manager = manager
        self.prefill_chunk = prefill_chunk
        self.waiting: deque[Sequence] = deque()
        self.running: list[Sequence] = []
        self.proposer: Proposer | None = None
        self.gate: Gate | None = None
        self.preemptions = 0
        self.queried_tokens = 0
        self.hit_tokens = 0

    def add(self, sequences: list[Sequence], reserve: int = 0) -> None:
        """Queue sequences that belong together; `reserve` more of them come later.

        Raises:
            EngineBusy: the queue is full.
        """
        if self.waiting and len(self.waiting) + len(sequences) + reserve > self.limits.max_waiting:
            raise EngineBusy(f"the engine is busy: {len(self.waiting)} requests wait already; try again later")
        self.waiting.extend(sequences)

    def remove(self, sequence: Sequence, retain: bool) -> None:
        """Take a sequence out, wherever it is, and take back what it has."""
        if sequence.state is State.RUNNING:
            self.running.remove(sequence)
        elif sequence in self.waiting:
            self.waiting.remove(sequence)
        sequence.state = State.FINISHED
        self.manager.release(sequence, retain)

    def schedule(self) -> Plan:
        """Decide on the next step. An empty plan means that there is nothing to do."""
        plan = Plan()
        budget = self.limits.prefill_tokens
        for sequence in list(self.running):  # oldest first, so whoever is sent back has no rows yet
            if sequence.state is State.RUNNING and sequence.computed >= sequence.rows_from:
                budget -= self._plan_rows(plan, sequence, budget)
        for sequence in self._admit(plan):
            # Those have blocks for all their tokens, so nobody is sent back for them.
            if sequence.rows_from <= sequence.computed < len(sequence.tokens):
                budget -= self._plan_rows(plan, sequence, budget)
        self._plan_chunks(plan, budget)
        self._plan_drafts(plan, budget)
        return plan

    def _plan_rows(self, plan: Plan, sequence: Sequence, budget: int) -> int:
        """Rows for the tokens that a sequence has and has not computed; how much they take of the budget."""
        count = len(sequence.tokens) - sequence.computed
        if count > 1:
            # The newest token of an answer always goes; more (a suffix, a recomputation) take turns with prompts.
            count = max(1, min(count, BLOCK, budget))
        while not self.manager.extend(sequence, sequence.computed + count):
            youngest = self.running[-1]
            self._preempt(youngest)
            if youngest is sequence:
                return 0
        # Room for one more, if there is: a runner may begin with the next token before this one is known here.
        self.manager.extend(sequence, sequence.computed + count + 1)
        plan.rows.append(RowGroup(sequence, sequence.computed, count))
        sequence.written = max(sequence.written, sequence.computed + count + 1)
        return count if count > 1 else 0

    def _admit(self, plan: Plan) -> list[Sequence]:
        admitted: list[Sequence] = []
        for sequence in list(islice(self.waiting, 4 * self.limits.max_running)):
            if len(self.running) >= self.limits.max_running:
                break
            if self.manager.is_being_read(sequence, self.running):
                continue  # another one prefills the same prefix just now: reuse that, and let others go first
            # Each of those that run may need a block before one of them ends.
            copies = self.manager.admit(sequence, self.running, len(self.running))
            if copies is None:
                break
            self.waiting.remove(sequence)
            self.running.append(sequence)
            admitted.append(sequence)
            sequence.state = State.RUNNING
            plan.copies.extend(copies)
            self.queried_tokens += sequence.prompt_tokens
            self.hit_tokens += min(sequence.computed, sequence.prompt_tokens)
            sequence.hit_tokens = min(sequence.computed, sequence.prompt_tokens)
            if sequence.computed == len(sequence.tokens):
                (plan.done if sequence.parent_hidden is None else plan.ready).append(sequence)
        return admitted

    def _plan_chunks(self, plan: Plan, budget: int) -> None:
        """Chunks in turns, oldest first, until the budget is spent; the oldest gets one in any case."""
        reading = [each for each in self.running if each.computed < each.rows_from]
        starts = {id(each): each.computed for each in reading}
        first = True
        while reading:
            for sequence in list(reading):
                start = starts[id(sequence)]
                stop = sequence.cut(start, self.prefill_chunk)
                if not first and stop - start > budget:
                    return
                first = False
                budget -= stop - start
                starts[id(sequence)] = stop
                checkpoint = stop in sequence.request.keep
                plan.chunks.append(Chunk(sequence, start, stop, checkpoint))
                sequence.written = max(sequence.written, stop)
                # Its ring is copied between this step and the next.
                if checkpoint or stop >= sequence.rows_from:
                    reading.remove(sequence)

    def _plan_drafts(self, plan: Plan, budget: int) -> None:
        """Propose draft tokens for the answers that are at their newest token, as far as room for them is free."""
        if self.proposer is None:
            return
        going_on = [
            (index, group)
            for index, group in enumerate(plan.rows)
            if group.reaches_end and group.sequence.request.generate and group.sequence.state is State.RUNNING
        ]
        if self.gate is not None:
            self.gate.plan(sum(group.count for group in plan.rows), len(going_on))
            if not self.gate.open:
                return
        for index, group in going_on:
            sequence = group.sequence
            left = min(sequence.params.max_tokens - sequence.generated, sequence.tokens_limit - len(sequence.tokens))
            room = min(BLOCK - group.count, left - 1, budget)
            drafts = self.proposer.propose(sequence, room)[: max(room, 0)] if room > 0 else []
            if self.gate is not None:
                drafts = drafts[: self.gate.admit(sequence, len(drafts))]
            end = group.start + group.count + len(drafts)
            if drafts and self.manager.extend(sequence, end):
                plan.rows[index] = RowGroup(sequence, group.start, group.count, tuple(drafts))
                sequence.written = max(sequence.written, end)
                budget -= len(drafts)

    def _preempt(self, sequence: Sequence) -> None:
        """Back to the head of the queue; its tokens stay, their keys and values may go."""
        self.running.remove(sequence)
        self.manager.release(sequence, retain=True)
        sequence.state = State.WAITING
        self.waiting.appendleft(sequence)
        self.preemptions += 1
