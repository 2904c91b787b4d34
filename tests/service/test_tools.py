"""Functions that a model may call, with the official client: as told, as called, as answered, whole and streamed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from serving import Served, user
from test_stream_is_whole import added_up, as_one, events, whole

from aris.backends import NativeBackend
from aris.backends.constraints.masks import GrammarCompiler
from aris.service.openai.tools import Arguments, Called, CallReader, call_grammar
from aris.service.schemas import Tool
from imported_late import late

openai = late("openai")

FIND = {
    "type": "function",
    "function": {
        "name": "find_study", "description": "Find a study ::= of a patient",
        "parameters": {
            "type": "object",
            "properties": {
                "kind": {"enum": ["CT", "MR"]}, "year": {"type": "integer", "minimum": 2000, "maximum": 2003}
            },
            "required": ["kind", "year"], "additionalProperties": False,
        },
    },
}  # fmt: skip
NOW = {"type": "function", "function": {"name": "now"}}
TOOLS: list[Any] = [FIND, NOW]


def valid(name: str, arguments: str) -> bool:
    given = json.loads(arguments)
    if name == "now":
        return given == {}
    return name == "find_study" and given["kind"] in ("CT", "MR") and 2000 <= given["year"] <= 2003 and len(given) == 2


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "find_study"}}])
def test_a_call_that_must_be(client: openai.OpenAI, served: Served, choice: Any, seed: int) -> None:
    made = client.chat.completions.create(
        model=served.name, messages=user("Which?"), tools=TOOLS, tool_choice=choice, max_tokens=400, seed=seed,  # type: ignore[arg-type]
        parallel_tool_calls=False,
    )  # fmt: skip
    (answer,) = made.choices
    assert answer.message.content is None and answer.message.tool_calls is not None
    (call,) = answer.message.tool_calls
    assert call.type == "function" and call.id.startswith("call_")
    assert valid(call.function.name, call.function.arguments)
    # OpenAI's: "tool_calls" where the model chose, "stop" where the caller named it.
    assert answer.finish_reason == ("tool_calls" if choice == "required" else "stop")
    if choice != "required":
        assert call.function.name == "find_study"


def test_several_calls_and_none(served: Served, backend: NativeBackend) -> None:
    path = "/v1/chat/completions"
    body = {"messages": user("x"), "tools": TOOLS, "max_tokens": 300, "temperature": 0}
    letter = backend.tokenizer.encode("[")[0]
    made = whole(served, "/v1/chat/completions", body | {"tool_choice": "required", "logit_bias": {str(letter): 100}})
    calls = made["choices"][0]["message"]["tool_calls"]
    cut = made["choices"][0]["finish_reason"] == "length"  # and then the last one may be, too
    whole_ones = calls[:-1] if cut else calls
    assert len(calls) > 1
    assert all(valid(call["function"]["name"], call["function"]["arguments"]) for call in whole_ones)
    assert len({call["id"] for call in calls}) == len(calls)
    # With "none" they are not even told of.
    told, untold = ({**body, "max_tokens": 4, "tool_choice": choice} for choice in ("auto", "none"))
    bare = {"messages": user("x"), "max_tokens": 4, "temperature": 0}
    assert whole(served, path, untold)["usage"] == whole(served, path, bare)["usage"]
    tokens = [whole(served, path, each)["usage"]["prompt_tokens"] for each in (told, untold)]
    assert tokens[0] - tokens[1] > 200


@pytest.mark.parametrize("choice", ["auto", "required", {"type": "function", "function": {"name": "now"}}])
@pytest.mark.parametrize("most", [120, 25])
def test_a_stream_of_calls_adds_up(served: Served, choice: Any, most: int) -> None:
    """Also where the answer is cut inside a call."""
    body = {"messages": user("x"), "tools": TOOLS, "tool_choice": choice, "max_tokens": most, "seed": 3, "n": 2,
            "logprobs": True}  # fmt: skip
    one, found = as_one(whole(served, "/v1/chat/completions", body), True), added_up(
        events(served, "/v1/chat/completions", body), True
    )
    assert found["usage"] == one["usage"]
    for left, right in zip(found["choices"], one["choices"], strict=True):
        logprobs = left.pop("logprobs"), right.pop("logprobs")
        assert [each["token"] for each in logprobs[0]] == [each["token"] for each in logprobs[1]]
        assert left == right


def test_the_official_client_reads_a_stream_of_calls(client: openai.OpenAI, served: Served) -> None:
    with client.chat.completions.stream(
        model=served.name, messages=user("x"), tools=TOOLS, tool_choice="required", max_tokens=400, seed=1,  # type: ignore[arg-type]
        parallel_tool_calls=False,
    ) as stream:  # fmt: skip
        final = stream.get_final_completion()
    calls = final.choices[0].message.tool_calls
    assert calls and all(valid(call.function.name, call.function.arguments) for call in calls)
    assert final.choices[0].finish_reason == "tool_calls"


ANSWERS = [
    ('{"name": "f", "parameters": {"kind": "CT", "year": 2001}}', [("f", '{"kind": "CT", "year": 2001}')], ""),
    ('[{"name": "now", "parameters": {}}, {"name": "now", "parameters": {}}]', [("now", "{}"), ("now", "{}")], ""),
    (
        '```json\n{"name": "f", "parameters": {"a": "}\\"]{", "b": [{"c": {}}]}}\n```',
        [("f", '{"a": "}\\"]{", "b": [{"c": {}}]}')], "",
    ),
    ('{"name": "f", "parameters": {"a": [1, 2', [("f", '{"a": [1, 2')], ""),
    ("Hello {there}", [], "Hello {there}"),
    ('{"nam', [], '{"nam'),
    ("", [], ""),
    ('{"names": 3}', [], '{"names": 3}'),
]  # fmt: skip


@pytest.mark.parametrize(("text", "calls", "content"), ANSWERS)
@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_calls_are_read_however_they_arrive(text: str, calls: list[tuple[str, str]], content: str, size: int) -> None:
    reader, found, said = CallReader(), [], ""
    parts = [part for at in range(0, len(text), size) for part in reader.push(text[at : at + size])]
    for part in [*parts, *reader.flush()]:
        if isinstance(part, Called):
            assert part.index == len(found)
            found.append((part.name, ""))
        elif isinstance(part, Arguments):
            found[part.index] = (found[part.index][0], found[part.index][1] + part.text)
        else:
            said += part
    assert (found, said) == (calls, content)


@pytest.mark.parametrize(
    ("text", "auto", "must"),
    [
        ('{"name": "now", "parameters": {}}', True, True),
        ('{"name": "now", "parameters": {"a": 1}}', False, False),
        ('{"name": "other", "parameters": {}}', False, False),
        ('[{"name": "now", "parameters": {}}, {"name": "now", "parameters": {}}]', True, True),
        ('```json\n{"name": "now", "parameters": {}}\n```', True, False),
        ("Any text.", True, False),
        ('{"name of it": 1}', True, False),
        ("[1, 2]", True, False),
        ("", True, False),
    ],
)
def test_the_form_of_an_answer(backend: NativeBackend, text: str, auto: bool, must: bool) -> None:
    from aris.engine.sampling import unpacked

    tools = [Tool.model_validate(each) for each in TOOLS]
    for wanted, expected in ((False, auto), (True, must)):
        mask = backend._grammars.mask(call_grammar(tools, must=wanted, parallel=True))
        passes = True
        for token in [*backend.tokenizer.encode(text), 106]:
            if mask.finished or not passes:  # complete, and nothing can follow
                passes = passes and token == 106
                break
            passes = bool(unpacked(mask.allowed(), 1 << 12)[token])
            if passes:
                mask.accept(token)
        assert passes is expected, (text, wanted)


CALL = {"id": "call_1", "type": "function", "function": {"name": "find_study", "arguments": '{"kind":"CT"}'}}


def test_calls_and_what_they_gave_are_read_again(served: Served, backend: NativeBackend) -> None:
    """By the prompt itself: nothing of a history is dropped."""
    turns = [
        {"role": "developer", "content": "Be brief."}, *user("How many?"),
        {"role": "assistant", "content": None, "tool_calls": [CALL, CALL | {"id": "call_2"}]},
        {"role": "tool", "tool_call_id": "call_1", "content": "three"},
        {"role": "tool", "tool_call_id": "call_2", "content": [{"type": "text", "text": "four"}]},
        *user("Sum?"),
        {"role": "assistant", "content": None, "refusal": "I will not"}, *user("Why?"),
        {"role": "assistant", "content": "wait", "function_call": {"name": "now", "arguments": "{}"}},
        {"role": "function", "name": "now", "content": "noon"},
    ]  # fmt: skip
    from aris.service.openai.conversion import conversation
    from aris.service.schemas import ChatRequest
    from aris.service.settings import Limits

    request = ChatRequest.model_validate({"messages": turns})
    prompt = backend.prompts(conversation(request, Limits(), can_think=False).messages).text
    spelt = '{"name": "find_study", "parameters": {"kind": "CT"}}'
    assert f"<start_of_turn>model\n[{spelt}, {spelt}]<end_of_turn>" in prompt
    result = '<tool_response>\n{"name": "find_study", "response": "%s"}\n</tool_response>'
    assert f"<start_of_turn>user\n{result % 'three'}\n{result % 'four'}\nSum?<end_of_turn>" in prompt
    assert "<start_of_turn>model\nI will not<end_of_turn>" in prompt
    assert '<start_of_turn>model\nwait\n{"name": "now", "parameters": {}}<end_of_turn>' in prompt
    assert '{"name": "now", "response": "noon"}' in prompt and "Be brief." in prompt
    made = whole(served, "/v1/chat/completions", {"messages": turns, "tools": TOOLS, "max_tokens": 3})
    assert made["usage"]["prompt_tokens"] > 200


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"messages": [*user("x"), {"role": "tool", "tool_call_id": "9", "content": "x"}]}, "tool_call_id"),
        ({"messages": [*user("x"), {"role": "assistant", "content": None, "tool_calls": [CALL]},
                       {"role": "tool", "tool_call_id": "call_1", "name": "other", "content": "x"}]}, "name"),
        ({"messages": [*user("x"), {"role": "assistant", "content": None}, *user("y")]}, "messages.1"),
        ({"messages": [*user("x"), {"role": "observer", "content": "x"}]}, "messages.1"),
        ({"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "other"}}}, "tool_choice"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tools": [*TOOLS, NOW]}, "tools"),
        ({"tools": [{"type": "web_search"}]}, "tools.0"),
        ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, "tools.0"),
        ({"tools": TOOLS, "response_format": {"type": "json_object"}}, "response_format"),
        ({"tools": [{"type": "function", "function": {"name": "f", "parameters": {"not": {}}}}]}, "not"),
        ({"tools": [{"type": "function", "function": {"name": "f", "parameters": {"$ref": "#"}}}],
          "tool_choice": "required"}, ""),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(served: Served, changes: dict[str, Any], names: str) -> None:
    with served.http() as http:
        response = http.post("/v1/chat/completions", json={"messages": user("x"), "max_tokens": 3} | changes)
    assert response.status_code == 400, response.text
    assert names in response.json()["error"]["message"]


@pytest.mark.parametrize("must", [True, False])
def test_keywords_that_bind_no_argument_are_no_reason_to_refuse(backend: NativeBackend, must: bool) -> None:
    """What generators of schemas write beside a function's arguments is left out, as it is of an answer's form."""
    items = {"type": "string", "format": "uri-reference", "pattern": "^a$"}
    kinds = {"type": "array", "items": items, "minItems": 1, "maxItems": 1, "uniqueItems": False}
    parameters = {
        "type": "object", "properties": {"kinds": kinds}, "required": ["kinds"], "additionalProperties": False,
        "propertyNames": True,
    }  # fmt: skip
    tool = Tool.model_validate({"type": "function", "function": {"name": "f", "parameters": parameters}})
    mask = GrammarCompiler(backend.tokenizer, (1, 106)).mask(call_grammar([tool], must=must, parallel=False))
    for token in backend.tokenizer.encode('{"name": "f", "parameters": {"kinds": ["a"]}}'):
        mask.accept(token)
    assert mask.finished
