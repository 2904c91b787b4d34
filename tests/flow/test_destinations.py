"""Signed reports at real peers: a DICOM node, DICOMweb, a FHIR server. What is sent again is held once."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from clinic import PASSWORD, STUDY, Clinic
from fhir.resources.R4B import get_fhir_model_class

from aris.errors import ExchangeError
from aris.exchange.files import read_header
from aris.exchange.node.server import Node, NodeSettings
from aris.flow.outgoing.delivery import deliver_next
from aris.flow.settings import SettingsError, SiteSettings, read_settings
from aris.service.dicomweb import DicomwebServer, DicomwebSettings
from aris.store.reading import deliveries
from aris.store.store import Store


def signed(folder: Path, destination: dict[str, Any]) -> Clinic:
    clinic = Clinic(folder, destinations=[{"name": "there", **destination}])
    clinic.drafted()
    clinic.sign(STUDY)
    return clinic


def again(clinic: Clinic) -> None:
    """As if the acknowledgement had been lost: the same version once more."""
    from sqlalchemy import text

    with clinic.store.sessions.writing() as session:
        session.execute(text("UPDATE deliveries SET state = 'waiting', not_before = created_at"))


def test_a_node_gets_the_report_and_is_tried_until_it_has_it(tmp_path: Path, cheap_passwords: None) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    clinic = signed(tmp_path, {"kind": "dicom", "to": "sender", "peers": [f"CT1@127.0.0.1:{port}"]})
    waits = []
    for _ in range(3):  # it is away
        assert deliver_next(clinic.house, "w", clinic.now) == "failed"
        with clinic.store.sessions.reading() as session:
            (row,) = deliveries.failing(session)
            waits.append((row.not_before - clinic.now).total_seconds())
            assert "cannot be reached" in row.error
        assert deliver_next(clinic.house, "w", clinic.now) is None
        clinic.later(seconds=waits[-1])
    assert waits == [5, 10, 20]
    with Store(tmp_path / "pacs") as pacs, Node(pacs, NodeSettings(ae_title="CT1", port=port)):
        assert deliver_next(clinic.house, "w", clinic.now) == "acknowledged"
        again(clinic)
        assert deliver_next(clinic.house, "w", clinic.now) == "acknowledged"
        assert pacs.counts() == {"studies": 1, "series": 1, "instances": 1, "copies": 1}  # the very same object
        (found,) = pacs.instances(study=STUDY)
        assert read_header(found.file).VerificationFlag == "VERIFIED"


def test_dcmtks_node_gets_the_report(tmp_path: Path, cheap_passwords: None) -> None:
    program = shutil.which("storescp")
    if program is None:
        pytest.skip("no storescp here (Debian: dcmtk)")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    place = tmp_path / "received"
    place.mkdir()
    server = subprocess.Popen([program, "-od", str(place), str(port)])
    try:
        clinic = signed(tmp_path, {"kind": "dicom", "to": f"PACS@127.0.0.1:{port}"})
        for _ in range(100):
            if deliver_next(clinic.house, "w", clinic.now) == "acknowledged":
                break
            clinic.later(hours=1)
            time.sleep(0.1)
        (file,) = place.iterdir()
        assert read_header(file).StudyInstanceUID == STUDY
    finally:
        server.kill()
        server.wait()


def test_dicomweb_gets_the_report(tmp_path: Path, cheap_passwords: None) -> None:
    token = tmp_path / "token"
    token.write_text("secret-key\n")
    with Store(tmp_path / "pacs") as pacs:
        with DicomwebServer(pacs, DicomwebSettings(port=0, api_key="secret-key")) as server:
            place = {"kind": "dicomweb", "url": server.url}
            clinic = signed(tmp_path / "a", place)
            assert deliver_next(clinic.house, "w", clinic.now) == "failed"  # without its key
            with clinic.store.sessions.reading() as session:
                assert "token_file" in deliveries.failing(session)[0].error
            clinic = signed(tmp_path / "b", place | {"token_file": token})
            assert deliver_next(clinic.house, "w", clinic.now) == "acknowledged"
            again(clinic)
            assert deliver_next(clinic.house, "w", clinic.now) == "acknowledged"
        assert pacs.counts()["instances"] == pacs.counts()["copies"] == 1
        again(clinic)
        assert deliver_next(clinic.house, "w", clinic.now) == "failed"  # gone


class FhirServer:
    """A FHIR server that takes PUT and checks what a strict one does: the resource, its id, and what it refers to."""

    def __init__(self) -> None:
        self.held: dict[str, list[dict[str, Any]]] = {}
        self.refuse_after = 1 << 30
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_PUT(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(outer.take(self.path, body))
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/fhir"

    def take(self, path: str, body: dict[str, Any]) -> int:
        key = path.removeprefix("/fhir/")
        if self.refuse_after <= 0:
            return 503
        self.refuse_after -= 1
        if key != f"{body['resourceType']}/{body['id']}":
            return 400
        get_fhir_model_class(body["resourceType"]).model_validate(body)  # raises where it is no such resource
        if any(target not in self.held for target in targets(body)):
            return 422
        versions = self.held.setdefault(key, [])
        if not versions or versions[-1] != body:
            versions.append(body)
        return 201 if len(versions) == 1 else 200


def targets(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("reference"), str):
            yield value["reference"]
        for each in value.values():
            yield from targets(each)
    elif isinstance(value, list):
        for each in value:
            yield from targets(each)


def test_a_fhir_server_holds_the_report_once_whatever_breaks(tmp_path: Path, cheap_passwords: None) -> None:
    server = FhirServer()
    clinic = signed(tmp_path, {"kind": "fhir", "url": server.url})
    for taken in (0, 2, 5):  # it breaks off in the middle, further each time
        server.refuse_after = taken
        assert deliver_next(clinic.house, "w", clinic.now) == "failed"
        clinic.later(hours=1)
    server.refuse_after = 1 << 30
    assert deliver_next(clinic.house, "w", clinic.now) == "acknowledged"
    held = {key: len(versions) for key, versions in server.held.items()}
    again(clinic)
    assert deliver_next(clinic.house, "w", clinic.now) == "acknowledged"
    assert {key: len(versions) for key, versions in server.held.items()} == held and set(held.values()) == {1}
    (report,) = [key for key in held if key.startswith("DiagnosticReport/")]
    assert server.held[report][0]["status"] == "final"
    clinic.desk.addend("bob", PASSWORD, STUDY, "Nachtrag: Erguß.")
    assert deliver_next(clinic.house, "w", clinic.now) == "acknowledged"
    assert [each["status"] for each in server.held[report]] == ["final", "appended"]  # its next version
    kinds = [key.partition("/")[0] for key in server.held]
    assert [kinds.count(kind) for kind in ("DiagnosticReport", "Patient", "Device", "ImagingStudy")][:3] == [1, 1, 1]


def test_settings_are_read_and_what_is_wrong_with_them_is_said(tmp_path: Path) -> None:
    file = tmp_path / "site.yaml"
    file.write_text(
        "second_signature: true\naudit_heads: heads.jsonl\nwatch: [in]\ndestinations:\n"
        "  - {kind: folder, name: out, path: out}\n  - {kind: dicom, name: pacs, to: 'PACS@10.0.0.5:104'}\n"
        "  - {kind: hl7, name: ris, to: 'ris.example:2575', encoding: iso-8859-1}\n"
    )
    found = read_settings(file)
    assert found.second_signature and found.watch == (tmp_path / "in",)
    assert found.audit_heads == tmp_path / "heads.jsonl"
    assert found.destinations[0].path == tmp_path / "out"  # type: ignore[union-attr]
    assert read_settings(tmp_path / "none.yaml") == SiteSettings()
    for text, told in (
        ("quiet: 3", "quiet"), ("quiet_s: -1", "quiet_s"), ("- a", "settings"), ("a: [", "not YAML"),
        ("destinations: [{kind: fax, name: a}]", "destinations.0"),
        ("destinations: [{kind: dicom, name: a, to: nowhere}]", "AETITLE@HOST:PORT"),
        ("destinations: [{kind: folder, name: a, path: x}, {kind: folder, name: a, path: y}]", "same name"),
    ):  # fmt: skip
        file.write_text(text)
        with pytest.raises(SettingsError, match=told) as caught:
            read_settings(file)
        assert "\n" not in str(caught.value)
    with pytest.raises(SettingsError, match="cannot be read"):
        read_settings(tmp_path / "none.yaml", needed=True)


def test_a_token_file_must_hold_a_token(tmp_path: Path) -> None:
    from aris.exchange.sending.http import client

    (tmp_path / "token").write_text("two words")
    for path in (tmp_path / "token", tmp_path / "none"):
        with pytest.raises(ExchangeError, match="token"), client("http://127.0.0.1:1", path):
            pass


@pytest.mark.parametrize(("body", "done"), [(b"", "acknowledged"), (b"<html>Sign in</html>", "failed")])
def test_a_page_to_sign_in_at_is_no_acknowledgement(
    tmp_path: Path, cheap_passwords: None, body: bytes, done: str
) -> None:
    class Portal(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Portal)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        clinic = signed(tmp_path, {"kind": "dicomweb", "url": f"http://127.0.0.1:{server.server_address[1]}"})
        assert deliver_next(clinic.house, "w", clinic.now) == done
    finally:
        server.shutdown()
        server.server_close()
