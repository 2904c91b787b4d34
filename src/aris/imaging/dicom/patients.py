"""Comparison of two headers' patients: stated values must agree, and missing ones say nothing."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, fields, replace
from typing import Any

from aris.imaging.dicom.values import plain_day, text


@dataclass(frozen=True)
class Patient:
    """A patient as a header names him; "" where it says nothing.

    Attributes:
        identifier, issuer: Patient ID (0010,0020) and Issuer of Patient ID (0010,0021).
        name: Patient's Name (0010,0010), with its groups and components.
        birth_date: (0010,0030).
        sex: (0010,0040).
    """

    identifier: str = ""
    issuer: str = ""
    name: str = ""
    birth_date: str = ""
    sex: str = ""

    @classmethod
    def of(cls, dataset: Any) -> Patient:
        """The patient of a header."""
        return cls(
            text(dataset, "PatientID", 256), text(dataset, "IssuerOfPatientID", 256), text(dataset, "PatientName", 512),
            plain_day(text(dataset, "PatientBirthDate", 10))[:8], text(dataset, "PatientSex", 16),
        )  # fmt: skip

    def conflicts(self, other: Patient) -> bool:
        """Return whether the two state different things of identifier, issuer, name, birth date or sex."""
        return (
            _differ(_folded(self.identifier), _folded(other.identifier))
            or _differ(_folded(self.issuer), _folded(other.issuer))
            or _differ(re.sub("[^0-9]", "", self.birth_date), re.sub("[^0-9]", "", other.birth_date))
            or _differ(_sex(self.sex), _sex(other.sex))
            or _names_differ(self.name, other.name)
        )

    def completed(self, other: Patient) -> Patient:
        """Return this identity, with what only the other states."""
        return replace(self, **{each.name: getattr(other, each.name) for each in fields(self)
                                if not getattr(self, each.name)})  # fmt: skip


def _differ(one: str, other: str) -> bool:
    return bool(one and other and one != other)


def _folded(value: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", value).casefold().split())


def _sex(value: str) -> str:
    code = value.strip().upper()
    return code if code in ("M", "F") else ""  # "O" and "U" say too little to contradict


def _names_differ(one: str, other: str) -> bool:
    """Of the groups (alphabetic, ideographic, phonetic; PS3.5 6.2.1.1) that both have, whether one differs."""
    return any(
        _parts_differ(first, second) for first, second in zip(one.split("="), other.split("="), strict=False)
        if first.strip(" ^") and second.strip(" ^")
    )  # fmt: skip


def _parts_differ(one: str, other: str) -> bool:
    """Return whether family, given or middle names differ; prefixes, suffixes and empty components do not count."""
    first, second = ([_folded(part) for part in each.split("^")[:3]] for each in (one, other))
    if len(first) == 1 or len(second) == 1:
        # Written without components, as one text: by its words.
        words = [set(re.split(r"[\s,]+", " ".join(each).strip())) - {""} for each in (first, second)]
        return not (words[0] <= words[1] or words[1] <= words[0])
    return any(_differ(a, b) for a, b in zip(first, second, strict=False))
