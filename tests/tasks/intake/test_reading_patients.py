"""Patients' words: negations, misspellings, relatives, the past, measures and ages."""

from __future__ import annotations

import random
import string

import pytest

from aris.tasks.intake.lexicon import lexicon
from aris.tasks.intake.measures import DAYS, ages, hours, measured
from aris.tasks.intake.reading import read
from aris.tasks.intake.spelling import distance


def statuses(text: str, **keywords: object) -> dict[str, str]:
    found: dict[str, str] = {}
    for each in read(text, **keywords):  # type: ignore[arg-type]
        if found.get(each.finding) != "present":
            found[each.finding] = each.status
    return found


@pytest.mark.parametrize(
    ("text", "finding", "status"),
    [
        ("no chest pain", "chest_pain", "absent"),
        ("I don't have any chest pain", "chest_pain", "absent"),
        ("no, I can't breathe", "breathing_severe", "present"),
        ("no fever, can't breathe", "breathing_severe", "present"),
        ("no headache, no vision changes, cannot speak properly", "speech_trouble", "present"),
        ("no cough, unable to swallow my saliva", "cannot_swallow_spit", "present"),
        ("No fever, crushing chest pain", "chest_pressure", "present"),
        ("no medical history, severe chest pain", "chest_pain", "present"),
        ("no pain, face drooping on one side", "face_droop", "present"),
        ("no fever, severe headache or chest pain", "headache_severe", "absent"),
        ("denies fever, severe headache, confusion", "headache_severe", "absent"),
        ("no fever, cough, chest pain", "chest_pain", "absent"),
        ("no fever, not confused", "confusion", "absent"),
        ("I don't have any chest pain right now but I had it an hour ago", "chest_pain", "present"),
        ("no chest pain but I had a cough", "chest_pain", "absent"),
        ("my son hasn't woken up", "unconscious", "present"),
        ("nobody can wake him", "unconscious", "present"),
        ("neither of my legs work", "both_legs", "present"),
        ("heaviness in chest", "chest_pressure", "present"),
        ("I think I'm having a miscarriage", "pregnant_said", "present"),
        ("what's the point of living", "suicidal", "present"),
        ("I'm scared to go home", "abuse_partner", "present"),
        ("chest pain yesterday, gone now", "chest_pain", "present"),
        ("never had chest pain like this before", "chest_pain", "present"),
        ("not sure if it is chest pain", "chest_pain", "present"),
        ("I had a seizure last year", "seizure", "past"),
        ("I had a seizure last year and another one today", "seizure", "present"),
        ("as a child I had seizures, now I need a form", "seizure", "past"),
        ("my mother died of a stroke at age 60", "stroke_said", "other"),
        ("my husband has chest pain", "chest_pain", "present"),
        ("my son has a history of asthma and can't breathe", "breathing_severe", "present"),
        ("ruled out heart attack last month, crushing chest pain now", "chest_pressure", "present"),
        ("past medical history: seizures, diabetes", "seizure", "past"),
        ("dad says he feels like death and is sweating", "sweating", "present"),
        ("if I get chest pain, whom do I call?", "chest_pain", "if"),
        ("I don't want to live any more", "suicidal", "present"),
        ("no thoughts of suicide", "suicidal", "absent"),
        ("numbness gone after ten minutes", "numb_tingling", "present"),
        ("I'm not going to kill myself but I think about it every day", "suicidal", "present"),
        ("not suicidal, just thinking about dying a lot", "suicidal", "present"),
        ("no thoughts of suicide but I am tired", "suicidal", "absent"),
        ("hx of angina, his spray hasn't touched it", "chest_pain_lasting", "present"),
        ("what are the signs of sepsis, my son has a fever", "fever", "present"),
        ("what are the signs of sepsis?", "sepsis_said", "if"),
        ("I have signs of a stroke", "stroke_said", "present"),
        ("I watched a film on strokes last night", "stroke_said", "other"),
        ("I read about strokes and I think I'm having one", "stroke_said", "present"),
        ("my neighbour took an overdose last year", "overdose", "other"),
        ("my daughter took an overdose last year", "overdose", "present"),
        ("my uncle raped me last year", "sexual_assault", "present"),
        ("I haven't eaten or slept, I hear voices", "hearing_voices", "present"),
        ("I haven't had a fit or a fever, I feel fine", "seizure", "absent"),
        ("a leaflet about strokes for my dad's club", "stroke_said", "other"),
        ("my gran had a stroke at 80", "stroke_said", "other"),
        ("my aunt had anaphylaxis once", "anaphylaxis_said", "other"),
        ("my brother killed himself in 2010", "suicidal", "other"),
        ("seeing bugs that are not there after I stopped drinking", "alcohol_withdrawal", "present"),
    ],
)
def test_status(text: str, finding: str, status: str) -> None:
    assert statuses(text)[finding] == status


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        ("cant breth", "breathing_severe"),
        ("chset pain", "chest_pain"),
        ("siezure", "seizure"),
        ("unconshus", "unconscious"),
        ("diarrea", "diarrhoea"),
        ("vomitting", "vomiting"),
        ("hedache", "headache"),
        ("suiside", "suicidal"),
        ("numb arm and slured speach", "speech_trouble"),
        ("pregnent", "pregnant_said"),
        ("anafilaxis", "anaphylaxis_said"),
    ],
)
def test_misspellings(text: str, finding: str) -> None:
    assert statuses(text).get(finding) == "present"


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        ("this cough is killing me", "suicidal"),
        ("I'm dying for a coffee", "doom"),
        ("I'm fit to fly", "seizure"),
        ("hay fever again", "fever"),
        ("cracked heels", "fracture_possible"),
        ("my hay fever tablets make me drowsy", "drowsy"),
        ("can't breathe through my nose", "breathing_severe"),
        ("cut myself shaving", "self_harm"),
        ("she nearly gave me a heart attack", "heart_attack_said"),
        ("my wife is a stroke nurse", "stroke_said"),
        ("blood pressure 128/82", "low_bp"),
        ("my blood pressure is 85 years of trouble", "low_bp"),
        ("heart rate goes up to 150 when I run", "heart_rate_extreme"),
        ("stubbed my toe", "major_trauma"),
        ("hot flushes", "flashes_floaters"),
        ("I had a coil fitted", "seizure"),
    ],
)
def test_turns_of_phrase_are_no_findings(text: str, finding: str) -> None:
    assert statuses(text).get(finding) != "present"


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        ("my BP is 85", "low_bp"),
        ("blood pressure of 200", "high_bp"),
        ("heart rate 150 when I stand up", "heart_rate_extreme"),
        ("heart rate 150 sitting still", "heart_rate_extreme"),
        ("sugars won't come below 25", "sugar_high"),
        ("blocked nose and I can't breathe", "breathing_severe"),
    ],
)
def test_values_and_symptoms_beside_them_are_still_found(text: str, finding: str) -> None:
    assert statuses(text).get(finding) == "present"


