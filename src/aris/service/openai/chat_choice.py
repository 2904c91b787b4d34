"""Choice of a chat answer: its generated text as chunks, and the chunks as a message.

A whole answer is made of the chunks that a stream would send, so the two cannot differ.
"""

from __future__ import annotations

from collections.abc import Sequence, Set

from aris.backends import TokenLogprob
from aris.service.openai.generation import Ended, Event
from aris.service.openai.logprobs import ChatLogprobs
from aris.service.openai.tools import Arguments, Called, CallReader
from aris.service.schemas import ChatRequest
from aris.service.schemas.chat import (
    ChatChoice,
    ChatResponseMessage,
    ChoiceLogprobs,
    ChunkChoice,
    Delta,
    FinishReason,
    FunctionCall,
    ResponseToolCall,
)


class ChoiceWriter:
    """Writes the events of one choice as chunks."""

    def __init__(self, index: int, body: ChatRequest, markup: Set[str]) -> None:
        """Begin a choice.

        Args:
            index: of the choice.
            body: the request.
            markup: tokens that are no text.
        """
        self._index = index
        self._body = body
        self._reader = CallReader() if body.calls else None
        self._logprobs = ChatLogprobs(markup) if body.logprobs else None
        self._untold: list[TokenLogprob] = []  # of text that waits, or that is not asked for

    def write(self, each: Event) -> list[ChunkChoice]:
        """The chunks of an event; the last event's last chunk has the finish reason."""
        self._untold += each.logprobs
        if not isinstance(each, Ended):
            return [self._chunk(delta) for delta in self._deltas(each.kind, each.text)]
        chunks = [] if self._reader is None else [self._chunk(self._delta(part)) for part in self._reader.flush()]
        reason = each.reply.finish_reason
        assert reason != "aborted"
        finish: FinishReason = reason
        # As with OpenAI, a call that the caller named ends with "stop".
        if self._reader is not None and self._reader.whole and reason == "stop" and self._body.calls != "named":
            finish = "tool_calls"
        last = self._chunk(Delta())
        return [*chunks, last.model_copy(update={"finish_reason": finish, "stop_reason": each.reply.stop_reason})]

    def _deltas(self, kind: str, text: str) -> list[Delta]:
        if kind == "reasoning":
            return [Delta(reasoning_content=text)] if self._body.include_reasoning else []
        if self._reader is None:
            return [Delta(content=text)]
        return [self._delta(part) for part in self._reader.push(text)]

    def _delta(self, part: str | Called | Arguments) -> Delta:
        if isinstance(part, str):
            return Delta(content=part)
        if isinstance(part, Called):
            function = FunctionCall(name=part.name, arguments="")
            call = ResponseToolCall(index=part.index, id=part.id, type="function", function=function)
        else:
            call = ResponseToolCall(index=part.index, function=FunctionCall(arguments=part.text))
        return Delta(tool_calls=[call])

    def _chunk(self, delta: Delta) -> ChunkChoice:
        logprobs: ChoiceLogprobs | None = None
        if self._logprobs is not None:
            found = self._logprobs.add(self._untold)
            logprobs = found if found.content else None
        self._untold = []
        return ChunkChoice(index=self._index, delta=delta, logprobs=logprobs, finish_reason=None)


def joined(chunks: Sequence[ChunkChoice], *, with_logprobs: bool) -> ChatChoice:
    """The choice that its chunks add up to."""
    deltas = [chunk.delta for chunk in chunks]
    reasoning = [delta.reasoning_content for delta in deltas if delta.reasoning_content is not None]
    calls: list[ResponseToolCall] = []
    for part in (part for delta in deltas for part in delta.tool_calls or ()):
        if part.id is not None:
            calls.append(ResponseToolCall(id=part.id, type="function", function=part.function.model_copy()))
        else:
            calls[-1].function.arguments += part.function.arguments
    content = "".join(delta.content or "" for delta in deltas)
    tokens = [token for chunk in chunks if chunk.logprobs is not None for token in chunk.logprobs.content]
    last = chunks[-1]
    assert last.finish_reason is not None
    return ChatChoice(
        index=last.index,
        message=ChatResponseMessage(
            content=content if content or not calls else None,
            reasoning_content="".join(reasoning) if reasoning else None,
            tool_calls=calls or None,
        ),
        logprobs=ChoiceLogprobs(content=tokens, refusal=None) if with_logprobs else None,
        finish_reason=last.finish_reason,
        stop_reason=last.stop_reason,
    )
