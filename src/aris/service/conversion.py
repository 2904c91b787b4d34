"""Requests of OpenAI's API as messages and options that a backend takes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from aris.backends import GenerationOptions, Grammar
from aris.errors import ArisError
from aris.imaging import Film
from aris.prompting import Image, Message, Text
from aris.prompting.messages import Role
from aris.service.errors import bad_request, refused, too_large
from aris.service.images import ImageReader
from aris.service.schemas import (
    AssistantMessage,
    ChatMessage,
    ChatRequest,
    CompletionRequest,
    ImagePart,
    JsonSchemaFormat,
    RefusalPart,
    SystemMessage,
    TextPart,
)
from aris.service.schemas.common import Sampling
from aris.service.settings import Limits

# OpenAI's defaults where a request says nothing.
TEMPERATURE, COMPLETION_TOKENS = 1.0, 16


@dataclass(frozen=True)
class Conversation:
    """A chat request as a backend takes it; `films` are its images in order, with what their files say of them."""

    messages: list[Message]
    options: GenerationOptions
    films: tuple[Film, ...] = ()


def conversation(request: ChatRequest, limits: Limits, *, can_think: bool) -> Conversation:
    """Messages and options of a chat request. Decodes its images, so not for the event loop.

    Args:
        request: as it came.
        limits: of the server.
        can_think: whether the model was trained to think first.

    Raises:
        ApiError: the request is malformed or beyond the limits.
    """
    reader = ImageReader(limits)
    system: list[str] = []
    messages: list[Message] = []
    for index, message in enumerate(request.messages):
        if isinstance(message, SystemMessage) and not messages:
            system.append(_text(message))
        else:
            messages.append(_message(message, reader, f"messages.{index}"))
    if system:
        # Several instructions in a row, as some clients send them, are one to Gemma.
        messages.insert(0, Message("system", (Text("\n\n".join(system)),)))
    if request.thinks and not can_think:
        raise bad_request("this model was not trained to think first; leave reasoning_effort out", "reasoning_effort")
    options = replace(
        _options(request, limits, request.token_limit),
        thinking=request.thinks,
        top_logprobs=(request.top_logprobs or 0) if request.logprobs else None,
        continue_final_message=request.continue_final_message,
        pan_and_scan=None if request.mm_processor_kwargs is None else request.mm_processor_kwargs.do_pan_and_scan,
    )
    return Conversation(messages, options, tuple(reader.films))


def completion_options(request: CompletionRequest, limits: Limits) -> GenerationOptions:
    """Options of a legacy request; `max_tokens` of 0 becomes 1, for the caller to leave out."""
    asked = COMPLETION_TOKENS if request.max_tokens is None else max(1, request.max_tokens)
    return replace(_options(request, limits, asked), top_logprobs=request.logprobs)


def _options(request: Sampling, limits: Limits, asked: int | None) -> GenerationOptions:
    if asked is not None and asked > limits.output_tokens:
        raise bad_request(
            f"max_tokens is {asked:,}, this server writes {limits.output_tokens:,} at most", "max_tokens"
        )
    grammar = _grammar(request, limits)
    temperature = TEMPERATURE if request.temperature is None else request.temperature
    try:
        options = GenerationOptions(
            max_tokens=limits.output_tokens if asked is None else asked,
            temperature=temperature,
            top_k=max(0, request.top_k or 0),
            top_p=1.0 if request.top_p is None else request.top_p,
            min_p=request.min_p or 0.0,
            seed=request.seed,
            stop=request.stop_strings,
        )
        return replace(options, grammar=grammar)
    except ArisError as error:
        raise refused(error) from None


def _grammar(request: Sampling, limits: Limits) -> Grammar | None:
    """What the answer is held to; None for any text."""
    name, value = _constraint(request)
    if name is None:
        return None
    if len(str(value).encode()) > limits.schema_bytes:
        raise too_large(f"the {name.replace('_', ' ')} is larger than {limits.schema_bytes:,} bytes", "response_format")
    try:
        grammar: Grammar = getattr(Grammar, name)(value)
        return grammar
    except ArisError as error:
        raise refused(error, "response_format") from None


def _constraint(request: Sampling) -> tuple[str | None, Any]:
    """(constructor of `Grammar`, its argument)."""
    given = request.structured_outputs
    if given is not None:
        if given.json_ is not None:
            return "json_schema", given.json_
        return ("regex", given.regex) if given.regex is not None else ("choice", given.choice)
    wanted = getattr(request, "response_format", None)
    if wanted is None or wanted.type == "text":
        return None, None
    if isinstance(wanted, JsonSchemaFormat):
        return "json_schema", wanted.json_schema.schema_ or {"type": "object"}
    return "json_schema", {"type": "object"}


def _text(message: SystemMessage) -> str:
    if isinstance(message.content, str):
        return message.content
    return "".join(part.text for part in message.content)


def _message(message: ChatMessage, reader: ImageReader, where: str) -> Message:
    if isinstance(message, SystemMessage):
        raise bad_request(f"{where}: instructions stand before the conversation, not inside it", where)
    role: Role = "assistant" if isinstance(message, AssistantMessage) else "user"
    if isinstance(message.content, str):
        return Message(role, (Text(message.content),))
    parts: list[Text | Image] = []
    for index, part in enumerate(message.content):
        if isinstance(part, TextPart):
            parts.append(Text(part.text))
        elif isinstance(part, ImagePart):
            parts.append(reader.read(part.image_url.url, f"{where}.content.{index}.image_url"))
        elif isinstance(part, RefusalPart):
            parts.append(Text(part.refusal))
    return Message(role, tuple(parts))
