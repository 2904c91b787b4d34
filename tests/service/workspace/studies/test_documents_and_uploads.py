"""What leaves and what comes in at /api: documents that validate, drafts marked as such, uploads within bounds."""

from __future__ import annotations

import io
import json
import logging
import shutil
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from fhir.resources.R4B.bundle import Bundle
from office import PASSWORD, Office
from PIL import Image

from aris.flow.drafting import draft_next
from aris.service.workspace import receiving
from aris.service.workspace.errors import RefusedError
from aris.service.workspace.studies import looking, uploading
from aris.store.reading import audit
from dicom_objects import ROOT, as_bytes, image

SCRIPT = "<script>alert(1)</script><img src=x onerror=alert(1)>"


def picture(form: str = "PNG", deep: bool = False, **more: Any) -> bytes:
    values = np.random.default_rng(1).integers(0, 4095 if deep else 255, (40, 30))
    out = io.BytesIO()
    Image.fromarray(values.astype(np.uint16 if deep else np.uint8)).save(out, form, **more)
    return out.getvalue()


def uploaded(office: Office, data: bytes, status: int = 200, **query: Any) -> Any:
    return office.ana("POST", "/uploads", status, content=data, params=query,
                      headers={"Content-Type": "application/octet-stream"})  # fmt: skip


def actions(office: Office) -> list[tuple[str, str]]:
    with office.clinic.store.sessions.reading() as session:
        assert office.clinic.house.trail.verify(session) == []
        return [(each.actor, each.action) for each in audit.events(session, limit=1000)][::-1]


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dicom3tools is not installed")
def test_documents_validate_and_a_draft_says_that_it_is_one(any_office: Office, tmp_path: Path) -> None:
    uid, ana = any_office.clinic.drafted(), any_office.ana
    ahead = {form: ana.study(uid, f"/preview?format={form}") for form in ("pdf", "sr", "fhir", "text", "json")}
    assert "DRAFT" in ahead["text"].text and ahead["json"]["status"] == "draft"
    sr = pydicom.dcmread(io.BytesIO(ahead["sr"].content))
    assert (sr.VerificationFlag, sr.PreliminaryFlag) == ("UNVERIFIED", "PRELIMINARY")
    first = json.loads(ahead["fhir"].content)["entry"][0]["resource"]
    assert (first["resourceType"], first["status"]) == ("DiagnosticReport", "preliminary")
    ana.study(uid, "/sign", "POST", json={"password": PASSWORD, "text": ana.study(uid)["text"]["number"]})
    media = {"pdf": "application/pdf", "sr": "application/dicom", "fhir": "application/fhir+json",
             "text": "text/plain; charset=utf-8", "json": "application/json"}  # fmt: skip
    for form, kind in media.items():
        answer = ana.client.get(f"/api/studies/{uid}/reports/1/document", params={"format": form})
        assert answer.status_code == 200 and answer.headers["content-type"] == kind
        assert answer.headers["cache-control"] == "no-store"
        # A PDF is shown by the browser: its viewer is a plugin with styles of its own.
        assert answer.headers["content-disposition"].startswith("inline" if form == "pdf" else "attachment")
        assert ("object-src 'self'" in answer.headers["content-security-policy"]) == (form == "pdf")
        assert "ller" not in answer.headers["content-disposition"] and "P1" not in answer.headers["content-disposition"]
        again = ana.client.get(f"/api/studies/{uid}/reports/1/document", params={"format": form})
        assert again.content == answer.content  # made once
        if form == "sr":
            path = tmp_path / "report.dcm"
            path.write_bytes(answer.content)
            assert pydicom.dcmread(path).VerificationFlag == "VERIFIED"
            done = subprocess.run(["dciodvfy", path], capture_output=True, text=True, errors="replace", check=False)
            assert not [line for line in done.stderr.splitlines() if line.startswith("Error")]
        elif form == "fhir":
            assert Bundle.model_validate_json(answer.content).entry[0].resource.status == "final"
        elif form == "pdf":
            assert answer.content.startswith(b"%PDF")
    ana.study(uid, "/reports/2/document", status=404)
    ana.study(uid, "/reports/1/document?format=gsps", status=422)
    assert [each for each in actions(any_office) if each[1] in ("preview", "export")] == (
        [("ana", "preview")] * 5 + [("ana", "export")] * 10
    )


