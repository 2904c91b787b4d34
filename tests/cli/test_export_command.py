"""`aris export`: every format from a draft, back from those that can be read, and one line where it cannot be."""

from __future__ import annotations

import json
import time
import warnings
import zipfile
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pydicom
import pytest
from fhir.resources.R4B.bundle import Bundle

from aris.exchange.documents.formats import FORMATS, OTHER_IMAGES, read_report
from aris.imaging.synthetic.series import Geometry, write_series
from conftest import Aris
from dicom_objects import as_bytes, image

ALL = [part for form in FORMATS for part in ("-f", form)]


@pytest.fixture
def film(tmp_path: Path) -> Path:
    path = tmp_path / "chest.dcm"
    path.write_bytes(as_bytes(image(side=300, PatientAge="003Y")))
    return path


@pytest.fixture
def draft(aris: Aris, scripted: Callable[..., Any], film: Path, tmp_path: Path) -> Path:
    """A draft as the command prints it, by a scripted model."""
    scripted()
    result = aris("draft", film, "--json", "--force")
    path = tmp_path / "draft.json"
    path.write_text(result.stdout)
    assert json.loads(result.stdout)["sections"]["impression"] == "Pneumonia is likely."
    return path


def test_an_object_whose_uid_has_a_leading_zero_is_exported_under_it(
    aris: Aris, scripted: Callable[..., Any], tmp_path: Path
) -> None:
    """PS3.5 9.1 does not allow it and archives have it; the store takes it, so a document can be made of it."""
    scripted()
    path, out = tmp_path / "chest.dcm", tmp_path / "out"
    uids = {"SOPInstanceUID": "1.2.03.4", "StudyInstanceUID": "1.2.0826.1", "SeriesInstanceUID": "1.2.00.2"}
    made = image(side=300, PatientAge="003Y", **uids)
    made.file_meta.MediaStorageSOPInstanceUID = uids["SOPInstanceUID"]
    path.write_bytes(as_bytes(made))
    with warnings.catch_warnings(record=True) as warned:
        (tmp_path / "draft.json").write_text(aris("draft", path, "--json", "--force").stdout)
        result = aris("export", tmp_path / "draft.json", *ALL, "--out", out)
        assert result.exit_code == 0, result.stderr
        reports = [read_report(out / f"draft.{name}") for name in ("sr.dcm", "fhir.json", "report.json")]
    assert not [each for each in warned if "1.2.0" in str(each.message)]  # on stderr they would name a study
    assert reports[0] == reports[1] == reports[2]
    (known,) = reports[0].images
    assert (known.uid, known.study, known.series) == tuple(uids.values())


