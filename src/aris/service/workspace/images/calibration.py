"""Millimetres of a pixel, and what they are worth (PS3.3 10.7.1.3, C.7.6.2, C.7.6.16.2.1, C.8.5.5).

"calibrated": in the patient. "at detector": in another plane than the patient's, or of a calibration that the file does
not state; lengths in the patient are smaller. "pixels only": the file does not say.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aris.imaging.dicom import frames
from aris.imaging.dicom.values import numbers, one_number
from aris.imaging.radiograph import code
from aris.service.workspace.schemas.images import Box, Calibration

# Of slices and reconstructions Pixel Spacing is in the patient (C.7.6.2.1.1).
_SLICES = ("CT", "MR", "PT", "NM", "OPT", "IVOCT")
_PROJECTIONS = ("CR", "DX", "DR", "RG", "MG", "XA", "RF", "IO", "PX")
_CENTIMETRES = 3
_TISSUE_2D = 1
_MOST_REGIONS = 32
UNSTATED = "the file does not say how its spacing was calibrated"
AT_DETECTOR = "in the plane of the detector: what lies in the patient is smaller than measured"
SCANNED = "in the plane of the film that was scanned: what lies in the patient is smaller than measured"
SCOUT = "a scout is a projection: lengths are right in the plane of the isocentre alone"
REGIONS = "only inside the calibrated regions of the ultrasound image"
SEVERAL_REGIONS = "the ultrasound image has regions of different scales: lengths are in pixels"


@dataclass(frozen=True)
class Scale:
    """Scale of an image.

    Attributes:
        spacing: between rows and columns, millimetres; None for pixels only.
        calibration: what it is worth.
        note: why, in a line; "" where nothing needs to be said.
        within: left, top, right, bottom of where alone it holds; everywhere if there is none.
    """

    spacing: tuple[float, float] | None = None
    calibration: Calibration = "pixels only"
    note: str = ""
    within: tuple[Box, ...] = ()


def scale_of(dataset: Any, index: int) -> Scale:
    """The scale of a frame (from 0)."""
    measures = frames.group(dataset, index, "PixelMeasuresSequence")
    if measures is not None and (spacing := _pair(measures, "PixelSpacing")):
        return Scale(spacing, "calibrated")
    modality = code(dataset, "Modality") or ""
    if dataset.get("SequenceOfUltrasoundRegions"):
        return _of_regions(dataset)
    stated = _pair(dataset, "PixelSpacing")
    scout = modality == "CT" and "LOCALIZER" in [str(each).upper() for each in dataset.get("ImageType") or ()]
    if stated is not None and scout:
        return Scale(stated, "at detector", SCOUT)
    placed = len(numbers(dataset, "ImageOrientationPatient")) == 6
    if stated is not None and (modality in _SLICES or (placed and modality not in _PROJECTIONS)):
        return Scale(stated, "calibrated")
    return _projected(dataset, stated)


def _projected(dataset: Any, stated: tuple[float, float] | None) -> Scale:
    detector = _pair(dataset, "ImagerPixelSpacing")
    if stated is not None:
        kind = code(dataset, "PixelSpacingCalibrationType")
        if kind == "FIDUCIAL":
            return Scale(stated, "calibrated", "by an object of known size on the image")
        if kind == "GEOMETRY":
            return Scale(stated, "calibrated", "corrected for an assumed geometric magnification")
        if detector is None:
            return Scale(stated, "at detector", UNSTATED)
        if not _alike(stated, detector):
            return Scale(stated, "calibrated", "its spacing differs from the detector's: it was corrected")
    if (found := detector or stated) is not None:
        return Scale(found, "at detector", _magnified(dataset))
    scanned = _pair(dataset, "NominalScannedPixelSpacing")
    return Scale() if scanned is None else Scale(scanned, "at detector", SCANNED)


def _magnified(dataset: Any) -> str:
    """Say what the file estimates of the magnification; it is told, and lengths are not changed by it."""
    factor = one_number(dataset, "EstimatedRadiographicMagnificationFactor")
    if factor is None:
        source, patient = (one_number(dataset, f"DistanceSourceTo{each}") for each in ("Detector", "Patient"))
        factor = source / patient if source and patient and source > patient > 0 else None
    if factor is None or not 1 < factor < 10:
        return AT_DETECTOR
    return f"{AT_DETECTOR}; the file estimates a magnification of {factor:.2f}"


def _of_regions(dataset: Any) -> Scale:
    found: list[tuple[tuple[float, float], Box]] = []
    for region in [*dataset.SequenceOfUltrasoundRegions][:_MOST_REGIONS]:
        values = [one_number(region, name) for name in (
            "PhysicalDeltaX", "PhysicalDeltaY", "RegionLocationMinX0", "RegionLocationMinY0", "RegionLocationMaxX1",
            "RegionLocationMaxY1",
        )]  # fmt: skip
        units = [one_number(region, f"PhysicalUnits{axis}Direction") for axis in "XY"]
        if None in values or units != [_CENTIMETRES, _CENTIMETRES]:
            continue
        if one_number(region, "RegionSpatialFormat") not in (_TISSUE_2D, None):
            continue
        across, down, left, top, right, bottom = (float(each or 0) for each in values)
        if across and down and right > left and bottom > top:
            found.append(((abs(down) * 10, abs(across) * 10), (left, top, right + 1, bottom + 1)))
    if not found:
        return Scale()
    if any(not _alike(spacing, found[0][0]) for spacing, _ in found):
        return Scale(note=SEVERAL_REGIONS)
    return Scale(found[0][0], "calibrated", REGIONS, tuple(box for _, box in found))


def _pair(dataset: Any, keyword: str) -> tuple[float, float] | None:
    found = numbers(dataset, keyword)
    if len(found) != 2 or found[0] is None or found[1] is None:
        return None
    down, right = found[0], found[1]
    return (down, right) if 0 < down < 1000 and 0 < right < 1000 else None


def _alike(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return all(abs(a - b) <= 1e-3 * b for a, b in zip(one, other, strict=True))
