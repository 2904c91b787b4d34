"""Drafts of real films by the embedded model as documents, each judged by the field's own validators.

    python benchmarks/documents.py --films 6

Films are those of the sample folder, or of `--folder`, wrapped as DX objects with headers of several kinds. Each draft is
exported by `aris export` in all formats; then it is signed, given an addendum and corrected. Prints one JSON object:
how many documents there were, how many of them dciodvfy (Debian dicom3tools) and fhir.resources (R4B) find fault with,
whose references do not resolve, that read back as another report, and whose flags are not those of their state.
"""

from __future__ import annotations

import argparse
import io
import json
import shutil
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from fhir.resources.R4B.bundle import Bundle
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from aris.exchange.documents.fhir_reading import read_bundle
from aris.exchange.documents.formats import FORMATS, document, read_report
from aris.exchange.documents.report import Report, Signer, addend, correct, sign
from aris.exchange.documents.sr import reference
from aris.exchange.documents.sr_reading import read_structured_report
from aris.tasks.results import Sections
from dicom_objects import as_bytes, image

# Headers as they come: complete, in another script, hardly anything, inverted.
HEADERS: list[dict[str, Any]] = [
    {},
    {"PatientName": "Yamada^Tarou=山田^太郎=やまだ^たろう", "PatientAge": "003Y", "PatientBirthDate": ""},
    {"PatientName": "", "PatientID": "", "AccessionNumber": "", "StudyDescription": "", "ReferringPhysicianName": ""},
    {"PhotometricInterpretation": "MONOCHROME1", "PatientAge": "002Y", "PatientSex": "O"},
]
# What each state says in SR (PreliminaryFlag, VerificationFlag) and FHIR (status).
STATES = {
    "draft": ("PRELIMINARY", "UNVERIFIED", ("preliminary", "partial")),
    "signed": ("FINAL", "VERIFIED", ("final",)),
    "addended": ("FINAL", "VERIFIED", ("appended",)),
    "corrected": ("FINAL", "VERIFIED", ("corrected",)),
}


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--films", type=int, default=3)
    arguments.add_argument("--folder", type=Path, default=Path(__file__).resolve().parents[1] / "samples")
    asked = arguments.parse_args()
    found = dict.fromkeys(["dicom", "dciodvfy errors", "bundles", "invalid bundles", "dangling references",
                           "read back as another report", "flags untrue"], 0)  # fmt: skip
    found["dciodvfy"] = shutil.which("dciodvfy") or "not installed"
    films = sorted(each for each in asked.folder.iterdir() if each.suffix.lower() in (".jpg", ".jpeg", ".png"))
    with tempfile.TemporaryDirectory() as folder:
        for number, film in enumerate(films[: asked.films]):
            path = Path(folder) / f"{number}.dcm"
            path.write_bytes(wrapped(film, number, HEADERS[number % len(HEADERS)]))
            draft = exported(path, found)
            signer = Signer(name="Doe^Jane^^Dr", organization="Hospital", signed_at=datetime.now(UTC), identifier="7")
            signed = sign(draft, signer)
            judged(signed, path, found)
            earlier = reference(pydicom.dcmread(io.BytesIO(document(signed, "sr")["sr.dcm"])))
            judged(addend(signed, "The lateral film shows no effusion.", signer, earlier), path, found)
            judged(correct(signed, Sections(impression="No pneumonia."), signer, earlier), path, found)
    print(json.dumps(found, indent=1))


def wrapped(film: Path, number: int, header: dict[str, Any]) -> bytes:
    """A picture as a DX object."""
    pixels = np.asarray(Image.open(film).convert("L")).astype(np.uint16) * 16
    made = image(number + 1, study=number + 1, **header)
    made.Rows, made.Columns = pixels.shape
    made.PixelData = pixels.tobytes()
    return as_bytes(made)


def exported(path: Path, found: dict[str, Any]) -> Report:
    """Through the commands, as a user does; a box drawn by hand stands for what a person marks."""
    aris = [sys.executable, "-m", "aris.cli"]
    boxes = path.with_suffix(".boxes")
    boxes.write_text(json.dumps([{"label": "opacity", "box": [40, 60, 200, 260], "probability": 0.6}]))
    draft = subprocess.run([*aris, "draft", path, "--json", "--force"], check=True, capture_output=True, text=True).stdout
    out = path.with_suffix("")
    subprocess.run([*aris, "export", "-", "-f", ",".join(FORMATS), "--regions", boxes, "--name", "d", "--out", out],
                   check=True, input=draft, text=True, capture_output=True)  # fmt: skip
    report = read_report(out / "d.sr.dcm")
    found["read back as another report"] += read_report(out / "d.fhir.json") != report
    found["read back as another report"] += read_report(out / "d.report.json") != report
    judged(report, path, found)
    return report


def judged(report: Report, path: Path, found: dict[str, Any]) -> None:
    """Every document of a report by its validator."""
    preliminary, verified, statuses = STATES[report.status]
    for form in ("sr", "gsps", "sc"):
        for data in document(report, form, [path]).values():
            found["dicom"] += 1
            place = path.with_suffix(f".{form}.made")
            place.write_bytes(data)
            if found["dciodvfy"] != "not installed":
                done = subprocess.run(["dciodvfy", place], capture_output=True, text=True, check=False)
                errors = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error")]
                found["dciodvfy errors"] += len(errors)
                for line in errors:
                    print(f"{report.status} {form}: {line}", file=sys.stderr)
            if form != "sr":
                continue
            dataset = pydicom.dcmread(io.BytesIO(data))
            found["read back as another report"] += read_structured_report(dataset) != report
            true = (dataset.PreliminaryFlag, dataset.VerificationFlag) == (preliminary, verified)
            true &= ("VerifyingObserverSequence" in dataset) == (report.status != "draft")
            true &= ("PredecessorDocumentsSequence" in dataset) == (report.status in ("addended", "corrected"))
            found["flags untrue"] += not true
    sent = json.loads(next(iter(document(report, "fhir").values())))
    found["bundles"] += 1
    try:
        Bundle.model_validate(sent)
    except ValueError as error:
        found["invalid bundles"] += 1
        print(f"{report.status}: {error}", file=sys.stderr)
    urls = {entry["fullUrl"] for entry in sent["entry"]}
    found["dangling references"] += sum(each not in urls for each in references(sent))
    found["read back as another report"] += read_bundle(sent) != report
    main = next(e["resource"] for e in sent["entry"] if e["resource"]["resourceType"] == "DiagnosticReport")
    found["flags untrue"] += main["status"] not in statuses


def references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["reference"]] if "reference" in value else []
        return own + [each for inner in value.values() for each in references(inner)]
    return [each for inner in value for each in references(inner)] if isinstance(value, list) else []


if __name__ == "__main__":
    main()
