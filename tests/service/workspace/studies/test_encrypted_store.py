"""The workspace on a store whose files are encrypted: all that reads an image does so, and nothing lies in clear."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from office import Office

import aris.flow.uploads
from aris.exchange.documents.formats import document
from aris.flow.drafting import draft_next
from aris.flow.examining import cases_of
from aris.flow.reading.pairs import export_pairs
from aris.service.workspace.studies import uploading
from aris.store.store import Stored
from dicom_objects import ROOT, as_bytes, image
from encrypted_stores import encrypt_new_stores, holds

UID = f"{ROOT}.1"

@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cheap_passwords: None) -> Iterator[Office]:
    encrypt_new_stores(monkeypatch, tmp_path / "keys" / "store.key")
    made = Office(tmp_path, None)
    yield made
    made.clinic.store.close()


def test_upload_frames_thumbnails_drafts_and_exports(
    office: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana, store = office.ana, office.clinic.store
    uploads: list[int] = []
    take = uploading.take_upload

    def looked_at(*given: Any) -> Any:
        uploads.append(len(holds(store.folder / uploading.FOLDER, b"Secret")))
        return take(*given)

    monkeypatch.setattr(uploading, "take_upload", looked_at)
    monkeypatch.setattr(aris.flow.uploads, "_IN_MEMORY", 100)  # members of an archive lie beside it for a while
    data, packed = as_bytes(image(1, PatientName="Secret^Name")), io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("1.dcm", data)
        archive.writestr("2.dcm", as_bytes(image(2, PatientName="Secret^Name")))
    made = ana("POST", "/uploads", content=packed.getvalue(), params={"name": "cd.zip"})
    assert (made["studies"], made["added"], made["refused"], uploads) == ([UID], 2, [], [0])
    assert not holds(store.folder / "objects", b"Secret") and not holds(store.folder / "uploads", b"Secret")
    assert draft_next(office.clinic.house, office.clinic.drafter, "w") == "drafted"  # the drafter reads every file
    found = store.instances(study=UID)[0]
    assert store.read(found.uid)[-500:] == data[-500:]  # the meta group is the store's own
    assert len(ana.study(UID, f"/series/{found.series}")["images"]) == 2
    assert ana("GET", f"/images/{found.uid}/frames/1").content == image(1).PixelData
    assert ana("GET", f"/images/{found.uid}/thumbnail").content[:2] == b"\xff\xd8"
    assert [case.film is not None for case in cases_of(office.clinic.house, UID, [found.uid], None)] == [True]
    assert captured(office, found)
    assert export_pairs(office.clinic.house, tmp_path / "pairs").written == 0


def captured(office: Office, found: Stored) -> bool:
    from aris.flow.reading.contents import unsigned
    from aris.store.reading import drafts, edits, readings

    with office.clinic.store.sessions.reading() as session:
        reading = readings.require(session, UID)
        text = edits.current(session, reading)
        assert text is not None
        report = unsigned(session, reading, text, drafts.newest(session, reading))
    return bool(document(report, "sc", [found.file]))
