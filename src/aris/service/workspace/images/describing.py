"""Description of each frame of an object from its header: what the viewer must know before it has any pixels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from aris.exchange.dicomweb.frames import is_lossy
from aris.imaging.dicom import codecs, frames, voi
from aris.imaging.dicom.concatenations import concatenation
from aris.imaging.dicom.values import numbers, one_number, text
from aris.imaging.geometry import Plane, plane
from aris.imaging.orientation import STORED, Turn, turn_of_film, turn_of_plane, turn_of_slice_letters
from aris.imaging.radiograph import code, floats, patient_orientation
from aris.imaging.volumes.slices import acquisition_of
from aris.service.workspace.images.calibration import scale_of
from aris.service.workspace.images.ordering import Position
from aris.service.workspace.images.values import Form, form_of
from aris.service.workspace.schemas.images import ImageInfo, ImageTurn, Window

# Of an object with more frames only so many are listed.
MOST_FRAMES = 20_000
_FILMS = ("CR", "DX", "DR", "RG", "RF", "MG", "OT", "SC")
_CT_WINDOW = Window(center=40, width=400, name="soft tissue (by default)")
UNREADABLE = "the object cannot be read"


@dataclass(frozen=True, eq=False)
class Described:
    """A frame with its position in the series; `needs_window` where the header has none that can be used."""

    info: ImageInfo
    position: Position
    needs_window: bool


def describe(dataset: Any, uid: str, transfer_syntax: str, arrival: int) -> Iterator[Described]:
    """Describe each frame of an object.

    Args:
        dataset: its header.
        uid: SOP Instance UID.
        transfer_syntax: of its pixels.
        arrival: its place in the order of arrival.
    """
    try:
        total = min(frames.count(dataset), MOST_FRAMES)
        functional = "PerFrameFunctionalGroupsSequence" in dataset or "SharedFunctionalGroupsSequence" in dataset
        same = None if functional else form_of(dataset, dataset)
    except codecs.DecodeError:
        yield Described(broken(uid, "its number of frames is wrong"), _nowhere(arrival), False)
        return
    except Exception:  # pydicom raises many kinds on damaged headers
        yield Described(broken(uid, UNREADABLE), _nowhere(arrival), False)
        return
    about = _about(dataset, uid, transfer_syntax)
    for index in range(total):
        try:
            yield _frame(dataset, index, about, same, arrival)
        except Exception:
            yield Described(broken(uid, UNREADABLE, index + 1), _nowhere(arrival, index + 1), False)


def broken(uid: str, problem: str, frame: int = 1) -> ImageInfo:
    """The description of what cannot be shown."""
    return ImageInfo(
        uid=uid, frame=frame, rows=0, columns=0, samples=1, dtype="uint8", unit="", inverted=False, window=[],
        least=None, greatest=None, spacing=None, calibration="pixels only", calibration_note="", calibrated_within=[],
        orientation=None, position=None, patient_orientation=None, turn=None, frame_of_reference="", number="",
        laterality="", view="", cine_rate=None, lossy=False, notes=[], problem=problem,
    )  # fmt: skip


def _nowhere(arrival: int, frame: int = 1) -> Position:
    return Position("", None, None, 0, frame, (), arrival)


def _about(dataset: Any, uid: str, transfer_syntax: str) -> dict[str, Any]:
    """Return what all frames of an object have alike."""
    lying = patient_orientation(dataset)
    return {
        "uid": uid,
        "rows": int(dataset.Rows),
        "columns": int(dataset.Columns),
        "frame_of_reference": text(dataset, "FrameOfReferenceUID", 64),
        "number": text(dataset, "InstanceNumber", 16),
        "laterality": code(dataset, "ImageLaterality") or code(dataset, "Laterality") or "",
        "view": code(dataset, "ViewPosition") or _view_name(dataset),
        "cine_rate": _cine_rate(dataset),
        "lossy": is_lossy(transfer_syntax) or code(dataset, "LossyImageCompression") == "01",
        "patient_orientation": lying,
    }


def _frame(dataset: Any, index: int, about: dict[str, Any], same: Form | None, arrival: int) -> Described:
    header = dataset if same is not None else frames.header(dataset, index)
    form = same or form_of(dataset, header)
    placed = _plane(dataset, index)
    windows = _windows(header, form)
    scale = scale_of(dataset, index)
    least, greatest = _extremes(dataset, form)
    part = concatenation(dataset)
    number = one_number(dataset, "InstanceNumber")
    info = ImageInfo(
        **about,
        frame=index + 1,
        samples=form.samples,
        dtype=form.dtype,
        unit=form.unit,
        inverted=form.inverted,
        window=windows or ([_CT_WINDOW] if form.unit == "HU" else []),
        least=least,
        greatest=greatest,
        spacing=scale.spacing,
        calibration=scale.calibration,
        calibration_note=scale.note,
        calibrated_within=list(scale.within),
        orientation=None if placed is None else (*placed.row, *placed.column),
        position=None if placed is None else placed.position,
        turn=_turn(dataset, placed, about["patient_orientation"]),
        notes=list(form.notes),
        problem=form.problem,
    )
    position = Position(
        code(dataset, "Modality") or "", placed, None if number is None else int(number),
        0 if part is None else part.number or part.offset or 0, index + 1,
        () if placed is None else acquisition_of(dataset, index), arrival,
    )  # fmt: skip
    return Described(info, position, not info.window and form.samples == 1 and not form.problem)


def _plane(dataset: Any, index: int) -> Plane | None:
    at, way = (frames.group(dataset, index, f"Plane{each}Sequence") for each in ("Position", "Orientation"))
    return plane(
        floats(dataset if at is None else at, "ImagePositionPatient"),
        floats(dataset if way is None else way, "ImageOrientationPatient"),
    )


def _windows(header: Any, form: Form) -> list[Window]:
    """The windows that the header has for the values as they are given."""
    if form.samples == 3 or form.problem:
        return []
    if form.table is not None:
        width = 1 << form.table.bits
        return [Window(center=width / 2, width=width, name="VOI LUT")]
    if not form.rescale.known:
        return []
    found = voi.usable_windows(header)
    return [
        Window(center=centre, width=width, name=name or (f"window {at}" if len(found) > 1 else "by the header"),
               function=function)  # type: ignore[arg-type]
        for at, (centre, width, function, name) in enumerate(found, 1)
    ]  # fmt: skip


def _extremes(dataset: Any, form: Form) -> tuple[float | None, float | None]:
    if form.samples == 3 or form.table is not None or form.rescale.table is not None or form.problem:
        return None, None
    stored = [one_number(dataset, f"{which}ImagePixelValue") for which in ("Smallest", "Largest")]
    if stored[0] is None or stored[1] is None or stored[0] >= stored[1]:
        return None, None
    ends = sorted(value * form.rescale.slope + form.rescale.intercept for value in stored if value is not None)
    return ends[0], ends[1]


def _turn(dataset: Any, placed: Plane | None, lying: tuple[str, str] | None) -> ImageTurn | None:
    modality = code(dataset, "Modality") or ""
    if placed is not None:
        found = turn_of_plane(placed)
    elif modality in ("CT", "MR", "PT"):
        found = turn_of_slice_letters(lying)
    elif modality in _FILMS and modality != "MG":  # mammograms are hung by view and side, and come so
        found = turn_of_film(lying, code(dataset, "BodyPartExamined"))
    else:
        found = STORED
    return _told(found) if found else None


def _told(turn: Turn) -> ImageTurn:
    return ImageTurn(transpose=turn.transpose, flip_rows=turn.flip_rows, flip_columns=turn.flip_columns)


def _view_name(dataset: Any) -> str:
    item = next(iter(dataset.get("ViewCodeSequence") or ()), None)
    return "" if item is None else text(item, "CodeMeaning", 64)


def _cine_rate(dataset: Any) -> float | None:
    for name in ("RecommendedDisplayFrameRate", "CineRate"):
        rate = one_number(dataset, name)
        if rate is not None and 0 < rate <= 1000:
            return rate
    steps = [each for each in numbers(dataset, "FrameTime") if each is not None and each > 0]
    return round(1000 / steps[0], 3) if steps and 1 <= steps[0] <= 60_000 else None
