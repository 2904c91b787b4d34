"""Requests of OpenAI's API as messages and options that a backend takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from aris.backends import GenerationOptions, Grammar
from aris.errors import ArisError
from aris.imaging import Film
from aris.prompting import Message
from aris.service.errors import bad_request, refused, too_large
from aris.service.openai.images import ImageReader
from aris.service.openai.tools import call_grammar, instructions
from aris.service.openai.turns import turns
from aris.service.schemas import ChatRequest, CompletionRequest, NamedTool, Tool
from aris.service.schemas.common import Sampling
from aris.service.settings import Limits

# OpenAI's defaults where a request says nothing.
TEMPERATURE, COMPLETION_TOKENS = 1.0, 16


@dataclass(frozen=True)
class Conversation:
    """A chat request as a backend takes it.

    Attributes:
        messages, options: as a backend takes them.
        films: its images in order, with what their files say of them.
        any_text: whether the answer may be any text, also where it has a grammar: that of functions which the model
            may call and need not.
    """

    messages: list[Message]
    options: GenerationOptions
    films: tuple[Film, ...] = ()
    any_text: bool = True


def conversation(
    request: ChatRequest, limits: Limits, *, can_think: bool, going: Callable[[], None] = lambda: None
) -> Conversation:
    """Messages and options of a chat request. Decodes its images, so not for the event loop.

    Args:
        request: as it came.
        limits: of the server.
        can_think: whether the model was trained to think first.
        going: is called between its parts, and raises where the work is for nobody any more.

    Raises:
        ApiError: the request is malformed or beyond the limits.
    """
    tools = list(request.tools or ()) if request.calls else []
    parallel = request.parallel_tool_calls is not False
    reader = ImageReader(limits)
    messages = turns(request.messages, reader, instructions(tools, parallel=parallel) if tools else None, going)
    if request.thinks and not can_think:
        raise bad_request("this model was not trained to think first; leave reasoning_effort out", "reasoning_effort")
    options = replace(
        _options(request, limits, request.token_limit),
        thinking=request.thinks,
        top_logprobs=(request.top_logprobs or 0) if request.logprobs else None,
        continue_final_message=request.continue_final_message,
        pan_and_scan=None if request.mm_processor_kwargs is None else request.mm_processor_kwargs.do_pan_and_scan,
    )
    if tools:
        named = request.tool_choice.function.name if isinstance(request.tool_choice, NamedTool) else None
        allowed = [tool for tool in tools if named in (None, tool.function.name)]
        options = replace(options, grammar=_calls(allowed, request.calls != "auto", parallel and named is None, limits))
    any_text = options.grammar is None or request.calls == "auto"
    return Conversation(messages, options, tuple(reader.films), any_text)


def _calls(tools: list[Tool], must: bool, parallel: bool, limits: Limits) -> Grammar:
    try:
        grammar = call_grammar(tools, must=must, parallel=parallel)
    except ArisError as error:
        raise refused(error, "tools") from None
    if len(grammar.definition.encode()) > limits.schema_bytes:
        raise too_large(f"the tools are larger than {limits.schema_bytes:,} bytes", "tools")
    return grammar


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
    most = limits.output_tokens if asked is None else asked
    if (request.min_tokens or 0) > most:
        raise bad_request(f"min_tokens is {request.min_tokens:,}, more than the {most:,} of max_tokens", "min_tokens")
    try:
        options = GenerationOptions(
            max_tokens=most,
            temperature=temperature,
            top_k=max(0, request.top_k or 0),
            top_p=1.0 if request.top_p is None else request.top_p,
            min_p=request.min_p or 0.0,
            seed=request.seed,
            stop=request.stop_strings,
            repetition_penalty=1.0 if request.repetition_penalty is None else request.repetition_penalty,
            presence_penalty=request.presence_penalty or 0.0,
            frequency_penalty=request.frequency_penalty or 0.0,
            min_tokens=request.min_tokens or 0,
            stop_token_ids=tuple(request.stop_token_ids or ()),
            ignore_eos=bool(request.ignore_eos),
            logit_bias={int(token): value for token, value in (request.logit_bias or {}).items()},
            bad_words=tuple(request.bad_words or ()),
            include_stop=bool(request.include_stop_str_in_output),
        )
        return replace(options, grammar=grammar)
    except ArisError as error:
        raise refused(error) from None


def _grammar(request: Sampling, limits: Limits) -> Grammar | None:
    """Make the grammar that the answer is held to; None for any text."""
    if not request.constraints:
        return None
    field, name, value = request.constraints[0]
    if len(str(value).encode("utf-8", "replace")) > limits.schema_bytes:
        raise too_large(f"{field}: the {name.replace('_', ' ')} is larger than {limits.schema_bytes:,} bytes", field)
    try:
        make = getattr(Grammar, name)
        grammar: Grammar = make() if value is None else make(value)
        return grammar
    except ArisError as error:
        raise refused(error, field) from None
