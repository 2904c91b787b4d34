"""From a film's arrival to the signed report at its destination; what must not happen on the way does not."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from clinic import PASSWORD, STUDY, Clinic, RecordedDrafter, recorded
from sqlalchemy import text

from aris.errors import StoreError
from aris.exchange.documents.formats import read_report
from aris.exchange.files import read_header
from aris.flow.arrival import LATE_FOR_TEXT, LATE_IMAGES, collect, settle
from aris.flow.drafting import LATE_CRITICAL
from aris.flow.outgoing.delivery import deliver_next
from aris.flow.reading.signing import StaleTextError
from aris.flow.reading.worklist import worklist
from aris.store.checking import problems
from aris.store.reading import audit, critical, drafts, edits, readings, reports
from aris.store.reading.readings import GIVEN_AWAY
from aris.store.reading.users import AuthenticationError, PermissionDeniedError
from aris.tasks import Draft, Sections
from dicom_objects import ROOT, as_bytes, image


def state(clinic: Clinic, study: str = STUDY) -> str:
    with clinic.store.sessions.reading() as session:
        return readings.require(session, study).state


def test_from_arrival_to_delivery(any_clinic: Clinic, tmp_path: Path) -> None:
    clinic = any_clinic
    clinic.receive(1)
    assert collect(clinic.house) == 1 and state(clinic) == "arrived"
    assert settle(clinic.house, clinic.now) == 0  # not quiet yet
    clinic.receive(2)
    assert clinic.settle() == 1 and state(clinic) == "settled" and clinic.settle() == 0
    assert clinic.draft() == "drafted" and clinic.draft() is None and state(clinic) == "drafted"
    assert clinic.drafter.asked == [2]

    opened = clinic.room.open("ana", STUDY)
    assert state(clinic) == "opened" and opened.reading.text_number == 1
    assert opened.draft is not None and opened.draft.warnings[0].startswith("priority urgent")
    assert opened.sections.impression == "Pneumonia is likely."
    saved = clinic.room.edit("ana", STUDY, {"impression": "Pneumonia – überprüft.\u202e\r\nNo\x00 more."}, base=1)
    assert (saved.number, saved.newest) == (2, 2)
    row = clinic.room.measure("ana", STUDY, image=f"{ROOT}.1.1.1", name="opacity", value=31.5, unit="mm",
                              calibration="at detector", points=[(1, 1), (9, 9)])  # fmt: skip
    clinic.room.remove_measurement("ana", STUDY, row.id)
    clinic.room.measure("ana", STUDY, image=f"{ROOT}.1.1.1", name="opacity", value=32.5, unit="mm",
                        calibration="at detector")  # fmt: skip

    signed = clinic.sign(STUDY, seen={"images": 1})
    assert (signed.number, signed.state, signed.destinations) == (1, "final", ("out",))
    assert signed.warnings == ("1 of 2 images were not seen",)
    assert deliver_next(clinic.house, "w", clinic.now) == "acknowledged"
    assert deliver_next(clinic.house, "w", clinic.now) is None

    out = tmp_path / "out" / STUDY
    assert sorted(path.name for path in out.iterdir()) == ["1.fhir.json", "1.pdf", "1.sr.dcm"]
    report = read_report(out / "1.sr.dcm")
    assert report.status == "signed" and report.signer is not None and report.signer.name == "Müller^Ana"
    assert report.sections.impression == "Pneumonia – überprüft.\nNo more."
    assert [(each.value, each.note) for each in report.measurements] == [(32.5, "at the detector plane, uncalibrated")]
    assert len(report.images) == 2 and report.model.name == "aris-nano" and not report.warnings
    header = read_header(out / "1.sr.dcm")
    assert (header.VerificationFlag, header.PreliminaryFlag, header.CompletionFlag) == ("VERIFIED", "FINAL", "COMPLETE")
    main = json.loads((out / "1.fhir.json").read_text())["entry"][0]["resource"]
    assert (main["resourceType"], main["status"]) == ("DiagnosticReport", "final")

    with clinic.store.sessions.reading() as session:
        events = audit.events(session, subject=STUDY)
        assert [each.action for each in events][::-1] == [
            "arrive", "settle", "draft", "open", "edit", "measure", "unmeasure", "measure", "view", "sign", "deliver"
        ]  # fmt: skip
        assert clinic.house.trail.verify(session) == []
        said = json.dumps([each.detail for each in events])
        assert "Pneumonia" not in said and "Müller" not in said


def test_the_documents_of_a_version_are_made_once(clinic: Clinic, tmp_path: Path) -> None:
    clinic.drafted()
    clinic.sign(STUDY)
    out = tmp_path / "out"
    out.write_text("in the way")  # the destination is away
    assert deliver_next(clinic.house, "w", clinic.now) == "failed"
    assert deliver_next(clinic.house, "w", clinic.now) is None  # it waits a while
    out.unlink()
    clinic.later(seconds=6)
    assert deliver_next(clinic.house, "w", clinic.now) == "acknowledged"
    with clinic.store.sessions.reading() as session:
        (report,) = reports.all_of(session, readings.require(session, STUDY))
        kept = {each.name: each.data for each in reports.documents(session, report.id, "sr")}
        assert reports.is_own_document(session, report.document["uid"])
    assert (out / STUDY / "1.sr.dcm").read_bytes() == kept["sr.dcm"]
    assert read_header(out / STUDY / "1.sr.dcm").SOPInstanceUID == report.document["uid"]


def test_two_readers_edit_one_draft(any_clinic: Clinic) -> None:
    clinic = any_clinic
    clinic.drafted()
    assert clinic.room.open("ana", STUDY).opened_by == ""
    assert clinic.room.open("bob", STUDY).opened_by == "ana"
    first = clinic.room.edit("ana", STUDY, {"impression": "Ana's."}, base=1)
    second = clinic.room.edit("bob", STUDY, {"impression": "Bob's."}, base=1)
    assert (first.number, second.number, second.newest, second.author) == (2, None, 2, "ana")
    found = clinic.room.look("bob", STUDY)
    assert found.sections.impression == "Ana's." and found.beside[0].sections["impression"] == "Bob's."
    with pytest.raises(StaleTextError, match="number 2, by ana, not 1"):
        clinic.sign(STUDY, "bob", 1)
    merged = clinic.room.edit("bob", STUDY, {"impression": "Ana's and Bob's."}, base=2)
    assert merged.number == 3 and clinic.room.edit("bob", STUDY, {"impression": "Ana's and Bob's."}, base=3).number == 3
    with pytest.raises(StoreError, match="no text of that number"):
        clinic.room.edit("ana", STUDY, {"impression": "x"}, base=9)
    with pytest.raises(StoreError, match="no section"):
        clinic.room.edit("ana", STUDY, {"conclusion": "x"}, base=3)


def test_only_a_reader_signs_and_only_after_showing_the_password(any_clinic: Clinic) -> None:
    clinic = any_clinic
    clinic.drafted()
    for login, error in (("vic", PermissionDeniedError), ("adm", PermissionDeniedError), ("eve", AuthenticationError)):
        with pytest.raises(error):
            clinic.desk.sign(login, PASSWORD, STUDY, 1)
    with pytest.raises(AuthenticationError, match="nothing was signed"):
        clinic.desk.sign("ana", "wrong", STUDY, 1)
    for act in (lambda: clinic.room.open("vic", STUDY), lambda: clinic.room.edit("adm", STUDY, {}, 1)):
        with pytest.raises(PermissionDeniedError):
            act()
    clinic.room.look("vic", STUDY)  # a viewer looks
    assert state(clinic) == "drafted"
    with clinic.store.sessions.reading() as session:
        denied = [(each.actor, each.action) for each in audit.events(session) if each.outcome == "denied"]
        assert len(denied) == 6 and ("eve", "sign") in denied and ("ana", "sign") in denied
        assert reports.all_of(session, readings.require(session, STUDY)) == []


def test_a_signed_report_stays_and_what_follows_names_it(any_clinic: Clinic, tmp_path: Path) -> None:
    clinic = any_clinic
    clinic.drafted()
    clinic.sign(STUDY)
    with pytest.raises(StoreError, match="signed already"):
        clinic.sign(STUDY, "bob")
    clinic.room.edit("bob", STUDY, {"impression": "No pneumonia."}, base=1)
    assert state(clinic) == "final"
    added = clinic.desk.addend("bob", PASSWORD, STUDY, "The lateral film shows an effusion.")
    assert (added.number, added.state) == (2, "addendum")
    changed = clinic.sign(STUDY, "bob", 2, correction=True)
    assert (changed.number, changed.state) == (3, "amended")
    with pytest.raises(StoreError, match="this text is signed already"):
        clinic.sign(STUDY, "bob", 2, correction=True)
    with pytest.raises(StoreError, match="empty"):
        clinic.desk.addend("bob", PASSWORD, STUDY, " \u200b ")
    for number in (1, 2, 3):
        assert deliver_next(clinic.house, "w", clinic.now) == "acknowledged", number
    out = tmp_path / "out" / STUDY
    found = [read_report(out / f"{number}.sr.dcm") for number in (1, 2, 3)]
    uids = [read_header(out / f"{number}.sr.dcm").SOPInstanceUID for number in (1, 2, 3)]
    assert [each.status for each in found] == ["signed", "addended", "corrected"]
    assert [[each.uid for each in report.predecessors] for report in found] == [[], uids[:1], uids[1:2]]
    assert found[0].sections.impression == "Pneumonia is likely." == found[1].sections.impression
    assert found[2].sections.impression == "No pneumonia." and len(found[2].addenda) == 1
    with clinic.store.sessions.reading() as session:
        rows = reports.all_of(session, readings.require(session, STUDY))
        assert [row.content["follows"] for row in rows] == ["", rows[0].digest, rows[1].digest]
        assert all(reports.is_sound(session, row) for row in rows)
        content = rows[0].content
        assert content["images"] == [f"{ROOT}.1.1.1"] and content["edit"] == 1
        assert content["draft"]["number"] == 1 and content["draft"]["model"] == "aris-nano"


def test_a_signature_covers_text_images_and_draft() -> None:
    content = {"text": {"impression": "a"}, "images": ["1.2"], "draft": {"number": 1, "digest": "d"}}
    digests = {reports.digest_of(content)}
    for change in ({"text": {"impression": "b"}}, {"images": ["1.3"]}, {"draft": {"number": 2, "digest": "d"}}):
        digests.add(reports.digest_of(content | change))
    assert len(digests) == 4


def test_two_signatures_where_a_site_wants_them(tmp_path: Path, cheap_passwords: None) -> None:
    clinic = Clinic(tmp_path, second_signature=True)
    clinic.drafted()
    first = clinic.sign(STUDY)
    assert (first.state, first.destinations) == ("preliminary", ())
    assert deliver_next(clinic.house, "w", clinic.now) is None
    with pytest.raises(StoreError, match="another reader"):
        clinic.sign(STUDY)
    clinic.room.edit("bob", STUDY, {"impression": "Pneumonia."}, base=1)
    second = clinic.sign(STUDY, "bob")
    assert (second.state, second.number) == ("final", 2)
    assert deliver_next(clinic.house, "w", clinic.now) == "acknowledged"
    report = read_report(tmp_path / "out" / STUDY / "2.sr.dcm")
    assert report.signer is not None and report.signer.name == "Müller^Bob" and report.status == "signed"
    found = clinic.room.look("ana", STUDY).reports
    assert [(each[0].login, each[0].meaning) for _, each in found] == [("ana", "preliminary"), ("bob", "verifier")]


def test_a_late_draft_and_late_images_change_no_text_of_a_person(any_clinic: Clinic) -> None:
    clinic = any_clinic
    clinic.receive()
    clinic.settle()
    clinic.room.open("ana", STUDY)
    assert clinic.room.edit("ana", STUDY, Sections(impression="Mine."), base=0).number == 1  # before there is a draft
    assert clinic.draft() == "drafted"
    found = clinic.room.look("ana", STUDY)
    assert found.sections.impression == "Mine." and not found.drafts[0].applied
    clinic.sign(STUDY)
    clinic.receive(2)
    clinic.settle()
    clinic.drafter.draft = recorded(sections=Sections(impression="Pneumothorax."), priority="critical")
    assert clinic.draft() == "drafted"
    found = clinic.room.look("ana", STUDY)
    assert found.reading.state == "final" and found.sections.impression == "Mine." and len(found.drafts) == 2
    assert found.reading.notice == LATE_IMAGES and found.reading.concern == 3  # and the alarm is not lost
    assert [row.raised_by for row, _ in found.critical] == ["(rules)"]
    (entry,) = worklist(clinic.house).entries  # signed, and to be looked at again
    assert (entry.state, entry.notice) == ("final", LATE_IMAGES)
    clinic.desk.addend("ana", PASSWORD, STUDY, "The second image shows a pneumothorax.")
    (entry,) = worklist(clinic.house).entries  # until somebody has been told of the pneumothorax
    assert (entry.state, entry.notice) == ("addendum", "")
    with clinic.store.sessions.reading() as session:
        (report, *_) = reports.all_of(session, readings.require(session, STUDY))
        assert report.content["text"]["impression"] == "Mine." and report.content["draft"] is None
        assert report.content["images"] == [f"{ROOT}.1.1.1"]


def test_a_new_draft_replaces_one_that_nobody_touched(clinic: Clinic) -> None:
    clinic.drafted()
    clinic.receive(2)
    clinic.drafter.draft = recorded(sections=Sections(impression="Both films."))
    assert clinic.settle() == 1 and clinic.draft() == "drafted"
    found = clinic.room.look("ana", STUDY)
    assert found.sections.impression == "Both films." and found.reading.text_number == 2
    clinic.receive(1)  # sent again: nothing new
    assert clinic.settle() == 0 and clinic.draft() is None


def test_a_worker_that_lost_its_lease_keeps_nothing(any_clinic: Clinic) -> None:
    clinic = any_clinic
    clinic.receive()
    clinic.settle()
    slow = clinic.drafter.__class__()

    def drafts_meanwhile(files: object) -> object:
        clinic.later(seconds=clinic.house.settings.lease_s + 1)
        assert clinic.draft("another") == "drafted"
        return recorded(sections=Sections(impression="Too late."))

    slow.__class__ = type("Slow", (type(slow),), {"__call__": lambda self, files: drafts_meanwhile(files)})
    from aris.flow.drafting import draft_next

    assert draft_next(clinic.house, slow, "slow", clinic.now) == "lost"
    found = clinic.room.look("ana", STUDY)
    assert len(found.drafts) == 1 and found.sections.impression == "Pneumonia is likely."


def test_a_study_that_cannot_be_drafted_is_read_all_the_same(clinic: Clinic) -> None:
    class Broken:
        name, revision = "aris-nano", ""

        def __call__(self, files: object) -> object:
            raise ValueError("Müller^Ana")

    clinic.receive()
    clinic.settle()
    clinic.drafter = Broken()  # type: ignore[assignment]
    for _ in range(3):
        assert clinic.draft() == "failed"
        clinic.later(minutes=5)
    assert clinic.draft() is None
    found = clinic.room.open("ana", STUDY)
    assert "not drafted" in found.reading.reason and not found.reading.assessed and found.text is None
    clinic.room.edit("ana", STUDY, {"findings": "Clear lungs."}, base=0)
    assert clinic.sign(STUDY).state == "final"
    with clinic.store.sessions.reading() as session:
        (report,) = reports.all_of(session, readings.require(session, STUDY))
        assert report.report["model"]["name"] == "no model" and report.content["draft"] is None


def test_nothing_is_signed_without_a_text(clinic: Clinic) -> None:
    clinic.receive()
    clinic.settle()
    with pytest.raises(StoreError, match="no text"):
        clinic.sign(STUDY)
    clinic.room.edit("ana", STUDY, {"technique": "PA"}, base=0)
    with pytest.raises(StoreError, match="no text"):
        clinic.sign(STUDY)
    with pytest.raises(StoreError, match="not signed"):
        clinic.desk.addend("ana", PASSWORD, STUDY, "More.")
    with pytest.raises(StoreError, match="no such study"):
        clinic.desk.sign("ana", PASSWORD, "1.2.3", 1)


def test_verdicts_leave_rejected_findings_out_of_the_report(clinic: Clinic, tmp_path: Path) -> None:
    clinic.drafted()
    clinic.room.judge("ana", STUDY, kind="finding", about="pneumonia", verdict="rejected")
    clinic.room.judge("ana", STUDY, kind="sentence", about="Pneumonia is likely.", verdict="edited", said="Clear.")
    with pytest.raises(StoreError, match="no such finding"):
        clinic.room.judge("ana", STUDY, kind="finding", about="fracture", verdict="rejected")
    clinic.room.edit("ana", STUDY, {"findings": "Clear.", "impression": "Clear."}, base=1)
    clinic.sign(STUDY)
    deliver_next(clinic.house, "w", clinic.now)
    assert read_report(tmp_path / "out" / STUDY / "1.sr.dcm").findings == ()


def test_a_verdict_is_of_the_draft_that_was_read(clinic: Clinic) -> None:
    """A newer draft may come while a reader judges the older one: the verdict is not the newer one's."""
    clinic.drafted()
    clinic.receive(2)
    assert clinic.settle() == 1 and clinic.draft() == "drafted"
    read = clinic.room.judge("ana", STUDY, kind="finding", about="pneumonia", verdict="rejected", draft=1)
    assert read.draft_number == 1
    newest = clinic.room.judge("ana", STUDY, kind="sentence", about="Pneumonia is likely.", verdict="accepted")
    assert newest.draft_number == 2
    with pytest.raises(StoreError, match="no such draft"):
        clinic.room.judge("ana", STUDY, kind="finding", about="pneumonia", verdict="accepted", draft=3)


