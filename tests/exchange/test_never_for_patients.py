"""Every document of a model that is not for patients says so where a reader looks first, signed or not."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from reports import IMAGE, SIGNER, full

from aris.exchange.documents.formats import document, read_report, report_from_task
from aris.exchange.documents.overlays import drawn
from aris.exchange.documents.report import ModelIdentity, Report, sign

NEVER = "aris-nano is for trying and testing only, never for patient care."


@pytest.fixture(params=["draft", "signed"])
def report(request: pytest.FixtureRequest) -> Report:
    made = full()
    return sign(made, SIGNER) if request.param == "signed" else made


def test_the_name_alone_tells_it_and_no_other_model_gets_it(report: Report) -> None:
    assert report.caution == NEVER
    other = ModelIdentity(name="medgemma-4b-it", software="Aris 0.1.0")
    assert full(model=other).caution == ""
    assert NEVER not in document(full(model=other), "text")["txt"].decode()


def test_a_served_name_does_not_lose_it() -> None:
    values: dict[str, Any] = {"model": "our-film-reader", "file": "x.png", "findings": [], "caution": NEVER}
    assert report_from_task(values, "stdin", ()).caution == NEVER


def test_text_and_json(report: Report) -> None:
    lines = document(report, "text")["txt"].decode().splitlines()
    assert lines[:2] == [report.mark, NEVER] and NEVER in lines[-2:]
    written = json.loads(document(report, "json")["report.json"])
    assert list(written)[:2] == ["mark", "caution"] and written["caution"] == NEVER


def test_pdf(report: Report, tmp_path: Path) -> None:
    if shutil.which("pdftotext") is None:
        pytest.skip("pdftotext is not installed")
    long = report.model_copy(update={"warnings": tuple(f"warning {number}" for number in range(120))})
    (tmp_path / "r.pdf").write_bytes(document(long, "pdf")["pdf"])
    told = subprocess.run(["pdftotext", "-layout", str(tmp_path / "r.pdf"), "-"], capture_output=True, check=True)
    pages = told.stdout.decode().rstrip("\f").split("\f")
    assert len(pages) > 1
    for page in pages:
        lines = [line.strip() for line in page.splitlines() if line.strip()]
        assert lines[1] == NEVER and "never for patient care" in " ".join(lines[-3:])


def test_fhir(report: Report) -> None:
    bundle = json.loads(document(report, "fhir")["fhir.json"])
    first = bundle["entry"][0]["resource"]
    assert first["resourceType"] == "DiagnosticReport"
    assert first["text"]["div"].index(NEVER) < 200 and first["conclusion"].startswith(NEVER)
    for resource in (bundle, *(entry["resource"] for entry in bundle["entry"])):
        assert resource["meta"]["security"][0]["code"] == "HTEST"
    assert NEVER in first["presentedForm"][0]["title"]


def test_sr_says_it_first_and_all_read_back(report: Report, tmp_path: Path) -> None:
    for form in ("sr", "fhir", "json"):
        ((suffix, data),) = document(report, form).items()  # type: ignore[arg-type]
        (tmp_path / suffix).write_bytes(data)
        assert read_report(tmp_path / suffix) == report
        if form == "sr":
            dataset = pydicom.dcmread(io.BytesIO(data))
            assert dataset.SeriesDescription.startswith("NEVER FOR PATIENT CARE")
            texts = [item for container in dataset.ContentSequence for item in container.get("ContentSequence", [])
                     if item.ValueType in ("TEXT", "CODE") and container.ValueType == "CONTAINER"]  # fmt: skip
            said = [item for item in texts if item.get("TextValue") == NEVER]
            assert said and said[0].ConceptNameCodeSequence[0].CodeMeaning == "Never for patient care"


def test_overlays_say_it_on_the_picture() -> None:
    made = full(regions=())
    pixels = np.zeros((200, 90), dtype=np.uint8)
    narrow, other = drawn(made, IMAGE.uid, pixels), drawn(made.model_copy(update={"caution": ""}), IMAGE.uid, pixels)
    assert narrow.shape[0] - other.shape[0] >= 3 * 14  # whole, in as many lines as it takes


def test_what_is_not_assessed_says_so_once() -> None:
    finding = {"name": "pneumonia", "probability": None, "present": None, "assessed": False,
               "note": "not assessed: not a chest film"}
    values: dict[str, Any] = {"model": "aris-nano", "file": "x.png", "findings": [finding]}
    text = document(report_from_task(values, "stdin", ()), "text")["txt"].decode()
    assert "pneumonia: not assessed: not a chest film" in text.splitlines()
