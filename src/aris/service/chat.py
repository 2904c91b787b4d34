"""/v1/chat/completions."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from fastapi import Request
from fastapi.responses import JSONResponse, Response

from aris.backends import Reply, ReplyStream
from aris.service.api import FINGERPRINT, Api, new_id, usage_of, while_connected
from aris.service.conversion import conversation
from aris.service.failures import failure
from aris.service.generation import Ended, Event, Generation, Piece
from aris.service.logprobs import PromptLogprobs, chat_logprobs, prompt_logprobs
from aris.service.schemas import ChatCompletion, ChatCompletionChunk, ChatRequest
from aris.service.schemas.chat import ChatChoice, ChatResponseMessage, ChunkChoice, Delta
from aris.service.scope import GivenAnswers, Judged, judged
from aris.service.sse import DONE, EventStream, error_event, event


async def answer_chat(api: Api, request: Request, body: ChatRequest) -> Response:
    """Answer a conversation, whole or as a stream.

    Raises:
        ApiError: the request is refused.
        ClientLeftError: the caller has left.
    """
    adapter = api.adapter(body.model)
    choices = body.n or 1
    api.require_choices(choices)
    prepared = await api.dispatcher.prepare(partial(_prepare, api, body, choices, adapter))
    generation: Generation | GivenAnswers
    if prepared.judged.text is not None:
        generation = GivenAnswers(prepared.judged, choices, prepared.images)
    else:
        generation = api.start(prepared.streams, prepared.image_bytes)
    answer = _Answer(api, body, prepared.prompt_logprobs, prepared.judged)
    if body.stream:
        return EventStream(answer.stream(generation), generation.cancel)
    try:
        return await while_connected(request, answer.whole(generation))
    finally:
        generation.cancel()


@dataclass(frozen=True)
class _Prepared:
    streams: Sequence[ReplyStream]
    image_bytes: int
    prompt_logprobs: PromptLogprobs | None
    judged: Judged
    images: int = 0


def _prepare(api: Api, body: ChatRequest, choices: int, adapter: str | None) -> _Prepared:
    asked = conversation(body, api.limits, can_think=api.can_think)
    options = replace(asked.options, adapter=adapter)
    found = api.checked(partial(judged, api.backend, asked, options, force=body.ignore_scope))
    if found.text is not None and body.prompt_logprobs is None:
        return _Prepared((), 0, None, found, len(asked.films))
    streams = api.opened(partial(api.backend.streams, asked.messages, thoughts=True), options, choices)
    pixels = streams[0].prompt.pixel_values
    image_bytes = 0 if pixels is None else pixels.nbytes
    if body.prompt_logprobs is None:
        return _Prepared(streams, image_bytes, None, found)
    backend, top, start = api.backend.with_adapter(adapter), body.prompt_logprobs, body.logprob_start_len
    try:
        tokens = api.checked(lambda: backend.prompt_logprobs(streams[0].prompt, top, start))
    except BaseException:
        for stream in streams:
            stream.close()
        raise
    told = prompt_logprobs(tokens, api.backend.tokenizer.id_to_token)
    if found.text is not None:
        for stream in streams:
            stream.close()
        return _Prepared((), 0, told, found, len(asked.films))
    return _Prepared(streams, image_bytes, told, found)


class _Answer:
    """Writes the events of one request as OpenAI's objects."""

    def __init__(
        self, api: Api, body: ChatRequest, prompt_logprobs: PromptLogprobs | None, judged: Judged
    ) -> None:
        self._api = api
        self._body = body
        self._prompt_logprobs = prompt_logprobs
        self._judged = judged
        self._model = body.model or api.name
        self._id = new_id("chatcmpl")
        self._created = int(time.time())

    async def whole(self, generation: Generation | GivenAnswers) -> Response:
        """The answer in one."""
        replies: dict[int, Reply] = {}
        async for each in generation.events():
            if isinstance(each, Ended):
                replies[each.choice] = each.reply
        ordered = [replies[index] for index in sorted(replies)]
        completion = ChatCompletion(
            id=self._id,
            created=self._created,
            model=self._model,
            choices=[self._choice(index, reply) for index, reply in enumerate(ordered)],
            usage=usage_of([reply.usage for reply in ordered]),
            system_fingerprint=FINGERPRINT,
            prompt_logprobs=self._prompt_logprobs,
            aris=self._judged.notes,
        )
        left_out = {"aris"} if self._judged.notes is None else None
        return JSONResponse(completion.model_dump(mode="json", exclude=left_out))

    def _choice(self, index: int, reply: Reply) -> ChatChoice:
        thoughts = reply.thinking if self._body.include_reasoning else None
        logprobs = None if reply.logprobs is None else chat_logprobs(reply.logprobs, self._api.markup)
        assert reply.finish_reason != "aborted"
        return ChatChoice(
            index=index,
            message=ChatResponseMessage(
                content=reply.text if self._judged.text is None else self._judged.content,
                refusal=self._judged.refusal,
                reasoning_content=thoughts,
            ),
            logprobs=logprobs,
            finish_reason=reply.finish_reason,
        )

    async def stream(self, generation: Generation | GivenAnswers) -> AsyncIterator[bytes]:
        """The answer as events."""
        usages: dict[int, Reply] = {}
        try:
            for index in range(self._body.n or 1):
                opening = Delta(role="assistant", content="")
                if self._judged.refusal is not None:
                    opening = Delta(role="assistant", content="", refusal=self._judged.refusal)
                first = self._frame([ChunkChoice(index=index, delta=opening, logprobs=None, finish_reason=None)])
                notes = self._judged.notes
                yield event(first if notes is None or index else first.model_copy(update={"aris": notes}))
            async for each in generation.events():
                if isinstance(each, Ended):
                    usages[each.choice] = each.reply
                chunk = self._of(each)
                if chunk is not None:
                    yield self._chunk(chunk)
            if self._body.includes_usage:
                total = usage_of([reply.usage for _, reply in sorted(usages.items())])
                yield event(self._frame([]).model_copy(update={"usage": total}))
        except Exception as error:
            yield error_event(failure(error, self._api.metrics).body)
        yield DONE

    def _of(self, each: Event) -> ChunkChoice | None:
        logprobs = chat_logprobs(each.logprobs, self._api.markup) if self._body.logprobs else None
        if logprobs is not None and not logprobs.content:
            logprobs = None
        if isinstance(each, Piece):
            if each.kind == "thought":
                if not self._body.include_reasoning:
                    return None
                delta = Delta(reasoning_content=each.text)
            else:
                delta = Delta(content=each.text)
            return ChunkChoice(index=each.choice, delta=delta, logprobs=logprobs, finish_reason=None)
        assert each.reply.finish_reason != "aborted"
        return ChunkChoice(
            index=each.choice, delta=Delta(), logprobs=logprobs, finish_reason=each.reply.finish_reason
        )

    def _chunk(self, choice: ChunkChoice) -> bytes:
        return event(self._frame([choice]))

    def _frame(self, choices: list[ChunkChoice]) -> ChatCompletionChunk:
        frame = ChatCompletionChunk(
            id=self._id,
            object="chat.completion.chunk",
            created=self._created,
            model=self._model,
            choices=choices,
            system_fingerprint=FINGERPRINT,
        )
        # With include_usage every chunk has the field; it is null in all but the last.
        return frame.model_copy(update={"usage": None}) if self._body.includes_usage else frame