def test_a_picture_becomes_dicom_and_is_due_to_be_drafted_at_once(office: Office, tmp_path: Path) -> None:
    facts = {"name": "film.png", "patient_name": "Müller^Ana", "patient_id": "7", "age": "57", "sex": "f",
             "view": "pa", "body_part": "chest"}  # fmt: skip
    first = uploaded(office, picture(), **facts)
    (uid,) = first["studies"]
    assert (first["added"], first["refused"]) == (1, [])
    assert uploaded(office, picture(), **facts) == {"studies": [uid], "added": 0, "known": 1, "refused": []}
    (entry,) = office.ana("GET", "/worklist")["entries"]
    assert (entry["state"], entry["patient_name"], entry["age"], entry["modalities"]) == (
        "settled", "Müller^Ana", "057Y", ["DX"]
    )  # fmt: skip
    assert office.ana.study(uid)["drafting"] == "waiting"
    assert draft_next(office.clinic.house, office.clinic.drafter, "w") == "drafted"
    stored = office.clinic.store.instances(study=uid)[0].file.path
    kept = pydicom.dcmread(stored)
    assert np.array_equal(kept.pixel_array, np.asarray(Image.open(io.BytesIO(picture()))))
    assert "LossyImageCompression" not in kept
    if shutil.which("dciodvfy"):
        done = subprocess.run(["dciodvfy", stored], capture_output=True, text=True, errors="replace", check=False)
        assert not [line for line in done.stderr.splitlines() if line.startswith("Error")]
    (deep,) = uploaded(office, picture("TIFF", deep=True), modality="CR")["studies"]
    kept = pydicom.dcmread(office.clinic.store.instances(study=deep)[0].file.path)
    assert kept.pixel_array.dtype == np.uint16 and kept.BitsStored == 12
    assert np.array_equal(kept.pixel_array, np.asarray(Image.open(io.BytesIO(picture("TIFF", deep=True)))))
    (lossy,) = uploaded(office, picture("JPEG"))["studies"]
    kept = pydicom.dcmread(office.clinic.store.instances(study=lossy)[0].file.path)
    assert (kept.LossyImageCompression, kept.file_meta.TransferSyntaxUID.is_compressed) == ("01", False)
    assert np.array_equal(kept.pixel_array, np.asarray(Image.open(io.BytesIO(picture("JPEG")))))
    for wrong in ({"age": "old"}, {"sex": "x"}, {"view": "?"}, {"study": "x"}, {"birth_date": "31.1.80"}):
        uploaded(office, picture(), 422, **wrong)


def test_an_archive_gives_its_objects_and_says_what_it_refuses(office: Office) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/1.dcm", as_bytes(image(1)))
        archive.writestr("a/2.dcm", as_bytes(image(2)))
        archive.writestr("a/other.dcm", as_bytes(image(3, PatientID="another")))
        archive.writestr("../out.dcm", as_bytes(image(4)))
        archive.writestr("readme.txt", "text")
        archive.writestr("DICOMDIR", "x")
    made = uploaded(office, out.getvalue(), name="cd.zip", more=True)
    assert made["studies"] == [f"{ROOT}.1"] and made["added"] == 2
    refused = {each["name"]: each["reason"] for each in made["refused"]}
    assert set(refused) == {"a/other.dcm", "../out.dcm", "readme.txt"}
    assert refused["a/other.dcm"].startswith("kept apart") and "leaves the archive" in refused["../out.dcm"]
    assert office.ana("GET", "/worklist")["total"] == 0  # more files follow
    uploaded(office, as_bytes(image(5)), name="5.dcm")
    (entry,) = office.ana("GET", "/worklist")["entries"]
    assert (entry["state"], entry["images"]) == ("settled", 3)
    assert ("ana", "upload") in actions(office)


def test_a_file_without_its_end_is_refused_and_the_whole_one_taken(office: Office) -> None:
    whole = as_bytes(image(1))
    made = uploaded(office, whole[:-1], name="half.dcm", more=True)
    assert made["added"] == 0 and made["studies"] == []
    assert made["refused"] == [{"name": "half.dcm", "reason": "its end is missing; copy or export it again"}]
    made = uploaded(office, whole, name="whole.dcm")
    assert made["added"] == 1 and made["refused"] == []