def test_every_format_from_a_draft(aris: Aris, draft: Path, film: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = aris("export", draft, *ALL, "--out", out, "--json", "--revision", "r7")
    assert result.exit_code == 0, result.stderr
    assert "DRAFT" in result.stderr
    said = [json.loads(line) for line in result.stdout.splitlines()]
    assert [each["format"] for each in said] == list(FORMATS) and {each["status"] for each in said} == {"draft"}
    source = pydicom.dcmread(film)
    for name in ("sr", "gsps", "sc"):
        made = pydicom.dcmread(out / f"draft.{name}.dcm")
        assert made.StudyInstanceUID == source.StudyInstanceUID and str(made.PatientName) == "Müller^Ana1"
    Bundle.model_validate(json.loads((out / "draft.fhir.json").read_text()))
    assert (out / "draft.txt").read_text().startswith("DRAFT — not signed")
    assert json.loads((out / "draft.report.json").read_text())["mark"] == "DRAFT — not signed"
    assert (out / "draft.pdf").read_bytes().startswith(b"%PDF")
    assert (out / "draft.pdf").stat().st_mode & 0o077 == 0
    reports = [read_report(out / f"draft.{name}") for name in ("sr.dcm", "fhir.json", "report.json")]
    assert reports[0] == reports[1] == reports[2]
    assert reports[0].forced and reports[0].model.revision == "r7" and len(reports[0].model.prompt_version) == 12
    assert str(film) not in (out / "draft.report.json").read_text()  # a path may hold a name


@pytest.mark.parametrize(("score", "present", "said"), [
    (0.9, True, "present"), (0.1, False, "not seen"), (0.5, None, "no call"),
])  # fmt: skip
def test_documents_of_a_draft_say_what_was_called(
    aris: Aris, scripted: Callable[..., Any], film: Path, tmp_path: Path, score: float, present: bool | None, said: str
) -> None:
    scripted(pneumonia=score)
    path = tmp_path / "draft.json"
    path.write_text(aris("draft", film, "--json", "--force").stdout)
    assert aris("export", path, "-f", "sr,fhir,json,text", "--out", tmp_path / "out").exit_code == 0
    for name in ("draft.sr.dcm", "draft.fhir.json", "draft.report.json"):
        (finding,) = read_report(tmp_path / "out" / name).findings
        assert finding.present is present and finding.assessed
        assert ("too close" in finding.note) == (present is None)
    assert f"pneumonia: {said}, probability" in (tmp_path / "out" / "draft.txt").read_text()


def test_boxes_and_images_that_do_not_fit_are_told(aris: Aris, draft: Path, tmp_path: Path) -> None:
    boxes, other = tmp_path / "boxes.json", tmp_path / "other.dcm"
    boxes.write_text(json.dumps([{"label": "pneumonia", "box": [10, 20, 301, 120]}]))
    out = tmp_path / "out"
    result = aris("export", draft, "-f", "sr", "--regions", boxes, "--out", out)
    assert result.exit_code == 1 and "outside its image of 300 x 300 pixels" in result.stderr and not out.exists()
    other.write_bytes(as_bytes(image(2, side=300)))
    assert aris("export", draft, "-f", "json", "--out", out).exit_code == 0
    assert aris("export", draft, "-f", "json", "--image", other, "--name", "other", "--out", out).exit_code == 0
    own, wrong = (read_report(out / f"{name}.report.json").warnings for name in ("draft", "other"))
    assert OTHER_IMAGES in wrong and OTHER_IMAGES not in own
    assert aris("export", draft, "-f", "json", "--name", "../x", "--out", out).exit_code == 2
    assert not (tmp_path / "x.report.json").exists()


def test_documents_can_be_turned_into_each_other(aris: Aris, draft: Path, tmp_path: Path) -> None:
    assert aris("export", draft, "-f", "sr,fhir,json", "--out", tmp_path / "a").exit_code == 0
    for name in ("draft.sr.dcm", "draft.fhir.json", "draft.report.json"):
        again = aris("export", tmp_path / "a" / name, "-f", "sr", "-f", "fhir", "--out", tmp_path / name)
        assert again.exit_code == 0, again.stderr
        assert (tmp_path / name / "draft.sr.dcm").read_bytes() == (tmp_path / "a" / "draft.sr.dcm").read_bytes()
        assert (tmp_path / name / "draft.fhir.json").read_bytes() == (tmp_path / "a" / "draft.fhir.json").read_bytes()


def test_boxes_and_stdin(aris: Aris, draft: Path, tmp_path: Path) -> None:
    boxes = tmp_path / "boxes.json"
    boxes.write_text(json.dumps([{"label": "pneumonia", "box": [10, 20, 100, 120], "probability": 0.7}]))
    arguments = ["-f", "json", "-f", "gsps", "--regions", boxes, "--name", "x", "--out", tmp_path]
    result = aris("export", "-", *arguments, input=draft.read_text())
    assert result.exit_code == 0, result.stderr
    assert read_report(tmp_path / "x.report.json").regions[0].box == (10, 20, 100, 120)
    again = aris("export", draft, *arguments)
    assert again.exit_code == 1 and "--overwrite" in again.stderr
    assert aris("export", draft, *arguments, "--overwrite").exit_code == 0


def test_a_document_stands_in_the_time_of_its_study(
    aris: Aris, draft: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Content Date and Time have no offset and stand beside Study Date and Time: all are the place's own."""
    monkeypatch.setenv("TZ", "XYZ-13:30")  # ahead of UTC by 13 hours and a half
    time.tzset()
    try:
        before = datetime.now().replace(microsecond=0)
        assert aris("export", draft, "-f", "sr", "-f", "fhir", "--out", tmp_path).exit_code == 0
        after = datetime.now()
    finally:
        monkeypatch.undo()
        time.tzset()
    made = pydicom.dcmread(tmp_path / "draft.sr.dcm")
    for day, clock in (("ContentDate", "ContentTime"), ("InstanceCreationDate", "InstanceCreationTime")):
        told = datetime.strptime(made[day].value + str(made[clock].value)[:6], "%Y%m%d%H%M%S")
        assert before <= told <= after
    reports = [read_report(tmp_path / f"draft.{name}") for name in ("sr.dcm", "fhir.json")]
    assert reports[0] == reports[1] and reports[0].created.utcoffset() == timedelta(hours=13, minutes=30)


def test_a_draft_that_is_urgent_says_so_in_every_document(aris: Aris, draft: Path, tmp_path: Path) -> None:
    assert json.loads(draft.read_text())["priority"] == "urgent"
    assert aris("export", draft, "-f", "sr", "-f", "fhir", "-f", "json", "-f", "text", "--out", tmp_path).exit_code == 0
    for name in ("sr.dcm", "fhir.json", "report.json"):
        assert "priority urgent: to be read before routine work" in read_report(tmp_path / f"draft.{name}").warnings
    assert "! priority urgent" in (tmp_path / "draft.txt").read_text()


@pytest.mark.parametrize("packed", [False, True])
def test_a_series_is_named_whole(
    aris: Aris, scripted: Callable[..., Any], tmp_path: Path, packed: bool
) -> None:
    """A draft names the first file of a series; its documents are about all of its slices and about no other."""
    scripted()
    folder = tmp_path / "study"
    slices = [*write_series(folder / "a", Geometry(slices=4)), *write_series(folder / "a", Geometry(slices=2),
              prefix="other")]  # fmt: skip
    study = folder
    if packed:
        study = tmp_path / "study.zip"
        with zipfile.ZipFile(study, "w") as archive:
            for each in slices:
                archive.write(each, str(each.relative_to(folder)))
    drafts = aris("draft", study, "--json", "--force").stdout.splitlines()
    wanted = {str(pydicom.dcmread(each).SOPInstanceUID) for each in slices[:4]}
    named = []
    for number, line in enumerate(drafts):
        path = tmp_path / f"draft{number}.json"
        path.write_text(line)
        result = aris("export", path, "-f", "sr", "-f", "fhir", "--out", tmp_path)
        assert result.exit_code == 0, result.stderr
        made = pydicom.dcmread(tmp_path / f"draft{number}.sr.dcm")
        named.append(_evidence(made))
        assert {each.uid for each in read_report(tmp_path / f"draft{number}.fhir.json").images} == named[-1]
    assert sorted(map(len, named)) == [2, 4] and wanted in named


def test_a_part_of_a_series_is_named_alone(aris: Aris, scripted: Callable[..., Any], tmp_path: Path) -> None:
    """Two stacks in one series are two drafts, and the documents of each are about its own slices."""
    scripted()
    folder, uids = tmp_path / "study", {"series_uid": "1.2.826.7.1", "study_uid": "1.2.826.7"}
    stacks = [
        write_series(folder, Geometry(slices=4), prefix="a", **uids),
        write_series(folder, Geometry(slices=2, orientation="sagittal"), prefix="b", numbers=[7, 8], **uids),
    ]
    wanted = [{str(pydicom.dcmread(each).SOPInstanceUID) for each in stack} for stack in stacks]
    drafts = [json.loads(line) for line in aris("draft", folder, "--json", "--force").stdout.splitlines()]
    assert len({each["file"] for each in drafts}) == 2
    named = []
    for number, each in enumerate(drafts):
        path = tmp_path / f"draft{number}.json"
        path.write_text(json.dumps(each))
        assert aris("export", path, "-f", "sr", "--out", tmp_path).exit_code == 0
        named.append(_evidence(pydicom.dcmread(tmp_path / f"draft{number}.sr.dcm")))
    assert named == wanted


def _evidence(document: Any) -> set[str]:
    return {
        str(instance.ReferencedSOPInstanceUID)
        for study in document.CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
        for instance in series.ReferencedSOPSequence
    }


def test_findings_alone_make_a_report(aris: Aris, scripted: Callable[..., Any], film: Path, tmp_path: Path) -> None:
    scripted()
    path = tmp_path / "f.json"
    path.write_text(aris("findings", film, "--json").stdout)
    assert aris("export", path, "-f", "sr", "--out", tmp_path).exit_code == 0
    report = read_report(tmp_path / "f.sr.dcm")
    assert report.findings and report.sections.findings == ""


def test_a_film_that_is_no_dicom_has_no_dicom_documents(
    aris: Aris, scripted: Callable[..., Any], film_png: Path, tmp_path: Path
) -> None:
    scripted()
    path = tmp_path / "d.json"
    path.write_text(aris("draft", film_png, "--json").stdout)
    refused = aris("export", path, "-f", "text", "-f", "sr", "--out", tmp_path / "o")
    assert refused.exit_code == 1 and "names none" in refused.stderr
    assert not (tmp_path / "o").exists()  # all or nothing
    assert aris("export", path, "-f", "text", "-f", "fhir", "-f", "pdf", "--out", tmp_path / "o").exit_code == 0


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "not JSON"),
        ("[]", "not a JSON object"),
        ("{", "not JSON"),
        ('{"model": "x"}', "not a draft or findings"),
        ('{"model": {}}', "report: "),
        ('{"resourceType": "Bundle"}', "bundle is damaged"),
        ("not json at all", "not JSON"),
    ],
)
def test_what_is_no_report_is_said_in_one_line(aris: Aris, tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(content)
    result = aris("export", path, "-f", "text", "--out", tmp_path)
    assert result.exit_code == 1 and len(result.stderr.splitlines()) == 1
    assert said in result.stderr and "defect" not in result.stderr
    assert not list(tmp_path.glob("*.txt"))
    missing = aris("export", tmp_path / "none.json", "-f", "text")
    assert missing.exit_code == 1 and "cannot be read" in missing.stderr
    assert aris("export", path, "-f", "docx").exit_code == 2
