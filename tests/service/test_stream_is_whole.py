"""A stream adds up to the whole answer: content, thoughts, log-probabilities, calls, finish reasons and usage.

What is generated is scripted by a mask that allows one token at a time; all else is the real engine and server.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from serving import Served, user
from torch import Tensor

import aris
from aris.backends import GenerationOptions, NativeBackend
from aris.backends.remote.backend import RemoteBackend
from aris.backends.streaming import ReasoningEdge

BEGIN, END, EOS, TURN = 5 + 94, 5 + 95, 1, 106


class Script:
    """Allows a script's tokens one after the other, then all."""

    def __init__(self, tokens: Sequence[int], vocabulary: int) -> None:
        self._tokens, self._vocabulary, self._at = tokens, vocabulary, 0

    def allowed(self) -> Tensor | None:
        if self._at >= len(self._tokens):
            return None
        only = torch.zeros(self._vocabulary, dtype=torch.bool)
        only[self._tokens[self._at]] = True
        return only

    def accept(self, token: int) -> None:
        self._at += 1

    @property
    def finished(self) -> bool:
        return False


def script(monkeypatch: pytest.MonkeyPatch, backend: NativeBackend, *scripts: Sequence[int]) -> None:
    """Have the next answers that are held to a form (one for each script, then again) write scripts instead."""
    size, at = backend.model.config.text.vocab_size, iter(range(10**6))
    monkeypatch.setattr(
        backend._grammars, "mask",
        lambda *_, **__: Script(scripts[next(at) % len(scripts)], size),
    )  # fmt: skip


def events(served: Served, path: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    with served.http() as http:
        text = http.post(path, json=body | {"stream": True, "stream_options": {"include_usage": True}}).text
    lines = [line[6:] for line in text.split("\n") if line.startswith("data: ")]
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]


def whole(served: Served, path: str, body: dict[str, Any]) -> dict[str, Any]:
    with served.http() as http:
        response = http.post(path, json=body)
    assert response.status_code == 200, response.text
    return dict(response.json())


def added_up(chunks: list[dict[str, Any]], chat: bool) -> dict[str, Any]:
    """What a client makes of a stream."""
    out: dict[int, dict[str, Any]] = {}
    usage = None
    for chunk in chunks:
        usage = chunk.get("usage") or usage
        for choice in chunk["choices"]:
            empty: dict[str, Any] = {"content": "", "thoughts": "", "calls": [], "logprobs": [], "end": []}
            own = out.setdefault(choice["index"], empty)
            told = choice.get("logprobs")
            if chat:
                delta = choice["delta"]
                own["content"] += delta.get("content") or ""
                own["thoughts"] += delta.get("reasoning_content") or ""
                own["logprobs"] += told["content"] if told else []
                for call in delta.get("tool_calls") or []:
                    if call.get("id"):
                        assert call["index"] == len(own["calls"])
                        own["calls"].append([call["function"]["name"], ""])
                    own["calls"][call["index"]][1] += call["function"]["arguments"]
            else:
                own["content"] += choice["text"]
                own["logprobs"] += legacy_logprobs(told)
            if choice.get("finish_reason"):
                own["end"].append((choice["finish_reason"], choice.get("stop_reason")))
    return {"choices": [out[index] for index in sorted(out)], "usage": usage}


def legacy_logprobs(told: dict[str, Any] | None) -> list[Any]:
    return list(zip(told["tokens"], told["token_logprobs"], told["text_offset"], strict=True)) if told else []


def as_one(answer: dict[str, Any], chat: bool) -> dict[str, Any]:
    """The same of a whole answer."""
    choices = []
    for choice in answer["choices"]:
        told = choice["logprobs"]
        message = choice.get("message", {})
        choices.append({
            "content": (message.get("content") or "") if chat else choice["text"],
            "thoughts": message.get("reasoning_content") or "",
            "calls": [
                [call["function"]["name"], call["function"]["arguments"]] for call in message.get("tool_calls") or []
            ],
            "logprobs": (told["content"] if told else []) if chat else legacy_logprobs(told),
            "end": [(choice["finish_reason"], choice["stop_reason"])],
        })  # fmt: skip
    return {"choices": choices, "usage": answer["usage"]}


PIECES = st.lists(
    st.sampled_from(["Yes", " ", "\n", "END", "EN", "é", "\N{LUNGS}", "a", "{", "BEGIN", "CLOSE", "label"]), max_size=9
)