@pytest.mark.parametrize(
    "text",
    [
        "a never ending week",
        "the couch and the chess board",
        "I paint in watercolour",
        "stoke the fire",
        "I lost my keys",
        "blood test",
        "the cheat code",
        "we had a feast",
    ],
)
def test_words_of_their_own_are_no_misspellings(text: str) -> None:
    alarming = {"fever", "cough", "faint", "chest_pain", "stroke_said", "seizure", "weakness", "bleeding_not_stopping"}
    assert not alarming & set(statuses(text))


def test_answers_about_earlier_illness_are_past() -> None:
    assert statuses("heart attack in 2010, seizures", background=True) == {
        "heart_attack_said": "past",
        "seizure": "past",
    } or (statuses("heart attack in 2010, seizures", background=True)["seizure"] == "past")
    assert statuses("warfarin", background=True)["blood_thinner"] == "present"
    assert statuses("chest pain right now", background=True)["chest_pain"] == "present"
    assert statuses("penicillin made my throat swell", background=True)["tongue_throat_swelling"] == "past"


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        ("none but my chest hurts really bad", "chest_pain"),
        ("I take aspirin because I have crushing chest pain", "chest_pressure"),
        ("nuts, and my throat is closing", "tongue_throat_swelling"),
        ("none, my face is drooping", "face_droop"),
        ("metformin. I can't breathe", "breathing_severe"),
    ],
)
def test_what_is_now_is_not_past_in_an_answer_about_medicines(text: str, finding: str) -> None:
    assert statuses(text, background=True)[finding] == "present"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("temp 39.2", {"fever", "fever_high"}),
        ("temperature of 101.3 F", {"fever"}),
        ("38C", {"fever"}),
        ("temp 35.1", {"low_temperature"}),
        ("bp 82/54", {"low_bp"}),
        ("blood pressure 58/28", {"low_bp"}),
        ("BP is now 55/30", {"low_bp"}),
        ("blood pressure 190 over 100", {"high_bp"}),
        ("BP 120/80", set()),
        ("sats 88%", {"low_oxygen"}),
        ("oxygen 97", set()),
        ("pulse 150", {"heart_rate_extreme"}),
        ("sugar is 32", {"sugar_high"} | {"sugar_low"}),
        ("blood sugar 28 mmol/l", {"sugar_high"}),
        ("glucose 45 mg/dl", {"sugar_low"}),
        ("my blood sugar was 3.1", {"sugar_low"}),
        ("sugar 410", {"sugar_high"}),
        ("blood sugar 5.6", set()),
        ("glucose of 110", set()),
        ("two sugars in my tea", set()),
        ("pain 9/10", set()),
        ("born 12/11", set()),
        ("I am 39", set()),
        ("on 38 mg", set()),
    ],
)
def test_measures(text: str, wanted: set[str]) -> None:
    assert {each.finding for each in measured(text)} == wanted


