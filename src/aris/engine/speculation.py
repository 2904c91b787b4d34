"""Speculation: draft tokens of an answer, verified as further rows of a step, so that a step can give several tokens.

Draft tokens never change an answer: each token is chosen from its own row's logits as without them, by the same random
numbers, and a draft token only counts if it is what was chosen. (For drafts without a distribution, as these are, that
is speculative sampling: arXiv 2211.17192.)

A draft token costs a row. `Gate` lets through what pays by the times that steps have taken, and keeps an account of
what draft tokens have won and lost: it never lets them lose more than a small share of the time.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence as Listed
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from aris.engine.sequence import Sequence

if TYPE_CHECKING:
    pass

MOST_DRAFTS = 32
_PROBE = 8
# What draft tokens must promise to win, at the least, as times are only estimates.
_WORTH_IT = 1.03
# What a row more costs at the least, in steps: on a noisy machine small costs cannot be told from none, and drafts
# that seem to be free would be let through at every step.
_LEAST_COST = 0.02


@dataclass
class _Index:
    """Index of the positions at which each n-gram of a sequence's tokens ends, up to `upto` tokens."""

    ends: defaultdict[tuple[int, ...], deque[int]]
    upto: int = 0


class PromptLookup:
    """Draft tokens as the answer or its prompt went on before after the same tokens (prompt lookup).

    Reports and summaries copy much. Of the last places where the newest tokens stood before, it takes the one that
    agrees furthest back, the latest of equals.

    Args:
        vocab_size: of the model: ids beyond it, such as soft image tokens, have no row in its embedding.
        ngram: how many tokens must agree.
        positions: how many positions of an n-gram are remembered.
    """

    def __init__(self, vocab_size: int, *, ngram: int = 3, positions: int = 4) -> None:
        self._vocab_size = vocab_size
        self._ngram = ngram
        self._positions = positions

    def propose(self, sequence: Sequence, room: int) -> list[int]:
        """See `scheduler.Proposer`."""
        tokens, ngram = sequence.tokens, self._ngram
        index = sequence.proposals
        if not isinstance(index, _Index):
            index = sequence.proposals = _Index(defaultdict(lambda: deque(maxlen=self._positions)))
        # The n-gram at the very end is what is looked for, so it is not among those that are known.
        for end in range(max(index.upto, ngram), len(tokens)):
            index.ends[tuple(tokens[end - ngram : end])].append(end)
        index.upto = max(index.upto, len(tokens))
        positions = index.ends.get(tuple(tokens[-ngram:]))
        if not positions:
            return []
        source = max(positions, key=lambda end: (_agreement(tokens, end), end))
        return usable(_going_on(tokens, source, room), sequence, self._vocab_size)

    def observe(self, sequence: Sequence, proposed: int, accepted: int) -> None:
        """See `scheduler.Proposer`; the gate keeps the score."""


def _agreement(tokens: Listed[int], end: int, most: int = 32) -> int:
    """Count the tokens before `end` that equal those at the end of all."""
    most = min(end, most)
    return next((back for back in range(most) if tokens[end - 1 - back] != tokens[-1 - back]), most)


def _going_on(tokens: Listed[int], source: int, room: int) -> list[int]:
    """Return the tokens from `source` on; at the end of all, as far as the repetition goes on."""
    period = len(tokens) - source
    out = list(tokens[source : source + room])
    while len(out) < room:
        out.append(out[len(out) - period])
    return out


def usable(drafts: list[int], sequence: Sequence, vocab_size: int) -> list[int]:
    """Take draft tokens up to the first that can't be chosen, or that ends the answer."""
    params = sequence.params
    for at, token in enumerate(drafts):
        if not 0 <= token < vocab_size or token in params.banned_token_ids:
            return drafts[:at]
        if token in params.stop_token_ids:
            return drafts[: at + 1]
    return drafts


class StepTimes:
    """Times of steps by their number of rows, from those measured, at the machine's pace in each.

    A machine that does other work meanwhile is slower for a while. Plain steps tell its pace, by which all are divided:
    so steps are compared with those around them.
    """

    def __init__(self, remembered: int = 15) -> None:
        self._seen: dict[int, deque[float]] = {}
        self._medians: dict[int, float] = {}
        self._remembered = remembered
        self._paces: deque[float] = deque(maxlen=5)

    def add(self, rows: int, seconds: float, *, plain: bool = False) -> None:
        """A step of `rows` rows has taken `seconds`; `plain` if it had no draft tokens."""
        if plain and self.known(rows):
            self._paces.append(seconds / self._medians[rows])
        seen = self._seen.setdefault(rows, deque(maxlen=self._remembered))
        seen.append(seconds / median(self._paces) if self._paces else seconds)
        self._medians[rows] = median(seen) if len(seen) >= 3 else max(seen)  # few may have come at a lucky moment

    def known(self, rows: int) -> bool:
        """Return whether steps of so many rows were seen often enough to judge others by them."""
        return len(self._seen.get(rows, ())) >= 3

    def relative(self, rows: int, more: int) -> float:
        """Return the time of a step with `more` rows relative to one with `rows`, which are known; at least 2 % a row.

        Straight lines between what was seen; beyond it, and before anything was, each row is taken to cost as much as
        on average over what was seen, or a tenth of a step.
        """
        base, wanted = self._medians[rows], rows + more
        above = [at for at in self._medians if at >= wanted]
        below = max(at for at in self._medians if at <= wanted)
        if above:
            at = min(above)
            share = 0.0 if at == below else (wanted - below) / (at - below)
            seconds = self._medians[below] + share * (self._medians[at] - self._medians[below])
        elif below > rows:
            slope = max(self._medians[below] - base, 0.0) / (below - rows)
            seconds = self._medians[below] + slope * (wanted - below)
        else:
            seconds = base * (1 + 0.1 * more)
        return max(seconds / base, 1.0 + _LEAST_COST * more)


