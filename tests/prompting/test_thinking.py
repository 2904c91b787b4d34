"""Thought and answer, whole and in pieces."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prompting_strategies import GENERATED

from aris.prompting import ThinkingSplitter, split_thinking, system, user, with_thinking
from aris.prompting.thinking import BEGIN_REASONING, END_REASONING, THINKING_INSTRUCTION


@pytest.mark.parametrize(
    ("reply", "thought", "answer"),
    [
        ("<unused94>thought\nLook at the apex.\n<unused95>No pneumothorax.", "Look at the apex.", "No pneumothorax."),
        ("<unused94>thought\nA.<unused95>\n\nB.\n", "A.", "B.\n"),
        ("<unused94>A.<unused95>B.", "A.", "B."),
        ("<unused94>thoughtful<unused95>B.", "thoughtful", "B."),
        ("<unused94>thought\nno end", "no end", ""),
        ("<unused94>thou", "", ""),
        ("<unused94>", "", ""),
        ("<unused94>thought\n<unused95>", "", ""),
        ("plain answer", None, "plain answer"),
        (" plain <unused9", None, " plain <unused9"),
        ("<unused94>thought\nA<unused9", "A<unused9", ""),
        ("thought\nplain", None, "thought\nplain"),
        ("", None, ""),
        ("x <unused95> y", None, "x  y"),
        ("\n<unused94>thought\nA<unused95>B", "A", "\nB"),
        ("<unused94>thought\nA<unused95>B<unused94>thought\nC<unused95> D", "AC", "BD"),
        ("<unused94>A <unused94> B<unused95>C", "A  B", "C"),
    ],
)
def test_split(reply: str, thought: str | None, answer: str) -> None:
    assert split_thinking(reply) == (thought, answer)


FRAGMENTS = st.sampled_from(
    [
        *(BEGIN_REASONING, END_REASONING, "thought\n", "thought", "\n", " "),
        *("<", "<unused", "<unused9", "94>", "5>", "Normal."),
    ]
)


@settings(GENERATED, max_examples=100)
@given(st.lists(FRAGMENTS, max_size=9).map("".join), st.data())
def test_pieces_do_not_matter(reply: str, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(reply)), max_size=8)))
    splitter = ThinkingSplitter()
    segments = []
    for start, end in zip([0, *cuts], [*cuts, len(reply)], strict=True):
        segments += splitter.push(reply[start:end])
    segments += splitter.flush()
    thought = "".join(segment.text for segment in segments if segment.kind == "reasoning")
    answer = "".join(segment.text for segment in segments if segment.kind == "answer")
    assert (thought.strip() if splitter.reasoning_seen else None, answer) == split_thinking(reply)
    assert all(segment.text for segment in segments)


def test_no_part_of_a_marker_ever_comes_out() -> None:
    splitter = ThinkingSplitter()
    reply = "<unused94>thought\nAir?<unused95>  None."
    seen = [(splitter.push(char), splitter.thinking) for char in reply]
    assert "".join(segment.text for segments, _ in seen for segment in segments) == "Air?None."
    assert all("<" not in segment.text for segments, _ in seen for segment in segments)
    assert [segment.text for segments, _ in seen for segment in segments] == [*"Air?None."]
    assert not splitter.thinking and splitter.reasoning_seen


def test_text_is_not_held_back_longer_than_needed() -> None:
    splitter = ThinkingSplitter()
    assert [segment.text for segment in splitter.push("FEV1 < 80 %")] == ["FEV1 < 80 %"]
    assert [segment.text for segment in splitter.push(" <unused")] == [" "]
    assert [segment.text for segment in splitter.push("d>")] == ["<unusedd>"]
    assert splitter.flush() == []


def test_asking_for_a_thought() -> None:
    assert with_thinking([user("x")]) == [system(THINKING_INSTRUCTION), user("x")]
    both = with_thinking([system("You are a helpful medical assistant."), user("x")])
    assert both == [system(f"{THINKING_INSTRUCTION} You are a helpful medical assistant."), user("x")]
    assert with_thinking([]) == [system(THINKING_INSTRUCTION)]
