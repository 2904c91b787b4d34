"""DICOM SR: valid, true to the report's state, deterministic, and read back as the same report."""

from __future__ import annotations

import io
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from reports import EARLIER, SIGNER, full, plain, reports, states

from aris.errors import ExchangeError
from aris.exchange.documents.report import Report, addend, checked, correct, sign
from aris.exchange.documents.sr import BASIC_TEXT_SR, COMPREHENSIVE_SR, reference, structured_report
from aris.exchange.documents.sr_reading import read_structured_report
from aris.tasks.results import Sections


def written(report: Report) -> bytes:
    out = io.BytesIO()
    structured_report(report).save_as(out, enforce_file_format=True)
    return out.getvalue()


def reread(report: Report) -> Any:
    return pydicom.dcmread(io.BytesIO(written(report)))


STATES = states()


@pytest.mark.parametrize("name", STATES)
def test_a_report_reads_back_as_itself(name: str) -> None:
    assert read_structured_report(reread(STATES[name])) == STATES[name]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(reports)
def test_any_report_reads_back_as_itself(report: Report) -> None:
    assert read_structured_report(reread(report)) == report


@pytest.mark.parametrize("name", STATES)
def test_the_flags_are_true_to_the_state(name: str) -> None:
    report, document = STATES[name], reread(STATES[name])
    signed = report.status != "draft"
    assert document.PreliminaryFlag == ("FINAL" if signed else "PRELIMINARY")
    assert document.VerificationFlag == ("VERIFIED" if signed else "UNVERIFIED")
    assert document.CompletionFlag == ("PARTIAL" if name == "cut draft" else "COMPLETE")
    assert ("VerifyingObserverSequence" in document) == signed
    if signed:
        observer = document.VerifyingObserverSequence[0]
        assert str(observer.VerifyingObserverName) == "Doe^Jane^Q^Dr"
        assert observer.VerificationDateTime == "20260305010203+0200"
    followed = report.status in ("addended", "corrected")
    assert ("PredecessorDocumentsSequence" in document) == followed
    if followed:
        study = document.PredecessorDocumentsSequence[0]
        item = study.ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
        assert (study.StudyInstanceUID, item.ReferencedSOPInstanceUID) == (EARLIER.study, EARLIER.uid)


def test_plain_drafts_are_basic_text_and_others_comprehensive() -> None:
    assert reread(plain()).SOPClassUID == BASIC_TEXT_SR
    assert reread(full()).SOPClassUID == COMPREHENSIVE_SR


def test_the_same_report_makes_the_same_bytes_and_another_one_another_uid() -> None:
    assert written(full()) == written(full())
    other = full(sections=Sections(findings="Clear lungs."))
    assert reread(full()).SOPInstanceUID != reread(other).SOPInstanceUID
    assert reread(full()).SeriesInstanceUID == reread(other).SeriesInstanceUID


def test_texts_are_utf8_whatever_the_script() -> None:
    data = written(full())
    document = pydicom.dcmread(io.BytesIO(data))
    assert document.SpecificCharacterSet == "ISO_IR 192"
    assert "山田^太郎".encode() in data and "右".encode() in data
    assert str(document.PatientName.ideographic) == "山田^太郎"


def items(parent: Any, name: tuple[str, str], kind: str) -> list[Any]:
    """Children of a concept name and a value type."""
    found = []
    for item in parent.get("ContentSequence", []):
        concept = item.ConceptNameCodeSequence[0] if "ConceptNameCodeSequence" in item else None
        if concept and (concept.CodeValue, concept.CodingSchemeDesignator) == name and item.ValueType == kind:
            found.append(item)
    return found


# PS3.16 TID 1500, rows that are mandatory: (relationship, value type, concept name).
TID_1500 = [
    ("HAS CONCEPT MOD", "CODE", ("121049", "DCM")),  # row 2, TID 1204: language, mandatory once included
    ("HAS OBS CONTEXT", "UIDREF", ("121012", "DCM")),  # row 3, TID 1001, 1002, 1004: device observer UID
    ("HAS CONCEPT MOD", "CODE", ("121058", "DCM")),  # row 4: procedure reported
    ("CONTAINS", "CONTAINER", ("126010", "DCM")),  # row 6: imaging measurements
    ("CONTAINS", "CONTAINER", ("C0034375", "UMLS")),  # row 12: qualitative evaluations
]


