"""/v1/completions."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from functools import partial

from fastapi import Request
from fastapi.responses import JSONResponse, Response

from aris.backends import GenerationOptions, ReplyStream, TokenLogprob
from aris.backends import Usage as BackendUsage
from aris.errors import ArisError
from aris.service.api import FINGERPRINT, Api, new_id, usage_of, while_connected
from aris.service.conversion import completion_options
from aris.service.errors import bad_request, refused
from aris.service.failures import failure
from aris.service.generation import Ended, Generation
from aris.service.logprobs import LegacyLogprobs
from aris.service.raw import continue_tokens, prompt_logprobs
from aris.service.schemas import Completion, CompletionRequest
from aris.service.schemas.completions import CompletionChoice, CompletionLogprobs
from aris.service.sse import DONE, EventStream, error_event, event


@dataclass(frozen=True)
class _Echo:
    """A prompt as the response repeats it."""

    text: str
    logprobs: tuple[TokenLogprob, ...]


async def answer_completion(api: Api, request: Request, body: CompletionRequest) -> Response:
    """Continue each prompt, `n` times.

    Raises:
        ApiError: the request is refused.
        ClientLeftError: the caller has left.
    """
    adapter = api.adapter(body.model)
    prompts = body.prompts
    per_prompt = body.n or 1
    api.require_choices(len(prompts) * per_prompt)
    prepared = await api.dispatcher.prepare(partial(_prepare, api, body, prompts, per_prompt, adapter))
    generation = api.start(prepared.streams)
    answer = _Answer(api, body, prepared.echoes, len(prompts))
    if body.stream:
        return EventStream(answer.stream(generation), generation.cancel)
    try:
        return await while_connected(request, answer.whole(generation))
    finally:
        generation.cancel()


@dataclass(frozen=True)
class _Prepared:
    streams: list[ReplyStream]  # prompt by prompt, the choices of one side by side
    echoes: list[_Echo | None]  # for each stream


def _prepare(
    api: Api, body: CompletionRequest, prompts: list[str | list[int]], per_prompt: int, adapter: str | None
) -> _Prepared:
    options = replace(completion_options(body, api.limits), adapter=adapter)
    streams: list[ReplyStream] = []
    echoes: list[_Echo | None] = []
    for prompt in prompts:
        token_ids = _token_ids(api, prompt)
        make = partial(continue_tokens, api.backend, token_ids)
        streams += api.opened(make, options, per_prompt)
        echoes += [_echo(api, body, prompt, token_ids, options)] * per_prompt
    return _Prepared(streams, echoes)


def _token_ids(api: Api, prompt: str | list[int]) -> list[int]:
    tokenizer = api.backend.tokenizer
    if isinstance(prompt, str):
        text = prompt
        api.checked(lambda: api.backend.require_length(len(text)))
        try:
            prompt = tokenizer.encode(prompt, add_bos=True)
        except ArisError as error:
            raise refused(error, "prompt") from None
    if tokenizer.image_token_id in prompt:
        raise bad_request("prompt: image tokens need their image; send it to /v1/chat/completions", "prompt")
    size = api.backend.model.config.text.vocab_size
    if max(prompt) >= size:
        raise bad_request(f"prompt: token {max(prompt)} is outside the model's vocabulary of {size:,}", "prompt")
    return prompt


def _echo(
    api: Api, body: CompletionRequest, prompt: str | list[int], token_ids: list[int], options: GenerationOptions
) -> _Echo | None:
    if not body.echo:
        return None
    logprobs: tuple[TokenLogprob, ...] = ()
    if body.logprobs is not None:
        backend, top = api.backend.with_adapter(options.adapter), options.top_logprobs or 0
        logprobs = api.checked(lambda: prompt_logprobs(backend, token_ids, top))
    return _Echo(prompt if isinstance(prompt, str) else api.backend.tokenizer.decode(token_ids), logprobs)


class _Answer:
    """Writes the events of one request as OpenAI's legacy objects."""

    def __init__(self, api: Api, body: CompletionRequest, echoes: list[_Echo | None], prompts: int) -> None:
        self._api = api
        self._body = body
        self._echoes = echoes
        self._prompts = prompts
        self._model = body.model or api.name
        self._id = new_id("cmpl")
        self._created = int(time.time())
        self._logprobs = [LegacyLogprobs(api.markup, body.logprobs or 0) for _ in echoes]

    async def whole(self, generation: Generation) -> Response:
        """The response in one."""
        choices: dict[int, CompletionChoice] = {}
        usages: dict[int, BackendUsage] = {}
        async for each in generation.events():
            if isinstance(each, Ended):
                reply = each.reply
                assert reply.finish_reason != "aborted"
                text, before = self._opening(each.choice)
                written = self._only_echo
                choices[each.choice] = CompletionChoice(
                    index=each.choice,
                    text=text if written else text + reply.text,
                    logprobs=self._form(each.choice, () if written else reply.logprobs or (), before),
                    finish_reason="length" if written else reply.finish_reason,
                )
                usages[each.choice] = self._usage(reply.usage)
        ordered = [choices[index] for index in sorted(choices)]
        completion = self._frame(ordered)
        completion.usage = usage_of([usages[index] for index in sorted(usages)], self._prompts)
        return JSONResponse(completion.model_dump(mode="json"))

    async def stream(self, generation: Generation) -> AsyncIterator[bytes]:
        """The response as events."""
        usages: dict[int, BackendUsage] = {}
        try:
            for index, echo in enumerate(self._echoes):
                if echo is not None:
                    yield self._chunk(index, echo.text, (), prompt=echo.logprobs)
            async for each in generation.events():
                if isinstance(each, Ended):
                    reply = each.reply
                    usages[each.choice] = self._usage(reply.usage)
                    assert reply.finish_reason != "aborted"
                    if self._only_echo:
                        yield self._chunk(each.choice, "", (), "length")
                    else:
                        yield self._chunk(each.choice, "", each.logprobs, reply.finish_reason)
                elif not self._only_echo:
                    yield self._chunk(each.choice, each.text, each.logprobs)
            if self._body.includes_usage:
                total = usage_of([usages[index] for index in sorted(usages)], self._prompts)
                yield event(self._frame([]).model_copy(update={"usage": total}))
        except Exception as error:
            yield error_event(failure(error, self._api.metrics).body)
        yield DONE

    @property
    def _only_echo(self) -> bool:
        """Whether nothing but the prompt was asked for."""
        return self._body.max_tokens == 0

    def _usage(self, usage: BackendUsage) -> BackendUsage:
        return BackendUsage(usage.prompt_tokens, 0, usage.images) if self._only_echo else usage

    def _opening(self, index: int) -> tuple[str, tuple[TokenLogprob, ...]]:
        """What stands before the choice's own text."""
        echo = self._echoes[index]
        return ("", ()) if echo is None else (echo.text, echo.logprobs)

    def _form(
        self, index: int, tokens: tuple[TokenLogprob, ...], prompt: tuple[TokenLogprob, ...] = ()
    ) -> CompletionLogprobs | None:
        return None if self._body.logprobs is None else self._logprobs[index].add(tokens, prompt=prompt)

    def _chunk(
        self, index: int, text: str, tokens: tuple[TokenLogprob, ...], finish: str | None = None, *,
        prompt: tuple[TokenLogprob, ...] = (),
    ) -> bytes:  # fmt: skip
        choice = CompletionChoice(
            index=index, text=text, logprobs=self._form(index, tokens, prompt),
            finish_reason="stop" if finish == "stop" else "length" if finish == "length" else None,
        )  # fmt: skip
        frame = self._frame([choice])
        return event(frame.model_copy(update={"usage": None}) if self._body.includes_usage else frame)

    def _frame(self, choices: list[CompletionChoice]) -> Completion:
        return Completion(
            id=self._id,
            object="text_completion",
            created=self._created,
            model=self._model,
            choices=choices,
            system_fingerprint=FINGERPRINT,
        )
