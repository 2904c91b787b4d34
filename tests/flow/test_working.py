"""The worker and what feeds it: uploads, watched folders, reports from outside, and pairs for tuning."""

from __future__ import annotations

import json
import stat
import threading
from pathlib import Path

import numpy as np
import pytest
from clinic import PASSWORD, STUDY, Clinic, recorded

from aris.errors import ExchangeError, StoreError
from aris.exchange.documents.formats import document
from aris.exchange.documents.report import checked
from aris.exchange.raster_images import SECONDARY_CAPTURE
from aris.flow.intake import REFUSED, TAKEN, upload, watch
from aris.flow.outgoing.delivery import deliver_next
from aris.flow.reading.pairs import export_pairs, scrubbed
from aris.flow.worker import Worker, status
from aris.store.reading import audit, drafts, readings
from aris.tasks import Sections
from aris.tuning.data.conversations import PreferencePair, read_examples
from aris.tuning.data.images import ImageBank
from dicom_objects import ROOT, as_bytes, image
from films import filmlike


def test_files_of_a_folder_are_taken_in(clinic: Clinic, tmp_path: Path) -> None:
    folder = tmp_path / "study"
    (folder / "deeper").mkdir(parents=True)
    (folder / "1.dcm").write_bytes(as_bytes(image(1)))
    (folder / "deeper" / "2").write_bytes(as_bytes(image(2)))
    (folder / "letter.txt").write_text("no image")
    found = {each.path.name: each for each in upload(clinic.store, [folder, tmp_path / "none"])}
    assert found["1.dcm"].added and found["2"].added and "not a DICOM" in found["letter.txt"].error
    assert "cannot be read" in found["none"].error
    assert clinic.store.counts()["instances"] == 2


def test_a_watched_folder_is_emptied_into_the_store(tmp_path: Path, cheap_passwords: None) -> None:
    inbox = tmp_path / "in"
    (inbox / "a").mkdir(parents=True)
    clinic = Clinic(tmp_path, watch=[inbox])
    (inbox / "a" / "1.dcm").write_bytes(as_bytes(image(1)))
    (inbox / "bad").write_bytes(b"x")
    assert watch(clinic.house, now=0) == 0  # somebody may be writing still
    later = (inbox / "bad").stat().st_mtime + 60
    assert watch(clinic.house, now=later) == 1 and watch(clinic.house, now=later) == 0
    assert (inbox / TAKEN / "a" / "1.dcm").exists() and (inbox / REFUSED / "bad").exists()
    (inbox / "a" / "1.dcm").write_bytes(as_bytes(image(1)))  # as after a crash before it was moved
    assert watch(clinic.house, now=later + 60) == 1 and clinic.store.counts()["copies"] == 1
    assert sorted(path.name for path in (inbox / TAKEN / "a").iterdir()) == ["1.dcm", "1.dcm.1"]


def test_a_worker_does_all_that_is_due_and_stops(tmp_path: Path, cheap_passwords: None) -> None:
    heads = tmp_path / "heads.jsonl"
    clinic = Clinic(tmp_path, quiet_s=0, audit_heads=heads)
    clinic.receive()
    done = Worker(clinic.house, clinic.drafter).once()
    assert done == {"settled": 1, "drafted": 1} and Worker(clinic.house, clinic.drafter).once() == {}
    clinic.sign(STUDY)
    told: list[str] = []
    heard = threading.Event()

    def tell(what: str) -> None:
        told.append(what)
        if {"delivered", "drafted"} <= set(told):
            heard.set()

    worker = Worker(clinic.house, clinic.drafter, tell)
    running = threading.Thread(target=worker.run)
    running.start()
    clinic.receive(study=2)
    assert heard.wait(60)
    worker.stop()
    running.join(60)
    assert not running.is_alive() and sorted(told) == ["delivered", "drafted", "settled"]
    state = status(clinic.house)
    assert state["deliveries"] == {"acknowledged": 1} and state["jobs"] == {"done": 2} and state["failing"] == []
    known = audit.read_heads(heads)
    with clinic.store.sessions.reading() as session:
        assert known[-1] == clinic.house.trail.head(session) and clinic.house.trail.verify(session, known) == []


def test_a_report_from_outside_is_kept_beside_and_ours_is_known_again(any_clinic: Clinic) -> None:
    clinic = any_clinic
    clinic.drafted()
    with clinic.store.sessions.reading() as session:
        draft = drafts.newest(session, readings.require(session, STUDY))
        assert draft is not None
        theirs = checked(**{**draft.report, "sections": {"impression": "Another house's words."}})
    clinic.sign(STUDY)
    deliver_next(clinic.house, "w", clinic.now)
    with clinic.store.sessions.reading() as session:
        from aris.store.reading import reports

        (report,) = reports.all_of(session, readings.require(session, STUDY))
        (own,) = reports.documents(session, report.id, "sr")
    clinic.store.add(own.data, source="PACS")  # an archive sends it back
    clinic.store.add(document(theirs, "sr")["sr.dcm"], source="OTHER")
    clinic.settle()
    clinic.settle()
    found = clinic.room.look("ana", STUDY)
    assert found.reading.state == "final" and found.sections.impression == "Pneumonia is likely."
    (outside,) = [each for each in found.drafts if each.origin == "outside"]
    assert ["Impression", "Another house's words."] in outside.report["lines"] and not outside.report["verified"]


def signed_film(clinic: Clinic, study: int, impression: str, **changes: object) -> None:
    film = filmlike().astype(np.uint16) * 16
    clinic.drafted(study=study, Rows=film.shape[0], Columns=film.shape[1], PixelData=film.tobytes(), **changes)
    uid = f"{ROOT}.{study}"
    if impression:
        clinic.room.edit("ana", uid, {"impression": impression}, base=1)
    clinic.sign(uid)


