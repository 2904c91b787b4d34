"""A made-up slide as DICOM: white glass with an ellipse of pink tissue, whose every pixel is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

VL_WHOLE_SLIDE = "1.2.840.10008.5.1.4.1.1.77.1.6"


def slide_rgb(width: int, height: int, downsample: int = 1) -> npt.NDArray[np.uint8]:
    """uint8 (height // downsample, width // downsample, 3) of a slide of (height, width) pixels at level 0."""
    y, x = np.mgrid[0:height:downsample, 0:width:downsample][:, : height // downsample, : width // downsample]
    glass = np.stack([np.full_like(x, value) for value in (243, 242, 244)], axis=-1)
    tissue = np.stack([200 + x * 40 // width, 90 + y * 60 // height, np.full_like(x, 170)], axis=-1)
    inside = ((x - width * 0.4) / (width * 0.3)) ** 2 + ((y - height * 0.5) / (height * 0.4)) ** 2 < 1
    return np.where(inside[..., None], tissue, glass).astype(np.uint8)


def write_slide(
    folder: str | Path,
    *,
    width: int = 1000,
    height: int = 700,
    tile: int = 128,
    mpp: float = 0.5,
    downsamples: tuple[int, ...] = (1, 4),
    sparse: bool = False,
    label: bool = True,
) -> list[Path]:
    """Write the levels of a slide, one file each, and a label that no reader should open.

    Args:
        folder: is made if it is not there.
        width, height: of level 0.
        tile: side of the square tiles.
        mpp: micrometres between pixels of level 0.
        downsamples: of each level.
        sparse: give each tile its place, in reversed order, and leave tiles of glass alone out.
        label: write the label too.
    """
    from pydicom.uid import generate_uid

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    study, series = generate_uid(), generate_uid()
    paths = []
    for number, downsample in enumerate(downsamples, 1):
        pixels = slide_rgb(width, height, downsample)
        dataset = _base(study, series, number, ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"])
        _put_tiles(dataset, pixels, tile, mpp * downsample / 1000, sparse)
        paths.append(folder / f"level{number}.dcm")
        dataset.save_as(paths[-1], enforce_file_format=True)
    if label:
        dataset = _base(study, series, 99, ["ORIGINAL", "PRIMARY", "LABEL", "NONE"])
        _put_tiles(dataset, np.full((64, 64, 3), 30, dtype=np.uint8), 64, 0.01, sparse=False)
        paths.append(folder / "label.dcm")
        dataset.save_as(paths[-1], enforce_file_format=True)
    return paths


def _base(study: str, series: str, number: int, image_type: list[str]) -> Any:
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = VL_WHOLE_SLIDE, generate_uid()
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, series
    dataset.Modality, dataset.InstanceNumber, dataset.ImageType = "SM", number, image_type
    dataset.PatientID, dataset.PatientName = "SYNTHETIC", "Synthetic^Slide"
    return dataset


def _put_tiles(dataset: Any, pixels: npt.NDArray[np.uint8], tile: int, spacing: float, sparse: bool) -> None:
    from pydicom.dataset import Dataset
    from pydicom.sequence import Sequence

    height, width = pixels.shape[:2]
    cut, groups = [], []
    positions = [(top, left) for top in range(0, height, tile) for left in range(0, width, tile)]
    for top, left in reversed(positions) if sparse else positions:
        part = np.full((tile, tile, 3), 255, dtype=np.uint8)
        inside = pixels[top : top + tile, left : left + tile]
        part[: inside.shape[0], : inside.shape[1]] = inside
        if sparse and not (inside[..., 1] < 200).any():
            continue
        cut.append(part)
        item, position = Dataset(), Dataset()
        position.RowPositionInTotalImagePixelMatrix, position.ColumnPositionInTotalImagePixelMatrix = top + 1, left + 1
        item.PlanePositionSlideSequence = Sequence([position])
        groups.append(item)
    shared, measures = Dataset(), Dataset()
    measures.PixelSpacing = [spacing, spacing]
    shared.PixelMeasuresSequence = Sequence([measures])
    dataset.SharedFunctionalGroupsSequence = Sequence([shared])
    if sparse:
        dataset.PerFrameFunctionalGroupsSequence = Sequence(groups)
    dataset.DimensionOrganizationType = "TILED_SPARSE" if sparse else "TILED_FULL"
    dataset.TotalPixelMatrixColumns, dataset.TotalPixelMatrixRows = width, height
    dataset.Rows = dataset.Columns = tile
    dataset.NumberOfFrames = len(cut)
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PlanarConfiguration = 3, "RGB", 0
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation = 7, 0
    dataset.PixelData = np.stack(cut).tobytes()
