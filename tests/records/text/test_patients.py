"""How patients write of what they have and have not: a complaint must not be lost, a denial must not raise it."""

from __future__ import annotations

import pytest

from aris.records.text import Terms, find

WORDS = (
    "chest pain", "can't breathe", "trouble breathing", "fever", "bleeding", "stroke", "seizure", "suicidal",
    "kill myself", "headache", "rash", "stiff neck", "vomiting", "unconscious", "passed out", "pain",
)  # fmt: skip
TERMS = Terms({word: word for word in WORDS}, misspellings=True)
COMPLAINTS = (
    "My family says it's nothing but I have chest pain",
    "no insurance, chest pain since morning",
    "I'm not worried but there is chest pain",
    "I can't stand the chest pain",
    "it's not that bad, just some chest pain",
    "not sure but maybe chest pain",
    "I don't want to bother anyone but I have trouble breathing",
    "chest pain, no idea why",
    "never felt chest pain this bad",
    "I don't have money for the ER and I have chest pain",
    "no one believes my chest pain",
    "the chest pain has not gone away",
    "my chest pain isn't better",
    "chest pain that doesn't stop",
    "couldn't sleep because of chest pain",
    "I can not breathe",
    "he is not breathing well and has a fever",
    "don't know what this rash is",
    "I did not fall, I have a headache",
    "no medication helps the headache",
    "nothing helps the chest pain",
    "not eating, vomiting all day",
    "without any reason I get chest pain",
    "no appetite, fever of 39",
    "no sleep due to pain",
    "I haven't slept, chest pain all night",
    "I don't smoke. chest pain though",
    "chest pain no matter what I do",
    "bleeding won't stop",
    "no period for 2 months and bleeding now",
    "I want to kill myself",
    "I have no reason to live and want to kill myself",
    "it isn't just a headache",
    "not my first seizure",
    "no longer can ignore chest pain",
    "Chest pain: yes",
    "I have not been well, fever",
    "not only fever",
    "my mom thinks I have a stroke",
    "my husband says I passed out",
    "not feeling good fever headache",
    "can't keep anything down, vomiting",
    "no allergies, chest pain",
    "No known allergies; fever",
    "I dont feel good chest pain",
    "never mind the fever, stiff neck is worse",
    "Don't I have a fever?",
    "no, the chest pain is still there",
    "No but chest pain",
    "no. chest pain yes",
)
DENIALS = (
    "no chest pain",
    "I do not have any chest pain or fever",
    "haven't got a fever",
    "no fever or vomiting",
    "chest pain? nope",
    "I never get headaches",
    "denies suicidal thoughts",
    "not suicidal",
    "I am not suicidal",
    "no thoughts to kill myself",
    "I don't want to kill myself",
    "no seizures",
    "without fever",
    "fever: none",
    "no more bleeding",
    "bleeding has stopped",
    "no bleeding, no vomiting, no fever",
    "don't have chst pain",
    "There isn't any bleeding",
    "i have no rash",
    "wasn't unconscious",
    "didn't pass out or passed out",
    "never passed out",
    "no signs of stroke",
    "No trouble breathing.",
    "I would never kill myself",
    "no headache or stiff neck",
    "headache is gone",
    "not vomiting",
    "no rash or fever today",
    "I didn't have any seizure",
    "Doesn't have fever",
    "hasn't had a fever",
)


@pytest.mark.parametrize("text", COMPLAINTS)
def test_a_complaint_is_not_lost(text: str) -> None:
    assert any(mention.present for mention in find(text, TERMS))


@pytest.mark.parametrize("text", DENIALS)
def test_a_denial_raises_nothing(text: str) -> None:
    found = find(text, TERMS)
    assert found
    assert not any(mention.present for mention in found)
