"""Messages and options as the body of an OpenAI chat request."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Any

import PIL.Image

from aris.backends.constraints.masks import Grammar
from aris.backends.protocol import GenerationOptions
from aris.prompting import Image, Message, Text


def request_body(model: str, messages: Sequence[Message], options: GenerationOptions) -> dict[str, Any]:
    """The body of a streamed chat request.

    Fields beyond OpenAI's (vLLM's names) are set only where they say something: endpoints refuse what they don't know.
    """
    body: dict[str, Any] = {
        "model": model,
        "messages": [_message(message) for message in messages],
        "max_tokens": options.max_tokens,
        "temperature": options.temperature,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    optional: dict[str, Any] = {
        "top_p": options.top_p if options.top_p != 1.0 else None,
        "top_k": options.top_k or None,
        "min_p": options.min_p or None,
        "seed": options.seed,
        "stop": list(options.stop) or None,
        "chat_template_kwargs": {"enable_thinking": True} if options.thinking else None,
        "mm_processor_kwargs": None if options.pan_and_scan is None else {"do_pan_and_scan": options.pan_and_scan},
        "repetition_penalty": options.repetition_penalty if options.repetition_penalty != 1.0 else None,
        "presence_penalty": options.presence_penalty or None,
        "frequency_penalty": options.frequency_penalty or None,
        "min_tokens": options.min_tokens or None,
        "stop_token_ids": list(options.stop_token_ids) or None,
        "ignore_eos": options.ignore_eos or None,
        "logit_bias": {str(token): value for token, value in options.logit_bias.items()} or None,
        "bad_words": list(options.bad_words) or None,
        "include_stop_str_in_output": options.include_stop or None,
    }
    if options.continue_final_message:
        optional |= {"continue_final_message": True, "add_generation_prompt": False}
    if options.top_logprobs is not None:
        optional |= {"logprobs": True, "top_logprobs": options.top_logprobs}
    if options.grammar is not None:
        optional |= _constraint(options.grammar)
    return body | {name: value for name, value in optional.items() if value is not None}


def _constraint(grammar: Grammar) -> dict[str, Any]:
    """OpenAI's field for a schema; what OpenAI has none for, by vLLM's name."""
    if grammar.kind == "json_schema":
        schema = {"name": "answer", "schema": grammar.value, "strict": True}
        return {"response_format": {"type": "json_schema", "json_schema": schema}}
    return {"structured_outputs": {grammar.kind: grammar.value}}


def _message(message: Message) -> dict[str, Any]:
    if all(isinstance(part, Text) for part in message.content):
        texts = [part.text for part in message.content if isinstance(part, Text)]
        # Gemma's template trims each part and joins them without a separator; a single text is the safest form.
        return {"role": message.role, "content": texts[0] if len(texts) == 1 else _parts(message)}
    return {"role": message.role, "content": _parts(message)}


def _parts(message: Message) -> list[dict[str, Any]]:
    return [
        {"type": "text", "text": part.text}
        if isinstance(part, Text)
        else {"type": "image_url", "image_url": {"url": png_data_uri(part)}}
        for part in message.content
    ]


def png_data_uri(image: Image) -> str:
    """The pixels as a PNG in a data: URI: lossless, so the model at the other end sees what ours would."""
    out = io.BytesIO()
    PIL.Image.fromarray(image.pixels).save(out, "PNG", compress_level=1)
    return "data:image/png;base64," + base64.b64encode(out.getvalue()).decode("ascii")
