"""DICOM series of a made-up body whose every voxel is known: to try a pipeline, and to test one.

The body is an ellipse of soft tissue (40 HU) in air (-1000 HU), with two lungs (-850 HU), a spine (700 HU) to the back
and a ball (120 HU) on the patient's left, in air-filled slices' midst. `body_hu` gives the value at any point.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

AIR, LUNG, TISSUE, BALL, BONE = -1000, -850, 40, 120, 700
Orientation = Literal["axial", "coronal", "sagittal"]
_DIRECTIONS: dict[Orientation, tuple[tuple[int, int, int], tuple[int, int, int]]] = {
    "axial": ((1, 0, 0), (0, 1, 0)),
    "coronal": ((1, 0, 0), (0, 0, -1)),
    "sagittal": ((0, 1, 0), (0, 0, -1)),
}
CT_IMAGE, MR_IMAGE = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"
ENHANCED_CT, ENHANCED_MR = "1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.4.1"


def body_hu(points: npt.NDArray[np.float64]) -> npt.NDArray[np.int16]:
    """Hounsfield units at points (..., 3) of the patient system, millimetres: x to the left, y back, z to the head."""
    x, y, z = points[..., 0], points[..., 1], points[..., 2]
    hu = np.full(x.shape, AIR, dtype=np.int16)
    hu[(x / 170) ** 2 + (y / 110) ** 2 < 1] = TISSUE
    for side in (-75, 75):
        hu[((x - side) / 55) ** 2 + ((y + 10) / 70) ** 2 + (z / 120) ** 2 < 1] = LUNG
    hu[x**2 + (y - 80) ** 2 < 18**2] = BONE
    hu[(x - 75) ** 2 + (y + 10) ** 2 + (z - 30) ** 2 < 20**2] = BALL
    return hu


@dataclass(frozen=True)
class Geometry:
    """Geometry of a synthetic series.

    Attributes:
        slices, rows, columns: how many.
        spacing_mm: between slices, rows and columns.
        orientation: of the slices. All are centred on the origin.
    """

    slices: int = 12
    rows: int = 48
    columns: int = 64
    spacing_mm: tuple[float, float, float] = (10.0, 6.0, 6.0)
    orientation: Orientation = "axial"

    @property
    def directions(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Unit vectors along which the column index, the row index and the slice index grow."""
        row, column = (np.array(one, dtype=np.float64) for one in _DIRECTIONS[self.orientation])
        return row, column, np.cross(row, column)

    def position(self, index: int) -> npt.NDArray[np.float64]:
        """The centre of a slice's first pixel, millimetres."""
        row, column, across = self.directions
        between, down, right = self.spacing_mm
        return (
            across * between * (index - (self.slices - 1) / 2)
            - column * down * (self.rows - 1) / 2
            - row * right * (self.columns - 1) / 2
        )

    def hu(self, index: int) -> npt.NDArray[np.int16]:
        """A slice's Hounsfield units (rows, columns)."""
        row, column, _ = self.directions
        _, down, right = self.spacing_mm
        r, c = np.mgrid[0 : self.rows, 0 : self.columns]
        points = self.position(index) + r[..., None] * down * column + c[..., None] * right * row
        return body_hu(points)


def write_series(
    folder: str | Path,
    geometry: Geometry | None = None,
    *,
    modality: Literal["CT", "MR"] = "CT",
    numbers: Sequence[int] | None = None,
    signed: bool = False,
    series_uid: str | None = None,
    study_uid: str | None = None,
    prefix: str = "slice",
    **elements: Any,
) -> list[Path]:
    """Write a series of single-frame files, one a slice, in the order of their positions.

    Args:
        folder: is made if it is not there.
        geometry: by default `Geometry()`.
        modality: CT stores HU + 1024, as most scanners do; MR stores the same numbers without any unit.
        numbers: Instance Number of each slice; by default from 1 against the order of positions, so that whoever sorts
            by number gets the body upside down.
        signed: store Hounsfield units as they are.
        series_uid, study_uid: by default new ones.
        prefix: of the files' names.
        elements: further DICOM elements by keyword; None leaves one out.

    Returns:
        the files, by position.
    """
    from pydicom.uid import generate_uid

    geometry = geometry or Geometry()
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    series_uid, study_uid = series_uid or generate_uid(), study_uid or generate_uid()
    numbers = numbers or range(geometry.slices, 0, -1)
    row, column, _ = geometry.directions
    paths = []
    for index in range(geometry.slices):
        dataset = _base(modality, CT_IMAGE if modality == "CT" else MR_IMAGE, study_uid, series_uid)
        dataset.InstanceNumber = numbers[index]
        dataset.ImagePositionPatient = geometry.position(index).tolist()
        dataset.ImageOrientationPatient = [*row.tolist(), *column.tolist()]
        dataset.PixelSpacing = list(geometry.spacing_mm[1:])
        dataset.SliceThickness = geometry.spacing_mm[0]
        _put_pixels(dataset, geometry.hu(index), signed)
        if modality == "CT":
            _put_rescale(dataset, signed)
        _put(dataset, elements)
        paths.append(folder / f"{prefix}{index:04d}.dcm")
        dataset.save_as(paths[-1], enforce_file_format=True)
    return paths