def test_a_draft_names_the_sure_prior_that_it_was_not_compared_with(clinic: Clinic) -> None:
    same = {"PatientID": "P2", "PatientName": "Müller^Ana2"}
    clinic.receive(study=1, **same)  # the earlier one
    clinic.receive(study=3, PatientID="P2", PatientName="Müller^Ana2", PatientBirthDate="19790101")  # perhaps another
    clinic.receive(study=2)
    assert clinic.settle() == 3
    while clinic.draft():
        pass
    compared = {
        number: clinic.room.look("ana", f"{ROOT}.{number}").sections.comparison for number in (1, 2, 3)
    }  # fmt: skip
    assert compared == {
        1: "No prior image was given.", 2: "A prior of 2026-01-01 (DX) exists; it was not compared.",
        3: "No prior image was given.",
    }  # fmt: skip


def test_critical_results_are_open_until_read_back(clinic: Clinic) -> None:
    clinic.drafter.draft = recorded(
        priority="critical", sections=Sections(impression="Pneumothorax."), findings=()
    )
    clinic.drafted()
    ((row, tried),) = clinic.room.open("ana", STUDY).critical
    assert row.raised_by == "(rules)" and tried == []
    own = clinic.room.raise_critical("ana", STUDY, "Misplaced tube")
    assert clinic.room.tell("ana", STUDY, row.id, whom="Dr. Roe", how="telephone", outcome="not reached")
    assert not clinic.room.tell("ana", STUDY, row.id, whom="Dr. Roe", how="telephone", outcome="read back")
    with clinic.store.sessions.reading() as session:
        assert [each.id for each, _ in critical.open_ones(session)] == [own.id]
    with pytest.raises(PermissionDeniedError):
        clinic.room.tell("vic", STUDY, own.id, whom="x", how="y", outcome="read back")
    with pytest.raises(StoreError, match="none of this number"):
        clinic.room.tell("ana", STUDY, 999, whom="x", how="y", outcome="read back")


