"""Script in every text field, of images and of persons: it comes back as data alone, at each route that answers GET."""

from __future__ import annotations

import re
from typing import Any

from fastapi.testclient import TestClient

from aris.flow.arrival import collect, settle_now
from aris.service.workspace.context import rules
from dicom_objects import ROOT, as_bytes, image
from workspace_house import PASSWORD, WorkspaceHouse

SCRIPT = "<script>alert(1)</script><img src=x onerror=alert(1)>"
STUDY, SERIES, IMAGE = f"{ROOT}.1", f"{ROOT}.1.1", f"{ROOT}.1.1.1"
# A browser runs no script in an answer of these, which is `nosniff`; SVG and HTML are not among them.
DATA = {"application/json", "application/fhir+json", "application/dicom", "application/pdf", "application/octet-stream",
        "application/zip", "image/jpeg", "image/png", "text/plain"}  # fmt: skip
FORMATS = ("pdf", "sr", "fhir", "text", "json")


def test_script_in_every_field_is_data_at_every_route(room: WorkspaceHouse) -> None:
    attributes = ("PatientID", "PatientName", "StudyDescription", "SeriesDescription", "ReferringPhysicianName")
    room.store.add(as_bytes(image(1, **{name: SCRIPT[:60] for name in attributes}, AccessionNumber="<b>1</b>")))
    collect(room.house)
    settle_now(room.house, {STUDY})
    client = room.client("sol")
    plant(client)
    asked = planted = 0
    for path in paths(room):
        answer = client.get(path)
        kind = answer.headers["content-type"].partition(";")[0]
        assert kind in DATA and answer.status_code < 500, (path, kind, answer.status_code)
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        if kind == "application/json" and answer.status_code == 200:
            answer.json()
        asked += answer.status_code == 200
        planted += "alert(1)" in answer.text if kind.endswith("json") or kind == "text/plain" else 0
    # The worklist, the study, its texts, its documents, the users, tokens, preferences, the trail ...
    assert asked > 20 and planted > 8, (asked, planted)
    # What the routes do not know is said in JSON too.
    for path in (f"/api/studies/{SCRIPT}", f"/api/worklist?text={SCRIPT}", f"/api/worklist?sort={SCRIPT}",
                 f"/api/studies/{STUDY}/preview?format={SCRIPT}", f"/api/images/{SCRIPT}/frames/1"):  # fmt: skip
        answer = client.get(path)
        assert answer.headers["content-type"] == "application/json" and answer.status_code < 500, path


def plant(client: TestClient) -> None:
    """Script in all that a person can write."""
    study = f"/api/studies/{STUDY}"
    names = ("examination", "indication", "technique", "comparison", "findings", "impression")
    sections = dict.fromkeys(names, SCRIPT)
    measured = {"image": IMAGE, "frame": None, "name": SCRIPT, "value": 1.5, "unit": "mm", "calibration": "pixels only",
                "points": [[1, 2], [3, 4]]}  # fmt: skip
    sent: list[tuple[str, str, dict[str, Any]]] = [
        ("POST", "/api/users", {"login": "bob", "password": PASSWORD, "role": "viewer", "name": SCRIPT,
                                "organization": SCRIPT, "identifier": SCRIPT[:60]}),
        ("POST", "/api/tokens", {"name": SCRIPT, "scopes": ["read"], "days": 1}),
        ("PUT", "/api/preferences", {"macros": [{"name": SCRIPT, "text": SCRIPT}]}),
        ("POST", "/api/macros", {"name": "script", "text": SCRIPT}),
        ("POST", f"{study}/open", {}),
        ("PUT", f"{study}/text", {"sections": sections, "base": 0}),
        ("POST", f"{study}/measurements", measured),
        ("POST", f"{study}/critical", {"finding": SCRIPT}),
        ("POST", f"{study}/critical/1/attempts", {"whom": SCRIPT, "how": SCRIPT, "outcome": "told", "note": SCRIPT}),
        ("POST", f"{study}/sign", {"password": PASSWORD, "text": 1, "correction": False,
                                   "seen": {"images": 1, "of": 1}}),
        ("POST", f"{study}/addendum", {"password": PASSWORD, "text": SCRIPT}),
    ]  # fmt: skip
    for method, path, body in sent:
        answer = client.request(method, path, json=body)
        assert answer.status_code < 300, (path, answer.text)


def paths(room: WorkspaceHouse) -> list[str]:
    """Every path that answers GET, with this study, its image, its reports and its formats; streams are left out."""
    values = {"study": STUDY, "series": SERIES, "uid": IMAGE, "number": "1", "key": "x", "prior": STUDY, "login": "bob",
              "name": "x", "library": "x", "paper": "1"}
    found = []
    for route, _ in rules(room.app):
        if "GET" not in (route.methods or ()) or route.path.endswith(("/events", "/draft", "/oidc", "/callback")):
            continue
        path = re.sub(r"\{(\w+)[^}]*\}", lambda name: values[name[1]], route.path)
        if path.endswith(("/document", "/preview")):
            found += [f"{path}?format={each}" for each in FORMATS]
        found.append(path)
    return found
