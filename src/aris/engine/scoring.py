"""Log-probabilities of given answers: what to ask the engine for, and how to add it up."""

from __future__ import annotations

from collections.abc import Sequence as Listed
from dataclasses import dataclass, field, replace

from aris.engine.cache.images import ImageInput
from aris.engine.sequence import Request, Sequence
from aris.errors import ModelError

# (tokens of the question, tokens of each choice)
Question = tuple[Listed[int], Listed[Listed[int]]]


@dataclass(frozen=True)
class ScorePlan:
    """Requests that score the choices of questions after one prefix.

    Attributes:
        firsts: one for each question, which gives the first tokens of its choices.
        further: for each choice of several tokens its question, its place there, and the request for the rest of it.
    """

    firsts: list[Request] = field(default_factory=list)
    further: list[tuple[int, int, Request]] = field(default_factory=list)

    def totals(self, firsts: Listed[Sequence], further: Listed[Sequence]) -> list[list[float]]:
        """The scores, from the sequences of the requests."""
        totals = [list(sequence.scores[len(sequence.tokens) - 1]) for sequence in firsts]
        for (question, choice, _), sequence in zip(self.further, further, strict=True):
            totals[question][choice] += sum(value for values in sequence.scores.values() for value in values)
        return totals


def plan_scores(
    prefix: tuple[int, ...],
    images: tuple[ImageInput, ...],
    questions: Listed[Question],
    adapter: str | None = None,
) -> ScorePlan:
    """Plan the scores to ask for. Tokens after the prefix are computed as rows, so that all of them fit one batch.

    Raises:
        ModelError: a question has no choices, or a choice no tokens.
    """
    plan = ScorePlan()
    for asked, (question, choices) in enumerate(questions):
        if not choices or not all(choices):
            raise ModelError("score: every choice needs at least one token")
        prompt = (*prefix, *question)
        wanted = {len(prompt) - 1: tuple(choice[0] for choice in choices)}
        # With no question of its own it is this that reads the prefix, and what the longer choices go on from.
        start = len(prefix) if question else None
        base = Request(prompt, images, generate=False, adapter=adapter)
        plan.firsts.append(replace(base, wanted=wanted, rows_from=start, retain=not question))
        for position, choice in enumerate(choices):
            if len(choice) > 1:
                rest = {len(prompt) + at: (token,) for at, token in enumerate(choice[1:])}
                tokens = (*prompt, *choice[:-1])
                request = replace(base, token_ids=tokens, wanted=rest, rows_from=len(prefix), retain=False)
                plan.further.append((asked, position, request))
    return plan
