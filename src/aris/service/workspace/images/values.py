"""Values of a frame as the viewer gets them: in which type, after which transformations, and the bytes.

The type follows from the header alone, so that a series can be listed without decoding it. Grey values are those after
the modality transformation; of an image that brings a VOI LUT and has no unit, those after that table too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from aris.errors import ImageError
from aris.imaging.dicom import voi
from aris.imaging.dicom.rescale import Rescale, Table, is_signed, rescale_for_display, rescale_of
from aris.imaging.dicom.values import one_number
from aris.imaging.radiograph import code, decoded, display_pixels, sop_class, valid_pixels
from aris.imaging.raster import check_size
from aris.imaging.volumes.slices import AIR_HU, unit_of
from aris.service.workspace.schemas.images import Dtype

_GREYS = ("MONOCHROME1", "MONOCHROME2")
_COLOURS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT", "PALETTE COLOR")
_INT16 = (-32768, 32767)
_NO_RESCALE = Rescale()
_PROCESSING = "a raw detector image (FOR PROCESSING), not for reading"
_TABLE = "shown by the table (VOI LUT) that the image brings; its values are that table's"
_OTHER_TABLE = "the image brings a table (VOI LUT), which was not used: the values have a unit"
_FLOATS = {"FloatPixelData": "<f4", "DoubleFloatPixelData": "<f8"}


@dataclass(frozen=True)
class Form:
    """Form of a frame's values.

    Attributes:
        samples: 1 grey, 3 colours.
        dtype: of the values.
        unit: "HU", PET's own, or "".
        inverted: low values are bright.
        rescale: the modality transformation.
        table: the VOI LUT that is applied too; None for none.
        notes: what a reader must know.
        problem: why it cannot be shown; "" if it can.
    """

    samples: Literal[1, 3] = 1
    dtype: Dtype = "uint8"
    unit: str = ""
    inverted: bool = False
    rescale: Rescale = _NO_RESCALE
    table: Table | None = None
    notes: tuple[str, ...] = ()
    problem: str = ""


def form_of(dataset: Any, frame: Any) -> Form:
    """The form of a frame's values.

    Args:
        dataset: the object's header.
        frame: the frame's own (`imaging.dicom.frames.header`), or the object's.
    """
    try:
        return _form(dataset, frame)
    except ImageError as error:
        return Form(problem=str(error).partition(": ")[2] or str(error))
    except Exception:  # pydicom raises many kinds on damaged headers
        return Form(problem="its header is damaged")


def _form(dataset: Any, frame: Any) -> Form:
    interpretation = code(frame, "PhotometricInterpretation") or ""
    rows, columns = int(frame.Rows), int(frame.Columns)
    check_size(columns, rows, "image")
    if any(name in dataset for name in _FLOATS):
        return Form(dtype="float32")
    if "Segmentation" in sop_class(dataset):
        return Form(problem="a segmentation, which is not shown")
    if interpretation in _COLOURS:
        return Form(samples=3, notes=() if interpretation != "PALETTE COLOR" else ("coloured by the image's palette",))
    if interpretation not in _GREYS:
        return Form(problem="its kind of colours is not read")
    if int(frame.BitsAllocated) % 8 or int(frame.BitsAllocated) > 32:
        return Form(problem=f"pixels of {int(frame.BitsAllocated)} bits are not shown")
    modality = code(dataset, "Modality")
    rescale = rescale_for_display(frame)
    # A scout's values are no Hounsfield units, unless it says so (PS3.3 C.8.2.1.1.2).
    scout = "LOCALIZER" in [str(each).upper() for each in dataset.get("ImageType") or ()]
    unit = unit_of(dataset, frame, modality, rescale_of(frame)) or ""
    if unit == "HU" and scout and code(frame, "RescaleType") != "HU":
        unit = ""
    notes = [rescale.note] if rescale.note else []
    if (code(dataset, "PresentationIntentType") or "") == "FOR PROCESSING":
        notes.append(_PROCESSING)
    table = voi.table(frame, rescale)
    if table is not None:
        notes.append(_OTHER_TABLE if unit else _TABLE)
        table = None if unit else table
    shape = (code(frame, "PresentationLUTShape") or "").upper()
    inverted = interpretation == "MONOCHROME1" or shape == "INVERSE"
    return Form(1, _dtype(frame, rescale, table, unit), unit, inverted, rescale, table, tuple(notes))


def _dtype(frame: Any, rescale: Rescale, table: Table | None, unit: str) -> Dtype:
    """The smallest type that holds every value that the header allows. Beyond 16 bits Hounsfield units are cut."""
    low, high = _range(frame, rescale, table)
    whole = (table or rescale.table) is not None or (rescale.slope.is_integer() and rescale.intercept.is_integer())
    if not whole:
        return "float32"
    if low >= 0 and high <= 255:
        return "uint8"
    if low >= _INT16[0] and high <= _INT16[1]:
        return "int16"
    if low >= 0 and high <= 65_535:
        return "uint16"
    return "int16" if unit == "HU" and rescale.slope == 1 else "float32"


def _range(frame: Any, rescale: Rescale, table: Table | None) -> tuple[float, float]:
    if (last := table or rescale.table) is not None:
        return float(last.entries.min()), float(last.entries.max())
    bits = int(frame.BitsStored)
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if is_signed(frame) else (0, (1 << bits) - 1)
    ends = sorted((low * rescale.slope + rescale.intercept, high * rescale.slope + rescale.intercept))
    return ends[0], ends[1]


def values_of(dataset: Any, frame: Any, form: Form) -> npt.NDArray[Any]:
    """The values of a frame, as its form says: (H, W), or (H, W, 3) of colours.

    Args:
        dataset: the object's header.
        frame: of one frame, with its pixels.

    Raises:
        ImageError: they cannot be decoded.
    """
    if form.problem:
        raise ImageError(f"image: {form.problem}")
    for name, kind in _FLOATS.items():
        if name in frame:
            return _of_floats(frame, name, kind)
    if form.samples == 3:
        shown = display_pixels(frame, "image")[0]
        if shown.ndim != 3:
            raise ImageError("image: its colours cannot be read")
        return shown
    stored = decoded(frame, "image")
    if stored.ndim != 2:
        raise ImageError("image: it has other pixels than its header says")
    values = _rescaled(stored, form)
    return _without_padding(values, stored, frame, form)


def _rescaled(stored: npt.NDArray[Any], form: Form) -> npt.NDArray[Any]:
    rescale, wanted = form.rescale, np.dtype(form.dtype)
    if form.table is not None:
        looked = form.table.looked_up(np.rint(rescale.applied(stored)).astype(np.int64))
        return looked.astype(wanted)
    if rescale.table is not None:
        return rescale.applied(stored).astype(wanted)
    if rescale.slope == 1 and rescale.intercept == 0 and wanted.kind in "iu":
        return stored.astype(wanted)
    if wanted.kind == "f":
        return rescale.applied(stored).astype(wanted)
    exact = stored.astype(np.int32) * np.int32(rescale.slope) + np.int32(rescale.intercept)
    ends = np.iinfo(wanted)
    return np.clip(exact, ends.min, ends.max).astype(wanted) if form.unit == "HU" else exact.astype(wanted)


def _without_padding(
    values: npt.NDArray[Any], stored: npt.NDArray[Any], frame: Any, form: Form
) -> npt.NDArray[Any]:
    """Padding is air on CT, and the dark end of the values of all else: it must not glare, nor stretch a window."""
    if one_number(frame, "PixelPaddingValue") is None:
        return values
    valid = valid_pixels(stored, frame)
    if valid.all() or not valid.any():
        return values
    inside = values[valid]
    dark: Any = AIR_HU if form.unit == "HU" else (inside.max() if form.inverted else inside.min())
    return np.where(valid, values, np.asarray(dark, dtype=values.dtype))


def _of_floats(frame: Any, name: str, kind: str) -> npt.NDArray[Any]:
    size = int(frame.Rows) * int(frame.Columns)
    data = np.frombuffer(frame[name].value, kind, size)
    return np.nan_to_num(data.astype(np.float32)).reshape(int(frame.Rows), int(frame.Columns))