@settings(
    max_examples=12, deadline=None, database=None, derandomize=True,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
@given(
    texts=st.lists(PIECES, min_size=1, max_size=2),
    last=st.sampled_from([EOS, TURN, None]),
    logprobs=st.booleans(),
    n=st.integers(1, 2),
    stop=st.booleans(),
    include=st.booleans(),
    reasoning=st.booleans(),
    least=st.sampled_from([0, 3]),
)
def test_a_stream_adds_up_to_the_whole(
    served: Served, backend: NativeBackend, texts: list[list[str]], last: int | None, logprobs: bool, n: int,
    stop: bool, include: bool, reasoning: bool, least: int,
) -> None:  # fmt: skip
    encode = backend.tokenizer.encode
    spelt: dict[str, list[int]] = {"BEGIN": [BEGIN], "CLOSE": [END], "label": encode("thought\n")}
    scripts = [
        [*(token for piece in pieces for token in spelt.get(piece) or encode(piece)), *([] if last is None else [last])]
        for pieces in texts
    ]
    options: dict[str, Any] = {
        "max_tokens": max(3, *map(len, scripts)), "temperature": 0, "n": n, "guided_regex": ".*", "min_tokens": least,
        "stop": ["END"] if stop else None, "include_stop_str_in_output": include,
    }  # fmt: skip
    chat = {"messages": user("x"), "logprobs": logprobs or None, "include_reasoning": reasoning, **options}
    legacy = {"prompt": "x", "logprobs": 0 if logprobs else None, "echo": include, **options}
    for path, body in (("/v1/chat/completions", chat), ("/v1/completions", legacy)):
        with pytest.MonkeyPatch.context() as patch:
            script(patch, backend, *scripts)
            one = as_one(whole(served, path, body), path != "/v1/completions")
            script(patch, backend, *scripts)
            found = added_up(events(served, path, body), path != "/v1/completions")
        assert found == one
        for choice in one["choices"]:
            assert len(choice["end"]) == 1
            if path == "/v1/chat/completions":
                assert choice["thoughts"] == choice["thoughts"].strip() and "unused" not in choice["content"]


def test_thoughts_of_a_plain_continuation_are_text(
    served: Served, backend: NativeBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The legacy API has no field for them, so whole and stream give the text as it was generated, markers too."""
    encode = backend.tokenizer.encode
    script(monkeypatch, backend, [BEGIN, *encode("thought\nhm"), END, *encode("Yes"), EOS])
    body = {"prompt": "x", "max_tokens": 30, "temperature": 0, "guided_regex": ".*", "logprobs": 0}
    one = whole(served, "/v1/completions", body)
    assert one["choices"][0]["text"] == "<unused94>thought\nhm<unused95>Yes"
    assert one["choices"][0]["finish_reason"] == "stop"
    logprobs = one["choices"][0]["logprobs"]
    assert "".join(logprobs["tokens"]) == one["choices"][0]["text"]  # so offsets are those of the text


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_that_ends_at_once_has_its_log_probability(
    served: Served, backend: NativeBackend, monkeypatch: pytest.MonkeyPatch, stream: bool
) -> None:
    script(monkeypatch, backend, [TURN])
    body = {"messages": user("x"), "max_tokens": 4, "temperature": 0, "guided_regex": ".*", "logprobs": True,
            "top_logprobs": 2}  # fmt: skip
    if stream:
        (choice,) = added_up(events(served, "/v1/chat/completions", body), True)["choices"]
        tokens, text, end = choice["logprobs"], choice["content"], choice["end"]
    else:
        (choice,) = whole(served, "/v1/chat/completions", body)["choices"]
        tokens, text = choice["logprobs"]["content"], choice["message"]["content"]
        end = [(choice["finish_reason"], None)]
    assert (text, end) == ("", [("stop", None)])
    (token,) = tokens
    assert token["token"] == "<end_of_turn>" and token["bytes"] is None and token["logprob"] == 0.0
    script(monkeypatch, backend, [EOS])
    legacy = {"prompt": "x", "max_tokens": 4, "temperature": 0, "guided_regex": ".*", "logprobs": 2}
    found = whole(served, "/v1/completions", legacy)["choices"][0]["logprobs"]
    assert found["tokens"] == ["<eos>"] and found["text_offset"] == [0]


def test_answers_are_scored_of_a_model_that_would_say_nothing(served: Served, backend: NativeBackend) -> None:
    """The likeliest first token is the end of the turn: a server's answer has no text, and the scores are all there."""
    options = GenerationOptions(max_tokens=1, logit_bias={TURN: 100.0}, top_logprobs=20)
    assert backend.generate([aris.user("x")], options).text == ""
    remote = RemoteBackend(f"{served.url}/v1")
    asked: list[GenerationOptions] = []
    generate = remote.generate

    def ends_at_once(messages: Any, given: GenerationOptions | None = None) -> Any:
        asked.append(options)
        return generate(messages, options)

    remote.generate = ends_at_once  # type: ignore[method-assign]
    found = remote.score([aris.user("x")], ["Yes", "No"])
    expected = backend.score([aris.user("x")], ["Yes", "No"])
    assert asked and found == pytest.approx(expected, abs=1e-3)
    remote.close()


@pytest.mark.parametrize("pieces", [["  a ", " ", "b", " \n"], ["a b "], [" ", "\n"], ["a", " ", "", " b"]])
def test_a_thought_is_stripped_however_it_arrives(pieces: list[str]) -> None:
    edge = ReasoningEdge()
    assert "".join(map(edge.push, pieces)) == "".join(pieces).strip()
