"""Versions without meta, copies of panels, and ranges that are for others."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from aris.records import Timeline, timeline_of
from aris.records.scores import UrineSpan
from aris.records.scores.kdigo import urine_stage
from fhir_made import NOW, bundle, iso, observation, patient

HOUR = timedelta(hours=1)


def of(*resources: dict[str, Any], person: dict[str, Any] | None = None) -> Timeline:
    return timeline_of([person or patient(), *resources])


@pytest.mark.parametrize("status", ["entered-in-error", "corrected", "amended"])
@pytest.mark.parametrize("first", [True, False])
def test_a_withdrawal_or_correction_without_meta_is_believed(status: str, first: bool) -> None:
    old = observation("potassium", 6.9, NOW, id="k", version="1", updated=NOW)
    bare = observation("potassium", 4.1, NOW, id="k", status=status)
    found = of(*((bare, old) if first else (old, bare)))
    values = [each.value for each in found.measurements]
    assert values == ([] if status == "entered-in-error" else [4.1])
    assert any("with and without a version" in each.what for each in found.problems)
    later = found.known_at(NOW + HOUR)
    assert 6.9 not in [each.value for each in later.measurements]


def test_a_bare_copy_that_says_nothing_new_counts_as_older() -> None:
    new = observation("potassium", 4.1, NOW, id="k", version="2", updated=NOW)
    found = of(new, observation("potassium", 6.9, NOW, id="k"))
    assert [each.value for each in found.measurements] == [4.1]
    withdrawn = observation("potassium", 4.1, NOW, id="k", version="2", updated=NOW, status="entered-in-error")
    assert not of(withdrawn, observation("potassium", 6.9, NOW, id="k", status="corrected")).measurements


@pytest.mark.parametrize("first", [True, False])
def test_of_two_bare_copies_the_withdrawn_one_counts(first: bool) -> None:
    one = observation("potassium", 6.9, NOW, id="k")
    wrong = observation("potassium", 6.9, NOW, id="k", status="entered-in-error")
    found = of(bundle(one), bundle(wrong)) if first else of(bundle(wrong), bundle(one))
    assert not found.measurements


def test_versions_with_numbers_alone_are_ordered_by_them() -> None:
    dated = observation("potassium", 6.9, NOW, id="k", version="2", updated=NOW)
    numbered = observation("potassium", 4.1, NOW, id="k")
    numbered["meta"] = {"versionId": "10"}
    assert [each.value for each in of(numbered, dated).measurements] == [4.1]


def pressure(id: str, systolic: float, diastolic: float, **more: Any) -> dict[str, Any]:
    def part(code: str, value: float) -> dict[str, Any]:
        return {"code": {"coding": [{"system": "http://loinc.org", "code": code}]},
                "valueQuantity": {"value": value, "unit": "mmHg", "system": "http://unitsofmeasure.org",
                                  "code": "mm[Hg]"}}  # fmt: skip

    return {"resourceType": "Observation", "id": id, "status": "final", "subject": {"reference": "Patient/p1"},
            "code": {"coding": [{"system": "http://loinc.org", "code": "85354-9"}], "text": "Blood pressure"},
            "effectiveDateTime": iso(NOW), "issued": iso(NOW),
            "component": [part("8480-6", systolic), part("8462-4", diastolic)]} | more  # fmt: skip


def test_two_blood_pressures_with_one_diastolic_are_two() -> None:
    found = of(pressure("a", 120, 80), pressure("b", 160, 80))
    assert [(each.id, each.value) for each in found.measurements] == [
        ("Observation/a", 120), ("Observation/a", 80), ("Observation/b", 160), ("Observation/b", 80),
    ]  # fmt: skip
    same = of(pressure("a", 120, 80), pressure("b", 120, 80))
    assert len(same.measurements) == 2 and len(same.excluded) == 2


def test_of_two_copies_the_one_that_was_known_first_is_kept() -> None:
    late = observation("potassium", 6.9, NOW, id="late", issued=NOW + 5 * HOUR)
    found = of(late, observation("potassium", 6.9, NOW, id="soon"))
    assert [each.id for each in found.measurements] == ["Observation/soon"]
    assert len(found.known_at(NOW + HOUR).measurements) == 1


def limit(high: float, **more: Any) -> dict[str, Any]:
    unit = {"unit": "g/dL", "system": "http://unitsofmeasure.org", "code": "g/dL"}
    return {"low": {"value": high - 4, **unit}, "high": {"value": high, **unit}} | more


def years(low: float | None = None, high: float | None = None) -> dict[str, Any]:
    ends = {"low": low, "high": high}
    return {"age": {name: {"value": value, "unit": "a", "system": "http://unitsofmeasure.org", "code": "a"}
                    for name, value in ends.items() if value is not None}}  # fmt: skip


def sex(word: str) -> dict[str, Any]:
    return {"appliesTo": [{"text": word}]}


@pytest.mark.parametrize(
    ("ranges", "high"),
    [
        ([limit(12, **years(high=12))], None),  # a child's, of a woman of 60
        ([limit(16, **years(18))], 16),
        ([limit(12, **years(high=12)), limit(16, **years(18))], 16),
        ([limit(17, **sex("male"))], None),
        ([limit(15, **sex("female"))], 15),
        ([limit(17, **sex("Male")), limit(15, **sex("Female"))], 15),
        ([limit(14), limit(15, **sex("female"))], 15),  # hers goes before everybody's
        ([limit(14), limit(17, **sex("male"))], 14),
        ([limit(13, **sex("of another kind"))], None),
        ([limit(15, **sex("female"), **years(50)), limit(14, **sex("female"), **years(18, 49))], 15),
    ],
)
def test_a_range_is_chosen_by_age_and_sex(ranges: list[dict[str, Any]], high: float | None) -> None:
    given = observation("haemoglobin", 13, NOW, referenceRange=ranges)
    found = of(given)
    (result,) = found.measurements
    assert (result.range.high if result.range else None) == high
    if high is None:
        assert any("for others" in each.what for each in found.problems)


def test_the_range_is_of_the_age_at_the_time_of_the_result() -> None:
    ranges = [limit(12, **years(high=17)), limit(16, **years(18))]
    born = patient(age=20) | {"birthDate": "2004-06-01"}
    then = NOW.replace(year=2010)
    found = of(observation("haemoglobin", 13, then, id="a", referenceRange=ranges),
               observation("haemoglobin", 13, NOW, id="b", referenceRange=ranges), person=born)  # fmt: skip
    assert [each.range.high for each in found.measurements if each.range] == [12, 16]


def test_urine_is_counted_once() -> None:
    def span(start: float, end: float, ml: float, id: str = "") -> UrineSpan:
        return UrineSpan(NOW + start * HOUR, NOW + end * HOUR, ml, id)

    hours = [span(each, each + 1, 20, f"h{each}") for each in range(8)]
    stage, why, _ = urine_stage(hours, 70, NOW + 8 * HOUR)
    assert stage == 1 and "0.29" in why
    both = urine_stage([*hours, span(0, 8, 160, "sum")], 70, NOW + 8 * HOUR)
    assert both[:2] == (stage, why)  # a sum beside its hours is no second volume
    more = urine_stage([*hours[:4], span(0, 8, 400, "sum")], 70, NOW + 8 * HOUR)
    assert more[0] == 0  # what the hours do not have is the sum's
    two = urine_stage([*hours, *(span(each, each + 1, 30, f"k{each}") for each in range(8))], 70, NOW + 8 * HOUR)
    assert two[0] == 0  # two catheters, and both count


def test_a_drug_was_in_use_before_a_later_version_told_it_as_over() -> None:
    def taken(**more: Any) -> dict[str, Any]:
        return {"resourceType": "MedicationStatement", "id": "m", "status": "completed",
                "subject": {"reference": "Patient/p1"}, "medicationCodeableConcept": {"text": "Warfarin"},
                "meta": {"lastUpdated": iso(NOW)}, "dateAsserted": iso(NOW - 90 * 24 * HOUR)} | more  # fmt: skip

    dates = {"start": iso(NOW - 60 * 24 * HOUR), "end": iso(NOW - 2 * 24 * HOUR)}
    (drug,) = of(taken(effectivePeriod=dates)).medications
    assert drug.current_at(NOW - 30 * 24 * HOUR) is True
    assert drug.current_at(NOW - 70 * 24 * HOUR) is False and drug.current_at(NOW) is False
    (open_,) = of(taken(effectivePeriod={"start": dates["start"]})).medications
    assert open_.current_at(NOW - 30 * 24 * HOUR) is None and open_.current_at(NOW) is False
