"""`aris serve` between real peers: Orthanc sends by C-STORE and DICOMweb, and holds the signed SR once."""

from __future__ import annotations

import io
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pydicom
import pytest
from orthanc import Orthanc, running
from real_process import Served, serving

from dicom_objects import ROOT, as_bytes, image

pytestmark = pytest.mark.slow
STUDY = f"{ROOT}.1"
PASSWORD = "a long enough password"


def eventually(holds: Callable[[], Any], seconds: float = 100) -> Any:
    until = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < until, "it never came to hold"
        time.sleep(0.1)
    return found


def set_up(served: Served) -> httpx2.Client:
    """The first user's browser."""
    browser = httpx2.Client(base_url=served.url, timeout=120)
    user = {"code": served.code, "login": "ana", "password": PASSWORD, "name": "Müller^Ana", "organization": "St. Élan",
            "identifier": ""}  # fmt: skip
    made = browser.post("/api/setup", json=user)
    assert made.status_code == 200, made.text
    browser.headers["X-CSRF-Token"] = made.json()["csrf"]
    return browser


def signed(browser: httpx2.Client, study: str) -> dict[str, Any]:
    """Open a study, write, and sign."""
    opened = browser.post(f"/api/studies/{study}/open")
    assert opened.status_code == 200, opened.text
    base = (opened.json()["text"] or {"number": 0})["number"]
    sections = {"findings": "The lungs are clear. Größe normal.", "impression": "Normal."}
    kept = browser.put(f"/api/studies/{study}/text", json={"sections": sections, "base": base})
    assert kept.status_code == 200, kept.text
    body = {"password": PASSWORD, "text": kept.json()["number"], "correction": False, "seen": {"images": 1, "of": 1}}
    done = browser.post(f"/api/studies/{study}/sign", json=body)
    assert done.status_code == 200, done.text
    found: dict[str, Any] = done.json()
    return found


def site(orthanc: Orthanc) -> str:
    lines = ["quiet_s: 0", "destinations:", f"  - {{name: pacs, kind: dicom, to: '{orthanc.peer}'}}",
             f"  - {{name: sender, kind: dicom, to: sender, peers: ['{orthanc.peer}']}}"]  # fmt: skip
    if orthanc.web:
        lines.append(f"  - {{name: web, kind: dicomweb, url: '{orthanc.dicomweb}'}}")
    return "\n".join(lines) + "\n"


def acknowledged(browser: httpx2.Client, study: str, count: int) -> bool:
    report = browser.get(f"/api/studies/{study}").json()["reports"][-1]
    return [each["state"] for each in report["deliveries"]] == ["acknowledged"] * count


def test_a_study_comes_from_orthanc_and_its_report_goes_back_once(tmp_path: Path) -> None:
    with running(tmp_path) as orthanc, serving(tmp_path, "--no-model", site=site(orthanc)) as served:
        browser = set_up(served)
        orthanc.put("/modalities/aris", {"AET": "ARIS", "Host": "127.0.0.1", "Port": served.node})
        first = orthanc.post("/instances", as_bytes(image(1)))["ID"]
        orthanc.post("/modalities/aris/store", {"Resources": [first], "Synchronous": True})
        if orthanc.web:
            made = browser.post("/api/tokens", json={"name": "orthanc", "scopes": ["dicomweb"], "days": 1})
            assert made.status_code in (200, 201), made.text
            second = orthanc.post("/instances", as_bytes(image(2)))["ID"]
            server = {"Url": f"{served.url}/dicom-web",
                      "HttpHeaders": {"Authorization": f"Bearer {made.json()['token']}"}}  # fmt: skip
            orthanc.put("/dicom-web/servers/aris", server)
            orthanc.post("/dicom-web/servers/aris/stow", {"Resources": [second], "Synchronous": True})
        count = 2 if orthanc.web else 1
        eventually(lambda: [each["images"] for each in browser.get("/api/worklist").json()["entries"]] == [count])
        assert len(orthanc.instances("DX")) == count
        done = signed(browser, STUDY)
        destinations = ["pacs", "sender", *(["web"] if orthanc.web else [])]
        assert sorted(done["destinations"]) == sorted(destinations)
        eventually(lambda: acknowledged(browser, STUDY, len(destinations)))
        held = orthanc.instances("SR")
        assert len(held) == 1
        # As if every acknowledgement had been lost, and a worker had died: all is sent once more.
        with sqlite3.connect(tmp_path / "store" / "aris.db", timeout=60) as database:
            database.execute("UPDATE deliveries SET state = 'waiting', acknowledged_at = NULL, attempts = 1")
        eventually(lambda: acknowledged(browser, STUDY, len(destinations)))
        assert orthanc.instances("SR") == held
        number = orthanc.post("/tools/lookup", held[0].encode())[0]["ID"]
        content = orthanc._call("GET", f"/instances/{number}/file").content
        report = pydicom.dcmread(io.BytesIO(content))
        assert (report.StudyInstanceUID, report.PatientID) == (STUDY, "P1")
        texts = [str(each.value) for each in report.iterall() if each.keyword == "TextValue"]
        assert report.VerificationFlag == "VERIFIED" and "The lungs are clear. Größe normal." in texts
