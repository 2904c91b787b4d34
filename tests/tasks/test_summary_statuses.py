"""Statuses in summaries and answers: nothing refuted, planned, cancelled or unsigned is told as if it were so."""

from __future__ import annotations

import base64
import re
from typing import Any

from aris.errors import PromptError
from aris.records import Timeline, parse_when, timeline_of
from aris.tasks.summary import RecordAnswer, Summary, as_text, ask_record, summarize
from aris.tasks.summary.measurements import series_of
from aris.tasks.summary.omissions import omissions
from fhir_resources import allergy, condition, observation, patient, request
from scripted_backend import ScriptedBackend

MORE = "More of this kind is documented than is shown here: see the record."
P = {"reference": "Patient/p"}


def section(found: Summary, title: str) -> list[str]:
    return [s.text for each in found.sections if each.title == title for s in each.statements]


def facts(found: RecordAnswer) -> list[str]:
    return [s.text for s in found.facts]


def record(*resources: dict[str, Any]) -> Timeline:
    return timeline_of([patient(), *resources])


def verified(code: str) -> dict[str, Any]:
    return {"verificationStatus": {"coding": [{"code": code}]}}


def test_an_allergy_that_was_refuted_or_is_over_is_told_so_in_answers() -> None:
    over = {"clinicalStatus": {"coding": [{"code": "resolved"}]}}
    found = record(allergy("1", "Penicillin", **verified("refuted")), allergy("2", "Latex", **over))
    told = facts(ask_record(found, "Which allergies?"))
    assert "Allergy, Penicillin: refuted" in told
    assert any(each.startswith("Allergy, Latex: resolved") for each in told)


def stated_allergy(words: str) -> dict[str, Any]:
    return {"resourceType": "AllergyIntolerance", "id": "1", "patient": P, "code": {"text": words}}


def test_no_known_allergies_in_words_is_no_allergy() -> None:
    for words in ("No Known Allergies", "NKDA", "No known drug allergy"):
        found = summarize(record(stated_allergy(words)))
        assert section(found, "Allergies") == [f"The record states: {words}"]
        assert not found.omissions
    real = summarize(record(stated_allergy("Latex")))
    assert section(real, "Allergies") == ["Latex: allergy or intolerance"]


def test_orders_that_forbid_or_propose_are_told_so() -> None:
    order = {"resourceType": "ServiceRequest", "status": "active", "subject": P, "code": {"text": "Chest CT"}}
    told = facts(ask_record(record({**order, "id": "1", "intent": "order", "doNotPerform": True}), "Chest CT?"))
    assert told == ["Must not be done (active): Chest CT"]
    assert facts(ask_record(record({**order, "id": "1", "intent": "proposal"}), "Chest CT?")) == [
        "Planned (active): Chest CT"
    ]


def test_the_last_contact_is_one_that_took_place() -> None:
    visit = {"resourceType": "Encounter", "class": {"code": "AMB"}, "subject": P}
    found = summarize(record(
        {**visit, "id": "1", "status": "finished", "type": [{"text": "Visit"}], "period": {"start": "2020-01-01"}},
        {**visit, "id": "2", "status": "cancelled", "type": [{"text": "Check"}], "period": {"start": "2020-02-01"}},
        {**visit, "id": "3", "status": "planned", "type": [{"text": "Check"}], "period": {"start": "2020-03-01"}},
    ))  # fmt: skip
    assert section(found, "One-liner")[0].endswith("last contact 2020-01-01: Visit")


def pressure(id: str, low: float = 70, **systolic: Any) -> dict[str, Any]:
    code = {"coding": [{"system": "http://loinc.org", "code": "8480-6"}], "text": "Systolic"}
    lower = {"coding": [{"system": "http://loinc.org", "code": "8462-4"}], "text": "Diastolic"}
    return {
        "resourceType": "Observation", "id": id, "status": "final", "subject": P, "code": {"text": "Blood pressure"},
        "effectiveDateTime": "2020-01-01",
        "component": [{"code": code, **systolic}, {"code": lower, "valueQuantity": {"value": low, "unit": "mmHg"}}],
    }  # fmt: skip


def test_a_blood_pressure_in_words_or_with_a_comparator() -> None:
    found = section(summarize(record(pressure("1", valueString="not heard"))), "Results")
    assert "Systolic: not heard on 2020-01-01" in found and "Diastolic: 70 mmHg on 2020-01-01" in found
    above = {"valueQuantity": {"value": 250, "unit": "mmHg", "comparator": ">"}}
    told = section(summarize(record(pressure("1", **above))), "Results")
    assert told == ["Blood pressure: >250/70 mmHg on 2020-01-01"]


