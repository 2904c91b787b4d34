"""Checks of a de-identification: images that are refused, and identifying values left in the result."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from aris.errors import ExchangeError
from aris.store.objects import parse, text

# Modalities whose images often carry names and dates as pixels, and kinds of images that are images of screens.
_RISKY_MODALITIES = frozenset(
    ["US", "SC", "OT", "XC", "ES", "GM", "OP", "OPT", "XA", "RF", "DOC", "SM", "IVUS", "ECG", "HC"]
)
_NO_TEXT_MODALITIES = frozenset(["CT", "MR", "PT", "NM"])
_ESSENTIAL = frozenset(["PatientName", "PatientID", "Modality", "PhotometricInterpretation", "SpecificCharacterSet"])
# Of type 2 in images (PS3.3): empty where their values go.
_EMPTIED = frozenset(["Manufacturer", "Laterality", "PatientOrientation", "InstanceNumber", "SeriesNumber"])
# Attributes whose values identify; what they held must be nowhere in what is given out.
_IDENTIFYING = re.compile(
    r"Patient.*ID|OtherPatient|Accession|Address|Telephone|BirthDate|Admission.*ID|MedicalRecord|Insurance|Institution|"
    r"Issuer|StationName|DepartmentName|SiteName|DeviceSerial|OrderNumber|Occupation|Comments"
)


class RefusedError(ExchangeError):
    """The object cannot be shown to be clean; it is not given out."""


def refuse_kind(dataset: Any, source: str) -> None:
    """Refuse what is no image: its text and drawings cannot be shown to be clean by rules.

    Raises:
        RefusedError: it is such.
    """
    name = getattr(dataset.SOPClassUID, "name", "")
    if "PixelData" not in dataset:
        kind = name if str(name) != str(dataset.SOPClassUID) else "object"
        raise RefusedError(f"{source}: refused: {kind} has no pixels; only images are de-identified")
    if text(dataset, "Modality") == "SM" or "Microscopy" in name:
        raise RefusedError(f"{source}: refused: slides carry labels, and are not de-identified here")
    if text(dataset, "Modality") == "SEG":
        raise RefusedError(f"{source}: refused: what names a segmentation's segments would go; only images are cleaned")
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        if not text(dataset, keyword):
            raise RefusedError(f"{source}: refused: it has no {keyword}")


def risk(dataset: Any) -> str:
    """Return why pixels may carry text; "" where that is unlikely (PS3.15 E.1: original CT, MR, PET, NM)."""
    if text(dataset, "BurnedInAnnotation") == "YES":
        return "its header says that text is burned in"
    modality = text(dataset, "Modality")
    if modality in _RISKY_MODALITIES:
        return f"{modality} images often carry text"
    kind = text(dataset, "ImageType").split("\\")
    if "SECONDARY" in kind or "Secondary Capture" in getattr(dataset.SOPClassUID, "name", ""):
        return "it is a secondary image, which may carry text"
    if text(dataset, "BurnedInAnnotation") != "NO" and modality not in _NO_TEXT_MODALITIES:
        return "its header does not say that no text is burned in"
    return ""


def identifying_values(dataset: Any) -> list[str]:
    """Collect a header's identifying values, in lower case: names by their parts, numbers and addresses whole."""
    found: set[str] = set()
    for keyword, vr, value in _strings(dataset):
        if vr == "PN":
            found |= {part for part in re.split(r"[\^=\s,]+", value) if len(part) >= 3}
        elif _IDENTIFYING.search(keyword):
            found.add(value)
            found |= {part for part in re.split(r"[\s,;]+", value) if len(part) >= 5 and any(map(str.isdigit, part))}
    return sorted({each.lower() for each in found if len(each.strip()) >= 3})


def drop_identifiers(dataset: Any, identifiers: list[str]) -> None:
    """Remove elements that stayed and hold what identifies, as a name that was typed into a body part."""
    for tag in list(dataset.keys()):
        element = dataset[tag]
        if element.VR == "SQ":
            for item in element.value:
                drop_identifiers(item, identifiers)
        elif element.keyword not in _ESSENTIAL and holds(element, identifiers):
            if element.keyword in _EMPTIED:
                element.value = None
            else:
                del dataset[tag]


def leaks(data: bytes, identifiers: list[str]) -> bool:
    """Return whether a file's texts and numbers, read anew, hold any of these values; pixels are not looked at."""
    dataset = parse(data, "object", pixels=False)

    def inside(part: Any) -> bool:
        return any(
            any(inside(item) for item in element.value) if element.VR == "SQ" else holds(element, identifiers)
            for element in part
        )

    return inside(dataset) or inside(dataset.file_meta) or bool(data[:128].strip(b"\0"))


def _strings(dataset: Any, depth: int = 0) -> Iterator[tuple[str, str, str]]:
    """Every text in a dataset and what is nested in it: keyword, VR, value."""
    for tag in list(dataset.keys()):
        try:
            element = dataset[tag]
            if element.VR == "SQ":
                if depth < 32:
                    for item in element.value:
                        yield from _strings(item, depth + 1)
                continue
            if element.VR in ("PN", "LO", "SH", "LT", "ST", "UT", "UC", "DA", "AE", "IS"):
                values = element.value if type(element.value).__name__ == "MultiValue" else [element.value]
                for each in values:
                    if each is not None and str(each).strip():
                        yield element.keyword, str(element.VR), str(each).strip()
        except Exception:  # unreadable elements are removed later
            continue


def holds(element: Any, identifiers: list[str]) -> bool:
    """Return whether an element's value holds one of the identifiers as a word or number of its own."""
    vr = str(element.VR)
    if element.keyword == "ICCProfile":
        # Without it colours are others; its texts name devices, in ASCII or UTF-16 (ISO 15076-1 10.13, 10.24).
        profile = bytes(element.value or b"").lower()
        return any(each.encode(form, "ignore") in profile for each in identifiers for form in ("utf-8", "utf-16-be"))
    if vr in ("UI", "OB", "OW", "OF", "OD", "OL", "OV", "US", "SS", "FD", "FL", "UL", "SL", "UV", "SV", "AT"):
        return False  # numbers, and UIDs that were made anew
    held = str(element.value).lower()
    # A short number, as a patient's "512", stands in many places by chance.
    numeric = vr in ("DS", "IS", "DA", "TM", "DT")
    wanted = [each for each in identifiers if len(each) >= 6] if numeric else identifiers
    return any(re.search(rf"(?<![^\W_]){re.escape(each)}(?![^\W_])", held) for each in wanted)