def test_a_study_is_put_back(clinic: Clinic) -> None:
    clinic.drafted()
    clinic.room.open("ana", STUDY)
    clinic.room.close("bob", STUDY)
    assert state(clinic) == "opened"
    clinic.room.close("ana", STUDY)
    assert state(clinic) == "drafted"
    with clinic.store.sessions.reading() as session:
        reading = readings.require(session, STUDY)
        assert reading.opened_by == "" and not edits.touched(session, reading) and drafts.newest(session, reading)


def test_images_that_come_before_a_study_is_quiet_but_after_a_text_are_said(clinic: Clinic) -> None:
    clinic.receive(1)
    collect(clinic.house)
    clinic.room.edit("ana", STUDY, {"impression": "Clear."}, base=0)
    clinic.receive(2)
    clinic.settle()
    assert clinic.room.look("ana", STUDY).reading.notice == LATE_FOR_TEXT


def test_a_text_of_all_images_has_no_notice_when_the_study_becomes_quiet(clinic: Clinic) -> None:
    clinic.receive(1)
    clinic.receive(2)
    collect(clinic.house)
    clinic.room.edit("ana", STUDY, {"impression": "Clear."}, base=0)
    clinic.settle()
    assert clinic.room.look("ana", STUDY).reading.notice == ""


