"""The tensor work of one planned step: copies, images, prompts, rows, then the choice of tokens and the scores."""

from __future__ import annotations

import time
from collections.abc import Callable
from collections.abc import Sequence as Listed
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import accumulate
from typing import NamedTuple

import torch
from torch import Tensor

from aris.engine.block_manager import Copy
from aris.engine.cache.images import TOWER_BATCH, VisionCache
from aris.engine.runners.protocol import PrefillChunk, Rows, Runner
from aris.engine.sampling import Chosen, choose
from aris.engine.scheduler import Plan
from aris.engine.sequence import Sequence
from aris.errors import ConstraintError

# Rows of scores over the whole vocabulary at once: 128 of 262k in float32 are 134 MB.
_SCORE_ROWS = 128


@dataclass(frozen=True)
class BoundChunk:
    """A chunk with all that the runner needs, so that nothing can change under it."""

    sequence: Sequence
    chunk: PrefillChunk
    images: tuple[int, int]
    samples: bool


class BoundRows(NamedTuple):
    """Rows of one sequence: [first, first + count) of the step's rows, then one for each draft."""

    sequence: Sequence
    first: int
    start: int
    count: int  # type: ignore[assignment]  # a tuple's own method of that name is of no use here
    drafts: tuple[int, ...]
    samples: bool


@dataclass(frozen=True)
class Bound:
    """A plan bound to tokens, slots and blocks as they are now."""

    plan: Plan
    copies: list[Copy]
    chunks: list[BoundChunk]
    groups: list[BoundRows]
    rows: Rows


@dataclass
class Outcome:
    """Outcome of a step.

    Tokens of each sequence that got any, scores, last hidden states for forks, and failures that concern one sequence
    alone.
    """

    chosen: dict[Sequence, list[Chosen]] = field(default_factory=dict)
    scores: dict[Sequence, dict[int, tuple[float, ...]]] = field(default_factory=dict)
    tops: dict[Sequence, dict[int, tuple[tuple[int, float], ...]]] = field(default_factory=dict)
    hidden: dict[Sequence, Tensor] = field(default_factory=dict)
    errors: dict[Sequence, Exception] = field(default_factory=dict)


class _Entry(NamedTuple):
    """Rows [first, first + 1 + drafts) of hidden states, after which a sequence's next tokens are to be chosen."""

    sequence: Sequence
    first: int
    drafts: tuple[int, ...] = ()

    @property
    def rows(self) -> range:
        return range(self.first, self.first + 1 + len(self.drafts))


def bind(plan: Plan, copies: list[Copy]) -> Bound:
    """Bind a plan; `copies` come before its own."""
    chunks = []
    for part in plan.chunks:
        sequence = part.sequence
        chunk = PrefillChunk(
            sequence.tokens[part.start : part.stop], part.start, sequence.slot, list(sequence.table),
            adapter=sequence.adapter,
        )  # fmt: skip
        samples = sequence.request.generate and part.stop == len(sequence.tokens)
        # Of a long prompt's hidden states nobody needs more than the last, or from the first that scores depend on.
        asked = [at for at in sequence.request.wanted if part.start <= at < part.stop]
        chunk = replace(chunk, outputs=part.stop - min(asked) if asked else 1)
        chunks.append(BoundChunk(sequence, chunk, sequence.images_in(part.start, part.stop), samples))
    groups = []
    token_ids: list[int] = []
    positions: list[int] = []
    slots: list[int] = []
    tables: list[list[int]] = []
    adapters: list[str | None] = []
    for group in plan.rows:
        sequence = group.sequence
        samples = sequence.request.generate and group.reaches_end
        groups.append(BoundRows(sequence, len(token_ids), group.start, group.count, group.drafts, samples))
        if group.count == 1 and not group.drafts:
            token_ids.append(sequence.tokens[group.start])
            positions.append(group.start)
            slots.append(sequence.slot)
            tables.append(list(sequence.table))
            adapters.append(sequence.adapter)
            continue
        stop = group.start + group.count
        token_ids += [*sequence.tokens[group.start : stop], *group.drafts]
        positions += range(group.start, stop + len(group.drafts))
        slots += [sequence.slot] * (group.count + len(group.drafts))
        tables += [list(sequence.table)] * (group.count + len(group.drafts))
        adapters += [sequence.adapter] * (group.count + len(group.drafts))
    if not any(adapters):
        adapters = []
    return Bound(plan, [*copies, *plan.copies], chunks, groups, Rows(token_ids, positions, slots, tables, adapters))


