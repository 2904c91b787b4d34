"""Facts of a DICOM header about an examination, for the sections of a report that no model may invent.

All of it is text that somebody typed: it is quoted as data and never part of an instruction.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aris.errors import ImageError
from aris.imaging import sniff
from aris.imaging.dicom.parsing import parse, parse_header
from aris.imaging.dicom.quiet import quiet_pydicom
from aris.imaging.radiograph import code, floats, several
from aris.imaging.sources import FileSource, HeldFile

_TAGS = [
    "SOPClassUID", "Modality", "StudyDescription", "SeriesDescription", "ProtocolName", "BodyPartExamined",
    "RequestedProcedureDescription", "ReasonForStudy", "ReasonForTheRequestedProcedure", "AdditionalPatientHistory",
    "RequestAttributesSequence", "ViewPosition", "ContrastBolusAgent", "KVP", "SliceThickness", "RepetitionTime",
    "EchoTime", "MagneticFieldStrength", "ConvolutionKernel", "AcquisitionDateTime", "AcquisitionDate",
    "AcquisitionTime", "StudyDate", "StudyTime", "ContentDate", "ContentTime", "SeriesDate", "SeriesTime", "PatientID",
    "IssuerOfPatientID", "SpecificCharacterSet", "Laterality", "ImageLaterality", "PatientOrientation",
]  # fmt: skip
_LONGEST = 600  # characters; Additional Patient History may hold 10,240


@dataclass(frozen=True)
class Header:
    """Header of an examination; "" or None where it says nothing.

    Attributes:
        examination: the procedure's description, else the study's, else protocol or series.
        indication: the reason for the study, or the history given with it.
        technique: how it was made, from the acquisition's own elements.
        moment: when, as YYYYMMDDHHMMSS, YYYYMMDD where no time is given, "" where nothing is.
        patient: a digest that is equal for equal Patient ID and issuer; "" where there is none.
        laterality, image_laterality: (0020,0060) and (0020,0062).
    """

    examination: str = ""
    indication: str = ""
    technique: str = ""
    moment: str = ""
    patient: str = ""
    laterality: str | None = None
    image_laterality: str | None = None


def read_header(source: str | Path | FileSource) -> Header:
    """A file's header; an empty one for what is no DICOM.

    Raises:
        ImageError: it cannot be read.
    """
    source = source if isinstance(source, FileSource) else FileSource(Path(source).expanduser())
    with quiet_pydicom():
        try:
            dataset = _parsed(source)
        except (OSError, ValueError):
            raise ImageError(f"{source.name}: cannot be read; check the path") from None
        try:
            return Header() if dataset is None else _header(dataset)
        except Exception:  # pydicom raises many kinds on damaged files; what cannot be read is not stated
            return Header()


def _parsed(source: FileSource) -> Any | None:
    """The data set; None of what is no DICOM, or damaged."""
    held = source if isinstance(source, HeldFile) else None
    data = source.read() if held or source.member is not None else None
    try:
        if held:
            return held.dataset() if held.kind == "dicom" else None
        if data is None:
            return parse_header(source, source.name, list(_TAGS), sniff.only_dicom)
        sniff.only_dicom(data)
        return parse(data, source.name, tags=list(_TAGS), pixels=False)
    except ImageError:
        return None


def _header(dataset: Any) -> Header:
    requests = several(dataset, "RequestAttributesSequence")
    datasets = [dataset, *requests]
    descriptions = ("RequestedProcedureDescription", "StudyDescription", "ProtocolName", "SeriesDescription")
    reasons = ("ReasonForTheRequestedProcedure", "ReasonForStudy", "AdditionalPatientHistory")
    patient = said(dataset, "PatientID")
    issuer = said(dataset, "IssuerOfPatientID")
    return Header(
        examination=next((text for each in datasets if (text := _first(each, descriptions))), ""),
        indication=next((text for each in datasets if (text := _first(each, reasons))), ""),
        technique=_technique(dataset),
        moment=_moment(dataset),
        patient=hashlib.sha256(f"{patient}\0{issuer}".encode()).hexdigest() if patient else "",
        laterality=code(dataset, "Laterality"),
        image_laterality=code(dataset, "ImageLaterality"),
    )


def said(dataset: Any, keyword: str) -> str:
    """An element as one line of text without control characters; "" where it is absent."""
    text = " ".join(str(value) for value in several(dataset, keyword))
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def _first(dataset: Any, keywords: tuple[str, ...]) -> str:
    return next((text for keyword in keywords if (text := said(dataset, keyword))), "")


def _technique(dataset: Any) -> str:
    parts = []
    modality, view = code(dataset, "Modality"), code(dataset, "ViewPosition")
    if modality:
        parts.append(modality)
    if view:
        parts.append(f"view {view}")
    for keyword, form in (
        ("KVP", "{:g} kV"), ("MagneticFieldStrength", "{:g} T"), ("RepetitionTime", "TR {:g} ms"),
        ("EchoTime", "TE {:g} ms"), ("SliceThickness", "slices of {:g} mm"),
    ):  # fmt: skip
        values = floats(dataset, keyword)
        if len(values) == 1 and 0 < values[0] < 1e6:
            parts.append(form.format(values[0]))
    contrast = said(dataset, "ContrastBolusAgent")
    if contrast:
        parts.append(f"contrast: {contrast}")
    return ", ".join(parts)


def _moment(dataset: Any) -> str:
    whole = re.match(r"\d{8}(\d{6})?", said(dataset, "AcquisitionDateTime"))
    if whole:
        return whole[0]
    for name in ("Acquisition", "Content", "Series", "Study"):
        day = re.fullmatch(r"(\d{4})\.?(\d\d)\.?(\d\d)", said(dataset, f"{name}Date"))
        if day:
            time = re.match(r"\d{6}", said(dataset, f"{name}Time"))
            return "".join(day.groups()) + (time[0] if time else "")
    return ""
