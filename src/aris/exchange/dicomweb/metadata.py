"""Datasets as DICOM JSON (PS3.18 annex F), large binary values left out and named by where they can be fetched."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from aris.exchange.dicomweb.problems import not_found
from aris.imaging.dicom.parsing import is_deferred
from aris.imaging.dicom.values import numbers
from aris.store.objects import byte_order

# Binary values up to this size are within the JSON.
INLINE_BYTES = 1024
_BINARY = ("OB", "OW", "OF", "OD", "OL", "OV", "UN")
_WORDS = {"OW": 2, "OF": 4, "OL": 4, "OD": 8, "OV": 8}


def to_json(dataset: Any, bulkdata: str, syntax: str, position: Any = None) -> dict[str, Any]:
    """A dataset as DICOM JSON. An element that cannot be read is there without its value (PS3.18 F.2.5).

    A number with a comma for its point is that number; of several values those that are no number are null. Left out,
    an element would be absent to a viewer, which then takes a default: a slope of 1, say.

    Args:
        bulkdata: the URL below which its binary values are fetched; "" leaves them out.
        syntax: the transfer syntax that it is stored in.
        position: of pixels that were left in the file (`opened.Position`).
    """
    made = _object(dataset, {id(element): path for path, element in binary(dataset)}, bulkdata)
    if position is not None and bulkdata:
        made[tag_of(position.keyword)] = {"vr": position.vr, "BulkDataURI": f"{bulkdata}/{tag_of(position.keyword)}"}
    # JSON is UTF-8, whatever the file was.
    made["00080005"] = {"vr": "CS", "Value": ["ISO_IR 192"]}
    made["00083002"] = {"vr": "UI", "Value": [syntax]}  # Available Transfer Syntax UID
    return dict(sorted(made.items()))


def _object(dataset: Any, paths: dict[int, str], bulkdata: str) -> dict[str, Any]:
    """A dataset's elements, or an item's.

    Args:
        paths: of each binary element by its identity, as `binary` gives them.
    """
    made: dict[str, Any] = {}
    for tag in list(dataset.keys()):
        if (element := _element(dataset, tag, paths, bulkdata)) is not None:
            made[f"{int(tag):08X}"] = element
    return made


def _element(dataset: Any, tag: Any, paths: dict[int, str], bulkdata: str) -> dict[str, Any] | None:
    """Convert an element; None for a binary value that is left out."""
    try:
        if left := left_in_file(dataset, tag):
            return {"vr": left, "BulkDataURI": f"{bulkdata}/{int(tag):08X}"} if bulkdata else None
        element = dataset[tag]
        if element.VR == "SQ":
            items = [_object(item, paths, bulkdata) for item in element.value or ()]
            return {"vr": "SQ", "Value": items} if items else {"vr": "SQ"}
        if not bulkdata and id(element) in paths and len(element.value) > INLINE_BYTES:
            return None
        # pydicom's threshold is of base64's length.
        return _finite(element.to_json_dict(lambda each: f"{bulkdata}/{paths[id(each)]}", INLINE_BYTES * 4 // 3))
    except Exception:  # pydicom raises many kinds on damaged elements
        return _unread(dataset, tag)


def _unread(dataset: Any, tag: Any) -> dict[str, Any]:
    """An element that pydicom cannot convert: its VR, and of its numbers those that can be told."""
    from pydicom.datadict import dictionary_has_tag, dictionary_VR, keyword_for_tag

    known = dictionary_VR(tag) if dictionary_has_tag(tag) else "UN"
    vr = str(getattr(dataset.get_item(tag), "VR", None) or known)
    vr = known if vr == "UN" else vr
    made: dict[str, Any] = {"vr": vr if len(vr) == 2 else "UN"}
    if vr in ("DS", "IS"):
        values = numbers(dataset, keyword_for_tag(tag), thousands=True)
        if vr == "IS":
            values = tuple(int(each) if each is not None and each.is_integer() else None for each in values)
        if any(each is not None for each in values):
            made["Value"] = list(values)
    return made


def binary(dataset: Any, path: str = "", big: bool | None = None) -> Iterator[tuple[str, Any]]:
    """Every binary element, with its path: tags and item numbers from 1, as "00400555/1/00420011".

    The values of files in big endian are turned on the way: on the web they are little endian (PS3.18 8.7.3.3.1).
    """
    if big is None:
        big = byte_order(dataset) == ">"
    for tag in list(dataset.keys()):
        here = f"{path}{int(tag):08X}"
        try:
            if left_in_file(dataset, tag):
                continue
            element = dataset[tag]
            if element.VR == "SQ":
                for number, item in enumerate(element.value, 1):
                    yield from binary(item, f"{here}/{number}/", big)
            elif isinstance(element.value, bytes):
                if big:
                    element.value = turned(element.value, width(dataset, element))
                yield here, element
        except Exception:  # pydicom raises many kinds on damaged elements
            continue


def left_in_file(dataset: Any, tag: Any) -> str:
    """The VR of a large binary value that was left in its file; "" of any other element."""
    from pydicom.datadict import dictionary_has_tag, dictionary_VR

    raw = dataset.get_item(tag, keep_deferred=True)
    if not is_deferred(raw):
        return ""
    vr = str(raw.VR or "UN")
    if vr == "UN" and dictionary_has_tag(tag):
        vr = dictionary_VR(tag).split(" or ")[-1]
    return vr if vr in _BINARY else ""


def width(dataset: Any, element: Any) -> int:
    """Bytes of one number in a binary element.

    Of pixels, as many as their cells have, but two where they are fewer in words of 16 bits (PS3.5 8.2).
    """
    if element.keyword == "PixelData" and int(dataset.BitsAllocated) > 16:
        return int(dataset.BitsAllocated) // 8
    return _WORDS.get(element.VR, 1)


def turned(value: bytes, size: int) -> bytes:
    """A binary value in the other byte order."""
    if size == 1:
        return value
    whole = len(value) // size * size
    return np.frombuffer(value[:whole], f">u{size}").astype(f"<u{size}").tobytes() + value[whole:]


def value_at(dataset: Any, path: str) -> bytes:
    """The binary value at a path.

    Raises:
        WebError: 404, there is none.
    """
    for here, element in binary(dataset):
        if here == path.upper():
            return bytes(element.value)
    raise not_found()


def described(keyword: str, value: Any) -> tuple[str, dict[str, Any]]:
    """An attribute of the store's index as DICOM JSON: its tag, and VR and value."""
    from pydicom.datadict import dictionary_VR, tag_for_keyword

    tag = tag_for_keyword(keyword)
    assert tag is not None
    vr = dictionary_VR(tag)
    made: dict[str, Any] = {"vr": vr}
    values = value if isinstance(value, list) else [] if value in ("", None) else [value]
    if vr == "PN":
        names = zip(("Alphabetic", "Ideographic", "Phonetic"), str(value).split("="), strict=False)
        values = [parts] if (parts := {name: text for name, text in names if text}) else []
    elif vr in ("IS", "US"):
        # What is no number stays the text that was sent.
        values = [int(each) if str(each).strip().lstrip("+-").isdigit() else each for each in values]
    if values:
        made["Value"] = values
    return f"{tag:08X}", made


def tag_of(keyword: str) -> str:
    """An attribute's tag, as eight hexadecimal digits."""
    from pydicom.datadict import tag_for_keyword

    return f"{tag_for_keyword(keyword) or 0:08X}"


def _finite(element: dict[str, Any]) -> dict[str, Any]:
    """JSON has no infinite numbers: they are the strings of PS3.18 F.2.3."""
    values = element.get("Value")
    if values and any(isinstance(each, float) and not math.isfinite(each) for each in values):
        names = {math.inf: "inf", -math.inf: "-inf"}
        element["Value"] = [
            each if not isinstance(each, float) or math.isfinite(each) else names.get(each, "NaN") for each in values
        ]
    return element