def execute(bound: Bound, runner: Runner, vision: VisionCache) -> Outcome:
    """Do the work of a bound plan."""
    outcome = Outcome()
    last_rows: list[tuple[Sequence, Tensor]] = []
    wanted: list[tuple[Sequence, int, Tensor]] = []
    for copy in bound.copies:
        if copy.kind == "slot":
            runner.copy_slot(copy.source, copy.target, copy.tokens)
        else:
            runner.copy_block(copy.source, copy.target)
    began = time.perf_counter()
    on_gpu = runner.model.device.type == "cuda"
    clocks: list[tuple[Sequence, _Clock]] = []
    for part in bound.chunks:
        sequence, chunk = part.sequence, part.chunk
        if sequence in outcome.errors:
            continue
        try:
            first, last = part.images
            if last > first:
                clock = _Clock(on_gpu)
                chunk = replace(chunk, image_embeddings=_encode(sequence, first, last, vision))
                clocks.append((sequence, clock.stop()))
            hidden = runner.prefill(chunk)
        except Exception as error:  # too large an image or prompt is no reason to end other answers
            outcome.errors[sequence] = error
            continue
        stop = chunk.start + len(chunk.token_ids)
        wanted += _wanted(sequence, hidden, stop - len(hidden), stop)
        if part.samples:
            last_rows.append((sequence, hidden[-1:]))
            if sequence.children:
                outcome.hidden[sequence] = hidden[-1:].clone()
    last_rows += [(each, each.parent_hidden) for each in bound.plan.ready if each.parent_hidden is not None]
    if last_rows:
        entries = [_Entry(sequence, row) for row, (sequence, _) in enumerate(last_rows)]
        _choose(entries, torch.cat([hidden for _, hidden in last_rows]), runner, outcome)
    if len(bound.rows):
        hidden = runner.decode(bound.rows)
        entries = []
        for group in bound.groups:
            stop = group.first + group.count
            if group.sequence.request.wanted:
                own = hidden[group.first : stop]
                wanted += _wanted(group.sequence, own, group.start, group.start + group.count)
            if group.samples:
                entries.append(_Entry(group.sequence, stop - 1, group.drafts))
        _choose(entries, hidden, runner, outcome)
    _score(wanted, runner, outcome)
    spent = time.perf_counter() - began
    for sequence, clock in clocks:
        seconds = clock.seconds()
        sequence.image_s += seconds
        spent -= seconds
    for sequence in dict.fromkeys(part.sequence for part in bound.chunks):
        sequence.prefill_s += spent
    return outcome


def _encode(sequence: Sequence, first: int, last: int, vision: VisionCache) -> Tensor:
    """Soft tokens of a sequence's images [first, last); some of those to come are encoded with them in one batch."""
    images = sequence.request.images
    if all(vision.holds(image) for image in images[first:last]):
        return vision.embeddings(images[first:last])
    ahead = min(len(images), max(last, first + TOWER_BATCH))
    return vision.embeddings(images[first:ahead])[: last - first]


class _Clock:
    """Times work; on a GPU by its events, so that nothing waits for it and what follows can be launched meanwhile."""

    def __init__(self, on_gpu: bool) -> None:
        self._events = [torch.cuda.Event(enable_timing=True) for _ in range(2)] if on_gpu else []
        self._times = [time.perf_counter()] * 2
        if self._events:
            self._events[0].record()

    def stop(self) -> _Clock:
        """Mark the end of the work."""
        self._times[1] = time.perf_counter()
        if self._events:
            self._events[1].record()
        return self

    def seconds(self) -> float:
        """Return the seconds taken."""
        if not self._events:
            return self._times[1] - self._times[0]
        self._events[1].synchronize()
        return self._events[0].elapsed_time(self._events[1]) / 1e3


def _wanted(sequence: Sequence, hidden: Tensor, start: int, stop: int) -> list[tuple[Sequence, int, Tensor]]:
    """Select the positions of [start, stop) whose scores were asked for, with their hidden states."""
    positions = sequence.request.wanted
    if not positions:
        return []
    return [(sequence, at, hidden[at - start]) for at in range(start, stop) if at in positions]


def _score(wanted: Listed[tuple[Sequence, int, Tensor]], runner: Runner, outcome: Outcome) -> None:
    """Record the log-probabilities of the tokens that were asked for after each hidden state."""
    for begin in range(0, len(wanted), _SCORE_ROWS):
        part = wanted[begin : begin + _SCORE_ROWS]
        logprobs = runner.logits(torch.stack([hidden for _, _, hidden in part])).float().log_softmax(dim=-1)
        rows, ids = [], []
        for row, (sequence, position, _) in enumerate(part):
            tokens = sequence.request.wanted[position]
            rows += [row] * len(tokens)
            ids += list(tokens)
        device = logprobs.device
        values = logprobs[torch.tensor(rows, device=device), torch.tensor(ids, device=device)].tolist()
        for sequence, position, _ in part:
            count = len(sequence.request.wanted[position])
            outcome.scores.setdefault(sequence, {})[position] = tuple(values[:count])
            del values[:count]
        most = min(max(sequence.request.top for sequence, _, _ in part), logprobs.shape[1])
        if most:
            best, top_ids = (each.tolist() for each in logprobs.topk(most, dim=1))
            for row, (sequence, position, _) in enumerate(part):
                count = sequence.request.top
                pairs = tuple(zip(top_ids[row][:count], best[row][:count], strict=True))
                outcome.tops.setdefault(sequence, {})[position] = pairs


