"""Modality transformations (PS3.3 C.11.1): stored values to what they stand for, or the word that it is not known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from aris.imaging.dicom.values import numbers, one_number, present

Values = npt.NDArray[np.float64]
# X-ray angiography and radiofluoroscopy, plain, biplane (retired) and enhanced.
_XA_XRF = frozenset(f"1.2.840.10008.5.1.4.1.1.12.{part}" for part in ("1", "1.1", "2", "2.1", "3"))


@dataclass(frozen=True)
class Rescale:
    """Stored values to values: a table, or slope and intercept, or nothing.

    Attributes:
        slope, intercept: 1 and 0 where the file says none, or none that can be read.
        table: a Modality LUT Sequence's; None without.
        stated: whether the file says any that can be read.
        known: False where the file says one that cannot be read: the values are then in no known unit.
        note: a warning; "" for none.
    """

    slope: float = 1.0
    intercept: float = 0.0
    table: Table | None = None
    stated: bool = False
    known: bool = True
    note: str = ""

    def applied(self, stored: npt.NDArray[np.generic]) -> Values:
        """Values in float64, so that nothing wraps."""
        if self.table is not None:
            return self.table.looked_up(stored.astype(np.int64))
        return stored.astype(np.float64) * self.slope + self.intercept


@dataclass(frozen=True)
class Table:
    """A look-up table (PS3.3 C.11.1.1): the first value mapped, bits of its entries, and these."""

    first: int
    bits: int
    entries: npt.NDArray[np.int64]

    def looked_up(self, indices: npt.NDArray[np.int64]) -> Values:
        """Entries of values (of any shape); values beyond its ends take the end's."""
        return self.entries[np.clip(indices - self.first, 0, len(self.entries) - 1)].astype(np.float64)


def rescale_of(dataset: Any) -> Rescale:
    """The modality transformation that a data set states.

    What is there but cannot be read (empty, no number, several numbers, a slope of 0) is not taken for absent: the
    stored values are used and are in no known unit. Slope and intercept are of one piece: of one without the other no
    use is made, as other readers do.
    """
    item = first_item(dataset, "ModalityLUTSequence")
    if item is not None:
        table = table_of(item, signed=is_signed(dataset), order=byte_order(dataset))
        if table is None:
            return _unknown("the Modality LUT cannot be read")
        return Rescale(table=table, stated=True)
    slope, intercept = (present(dataset, name) for name in ("RescaleSlope", "RescaleIntercept"))
    if not slope and not intercept:
        return Rescale()
    values = one_number(dataset, "RescaleSlope"), one_number(dataset, "RescaleIntercept", thousands=True)
    if slope and not values[0]:
        return _unknown("Rescale Slope is 0" if values[0] == 0 else "Rescale Slope cannot be read as a number")
    if intercept and values[1] is None:
        return _unknown("Rescale Intercept cannot be read as a number")
    if values[0] is None or values[1] is None:
        there, missing = ("Slope", "Intercept") if slope else ("Intercept", "Slope")
        return Rescale(note=f"Rescale {missing} is missing beside Rescale {there}: stored values are used")
    return Rescale(values[0], values[1], stated=True)


def rescale_for_display(dataset: Any) -> Rescale:
    """As `rescale_of`, or nothing for X-ray angiography and radiofluoroscopy.

    A Modality LUT of theirs leads back to X-ray beam intensity and is not for display (PS3.3 C.8.7.1.1.2); windows are
    of the stored values.
    """
    return Rescale() if _is_xa(dataset) else rescale_of(dataset)


def _is_xa(dataset: Any) -> bool:
    kind = str(dataset.get("SOPClassUID") or "")
    # Radiographs of other classes are made on such machines too; a file that names no class goes by its modality.
    return kind in _XA_XRF or (not kind and str(dataset.get("Modality") or "").strip().upper() in ("XA", "RF"))


def _unknown(why: str) -> Rescale:
    return Rescale(known=False, note=f"{why}: stored values are used, in no known unit")


def first_item(dataset: Any, keyword: str) -> Any | None:
    """The first item of a sequence; None where it is absent or empty."""
    sequence = dataset.get(keyword)
    return sequence[0] if sequence else None


def table_of(item: Any, *, signed: bool, order: str) -> Table | None:
    """A LUT item's table.

    None where it cannot be read: a descriptor of other than three numbers, or fewer entries than it says.

    Args:
        item: with LUT Descriptor and LUT Data.
        signed: whether what is looked up is signed.
        order: "<" or ">", of tables that are kept as bytes.
    """
    descriptor = numbers(item, "LUTDescriptor")
    if len(descriptor) != 3 or any(each is None or not float(each).is_integer() for each in descriptor):
        return None
    count, first, bits = (int(each) for each in descriptor if each is not None)
    count = count & 0xFFFF or 65_536
    if not 1 <= bits <= 16:
        return None
    if signed and first > 32_767:  # read as unsigned where the data are signed
        first -= 65_536
    try:
        data = item.LUTData
        if isinstance(data, bytes):
            # Eight-bit tables may be packed one to a byte (PS3.5 annex A).
            dtype = np.uint8 if bits <= 8 and len(data) < 2 * count else np.dtype(f"{order}u2")
            entries = np.frombuffer(data[: len(data) // np.dtype(dtype).itemsize * np.dtype(dtype).itemsize], dtype)
        else:
            entries = np.atleast_1d(np.asarray(data))
        entries = entries.astype(np.int64)[:count] & 0xFFFF
    except Exception:  # pydicom converts on access and raises many kinds
        return None
    return None if len(entries) < count else Table(first, bits, entries)


def is_signed(dataset: Any) -> bool:
    """Tell whether Pixel Representation says that stored values are signed."""
    return one_number(dataset, "PixelRepresentation") == 1


def byte_order(dataset: Any) -> str:
    """Of tables kept as bytes (OW): the file's."""
    syntax = getattr(getattr(dataset, "file_meta", None), "TransferSyntaxUID", None)
    return "<" if syntax is None or syntax.is_little_endian else ">"
