"""/v1/completions."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from fastapi import Request
from fastapi.responses import JSONResponse, Response

from aris.backends import GenerationOptions, ReplyStream, TokenLogprob
from aris.backends import Usage as BackendUsage
from aris.errors import ArisError
from aris.service.errors import bad_request, refused
from aris.service.failures import failure
from aris.service.http.sse import DONE, EventStream, error_event, event
from aris.service.openai.api import FINGERPRINT, Api, new_id, usage_of, while_connected
from aris.service.openai.conversion import completion_options
from aris.service.openai.generation import Ended, Event, Generation, Work
from aris.service.openai.logprobs import LegacyLogprobs
from aris.service.openai.raw import continue_tokens, prompt_logprobs
from aris.service.schemas import Completion, CompletionRequest
from aris.service.schemas.completions import CompletionChoice, CompletionLogprobs

Prompt = str | list[int]


@dataclass(frozen=True)
class _Echo:
    """A prompt as the response repeats it."""

    text: str
    logprobs: tuple[TokenLogprob, ...]


async def answer_completion(api: Api, request: Request) -> Response:
    """Continue each prompt, `n` times.

    Raises:
        ApiError: the request is refused.
        ClientLeftError: the caller has left.
    """
    async with api.bodies.read(request, CompletionRequest) as body:
        adapter = api.adapter(body.model)
        prompts = body.prompts
        api.require_choices(len(prompts) * (body.n or 1))
        options = replace(completion_options(body, api.limits), adapter=adapter)
        work = partial(_prepare, api, body, prompts, options)
        prepared = await while_connected(request, api.dispatcher.prepare(work))
        del work
        body = body.model_copy(update={"prompt": ""})
    echoes: list[_Echo | None] = [None] * len(prompts)
    try:
        if body.echo:
            score = partial(_echoes, api, body, prompts, prepared.token_ids, options)
            pool = api.dispatcher.prepare if body.logprobs is None else api.dispatcher.score
            echoes = await while_connected(request, pool(score))
    except BaseException:
        for stream in prepared.streams:
            stream.close()
        raise
    generation = api.start(prepared.streams)
    answer = _Answer(api, body, [echo for echo in echoes for _ in range(body.n or 1)], len(prompts))
    del prepared
    if body.stream:
        return EventStream(answer.stream(generation), generation.cancel)
    try:
        return await while_connected(request, answer.whole(generation))
    finally:
        generation.cancel()


@dataclass(frozen=True)
class _Prepared:
    streams: list[ReplyStream]  # prompt by prompt, the choices of one side by side
    token_ids: list[list[int]]  # of each prompt


def _prepare(
    api: Api, body: CompletionRequest, prompts: list[Prompt], options: GenerationOptions, work: Work
) -> _Prepared:
    streams: list[ReplyStream] = []
    token_ids: list[list[int]] = []
    for prompt in prompts:
        work.going()
        token_ids.append(_token_ids(api, prompt))
        streams += api.opened(partial(continue_tokens, api.backend, token_ids[-1]), options, body.n or 1)
    return _Prepared(streams, token_ids)


def _token_ids(api: Api, prompt: Prompt) -> list[int]:
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


def _echoes(
    api: Api, body: CompletionRequest, prompts: list[Prompt], token_ids: list[list[int]], options: GenerationOptions,
    work: Work,
) -> list[_Echo | None]:  # fmt: skip
    echoes: list[_Echo | None] = []
    backend, top = api.backend.with_adapter(options.adapter), body.logprobs
    for prompt, ids in zip(prompts, token_ids, strict=True):
        work.going()
        logprobs: tuple[TokenLogprob, ...] = ()
        if top is not None:
            read = partial(prompt_logprobs, backend, ids, top, lambda each: work.on_leave(each.cancel))
            logprobs = api.checked(read)
        echoes.append(_Echo(prompt if isinstance(prompt, str) else api.backend.tokenizer.decode(ids), logprobs))
    return echoes


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
        """The response in one: what the pieces of a stream would add up to."""
        pieces = [self._opening(index) for index in range(len(self._echoes))]
        usages: dict[int, BackendUsage] = {}
        async for each in generation.events():
            if isinstance(each, Ended):
                usages[each.choice] = self._usage(each.reply.usage)
            pieces[each.choice] += self._write(each)
        completion = self._frame([_joined(own) for own in pieces])
        completion.usage = usage_of([usages[index] for index in sorted(usages)], self._prompts)
        return JSONResponse(completion.model_dump(mode="json"))

    async def stream(self, generation: Generation) -> AsyncIterator[bytes]:
        """The response as events."""
        usages: dict[int, BackendUsage] = {}
        try:
            for index in range(len(self._echoes)):
                for piece in self._opening(index):
                    yield self._chunk(piece)
            async for each in generation.events():
                if isinstance(each, Ended):
                    usages[each.choice] = self._usage(each.reply.usage)
                for piece in self._write(each):
                    yield self._chunk(piece)
            if self._body.includes_usage:
                total = usage_of([usages[index] for index in sorted(usages)], self._prompts)
                yield event(self._frame([]).model_copy(update={"usage": total}))
        except Exception as error:
            yield error_event(failure(error, self._api.metrics).body)
        yield DONE

    @property
    def _only_echo(self) -> bool:
        """Return whether nothing but the prompt was asked for."""
        return self._body.max_tokens == 0

    def _usage(self, usage: BackendUsage) -> BackendUsage:
        return BackendUsage(usage.prompt_tokens, 0, usage.images) if self._only_echo else usage

    def _opening(self, index: int) -> list[CompletionChoice]:
        """Return the text before the choice's own text."""
        echo = self._echoes[index]
        return [] if echo is None else [self._piece(index, echo.text, (), prompt=echo.logprobs)]

    def _write(self, each: Event) -> list[CompletionChoice]:
        """Add an event to its choice."""
        if not isinstance(each, Ended):
            return [] if self._only_echo else [self._piece(each.choice, each.text, each.logprobs)]
        reason = each.reply.finish_reason
        assert reason != "aborted"
        if self._only_echo:
            return [self._piece(each.choice, "", ()).model_copy(update={"finish_reason": "length"})]
        last = self._piece(each.choice, "", each.logprobs)
        return [last.model_copy(update={"finish_reason": reason, "stop_reason": each.reply.stop_reason})]

    def _piece(
        self, index: int, text: str, tokens: tuple[TokenLogprob, ...], *, prompt: tuple[TokenLogprob, ...] = ()
    ) -> CompletionChoice:
        logprobs = None if self._body.logprobs is None else self._logprobs[index].add(tokens, prompt=prompt)
        return CompletionChoice(index=index, text=text, logprobs=logprobs, finish_reason=None)

    def _chunk(self, choice: CompletionChoice) -> bytes:
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


def _joined(pieces: Sequence[CompletionChoice]) -> CompletionChoice:
    """The choice that its pieces add up to."""
    told = [piece.logprobs for piece in pieces if piece.logprobs is not None]
    logprobs: CompletionLogprobs | None = None
    if told:
        logprobs = CompletionLogprobs(
            text_offset=[at for each in told for at in each.text_offset],
            token_logprobs=[value for each in told for value in each.token_logprobs],
            tokens=[token for each in told for token in each.tokens],
            top_logprobs=(
                None
                if told[0].top_logprobs is None
                else [top for each in told for top in each.top_logprobs or ()]
            ),
        )
    text = "".join(piece.text for piece in pieces)
    return pieces[-1].model_copy(update={"text": text, "logprobs": logprobs})
