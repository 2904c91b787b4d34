"""Tests of `aris.records.extraction.notes` on sentences of our own."""

from __future__ import annotations

import pytest

from aris.records.extraction import note_statements

DRUGS = {name: name for name in ("metformin", "ibuprofen", "penicillin", "warfarin", "lisinopril")}
PROBLEMS = {name: name for name in ("diabetes", "asthma")}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Allergic to penicillin.", [("penicillin", "allergic")]),
        ("Patient denies allergy to penicillin.", [("penicillin", "not allergic")]),
        ("NKDA", [("", "no known allergies")]),
        ("Allergies: penicillin, ibuprofen", [("penicillin", "allergic"), ("ibuprofen", "allergic")]),
        ("He stopped taking metformin last week.", [("metformin", "stopped")]),
        ("Currently on lisinopril and metformin.", [("lisinopril", "taking"), ("metformin", "taking")]),
        ("Not taking warfarin.", [("warfarin", "not taking")]),
        ("No longer on warfarin but takes ibuprofen.", [("warfarin", "stopped"), ("ibuprofen", "taking")]),
        ("Hold metformin before contrast.", [("metformin", "held")]),
        ("Start lisinopril 10 mg daily.", [("lisinopril", "started")]),
        ("Will start warfarin.", [("warfarin", "planned")]),
        ("Metformin was discontinued.", [("metformin", "stopped")]),
        ("Ibuprofen: stopped. Metformin: continue.", [("ibuprofen", "stopped"), ("metformin", "taking")]),
        ("Her mother takes warfarin.", []),
        ("Denies asthma. Has diabetes.", [("asthma", "absent"), ("diabetes", "present")]),
        ("Warfarin was discontinued and metformin continued.", [("warfarin", "stopped"), ("metformin", "taking")]),
        ("Stopped warfarin and metformin.", [("warfarin", "stopped"), ("metformin", "stopped")]),
        ("Restarted metformin.", [("metformin", "taking")]),
        ("Consider starting warfarin.", [("warfarin", "planned")]),
        ("Possible asthma.", [("asthma", "uncertain")]),
        ("Medications:\n- metformin 500 mg\n- lisinopril\n\nAllergies:\npenicillin",
         [("metformin", "taking"), ("lisinopril", "taking"), ("penicillin", "allergic")]),
    ],
)  # fmt: skip
def test_what_a_note_states(text: str, expected: list[tuple[str, str]]) -> None:
    assert [(each.concept, each.state) for each in note_statements(text, DRUGS, PROBLEMS)] == expected


def test_places_are_those_of_the_note() -> None:
    text = "Seen today. Takes warfarin."
    [found] = note_statements(text, DRUGS)
    assert text[found.start : found.end] == found.text == "Takes warfarin."
    assert found.mention is not None
    assert found.mention.text == "warfarin"