def test_two_blood_pressures_of_the_same_time_are_both_told() -> None:
    high = {"valueQuantity": {"value": 188, "unit": "mmHg"}, "interpretation": [{"coding": [{"code": "HH"}]}]}
    usual = {"valueQuantity": {"value": 120, "unit": "mmHg"}}
    for order in ((high, usual), (usual, high)):
        (told,) = section(summarize(record(pressure("1", **order[0]), pressure("2", 71, **order[1]))), "Results")
        assert "120" in told and "188" in told and "critically high" in told


def test_flags_in_words_and_flags_of_change_hide_no_abnormal_result() -> None:
    normal_range = {"referenceRange": [{"low": {"value": 0.6}, "high": {"value": 1.2}}]}
    for flag in ({"text": "critical high"}, {"coding": [{"code": "U"}]}, {"text": "High"}):
        found = record(observation("1", 6.1, interpretation=[flag], **normal_range))
        assert [o.kind for o in omissions(found, None, [])] == ["abnormal result"], flag
    for flag in ({"coding": [{"code": "N"}]}, {"text": "Not high"}):
        assert not omissions(record(observation("1", 1.0, interpretation=[flag], **normal_range)), None, [])


def test_two_doses_of_a_drug_in_use_are_both_told() -> None:
    found = summarize(record(
        request("1", "Insulin glargine", dosageInstruction=[{"text": "10 units in the morning"}]),
        request("2", "Insulin glargine", dosageInstruction=[{"text": "20 units at night"}], authoredOn="2019-05-07"),
    ))  # fmt: skip
    (told,) = [s for each in found.sections if each.title == "Medications" for s in each.statements]
    assert "20 units at night" in told.text and "also active: 10 units in the morning" in told.text
    assert set(told.cites) == {"MedicationRequest/1", "MedicationRequest/2"}


def test_a_dispense_that_was_declined_is_not_told_as_dispensed() -> None:
    dispense = {"resourceType": "MedicationDispense", "id": "1", "subject": P, "whenPrepared": "2020-01-01",
                "medicationCodeableConcept": {"text": "Codeine"}}  # fmt: skip
    assert "Codeine" in str(section(summarize(record({**dispense, "status": "completed"})), "Medications"))
    assert "Codeine" not in str(section(summarize(record({**dispense, "status": "declined"})), "Medications"))


def test_specimens_known_by_their_ids_do_not_part_a_test() -> None:
    code = {"coding": [{"system": "urn:lab", "code": "L7"}], "text": "Monocytes"}
    drawn = [
        observation(str(n), 1.0 + n, time=f"2020-01-0{n}", specimen={"reference": f"Specimen/{n}"}) | {"code": code}
        for n in (1, 2, 3)
    ]
    (found,) = series_of(record(*drawn))
    assert [m.value for m in found.values] == [2.0, 3.0, 4.0]
    urine = observation("4", 9.0, code="x", specimen={"display": "Urine"}) | {"code": code}
    assert len(series_of(record(*drawn, urine))) == 2


def test_of_results_of_the_same_time_the_corrected_one_counts() -> None:
    first = observation("1", 6.9, "mmol/L", code="2823-3", text="Potassium")
    corrected = observation("2", 4.2, "mmol/L", code="2823-3", text="Potassium", status="corrected")
    for order in ((first, corrected), (corrected, first)):
        latest = record(*order).latest("2823-3")
        assert latest is not None and latest.value == 4.2


def test_unsigned_reports_and_notes_are_told_so() -> None:
    report = {
        "resourceType": "DiagnosticReport", "id": "1", "status": "preliminary", "subject": P,
        "code": {"text": "Chest CT"}, "effectiveDateTime": "2020-01-01", "conclusion": "Large embolus.",
    }  # fmt: skip
    data = base64.b64encode(b"Stable.").decode()
    note = {
        "resourceType": "DocumentReference", "id": "1", "status": "superseded", "subject": P, "date": "2020-01-02",
        "type": {"text": "Progress note"}, "content": [{"attachment": {"contentType": "text/plain", "data": data}}],
    }  # fmt: skip
    found = record(report, note)
    events = section(summarize(found), "Recent events")
    assert events == [
        '2020-01-02: Progress note; superseded; "Stable."', '2020-01-01: Chest CT; preliminary; "Large embolus."'
    ]  # fmt: skip
    assert facts(ask_record(found, "embolus?")) == ['2020-01-01: Chest CT (preliminary): "Large embolus."']


