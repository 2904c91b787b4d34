"""Tests of the table of triggers."""

from __future__ import annotations

import pytest

from aris.records.text.phrases import expand, split_phrases
from aris.records.text.triggers import groups, headings, sections, words


def test_each_phrase_can_be_read_and_each_group_names_a_source() -> None:
    for group in groups():
        assert group.source in ("NegEx", "ConText", "Radiology", "Patients", "Ours")
        assert group.phrases
        for phrase in group.phrases:
            assert expand(phrase), phrase
        assert (group.direction == "none") == (group.kind in ("stop", "pseudo"))
        assert (group.kind in ("stop", "affirmed")) == bool(group.stops)


def test_phrases_with_choices() -> None:
    assert expand("no (new|old)? sign (of)?") == [
        ("no", "sign"), ("no", "sign", "of"), ("no", "new", "sign"), ("no", "new", "sign", "of"),
        ("no", "old", "sign"), ("no", "old", "sign", "of")]  # fmt: skip
    assert expand(r"\( no \)") == [("(", "no", ")")]
    assert expand("can't see") == [("can't", "see"), ("can", "not", "see"), ("could", "not", "see")]
    assert split_phrases("a b, c\n  d\nno \\,") == ["a b", "c d", "no \\,"]
    with pytest.raises(ValueError, match="parentheses"):
        expand("no (new")


def test_lists_hold_words() -> None:
    assert "mother" in words("relatives")
    assert sections()["family history"] == "other"
    assert "social history" in headings()
