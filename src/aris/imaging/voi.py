"""Stored values to display values, as DICOM PS3.3 C.11 and PS3.14 order it: modality LUT, then VOI, then inversion."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]


def modality(stored: npt.NDArray[np.generic], dataset: Any) -> Values:
    """The modality LUT (C.11.1): a table, or slope and intercept, or nothing. In float64, so nothing wraps."""
    sequence = dataset.get("ModalityLUTSequence")
    if sequence:
        return _table(stored.astype(np.int64), sequence[0], signed=_is_signed(dataset), order=_byte_order(dataset))
    slope = _number(dataset.get("RescaleSlope"), 1.0)
    intercept = _number(dataset.get("RescaleIntercept"), 0.0)
    return stored.astype(np.float64) * slope + intercept


def display(
    values: Values, dataset: Any, valid: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.uint8], tuple[str, ...]]:
    """The VOI transformation (C.11.2) to 0..255: VOI LUT Sequence, else the first window, else the full range.

    Args:
        values: after the modality LUT; the pixels, or each value once.
        valid: in their shape, False for padding, which does not count towards the full range. Not all False.

    Returns:
        uint8 in the shape of `values`, not yet inverted, and warnings.
    """
    sequence = dataset.get("VOILUTSequence")
    if sequence:
        item = sequence[0]
        # What enters is signed where the stored values are, or where rescaling may take them below zero (C.11.2.1.1).
        signed = _is_signed(dataset) or _number(dataset.get("RescaleIntercept"), 0.0) < 0
        table = _table(np.rint(values).astype(np.int64), item, signed=signed, order=_byte_order(dataset))
        # The table's range is its bit depth (C.11.2.1.1), not what happens to occur in this image.
        top = 2.0 ** _bits(item) - 1
        several = f"{len(sequence)} VOI tables are stored; the first was used"
        return _to_bytes(table / top), (several,) if len(sequence) > 1 else ()
    centres, widths = _numbers(dataset.get("WindowCenter")), _numbers(dataset.get("WindowWidth"))
    function = str(dataset.get("VOILUTFunction") or "LINEAR").strip().upper()
    if centres and widths:
        centre, width = centres[0], widths[0]
        # LINEAR needs a width of 1 or more, the others more than 0 (C.11.2.1.2); scanners do write zeros.
        if width >= (1 if function == "LINEAR" else 1e-9):
            notes: tuple[str, ...] = ()
            if min(len(centres), len(widths)) > 1:
                notes = (f"{min(len(centres), len(widths))} windows are stored; the first was used",)
            return _to_bytes(windowed(values, centre, width, function)), notes
    inside = values[valid]
    low, high = float(inside.min()), float(inside.max())
    if high == low:
        return np.zeros(values.shape, dtype=np.uint8), ("every pixel has the same value",)
    return _to_bytes((values - low) / (high - low)), ("no usable window is stored: the full range of values was used",)


def windowed(values: Values, centre: float, width: float, function: str) -> Values:
    """A window's output in 0..1: LINEAR (C.11.2.1.2.1), LINEAR_EXACT (C.11.2.1.3.2) or SIGMOID (C.11.2.1.3.1)."""
    if function == "SIGMOID":
        return 1 / (1 + np.exp(np.clip(-4 * (values - centre) / width, -700, 700)))
    if function == "LINEAR_EXACT":
        return np.clip((values - centre) / width + 0.5, 0, 1)
    if width <= 1:  # the formula divides by width - 1: a threshold
        return (values > centre - 0.5).astype(np.float64)
    return np.clip((values - (centre - 0.5)) / (width - 1) + 0.5, 0, 1)


def _to_bytes(unit: Values) -> npt.NDArray[np.uint8]:
    return np.rint(np.clip(unit, 0, 1) * 255).astype(np.uint8)


def _bits(item: Any) -> int:
    return min(16, max(1, int(item.LUTDescriptor[2])))


def _is_signed(dataset: Any) -> bool:
    return int(dataset.get("PixelRepresentation") or 0) == 1


def _byte_order(dataset: Any) -> str:
    """Of tables kept as bytes (OW): the file's."""
    syntax = getattr(getattr(dataset, "file_meta", None), "TransferSyntaxUID", None)
    return "<" if syntax is None or syntax.is_little_endian else ">"


def _table(indices: npt.NDArray[np.int64], item: Any, *, signed: bool, order: str) -> Values:
    """Look values up in a LUT item: entries, first value mapped, bits; values beyond its ends take the end's."""
    entries, first, _ = (int(n) for n in item.LUTDescriptor)
    entries = entries or 65_536
    if signed and first > 32_767:  # read as unsigned where the data are signed
        first -= 65_536
    data = item.LUTData
    if isinstance(data, bytes):
        # Eight-bit tables may be packed one to a byte (PS3.5 annex A).
        dtype = np.uint8 if _bits(item) <= 8 and len(data) < 2 * entries else np.dtype(f"{order}u2")
        table = np.frombuffer(data, dtype=dtype)
    else:
        table = np.asarray(data)
    table = table.astype(np.int64)[:entries] & 0xFFFF
    if not len(table):
        raise ValueError("empty LUT")
    return table[np.clip(indices - first, 0, len(table) - 1)].astype(np.float64)


def _number(value: Any, default: float) -> float:
    numbers = _numbers(value)
    return numbers[0] if numbers else default


def _numbers(value: Any) -> list[float]:
    if value is None or value == "":
        return []
    several = value if isinstance(value, list | tuple) or type(value).__name__ == "MultiValue" else [value]
    return [float(n) for n in several if n is not None and n != "" and np.isfinite(float(n))]