def test_a_bomb_garbage_and_too_much_are_refused(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.dcm", b"\0" * (80 << 20))
    (refused,) = uploaded(office, out.getvalue(), name="bomb.zip")["refused"]
    assert refused["name"] == "bomb.zip" and "unpacks to" in refused["reason"]
    (refused,) = uploaded(office, b"garbage", name=f"{SCRIPT}.dcm")["refused"]
    assert refused["name"] == f"{SCRIPT}.dcm" and refused["reason"]
    uploaded(office, b"", 400)
    monkeypatch.setattr(uploading, "MOST_BYTES", 1000)
    uploaded(office, b"x" * 1001, 413)
    assert not list((office.clinic.store.folder / uploading.FOLDER).iterdir())
    assert office.vic("POST", "/uploads", 403, content=b"x")["error"]["code"] == "forbidden"


def test_a_full_disk_is_said_before_the_store_has_no_room(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(office.clinic.store.folder)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=100 << 20))
    assert uploaded(office, b"no image, so that the store itself is not asked", 507)["error"]["code"] == "disk_full"
    assert not list((office.clinic.store.folder / uploading.FOLDER).iterdir())


def test_an_upload_that_ends_meanwhile_stops_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "iterdir", lambda self: iter([self / "ended"]))
    receiving.prepare(tmp_path, tmp_path / "new")
    assert (tmp_path / "new").is_dir()


def test_script_in_every_text_field_stays_text_and_reaches_no_log(
    office: Office, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    uid = office.clinic.receive(
        PatientName=SCRIPT, PatientID=SCRIPT[:60], StudyDescription=SCRIPT[:60], AccessionNumber="<b>",
        SeriesDescription=SCRIPT[:60],
        ReferringPhysicianName=SCRIPT,
    )  # fmt: skip
    office.clinic.settle()
    office.clinic.draft()
    ana = office.ana
    base = ana.study(uid, "/open", "POST")["text"]["number"]
    sections = dict.fromkeys(("examination", "indication", "technique", "comparison", "findings", "impression"), SCRIPT)
    ana.study(uid, "/text", "PUT", json={"sections": sections, "base": base})
    ana.study(uid, "/verdicts", "POST", 204, json={"kind": "sentence", "about": SCRIPT, "verdict": "added"})
    ana.study(uid, "/measurements", "POST", 201, json={
        "image": f"{ROOT}.1.1.1", "name": SCRIPT, "value": 1, "unit": "mm", "calibration": "calibrated", "points": [],
    })  # fmt: skip
    (raised,) = ana.study(uid, "/critical", "POST", 201, json={"finding": SCRIPT})["critical"]
    ana.study(uid, f"/critical/{raised['id']}/attempts", "POST", 201,
              json={"whom": SCRIPT, "how": "<i>", "outcome": "told", "note": SCRIPT})  # fmt: skip
    ana.study(uid, "/sign", "POST", json={"password": PASSWORD, "text": base + 1})
    for path in (f"/studies/{uid}", f"/studies/{uid}/texts", "/worklist?state=final", "/deliveries", "/agreement"):
        answer = ana.client.get(f"/api{path}")
        assert answer.status_code == 200 and answer.headers["content-type"] == "application/json"
        assert answer.headers["x-content-type-options"] == "nosniff"
    study = ana.study(uid)
    assert study["text"]["sections"] == sections and study["critical"][0]["attempts"][0]["note"] == SCRIPT
    found = ana("GET", "/worklist", params={"text": SCRIPT[:20], "state": "final"})
    assert [each["patient_name"] for each in found["entries"]] == [SCRIPT]
    # The test's own client writes down what it asks.
    said = "\n".join(each.getMessage() for each in caplog.records if not each.name.startswith("httpx"))
    assert "POST /api/studies/{study}/sign 200" in said
    assert "alert" not in said and "Müller" not in said and PASSWORD not in said


def test_one_reader_s_slow_lines_keep_nobody_else_out() -> None:
    arriving = uploading._Arriving()
    for _ in range(uploading.MOST_OF_ONE):
        arriving.begin("ana")
    with pytest.raises(RefusedError) as refused:
        arriving.begin("ana")
    assert refused.value.status == 503
    arriving.begin("bob")
    arriving.end("ana")
    arriving.begin("ana")
    for login in ("eva", "eva", "eva", "sol"):
        arriving.begin(login)
    with pytest.raises(RefusedError):
        arriving.begin("tom")  # as many as there is room for


def test_archives_are_asked_by_each_once_at_a_time_and_by_a_few_in_all() -> None:
    looks = looking._Looks()
    with looks.one("ana"):
        with pytest.raises(RefusedError) as refused, looks.one("ana"):
            pass
        assert refused.value.status == 503
        with looks.one("bob"), looks.one("eva"), looks.one("sol"), pytest.raises(RefusedError), looks.one("tom"):
            pass
    with looks.one("ana"):
        pass