@pytest.mark.parametrize("text", ["my wife and son are well", "a boy and a girl", "my baby 3 days ago fell"])
def test_no_age_is_none(text: str) -> None:
    assert ages(text) == []


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("my 3 week old", 21),
        ("a 2-month-old baby", 2 * DAYS["month"]),
        ("72 yo man", 72 * DAYS["year"]),
        ("baby of 10 days", 10),
        ("two year old", 2 * DAYS["year"]),
        ("newborn", 1),
        ("five-month-old son", 5 * DAYS["month"]),
        ("seventy two years old", 72 * DAYS["year"]),
        ("twenty-five years old", 25 * DAYS["year"]),
        ("70 years and 6 months old", 70.5 * DAYS["year"]),
        ("I'm 70 and dizzy", 70 * DAYS["year"]),
        ("mum is 78, burning up", 78 * DAYS["year"]),
        ("daughter 4, won't drink", 4 * DAYS["year"]),
        ("baby 5 months not drinking", 5 * DAYS["month"]),
    ],
)
def test_ages(text: str, days: float) -> None:
    assert ages(text)[0] == pytest.approx(days)


def test_durations() -> None:
    assert hours("3 days") == 72 and hours("half an hour") is not None and hours("since this morning") == 8
    assert hours("blue") is None


def test_distance_counts_swaps_once() -> None:
    assert distance("pian", "pain") == 1 and distance("abc", "abc") == 0 and distance("kitten", "sitting") == 3


def test_phrases_find_themselves() -> None:
    """The first words of each alternative, joined, are found as their finding."""
    known = lexicon()
    for finding in known.findings.values():
        for phrase in finding.phrases[:3]:
            words = [part.split("|")[0] for part in phrase.split() if part not in ("..", "...")]
            if any(word.startswith("$") or "*" in word for word in words):
                continue
            said = " ".join(word.lstrip("=").rstrip("?").replace("_", " ") for word in words)
            assert finding.name in {hit.finding for hit in known.find(said)}, (finding.name, said)


def test_long_nonsense_and_repetition_are_read_in_bounded_work() -> None:
    letters = random.Random(1)
    nonsense = " ".join("".join(letters.choices(string.ascii_lowercase, k=7)) for _ in range(400))
    assert isinstance(read(nonsense), list)
    repeated = read("pain chest cant breathe arm " * 60)
    assert {each.finding for each in repeated} >= {"breathing_severe", "pain_said"}
    assert len(repeated) < 1000  # places of one finding beyond the first and last few are left out


@pytest.mark.parametrize(
    "text",
    [
        "\u0130\u0130\u0130 chest pain",
        "chest pain \U0001f600",
        "\u202echest pain",
        "CHEST\u00a0PAIN",
        "chest\npain",
        "ch\u00e9st pain",
    ],
)
def test_odd_letters_keep_places(text: str) -> None:
    for each in read(text):
        assert 0 <= each.start < each.end <= len(text)