def test_a_document_that_is_not_finished_or_an_error_is_no_finished_note() -> None:
    data = base64.b64encode(b"Stable.").decode()
    note = {
        "resourceType": "DocumentReference", "id": "1", "status": "current", "subject": P, "date": "2020-01-02",
        "type": {"text": "Progress note"}, "content": [{"attachment": {"contentType": "text/plain", "data": data}}],
    }  # fmt: skip
    told = section(summarize(record({**note, "docStatus": "preliminary"})), "Recent events")
    assert told == ['2020-01-02: Progress note; preliminary; "Stable."']
    assert [e.reason for e in record({**note, "docStatus": "entered-in-error"}).excluded] == ["entered in error"]
    assert section(summarize(record({**note, "docStatus": "final"})), "Recent events") == [
        '2020-01-02: Progress note; "Stable."'
    ]


def test_two_values_of_the_same_time_are_both_told_and_an_abnormal_one_is_not_hidden() -> None:
    low = {"interpretation": [{"coding": [{"code": "L"}]}]}
    first = observation("1", 55.0, "mL/min/{1.73_m2}", code="48642-3", text="eGFR", **low)
    second = observation("2", 64.0, "mL/min/{1.73_m2}", code="48643-1", text="eGFR")
    for order in ((first, second), (second, first)):
        found = record(*order)
        (told,) = [s for each in summarize(found).sections if each.title == "Results" for s in each.statements]
        assert "55 mL" in told.text and "64 mL" in told.text and "low" in told.text
        assert set(told.cites) == {"Observation/1", "Observation/2"}
        assert [o.kind for o in omissions(found, None, [])] == ["abnormal result"]


def test_a_report_that_is_only_a_pdf_is_named() -> None:
    report = {
        "resourceType": "DiagnosticReport", "id": "1", "status": "final", "subject": P, "code": {"text": "Chest CT"},
        "effectiveDateTime": "2020-01-01", "presentedForm": [{"contentType": "application/pdf", "data": "AAAA"}],
    }  # fmt: skip
    assert section(summarize(record(report)), "Recent events") == [
        "2020-01-01: Chest CT; an attachment that is not read (application/pdf)"
    ]


def test_an_answered_order_is_not_told_as_without_a_report_and_long_lists_say_so() -> None:
    order = {"resourceType": "ServiceRequest", "status": "active", "intent": "order", "subject": P}
    stay = {"resourceType": "Encounter", "id": "1", "status": "finished", "class": {"code": "IMP"}, "subject": P,
            "period": {"start": "2020-01-01"}}  # fmt: skip
    report = {"resourceType": "DiagnosticReport", "id": "1", "status": "final", "subject": P, "code": {"text": "CT"},
              "basedOn": [{"reference": "ServiceRequest/1"}], "effectiveDateTime": "2020-01-01"}  # fmt: skip
    found = summarize(record(stay, report, {**order, "id": "1", "code": {"text": "CT"}}), form="discharge")
    assert section(found, "Follow-up") == ["Ordered, a report is here (active): CT"]
    many = [{**order, "id": str(n), "code": {"text": f"Test {chr(65 + n)}"}} for n in range(30)]
    assert section(summarize(record(*many)), "Open questions").count(MORE) == 1
    assert MORE in as_text(summarize(record(*many), form="ipass")).split("ACTION LIST")[1].split("SITUATION")[0]


class Short(ScriptedBackend):
    """Says each fact of a prompt again, and refuses prompts that are longer than it reads."""

    def generate(self, messages: Any, options: Any = None) -> Any:
        prompt = messages[-1].content[0].text
        if len(prompt) > 14_000:
            raise PromptError("the prompt is too long")
        wanted = re.findall(r"\d+", prompt.partition("from the facts ")[2].partition(".")[0])
        facts = dict(re.findall(r"^\[(\d+)\] (.+)$", prompt, re.MULTILINE))
        self.pieces = ("\n".join(f"{facts[n]} [{n}]" for n in wanted),)
        return super().generate(messages, options)


def test_citations_of_a_second_part_are_those_of_its_own_facts() -> None:
    many = [condition(str(n), f"{word} disease") for n, word in enumerate(["Heart", "Liver", "Lung"] * 50)]
    old = "of the old kind " * 4
    names = [each | {"code": {"text": f"{each['code']['text']} {old}{n}"}} for n, each in enumerate(many)]
    found = summarize(record(*names, allergy("a", "Penicillin")), Short())
    (allergies,) = [each for each in found.sections if each.title == "Allergies"]
    assert allergies.by == "model" and allergies.statements[0].cites == ("AllergyIntolerance/a",)
    assert not [each for each in found.struck if each.section == "Allergies"]


def test_a_time_with_spaces_around_it() -> None:
    when = parse_when(" 2019-03-04 ")
    assert when is not None and when.day == "2019-03-04"
