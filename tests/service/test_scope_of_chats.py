"""Chats about images keep to the model's scope, and a client sees why: whole, streamed, and from a remote backend."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from serving import Served, serving, user

import aris
from aris.backends.remote.backend import RemoteBackend
from aris.tasks import ask
from films import filmlike
from imported_late import late
from scripted_backend import spec

openai = late("openai")

NEVER = "tiny is for trying and testing only, never for patient care."
# The tiny model's own scores are noise: a gate that lets every film through, and a finding that is always seen.
CALIBRATION = {
    "findings": {"pneumonia": {"slope": 1e-6, "intercept": 3.0, "threshold": 0.5}},
    "gate": {"slope": 1e-6, "intercept": 5.0, "threshold": 0.5},
}


def uri(pixels: Any) -> str:
    out = io.BytesIO()
    PIL.Image.fromarray(pixels).save(out, "PNG")
    return f"data:image/png;base64,{base64.b64encode(out.getvalue()).decode()}"


FILM = uri(filmlike())
TILE = uri(np.random.default_rng(0).integers(0, 60, (96, 96, 1), dtype=np.uint8) + np.uint8([[[170, 90, 160]]]))


@pytest.fixture(scope="module")
def nano_like(endless_folder: Path) -> Iterator[Served]:
    backend = aris.load(endless_folder, device="cpu", dtype="float32")
    declared = spec(patient_care=False)
    backend.spec = replace(declared, scope=replace(declared.scope, free_answers=False))
    backend.calibration = CALIBRATION
    with serving(backend) as up:
        yield up


def told(client: openai.OpenAI, messages: Any, **changes: Any) -> tuple[str | None, str | None, dict[str, Any]]:
    """Content, refusal and our own field, the same whole and streamed."""
    asked = {"model": "tiny", "messages": messages, "max_tokens": 8, "temperature": 0} | changes
    whole = client.chat.completions.create(**asked)
    message = whole.choices[0].message
    chunks = list(client.chat.completions.create(stream=True, **asked))
    pieces = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    refusals = [chunk.choices[0].delta.refusal for chunk in chunks if chunk.choices[0].delta.refusal]
    assert pieces == (message.content or "") and refusals == ([message.refusal] if message.refusal else [])
    first, *others = [(chunk.model_extra or {}).get("aris") for chunk in chunks]
    assert first == (whole.model_extra or {})["aris"] and not any(others)
    assert first["caution"] == NEVER
    return message.content, message.refusal, first


def test_a_film_in_scope_is_answered_by_its_score(nano_like: Served) -> None:
    content, refusal, notes = told(nano_like.openai(), user(FILM, "Is there pneumonia?"))
    assert content is not None and content.startswith("Yes. pneumonia: present, probability 0.95") and refusal is None
    assert notes["answered"] and any("age and view" in each for each in notes["warnings"])


@pytest.mark.parametrize(
    ("messages", "why"),
    [
        (user(TILE, "Is there pneumonia?"), "coloured"),
        (user(FILM, "Is the heart enlarged?"), "rest on the question"),
        (user(FILM, FILM, "Is there pneumonia?"), "one film at a time"),
        (user("Is there pneumonia?"), "no image was given"),
        ([*user(TILE, "Hello"), {"role": "assistant", "content": "Hi"}, *user("Is there pneumonia?")], "coloured"),
    ],
)
def test_what_it_cannot_answer_is_a_refusal(nano_like: Served, messages: Any, why: str) -> None:
    content, refusal, notes = told(nano_like.openai(), messages)
    assert content == refusal is not None and "cannot answer this" in refusal and why in refusal
    assert not notes["answered"]


def test_a_form_that_cannot_be_kept_has_no_content(nano_like: Served) -> None:
    form = {"structured_outputs": {"choice": ["yes", "no"]}}
    assert told(nano_like.openai(), user(FILM, "Is there pneumonia?"), extra_body=form)[0] == "yes"
    content, refusal, _ = told(nano_like.openai(), user(TILE, "Is there pneumonia?"), extra_body=form)
    assert not content and refusal is not None and "coloured" in refusal


@pytest.mark.parametrize(
    ("pattern", "content"),
    [
        ("Yes|No", "Yes"),
        (r"\p{Lu}\p{Ll}+", "Yes"),  # Rust's syntax, which Python's `re` does not know
        ("(?-u:y)(?i)es", "yes"),
        (r"(((((((((\w*)*)*)*)*)*)*)*)*)*!", ""),  # and one that it would follow for very long
    ],
)
def test_the_word_of_a_score_keeps_to_a_regular_expression(nano_like: Served, pattern: str, content: str) -> None:
    form = {"structured_outputs": {"regex": pattern}}
    given, refusal, _ = told(nano_like.openai(), user(FILM, "Is there pneumonia?"), extra_body=form)
    assert (given or "") == content and (refusal is None) == bool(content)


def test_functions_that_need_not_be_called_leave_the_answer_as_it_is(nano_like: Served) -> None:
    tools = [{"type": "function", "function": {"name": "find_study"}}]
    asked = user(FILM, "Is there pneumonia?")
    plain = told(nano_like.openai(), asked)
    assert plain[1] is None and told(nano_like.openai(), asked, tools=tools) == plain
    content, refusal, _ = told(nano_like.openai(), user(TILE, "Is there pneumonia?"), tools=tools)
    assert content == refusal is not None and "coloured" in refusal
    content, refusal, _ = told(nano_like.openai(), asked, tools=tools, tool_choice="required")
    assert not content and refusal is not None


def test_ignoring_the_scope_is_marked(nano_like: Served) -> None:
    content, refusal, notes = told(nano_like.openai(), user(TILE, "What?"), extra_body={"ignore_scope": True})
    assert content and refusal is None and notes["warnings"][0].startswith("forced")


def test_a_remote_backend_looks_at_the_scope_itself(nano_like: Served, tmp_path: Path) -> None:
    path = tmp_path / "film.png"
    PIL.Image.fromarray(filmlike()).save(path)
    remote = RemoteBackend(f"{nano_like.url}/v1")
    remote.spec = nano_like.api.backend.spec  # "tiny" is no name of the registry
    try:
        assert ask(remote, "Is there pneumonia?", [path]).answer.startswith("Yes. pneumonia: present")
        assert not ask(remote, "Is the heart enlarged?", [path]).answered
        forced = ask(remote, "Is the heart enlarged?", [path], force=True)
        assert forced.answered and forced.forced and "cannot answer" not in forced.answer
    finally:
        remote.close()
