"""Datasets as DICOM JSON (PS3.18 annex F), large binary values left out and named by where they can be fetched."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from aris.exchange.dicomweb.problems import not_found
from aris.imaging.parsing import is_deferred
from aris.store.objects import byte_order

# Binary values up to this size are within the JSON.
INLINE_BYTES = 1024
_BINARY = ("OB", "OW", "OF", "OD", "OL", "OV", "UN")
_WORDS = {"OW": 2, "OF": 4, "OL": 4, "OD": 8, "OV": 8}


def to_json(dataset: Any, bulkdata: str, syntax: str, place: Any = None) -> dict[str, Any]:
    """A dataset as DICOM JSON. An element that cannot be read is left out.

    Args:
        bulkdata: the URL below which its binary values are fetched; "" leaves them out.
        syntax: the transfer syntax that it is stored in.
        place: of pixels that were left in the file (`opened.Place`).
    """
    paths = {id(element): path for path, element in binary(dataset)}

    def elsewhere(element: Any) -> str:
        return f"{bulkdata}/{paths[id(element)]}"

    made: dict[str, Any] = {}
    for tag in list(dataset.keys()):
        try:
            if left := left_in_file(dataset, tag):
                if bulkdata:
                    made[f"{int(tag):08X}"] = {"vr": left, "BulkDataURI": f"{bulkdata}/{int(tag):08X}"}
                continue
            element = dataset[tag]
            if not bulkdata and id(element) in paths and len(element.value) > INLINE_BYTES:
                continue
            # pydicom's threshold is of base64's length.
            made[f"{int(tag):08X}"] = _finite(element.to_json_dict(elsewhere, INLINE_BYTES * 4 // 3))
        except Exception:  # pydicom raises many kinds on damaged elements
            continue
    if place is not None and bulkdata:
        made[tag_of(place.keyword)] = {"vr": place.vr, "BulkDataURI": f"{bulkdata}/{tag_of(place.keyword)}"}
    # JSON is UTF-8, whatever the file was.
    made["00080005"] = {"vr": "CS", "Value": ["ISO_IR 192"]}
    made["00083002"] = {"vr": "UI", "Value": [syntax]}  # Available Transfer Syntax UID
    return dict(sorted(made.items()))


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
    """Bytes of one number in a binary element: of pixels, as many as their cells have, but two where they are fewer
    in words of 16 bits (PS3.5 8.2)."""
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
    elif values and element["vr"] == "SQ":
        element["Value"] = [{tag: _finite(inner) for tag, inner in item.items()} for item in values]
    return element
