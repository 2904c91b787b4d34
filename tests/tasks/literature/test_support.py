from __future__ import annotations

import pytest

from aris.tasks.literature.conflicts import find_conflicts
from aris.tasks.literature.support import check, check_written, direction_clash, directions, nearest, numbers, stem

PASSAGE = (
    "We aimed to test whether zinc shortens colds. Of 199 adults, those given zinc acetate 80 mg/day recovered 2.3 days "  # noqa: E501
    "sooner. Zinc reduced the duration of the common cold. Nausea was not associated with zinc. It may help children."
)


@pytest.mark.parametrize(
    "sentence",
    [
        "Zinc reduced the duration of the common cold.",
        "The common cold's duration was reduced by zinc.",
        "Adults given zinc acetate 80 mg/day recovered 2.3 days sooner.",
        "Nausea was not associated with zinc.",
    ],
)
def test_supported(sentence: str) -> None:
    assert check(sentence, PASSAGE).verdict == "supported"
    assert check_written(sentence, PASSAGE).verdict == "supported"


@pytest.mark.parametrize(
    ("sentence", "said"),
    [
        ("Zinc increased the duration of the common cold.", "opposite"),
        ("Zinc did not reduce the duration of the common cold.", "denies"),
        ("Nausea was associated with zinc.", "denies"),
        ("Adults given zinc acetate 80 mg/day recovered 3.2 days sooner.", "number"),
        ("Adults given zinc acetate 80 g/day recovered 2.3 days sooner.", "number"),
        ("Of 1,990 adults, those given zinc recovered sooner.", "number"),
        ("COVID-19 adults given zinc recovered sooner.", "name"),
        ("Vitamin C shortens influenza in the elderly.", "words"),
        ("It helps children.", "certain"),
        ("Zinc shortens colds.", "only asks"),
        ("Zinc reduced nausea.", "single statement"),
        ("There is an association between zinc and adults.", ""),
    ],
)
def test_refused(sentence: str, said: str) -> None:
    found = check_written(sentence, PASSAGE)
    assert found.verdict != "supported" and said in found.reason, found


def test_numbers_with_units() -> None:
    assert [value for value, _ in numbers("5 mg and 1,200 patients, 0.50 %, two trials, 10-20 mmHg, p = -0.3")] == [
        (5, "mg"), (1200, "patient"), (0.5, "%"), (10, ""), (20, "mmhg"), (-0.3, ""), (2, ""),
    ]  # fmt: skip
    assert numbers("12 percent")[0][0] == numbers("12%")[0][0] == (12, "%")
    assert numbers("5 µg")[0][0] == numbers("5 mcg")[0][0]


def test_words_without_their_endings() -> None:
    assert stem("reduced") == stem("reduces") == stem("reducing")
    assert stem("infections") == stem("infection")
    assert stem("zinc") == "zinc"


def test_directions() -> None:
    assert directions("Mortality increased") == {"up"}
    assert directions("no significant increase in mortality") == {"no up"}
    assert "no linked" in directions("was not associated with a worse outcome")
    assert directions("angiotensin converting enzyme inhibitors") == set()
    assert not direction_clash("Mortality increased", "Mortality rose")
    assert direction_clash("It raised the risk.", "It was not associated with a higher risk.")


def test_nearest_statement() -> None:
    assert nearest("duration of the cold with zinc", PASSAGE, most=1) == "Zinc reduced the duration of the common cold."


def test_papers_that_disagree() -> None:
    question = "Does vitamin D prevent respiratory infections?"
    pair = [
        (1, 11, "Vitamin D reduced the risk of respiratory infections in adults."),
        (2, 12, "Vitamin D did not reduce respiratory infections in adults."),
        (3, 13, "Vitamin D reduced fractures in nursing homes."),
        (4, 11, "Vitamin D did not reduce the risk of respiratory infections."),
    ]
    (clash,) = find_conflicts(question, pair[:3])
    assert clash.numbers == (1, 2) and clash.first == pair[0][2]
    assert find_conflicts(question, [pair[0], pair[3]]) == ()  # one paper does not contradict itself
    assert find_conflicts(question, [pair[0], pair[2]]) == ()
