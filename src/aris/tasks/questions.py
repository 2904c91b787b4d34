"""One question, with or without images; a conversation is the same with what was said before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from aris.backends import Backend, GenerationOptions
from aris.errors import PromptError
from aris.imaging import Film, read_film
from aris.prompting import Image, Message, assistant, user
from aris.tasks.film_findings import require_images
from aris.tasks.results import Answer
from aris.tasks.scope import outside_scope


class AnswerStream(Iterator[str]):
    """An answer while it is written; iterate for its text.

    Attributes:
        films: the images of the question.
    """

    def __init__(
        self,
        model: Backend,
        question: str,
        images: Sequence[Film | str | Path] = (),
        history: Sequence[Message] = (),
        *,
        options: GenerationOptions | None = None,
        thoughts: bool = False,
    ) -> None:
        """
        Args:
            model: to ask.
            question: the user's text.
            images: films or their paths; they stand before the text, as MedGemma was trained.
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
        if images:
            require_images(model)
        self.films = [film if isinstance(film, Film) else read_film(film) for film in images]
        self._model = model
        self._question = question
        self._messages = [*history, user(*(Image(film.pixels) for film in self.films), question)]
        self._reply = model.stream(self._messages, options, thoughts=thoughts)

    def __iter__(self) -> AnswerStream:
        return self

    def __next__(self) -> str:
        return next(self._reply)

    @property
    def answer(self) -> Answer:
        """The answer so far; whole once the iteration has ended."""
        reply = self._reply.reply
        warnings = [warning for film in self.films for warning in film.warnings]
        spec = self._model.spec
        if spec is not None:
            warnings += [reason for film in self.films for reason in outside_scope(film, spec.scope)]
        if reply.finish_reason == "length":
            warnings.append(f"the answer was cut at {reply.usage.completion_tokens} tokens and is not complete")
        timings = asdict(reply.timings)
        return Answer(
            model=self._model.name,
            files=tuple(str(film.source) for film in self.films),
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
    images: Sequence[Film | str | Path] = (),
    history: Sequence[Message] = (),
    *,
    options: GenerationOptions | None = None,
) -> Answer:
    """Ask one question. Arguments and errors as for `AnswerStream`, which gives the text as it is made."""
    stream = AnswerStream(model, question, images, history, options=options)
    for _ in stream:
        pass
    return stream.answer