def test_images_that_come_between_text_and_signature_are_said(tmp_path: Path, cheap_passwords: None) -> None:
    clinic = Clinic(tmp_path, second_signature=True)
    clinic.drafted()
    clinic.room.edit("ana", STUDY, {"impression": "Clear."}, base=1)
    clinic.receive(2)
    clinic.settle()
    assert clinic.room.look("ana", STUDY).reading.notice == LATE_FOR_TEXT
    assert clinic.sign(STUDY).warnings == (LATE_FOR_TEXT,)
    clinic.receive(3)
    clinic.settle()
    assert clinic.room.look("bob", STUDY).reading.notice == LATE_IMAGES  # since the first signature
    assert clinic.sign(STUDY, "bob").state == "final" and clinic.room.look("bob", STUDY).reading.notice == ""


def test_a_critical_draft_after_the_signature_is_no_secret(clinic: Clinic) -> None:
    clinic.receive()
    clinic.settle()
    clinic.room.edit("ana", STUDY, {"impression": "Clear."}, base=0)
    clinic.sign(STUDY)
    clinic.drafter.draft = recorded(priority="critical")
    assert clinic.draft() == "drafted"
    found = clinic.room.look("ana", STUDY)
    assert len(found.critical) == 1 and found.reading.notice == LATE_CRITICAL
    assert worklist(clinic.house).total == 1