@dataclass
class _Score:
    """Draft tokens of a sequence that were verified, and those of them that were accepted; older ones weigh less."""

    tried: float = 0.0
    right: float = 0.0

    def add(self, proposed: int, accepted: int, keep: float) -> None:
        self.tried = self.tried * keep + accepted + (accepted < proposed)
        self.right = self.right * keep + accepted


@dataclass
class Gate:
    """Gate that decides how many of a sequence's draft tokens a step takes.

    The account is in steps without drafts. Each such step adds `loss` to it, up to `saved`, and what drafts win or
    lose is added or taken; drafts are let through if the account can bear that all of them are wrong. So they lose
    no more than a share of `loss` of the time, and a step or two once.

    Attributes:
        loss: share of the time that drafts may lose.
        start: what the account begins with.
        saved: what it may save up for drafts that cost more than a step at once.
        most: its limit; what was won beyond that can't be lost again.
    """

    loss: float = 0.01
    start: float = 1.0
    saved: float = 2.0
    most: float = 4.0
    balance: float = field(init=False)
    times: StepTimes = field(default_factory=StepTimes)

    def __post_init__(self) -> None:
        self.balance = self.start
        self._scores: WeakKeyDictionary[Sequence, _Score] = WeakKeyDictionary()
        self._all = _Score(2.0, 1.0)
        self._rows = self._answers = self._drafts = self._accepted = 0
        self._expected = 0.0

    def plan(self, rows: int, answers: int) -> None:
        """A step is being planned, of so many rows and answers before any draft tokens."""
        self._rows, self._answers, self._drafts, self._accepted = rows, answers, 0, 0
        self._expected = float(answers)

    @property
    def open(self) -> bool:
        """Return whether anything could be let through."""
        return self.times.known(self._rows) and self.balance > 0.0

    def admit(self, sequence: Sequence, drafts: int) -> int:
        """Return the number of a sequence's draft tokens, best first, that the planned step shall verify."""
        if not self.open or not drafts:
            return 0
        score = self._scores.get(sequence, _Score())
        chance = (score.right + 2 * self._all.right / self._all.tried) / (score.tried + 2)
        before = self.times.relative(self._rows, self._drafts)
        plainly = self._expected / before
        taken, best_rate, gain, tokens = 0, plainly * _WORTH_IT, 0.0, self._expected
        probe, probe_cost = 0, 0.0
        for count in range(1, min(drafts, MOST_DRAFTS) + 1):
            tokens += chance**count
            after = self.times.relative(self._rows, self._drafts + count)
            cost = after - 1  # all of them may be wrong
            if cost <= self.balance and tokens / after > best_rate:
                taken, best_rate, gain = count, tokens / after, tokens - self._expected
            if count <= _PROBE and cost <= self.saved:
                probe, probe_cost = count, cost
        # Now and then, as the account allows, some are tried that do not promise to pay: the text may have changed.
        if not taken and probe_cost <= self.balance:
            taken = probe
        self._drafts += taken
        self._expected += gain
        return taken

    def observe(self, sequence: Sequence, proposed: int, accepted: int) -> None:
        """Take the number of a sequence's accepted draft tokens."""
        self._scores.setdefault(sequence, _Score()).add(proposed, accepted, 0.8)
        self._all.add(proposed, accepted, 0.98)
        self._accepted += accepted

    def done(self, rows: int, seconds: float | None) -> None:
        """The planned step has been done, with so many rows; `seconds` is None where it held other work too."""
        if seconds is not None:
            self.times.add(rows, seconds, plain=rows == self._rows)
        if rows > self._rows:
            cost = self.times.relative(self._rows, rows - self._rows) - 1
            self.balance = min(self.balance + self._accepted / max(self._answers, 1) - cost, self.most)
        elif self.balance < self.saved and seconds is not None:
            self.balance = min(self.balance + self.loss, self.saved)
