"""Studies at /api: states, two readers, signatures and what refuses them."""

from __future__ import annotations

from typing import Any

from office import PASSWORD, Office

from aris.store.reading import readings
from dicom_objects import ROOT, as_bytes, image


def seen(images: int = 1) -> dict[str, int]:
    return {"images": images, "of": 1}


def signed(person: Any, uid: str, **more: Any) -> Any:
    text = person.study(uid)["text"]["number"]
    return person.study(uid, "/sign", "POST", json={"password": PASSWORD, "text": text, "seen": seen()} | more)


def test_a_film_is_read_from_the_list_to_the_signature(any_office: Office) -> None:
    uid = any_office.clinic.drafted()
    ana = any_office.ana
    page = ana("GET", "/worklist")
    (entry,) = page["entries"]
    assert page["total"] == 1 and page["counts"]["drafted"] == 1 and page["modalities"] == ["DX"]
    assert (entry["study"], entry["state"], entry["age"], entry["concern"]) == (uid, "drafted", "046Y", 2)
    opened = ana.study(uid, "/open", "POST")
    assert opened["state"] == "opened" and opened["opened_by"] == "ana"
    assert opened["patient"] == {"identifier": "P1", "issuer": "", "name": "Müller^Ana1", "birth_date": "19800101",
                                 "sex": "F", "age": "046Y"}  # fmt: skip
    assert opened["may"] == {"edit": True, "sign": True, "addend": False, "correct": False}
    (draft,) = opened["drafts"]
    assert draft["caution"] and draft["findings"][0]["name"] == "pneumonia" and draft["applied"]
    assert opened["series"] == [{"uid": f"{ROOT}.1.1", "modality": "DX", "number": "1", "description": "Frontal",
                                 "body_part": "CHEST", "images": 1, "frames": 1, "objects": 1}]  # fmt: skip
    text = opened["text"]
    saved = ana.study(uid, "/text", "PUT", json={"sections": {"impression": "Effusion."}, "base": text["number"]})
    assert saved == {"number": text["number"] + 1, "newest": text["number"] + 1, "author": "ana"}
    measured = ana.study(uid, "/measurements", "POST", 201, json={
        "image": f"{ROOT}.1.1.1", "frame": None, "name": "width", "value": 12.5, "unit": "mm",
        "calibration": "at detector", "points": [[1, 2], [3, 4]],
    })  # fmt: skip
    gone = ana.study(uid, "/measurements", "POST", 201, json=measured_again(measured))
    ana.study(uid, f"/measurements/{gone['id']}", "DELETE", 204)
    ana.study(uid, f"/measurements/{gone['id']}", "DELETE", 404)
    ana.study(uid, "/verdicts", "POST", 204, json={"kind": "finding", "about": "pneumonia", "verdict": "accepted",
                                                        "draft": draft["number"]})  # fmt: skip
    ana.study(uid, "/verdicts", "POST", 409, json={"kind": "finding", "about": "pneumonia", "verdict": "accepted",
                                                   "draft": 7})  # fmt: skip
    ana.study(uid, "/verdicts", "POST", 204, json={"kind": "sentence", "about": "No pneumothorax.",
                                                   "verdict": "unchanged", "draft": 1})  # fmt: skip
    done = signed(ana, uid)
    assert done["state"] == "final" and done["number"] == 1 and done["destinations"] == ["out"] and not done["warnings"]
    after = ana.study(uid)
    assert after["may"] == {"edit": False, "sign": False, "addend": True, "correct": True}
    (report,) = after["reports"]
    assert report["sections"]["impression"] == "Effusion." and report["digest"] == done["digest"]
    assert report["signatures"][0]["meaning"] == "author" and report["deliveries"][0]["state"] == "waiting"
    assert [each["id"] for each in after["measurements"]] == [measured["id"]]
    assert ana("GET", "/worklist")["total"] == 0
    assert [each["study"] for each in ana("GET", "/deliveries")] == [uid]
    line, unjudged = ana("GET", "/agreement")
    assert (line["kind"], line["accepted"], line["judged"], line["agreed"]) == ("finding", 1, 1, 1.0)
    assert (unjudged["unchanged"], unjudged["judged"], unjudged["agreed"]) == (1, 0, None)
    assert ana("GET", "/flow")["studies"] == {"final": 1}
    added = ana.study(uid, "/addendum", "POST", json={"password": PASSWORD, "text": "Compared."})
    assert added["state"] == "addendum" and ana.study(uid)["reports"][1]["addenda"] == ["Compared."]
    texts = ana.study(uid, "/texts")
    assert [each["author"] for each in texts] == ["ana", "(model)"]


def measured_again(measured: dict[str, Any]) -> dict[str, Any]:
    return {name: measured[name] for name in ("image", "frame", "name", "value", "unit", "calibration", "points")}