def test_a_rejected_finding_leaves_with_no_version_of_whichever_draft(clinic: Clinic) -> None:
    clinic.drafted()
    clinic.room.edit("ana", STUDY, {"findings": "Clear.", "impression": "Clear."}, base=1)
    clinic.receive(2)  # its draft comes late: the text stays that of the first
    clinic.settle()
    assert clinic.draft() == "drafted"
    clinic.room.judge("ana", STUDY, kind="finding", about="pneumonia", verdict="rejected")
    clinic.sign(STUDY)
    clinic.room.judge("ana", STUDY, kind="finding", about="pneumonia", verdict="accepted")
    with clinic.store.sessions.reading() as session:
        (first,) = reports.all_of(session, readings.require(session, STUDY))
    assert first.content["findings"] == [] and first.content["draft"]["number"] == 1


def test_a_correction_covers_what_is_there_now(clinic: Clinic) -> None:
    clinic.drafted()
    clinic.sign(STUDY)
    clinic.receive(2)
    clinic.settle()
    uid = f"{ROOT}.1.1.2"
    clinic.room.measure("ana", STUDY, image=uid, name="nodule", value=7.0, unit="mm", calibration="calibrated")
    clinic.room.judge("ana", STUDY, kind="finding", about="pneumonia", verdict="rejected")
    clinic.room.edit("ana", STUDY, {"findings": "Nodule.", "impression": "Nodule."}, base=1)
    clinic.sign(STUDY, correction=True)
    with clinic.store.sessions.reading() as session:
        (_, second) = reports.all_of(session, readings.require(session, STUDY))
    assert second.content["findings"] == [] and second.content["images"] == [f"{ROOT}.1.1.1", uid]
    assert [each["name"] for each in second.content["measurements"]] == ["nodule"]


