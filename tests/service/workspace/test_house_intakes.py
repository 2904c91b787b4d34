"""Intakes in a house: link, phone, emergency, acknowledgement, worklist; and what is kept of none."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from aris.errors import StoreError
from aris.flow.intakes import answering
from aris.flow.intakes.answering import Answering
from aris.flow.intakes.landing import landed
from aris.imaging.dicom.patients import Patient
from aris.service.intake.serving import patient_app
from aris.store.intakes import intakes
from workspace_house import BASE, WorkspaceHouse, code_of

WHO = {"identifier": "P-7", "name": "Doe^Jane", "birth_date": "19610227", "sex": "F", "note": "needs large type"}


@pytest.fixture
def house(tmp_path: Path, cheap_passwords: None) -> WorkspaceHouse:
    return WorkspaceHouse(tmp_path, site={"intake": {"emergency_number": "144"}})


def phone(house: WorkspaceHouse, base: str = BASE) -> TestClient:
    answering = Answering(house.house, lambda: house.now)
    return TestClient(patient_app(house.house, house.settings, answering=answering), base_url=base)


def begun(house: WorkspaceHouse, client: TestClient) -> tuple[TestClient, str]:
    made = client.post("/api/intakes", json=WHO)
    assert made.status_code == 201, made.text
    patient = phone(house)
    assert patient.post(made.json()["path"]).status_code == 200
    return patient, made.json()["line"]["name"]


def say(patient: TestClient, *texts: str) -> str:
    page = ""
    for text in texts:
        page = patient.get("/intake").text
        hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page))
        page = patient.post("/intake", data=hidden | {"answer": text}).text
    return page


def test_an_emergency_on_a_phone_reaches_the_clinician_who_acknowledges_it(house: WorkspaceHouse) -> None:
    ana = house.client("ana")
    patient, name = begun(house, ana)
    assert ana.get("/api/intakes").json()["counts"]["running"] == 1
    page = say(patient, "1", "1", "64", "crushing chest pain and I cannot breathe <script>alert(1)</script>")
    assert "144" in page and "Get help now" in page
    found = ana.get("/api/intakes/emergencies").json()
    assert [each["name"] for each in found] == [name] and found[0]["level"] == "emergency"
    whole = ana.get(f"/api/intakes/{name}").json()
    assert whole["summary"]["red_flags"] and whole["summary"]["reasons"][0]["level"] == "emergency"
    assert any("<script>" in each["said"] for each in whole["transcript"])  # as it was said; the page shows it as text
    bundle = ana.get(f"/api/intakes/{name}/fhir").json()
    kinds = [each["resource"]["resourceType"] for each in bundle["entry"]]
    assert kinds[0] == "Patient" and {"Questionnaire", "QuestionnaireResponse", "RiskAssessment"} <= set(kinds)
    vic = house.client("vic")
    assert vic.get(f"/api/intakes/{name}").status_code == 200
    assert code_of(vic.post(f"/api/intakes/{name}/acknowledge", json={"how": "patient called"})) == "forbidden"
    assert ana.post(f"/api/intakes/{name}/acknowledge", json={"how": "other"}).status_code == 422  # what was done?
    done = ana.post(f"/api/intakes/{name}/acknowledge", json={"how": "ambulance called", "note": "on its way"})
    assert {each["kind"] for each in done.json()["marks"]} == {"seen", "acknowledged"}
    assert code_of(ana.post(f"/api/intakes/{name}/acknowledge", json={"how": "patient called"})) == "conflict"
    assert ana.get("/api/intakes/emergencies").json() == []
    assert [each["user"] for each in house.trail("acknowledge intake")] == ["ana"]
    assert house.trail("end intake")[0]["level"] == "emergency"
    assert "Jane" not in json.dumps(house.trail()) and "chest" not in json.dumps(house.trail())
    assert house.trail("view")[0]["about"] == name


def test_nothing_is_kept_of_one_who_does_not_agree(house: WorkspaceHouse) -> None:
    patient, name = begun(house, house.client("ana"))
    assert "nothing was kept" in say(patient, "2")
    with house.store.sessions.reading() as session:
        row = intakes.get(session, name)
        assert row is not None and (row.status, row.state, row.result) == ("declined", None, None)
    assert patient.get("/intake").status_code == 410


def test_a_link_works_once_a_new_one_goes_on_and_one_that_is_taken_back_opens_nothing(house: WorkspaceHouse) -> None:
    ana = house.client("ana")
    made = ana.post("/api/intakes", json=WHO).json()
    first = phone(house)
    assert first.post(made["path"]).status_code == 200
    assert phone(house).post(made["path"]).status_code == 410
    say(first, "1", "1")
    asked = first.get("/intake/question").json()["question"]
    again = ana.post(f"/api/intakes/{made['line']['name']}/link", json={}).json()
    second = phone(house)
    second.post(again["path"])
    assert second.get("/intake/question").json()["question"] == asked
    assert first.get("/intake").status_code == 410
    assert ana.post(f"/api/intakes/{made['line']['name']}/revoke").json()["status"] == "revoked"
    assert second.get("/intake").status_code == 410
    assert code_of(ana.post(f"/api/intakes/{made['line']['name']}/link", json={})) == "conflict"


def test_time_that_is_over_ends_it_and_what_was_agreed_to_stays(house: WorkspaceHouse) -> None:
    ana = house.client("ana")
    unused = ana.post("/api/intakes", json=WHO).json()["line"]["name"]
    patient, name = begun(house, ana)
    say(patient, "1", "1", "64", "a cough for two days")
    house.later(hours=25)
    house.sign_in(ana, "ana")
    lines = ana.get("/api/intakes", params={"patient_id": "P-7"}).json()["intakes"]
    found = {each["name"]: each["status"] for each in lines}
    assert found == {unused: "expired", name: "unfinished"}
    assert "cough" in json.dumps(ana.get(f"/api/intakes/{name}").json()["transcript"])
    assert patient.get("/intake").status_code == 410


def test_another_version_of_the_questions_ends_politely_and_keeps_what_was_said(house: WorkspaceHouse) -> None:
    ana = house.client("ana")
    patient, name = begun(house, ana)
    say(patient, "1", "1")
    with house.store.sessions.writing() as session:
        row = intakes.get(session, name)
        assert row is not None
        row.state = {**row.state, "base_version": "0"}
    page = patient.get("/intake")
    assert page.status_code == 409 and "new link" in page.text
    assert patient.get("/intake").status_code == 409
    assert patient.get("/intake/question").status_code == 409
    whole = ana.get(f"/api/intakes/{name}").json()
    assert whole["line"]["status"] == "unfinished" and whole["summary"] is None and len(whole["transcript"]) == 1


def test_the_cookie_is_secure_where_a_proxy_has_tls_and_other_names_are_refused(
    tmp_path: Path, cheap_passwords: None
) -> None:
    house = WorkspaceHouse(tmp_path, public_url="https://aris.example")
    made = house.client("ana", "https://aris.example").post("/api/intakes", json=WHO).json()
    assert made["url"] == f"https://aris.example{made['path']}"
    patient = phone(house, "http://aris.example")  # as the proxy passes it on
    answer = patient.post(made["path"], headers={"Origin": "https://aris.example"}, follow_redirects=False)
    assert answer.status_code == 303 and "secure" in answer.headers["set-cookie"].lower()
    assert "path=/intake" in answer.headers["set-cookie"].lower()
    assert "script" not in answer.headers["content-security-policy"]
    assert phone(house, "http://evil.example").get(made["path"]).status_code == 403
    assert phone(house).post(made["path"], headers={"Origin": "https://evil.example"}).status_code == 403


def test_two_patients_who_answer_alike_share_no_resource(house: WorkspaceHouse) -> None:
    ana = house.client("ana")
    found = []
    for _ in range(2):
        patient, name = begun(house, ana)
        say(patient, "1", "1", "64", "crushing chest pain")
        bundle = ana.get(f"/api/intakes/{name}/fhir", params={"part": "resources"}).json()
        found.append({each["resource"]["id"] for each in bundle["entry"]})
    assert not found[0] & found[1]


PAIN = "crushing chest pain and I cannot breathe"


def form_of(patient: TestClient) -> dict[str, str]:
    return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', patient.get("/intake").text))


def test_an_emergency_is_answered_where_it_cannot_be_kept(
    house: WorkspaceHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient, _ = begun(house, house.client("ana"))
    say(patient, "1", "1", "64")
    given = form_of(patient)

    def full(*_: object) -> None:
        raise StoreError("the disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(house.store.sessions, "write", full)
        page = patient.post("/intake", data=given | {"answer": PAIN})
        assert "Get help now" in page.text and "144" in page.text
        told = patient.post("/intake/answer", json=given | {"answer": PAIN}).json()
        assert told["status"] == "emergency" and "144" in told["advice"]
        page = patient.post("/intake", data=given | {"answer": "a cough for two days"})
        assert "Please try again" in page.text and "emergency number" in page.text
    assert "Get help now" in phone(house).post("/intake", data=given | {"answer": PAIN}).text


def test_an_emergency_lands_also_if_its_summary_cannot_be_made(
    house: WorkspaceHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana = house.client("ana")
    patient, name = begun(house, ana)

    def broken(*_: object) -> None:
        raise KeyError("a resource")

    monkeypatch.setattr(answering, "result_of", broken)
    assert "Get help now" in say(patient, "1", "1", "64", PAIN)
    assert [each["name"] for each in ana.get("/api/intakes/emergencies").json()] == [name]
    assert "crushing" in json.dumps(ana.get(f"/api/intakes/{name}").json()["transcript"])


def test_an_emergency_that_is_typed_in_an_older_page_is_read(house: WorkspaceHouse) -> None:
    ana = house.client("ana")
    patient, name = begun(house, ana)
    say(patient, "1", "1")
    older = form_of(patient)
    say(patient, "64")
    patient.post("/intake", data=older | {"answer": "a cough"})
    assert ana.get("/api/intakes/emergencies").json() == []
    assert "Get help now" in patient.post("/intake", data=older | {"answer": PAIN}).text
    assert [each["name"] for each in ana.get("/api/intakes/emergencies").json()] == [name]


def test_an_intake_is_surely_a_study_s_patient_s_where_both_say_who_he_is(house: WorkspaceHouse) -> None:
    patient, _ = begun(house, house.client("ana"))
    say(patient, "1", "1", "64", PAIN)
    studies = [Patient("P-7"), Patient("P-7", birth_date="19610227"), Patient("P-7", name="Doe^Jane")]
    with house.store.sessions.reading() as session:
        assert [[sure for _, sure in own] for own in landed(session, studies)] == [[False], [True], [True]]


def test_an_intake_that_was_given_more_time_meanwhile_is_not_ended(
    house: WorkspaceHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana = house.client("ana")
    name = ana.post("/api/intakes", json=WHO).json()["line"]["name"]
    monkeypatch.setattr(intakes, "due", lambda *_: [name])  # as read just before the link was renewed
    answering.tidy(house.house, house.now)
    assert ana.get(f"/api/intakes/{name}").json()["line"]["status"] == "waiting"
