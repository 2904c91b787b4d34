"""A draft report of one film: gate and findings first, then the text as the model writes it, then what is wrong.

For a model that declares calibrated findings the prompt carries what they say, and the text is held to it: the
probability is what has been validated, not the words. A film outside the model's scope gets no words at all.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from aris.backends import Backend, GenerationOptions, ReplyStream
from aris.imaging import Film, read_film
from aris.prompting import Image, Message, user
from aris.prompting.builders import chest_xray
from aris.tasks.assertion import contradiction
from aris.tasks.film_findings import Assessment, assess
from aris.tasks.prompts import DRAFT_PROMPT
from aris.tasks.report_text import parse_report, repetition
from aris.tasks.results import Draft, FilmFindings, ScoredFinding

# MedGemma's card gives reports up to 2,000 tokens; aris-nano's are two short paragraphs.
MAX_TOKENS, MAX_TOKENS_SCORED = 2000, 256
NO_TEXT = "no report text was written: the film is outside the model's scope"


class DraftStream(Iterator[str]):
    """A draft while it is written. Gate and findings are done when this is made; iterate for the text.

    Attributes:
        film: what is described.
        assessment: gate and findings, before any text.
    """

    def __init__(
        self,
        model: Backend,
        film: Film | str | Path,
        *,
        force: bool = False,
        options: GenerationOptions | None = None,
        max_tokens: int | None = None,
    ) -> None:
        """
        Args:
            model: reads images and scores answers.
            film: the film, or its path.
            force: write a text though the film is outside the scope. The draft is marked.
            options: how to generate; greedy by default.
            max_tokens: of the text; by default 256 for a model with scored findings, else 2,000.

        Raises:
            ImageError: the file cannot be read.
            ModelError: the model reads no images.
        """
        clock = time.perf_counter
        self._started = clock()
        self.film = film if isinstance(film, Film) else read_film(film)
        read = clock()
        assessed: Assessment = assess(model, self.film, force=force, task="draft")
        self.assessment: FilmFindings = assessed.result
        self._timings: dict[str, float | None] = {"read_s": read - self._started, "findings_s": clock() - read}
        self._model = model
        self._words = assessed.words
        self._reply: ReplyStream | None = None
        if assessed.in_scope or force:
            limit = max_tokens or (MAX_TOKENS_SCORED if assessed.words else MAX_TOKENS)
            options = replace(options or GenerationOptions(), max_tokens=limit)
            self._reply = model.stream(draft_prompt(model, self.film, assessed.words), options)
        self._total_s = clock() - self._started

    def __iter__(self) -> DraftStream:
        return self

    def __next__(self) -> str:
        if self._reply is None:
            raise StopIteration
        try:
            return next(self._reply)
        finally:
            self._total_s = time.perf_counter() - self._started

    @property
    def draft(self) -> Draft:
        """The draft of what has been written so far; whole once the iteration has ended."""
        reply = None if self._reply is None else self._reply.reply
        text = "" if reply is None else reply.text
        sections, wrong = parse_report(text)
        warnings = list(self.assessment.warnings)
        if reply is None:
            warnings.append(NO_TEXT)
        else:
            if reply.finish_reason == "length":
                warnings.append(f"the draft was cut at {reply.usage.completion_tokens} tokens and is not complete")
            elif reply.finish_reason == "aborted":
                warnings.append("the draft was stopped and is not complete")
            repeated = dict.fromkeys(map(repetition, (sections.findings, sections.impression)))
            against = (contradiction(text, name, word) for name, word in self._words)
            warnings += [*wrong, *(warning for warning in [*repeated, *against] if warning)]
        timings = dict(self._timings)
        if reply is not None:
            timings |= {name: value for name, value in asdict(reply.timings).items() if name != "total_s"}
        timings["total_s"] = self._total_s
        return Draft(
            model=self._model.name,
            file=self.assessment.file,
            sections=sections,
            findings=tuple(ScoredFinding(name=f.name, probability=f.probability) for f in self.assessment.findings),
            warnings=tuple(dict.fromkeys(warnings)),
            timings={name: None if value is None else round(value, 4) for name, value in timings.items()},
            forced=self.assessment.forced,
            text=text,
            assessment=self.assessment,
            complete=reply is None or reply.finish_reason == "stop",
        )


def draft(
    model: Backend,
    film: Film | str | Path,
    *,
    force: bool = False,
    options: GenerationOptions | None = None,
    max_tokens: int | None = None,
) -> Draft:
    """Draft a report of one film. Arguments and errors as for `DraftStream`, which gives the text as it is made."""
    stream = DraftStream(model, film, force=force, options=options, max_tokens=max_tokens)
    for _ in stream:
        pass
    return stream.draft


def draft_prompt(model: Backend, film: Film, words: Sequence[tuple[str, str]]) -> list[Message]:
    """The prompt: with the scored findings for a model that was trained on them, else MedGemma's official one."""
    image = Image(film.pixels)
    if words:
        scored = ", ".join(f"{name} {word}" for name, word in words)
        return [user(image, DRAFT_PROMPT.format(scored=scored))]
    first_version = model.spec is not None and "1.5" not in model.spec.name
    return chest_xray(image, version="1.0" if first_version else "1.5")