def test_two_readers_lose_no_text_and_the_second_is_told(any_office: Office) -> None:
    uid = any_office.clinic.drafted()
    ana, bob = any_office.ana, any_office.bob
    base = ana.study(uid, "/open", "POST")["text"]["number"]
    assert bob.study(uid, "/open", "POST")["opened_by"] == "ana"
    first = ana.study(uid, "/text", "PUT", json={"sections": {"impression": "Ana's."}, "base": base})
    second = bob.study(uid, "/text", "PUT", json={"sections": {"impression": "Bob's."}, "base": base})
    assert first["number"] == base + 1 and second == {"number": None, "newest": base + 1, "author": "ana"}
    study = bob.study(uid)
    assert study["text"]["sections"]["impression"] == "Ana's."
    assert [each["sections"]["impression"] for each in study["beside"]] == ["Bob's."]
    stale = bob.study(uid, "/sign", "POST", 409, json={"password": PASSWORD, "text": base, "seen": seen()})
    assert stale["error"]["code"] == "stale_text"
    assert bob.study(uid, "/text", "PUT", 422, json={"sections": {}, "base": 99})["error"]["code"] == "refused"


def test_what_is_not_allowed_is_refused_with_its_status(office: Office) -> None:
    uid = office.clinic.drafted()
    for path, body in (("/open", None), ("/close", None), ("/critical", {"finding": "x"}),
                       ("/sign", {"password": PASSWORD, "text": 1}), ("/notice/seen", None)):  # fmt: skip
        assert office.vic.study(uid, path, "POST", 403, json=body)["error"]["code"] == "forbidden"
    assert office.vic.study(uid)["may"] == {"edit": False, "sign": False, "addend": False, "correct": False}
    office.adm("GET", "/worklist", 403)
    office.adm.study(uid, status=403)
    ana = office.ana
    text = ana.study(uid, "/open", "POST")["text"]["number"]
    wrong = ana.study(uid, "/sign", "POST", 401, json={"password": "wrong", "text": text})
    assert wrong["error"]["code"] == "wrong_password" and ana.study(uid)["state"] == "opened"
    early = ana.study(uid, "/addendum", "POST", 409, json={"password": PASSWORD, "text": "x"})
    assert early["error"]["code"] == "conflict"
    for missing in ("/api/studies/1.2.3", "/api/studies/1.2.3/texts"):
        assert ana.client.get(missing).status_code == 404
    ana.study("1.2.3", "/sign", "POST", 404, json={"password": PASSWORD, "text": 1})
    ana.study("not-a-uid", status=422)
    signed(ana, uid)
    again = ana.study(uid, "/sign", "POST", 409, json={"password": PASSWORD, "text": text})
    assert again["error"]["code"] == "conflict"
    point = {"image": f"{ROOT}.1.1.1", "name": "w", "value": 1, "unit": "mm", "calibration": "pixels only",
             "points": []}  # fmt: skip
    for bad in ({"value": "x"}, {"unit": "m m"}, {"name": " "}, {"image": "1.2.3"}, {"frame": 0}, {"extra": 1}):
        ana.study(uid, "/measurements", "POST", 422, json=point | bad)


def test_a_second_signature_is_another_readers(office: Office, tmp_path: Any) -> None:
    both = Office(tmp_path / "two", second_signature=True)
    uid = both.clinic.drafted()
    done = signed(both.ana, uid)
    assert done["state"] == "preliminary" and not done["destinations"]
    study = both.ana.study(uid)
    assert study["may"]["sign"] is False and study["reports"][0]["status"] == "preliminary"
    assert both.ana.study(uid, "/reports/1/document", status=409)["error"]["code"] == "preliminary"
    text = study["text"]["number"]
    mine = both.ana.study(uid, "/sign", "POST", 409, json={"password": PASSWORD, "text": text})
    assert mine["error"]["code"] == "conflict"
    assert both.bob.study(uid)["may"]["sign"] is True
    assert signed(both.bob, uid)["state"] == "final"
    assert both.bob.study(uid, "/reports/2/document?format=text").status_code == 200


def test_a_correction_takes_the_place_of_the_report(office: Office) -> None:
    uid = office.clinic.drafted()
    ana = office.ana
    signed(ana, uid)
    base = ana.study(uid)["text"]["number"]
    ana.study(uid, "/text", "PUT", json={"sections": {"impression": "Corrected."}, "base": base})
    done = signed(ana, uid, correction=True)
    assert done["state"] == "amended"
    assert ana.study(uid)["reports"][1]["sections"]["impression"] == "Corrected."