def test_pairs_are_what_tuning_reads_and_name_nobody(clinic: Clinic, tmp_path: Path) -> None:
    said = (
        "Müller Ana2 (P2, A2), geb. 1.1.1980, sah Dr. von Röntgen am 3 March 2026; Tel. 030/123 45 67, "
        "x@y.example. Nodule of 12 - 15 mm at T12. Signed: Ana."
    )
    clinic.drafter.draft = recorded(sections=Sections(findings="Seen by Roe on 2026-01-02.", impression="Clear."))
    signed_film(clinic, 2, said)
    signed_film(clinic, 3, "Clear lungs.", PatientID="P2", PatientName="Müller^Ana2")
    signed_film(clinic, 4, "")  # as it was drafted
    signed_film(clinic, 5, "Clear lungs.", BurnedInAnnotation="YES")
    signed_film(clinic, 6, "Clear lungs.", SOPClassUID=SECONDARY_CAPTURE, PatientID="P2", PatientName="Müller^Ana2")
    clinic.desk.addend("ana", PASSWORD, f"{ROOT}.2", "More.")
    made = export_pairs(clinic.house, tmp_path / "pairs")
    unseen = "an uploaded image that nobody has looked at for names in its pixels"
    assert made.written == 2 and made.skipped == {"signed as it was drafted": 1, "text in its pixels": 1, unseen: 1}
    seen = export_pairs(clinic.house, tmp_path / "seen", uploaded=True)
    assert (seen.written, seen.skipped[unseen]) == (3, 0)
    rows, bad = read_examples(tmp_path / "pairs" / "pairs.jsonl", ImageBank(64))
    assert bad == [] and all(isinstance(row, PreferencePair) for _, row in rows)
    assert len({row.group for _, row in rows}) == 1
    first = json.loads((tmp_path / "pairs" / "pairs.jsonl").read_text().splitlines()[0])
    assert first["rejected"] == "FINDINGS: Seen by [name] on [date].\nIMPRESSION: Clear."
    for name in ("Müller", "Ana", "P2", "A2", "1980", "Röntgen", "2026", "45 67", "example"):
        assert name not in first["chosen"], (name, first["chosen"])
    assert "Nodule of 12 - 15 mm at T12." in first["chosen"]
    (part, text) = first["prompt"][0]["content"]
    assert part["path"].startswith("images/") and "pneumonia present" in text["text"]
    for path in (tmp_path / "pairs").rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)
        if path.suffix == ".png":
            assert b"M\xfcller" not in path.read_bytes() and b"tEXt" not in path.read_bytes()
    with pytest.raises(ExchangeError, match="holds something"):
        export_pairs(clinic.house, tmp_path / "pairs")
    assert export_pairs(clinic.house, tmp_path / "others", model="another").written == 0


def test_clinical_words_stay_where_names_are_taken_out() -> None:
    text = "T2 hyperintense 1.5 x 2 cm lesion at L4-L5, HU 45, 93-year-old. No change since 12/2025 (5 mm)."
    assert scrubbed(text, ["Le", "Ka"]) == text.replace("93-year", "90-year").replace("12/2025", "[date]")


def test_an_outside_report_that_no_program_can_read_stops_no_other_study(clinic: Clinic) -> None:
    odd = image(1, series=9, SOPClassUID="1.2.840.10008.5.1.4.1.1.88.11", Modality="SR")
    del odd.Rows, odd.PixelData
    odd.add_new(0x0040A730, "LO", "no sequence")  # ContentSequence under a wrong VR
    clinic.receive()
    clinic.store.add(as_bytes(odd), source="OTHER")
    clinic.receive(study=2)
    assert clinic.settle() == 2 and clinic.draft() == clinic.draft() == "drafted"


def test_a_watched_file_stays_while_the_store_cannot_keep_it(
    tmp_path: Path, cheap_passwords: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox = tmp_path / "in"
    inbox.mkdir()
    clinic = Clinic(tmp_path, watch=[inbox])
    (inbox / "1.dcm").write_bytes(as_bytes(image(1)))
    later = (inbox / "1.dcm").stat().st_mtime + 60

    def away(*_: object, **__: object) -> None:
        raise StoreError("the database cannot be written")

    with monkeypatch.context() as broken:
        broken.setattr(clinic.store, "add_file", away)
        assert watch(clinic.house, now=later) == 0 and (inbox / "1.dcm").exists()
    with monkeypatch.context() as broken:
        broken.setattr("aris.flow.intake._move", lambda *_: (inbox / "none").rename(inbox / "x"))
        assert watch(clinic.house, now=later) == 0  # in the store by now; the folder cannot be written
    assert watch(clinic.house, now=later) == 1 and clinic.store.counts()["copies"] == 1


def test_a_study_that_ends_every_worker_is_given_up_and_a_draft_that_cannot_be_kept_too(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    from aris.flow import drafting
    from aris.store.reading import jobs

    clinic.receive()
    clinic.settle()
    lease = clinic.house.settings.lease
    for _ in range(10):  # each is killed with the job in its hands
        with clinic.store.sessions.writing() as session:
            assert jobs.claim(session, "draft", "killed", lease, clinic.now) is not None
        clinic.later(minutes=5)
    assert clinic.draft() == "failed" and clinic.draft() is None and clinic.drafter.asked == []
    assert "not drafted" in clinic.room.look("ana", STUDY).reading.reason
    clinic.receive(study=2)
    clinic.settle()
    monkeypatch.setattr(drafting, "report_of", lambda *_, **__: 1 / 0)
    assert [clinic.draft(), clinic.later(hours=1), clinic.draft(), clinic.later(hours=1), clinic.draft()][::2] == (
        ["failed"] * 3
    )
    assert clinic.draft() is None