def test_what_was_written_of_one_patient_is_not_signed_for_another(any_clinic: Clinic) -> None:
    clinic = any_clinic
    clinic.drafted()
    clinic.room.edit("ana", STUDY, {"impression": "Of the first patient."}, base=1)
    clinic.room.measure("ana", STUDY, image=f"{ROOT}.1.1.1", name="nodule", value=7.0, unit="mm",
                        calibration="calibrated")  # fmt: skip
    other = image(5, PatientID="P2", PatientName="Roe^Eva", PatientBirthDate="19500101")
    assert clinic.store.add(as_bytes(other)).outcome == "kept apart"
    clinic.store.resolve(STUDY, "P2")
    with pytest.raises(StaleTextError):
        clinic.sign(STUDY, number=2)
    with pytest.raises(StoreError, match="no text"):
        clinic.sign(STUDY, number=3)
    found = clinic.room.look("ana", STUDY)
    assert found.reading.notice == GIVEN_AWAY and found.draft is None and found.reading.concern == 0
    assert clinic.settle() == 1 and clinic.draft() == "drafted"  # of the other's image
    clinic.room.edit("ana", STUDY, {"impression": "Of the second."}, base=3)
    assert clinic.sign(STUDY).warnings == (GIVEN_AWAY,)
    with clinic.store.sessions.reading() as session:
        (report,) = reports.all_of(session, readings.require(session, STUDY))
    assert report.report["patient"]["name"] == "Roe^Eva" and report.content["images"] == [f"{ROOT}.1.1.5"]
    assert report.content["measurements"] == [] and "first" not in str(report.report)
    clinic.store.resolve(STUDY, "P1")
    clinic.room.edit("ana", STUDY, {"impression": "Of the first again."}, base=5)
    with pytest.raises(StoreError, match="another patient"):
        clinic.sign(STUDY, correction=True)