def test_a_critical_result_is_open_until_it_is_read_back(office: Office) -> None:
    uid = office.clinic.drafted()
    ana = office.ana
    (raised,) = ana.study(uid, "/critical", "POST", 201, json={"finding": "Pneumothorax"})["critical"]
    path = f"/critical/{raised['id']}/attempts"
    signed(ana, uid)  # a signature does not tell anybody
    page = ana("GET", "/worklist")
    assert page["total"] == 1 and [(each["study"], each["critical"]) for each in page["entries"]] == [(uid, 1)]
    assert ana("GET", "/worklist?state=drafted")["total"] == 0
    ana.study(uid, path, "POST", 201, json={"whom": "Dr. Roe", "how": "phone", "outcome": "reached", "note": ""})
    study = ana.study(uid, path, "POST", 201, json={"whom": "Dr. Roe", "how": "phone", "outcome": "read back"})
    (found,) = study["critical"]
    assert [each["outcome"] for each in found["attempts"]] == ["told", "read back"] and not found["open"]
    assert ana("GET", "/worklist")["total"] == 0
    ana.study(uid, path, "POST", 422, json={"whom": "", "how": "", "outcome": "withdrawn", "note": ""})
    ana.study(uid, "/critical/999/attempts", "POST", 404, json={"whom": "x", "how": "y", "outcome": "told"})


def test_a_notice_on_a_signed_study_leaves_the_list_when_a_reader_has_seen_it(office: Office) -> None:
    uid = office.clinic.drafted()
    ana = office.ana
    ana.study(uid, "/notice/seen", "POST", 409)
    signed(ana, uid)
    office.clinic.receive(2)
    office.clinic.settle()
    assert ana("GET", "/worklist")["entries"][0]["notice"].startswith("images came after")
    assert ana.study(uid, "/notice/seen", "POST")["notice"] == ""
    assert ana("GET", "/worklist")["total"] == 0


def test_nobody_has_a_study_open_for_ever(any_office: Office) -> None:
    from aris.flow.reading.leaving import leave_all, leave_forgotten

    clinic = any_office.clinic
    uid = clinic.drafted()
    any_office.ana.study(uid, "/open", "POST")
    assert leave_forgotten(clinic.house, {"ana"}, clinic.now) == 0
    clinic.later(minutes=31)
    assert leave_forgotten(clinic.house, {"ana"}, clinic.now) == 0
    assert leave_forgotten(clinic.house, set(), clinic.now) == 1
    with clinic.store.sessions.reading() as session:
        assert (readings.require(session, uid).state, readings.require(session, uid).opened_by) == ("drafted", "")
    any_office.ana.study(uid, "/open", "POST")
    clinic.later(hours=5)
    assert leave_forgotten(clinic.house, {"ana"}, clinic.now) == 1
    any_office.ana.study(uid, "/open", "POST")
    any_office.ana("DELETE", "/session", 204)
    assert any_office.bob.study(uid)["opened_by"] == ""
    assert leave_all(clinic.house, "bob") == 0


def test_priors_are_certain_or_only_possible_and_then_without_text(office: Office) -> None:
    clinic, ana = office.clinic, office.ana
    now = clinic.drafted()
    earlier = clinic.receive(1, study=2, PatientID="P1", PatientName="Müller^Ana1")
    other = clinic.receive(1, study=3, PatientID="P1", PatientName="Müller^Ana1", PatientBirthDate="19790101")
    clinic.settle()
    while clinic.draft():
        pass
    signed(ana, earlier)
    signed(ana, other)
    first, second = ana.study(now)["priors"]
    assert (first["study"], first["certain"], first["impression"]) == (earlier, True, "Pneumonia is likely.")
    assert (second["study"], second["certain"], second["impression"]) == (other, False, "") and second["why"]


def test_a_prior_that_was_given_to_another_patient_shows_no_text_of_before(office: Office) -> None:
    clinic, ana = office.clinic, office.ana
    now = clinic.drafted(study=5, PatientID="P7", PatientName="Roe^Jane")
    earlier = clinic.drafted(study=2)
    signed(ana, earlier)
    # It was filed under the wrong patient.
    clinic.receive(2, study=2, PatientID="P7", PatientName="Roe^Jane")
    clinic.store.resolve(earlier, "P7")
    (prior,) = ana.study(now)["priors"]
    assert (prior["study"], prior["certain"], prior["impression"]) == (earlier, True, "")


def test_a_series_number_that_is_none_hides_no_study(office: Office) -> None:
    data = as_bytes(image(1))
    number = data.index(b"\x20\x00\x11\x00IS")
    odd = data[: number + 6] + b"\x04\x00--12" + data[number + 10 :]
    office.clinic.store.add(odd, source="CT1")
    office.clinic.settle()
    assert [each["number"] for each in office.ana.study(f"{ROOT}.1")["series"]] == ["--12"]
