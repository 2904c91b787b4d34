"""The codes that documents carry, and UIDs that follow from content.

Codes are of DICOM (DCM), SNOMED CT (SCT), LOINC (LN) and UCUM where one fits. What has none gets one of our own scheme,
99ARIS, whose meaning is the text as it was given; nothing is forced under a code that says something else.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from typing import NamedTuple

SCHEME = "99ARIS"
SCHEME_NAME = "Aris local codes"


class Coded(NamedTuple):
    """A code: its value, scheme and meaning."""

    value: str
    scheme: str
    meaning: str


# Findings of chest films (the CheXpert names) with one code of their own in SNOMED CT.
_FINDINGS = {
    "atelectasis": Coded("46621007", "SCT", "Atelectasis"),
    "cardiomegaly": Coded("8186001", "SCT", "Cardiomegaly"),
    "consolidation": Coded("95436008", "SCT", "Lung consolidation"),
    "edema": Coded("19242006", "SCT", "Pulmonary edema"),
    "pulmonary edema": Coded("19242006", "SCT", "Pulmonary edema"),
    "fracture": Coded("125605004", "SCT", "Fracture of bone"),
    "pleural effusion": Coded("60046008", "SCT", "Pleural effusion"),
    "pneumonia": Coded("233604007", "SCT", "Pneumonia"),
    "pneumothorax": Coded("36118008", "SCT", "Pneumothorax"),
}

# Whether a finding is there (PS3.16 CID 240 and SNOMED CT's qualifiers).
PRESENT = Coded("52101004", "SCT", "Present")
ABSENT = Coded("2667000", "SCT", "Absent")
NO_CALL = Coded("no-call", SCHEME, "No call: uncalibrated, or too close to the operating point")
NOT_ASSESSED = Coded("373121007", "SCT", "Test not done")
PRESENCE = Coded("presence", SCHEME, "Presence of finding")

FINDING = Coded("121071", "DCM", "Finding")
IMPRESSION = Coded("121073", "DCM", "Impression")
COMMENT = Coded("121106", "DCM", "Comment")
PROBABILITY = Coded("122157", "DCM", "Probability")
FINDINGS_HEADING = Coded("59776-5", "LN", "Findings")
IMPRESSIONS_HEADING = Coded("19005-8", "LN", "Impressions")
ADDENDUM = Coded("55107-7", "LN", "Addendum")
SUMMARY = Coded("121111", "DCM", "Summary")
REPORT_TITLE = Coded("18748-4", "LN", "Diagnostic Imaging Report")
PROCEDURE = Coded("363679005", "SCT", "Imaging procedure")

STATUS = Coded("report-status", SCHEME, "Report status")
STATES = {
    "draft": Coded("draft", SCHEME, "Draft, not signed"),
    "signed": Coded("signed", SCHEME, "Signed"),
    "addended": Coded("addended", SCHEME, "Signed with addendum"),
    "corrected": Coded("corrected", SCHEME, "Signed correction"),
}
CAUTION = Coded("caution", SCHEME, "Never for patient care")
WARNING = Coded("warning", SCHEME, "Warning to the reader")
FORCED = Coded("forced", SCHEME, "Written outside the model's declared scope")
PROMPT_VERSION = Coded("prompt-version", SCHEME, "Prompt version")
LIMITS = Coded("limits", SCHEME, "What limits the value")
MEASURED = Coded("measurements", SCHEME, "Measurements without a region")

_SECTIONS = {"findings": FINDING, "impression": IMPRESSION}


def finding_code(name: str) -> Coded:
    """The code of a finding's name."""
    return _FINDINGS.get(name.lower()) or own_code(name)


def section_code(name: str) -> Coded:
    """The concept name of a section's text."""
    return _SECTIONS.get(name) or own_code(name)


def own_code(text: str) -> Coded:
    """A code of our own scheme for a text that has none; the same text has the same code."""
    digest = hashlib.sha256(text.encode()).hexdigest()[:12].upper()
    return Coded(f"X{digest}", SCHEME, text)


def meaning(text: str) -> str:
    """A text as Code Meaning (LO: 64 characters, no backslash); never empty."""
    return text.replace("\\", "/").strip()[:64].strip() or "unnamed"


def uid_of(kind: str, *content: object) -> str:
    """A DICOM UID that follows from content: 2.25 and 122 bits of a SHA-256 as a UUID (PS3.5 B.2, RFC 9562 version 8).

    Args:
        kind: what it is for, so that two things of the same content differ.
        content: what JSON can hold.
    """
    text = json.dumps([kind, *content], sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    bits = int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "big")
    bits = bits & ~(0xF << 76) | 8 << 76
    bits = bits & ~(0x3 << 62) | 2 << 62
    return f"2.25.{uuid.UUID(int=bits).int}"
