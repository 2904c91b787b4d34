"""Values of a header as somebody wrote them. Numbers: read, or known to be unreadable; never silently taken for absent.

A decimal string (PS3.5 6.2, DS) has a point. A comma is a decimal point to most programs that read it, and is one
here, save where it may as well part thousands. Text beside a number, several numbers for one, an underscore, NaN and
infinity make a value unreadable: what depends on it is then not known, and that is said.
"""

from __future__ import annotations

import math
import re
from typing import Any

_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?", re.ASCII)
_COMMA = re.compile(r"([+-]?[0-9]*),([0-9]+(?:[eE][+-]?[0-9]+)?)", re.ASCII)
_THOUSANDS = re.compile(r"[+-]?[1-9][0-9]{0,2},[0-9]{3}", re.ASCII)
_TEXTS = ("DS", "IS", "LO", "SH", "CS", "AS", "ST", "LT", "UT", "UC", "UN")
_PADDING = " \0\t\r\n"


def parsed(text: str, *, thousands: bool = False) -> float | None:
    """A number as it is written; None where the text is none, or is not finite.

    Args:
        thousands: whether the value may well be over a thousand, so that "1,024" may mean either and is unreadable.
    """
    text = text.strip(_PADDING)
    if (comma := _COMMA.fullmatch(text)) and not (thousands and _THOUSANDS.fullmatch(text)):
        text = f"{comma[1]}.{comma[2]}"
    if not _NUMBER.fullmatch(text):
        return None
    value = float(text)
    return value if math.isfinite(value) else None


def present(dataset: Any, keyword: str) -> bool:
    """Tell whether the element is there, be it empty."""
    return dataset is not None and keyword in dataset


def numbers(dataset: Any, keyword: str, *, thousands: bool = False) -> tuple[float | None, ...]:
    """An element's values, None for each that is no finite number; () where it is absent or has no value at all.

    pydicom converts an element when it is first used, and raises on one that is no number; so its own text is read.

    Args:
        dataset: of pydicom.
        thousands: as for `parsed`.
    """
    from pydicom.datadict import tag_for_keyword

    tag = tag_for_keyword(keyword)
    if dataset is None or tag is None or tag not in dataset:
        return ()
    text = _raw_text(dataset, tag)
    if text is not None:
        parts = text.strip(_PADDING).split("\\")
        return () if parts == [""] else tuple(parsed(part, thousands=thousands) for part in parts)
    try:
        value = dataset[tag].value
    except Exception:  # pydicom converts on access and raises many kinds
        return (None,)
    if value is None or value in ("", b""):
        return ()
    several = value if isinstance(value, list | tuple) or type(value).__name__ == "MultiValue" else [value]
    return tuple(_number(each, thousands) for each in several)


def one_number(dataset: Any, keyword: str, *, thousands: bool = False) -> float | None:
    """The one value of an element; None where it is absent, empty, unreadable, or where there are several."""
    found = numbers(dataset, keyword, thousands=thousands)
    return found[0] if len(found) == 1 else None


def unreadable(dataset: Any, keyword: str, *, several: bool = False) -> bool:
    """Tell whether an element says something, but no number; with `several` it may have more than one value."""
    found = numbers(dataset, keyword)
    return any(value is None for value in found) or (not several and len(found) > 1)


def text(dataset: Any, keyword: str, longest: int = 10_000) -> str:
    """An element's value as text; several values are separated by backslashes; "" where it cannot be read."""
    try:
        value = dataset.get(keyword)
        if value is None:
            return ""
        if type(value).__name__ == "MultiValue":
            value = "\\".join(str(each) for each in value)
        # A lone surrogate stands for a byte that its character set does not have; no database takes it.
        cleaned = str(value).encode("utf-8", "replace").decode().replace("\0", "").strip()
    except Exception:  # pydicom converts on access and raises many kinds
        return ""
    return cleaned[:longest]


def plain_day(date: str) -> str:
    """A date as eight digits, also from the form with points that ACR-NEMA had (PS3.5 6.2); any other text as it is."""
    old = re.fullmatch(r"(\d{4})\.(\d\d)\.(\d\d)", date.strip(), re.ASCII)
    return "".join(old.groups()) if old else date


def _raw_text(dataset: Any, tag: int) -> str | None:
    """The text of an element that holds text and has not been converted yet."""
    from pydicom.datadict import dictionary_has_tag, dictionary_VR
    from pydicom.dataelem import RawDataElement

    element = dataset.get_item(tag)
    if not isinstance(element, RawDataElement) or not isinstance(element.value, bytes):
        return None
    vr = element.VR
    if vr in (None, "UN"):
        vr = dictionary_VR(tag) if dictionary_has_tag(tag) else "UN"
    return element.value.decode("ascii", "replace") if vr in _TEXTS else None


def _number(value: Any, thousands: bool) -> float | None:
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, str | bytes):
        text = value.decode("ascii", "replace") if isinstance(value, bytes) else value
        return parsed(text, thousands=thousands)
    written = getattr(value, "original_string", None)  # of pydicom's decimal and integer strings
    if isinstance(written, str):
        return parsed(written, thousands=thousands)
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