@pytest.mark.parametrize("name", ["draft", "signed", "addended"])
def test_mandatory_rows_of_tid_1500(name: str) -> None:
    document = reread(STATES[name])
    template = document.ContentTemplateSequence[0]
    assert (template.MappingResource, template.TemplateIdentifier) == ("DCMR", "1500")
    title = document.ConceptNameCodeSequence[0]
    assert (title.CodeValue, title.CodingSchemeDesignator) == ("126000", "DCM")  # row 1, CID 7021
    for relationship, kind, concept in TID_1500:
        found = items(document, concept, kind)
        assert found and all(item.RelationshipType == relationship for item in found), concept
    # TID 1002: a type goes before each observer, and a person has a name (TID 1003).
    observers = [i.ConceptCodeSequence[0].CodeValue for i in items(document, ("121005", "DCM"), "CODE")]
    assert observers == (["121007"] if name == "draft" else ["121006", "121007"])
    assert bool(items(document, ("121008", "DCM"), "PNAME")) == (name != "draft")
    groups = items(items(document, ("126010", "DCM"), "CONTAINER")[0], ("125007", "DCM"), "CONTAINER")
    assert len(groups) == len(STATES[name].findings) + len(STATES[name].regions) + 1
    for group in groups:
        # TID 1501 and 1410: a tracking identifier and its UID, under their own relationship.
        assert len(items(group, ("112039", "DCM"), "TEXT")) == 1
        assert len(items(group, ("112040", "DCM"), "UIDREF")) == 1
        for number in (item for item in group.ContentSequence if item.ValueType == "NUM"):
            value = number.MeasuredValueSequence[0]
            assert value.MeasurementUnitsCodeSequence[0].CodingSchemeDesignator == "UCUM"  # TID 300
    regions = [group for group in groups if items(group, ("111030", "DCM"), "SCOORD")]
    assert len(regions) == 1  # TID 1410: one region, selected from one image
    outline = items(regions[0], ("111030", "DCM"), "SCOORD")[0]
    assert outline.GraphicType == "POLYLINE" and len(outline.GraphicData) == 10
    image = outline.ContentSequence[0]
    assert (image.RelationshipType, image.ValueType) == ("SELECTED FROM", "IMAGE")
    evidence = document.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0]
    assert evidence.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == STATES[name].images[0].uid


def test_the_model_is_the_device_observer() -> None:
    document = reread(full())
    assert items(document, ("121013", "DCM"), "TEXT")[0].TextValue == "aris-nano"
    assert items(document, ("121016", "DCM"), "TEXT")[0].TextValue == "a1b2c3"
    same = reread(full(sections=Sections()))
    changed = reread(full(model=full().model.model_copy(update={"revision": "other"})))
    uid = items(document, ("121012", "DCM"), "UIDREF")[0].UID
    assert uid == items(same, ("121012", "DCM"), "UIDREF")[0].UID
    assert uid != items(changed, ("121012", "DCM"), "UIDREF")[0].UID


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dicom3tools is not installed")
@pytest.mark.parametrize("name", STATES)
def test_dciodvfy_finds_no_error(name: str, tmp_path: Path) -> None:
    path = tmp_path / "report.dcm"
    path.write_bytes(written(STATES[name]))
    done = subprocess.run(["dciodvfy", path], capture_output=True, text=True, check=False)
    errors = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error")]
    assert (done.returncode, errors) == (0, [])
    # It does find them: without its content's root the same document fails.
    broken = pydicom.dcmread(path)
    del broken.ValueType
    broken.save_as(path)
    done = subprocess.run(["dciodvfy", path], capture_output=True, text=True, check=False)
    assert "Error" in done.stdout + done.stderr


def test_only_what_was_signed_can_be_amended_and_only_drafts_signed() -> None:
    draft, signed = STATES["draft"], STATES["signed"]
    with pytest.raises(ExchangeError, match="sign it first"):
        addend(draft, "more", SIGNER, EARLIER)
    with pytest.raises(ExchangeError, match="draft"):
        correct(draft, Sections(), SIGNER, EARLIER)
    with pytest.raises(ExchangeError, match="signed already"):
        sign(signed, SIGNER)
    with pytest.raises(ExchangeError, match="empty"):
        addend(signed, " \n", SIGNER, EARLIER)
    with pytest.raises(ExchangeError, match="has no signer"):
        checked(**(dict(draft) | {"signer": SIGNER}))
    assert reference(reread(signed)).study == signed.study.uid


def test_without_images_there_is_no_document() -> None:
    with pytest.raises(ExchangeError, match="names none"):
        structured_report(full(images=(), regions=()))


def test_other_documents_are_refused_in_one_line() -> None:
    damaged = reread(full())
    del damaged.ContentSequence
    foreign = pydicom.dcmread(pydicom.data.get_testdata_file("reportsi.dcm"))  # type: ignore[arg-type]
    for document in (damaged, foreign, pydicom.Dataset()):
        with pytest.raises(ExchangeError) as caught:
            read_structured_report(document)
        assert "\n" not in str(caught.value)
