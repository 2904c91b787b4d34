"""Questions, with or without images; a conversation is the same with its earlier turns.

The model's scope is looked at first, of the images of earlier turns too (see `question_scope`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from aris.backends import Backend, GenerationOptions, Reply, ReplyStream, Timings, Usage
from aris.errors import PromptError
from aris.imaging import Film
from aris.prompting import Image, Message, Part, Segment, assistant, user
from aris.prompting.messages import images_of
from aris.tasks.cases import Case, as_case, film_case
from aris.tasks.findings import require_images
from aris.tasks.question_scope import judge
from aris.tasks.results import Answer
from aris.tasks.scope import Kind, not_for_patients


class AnswerStream(Iterator[str]):
    """An answer while it is written; iterate for its text.

    Attributes:
        cases: the examinations of the question; films: those that are films.
        shown: every examination of the conversation, for the next question's `earlier`.
        judgement: what the model's scope says of the question.
        warnings: what a reader must know before the answer.
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
        reasoning: bool = False,
        force: bool = False,
        earlier: Sequence[Case] = (),
    ) -> None:
        """Begin an answer.

        Args:
            model: to ask.
            question: the user's text.
            images: films, images, slides or series, or their paths; they stand before the text, as MedGemma was
                trained. Images of earlier questions stay in the history, for follow-up questions.
            kind: of image, in place of what the files say.
            history: the conversation so far, which ends with the model's turn; may begin with a system text.
            options: how to generate; greedy and up to 512 tokens by default.
            reasoning: give the model's reasoning too, as it comes.
            force: let the model answer outside its scope; the answer is marked.
            earlier: the examinations whose images the history holds, with what their files say of them; of images
                of the history that are not in it nothing but the pixels is known.

        Raises:
            ImageError: a file cannot be read.
            ModelError: there are images and the model reads none.
            PromptError: the question is empty, or the history malformed.
        """
        if not question.strip():
            raise PromptError("question: it is empty; ask something")
        if images or images_of(history):
            require_images(model)
        self.cases = [as_case(each, kind, model.spec) for each in images]
        self.films = [case.film for case in self.cases if case.film is not None]
        self._model = model
        self._question = question
        before = images_of(history)
        known = sum(isinstance(part, Image) for case in earlier for part in case.parts())
        if known != len(before):
            earlier = [film_case(unknown_film(each)) for each in before]
        self.shown = (*earlier, *self.cases)
        adapter = (options is not None and options.adapter) or getattr(model, "adapter", None)
        self.judgement = judge(
            model,
            question,
            self.shown,
            force=force,
            grammar=None if options is None else options.grammar,
            adapter=bool(adapter) or "adapter" in model.changes,
        )
        read = [warning for case in self.cases for warning in case.warnings]
        self.warnings = tuple(dict.fromkeys((*self.judgement.warnings, *read)))
        parts: list[Part] = [part for case in self.cases for part in case.parts()]
        self._messages = [*history, user(*parts, question)]
        self._reply: ReplyStream
        if self.judgement.text is None:
            self._reply = model.stream(self._messages, options, reasoning=reasoning)
        else:
            self._reply = GivenReply(self.judgement.text, len(before) + len(parts))

    def __iter__(self) -> AnswerStream:
        return self

    def __next__(self) -> str:
        return next(self._reply)

    def close(self) -> None:
        """Stop writing and free what that took."""
        self._reply.close()

    @property
    def answer(self) -> Answer:
        """The answer so far; whole once the iteration has ended."""
        reply = self._reply.reply
        warnings = list(self.warnings)
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
            answered=self.judgement.answered,
            forced=self.judgement.forced,
            caution=not_for_patients(self._model.spec),
            warnings=tuple(dict.fromkeys(warnings)),
            usage=asdict(reply.usage),
            timings={name: None if value is None else round(value, 4) for name, value in timings.items()},
        )

    @property
    def history(self) -> list[Message]:
        """The conversation with this answer, for the next question. Reasoning is left out, as MedGemma expects."""
        return [*self._messages, assistant(self._reply.reply.text)]


class GivenReply(Iterator[str]):
    """A text that is given in the model's place, as a `backends.ReplyStream`."""

    def __init__(self, text: str, images: int = 0) -> None:
        self._left = [text]
        self._made = ""
        self._images = images

    def __next__(self) -> str:
        if not self._left:
            raise StopIteration
        self._made = self._left.pop()
        return self._made

    def segments(self) -> Iterator[Segment]:
        """The text as one piece."""
        return (Segment("answer", piece) for piece in self)

    def close(self) -> None:
        """Nothing is held."""

    @property
    def reply(self) -> Reply:
        """The text, with no token counted."""
        return Reply(self._made, None, "stop", Usage(0, 0, self._images), Timings(0.0, 0.0, 0.0, None, 0.0))


def unknown_film(image: Image) -> Film:
    """An image of which nothing but the pixels is known."""
    return Film(image.pixels, "an image of the conversation", "png")


def ask(
    model: Backend,
    question: str,
    images: Sequence[Case | Film | str | Path] = (),
    history: Sequence[Message] = (),
    *,
    kind: Kind | None = None,
    options: GenerationOptions | None = None,
    force: bool = False,
    earlier: Sequence[Case] = (),
) -> Answer:
    """Ask one question. Arguments and errors as for `AnswerStream`, which gives the text as it is made."""
    stream = AnswerStream(model, question, images, history, kind=kind, options=options, force=force, earlier=earlier)
    for _ in stream:
        pass
    return stream.answer
