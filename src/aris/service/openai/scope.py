"""The model's scope in chat: the same gate and facts as for its findings, and the answer that stands in its place.

What a reader must know goes with the answer in a field of our own, `aris`, of the completion and of a stream's first
chunk: `answered`, `warnings`, and `caution` of a model that is never for patient care. A refusal is the answer's text
and OpenAI's field `refusal`; where the answer was to keep to a form, its content is null.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from aris.backends import GenerationOptions, NativeBackend
from aris.prompting import Message, Text
from aris.prompting.messages import images_of
from aris.service.openai.conversion import Conversation
from aris.service.openai.generation import Ended, Event, Piece
from aris.service.schemas.chat import ScopeNotes
from aris.tasks.ask import GivenReply
from aris.tasks.cases import Case, film_case
from aris.tasks.question_scope import Judgement, judge
from aris.tasks.scope import not_for_patients

CONTINUED = "a text in the assistant's turn"


@dataclass(frozen=True)
class Judged:
    """Verdict of the scope on a request.

    Attributes:
        text: the whole answer, in place of the model's; None where the model answers.
        refusal: the text, where it only says why there is no answer; else None.
        formed: whether the answer was to keep to a form.
        notes: for the caller; None if there is nothing to say.
    """

    text: str | None
    refusal: str | None
    formed: bool
    notes: ScopeNotes | None

    @property
    def content(self) -> str | None:
        """The message's text: a refusal cannot keep to a form, and then there is none."""
        return None if self.refusal is not None and self.formed else self.text


def judged(backend: NativeBackend, asked: Conversation, options: GenerationOptions, *, force: bool) -> Judged:
    """Judge a conversation by the model's scope; encodes its images, so not for the event loop.

    Args:
        backend: the model, without an adapter.
        asked: the request.
        options: with the adapter, if one was asked for.
        force: the caller answers for the scope itself.

    Raises:
        ArisError: the model's scores or its calibration are damaged.
    """
    adapter = options.adapter is not None or "adapter" in backend.changes
    if images_of(asked.messages) and not backend.reads_images:  # said by whoever makes the prompt
        return Judged(None, None, False, None)
    found = judge(
        backend,
        _question(asked.messages),
        _shown(asked),
        force=force,
        grammar=None if asked.any_text else options.grammar,
        adapter=adapter,
    )
    if options.continue_final_message and found.text is not None and found.answered:
        found = Judgement(f"{backend.name} cannot go on from {CONTINUED} about an image.", False, found.warnings)
    caution = not_for_patients(backend.spec)
    notes = None
    if found.warnings or caution or found.text is not None:
        notes = ScopeNotes(answered=found.answered, warnings=list(found.warnings), caution=caution or None)
    return Judged(found.text, None if found.answered else found.text, not asked.any_text, notes)


class GivenAnswers:
    """The choices of a request to which one text is given, as a `generation.Generation`."""

    def __init__(self, judged: Judged, count: int, images: int) -> None:
        self._judged, self._count, self._images = judged, count, images

    async def events(self) -> AsyncIterator[Event]:
        """Each choice's text, and its end."""
        for choice in range(self._count):
            given = GivenReply(self._judged.text or "", self._images)
            for piece in given:
                if self._judged.content is not None:
                    yield Piece(choice, "answer", piece)
            yield Ended(choice, given.reply)

    def cancel(self) -> None:
        """Nothing is held."""


def _question(messages: Sequence[Message]) -> str:
    last = next((each for each in reversed(messages) if each.role == "user"), None)
    return "" if last is None else " ".join(part.text for part in last.content if isinstance(part, Text))


def _shown(asked: Conversation) -> list[Case]:
    return [film_case(each) for each in asked.films]