def write_enhanced(
    path: str | Path,
    geometry: Geometry | None = None,
    *,
    modality: Literal["CT", "MR"] = "CT",
    order: Sequence[int] | None = None,
    shared: bool = True,
    **elements: Any,
) -> Path:
    """Write one enhanced multi-frame object; `order` says which slice each frame is (by default the last first).

    Args:
        path: of the file.
        geometry: by default `Geometry()`.
        modality: CT stores HU + 1024; MR the same numbers without any unit.
        order: slice indices, one a frame.
        shared: orientation, spacing and rescale once for all frames, else in each frame's own group.
        elements: further DICOM elements by keyword; None leaves one out.
    """
    from pydicom.dataset import Dataset
    from pydicom.sequence import Sequence as Items
    from pydicom.uid import generate_uid

    geometry = geometry or Geometry()
    order = list(range(geometry.slices - 1, -1, -1)) if order is None else list(order)
    row, column, _ = geometry.directions
    kind = ENHANCED_CT if modality == "CT" else ENHANCED_MR
    dataset = _base(modality, kind, generate_uid(), generate_uid())
    dataset.InstanceNumber = 1

    def common() -> Dataset:
        facing, measures, values, item = Dataset(), Dataset(), Dataset(), Dataset()
        facing.ImageOrientationPatient = [*row.tolist(), *column.tolist()]
        measures.PixelSpacing = list(geometry.spacing_mm[1:])
        measures.SliceThickness = geometry.spacing_mm[0]
        item.PlaneOrientationSequence = Items([facing])
        item.PixelMeasuresSequence = Items([measures])
        if modality == "CT":
            _put_rescale(values, signed=False)
            item.PixelValueTransformationSequence = Items([values])
        return item

    groups = []
    for number, index in enumerate(order, 1):
        item, location, content = Dataset() if shared else common(), Dataset(), Dataset()
        location.ImagePositionPatient = geometry.position(index).tolist()
        content.DimensionIndexValues = [1, number]
        content.FrameAcquisitionNumber = 1
        item.PlanePositionSequence = Items([location])
        item.FrameContentSequence = Items([content])
        groups.append(item)
    dataset.SharedFunctionalGroupsSequence = Items([common()] if shared else [Dataset()])
    dataset.PerFrameFunctionalGroupsSequence = Items(groups)
    _put_pixels(dataset, np.stack([geometry.hu(index) for index in order]), signed=False)
    dataset.NumberOfFrames = len(order)
    _put(dataset, elements)
    path = Path(path)
    dataset.save_as(path, enforce_file_format=True)
    return path


def _base(modality: str, kind: str, study_uid: str, series_uid: str) -> Any:
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = kind
    dataset.SOPInstanceUID = generate_uid()
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study_uid, series_uid
    dataset.Modality = modality
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.PatientID, dataset.PatientName = "SYNTHETIC", "Synthetic^Body"
    dataset.BodyPartExamined = "CHEST"
    dataset.SeriesNumber = 1
    return dataset


def _put_pixels(dataset: Any, hu: npt.NDArray[np.int16], signed: bool) -> None:
    stored = hu if signed else (hu.astype(np.int32) + 1024).astype(np.uint16)
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = hu.shape[-2:]
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit, dataset.PixelRepresentation = 15, int(signed)
    dataset.PixelData = stored.tobytes()


def _put_rescale(dataset: Any, signed: bool) -> None:
    dataset.RescaleSlope, dataset.RescaleIntercept = 1, 0 if signed else -1024
    dataset.RescaleType = "HU"


def _put(dataset: Any, elements: dict[str, Any]) -> None:
    for keyword, value in elements.items():
        if value is None:
            if keyword in dataset:
                delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
