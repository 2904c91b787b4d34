"""Each field of a request does what it means or is refused by its name; none is ignored."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from serving import Served, picture, user

from aris.backends import NativeBackend
from imported_late import late

openai = late("openai")


def answer(served: Served, path: str = "/v1/chat/completions", **changes: Any) -> tuple[int, dict[str, Any]]:
    body = {"max_tokens": 12, "temperature": 0} | changes
    body |= {"prompt": "Yes No"} if "completions" in path and "chat" not in path else {}
    if "chat" in path and "messages" not in body:
        body["messages"] = user("Yes or No?")
    with served.http() as http:
        response = http.post(path, json=body)
    return response.status_code, response.json()


def text_of(served: Served, path: str = "/v1/chat/completions", **changes: Any) -> str:
    status, made = answer(served, path, **changes)
    assert status == 200, made
    choice = made["choices"][0]
    return str(choice["message"]["content"] if "message" in choice else choice["text"])


PATHS = ("/v1/chat/completions", "/v1/completions")
PLAIN = {"type": "object", "properties": {"a": {"type": "boolean"}}, "required": ["a"], "additionalProperties": False}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("form", "matches"),
    [
        ({"guided_regex": "[ab]{3}"}, "[ab]{3}"),
        ({"guided_choice": ["left", "right"]}, "left|right"),
        ({"guided_json": PLAIN}, r'\{"a": (true|false)\}'),
        ({"guided_json": json.dumps(PLAIN)}, r'\{"a": (true|false)\}'),
        ({"guided_grammar": 'start: "x" ("y" | "z")~2'}, "x[yz]{2}"),
        ({"guided_grammar": 'root ::= "q" [0-9] [0-9]'}, r"q\d\d"),
        ({"structured_outputs": {"json": json.dumps(PLAIN)}}, r'\{"a": (true|false)\}'),
        ({"structured_outputs": {"grammar": 'start: "x"'}}, "x"),
        ({"structured_outputs": {"regex": "[ab]{3}"}}, "[ab]{3}"),
        ({"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": PLAIN}}},
         r'\{"a": (true|false)\}'),
    ],
)  # fmt: skip
def test_every_name_of_a_form_holds_the_answer_to_it(
    served: Served, path: str, form: dict[str, Any], matches: str
) -> None:
    assert re.fullmatch(matches, text_of(served, path, max_tokens=60, **form))


def test_json_objects_by_each_name(served: Served) -> None:
    for form in ({"response_format": {"type": "json_object"}}, {"structured_outputs": {"json_object": True}}):
        assert text_of(served, **form).startswith("{")


@pytest.mark.parametrize("path", PATHS)
def test_penalties_and_biases_change_the_answer(served: Served, backend: NativeBackend, path: str) -> None:
    plain = text_of(served, path, max_tokens=30)
    for field in ({"repetition_penalty": 2.0}, {"frequency_penalty": 2.0}, {"presence_penalty": 2.0}):
        assert text_of(served, path, max_tokens=30, **field) != plain, field
    (snow,) = backend.tokenizer.encode("Q")
    assert text_of(served, path, max_tokens=3, logit_bias={str(snow): 100}) == "QQQ"
    assert "Q" not in text_of(served, path, max_tokens=3, logit_bias={str(snow): 100}, bad_words=["Q"])


@pytest.mark.parametrize("path", PATHS)
def test_ends(served: Served, backend: NativeBackend, path: str) -> None:
    (letter,) = backend.tokenizer.encode("Q")
    eos = {"1": 100, str(letter): 50}
    assert text_of(served, path, logit_bias=eos) == ""
    # As in vLLM: no end before so many, and then it comes.
    assert text_of(served, path, logit_bias=eos, min_tokens=5) == "QQQQQ"
    status, made = answer(served, path, logit_bias=eos, ignore_eos=True)
    assert made["choices"][0]["finish_reason"] == "length" and made["usage"]["completion_tokens"] == 12
    for field, end in (({"stop_token_ids": [letter]}, letter), ({"stop": ["Q"]}, "Q")):
        status, made = answer(served, path, logit_bias={str(letter): 100}, **field)
        choice = made["choices"][0]
        assert (status, choice["finish_reason"], choice["stop_reason"]) == (200, "stop", end)
        assert (choice.get("message", {}).get("content") or choice.get("text") or "") == ""
        assert text_of(
            served, path, logit_bias={str(letter): 100}, include_stop_str_in_output=True, **field
        ) == "Q"  # fmt: skip
    # A stop string counts only after the least length.
    assert text_of(served, path, logit_bias={str(letter): 100}, stop=["Q"], min_tokens=4) == "QQQQ"


UNKNOWN: list[dict[str, Any]] = [
    {"unheard_of": 1}, {"guided_whitespace_pattern": " "}, {"use_beam_search": True}, {"length_penalty": 1.2},
    {"skip_special_tokens": False}, {"truncate_prompt_tokens": 3}, {"allowed_token_ids": [5]}, {"typical_p": 0.5},
    {"logits_processors": ["x"]}, {"mirostat": 2}, {"regex": "a"}, {"grammar": "root ::= x"}, {"tfs_z": 1},
    {"return_token_ids": True}, {"cache_salt": "x"}, {"add_special_tokens": None, "top_a": 0.1},
]  # fmt: skip
CHAT: list[dict[str, Any]] = [
    {"functions": [{"name": "f"}]}, {"audio": {"voice": "x"}}, {"modalities": ["audio"]}, {"prediction": {}},
    {"web_search_options": {}}, {"verbosity": "low"}, {"chat_template": "x"}, {"echo": True}, {"documents": [{}]},
    {"reasoning": {"effort": "low"}}, {"chat_template_kwargs": {"thinking_budget": 3}},
    {"mm_processor_kwargs": {"num_crops": 4}}, {"stream": True, "stream_options": {"continuous_usage_stats": True}},
    {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {}, "extra": 1}}},
    {"structured_outputs": {"regex": "a", "whitespace_pattern": " "}},
    {"messages": [{"role": "user", "content": "x", "name": "Ann"}]},
    {"messages": [{"role": "system", "content": "x", "name": "Ann"}, *user("x")]},
    {"messages": user({"type": "text", "text": "x", "font": "bold"})},
    {"messages": user({"type": "image_url", "image_url": {"url": picture(), "detail": "low"}})},
    {"messages": user({"type": "image_url", "image_url": {"url": picture(), "size": 3}})},
    {"messages": [*user("x"), {"role": "assistant", "content": "a", "audio": {"id": "1"}}, *user("y")]},
]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "fields"),
    [*((path, fields) for path in PATHS for fields in UNKNOWN), *((PATHS[0], fields) for fields in CHAT),
     (PATHS[1], {"suffix": "x"}), (PATHS[1], {"prompt_logprobs": 1}), (PATHS[1], {"tools": []}),
     (PATHS[1], {"prompt_embeds": "x"})],
)  # fmt: skip
def test_the_rest_is_refused_by_its_name(served: Served, path: str, fields: dict[str, Any]) -> None:
    status, made = answer(served, path, **fields)
    assert status == 400, fields

    def names(value: Any) -> set[str]:
        if isinstance(value, dict):
            return {*value, *(name for each in value.values() for name in names(each))}
        return {name for each in value for name in names(each)} if isinstance(value, list) else set()

    assert any(name in made["error"]["message"] for name in names(fields)), made
    assert made["error"]["type"] == "invalid_request_error" and made["error"]["param"]


def test_forms_do_not_go_together(served: Served) -> None:
    status, made = answer(served, guided_regex="a", response_format={"type": "json_object"})
    assert status == 400 and "guided_regex" in made["error"]["message"]
    assert answer(served, structured_outputs={"regex": "a", "choice": ["a"]})[0] == 400
    assert answer(served, guided_regex="a", response_format={"type": "text"})[0] == 200


def test_what_changes_nothing_and_nulls_are_taken(client: openai.OpenAI, served: Served) -> None:
    made = client.chat.completions.create(
        model=served.name, messages=user("x"), max_tokens=3, user="a", metadata={"a": "b"}, store=True,  # type: ignore[arg-type]
        safety_identifier="x", prompt_cache_key="y", service_tier="default", verbosity="medium", modalities=["text"],
        parallel_tool_calls=False, tool_choice="none",
        extra_body={
            "skip_special_tokens": True, "use_beam_search": False, "length_penalty": 1.0, "unheard_of": None,
            "priority": 3, "request_id": "a", "spaces_between_special_tokens": False, "tools": [],
        },
    )  # fmt: skip
    assert made.choices[0].finish_reason == "length"
