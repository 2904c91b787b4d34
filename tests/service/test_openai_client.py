"""The official `openai` client against a real server: what it sends is understood, and it understands what comes."""

from __future__ import annotations

import math
from typing import Any

import pytest
from serving import Served, picture, user

import aris
from aris.backends import GenerationOptions, NativeBackend
from aris.service import Limits
from aris.service.openai.images import ImageReader
from imported_late import late

openai = late("openai")


def greedy(**changes: Any) -> dict[str, Any]:
    return {"messages": user("Yes or No?"), "max_tokens": 12, "temperature": 0} | changes


def test_models(served: Served, client: openai.OpenAI) -> None:
    (model,) = client.models.list().data
    assert (model.id, model.object, model.owned_by) == (served.name, "model", "aris")
    assert client.models.retrieve(served.name).id == served.name
    assert served.name == "tiny"  # never the path
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("other")


def test_an_answer_is_the_backends_own(served: Served, client: openai.OpenAI, backend: NativeBackend) -> None:
    made = client.chat.completions.create(model=served.name, **greedy())
    expected = backend.generate([aris.user("Yes or No?")], GenerationOptions(max_tokens=12))
    (choice,) = made.choices
    assert choice.message.content == expected.text
    assert choice.message.role == "assistant" and choice.message.refusal is None
    assert choice.finish_reason == expected.finish_reason == "length"
    assert made.object == "chat.completion" and made.model == served.name and made.id.startswith("chatcmpl-")
    assert made.usage is not None
    assert made.usage.prompt_tokens == expected.usage.prompt_tokens
    assert made.usage.completion_tokens == expected.usage.completion_tokens == 12
    assert made.usage.total_tokens == made.usage.prompt_tokens + 12


def test_a_stream_is_the_same_in_pieces(served: Served, client: openai.OpenAI) -> None:
    whole = client.chat.completions.create(model=served.name, **greedy())
    chunks = list(client.chat.completions.create(model=served.name, stream=True, **greedy()))
    assert chunks[0].choices[0].delta.role == "assistant" and chunks[0].choices[0].delta.content == ""
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert text == whole.choices[0].message.content
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None] * (len(chunks) - 1) + ["length"]
    assert len({chunk.id for chunk in chunks}) == 1 and all(chunk.usage is None for chunk in chunks)
    assert len(chunks) > 4


def test_usage_comes_last_where_it_is_asked_for(served: Served, client: openai.OpenAI) -> None:
    options = {"include_usage": True}
    chunks = list(client.chat.completions.create(model=served.name, stream=True, stream_options=options, **greedy()))
    *others, last = chunks
    assert last.choices == [] and last.usage is not None and last.usage.completion_tokens == 12
    assert all(chunk.usage is None and chunk.choices for chunk in others)


def test_images(served: Served, client: openai.OpenAI, backend: NativeBackend) -> None:
    one, two = picture(seed=1), picture(seed=2, kind="JPEG")
    made = client.chat.completions.create(model=served.name, **greedy(messages=user(one, "and", two, "differ?")))
    assert made.usage is not None
    bare = client.chat.completions.create(model=served.name, **greedy(messages=user("and", "differ?")))
    assert bare.usage is not None
    # Each takes its 4 soft tokens, two markers and newlines around them.
    assert made.usage.prompt_tokens - bare.usage.prompt_tokens >= 2 * 6
    # The pictures themselves count, and their places.
    pixels = [ImageReader(Limits()).read(uri, "image") for uri in (one, two)]
    expected = backend.generate([aris.user(pixels[0], "and", pixels[1], "differ?")], GenerationOptions(max_tokens=12))
    assert made.choices[0].message.content == expected.text
    other = backend.generate([aris.user(pixels[1], "and", pixels[0], "differ?")], GenerationOptions(max_tokens=12))
    assert other.text != expected.text


def test_log_probabilities(served: Served, client: openai.OpenAI) -> None:
    made = client.chat.completions.create(model=served.name, logprobs=True, top_logprobs=3, **greedy())
    logprobs = made.choices[0].logprobs
    assert logprobs is not None and logprobs.content is not None and len(logprobs.content) == 12
    for token in logprobs.content:
        assert token.logprob <= 0 and len(token.top_logprobs) == 3
        # Greedy: the token is the likeliest.
        assert token.top_logprobs[0].token == token.token
        assert math.isclose(token.top_logprobs[0].logprob, token.logprob, abs_tol=1e-5)
    raw = bytes(byte for token in logprobs.content for byte in token.bytes or ())
    assert raw.decode("utf-8", "replace") == made.choices[0].message.content
    # A stream has them too, token by token.
    chunks = client.chat.completions.create(
        model=served.name, logprobs=True, top_logprobs=3, stream=True, **greedy()
    )
    streamed = [
        token.logprob
        for chunk in chunks
        if (found := chunk.choices[0].logprobs) is not None
        for token in found.content or ()
    ]
    assert streamed == pytest.approx([token.logprob for token in logprobs.content], abs=1e-4)


