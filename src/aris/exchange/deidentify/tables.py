"""Tables beside an image's pixels when it is de-identified: palettes, look-up tables and colour profiles.

Their bytes are a place for text that no rule on attributes finds. What the image does not use goes; of what it uses,
the entries that no pixel reaches are overwritten, and nothing is left behind the last one.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import numpy.typing as npt

from aris.imaging.dicom.rescale import byte_order, is_signed, rescale_for_display, table_of

_COLOURS = ("Red", "Green", "Blue")
_LUT_KEPT = ("LUTDescriptor", "LUTData", "ModalityLUTType")
# ICC.1:2022 9.2 and 10: what turns colours into others, in types whose sizes are plain.
_PROFILE_TAGS = (b"rXYZ", b"gXYZ", b"bXYZ", b"wtpt", b"chad", b"rTRC", b"gTRC", b"bTRC", b"kTRC")
_PARAMETERS = (1, 3, 4, 5, 7)  # of parametric curves, by function


def _text(text: str, four: bool) -> bytes:
    if not four:
        return b"text\0\0\0\0" + text.encode("ascii") + b"\0"
    data = text.encode("utf-16-be")
    return b"mluc\0\0\0\0" + struct.pack(">II2s2sII", 1, 12, b"en", b"US", len(data), 28) + data


# Little CMS writes these into the sRGB profile that it makes.
_COMMON = (
    _text("sRGB built-in", True), _text("No copyright, use freely", True),
    bytes.fromhex("6368726d0000000000030000" "0000a3d70000547b" "00004ccd0000999a" "0000266600000f5c"),
)  # fmt: skip


def clean_tables(dataset: Any, stored: npt.NDArray[Any]) -> None:
    """Clean a data set's tables in place.

    Args:
        stored: every frame's values, as the data set has them now.
    """
    kind = str(dataset.get("PhotometricInterpretation") or "")
    values = np.unique(stored) if kind == "PALETTE COLOR" or _grey(kind) else np.empty(0, np.int64)
    _clean_palettes(dataset, values if kind == "PALETTE COLOR" else None)
    order, signed = byte_order(dataset), is_signed(dataset)
    for holder in _holders(dataset):
        _drop_unreadable(holder, signed=signed, order=order)
        reached = values if holder is dataset else _transformed(dataset, values)
        _clean_luts(holder, reached if _grey(kind) else None)
    if "ICCProfile" in dataset:
        coloured = int(dataset.get("SamplesPerPixel") or 1) == 3 or kind == "PALETTE COLOR"
        profile = clean_profile(bytes(dataset.ICCProfile or b"")) if coloured else None
        if profile is None:
            del dataset.ICCProfile
        else:
            dataset.ICCProfile = profile


def _grey(kind: str) -> bool:
    return kind in ("MONOCHROME1", "MONOCHROME2")


def _clean_palettes(dataset: Any, used: npt.NDArray[Any] | None) -> None:
    """Palettes keep the entries that pixels point to; None keeps no palette."""
    for colour in _COLOURS:
        descriptor, plain, segmented = (
            f"{colour}PaletteColorLookupTableDescriptor", f"{colour}PaletteColorLookupTableData",
            f"Segmented{colour}PaletteColorLookupTableData",
        )  # fmt: skip
        if used is not None and descriptor in dataset:
            entries, first, bits = (int(each) for each in dataset[descriptor].value)
            entries = entries or 1 << 16
            if segmented in dataset:
                table = _expanded(dataset, segmented, bits)
            else:
                table = _table(dataset[plain].value, entries)
            table = _reached(table[:entries], used.astype(np.int64) - first)
            wide = table.dtype.itemsize > 1
            data = table.astype("<u2" if wide else "u1").tobytes()
            dataset.add_new(plain, "OW", data + b"\0" * (len(data) % 2))
        else:
            for name in (descriptor, plain):
                if name in dataset:
                    del dataset[name]
        if segmented in dataset:
            del dataset[segmented]
    if "PaletteColorLookupTableUID" in dataset:
        del dataset["PaletteColorLookupTableUID"]


def _expanded(dataset: Any, keyword: str, bits: int) -> npt.NDArray[Any]:
    """A segmented palette, written out (PS3.3 C.7.9.2)."""
    from pydicom.pixels.processing import _expand_segmented_lut

    data = bytes(dataset[keyword].value)
    wide = bits > 8
    count = len(data) // (2 if wide else 1)
    form = f"<{count}{'H' if wide else 'B'}"
    values = _expand_segmented_lut(struct.unpack_from(form, data), form)
    return np.array(values, np.uint16 if wide else np.uint8)


def _table(value: Any, entries: int) -> npt.NDArray[Any]:
    """A table's entries, from bytes or numbers."""
    if not isinstance(value, bytes | bytearray):
        numbers = value if isinstance(value, list | tuple) or type(value).__name__ == "MultiValue" else [value]
        return np.array([int(each) & 0xFFFF for each in numbers], np.uint16)
    if len(value) >= 2 * entries:
        return np.frombuffer(value, "<u2", min(len(value) // 2, 1 << 16)).astype(np.uint16)
    return np.frombuffer(value, np.uint8)


def _reached(table: npt.NDArray[Any], indices: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
    """A table whose other entries repeat the last that is reached before them."""
    if not table.size or not indices.size:
        return np.zeros_like(table)
    used = np.zeros(table.size, bool)
    used[np.clip(indices, 0, table.size - 1)] = True
    positions = np.where(used, np.arange(table.size), -1)
    last = np.maximum.accumulate(positions)
    last[last < 0] = int(np.argmax(used))
    return table[last]


def _holders(dataset: Any) -> list[Any]:
    """The data set, and the items of its functional groups."""
    found = [dataset]
    for name in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        for item in dataset.get(name) or ():
            found.append(item)
            for inner in ("PixelValueTransformationSequence", "FrameVOILUTSequence"):
                found.extend(item.get(inner) or ())
    return found


def _transformed(dataset: Any, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Stored values, and what the functional groups' rescales make of them: a frame's VOI LUT may be of any."""
    found = {(1.0, 0.0): values.astype(np.float64)}
    for holder in _holders(dataset):
        rescale = rescale_for_display(holder)
        if holder is not dataset and rescale.table is None:
            found.setdefault((rescale.slope, rescale.intercept), rescale.applied(values))
    return np.unique(np.concatenate(list(found.values())))


def _drop_unreadable(holder: Any, *, signed: bool, order: str) -> None:
    """Tables that no reader can use go: what is in them is not known."""
    for name in ("ModalityLUTSequence", "VOILUTSequence"):
        if name in holder and any(table_of(item, signed=signed, order=order) is None for item in holder[name].value):
            del holder[name]


def _clean_luts(holder: Any, values: npt.NDArray[Any] | None) -> None:
    """The modality and VOI LUTs of a grey image; of any other they go."""
    for name in ("PixelIntensityRelationshipLUTSequence", "PresentationLUTSequence"):
        if name in holder:
            del holder[name]
    inputs = None if values is None else values.astype(np.float64)
    for name in ("ModalityLUTSequence", "VOILUTSequence"):
        if name not in holder:
            if name == "ModalityLUTSequence" and inputs is not None:
                inputs = rescale_for_display(holder).applied(inputs)
            continue
        if inputs is None:
            del holder[name]
            continue
        outputs = [_clean_lut(item, inputs) for item in holder[name].value]
        # What is not for display does not come before the VOI LUT.
        if name == "ModalityLUTSequence" and outputs and rescale_for_display(holder).stated:
            inputs = outputs[0]


def _clean_lut(item: Any, inputs: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Clean a LUT in place.

    Returns:
        what comes out of it.
    """
    for tag in list(item.keys()):
        if item[tag].keyword not in _LUT_KEPT:
            del item[tag]
    entries, first, _ = (int(each) for each in item["LUTDescriptor"].value)
    entries, first = entries or 1 << 16, first - (1 << 16 if first >= 1 << 15 and inputs.min(initial=0) < 0 else 0)
    table = _table(item["LUTData"].value, entries)[:entries]
    indices = np.concatenate([np.floor(inputs), np.ceil(inputs)]).astype(np.int64) - first
    table = _reached(table, indices)
    item.add_new("LUTData", "OW", table.astype("<u2").tobytes())
    at = np.clip(np.rint(inputs).astype(np.int64) - first, 0, max(0, table.size - 1))
    return table[at].astype(np.float64) if table.size else inputs


def clean_profile(data: bytes) -> bytes | None:
    """An ICC profile made anew of what turns colours into others: no texts, names, dates, or bytes between its parts.

    Returns:
        None where it has no such parts, or others besides on which its colours depend (tables of LUT profiles).
    """
    try:
        kept = _tags(data)
        if kept is None or _is_plain(data):
            return None if kept is None else data
    except struct.error:
        return None
    four = data[8] >= 4
    kept[b"desc"] = _described(four)
    kept[b"cprt"] = _text("none", four)
    head = bytearray(128)
    head[8:12] = data[8:10] + b"\0\0"
    head[12:24] = data[12:24]  # class, colour space, connection space
    head[24:36] = struct.pack(">6H", 2000, 1, 1, 0, 0, 0)
    head[36:40] = b"acsp"
    intent = struct.unpack_from(">I", data, 64)[0] & 3
    head[64:80] = struct.pack(">I", intent) + bytes.fromhex("0000f6d6000100000000d32d")  # D50
    at = 132 + 12 * len(kept)
    table, body = struct.pack(">I", len(kept)), b""
    for name, value in kept.items():
        value += b"\0" * (-len(value) % 4)
        table += name + struct.pack(">II", at + len(body), len(value))
        body += value
    head[0:4] = struct.pack(">I", at + len(body))
    return bytes(head) + table + body


def _is_plain(data: bytes) -> bool:
    """Return whether a profile holds nothing else than such parts and texts that a common library writes into each."""
    (size, _, count) = struct.unpack_from(">I124sI", data)
    free = data[4:8] + data[80:84]
    if size != len(data) or free.replace(b"lcms", b"").strip(b"\0") or data[48:64].strip(b"\0"):
        return False
    end, positions = 132 + 12 * count, []
    if data[84:128].strip(b"\0") or count > 20:
        return False
    for number in range(count):
        name, at, length = struct.unpack_from(">4sII", data, 132 + 12 * number)
        value = data[at : at + length]
        if value not in _COMMON and (name not in _PROFILE_TAGS or _part(value) != value):
            return False
        positions.append((at, at + length))
    for at, after in sorted(set(positions)):
        if at - end > 3 or at < end or data[end:at].strip(b"\0"):
            return False
        end = after
    return end == len(data)


def _tags(data: bytes) -> dict[bytes, bytes] | None:
    if data[36:40] != b"acsp" or data[16:20] not in (b"RGB ", b"GRAY") or data[20:24] != b"XYZ ":
        return None
    kept: dict[bytes, bytes] = {}
    (count,) = struct.unpack_from(">I", data, 128)
    for number in range(min(count, 200)):
        name, at, size = struct.unpack_from(">4sII", data, 132 + 12 * number)
        if name.startswith((b"A2B", b"B2A", b"D2B", b"B2D")):
            return None
        value = _part(data[at : at + size]) if name in _PROFILE_TAGS else None
        if value is not None:
            kept[name] = value
    curves = [name for name in kept if name.endswith(b"TRC")]
    whole = len(curves) == 3 and all(each in kept for each in (b"rXYZ", b"gXYZ", b"bXYZ"))
    return kept if b"wtpt" in kept and (whole or b"kTRC" in kept) else None


def _part(value: bytes) -> bytes | None:
    """A tag's value, exactly as long as its type says; its reserved bytes are none."""
    kind = value[:4]
    if kind == b"XYZ ":
        size = 20
    elif kind == b"sf32":
        size = 44
    elif kind == b"curv":
        size = 12 + 2 * struct.unpack_from(">I", value, 8)[0]
    elif kind == b"para" and struct.unpack_from(">H", value, 8)[0] < len(_PARAMETERS):
        size = 12 + 4 * _PARAMETERS[struct.unpack_from(">H", value, 8)[0]]
    else:
        return None
    if len(value) < size:
        return None
    cut = bytearray(value[:size])
    cut[4:8] = bytes(4)
    if kind == b"para":
        cut[10:12] = bytes(2)
    return bytes(cut)


def _described(four: bool) -> bytes:
    if four:
        return _text("colours", four)
    text = b"colours\0"
    return b"desc\0\0\0\0" + struct.pack(">I", len(text)) + text + bytes(4 + 4 + 2 + 1 + 67)
