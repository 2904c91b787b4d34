"""A backend that says what a test tells it to, and remembers what it was asked."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from aris.backends import FinishReason, GenerationOptions, Relevance, Reply, Timings, TokenLogprob, Usage
from aris.checkpoints.registry import FindingScope, ModelSpec, Scope
from aris.prompting import Frame, Image, Message, Segment, Text, user
from aris.tasks.text.prompts import GATE_QUESTION

Answers = Callable[[str], Sequence[float]]


class ScriptedStream(Iterator[str]):
    def __init__(self, pieces: Sequence[str], finish: FinishReason) -> None:
        self._left = list(pieces)
        self._made: list[str] = []
        self._finish = finish

    def __next__(self) -> str:
        if not self._left:
            raise StopIteration
        self._made.append(self._left.pop(0))
        return self._made[-1]

    def segments(self) -> Iterator[Segment]:
        return (Segment("answer", piece) for piece in self)

    def close(self) -> None:
        self._left.clear()
        self._finish = "aborted"

    @property
    def reply(self) -> Reply:
        finish: FinishReason = "aborted" if self._left else self._finish
        timings = Timings(0.1, 0.2, 0.3, 40.0, 1.0)
        return Reply("".join(self._made), None, finish, Usage(10, len(self._made), 1), timings)


@dataclass
class ScriptedBackend:
    """`scores` gives the log-probabilities of ("Yes", "No") for a question, `choices` others; `pieces` is written."""

    name: str = "scripted"
    spec: ModelSpec | None = None
    calibration: Mapping[str, Any] = field(default_factory=dict)
    changes: str = ""
    reads_images: bool = True
    scores: Answers = lambda question: (-1.0, -1.0)
    choices: Callable[[Sequence[str]], Sequence[float]] = lambda choices: [-1.0] * len(choices)
    pieces: Sequence[str] = ()
    finish: FinishReason = "stop"
    asked: list[str] = field(default_factory=list)
    prompts: list[list[Message]] = field(default_factory=list)
    options: list[GenerationOptions | None] = field(default_factory=list)

    def stream(
        self, messages: Sequence[Message], options: GenerationOptions | None = None, *, reasoning: bool = False
    ) -> ScriptedStream:
        self.prompts.append(list(messages))
        self.options.append(options)
        return ScriptedStream(self.pieces, self.finish)

    def generate(self, messages: Sequence[Message], options: GenerationOptions | None = None) -> Reply:
        stream = self.stream(messages, options)
        for _ in stream:
            pass
        return stream.reply

    def score(self, messages: Sequence[Message], choices: Sequence[str]) -> list[float]:
        if tuple(choices) != ("Yes", "No"):
            self.prompts.append(list(messages))
            return list(self.choices(choices))
        question = " ".join(part.text for part in messages[-1].content if isinstance(part, Text))
        self.asked.append(question)
        return list(self.scores(question))

    def score_many(
        self, messages: Sequence[Message], questions: Sequence[tuple[str, Sequence[str]]]
    ) -> list[list[float]]:
        *earlier, turn = messages
        return [self.score([*earlier, user(*turn.content, question)], choices) for question, choices in questions]


CALIBRATION = {
    "findings": {"pneumonia": {"slope": 1.0, "intercept": 0.0, "threshold": 0.5, "uncertain": [0.45, 0.55]}},
    "gate": {"slope": 1.0, "intercept": 0.0, "threshold": 0.5},
}


def spec(**changes: Any) -> ModelSpec:
    scope = Scope(
        tasks=("draft", "findings", "ask"),
        modalities=("CR", "DX"),
        views=("AP", "PA"),
        age_years=(0.0, 6.0),
        findings=(FindingScope("pneumonia", "AUC on a test split"),),
        note="",
    )
    values = {"name": "tiny", "repo": "", "revision": None, "parameters": "1M", "gated": False, "licence": "none"}
    return ModelSpec(**({**values, "multimodal": True, "scope": scope} | changes))


def yes(probability: float) -> tuple[float, float]:
    return math.log(probability), math.log(1 - probability)


def nano(gate: float = 0.99, pneumonia: float = 0.9, **changes: Any) -> ScriptedBackend:
    def scores(question: str) -> tuple[float, float]:
        return yes(gate if question == GATE_QUESTION else pneumonia)

    return ScriptedBackend(**({"name": "tiny", "spec": spec(), "calibration": CALIBRATION, "scores": scores} | changes))


SIDED = ("FINDINGS: Opacity on the right.", "\nIMPRESSION: Right-sided pneumonia is likely.")


@dataclass
class Seeing(ScriptedBackend):
    """A scripted model that can be looked into: its relevance lies at `place`, in fractions of width and height."""

    place: tuple[float, float] = (0.2, 0.5)
    explained: list[tuple[str, str, str | None]] = field(default_factory=list)

    def token_logprobs(self, messages: Sequence[Message], answer: str) -> tuple[TokenLogprob, ...]:
        return tuple(TokenLogprob(word, -0.1) for word in re.findall(r"\s*\S+", answer))

    def relevance(
        self, messages: Sequence[Message], wanted: str, *, before: str = "", against: str | None = None
    ) -> Relevance:
        self.explained.append((before, wanted, against))
        (shown,) = (part for part in messages[-1].content if isinstance(part, Image))
        height, width = shown.pixels.shape[:2]
        grid = np.full((20, 20), -0.1, dtype=np.float32)
        grid[int(self.place[1] * 20), int(self.place[0] * 20)] = 1
        whole = Frame((0, 0, width, height), (0, 0, width, height))
        return Relevance((grid,), (whole,), (0,), 2.0, "told by the test")


def seeing(pneumonia: float = 0.9, **changes: Any) -> Seeing:
    """As `nano`, a model whose declared scope has evidence."""
    declared = spec()
    scope = replace(declared.scope, tasks=(*declared.scope.tasks, "evidence"))
    base = nano(pneumonia=pneumonia)
    values = {"name": "tiny", "spec": replace(declared, scope=scope), "calibration": CALIBRATION}
    return Seeing(**({**values, "scores": base.scores, "pieces": SIDED} | changes))
