"""Papers that contradict each other on a question, shown in their own words."""

from __future__ import annotations

from collections.abc import Sequence

from aris.tasks.literature.results import Conflict
from aris.tasks.literature.support import direction_clash, subject_stems

_LEAST_SHARED, _LEAST_WORDS = 0.34, 2


def find_conflicts(question: str, findings: Sequence[tuple[int, int, str]]) -> tuple[Conflict, ...]:
    """Pairs of findings from different papers that speak of the same and differ in direction.

    Args:
        question: what they are to answer; both must speak of it.
        findings: (reference number, paper, sentence).
    """
    asked = subject_stems(question)
    found: list[Conflict] = []
    pairs: set[tuple[int, int]] = set()
    for index, (number, paper, first) in enumerate(findings):
        for other, theirs, second in findings[index + 1 :]:
            pair = (min(paper, theirs), max(paper, theirs))
            if paper == theirs or pair in pairs:
                continue
            mine, its = subject_stems(first), subject_stems(second)
            both = mine & its
            if len(both & asked) < min(_LEAST_WORDS, len(asked)) or len(both) < _LEAST_SHARED * min(
                len(mine), len(its)
            ):
                continue
            if reason := direction_clash(first, second):
                pairs.add(pair)
                found.append(Conflict(numbers=(number, other), first=first, second=second, reason=reason))
    return tuple(found)
