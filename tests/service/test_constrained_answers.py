"""Answers of a given form through OpenAI's client."""

from __future__ import annotations

import json
from typing import Any

import jsonschema_rs
import pytest
from serving import Served

from imported_late import late

openai = late("openai")

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"finding": {"enum": ["effusion", "none"]}, "mm": {"type": "integer", "minimum": 0, "maximum": 99}},
    "required": ["finding", "mm"],
    "additionalProperties": False,
}
MESSAGES: list[Any] = [{"role": "user", "content": "Is there an effusion?"}]


def ask(client: openai.OpenAI, served: Served, **changes: Any) -> Any:
    return client.chat.completions.create(model=served.name, messages=MESSAGES, max_tokens=200, **changes)


def form(schema: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "finding", "schema": schema, "strict": True}}


def test_json_of_a_schema_whole_streamed_and_many(served: Served, client: openai.OpenAI) -> None:
    several = ask(client, served, response_format=form(SCHEMA), temperature=1.0, seed=3, n=4)
    texts = [choice.message.content for choice in several.choices]
    assert all(choice.finish_reason == "stop" for choice in several.choices)
    chunks = list(ask(client, served, response_format=form(SCHEMA), temperature=1.0, stream=True))
    texts.append("".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices))
    for text in texts:
        jsonschema_rs.validate(SCHEMA, json.loads(text))


def test_choice_and_regex(served: Served, client: openai.OpenAI) -> None:
    choice = ask(client, served, extra_body={"structured_outputs": {"choice": ["yes", "no"]}})
    assert choice.choices[0].message.content in ("yes", "no")
    regex = ask(client, served, extra_body={"structured_outputs": {"regex": "[0-9]{2}"}})
    assert regex.choices[0].message.content.isdecimal()


def test_a_cut_answer_says_so(served: Served, client: openai.OpenAI) -> None:
    reply = client.chat.completions.create(
        model=served.name, messages=MESSAGES, max_tokens=3, response_format=form(SCHEMA)  # type: ignore[arg-type]
    )
    assert reply.choices[0].finish_reason == "length"


def test_a_schema_that_is_not_supported_is_refused(served: Served, client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="not supported: not"):
        ask(client, served, response_format=form({"type": "object", "not": {}}))
