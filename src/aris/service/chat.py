"""/v1/chat/completions."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from fastapi import Request
from fastapi.responses import JSONResponse, Response

from aris.backends import NativeBackend, ReplyStream, Usage
from aris.prompting import Prompt
from aris.service.api import FINGERPRINT, Api, new_id, usage_of, while_connected
from aris.service.chat_choice import ChoiceWriter, joined
from aris.service.conversion import conversation
from aris.service.failures import failure
from aris.service.generation import Ended, Generation, Work
from aris.service.logprobs import PromptLogprobs, prompt_logprobs
from aris.service.schemas import ChatCompletion, ChatCompletionChunk, ChatRequest
from aris.service.schemas.chat import ChunkChoice, Delta
from aris.service.sse import DONE, EventStream, error_event, event


async def answer_chat(api: Api, request: Request) -> Response:
    """Answer a conversation, whole or as a stream.

    Raises:
        ApiError: the request is refused.
        ClientLeftError: the caller has left.
    """
    async with api.bodies.read(request, ChatRequest) as body:
        adapter = api.adapter(body.model)
        api.require_choices(body.n or 1)
        work = partial(_prepare, api, body, adapter)
        prepared = await while_connected(request, api.dispatcher.prepare(work))
        del work
        # What is in the messages takes megabytes, and is in the prompt now.
        body = body.model_copy(update={"messages": [], "tools": body.tools and body.tools[:1]})
    told: PromptLogprobs | None = None
    try:
        if body.prompt_logprobs is not None:
            score = partial(_score, api, api.backend.with_adapter(adapter), body, prepared.prompt)
            told = await while_connected(request, api.dispatcher.score(score))
    except BaseException:
        for stream in prepared.streams:
            stream.close()
        raise
    generation = api.start(prepared.streams, prepared.image_bytes)
    answer = _Answer(api, body, told)
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
    prompt: Prompt


def _prepare(api: Api, body: ChatRequest, adapter: str | None, work: Work) -> _Prepared:
    work.going()
    asked = conversation(body, api.limits, can_think=api.can_think, going=work.going)
    options = replace(asked.options, adapter=adapter)
    streams = api.opened(partial(api.backend.streams, asked.messages, thoughts=True), options, body.n or 1)
    prompt = streams[0].prompt
    return _Prepared(streams, 0 if prompt.pixel_values is None else prompt.pixel_values.nbytes, prompt)


def _score(api: Api, backend: NativeBackend, body: ChatRequest, prompt: Prompt, work: Work) -> PromptLogprobs:
    work.going()
    top, start = body.prompt_logprobs or 0, body.logprob_start_len
    tokens = api.checked(
        lambda: backend.prompt_logprobs(prompt, top, start, submitted=lambda each: work.on_leave(each.cancel))
    )
    return prompt_logprobs(tokens, api.backend.tokenizer.id_to_token)


class _Answer:
    """Writes the events of one request as OpenAI's objects."""

    def __init__(self, api: Api, body: ChatRequest, prompt_logprobs: PromptLogprobs | None) -> None:
        self._api = api
        self._body = body
        self._prompt_logprobs = prompt_logprobs
        self._model = body.model or api.name
        self._id = new_id("chatcmpl")
        self._created = int(time.time())
        self._writers = [ChoiceWriter(index, body, api.markup) for index in range(body.n or 1)]

    async def whole(self, generation: Generation) -> Response:
        """The answer in one: what the chunks of a stream would add up to."""
        chunks: list[list[ChunkChoice]] = [[] for _ in self._writers]
        usages: dict[int, Usage] = {}
        async for each in generation.events():
            if isinstance(each, Ended):
                usages[each.choice] = each.reply.usage
            chunks[each.choice] += self._writers[each.choice].write(each)
        completion = ChatCompletion(
            id=self._id,
            created=self._created,
            model=self._model,
            choices=[joined(own, with_logprobs=bool(self._body.logprobs)) for own in chunks],
            usage=usage_of([usages[index] for index in sorted(usages)]),
            system_fingerprint=FINGERPRINT,
            prompt_logprobs=self._prompt_logprobs,
        )
        return JSONResponse(completion.model_dump(mode="json"))

    async def stream(self, generation: Generation) -> AsyncIterator[bytes]:
        """The answer as events."""
        usages: dict[int, Usage] = {}
        try:
            for index in range(len(self._writers)):
                yield self._chunk(ChunkChoice(
                    index=index, delta=Delta(role="assistant", content=""), logprobs=None, finish_reason=None
                ))  # fmt: skip
            async for each in generation.events():
                if isinstance(each, Ended):
                    usages[each.choice] = each.reply.usage
                for chunk in self._writers[each.choice].write(each):
                    yield self._chunk(chunk)
            if self._body.includes_usage:
                total = usage_of([usages[index] for index in sorted(usages)])
                yield event(self._frame([]).model_copy(update={"usage": total}))
        except Exception as error:
            yield error_event(failure(error, self._api.metrics).body)
        yield DONE

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
