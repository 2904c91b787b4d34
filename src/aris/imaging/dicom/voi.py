"""Values to display values, as DICOM PS3.3 C.11 orders it: modality LUT (`rescale`), then VOI, then inversion.

What cannot be read of a window or a table is passed over, and said: an image is not refused for it.
"""

from __future__ import annotations

from itertools import zip_longest
from typing import Any

import numpy as np
import numpy.typing as npt

from aris.imaging.dicom.rescale import Rescale, Table, Values, byte_order, first_item, is_signed, table_of
from aris.imaging.dicom.values import numbers, text

Span = tuple[float, float]
FULL_RANGE = "no usable window is stored: the full range of values was used"
_FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")


def display(
    values: Values, dataset: Any, valid: npt.NDArray[np.bool_], rescale: Rescale, span: Span | None = None
) -> tuple[npt.NDArray[np.uint8], tuple[str, ...]]:
    """The VOI transformation (C.11.2) to 0..255: VOI LUT Sequence, else the first usable window, else the full range.

    Args:
        values: after the modality LUT; the pixels, or each value once.
        dataset: with the VOI LUT Module.
        valid: in their shape, False for padding, which does not count towards the full range. Not all False.
        rescale: what made the values. Where it is not known, tables and windows, which are of its output, say nothing.
        span: least and greatest value for the full range, where it is that of more than these values.

    Returns:
        uint8 in the shape of `values`, not yet inverted, and warnings.
    """
    notes: tuple[str, ...] = (rescale.note,) if rescale.note else ()
    if rescale.known:
        shown, more = _by_table(values, dataset, rescale)
        notes += more
        if shown is None:
            shown, more = _by_window(values, dataset)
            notes += more
        if shown is not None:
            return shown, notes
    elif _states_any(dataset):
        notes += ("its windows are of those units and were ignored",)
    low, high = span or span_of(values, valid)
    if high == low:
        return np.zeros(values.shape, dtype=np.uint8), (*notes, "every pixel has the same value")
    return _to_bytes((values - low) / (high - low)), (*notes, FULL_RANGE)


def span_of(values: Values, valid: npt.NDArray[np.bool_]) -> Span:
    """The least and the greatest value that is not padding."""
    inside = values[valid]
    return float(inside.min()), float(inside.max())


def needs_span(dataset: Any, rescale: Rescale) -> bool:
    """Tell whether `display` falls back to the full range: frames of one object then need one range for all."""
    if not rescale.known:
        return True
    item = first_item(dataset, "VOILUTSequence")
    if item is not None and _table(item, dataset, rescale) is not None:
        return False
    return not any(_usable(*pair, _function(dataset)[0]) for pair in window_pairs(dataset))


def window_pairs(dataset: Any) -> list[tuple[float | None, float | None]]:
    """Window Center and Window Width of each stored window; None for what is no number, or has no partner."""
    centres, widths = (numbers(dataset, f"Window{name}", thousands=True) for name in ("Center", "Width"))
    return list(zip_longest(centres, widths))


def usable_windows(dataset: Any) -> tuple[tuple[float, float, str, str], ...]:
    """Every stored window that can be used: centre, width, function, and its explanation ("" for none)."""
    function = _function(dataset)[0]
    words = explanations(dataset)
    return tuple(
        (c, w, function, words[at] if at < len(words) else "")
        for at, (c, w) in enumerate(window_pairs(dataset))
        if c is not None and w is not None and _usable(c, w, function)
    )


def explanations(dataset: Any) -> list[str]:
    """Window Center & Width Explanation, one text a window."""
    return [" ".join(each.split())[:64] for each in text(dataset, "WindowCenterWidthExplanation").split("\\")]


def table(dataset: Any, rescale: Rescale) -> Table | None:
    """The first table of the VOI LUT Sequence; None where there is none that can be read."""
    item = first_item(dataset, "VOILUTSequence")
    return None if item is None or not rescale.known else _table(item, dataset, rescale)


def windows(dataset: Any) -> tuple[tuple[float, float], ...]:
    """Every stored pair of Window Center and Window Width that can be read."""
    return tuple((c, w) for c, w in window_pairs(dataset) if c is not None and w is not None)


def _states_any(dataset: Any) -> bool:
    return bool(window_pairs(dataset)) or first_item(dataset, "VOILUTSequence") is not None


def _by_table(
    values: Values, dataset: Any, rescale: Rescale
) -> tuple[npt.NDArray[np.uint8] | None, tuple[str, ...]]:
    item = first_item(dataset, "VOILUTSequence")
    if item is None:
        return None, ()
    table = _table(item, dataset, rescale)
    if table is None:
        return None, ("the VOI LUT cannot be read and was ignored",)
    # The table's range is its bit depth (C.11.2.1.1), not what happens to occur in this image.
    shown = _to_bytes(table.looked_up(np.rint(values).astype(np.int64)) / (2.0**table.bits - 1))
    count = len(dataset.VOILUTSequence)
    return shown, (f"{count} VOI tables are stored; the first was used",) if count > 1 else ()


def _table(item: Any, dataset: Any, rescale: Rescale) -> Any:
    # What enters is signed where the stored values are, or where rescaling may take them below zero (C.11.2.1.1).
    signed = is_signed(dataset) or rescale.intercept < 0
    return table_of(item, signed=signed, order=byte_order(dataset))


def _by_window(values: Values, dataset: Any) -> tuple[npt.NDArray[np.uint8] | None, tuple[str, ...]]:
    pairs = window_pairs(dataset)
    if not pairs:
        return None, ()
    function, note = _function(dataset)
    notes: tuple[str, ...] = (note,) if note else ()
    if any(None in pair for pair in pairs):
        notes += ("a window that cannot be read was ignored",)
    usable = [(c, w) for c, w in pairs if c is not None and w is not None and _usable(c, w, function)]
    if not usable:
        return None, notes
    if len(pairs) > 1:
        first = "the first was used" if usable[0] == pairs[0] else "the first that can be used was"
        notes += (f"{len(pairs)} windows are stored; {first}",)
    return _to_bytes(windowed(values, *usable[0], function)), notes


def _function(dataset: Any) -> tuple[str, str]:
    """VOI LUT Function, LINEAR where it is absent; and a warning where it is one that the standard does not have."""
    try:
        stated = str(dataset.get("VOILUTFunction") or "LINEAR").strip().upper()
    except Exception:  # pydicom converts on access and raises many kinds
        stated = "?"
    return (stated, "") if stated in _FUNCTIONS else ("LINEAR", "the VOI LUT Function is unknown: taken as linear")


def _usable(centre: float | None, width: float | None, function: str) -> bool:
    # LINEAR needs a width of 1 or more, the others more than 0 (C.11.2.1.2); scanners do write zeros.
    return centre is not None and width is not None and width >= (1 if function == "LINEAR" else 1e-9)


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