def test_several_answers_and_seeds(served: Served, client: openai.OpenAI) -> None:
    def texts(**changes: Any) -> list[str | None]:
        made = client.chat.completions.create(model=served.name, **greedy(temperature=1.0, n=3) | changes)
        assert [choice.index for choice in made.choices] == [0, 1, 2]
        assert made.usage is not None and made.usage.completion_tokens <= 36
        return [choice.message.content for choice in made.choices]

    first = texts(seed=5)
    assert len(set(first)) == 3, "each of n answers is drawn for itself"
    assert texts(seed=5) == first
    assert texts(seed=6) != first
    pieces = {0: "", 1: "", 2: ""}
    for chunk in client.chat.completions.create(
        model=served.name, stream=True, seed=5, **greedy(temperature=1.0, n=3)
    ):
        pieces[chunk.choices[0].index] += chunk.choices[0].delta.content or ""
    assert [pieces[0], pieces[1], pieces[2]] == first


def test_several_answers_read_and_prepare_their_prompt_once(
    served: Served, client: openai.OpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each answer's own copy of its images, as the tower reads them, would be n times their memory."""
    submitted: list[Any] = []
    submit = served.api.backend.engine.submit_all
    monkeypatch.setattr(
        served.api.backend.engine, "submit_all", lambda requests: submitted.append(requests) or submit(requests)
    )
    content = [{"type": "image_url", "image_url": {"url": picture(seed=31)}}, {"type": "text", "text": "lungs?"}]
    made = client.chat.completions.create(
        model=served.name, messages=[{"role": "user", "content": content}], n=4, max_tokens=3, seed=2**63 - 1
    )
    assert len(made.choices) == 4
    (requests,) = submitted
    assert len({id(image.pixels) for request in requests for image in request.images}) == 1
    assert len({request.params.seed for request in requests}) == 4
    submitted.clear()
    client.completions.create(model=served.name, prompt=["Yes", "No"], n=2, max_tokens=2)
    assert [len(requests) for requests in submitted] == [2, 2]


@pytest.mark.parametrize("as_list", [False, True])
def test_stop_strings(served: Served, client: openai.OpenAI, as_list: bool) -> None:
    text = client.chat.completions.create(model=served.name, **greedy(max_tokens=40)).choices[0].message.content
    assert text is not None
    stop = text[5:7]
    made = client.chat.completions.create(
        model=served.name, stop=[stop, "\N{SNOWMAN}"] if as_list else stop, **greedy(max_tokens=40)
    )
    assert made.choices[0].message.content == text[: text.index(stop)]
    assert made.choices[0].finish_reason == "stop"


def test_conversations_and_instructions(served: Served, client: openai.OpenAI) -> None:
    turns: list[Any] = [
        {"role": "system", "content": "Be brief."},
        {"role": "developer", "content": [{"type": "text", "text": "Be kind."}]},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello"},
        {"role": "user", "content": "Yes?"},
    ]
    made = client.chat.completions.create(model=served.name, **greedy(messages=turns))
    expected = served.api.backend.generate(
        [aris.system("Be brief.\n\nBe kind."), aris.user("Hi"), aris.assistant("Hello"), aris.user("Yes?")],
        GenerationOptions(max_tokens=12),
    )
    assert made.choices[0].message.content == expected.text


def test_fields_that_change_nothing_are_taken(served: Served, client: openai.OpenAI) -> None:
    made = client.chat.completions.create(
        model=served.name, user="somebody", store=False, metadata={"a": "b"}, service_tier="auto",
        parallel_tool_calls=True, frequency_penalty=0, presence_penalty=0, logit_bias={},
        extra_body={"unheard_of": None}, response_format={"type": "text"}, **greedy(),
    )  # fmt: skip
    assert made.choices[0].finish_reason == "length"


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "tool", "content": "x", "tool_call_id": "1"}]}, "messages.0"),
        ({"messages": [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]}, "alternate"),
        ({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}, "user's turn"),
        ({"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}]}, "input_audio"),
        ({"messages": [{"role": "user", "content": "a"}, {"role": "system", "content": "b"}]}, "instructions"),
        ({"temperature": 2.5}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"n": 0}, "n"),
        ({"n": 100}, "answers in one request"),
        ({"stop": [""]}, "stop"),
        ({"top_logprobs": 3}, "logprobs"),
        ({"logprobs": True, "top_logprobs": 30}, "top_logprobs"),
        ({"seed": 2**70}, "seed"),
        ({"frequency_penalty": 3.0}, "frequency_penalty"),
        ({"logit_bias": {"5": 101}}, "logit_bias"),
        ({"logit_bias": {"five": 1}}, "logit_bias"),
        ({"logit_bias": {"99999": 1}}, "vocabulary"),
        ({"functions": [{"name": "f"}]}, "functions"),
        ({"reasoning_effort": "high"}, "trained to think"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"response_format": {"type": "grammar"}}, "response_format"),
        ({"max_tokens": 50_001}, "max_tokens"),
    ],
)
def test_what_is_wrong_is_a_400_that_says_so(
    served: Served, client: openai.OpenAI, changes: dict[str, Any], names: str
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model=served.name, **greedy() | changes)
    body = caught.value.body
    assert isinstance(body, dict) and set(body) == {"message", "type", "param", "code"}
    assert body["type"] == "invalid_request_error" and names in body["message"]
    assert "\n" not in body["message"]


def test_another_model_is_a_404(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(model="gpt-9", **greedy())
    assert caught.value.code == "model_not_found"


def test_too_long_a_prompt_is_said_before_the_stream(served: Served, client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model=served.name, stream=True, **greedy(messages=user("x" * 70_000)))
    assert caught.value.code == "context_length_exceeded"
