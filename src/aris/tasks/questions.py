"""One question, with or without images; a conversation is the same with what was said before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from aris.backends import Backend, GenerationOptions
from aris.errors import PromptError
from aris.imaging import Film
from aris.prompting import Message, Part, assistant, user
from aris.prompting.messages import images_of
from aris.tasks.cases import Case, as_case
from aris.tasks.film_findings import require_images
from aris.tasks.results import Answer
from aris.tasks.scope import Kind, outside_scope, refusal


class AnswerStream(Iterator[str]):
    """An answer while it is written; iterate for its text.

    Attributes:
        cases: the examinations of the question; films: those that are films.
    """

    def __init__(
        self,
        model: Backend,
        question: str,
        images: Sequence[Case | Film | str | Path] = (),
        history: Sequence[Message] = (),
        *,
        kind: Kind | None = None,
        options: GenerationOptions | None = None,
        thoughts: bool = False,
    ) -> None:
        """
        Args:
            model: to ask.
            question: the user's text.
            images: films, pictures, slides or series, or their paths; they stand before the text, as MedGemma was
                trained. Images of earlier questions stay in the history, for follow-up questions.
            kind: of image, in place of what the files say.
            history: the conversation so far, which ends with the model's turn; may begin with a system text.
            options: how to generate; greedy and up to 512 tokens by default.
            thoughts: give the model's thoughts too, as they come.

        Raises:
            ImageError: a file cannot be read.
            ModelError: there are images and the model reads none.
            PromptError: the question is empty, or the history malformed.
        """
        if not question.strip():
            raise PromptError("question: it is empty; ask something")
        if images or images_of(history):
            require_images(model)
        self.cases = [as_case(each, kind) for each in images]
        self.films = [case.film for case in self.cases if case.film is not None]
        self._model = model
        self._question = question
        parts: list[Part] = [part for case in self.cases for part in case.parts()]
        self._messages = [*history, user(*parts, question)]
        self._reply = model.stream(self._messages, options, thoughts=thoughts)

    def __iter__(self) -> AnswerStream:
        return self

    def __next__(self) -> str:
        return next(self._reply)

    @property
    def answer(self) -> Answer:
        """The answer so far; whole once the iteration has ended."""
        reply = self._reply.reply
        warnings = [warning for case in self.cases for warning in case.warnings]
        spec = self._model.spec
        for case in self.cases:
            if spec is not None and case.kind == "chest film" and case.film is not None:
                warnings += outside_scope(case.film, spec.scope)
            elif spec is not None and (reason := refusal(self._model, "ask", case.kind)):
                warnings.append(reason)
        if reply.finish_reason == "length":
            warnings.append(f"the answer was cut at {reply.usage.completion_tokens} tokens and is not complete")
        timings = asdict(reply.timings)
        return Answer(
            model=self._model.name,
            files=tuple(case.source for case in self.cases),
            question=self._question,
            answer=reply.text,
            thinking=reply.thinking,
            finish_reason=reply.finish_reason,
            warnings=tuple(dict.fromkeys(warnings)),
            usage=asdict(reply.usage),
            timings={name: None if value is None else round(value, 4) for name, value in timings.items()},
        )

    @property
    def history(self) -> list[Message]:
        """The conversation with this answer, for the next question. Thoughts are left out, as MedGemma expects."""
        return [*self._messages, assistant(self._reply.reply.text)]


def ask(
    model: Backend,
    question: str,
    images: Sequence[Case | Film | str | Path] = (),
    history: Sequence[Message] = (),
    *,
    kind: Kind | None = None,
    options: GenerationOptions | None = None,
) -> Answer:
    """Ask one question. Arguments and errors as for `AnswerStream`, which gives the text as it is made."""
    stream = AnswerStream(model, question, images, history, kind=kind, options=options)
    for _ in stream:
        pass
    return stream.answer