def _choose(entries: list[_Entry], hidden: Tensor, runner: Runner, outcome: Outcome) -> None:
    """Choose the next tokens: one for each sequence, and one more after each draft that was right."""
    plain: dict[tuple[int, ...], list[_Entry]] = {}
    others = []
    for entry in entries:
        params = entry.sequence.params
        own = params.wants_logprobs or params.adjusts or entry.sequence.request.mask is not None
        if params.greedy and not own:
            plain.setdefault(params.banned_token_ids, []).append(entry)
        else:
            others.append(entry)
    for banned, group in plain.items():
        tokens = runner.greedy(_rows(group, hidden), torch.tensor(banned, dtype=torch.int64)).tolist()
        for entry in group:
            outcome.chosen[entry.sequence] = _accepted(entry, tokens[: 1 + len(entry.drafts)])
            del tokens[: 1 + len(entry.drafts)]
    if others:
        _choose_with_logits(others, runner.logits(_rows(others, hidden)), outcome)


def _rows(entries: list[_Entry], hidden: Tensor) -> Tensor:
    """The rows of some entries; the very tensor if they are all of it, as runners may know more of that."""
    rows = [row for entry in entries for row in entry.rows]
    return hidden if rows == list(range(hidden.shape[0])) else hidden[rows]


def _accepted(entry: _Entry, tokens: list[int]) -> list[Chosen]:
    """Take greedy tokens up to the first that differs from the draft, or that ends the sequence."""
    out = []
    for index, token in enumerate(tokens):
        out.append(Chosen(token))
        if index == len(entry.drafts) or _ends(entry.sequence, token, len(out)) or token != entry.drafts[index]:
            break
    return out


def _choose_with_logits(entries: list[_Entry], logits: Tensor, outcome: Outcome) -> None:
    """In rounds: each goes on to the row of its next draft as long as the draft tokens are what is chosen."""
    firsts = accumulate((len(entry.rows) for entry in entries), initial=0)
    going = list(zip(entries, firsts, strict=False))  # an entry and where its rows begin in `logits`
    outcome.chosen |= {entry.sequence: [] for entry in entries}
    index = 0
    while going:
        allowed = [_allowed(entry.sequence, outcome) for entry, _ in going]
        sequences = [entry.sequence for entry, _ in going]
        rows = [row + index for _, row in going]
        chosen = choose(
            logits if len(rows) == logits.shape[0] else logits[rows],
            [each.params for each in sequences],
            [each.draws for each in sequences],
            allowed,
            [_adjustment(each, outcome) for each in sequences],
        )
        left = []
        for (entry, row), each in zip(going, chosen, strict=True):
            if not _accept(entry.sequence, each.token, outcome):
                continue
            made = outcome.chosen[entry.sequence]
            made.append(each)
            over = index == len(entry.drafts) or _ends(entry.sequence, each.token, len(made))
            if not over and each.token == entry.drafts[index]:
                left.append((entry, row))
        going = left
        index += 1


def _adjustment(sequence: Sequence, outcome: Outcome) -> Callable[[Tensor], Tensor] | None:
    """The change of a sequence's scores after all that was chosen for it, in this step too."""
    if sequence.adjuster is None:
        return None
    made = [chosen.token for chosen in outcome.chosen[sequence]]
    return partial(sequence.adjuster.apply, tokens=sequence.tokens, made=made)


def _allowed(sequence: Sequence, outcome: Outcome) -> Tensor | None:
    """Return the tokens that a sequence's mask allows; a mask that fails is its sequence's failure alone."""
    mask = sequence.request.mask
    try:
        return None if mask is None else mask.allowed()
    except Exception as error:
        outcome.errors[sequence] = error
        return None


def _accept(sequence: Sequence, token: int, outcome: Outcome) -> bool:
    """Tell a sequence's mask what was chosen; False if the sequence has failed."""
    mask = sequence.request.mask
    if token < 0:
        outcome.errors[sequence] = ConstraintError(
            "the constraint on the answer allows no token here; it cannot be met with this model's vocabulary"
        )
    if sequence not in outcome.errors and mask is not None:
        try:
            mask.accept(token)
        except Exception as error:
            outcome.errors[sequence] = error
    return sequence not in outcome.errors


def _ends(sequence: Sequence, token: int, made: int) -> bool:
    """Return whether the `made`-th token of this step is the last one of a sequence."""
    mask = sequence.request.mask
    return (
        token in sequence.params.stop_token_ids
        or (mask is not None and mask.finished)
        or sequence.generated + made >= sequence.params.max_tokens
        or len(sequence.tokens) + made >= sequence.tokens_limit
    )
