"""One parser for choices, which takes the whole option."""

from __future__ import annotations

import pytest

from aris.prompting.builders import COLORECTAL_TISSUES, lettered
from aris.tasks.text.options import parse_option


@pytest.mark.parametrize("form", ["{}", " {}\n", "**{}**", "The answer is {}.", "Final Answer: {}", "({}"])
def test_the_whole_option_in_many_forms(form: str) -> None:
    for index, option in enumerate(lettered(COLORECTAL_TISSUES)):
        assert parse_option(form.format(option), COLORECTAL_TISSUES) == index


@pytest.mark.parametrize(
    ("answer", "wanted"),
    [
        ("C", 2), ("(c)", 2), ("C.", 2), ("Final Answer: C", 2), ("normal colon mucosa", 6), ("Mucus", 4),
        ("It is debris, not adipose. Final Answer: C: debris", 2), ("the tissue looks like smooth muscle", 5),
        ("A: debris", 2), ("adipose or debris", None), ("I cannot tell", None), ("", None), ("Z", None),
        ("A: adipose\nB: background", None), ("A good picture", None),
    ],
)  # fmt: skip
def test_answers(answer: str, wanted: int | None) -> None:
    assert parse_option(answer, COLORECTAL_TISSUES) == wanted
