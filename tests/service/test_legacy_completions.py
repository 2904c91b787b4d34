"""/v1/completions with the official client: prompts as they stand, echoes, the legacy log-probabilities."""

from __future__ import annotations

import math
from typing import Any

import pytest
from serving import Served

from aris.backends import NativeBackend, TokenLogprob
from aris.service.openai.logprobs import LegacyLogprobs
from imported_late import late

openai = late("openai")


def greedy(**changes: Any) -> dict[str, Any]:
    return {"prompt": "Yes No", "max_tokens": 8, "temperature": 0} | changes


def test_a_text_and_its_token_ids_are_one_prompt(
    served: Served, client: openai.OpenAI, backend: NativeBackend
) -> None:
    made = client.completions.create(model=served.name, **greedy())
    assert made.object == "text_completion" and made.id.startswith("cmpl-")
    (choice,) = made.choices
    assert choice.finish_reason == "length" and choice.logprobs is None
    ids = backend.tokenizer.encode("Yes No", add_bos=True)
    assert client.completions.create(model=served.name, **greedy(prompt=ids)).choices[0].text == choice.text
    assert made.usage is not None and made.usage.prompt_tokens == len(ids)


def test_many_prompts_and_choices_keep_their_places(served: Served, client: openai.OpenAI) -> None:
    made = client.completions.create(model=served.name, **greedy(prompt=["Yes", "lungs", "Yes"], n=2))
    assert [choice.index for choice in made.choices] == list(range(6))
    texts = [choice.text for choice in made.choices]
    assert texts[0] == texts[1] == texts[4] == texts[5] and texts[2] == texts[3] != texts[0]
    assert made.usage is not None and made.usage.completion_tokens == 48
    ids = [served.api.backend.tokenizer.encode(text, add_bos=True) for text in ("Yes", "lungs")]
    again = client.completions.create(model=served.name, **greedy(prompt=ids))
    assert [choice.text for choice in again.choices] == [texts[0], texts[2]]
    assert again.usage is not None and again.usage.prompt_tokens == sum(map(len, ids))


def test_the_default_length_is_openais(served: Served, client: openai.OpenAI) -> None:
    made = client.completions.create(model=served.name, prompt="Yes", temperature=0)
    assert made.usage is not None and made.usage.completion_tokens == 16


def test_a_stream_is_the_same_in_pieces(served: Served, client: openai.OpenAI) -> None:
    whole = client.completions.create(model=served.name, **greedy(echo=True, logprobs=2))
    chunks = list(
        client.completions.create(
            model=served.name, stream=True, stream_options={"include_usage": True}, **greedy(echo=True, logprobs=2)
        )
    )
    *pieces, last = chunks
    assert last.choices == [] and last.usage == whole.usage
    assert "".join(piece.choices[0].text for piece in pieces) == whole.choices[0].text
    assert pieces[-1].choices[0].finish_reason == "length"
    expected = whole.choices[0].logprobs
    assert expected is not None
    found = [piece.choices[0].logprobs for piece in pieces]
    assert [token for each in found if each for token in each.tokens or ()] == expected.tokens
    assert [offset for each in found if each for offset in each.text_offset or ()] == expected.text_offset


def test_offsets_count_characters_that_are_spelt_in_bytes() -> None:
    spelt = ["a", *(f"<0x{byte:02X}>" for byte in "\N{LUNGS}\N{SNOWMAN}".encode()), "▁b", "<0xF0>", "<eos>", "c"]
    tokens = [TokenLogprob(token, -1.0) for token in spelt]
    builder = LegacyLogprobs({"<eos>"}, 0)
    offsets = [at for part in (tokens[:3], tokens[3:]) for at in builder.add(part).text_offset]
    assert offsets == [0, 1, 1, 1, 1, 2, 2, 2, 3, 5, 6]  # of a\N{LUNGS}\N{SNOWMAN} b\ufffdc


def test_echo_scores_the_prompt(served: Served, client: openai.OpenAI, backend: NativeBackend) -> None:
    """What evaluation harnesses do: max_tokens 0, echo, and the prompt's own log-probabilities."""
    made = client.completions.create(model=served.name, **greedy(max_tokens=0, echo=True, logprobs=3))
    (choice,) = made.choices
    assert choice.text == "Yes No" and made.usage is not None and made.usage.completion_tokens == 0
    logprobs = choice.logprobs
    assert logprobs is not None and logprobs.tokens and logprobs.token_logprobs and logprobs.text_offset
    ids = backend.tokenizer.encode("Yes No", add_bos=True)
    assert logprobs.tokens[0] == "<bos>" and len(logprobs.tokens) == len(ids)
    assert "".join(logprobs.tokens[1:]) == "Yes No"
    assert logprobs.token_logprobs[0] is None
    # The same tokens, generated: their log-probabilities agree with those of a prompt that ends before them.
    for place in range(1, len(ids)):
        step = client.completions.create(model=served.name, **greedy(prompt=ids[:place], max_tokens=1, logprobs=20))
        found = step.choices[0].logprobs
        assert found is not None and found.top_logprobs
        expected = found.top_logprobs[0].get(logprobs.tokens[place])
        if expected is not None:
            assert math.isclose(logprobs.token_logprobs[place] or 0.0, expected, abs_tol=1e-3)
    for at, token in zip(logprobs.text_offset[1:], logprobs.tokens[1:], strict=True):
        assert choice.text[at:].startswith(token)
    # The likeliest tokens of each place too, with the prompt's own among them.
    assert logprobs.top_logprobs is not None and logprobs.top_logprobs[0] is None
    for token, value, top in zip(
        logprobs.tokens[1:], logprobs.token_logprobs[1:], logprobs.top_logprobs[1:], strict=True
    ):
        assert top is not None and top[token] == value and 3 <= len(top) <= 4


def test_control_tokens_of_a_raw_prompt_are_control_tokens(served: Served, client: openai.OpenAI) -> None:
    """Here the caller writes the template, as with every server of this API."""
    chat = client.chat.completions.create(
        model=served.name, messages=[{"role": "user", "content": "Hi"}], max_tokens=8, temperature=0
    )
    prompt = "<bos><start_of_turn>user\nHi<end_of_turn>\n<start_of_turn>model\n"
    made = client.completions.create(model=served.name, **greedy(prompt=prompt))
    assert made.choices[0].text == chat.choices[0].message.content
    assert made.usage is not None and chat.usage is not None
    assert made.usage.prompt_tokens == chat.usage.prompt_tokens


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"prompt": []}, "prompt"),
        ({"prompt": [[]]}, "prompt"),
        ({"prompt": ""}, ""),
        ({"prompt": [5, "a"]}, "prompt"),
        ({"prompt": [10**9]}, "vocabulary"),
        ({"prompt": [-1]}, "prompt"),
        ({"prompt": "<image_soft_token>"}, "image"),
        ({"suffix": "x"}, "suffix"),
        ({"best_of": 4}, "best_of"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"logprobs": 50}, "logprobs"),
        ({"prompt": ["a"] * 20}, "answers in one request"),
    ],
)
def test_what_is_wrong_is_a_400(served: Served, client: openai.OpenAI, changes: dict[str, Any], names: str) -> None:
    if changes == {"prompt": ""}:  # bos alone is a prompt
        assert client.completions.create(model=served.name, **greedy() | changes).choices[0].text
        return
    with pytest.raises(openai.BadRequestError) as caught:
        client.completions.create(model=served.name, **greedy() | changes)
    assert names in str(caught.value.body)
