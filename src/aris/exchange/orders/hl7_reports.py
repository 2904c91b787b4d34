"""A signed report as HL7 v2.5.1 ORU^R01."""

from __future__ import annotations

import hashlib
import json
from decimal import Decimal

from aris.exchange.documents.report import Report, Signer
from aris.exchange.orders.hl7_text import NAMES, Hl7Error, escaped, moment
from aris.tasks import Sections

_CODES = {"findings": "59776-5^Procedure findings^LN", "impression": "19005-8^Radiology Imaging study [Impression]^LN"}
_TITLE = "18748-4^Diagnostic imaging study^LN"


def oru_message(
    report: Report, *, placer: str = "", filler: str = "", sending: str = "ARIS|ARIS", receiving: str = "|",
    encoding: str = "utf-8",
) -> bytes:  # fmt: skip
    """The report as a message. The same report makes the same message, with the same control number.

    Args:
        placer, filler: the order's numbers.
        sending, receiving: application and facility, parted by "|".

    Raises:
        Hl7Error: it is a draft, or holds what the encoding cannot.
    """
    if report.signer is None:
        raise Hl7Error("HL7: a draft is not sent; sign it first")
    status = "F" if report.status == "signed" else "C"
    control = hashlib.sha256(json.dumps(report.model_dump(mode="json"), sort_keys=True).encode()).hexdigest()[:20]
    patient, study, signed = report.patient, report.study, moment(report.signer.signed_at)
    lines = [
        f"MSH|^~\\&|{sending}|{receiving}|{signed}||ORU^R01^ORU_R01|{control}|P|2.5.1||||||{NAMES[encoding]}",
        f"PID|1||{escaped(patient.identifier)}^^^{escaped(patient.issuer)}^PI||{_person(patient.name)}||"
        f"{patient.birth_date}|{patient.sex}",
        f"ORC|RE|{escaped(placer)}|{escaped(filler)}",
        f"OBR|1|{escaped(placer)}|{escaped(filler)}|{_TITLE}|||{study.date}{study.time}|||||||||"
        f"{_doctor(study.referrer)}||{escaped(study.accession)}||||{signed}||RAD|{status}|||||||"
        f"{_signer(report.signer)}",
    ]
    number = 0

    def said(code: str, text: str, kind: str = "TX") -> None:
        nonlocal number
        number += 1
        lines.append(f"OBX|{number}|{kind}|{code}||{text}||||||{status}|||{signed}")

    if study.uid:
        said("113014^DICOM Study^DCM", f"{study.uid}^Application^DICOM", "HD")
    if report.caution:
        said("caution^Never for patient care^99ARIS", escaped(report.caution))
    for name in Sections.model_fields:
        if text := getattr(report.sections, name):
            said(_CODES.get(name, f"{name}^{name.title()}^99ARIS"), escaped(text))
    for text in report.addenda:
        said("55107-7^Addendum Document^LN", escaped(text))
    for measurement in report.measurements:
        number += 1
        note = f" ({measurement.note})" if measurement.note else ""
        lines.append(
            f"OBX|{number}|NM|measurement^{escaped(measurement.name + note)}^99ARIS||{_number(measurement.value)}|"
            f"{escaped(measurement.unit)}|||||{status}|||{signed}"
        )
    try:
        return ("\r".join(lines) + "\r").encode(encoding)
    except UnicodeEncodeError:
        raise Hl7Error(f"HL7: the report has letters that {encoding} has not; let the destination take utf-8") from None


def _number(value: float) -> str:
    """HL7's NM, which has no exponent."""
    return format(Decimal(f"{value:.10g}"), "f")


def _person(name: str) -> str:
    family, given, middle, prefix, suffix = (*name.partition("=")[0].split("^"), "", "", "", "", "")[:5]
    return "^".join(map(escaped, (family, given, middle, suffix, prefix))).rstrip("^")


def _doctor(name: str) -> str:
    return f"^{_person(name)}" if name else ""


def _signer(signer: Signer) -> str:
    # NDL: its first component's parts are parted by "&".
    family, given, middle, prefix, suffix = (*signer.name.partition("=")[0].split("^"), "", "", "", "", "")[:5]
    return "&".join(map(escaped, (signer.identifier, family, given, middle, suffix, prefix))).rstrip("&")
