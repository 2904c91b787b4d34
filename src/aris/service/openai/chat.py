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
from aris.service.failures import failure
from aris.service.http.sse import DONE, EventStream, error_event, event
from aris.service.openai.api import FINGERPRINT, Api, new_id, usage_of, while_connected
from aris.service.openai.chat_choice import ChoiceWriter, joined
from aris.service.openai.conversion import conversation
from aris.service.openai.generation import Ended, Generation, Work
from aris.service.openai.logprobs import PromptLogprobs, prompt_logprobs
from aris.service.openai.scope import GivenAnswers, Judged, judged
from aris.service.schemas import ChatCompletion, ChatCompletionChunk, ChatRequest
from aris.service.schemas.chat import ChatChoice, ChunkChoice, Delta


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
            assert prepared.prompt is not None
            score = partial(_score, api, api.backend.with_adapter(adapter), body, prepared.prompt)
            told = await while_connected(request, api.dispatcher.score(score))
    except BaseException:
        for stream in prepared.streams:
            stream.close()
        raise
    generation: Generation | GivenAnswers
    if prepared.judged.text is not None:
        generation = GivenAnswers(prepared.judged, body.n or 1, prepared.images)
    else:
        generation = api.start(prepared.streams, prepared.image_bytes)
    answer = _Answer(api, body, told, prepared.judged)
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
    prompt: Prompt | None
    judged: Judged
    images: int


def _prepare(api: Api, body: ChatRequest, adapter: str | None, work: Work) -> _Prepared:
    work.going()
    asked = conversation(body, api.limits, can_think=api.can_think, going=work.going)
    options = replace(asked.options, adapter=adapter)
    found = api.checked(partial(judged, api.backend, asked, options, force=body.ignore_scope))
    images = len(asked.films)
    if found.text is not None and body.prompt_logprobs is None:
        return _Prepared((), 0, None, found, images)
    work.going()
    opened = api.opened(partial(api.backend.streams, asked.messages, reasoning=True), options, body.n or 1)
    prompt = opened[0].prompt
    if found.text is not None:  # only the prompt's scores are the model's
        for stream in opened:
            stream.close()
    image_bytes = 0 if prompt.pixel_values is None else prompt.pixel_values.nbytes
    return _Prepared(opened if found.text is None else (), image_bytes, prompt, found, images)


def _score(api: Api, backend: NativeBackend, body: ChatRequest, prompt: Prompt, work: Work) -> PromptLogprobs:
    work.going()
    top, start = body.prompt_logprobs or 0, body.logprob_start_len
    tokens = api.checked(
        lambda: backend.prompt_logprobs(prompt, top, start, submitted=lambda each: work.on_leave(each.cancel))
    )
    return prompt_logprobs(tokens, api.backend.tokenizer.id_to_token)


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
        self._writers = [ChoiceWriter(index, body, api.markup) for index in range(body.n or 1)]

    async def whole(self, generation: Generation | GivenAnswers) -> Response:
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
            choices=[self._joined(own) for own in chunks],
            usage=usage_of([usages[index] for index in sorted(usages)]),
            system_fingerprint=FINGERPRINT,
            prompt_logprobs=self._prompt_logprobs,
            aris=self._judged.notes,
        )
        left_out = {"aris"} if self._judged.notes is None else None
        return JSONResponse(completion.model_dump(mode="json", exclude=left_out))

    def _joined(self, chunks: Sequence[ChunkChoice]) -> ChatChoice:
        choice = joined(chunks, with_logprobs=bool(self._body.logprobs))
        if self._judged.text is None:
            return choice
        given = {"content": self._judged.content, "refusal": self._judged.refusal}
        return choice.model_copy(update={"message": choice.message.model_copy(update=given)})

    async def stream(self, generation: Generation | GivenAnswers) -> AsyncIterator[bytes]:
        """The answer as events."""
        usages: dict[int, Usage] = {}
        try:
            for index in range(len(self._writers)):
                opening = Delta(role="assistant", content="")
                if self._judged.refusal is not None:
                    opening = Delta(role="assistant", content="", refusal=self._judged.refusal)
                first = self._frame([ChunkChoice(index=index, delta=opening, logprobs=None, finish_reason=None)])
                notes = self._judged.notes
                yield event(first if notes is None or index else first.model_copy(update={"aris": notes}))
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
