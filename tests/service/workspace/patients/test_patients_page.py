"""Records as the pages get them: listed, opened, along time, as trends, in words with sources, uploaded, removed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from aris.flow.demo import ISSUER
from aris.flow.monitoring.house_watch import HouseWatch
from aris.flow.records.sampling import add_sample_records, remove_sample_records
from dicom_objects import ROOT, as_bytes, image
from workspace_house import WorkspaceHouse, code_of

SCRIPT = "<script>alert(1)</script>"


@pytest.fixture
def room(tmp_path: Path, cheap_passwords: None) -> WorkspaceHouse:
    made = WorkspaceHouse(tmp_path)
    add_sample_records(made.house, "ana", ISSUER)
    return made


def number_of(client: TestClient, name: str) -> int:
    return int(client.get("/api/patients", params={"text": name}).json()["entries"][0]["id"])


def bundle(*resources: dict[str, Any]) -> bytes:
    entries = [{"resource": each} for each in resources]
    return json.dumps({"resourceType": "Bundle", "type": "collection", "entry": entries}).encode()


def patient(id: str = "p", name: str = "Roe, Jane", born: str = "1950-06-15", **more: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": id, "birthDate": born, "name": [{"text": name}], "gender": "female"} | more


def potassium(id: str, value: Any, at: str, unit: str = "mmol/L", **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation", "id": id, "status": "final", "subject": {"reference": "Patient/p"},
        "code": {"coding": [{"system": "http://loinc.org", "code": "2823-3", "display": "Potassium"}]},
        "effectiveDateTime": at, "issued": at,
    } | ({} if value is None else {"valueQuantity": {"value": value, "unit": unit}}) | more  # fmt: skip


def send(client: TestClient, data: bytes, name: str = "record.json") -> Any:
    return client.post("/api/records", params={"name": name}, content=data)


def test_a_record_is_listed_and_opened_with_all_that_stands(room: WorkspaceHouse) -> None:
    viewer = room.client("vic")
    assert viewer.get("/api/patients", params={"text": "sample 1961"}).json()["total"] == 1
    assert viewer.get("/api/patients", params={"text": "nobody"}).json()["total"] == 0
    found = viewer.get(f"/api/patients/{number_of(viewer, 'dora')}").json()
    assert found["state"] == "ready" and found["age"] == "65 y" and not found["stale"]
    assert found["allergies"][0]["cites"] and found["allergies_stated"]
    drugs = {each["text"].split(" ")[0]: each for each in found["medications"]}
    assert drugs["Ibuprofen"]["state"] == "current" and drugs["Ibuprofen"]["change"].startswith("new since")
    assert drugs["Amlodipine"]["state"] == "on hold" and drugs["Metformin"]["change"] == ""
    assert found["summary_by"] == "" and "no model" in found["summary_note"]
    assert [each["what"] for each in room.trail("view")] == ["record"]


def test_every_statement_leads_to_a_resource_that_is_there(room: WorkspaceHouse) -> None:
    client = room.client("ana")
    number = number_of(client, "dora")
    for form in ("summary", "ipass", "discharge", "referral"):
        summary = client.get(f"/api/patients/{number}/summary", params={"form": form}).json()
        cites = {id for section in summary["sections"] for each in section["statements"] for id in each["cites"]}
        assert cites and summary["model"] == "none"
    for id in sorted(cites)[:12]:
        answer = client.get(f"/api/patients/{number}/resource", params={"id": id})
        assert answer.status_code == 200 and json.loads(answer.json()["text"])["id"] == id.partition("/")[2], id
    missing = client.get(f"/api/patients/{number}/resource", params={"id": "Observation/none"})
    assert (missing.status_code, code_of(missing)) == (404, "not_found")
    # Nothing of another patient's record.
    other = client.get(f"/api/patients/{number_of(client, 'ada')}/resource", params={"id": sorted(cites)[0]})
    assert other.status_code == 404


def test_the_timeline_is_narrowed_by_kind_words_and_span(room: WorkspaceHouse) -> None:
    client = room.client("ana")
    path = f"/api/patients/{number_of(client, 'dora')}/timeline"
    whole = client.get(path).json()
    assert whole["total"] == sum(whole["kinds"].values()) and whole["undated"] == 1
    assert whole["entries"][0]["start"] >= whole["entries"][1]["start"] and whole["entries"][-1]["start"] is None
    notes = client.get(path, params={"kind": ["note", "report"]}).json()
    assert notes["total"] == 3 and notes["kinds"] == whole["kinds"] and notes["first"] == whole["first"]
    assert client.get(path, params={"text": "urine falling"}).json()["total"] == 1
    early = client.get(path, params={"end": "2013"}).json()
    assert {each["kind"] for each in early["bars"]} == {"procedure", "condition"}
    assert client.get(path, params={"start": "yesterday"}).status_code == 422
    paged = client.get(path, params={"limit": 5, "offset": 5}).json()
    assert [each["id"] for each in paged["entries"]] == [each["id"] for each in whole["entries"][5:10]]


def test_trends_are_in_one_unit_and_say_what_has_no_place(room: WorkspaceHouse) -> None:
    client = room.client("ana")
    path = f"/api/patients/{number_of(client, 'dora')}/trends"
    choices = client.get(path).json()["choices"]
    assert choices[0]["flagged"] == "critical" and {"q:potassium", "q:creatinine"} <= {each["key"] for each in choices}
    creatinine, potassium_ = client.get(path, params={"key": ["q:creatinine", "q:potassium"]}).json()["series"]
    assert creatinine["unit"] == "mg/dL" and "2 from umol/L" in creatinine["unit_note"]
    converted = [each for each in creatinine["points"] if "umol" in each["shown"]]
    assert [round(each["value"], 2) for each in converted] == [1.61, 1.9] and round(converted[0]["high"], 2) == 1.1
    assert [each["why"] for each in creatinine["unplotted"]] == ["no value: error"]
    assert "unit units" in potassium_["unplotted"][0]["why"] and potassium_["band_high"] == 5.1
    assert potassium_["points"][-1]["flagged"] == "critical"
    assert client.get(path, params={"key": "q:nothing"}).json()["series"] == []


def test_a_question_is_answered_with_its_sources_or_not_at_all(room: WorkspaceHouse) -> None:
    client = room.client("ana")
    path = f"/api/patients/{number_of(client, 'dora')}/ask"
    found = client.post(path, json={"question": "What is the potassium?"}).json()
    assert found["found"] and "6.6 mmol/L" in found["facts"][0]["text"] and found["facts"][0]["cites"]
    nothing = client.post(path, json={"question": "Is there a pacemaker?"}).json()
    assert not nothing["found"] and nothing["statements"] == []
    assert client.post(path, json={"question": "?!"}).status_code == 422
    assert room.client("vic").post(path, json={"question": "Why?"}).status_code == 403
    assert {each["action"] for each in room.trail() if each["action"].startswith("ask")} == {"ask record"}
    assert "pacemaker" not in json.dumps(room.trail())  # the question may name the patient


def test_a_record_that_is_uploaded_is_kept_once_and_can_be_removed(room: WorkspaceHouse) -> None:
    client = room.client("ana")
    data = bundle(patient(), potassium("k", 5.9, "2020-01-01T08:00:00Z"))
    made = send(client, data).json()
    number = made["patients"][0]["id"]
    assert made["patients"][0]["name"] == "Roe, Jane" and not made["known"]
    assert send(client, data).json()["known"]
    assert client.get(f"/api/patients/{number}").json()["stale"]  # it learned nothing since 2020
    assert client.get(f"/api/patients/{number}/flags").json()["at"].startswith("2020-01-01")
    assert room.client("vic").delete(f"/api/records/{number}").status_code == 403
    assert client.delete(f"/api/records/{number}").status_code == 204
    assert client.get(f"/api/patients/{number}").status_code == 404
    assert client.get("/api/patients", params={"text": "roe"}).json()["total"] == 0
    again = send(client, data).json()  # the same number: what was audited of it is of it
    assert again["patients"][0]["id"] == number and not again["known"]


@pytest.mark.parametrize(("data", "why"), [
    (b"", "empty"), (b"{", "truncated"), (b'{"a": 1}', "resourceType"), (b"<Bundle/>", "XML"),
    (b'{"resourceType":"Bundle","type":"searchset","link":[{"relation":"next","url":"http://x/2"}],"entry":[]}', ""),
    (b'{"resourceType":"Organization","id":"o"}', "no patient"),
])  # fmt: skip
def test_what_is_no_record_is_refused_in_one_line(room: WorkspaceHouse, data: bytes, why: str) -> None:
    answer = send(room.client("ana"), data)
    assert answer.status_code in (400, 422) and why in answer.json()["error"]["message"]
    assert "\n" not in answer.json()["error"]["message"]
    assert room.client("vic").post("/api/records", content=data).status_code == 403


def test_two_people_with_one_id_are_never_one_record(tmp_path: Path, cheap_passwords: None) -> None:
    folder = tmp_path / "records"
    folder.mkdir()
    (folder / "a.json").write_bytes(bundle(patient(), potassium("k", 4.1, "2020-01-01T08:00:00Z")))
    other = patient(name="Doe, Ann", born="1999-01-02")
    (folder / "b.json").write_bytes(bundle(other, potassium("k", 7.2, "2021-01-01")))
    (folder / "c.json").write_bytes(b"{")
    room = WorkspaceHouse(tmp_path, site={"records": [{"name": "ward", "kind": "folder", "path": str(folder)}]})
    watch = HouseWatch(room.house)
    watch.step()
    client = room.client("ana")
    page = client.get("/api/patients").json()
    assert [each["name"] for each in page["entries"]] == ["Doe, Ann", "Roe, Jane"]
    assert page["sources"][0]["state"] == "ready" and "c.json" in page["sources"][0]["problem"]
    trends = [client.get(f"/api/patients/{each['id']}/trends").json() for each in page["entries"]]
    assert [each["choices"][0]["newest"] for each in trends] == ["7.2 mmol/L", "4.1 mmol/L"]
    # A file that is gone takes its record along; one that changed is read again.
    (folder / "b.json").unlink()
    (folder / "a.json").write_bytes(bundle(patient(), potassium("k", 4.25, "2020-01-01T08:00:00Z")))
    watch.wake()
    watch.step()
    page = client.get("/api/patients").json()
    assert [each["name"] for each in page["entries"]] == ["Roe, Jane"]
    choices = client.get(f"/api/patients/{page['entries'][0]['id']}/trends").json()["choices"]
    assert choices[0]["newest"] == "4.25 mmol/L"


def test_the_source_of_another_patient_in_the_same_file_is_not_shown(room: WorkspaceHouse) -> None:
    client = room.client("ana")
    theirs = potassium("theirs", 6.1, "2020-01-01T08:00:00Z") | {"subject": {"reference": "Patient/q"}}
    wrong = potassium("wrong", 9.1, "2020-01-01T08:00:00Z") | {"status": "entered-in-error"}
    data = bundle(
        patient(name="Poe, Ann"), potassium("mine", 4.1, "2020-01-01T08:00:00Z"), wrong,
        patient("q", "Quin, Bea"), theirs,
    )  # fmt: skip
    assert send(client, data).status_code == 201
    path = f"/api/patients/{number_of(client, 'poe')}/resource"
    answers = {id: client.get(path, params={"id": id}).status_code for id in (
        "Observation/mine", "Observation/wrong", "Patient/p", "Observation/theirs", "Patient/q")}  # fmt: skip
    assert list(answers.values()) == [200, 200, 200, 404, 404]


def test_a_study_finds_the_record_of_its_patient_surely_or_possibly(room: WorkspaceHouse) -> None:
    ours = {"PatientID": "SAMPLE-4", "PatientName": "Sample^Dora", "PatientBirthDate": "19610227", "PatientSex": "F"}
    room.store.add(as_bytes(image(1, study=1, **ours, IssuerOfPatientID=ISSUER)))
    room.store.add(as_bytes(image(2, study=2, **ours)))  # without an issuer
    room.store.add(as_bytes(image(3, study=3, **(ours | {"PatientID": "77", "PatientName": "Roe^Dora"}))))
    client = room.client("vic")
    number = number_of(client, "dora")
    sure = client.get(f"/api/studies/{ROOT}.1/records").json()
    assert [(each["id"], each["certain"]) for each in sure] == [(number, True)]
    possible = client.get(f"/api/studies/{ROOT}.2/records").json()
    assert [(each["id"], each["certain"]) for each in possible] == [(number, False)] and "issuer" in possible[0]["why"]
    assert client.get(f"/api/studies/{ROOT}.3/records").json() == []
    studies = client.get(f"/api/patients/{number}").json()["studies"]
    assert [(each["study"], each["certain"]) for each in studies] == [(f"{ROOT}.1", True), (f"{ROOT}.2", False)]


def test_script_in_a_record_is_data_everywhere(room: WorkspaceHouse) -> None:
    client = room.client("ana")
    data = bundle(
        patient(name=SCRIPT, identifier=[{"system": SCRIPT, "value": SCRIPT}]),
        potassium("k", 5.9, "2020-01-01T08:00:00Z", unit=SCRIPT, note=[{"text": SCRIPT}]),
        {"resourceType": "Condition", "id": "c", "subject": {"reference": "Patient/p"}, "code": {"text": SCRIPT}},
        {"resourceType": "AllergyIntolerance", "id": "a", "patient": {"reference": "Patient/p"},
         "code": {"text": SCRIPT}},
    )  # fmt: skip
    number = send(client, data, f"{SCRIPT}\u202e.json").json()["patients"][0]["id"]
    below = ("", "/timeline", "/trends", "/flags", "/summary", "/resource?id=Condition/c")
    for path in ["/api/patients", *(f"/api/patients/{number}{each}" for each in below)]:
        answer = client.get(path)
        assert answer.status_code == 200 and answer.headers["content-type"] == "application/json", path
        assert "\u202e" not in answer.text


def test_samples_come_once_and_go(room: WorkspaceHouse) -> None:
    assert add_sample_records(room.house, "ana", ISSUER) == 0
    assert remove_sample_records(room.house, "ana") == 2
    assert room.client("ana").get("/api/patients").json()["total"] == 0
    assert add_sample_records(room.house, "ana", ISSUER) == 2
