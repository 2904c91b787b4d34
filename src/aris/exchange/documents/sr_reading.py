"""Our own Structured Reports, read back as the reports that they were written from."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from aris.errors import ExchangeError
from aris.exchange.documents import codes
from aris.exchange.documents.report import Report, checked
from aris.exchange.documents.sr import BASIC_TEXT_SR, COMPREHENSIVE_SR
from aris.tasks.results import Sections


def read_structured_report(document: Any) -> Report:
    """The report of a document that `structured_report` wrote.

    Args:
        document: a pydicom Dataset.

    Raises:
        ExchangeError: it is of another kind or another maker, or damaged.
    """
    if str(document.get("SOPClassUID", "")) not in (BASIC_TEXT_SR, COMPREHENSIVE_SR):
        raise ExchangeError("not a structured report of ours; Comprehensive SR and Basic Text SR are read")
    try:
        values = _values(document)
    except (AttributeError, LookupError, ValueError, TypeError):
        raise ExchangeError("the structured report is damaged, or another program wrote it") from None
    return checked(**values)


def _values(document: Any) -> dict[str, Any]:
    document.decode()  # once the whole tree, in its own character set
    children = list(document.ContentSequence)
    said = list(_said(children))
    texts = [(name, _value(item)) for name, item in said]
    state = next(value for name, value in texts if name == _key(codes.STATUS))
    observer = {_key_of(item): item for item in children if item.RelationshipType == "HAS OBS CONTEXT"}
    groups = [
        item
        for container in children
        if _key_of(container) == ("126010", "DCM")
        for item in container.get("ContentSequence", [])
    ]
    findings, regions, measurements = _groups(groups)
    sections = {
        name: "\n".join(value for key, value in texts if key == _key(codes.section_code(name)))
        for name in Sections.model_fields
    }
    signer = _signer(document)
    return {
        "status": next(status for status, code in codes.STATES.items() if code.value == state),
        "model": {
            "name": observer[("121013", "DCM")].TextValue,
            "revision": observer[("121016", "DCM")].TextValue if ("121016", "DCM") in observer else "",
            "prompt_version": next((v for key, v in texts if key == _key(codes.PROMPT_VERSION)), ""),
            "software": observer[("121015", "DCM")].TextValue,
        },
        "caution": next((value for key, value in texts if key == _key(codes.CAUTION)), ""),
        "created": _moment(document.ObservationDateTime),
        "sections": sections,
        "findings": findings,
        "regions": regions,
        "measurements": measurements,
        "warnings": [value for key, value in texts if key == _key(codes.WARNING)],
        "forced": any(key == _key(codes.FORCED) for key, _ in texts),
        "complete": "CompletionFlagDescription" not in document,
        "addenda": [value for key, value in texts if key == _key(codes.ADDENDUM)],
        "patient": {
            "identifier": _text(document, "PatientID"),
            "issuer": _text(document, "IssuerOfPatientID"),
            "name": _text(document, "PatientName"),
            "birth_date": _text(document, "PatientBirthDate"),
            "sex": _text(document, "PatientSex"),
        },
        "study": {
            "uid": _text(document, "StudyInstanceUID"),
            "identifier": _text(document, "StudyID"),
            "accession": _text(document, "AccessionNumber"),
            "date": _text(document, "StudyDate"),
            "time": _text(document, "StudyTime")[:6],
            "description": _text(document, "StudyDescription"),
            "referrer": _text(document, "ReferringPhysicianName"),
        },
        "images": [
            *_referenced(document, "CurrentRequestedProcedureEvidenceSequence"),
            *_referenced(document, "PertinentOtherEvidenceSequence"),
        ],
        "signer": signer,
        "predecessors": _referenced(document, "PredecessorDocumentsSequence"),
    }


def _said(children: list[Any]) -> Iterator[tuple[tuple[str, str], Any]]:
    """Texts and codes that stand in containers of the root, outside measurement groups."""
    for container in children:
        if container.ValueType != "CONTAINER" or _key_of(container) == ("126010", "DCM"):
            continue
        for item in container.get("ContentSequence", []):
            yield _key_of(item), item


def _groups(groups: list[Any]) -> tuple[list[Any], list[Any], list[Any]]:
    findings, regions, measurements = [], [], []
    for group in groups:
        items = list(group.ContentSequence)
        kinds = {item.ValueType for item in items}
        label = next(_value(item) for item in items if _key_of(item) == ("112039", "DCM"))
        numbers = [item for item in items if item.ValueType == "NUM"]
        probability = next((_number(n) for n in numbers if _key_of(n) == _key(codes.PROBABILITY)), None)
        measured = [_measurement(n) for n in numbers if _key_of(n) != _key(codes.PROBABILITY)]
        if "SCOORD" in kinds:
            outline = next(item for item in items if item.ValueType == "SCOORD")
            source = outline.ContentSequence[0].ReferencedSOPSequence[0]
            data = [float(value) for value in outline.GraphicData]
            frame = source.get("ReferencedFrameNumber")
            regions.append({
                "label": label,
                "box": (min(data[::2]), min(data[1::2]), max(data[::2]), max(data[1::2])),
                "image": str(source.ReferencedSOPInstanceUID),
                "frame": None if frame is None else int(frame),
                "probability": probability,
                "measurements": measured,
                "note": next((_value(item) for item in items if _key_of(item) == _key(codes.COMMENT)), ""),
            })  # fmt: skip
        elif any(_key_of(item) == _key(codes.PRESENCE) for item in items):
            state = next(_value(item) for item in items if _key_of(item) == _key(codes.PRESENCE))
            findings.append({
                "name": label,
                "probability": probability,
                "assessed": state != codes.NOT_ASSESSED.value,
                "present": {codes.PRESENT.value: True, codes.ABSENT.value: False}.get(state),
                "note": next((_value(item) for item in items if _key_of(item) == _key(codes.COMMENT)), ""),
            })  # fmt: skip
        else:
            measurements += measured
    return findings, regions, measurements


def _measurement(item: Any) -> dict[str, Any]:
    below = {_key_of(child): child.TextValue for child in item.get("ContentSequence", []) if child.ValueType == "TEXT"}
    unit = item.MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0].CodeValue
    return {
        "name": below.get(_key(codes.COMMENT), item.ConceptNameCodeSequence[0].CodeMeaning),
        "value": _number(item),
        "unit": str(unit),
        "note": below.get(_key(codes.LIMITS), ""),
    }


def _number(item: Any) -> float:
    value = item.MeasuredValueSequence[0]
    return float(value.get("FloatingPointValue", value.NumericValue))


def _value(item: Any) -> str:
    if item.ValueType == "CODE":
        return str(item.ConceptCodeSequence[0].CodeValue)
    return str(item.TextValue)


def _key(code: codes.Coded) -> tuple[str, str]:
    return code.value, code.scheme


def _key_of(item: Any) -> tuple[str, str]:
    name = item.ConceptNameCodeSequence[0] if "ConceptNameCodeSequence" in item else None
    return ("", "") if name is None else (str(name.CodeValue), str(name.CodingSchemeDesignator))


def _text(document: Any, keyword: str) -> str:
    value = document.get(keyword)
    return "" if value is None else str(value)


def _moment(value: Any) -> datetime:
    return datetime.strptime(str(value), "%Y%m%d%H%M%S%z")


def _signer(document: Any) -> dict[str, Any] | None:
    if document.VerificationFlag != "VERIFIED":
        return None
    item = document.VerifyingObserverSequence[0]
    person = item.VerifyingObserverIdentificationCodeSequence
    return {
        "name": str(item.VerifyingObserverName),
        "organization": str(item.VerifyingOrganization),
        "signed_at": _moment(item.VerificationDateTime),
        "identifier": str(person[0].CodeMeaning) if person else "",
    }


def _referenced(document: Any, keyword: str) -> list[dict[str, str]]:
    return [
        {
            "sop_class": str(item.ReferencedSOPClassUID),
            "uid": str(item.ReferencedSOPInstanceUID),
            "series": str(series.SeriesInstanceUID),
            "study": str(study.StudyInstanceUID),
        }
        for study in document.get(keyword, [])
        for series in study.ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    ]