def test_images_that_are_another_patients_now_are_drafted_anew(clinic: Clinic) -> None:
    clinic.drafted()
    concern = clinic.room.look("ana", STUDY).reading.concern
    clinic.room.judge("ana", STUDY, kind="finding", about="pneumonia", verdict="rejected")
    clinic.room.measure("ana", STUDY, image=f"{ROOT}.1.1.1", name="nodule", value=7.0, unit="mm",
                        calibration="calibrated")  # fmt: skip
    # The same film, sent again under the right name.
    again = image(1, PatientID="P2", PatientName="Roe^Eva", PatientBirthDate="19500101")
    assert clinic.store.add(as_bytes(again)).outcome == "kept apart"
    clinic.store.resolve(STUDY, "P2")
    with pytest.raises(StoreError, match="another patient"):
        clinic.room.judge("ana", STUDY, kind="finding", about="pneumonia", verdict="accepted")
    assert clinic.settle() == 1 and clinic.draft() == "drafted"
    found = clinic.room.look("ana", STUDY)
    assert found.draft is not None and found.draft.patient.name == "Roe^Eva"
    assert found.reading.concern == concern > 0 and found.sections.impression == "Pneumonia is likely."
    # What was said of the first patient's draft takes nothing from the other's report.
    assert found.verdicts == [] and found.measurements == []
    clinic.sign(STUDY)
    with clinic.store.sessions.reading() as session:
        (report,) = reports.all_of(session, readings.require(session, STUDY))
    assert [each["name"] for each in report.content["findings"]] == ["pneumonia"]
    clinic.store.resolve(STUDY, "P1")
    assert clinic.settle() == 1 and clinic.draft() == "drafted"
    assert clinic.room.look("ana", STUDY).reading.concern == concern


def test_a_draft_that_was_begun_of_one_patient_is_not_kept_for_another(clinic: Clinic) -> None:
    clinic.receive()
    clinic.settle()
    assert clinic.store.add(
        as_bytes(image(5, PatientID="P2", PatientName="Roe^Eva", PatientBirthDate="19500101"))
    ).outcome == "kept apart"

    class GivenAway(RecordedDrafter):
        def __call__(self, files: Sequence[Path]) -> Draft:
            clinic.store.resolve(STUDY, "P2")
            return super().__call__(files)

    plain, clinic.drafter = clinic.drafter, GivenAway()
    assert clinic.draft() == "failed"
    found = clinic.room.look("ana", STUDY)
    assert found.drafts == [] and found.text is None
    clinic.drafter = plain
    clinic.settle()
    assert clinic.draft() == "drafted" and clinic.draft() == "known"
    (draft,) = clinic.room.look("ana", STUDY).drafts
    assert draft.report["patient"]["name"] == "Roe^Eva" and len(draft.report["images"]) == 1


def test_what_leaves_is_checked_against_the_signature(clinic: Clinic) -> None:
    clinic.drafted()
    clinic.sign(STUDY)
    assert problems(clinic.store) == []
    with clinic.store.sessions.writing() as session:
        session.execute(text("DROP TRIGGER reports_no_update"))
        session.execute(text("UPDATE reports SET report = replace(report, 'Pneumonia is', 'No pneumonia is')"))
    (wrong,) = problems(clinic.store)
    assert "not what was signed" in wrong
