"""FHIR files become timelines; what is damaged is refused in one line or listed, never lost."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from aris.errors import ArisError, RecordError
from aris.records import LOINC, Timeline, read_timeline, read_timelines, timeline_of
from fhir_resources import allergy, bundle, condition, observation, patient, request, verification, written


def of(*resources: dict[str, Any]) -> Timeline:
    return timeline_of([patient(), *resources])


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize("type", ["collection", "searchset", "transaction", "batch", "document", "history"])
def test_a_bundle_of_each_type(tmp_path: Path, type: str) -> None:
    timeline = read_timeline(written(tmp_path / "b.json", bundle(patient(), observation("1", 1.2), type=type)))
    assert timeline.patient.name == "Jane Roe"
    (creatinine,) = timeline.measurements
    assert (creatinine.id, creatinine.value, creatinine.unit) == ("Observation/1", 1.2, "mg/dL")
    assert not timeline.problems


def test_ndjson_gz_folder_and_single_resource_give_the_same(tmp_path: Path) -> None:
    resources = [patient(), observation("1", 1.2), condition("2", "Asthma")]
    lines = "\n".join(json.dumps(r) for r in resources)
    whole = read_timeline(written(tmp_path / "b.json", bundle(*resources)))
    written(tmp_path / "e.ndjson", lines)
    (tmp_path / "e.ndjson.gz").write_bytes(gzip.compress(lines.encode()))
    (tmp_path / "b.json.gz").write_bytes(gzip.compress(json.dumps(bundle(*resources)).encode()))
    folder = tmp_path / "export"
    (folder / "deep").mkdir(parents=True)
    for number, each in enumerate(resources):
        written(folder / "deep" / f"{number}.json", each)
    for path in (tmp_path / "e.ndjson", tmp_path / "e.ndjson.gz", tmp_path / "b.json.gz", folder):
        found = read_timeline(path)
        assert [r.id for r in found] == [r.id for r in whole], path
        assert found.patient.name == whole.patient.name
    written(tmp_path / "one.json", observation("7", 2))
    alone = read_timeline(tmp_path / "one.json")
    assert alone.patient.id == "Patient/p" and alone.measurements[0].id == "Observation/7"


def test_references_by_url_by_urn_by_contained_and_by_identifier() -> None:
    drug = {"resourceType": "Medication", "id": "m", "code": {"text": "Metformin"}}
    made = {
        "resourceType": "Bundle", "type": "collection", "entry": [
            {"fullUrl": "urn:uuid:aaaa", "resource": patient(identifier=[{"system": "s", "value": "42"}])},
            {"fullUrl": "https://x.org/fhir/Medication/9", "resource": {"resourceType": "Medication", "id": "9",
             "code": {"text": "Aspirin"}}},
            {"resource": request("1", "", medicationCodeableConcept=None, subject={"reference": "urn:uuid:aaaa"},
             contained=[drug], medicationReference={"reference": "#m"})},
            {"resource": request("2", "", medicationCodeableConcept=None, subject={"identifier": {"system": "s",
             "value": "42"}}, medicationReference={"reference": "https://x.org/fhir/Medication/9/_history/3"})},
            {"resource": observation("3", 1, subject={"reference": "https://x.org/fhir/Patient/p"})},
        ],
    }  # fmt: skip
    timeline = timeline_of([made])
    assert {m.concept.text for m in timeline.medications} == {"Metformin", "Aspirin"}
    assert {r.patient for r in timeline} == {"Patient/p"}
    assert not timeline.problems


def test_entered_in_error_is_kept_out_and_listed() -> None:
    timeline = of(
        observation("1", 9.9, status="entered-in-error"),
        condition("2", "Diabetes", None, verificationStatus=verification("entered-in-error")),
        observation("3", 1.0),
    )
    assert [r.id for r in timeline] == ["Observation/3"]
    assert {(e.record.id, e.reason) for e in timeline.excluded} == {
        ("Observation/1", "entered in error"),
        ("Condition/2", "entered in error"),
    }


def test_the_latest_version_counts_and_earlier_moments_see_the_earlier() -> None:
    meta = {"versionId": "1", "lastUpdated": "2020-01-01T09:00:00Z"}
    first = observation("1", 5.0, issued="2020-01-01T09:00:00Z", meta=meta)
    fixed = observation(
        "1", 1.0, status="corrected", issued="2020-01-02T09:00:00Z",
        meta={"versionId": "2", "lastUpdated": "2020-01-02T09:00:00Z"},
    )  # fmt: skip
    gone = observation("2", 7.0, code="2823-3", meta=meta)
    error = {**gone, "status": "entered-in-error", "meta": {"versionId": "2", "lastUpdated": "2020-01-03T00:00:00Z"}}
    for order in ([first, fixed, gone, error], [error, fixed, gone, first]):
        timeline = of(*order)
        assert [m.value for m in timeline.measurements] == [1.0]
        assert {e.reason for e in timeline.excluded} == {"superseded by version 2", "entered in error"}
        then = timeline.known_at(at("2020-01-01T12:00:00"))
        assert sorted(m.value or 0 for m in then.measurements) == [5.0, 7.0]
        assert not timeline.known_at(at("2020-01-01T08:30:00")).measurements


def test_a_late_entry_is_not_known_before_it_was_issued() -> None:
    late = observation("2", 3.0, time="2020-01-01T10:00:00Z", issued="2020-01-02T10:00:00Z")
    timeline = of(observation("1", 1.0), late)
    assert timeline.latest("2160-0").value == 3.0  # type: ignore[union-attr]
    assert timeline.known_at(at("2020-01-01T12:00:00")).latest("2160-0").value == 1.0  # type: ignore[union-attr]


def test_duplicates_are_listed_once_counted() -> None:
    timeline = of(observation("1", 1.2), observation("1", 1.2), observation("copy", 1.2), observation("other", 1.3))
    assert sorted(m.id for m in timeline.measurements) == ["Observation/1", "Observation/other"]
    assert {e.reason for e in timeline.excluded} == {"duplicate of Observation/1"}


def test_two_contents_of_one_id_are_said() -> None:
    timeline = of(observation("1", 1.2), observation("1", 1.4))
    assert [m.value for m in timeline.measurements] == [1.4]
    assert any("different contents" in str(p) for p in timeline.problems)


@pytest.mark.parametrize(
    ("text", "precision", "day"),
    [("2019", "year", "2019"), ("2019-03", "month", "2019-03"), ("2019-03-04", "day", "2019-03-04"),
     ("2019-03-04T10:00:00+02:00", "second", "2019-03-04")],
)  # fmt: skip
def test_partial_dates_stay_partial(text: str, precision: str, day: str) -> None:
    (found,) = of(condition("1", "Asthma", onsetDateTime=text)).conditions
    assert found.time is not None
    assert (found.time.precision, found.time.day, found.time.text) == (precision, day, text)
    assert found.time.start <= found.time.end


def test_unknown_times_come_first_and_are_no_dates() -> None:
    timeline = of(observation("1", 1.0), observation("2", 2.0, time=None), observation("3", 3.0, time="2020-13-45"))
    assert [m.time is None for m in timeline.measurements] == [True, True, False]
    assert [str(p) for p in timeline.problems] == [
        "Observation/3: effectiveDateTime is no FHIR date; the time is unknown"
    ]
    assert timeline.latest("2160-0").value == 1.0  # type: ignore[union-attr]


def test_blood_pressure_is_two_measurements_of_one_resource() -> None:
    part = lambda code, value: {  # noqa: E731
        "code": {"coding": [{"system": LOINC, "code": code}]}, "valueQuantity": {"value": value, "unit": "mmHg"},
    }  # fmt: skip
    timeline = of(observation("1", None, code="85354-9", component=[part("8480-6", 120), part("8462-4", 80)]))
    upper, lower = timeline.measurements
    assert (upper.id, upper.component, upper.loinc, upper.normal_value) == ("Observation/1", 0, "8480-6", 120)
    assert (lower.id, lower.component, lower.normal_unit) == ("Observation/1", 1, "mm[Hg]")
    assert len(timeline.find("Observation/1")) == 2


def test_absence_comparators_words_and_codes() -> None:
    timeline = of(
        observation("1", None, dataAbsentReason={"coding": [{"code": "unknown"}]}),
        observation("2", 0.3, valueQuantity={"value": 0.3, "comparator": "<", "unit": "mg/dL", "code": "mg/dL"}),
        observation("3", None, valueString="hemolysed"),
        observation("4", None, valueCodeableConcept={"text": "Positive"}),
        observation("5", None, valueRatio={"numerator": {"value": 1}, "denominator": {"value": 128}}),
    )
    absent, less, words, code, ratio = (timeline.find(f"Observation/{n}")[0] for n in range(1, 6))
    assert absent.absent_reason == "unknown" and absent.value is None  # type: ignore[attr-defined]
    assert (less.value, less.comparator) == (0.3, "<")  # type: ignore[attr-defined]
    assert [x.said for x in (words, code, ratio)] == ["hemolysed", "Positive", "1:128"]  # type: ignore[attr-defined]


def test_ranges_follow_their_values_unit() -> None:
    given = {"low": {"value": 60, "unit": "umol/L"}, "high": {"value": 110, "unit": "umol/L"}}
    same, other, odd = of(
        observation("1", 90, "umol/L", referenceRange=[given]),
        observation("2", 1.0, "mg/dL", time="2020-01-02", referenceRange=[given]),
        observation("3", 1.0, "mg/dL", time="2020-01-03", referenceRange=[{"low": {"value": 1, "unit": "mm[Hg]"}}]),
    ).measurements
    assert same.range is not None and (same.range.low, same.range.high) == (60, 110)
    assert other.range is not None and other.range.high == pytest.approx(1.244, abs=0.001)
    assert other.range.normal_high == pytest.approx(1.244, abs=0.001)
    assert odd.range is not None and odd.range.low is None


def test_statuses_of_conditions_and_medications() -> None:
    timeline = of(
        condition("1", "A"), condition("2", "B", "resolved", abatementDateTime="2018-01-01"), condition("3", "C", None),
        condition("4", "D", "active", verificationStatus=verification("refuted")),
        request("1", "a"), request("2", "b", "stopped"), request("3", "c", "unknown"),
        request("4", "d", doNotPerform=True), request("5", "e", intent="plan"),
        {"resourceType": "MedicationStatement", "id": "6", "status": "not-taken", "subject": {"reference": "Patient/p"},
         "medicationCodeableConcept": {"text": "f"}},
    )  # fmt: skip
    assert [c.active_at() for c in sorted(timeline.conditions, key=lambda c: c.id)] == [True, False, None, False]
    assert [m.current_at() for m in sorted(timeline.medications, key=lambda m: m.id)] == [
        True, False, None, False, False, False,
    ]  # fmt: skip
    assert next(c for c in timeline.conditions if c.id == "Condition/2").active_at(at("2017-01-01T00:00:00")) is True


def test_several_patients_are_refused_named_or_split(tmp_path: Path) -> None:
    mine, theirs = observation("1", 1.0), observation("2", 9.0, subject={"reference": "Patient/q"})
    path = written(tmp_path / "b.json", bundle(patient(), patient("q", name=[{"text": "Other"}]), mine, theirs))
    with pytest.raises(RecordError, match=r"it has 2 patients.*Patient/p, Patient/q"):
        read_timeline(path)
    assert [m.value for m in read_timeline(path, patient="p").measurements] == [1.0]
    assert [len(t) for t in read_timelines(path)] == [1, 1]
    # A patient who is only referred to is one too.
    with pytest.raises(RecordError, match="2 patients"):
        timeline_of([patient(), mine, theirs])


def test_a_replaced_patient_is_the_same_person() -> None:
    old = patient("old", link=[{"other": {"reference": "Patient/p"}, "type": "replaced-by"}])
    timeline = timeline_of([patient(), old, observation("1", 1.0, subject={"reference": "Patient/old"})])
    assert timeline.patient.id == "Patient/p" and len(timeline) == 1


def test_facts_about_others_stay_out() -> None:
    timeline = of(observation("1", 1.0, subject={"reference": "Device/d"}), observation("2", 1.0))
    assert [r.id for r in timeline] == ["Observation/2"]
    assert any(p.where == "Observation/1" for p in timeline.problems)
    kin = {"resourceType": "FamilyMemberHistory", "id": "k", "status": "completed",
           "patient": {"reference": "Patient/p"}, "relationship": {"text": "mother"},
           "condition": [{"code": {"text": "Stroke"}}]}  # fmt: skip
    timeline = of(kin)
    assert not timeline.conditions and timeline.family_history[0].conditions[0].text == "Stroke"


@pytest.mark.parametrize(
    ("resource", "sign"),
    [
        ({"resourceType": "Condition", "id": "1", "clinicalStatus": "active"}, "STU3"),
        ({"resourceType": "MedicationOrder", "id": "1", "patient": {"reference": "Patient/p"}}, "DSTU2"),
        ({"resourceType": "MedicationRequest", "id": "1", "medication": {"concept": {"text": "x"}}}, "R5"),
        ({"resourceType": "Encounter", "id": "1", "class": [{"text": "x"}]}, "R5"),
    ],
)
def test_other_versions_are_refused_or_listed(resource: dict[str, Any], sign: str) -> None:
    with pytest.raises(RecordError, match=f"not FHIR R4 .*{sign}"):
        of(resource)
    timeline = of(resource, observation("1", 1), condition("2", "A"), request("3", "b"))
    assert any(sign in str(p) and "not read" in str(p) for p in timeline.problems)


GOOD = json.dumps(bundle(patient(), observation("1", 1.2), observation("2", 1.3, time="2020-02-02")))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (GOOD[:-40].encode(), "truncated"),
        (GOOD.replace("1.3", "NaN").encode(), "damaged at byte"),
        (b"", "empty"),
        (b"<Bundle/>", "XML"),
        (b"[1, 2]", "a list"),
        (b"12", "JSON object"),
        (b'{"a": 1}', "no resourceType"),
        (b'{"resourceType": 5}', "no resourceType"),
        (b'{"resourceType": "Bundle"}', "no FHIR resource"),
        (b'{"resourceType": "Bundle", "entry": 5}', "no list"),
        (b'{"resourceType": "Bundle", "entry": [5]}', "JSON object"),
        (b'{"resourceType":"Bundle","entry":' + b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (gzip.compress(GOOD.encode())[:-20], "truncated"),
        (b"\x1f\x8b\x08broken", "gzip"),
        (bytes(range(128, 256)), "damaged"),
    ],
)
def test_damage_is_said_in_one_line(tmp_path: Path, data: bytes, said: str) -> None:
    path = tmp_path / "b.json"
    path.write_bytes(data)
    with pytest.raises(ArisError) as caught:
        read_timeline(path)
    assert said in str(caught.value) and "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_one_bad_entry_is_listed_and_the_rest_is_read(tmp_path: Path) -> None:
    path = tmp_path / "b.json"
    made = bundle(patient(), observation("1", 1.0), condition("2", "M?ni?re"))
    latin = json.dumps(made).encode().replace(b"?", b"\xe9")
    path.write_bytes(latin)
    timeline = read_timeline(path)
    assert [r.id for r in timeline] == ["Observation/1"]
    assert [str(p) for p in timeline.problems] == ["Condition/2: its text is not UTF-8; convert the file"]
    deep = '{"a":' * 5000 + "1" + "}" * 5000
    path.write_text(GOOD.replace('"status"', f'"extension": {deep}, "status"', 1))
    with pytest.raises(RecordError, match="nested too deeply"):
        read_timeline(path)
    path = tmp_path / "b.ndjson"
    lines = [json.dumps(patient()), json.dumps(observation("1", 1.0)), '{"resourceType": "Obs', deep]
    path.write_text("\n".join(lines))
    timeline = read_timeline(path)
    assert len(timeline) == 1
    assert [str(p) for p in timeline.problems] == [
        f"{path} line 3: the JSON ends too early; the file is truncated",
        f"{path} line 4: it is nested too deeply to be a FHIR resource",
    ]


def test_other_encodings_with_a_mark_are_read(tmp_path: Path) -> None:
    for name in ("utf-8-sig", "utf-16", "utf-32"):
        path = tmp_path / f"{name}.json"
        path.write_bytes(GOOD.encode(name))
        assert len(read_timeline(path)) == 2


@pytest.mark.parametrize("value", [5, "x", [], {}, [5], [[]], {"a": 1}, True, None, 1e300, "\x00\x1b[31m"])
@pytest.mark.parametrize("maker", [observation, condition, request, allergy])
def test_wrong_types_anywhere_are_listed_and_never_crash(maker: Any, value: Any) -> None:
    resource = maker("1", 1.0) if maker is observation else maker("1", "Thing")
    more = "meta note category component dosageInstruction reaction contained issued effectivePeriod interpretation"
    for name in [*resource, *more.split(), "referenceRange", "bodySite", "encounter", "statusReason"]:
        try:
            timeline = of({**resource, name: value}, observation("other", 2.0, code="2823-3"))
        except ArisError as error:
            assert "\n" not in str(error)
        else:
            assert all("\x1b" not in r.concept.text for r in timeline)
            assert any(r.id == "Observation/other" for r in timeline)


def test_a_type_that_fhir_does_not_have_is_listed() -> None:
    odd = {"resourceType": "Horoscope", "id": "1", "subject": {"reference": "Patient/p"}}
    timeline = of(odd, observation("1", 1.0))
    assert [str(p) for p in timeline.problems] == [
        "Horoscope/1: it is no resource type of FHIR R4; it was not read"
    ]


def test_a_page_without_its_next_is_refused(tmp_path: Path) -> None:
    link = {"relation": "next", "url": "https://x/2"}
    first = bundle(patient(), observation("1", 1.0), type="searchset", link=[link])
    second = observation("2", 2.0, time="2020-02-02")
    last = bundle(second, type="searchset", link=[{**link, "relation": "self"}])
    written(tmp_path / "1.json", first)
    with pytest.raises(RecordError, match="its next page is not here"):
        read_timeline(tmp_path / "1.json")
    written(tmp_path / "2.json", last)
    assert len(read_timeline(tmp_path)) == 2


def test_nested_bundles_parameters_and_server_outcomes(tmp_path: Path) -> None:
    inner = bundle(observation("1", 1.0))
    returned = {"name": "return", "resource": bundle(observation("2", 2.0))}
    parameters = {"resourceType": "Parameters", "parameter": [returned]}
    outcome = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "timeout"}]}
    timeline = of(inner, parameters, outcome)
    assert len(timeline) == 2 and "the server said: error (timeout)" in str(timeline.problems[0])
    for _ in range(40):
        inner = bundle(inner)
    assert "bundles in bundles" in str(of(inner, observation("3", 3.0)).problems[0])


def test_notes_reports_and_documents_have_their_words() -> None:
    import base64

    text = base64.b64encode(b"<p>No <b>fracture</b>.</p><script>x()</script>").decode()
    note = {"resourceType": "DocumentReference", "id": "d", "status": "current", "subject": {"reference": "Patient/p"},
            "type": {"text": "Letter"}, "date": "2020-01-01T00:00:00Z", "content": [
                {"attachment": {"contentType": "text/html", "data": text}},
                {"attachment": {"contentType": "application/pdf", "url": "x.pdf"}}]}  # fmt: skip
    report = {"resourceType": "DiagnosticReport", "id": "r", "status": "final",
              "subject": {"reference": "Patient/p"}, "code": {"text": "CT"}, "conclusion": "A nodule of 8 mm.",
              "effectiveDateTime": "2020-01-02"}  # fmt: skip
    paper = {"resourceType": "Composition", "id": "c", "status": "final", "subject": {"reference": "Patient/p"},
             "date": "2020-01-03", "title": "Discharge", "section": [
                 {"title": "Course", "text": {"div": "<div>Went well &amp; home.</div>"}}]}  # fmt: skip
    timeline = of(note, report, paper)
    letter, discharge = timeline.notes
    assert letter.text == "No fracture." and letter.attachments == ("application/pdf",)
    assert discharge.text == "Course:\nWent well & home." and timeline.reports[0].text == "A nodule of 8 mm."


def test_dosage_in_words() -> None:
    given = {"doseAndRate": [{"doseQuantity": {"value": 500, "unit": "mg"}}], "route": {"text": "oral"},
             "timing": {"repeat": {"frequency": 2, "period": 1, "periodUnit": "d"}},
             "asNeededBoolean": True}  # fmt: skip
    (found,) = of(request("1", "Metformin", dosageInstruction=[given])).medications
    assert found.dosage == "500 mg, oral, 2 times a day, as needed" and found.as_needed is True


VARIANTS: list[dict[str, Any]] = [
    {}, {"valueQuantity": {"value": 5}}, {"status": "preliminary"}, {"issued": "2020-01-01T09:00:00+01:00"},
    {"issued": "soon"},
    {"effectiveDateTime": "2020-01"}, {"effectiveDateTime": "20200101T100000Z"}, {"effectiveDateTime": None},
    {"subject": {"reference": 5}}, {"encounter": {"reference": "Encounter/e"}}, {"encounter": {"reference": ["x"]}},
    {"category": [{"coding": [{"code": "laboratory"}]}]}, {"category": "x"}, {"code": {"text": 5}}, {"code": []},
    {"interpretation": [{"coding": [{"code": "HH"}]}]}, {"referenceRange": [{"high": {"value": 1, "unit": "umol/L"}}]},
    {"referenceRange": [{"low": {"value": 1}}, {"low": {"value": 2}}]}, {"specimen": {"display": "Blood"}},
    {"valueQuantity": {"value": True}}, {"valueQuantity": {"value": "5"}}, {"valueQuantity": {"value": 1e400}},
    {"valueQuantity": {"value": 0.1, "comparator": "<", "unit": "mg/dL"}},
    {"valueQuantity": {"value": 1, "unit": "K/x"}},
    {"dataAbsentReason": {"text": "lost"}}, {"method": {"text": "m"}}, {"note": [{"text": "n"}]}, {"meta": 5},
    {"meta": {"versionId": "3", "lastUpdated": "2020-01-01T00:00:00.123Z", "tag": [1]}},
    {"meta": {"lastUpdated": "x"}},
    {"status": "entered-in-error"}, {"context": {}}, {"code": {"text": "Creatinine\u001b[31m\n x"}},
]  # fmt: skip


def test_the_quick_reader_of_plain_results_reads_as_the_general_one(monkeypatch: pytest.MonkeyPatch) -> None:
    from aris.records.fhir.resources.plain_observations import PlainObservations

    made = [{**observation(f"{n}-{copy}", 1.0 + n), **change} for n, change in enumerate(VARIANTS) for copy in "ab"]
    text = json.dumps(bundle(patient(), *made)).replace("Infinity", "1e400").encode()
    quick: list[bool] = []
    read = PlainObservations.read

    def counted(self: Any, *given: Any) -> Any:
        found = read(self, *given)
        quick.append(found is not None)
        return found

    def timelines() -> Any:
        from aris.records.fhir.assembling import Assembly
        from aris.records.fhir.json_parts import parts_of

        assembly = Assembly()
        assembly.add(parts_of(text, "b"))
        return assembly.timelines(("b",))

    monkeypatch.setattr(PlainObservations, "read", counted)
    fast = timelines()
    monkeypatch.setattr(PlainObservations, "read", lambda *_: None)
    assert fast == timelines()
    assert 15 < sum(quick) < len(quick) - 20


@pytest.mark.data
def test_a_few_bundles_of_each_folder_are_whole(data_dir: Path) -> None:
    for name in ("fhir", "fhir_population"):
        for path in sorted((data_dir / name).glob("*.json.gz"))[:2]:
            entries = json.loads(gzip.decompress(path.read_bytes()))["entry"]
            timeline = read_timeline(path)
            wanted = [e["resource"] for e in entries if e["resource"]["resourceType"] == "Observation"]
            assert {m.id for m in timeline.measurements} | {e.record.id for e in timeline.excluded} == {
                f"Observation/{r['id']}" for r in wanted
            }
            assert not timeline.problems


@pytest.mark.data
@pytest.mark.slow
def test_every_bundle_reads(data_dir: Path) -> None:
    read = 0
    for path in [*(data_dir / "fhir").glob("*.json.gz"), *(data_dir / "fhir_population").glob("*.json.gz")]:
        timeline = read_timeline(path)
        assert len(timeline) > 50 and timeline.patient.birth is not None and not timeline.problems
        read += 1
    assert read == 104


@pytest.mark.data
def test_every_example_of_hl7_reads_or_is_refused_in_one_line(data_dir: Path, tmp_path: Path) -> None:
    import zipfile

    refused = []
    with zipfile.ZipFile(data_dir / "fhir_r4_examples" / "clinical_examples.zip") as archive:
        names = [n for n in archive.namelist() if n.endswith(".json")]
        for name in names:
            path = tmp_path / "example.json"
            path.write_bytes(archive.read(name))
            try:
                timelines = read_timelines(path)
            except RecordError as error:
                assert "\n" not in str(error)
                refused.append(name)
            else:
                assert not any("not FHIR R4" in p.what for t in timelines for p in t.problems), name
    assert len(names) == 696 and len(refused) == 3, refused


def test_broken_and_hostile_html_is_read_in_time_that_grows_with_its_length() -> None:
    from aris.records.fhir.resources.fields import plain_text

    page = "<html><head><title>x</title><body><!-- a > b --><p>BP &lt; 90<br/>K <b>6.1</b> p<0.05</p>"
    page += "<script>x('<p>')</script><td>1</td><td>2</td>end"
    assert plain_text(page) == "BP < 90\nK 6.1 p<0.05\n1 2 end"
    for unit in ("<!--", "<a", "<![", "</", "&#", "<a b='", "<!x ", "<?x ", "<script>", "<script></", "<head><"):
        assert "lost" in plain_text("not lost " + unit * 200_000), unit  # hours with the square of the length
    assert plain_text("<![if x]>Stable<![endif]> <!-- no end <p>Well") == "Stable no end\nWell"
