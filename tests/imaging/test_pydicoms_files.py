"""Every DICOM file that pydicom ships: read as pydicom's own functions read it, or refused with one line."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.pixels import apply_modality_lut, apply_voi_lut
from pydicom.pixels.processing import apply_color_lut

from aris.errors import ImageError
from aris.imaging import Stills, read_film, read_stills, read_volume

FOLDER = Path(pydicom.__file__).parent / "data" / "test_files"
# Beside the images: palettes, and reports in many character sets.
OTHERS = sorted((FOLDER.parent / "palettes").glob("*.dcm")) + sorted((FOLDER.parent / "charset_files").glob("*.dcm"))
FILES = sorted(path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*") if path.is_file())
# Of what has pixels, those that none of the readers takes, and what their one line says.
REFUSED = {
    "JPEG2000-embedded-sequence-delimiter.dcm": "truncated, damaged",  # its stream is damaged on purpose
    "MR_truncated.dcm": "truncated, damaged",
    "badVR.dcm": "damaged",
    "liver_1frame.dcm": "modality", "liver_expb_1frame.dcm": "modality",  # segmentations
    **dict.fromkeys((name for name in FILES if name.startswith("rtdose")), "modality"),
    # They declare no encoding, or one that is not theirs.
    "ExplVR_BigEndNoMeta.dcm": "not an image", "no_meta.dcm": "not an image", "meta_missing_tsyntax.dcm": "damaged",
    "nested_priv_SQ.dcm": "damaged",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def outcomes(path: Path) -> tuple[dict[str, Any], list[str]]:
    read: dict[str, Any] = {}
    refused = []
    for reader in (read_film, read_stills, read_volume):
        try:
            read[reader.__name__] = reader(path)
        except ImageError as error:
            assert len(str(error).splitlines()) == 1
            refused.append(str(error))
    return read, refused


def shown_by_pydicom(dataset: pydicom.Dataset, frame: np.ndarray) -> np.ndarray:
    """One frame to 0..255 through pydicom's modality LUT, VOI and palette functions."""
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        coloured = apply_color_lut(frame, dataset)
        return (coloured >> 8 if coloured.dtype == np.uint16 else coloured).astype(np.uint8)
    if frame.ndim == 3:
        return (frame >> max(0, dataset.BitsStored - 8)).astype(np.uint8)
    real = np.asarray(apply_modality_lut(frame, dataset), dtype=np.float64)
    has_window = dataset.get("WindowWidth") not in (None, "") or "VOILUTSequence" in dataset
    if has_window:
        shown = np.asarray(apply_voi_lut(real if "VOILUTSequence" not in dataset else frame, dataset), dtype=np.float64)
        bits, signed = dataset.BitsStored, dataset.PixelRepresentation
        ends = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
        slope, intercept = float(dataset.get("RescaleSlope", 1)), float(dataset.get("RescaleIntercept", 0))
        low, high = (end * slope + intercept for end in ends)
    else:
        shown, low, high = real, real.min(), real.max()
    unit = np.zeros_like(shown) if high == low else (shown - low) / (high - low)
    grey = np.rint(np.clip(unit, 0, 1) * 255).astype(np.uint8)
    return 255 - grey if dataset.PhotometricInterpretation == "MONOCHROME1" else grey


@pytest.mark.parametrize("name", [*FILES, *(f"../{path.parent.name}/{path.name}" for path in OTHERS)])
def test_each_is_read_rightly_or_refused(
    name: str, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    path = FOLDER / name
    read, refused = outcomes(path)
    assert capfd.readouterr() == ("", "") and not caplog.records
    if name in REFUSED:
        assert not read and any(REFUSED[name] in line for line in refused)
        return
    try:
        dataset = pydicom.dcmread(path)
        has_pixels = "PixelData" in dataset and not dataset.get("DirectoryRecordSequence")
    except Exception:  # no DICOM file, or none that pydicom reads without force
        has_pixels = False
    if not has_pixels:
        # A DICOMDIR may list one series; most list several.
        assert not {"read_film", "read_stills"} & set(read)
        return
    # A secondary image passes for a film too; all else has one reader.
    assert read and (len(read) == 1 or dataset.get("Modality") in ("OT", None)), f"{read.keys()} {refused}"
    if name in ("JPEG-lossy.dcm", "JPGExtended.dcm"):
        return  # pydicom reads no 12-bit JPEG: see the test below
    stored = dataset.pixel_array
    if volume := read.get("read_volume"):
        wanted = np.asarray(apply_modality_lut(stored, dataset))
        if dataset.get("PixelPaddingValue") is not None:
            wanted = np.where(volume.voxels[0] == -1024, -1024, wanted)
        assert np.array_equal(volume.voxels[0], wanted)
        assert volume.voxels.dtype.kind in "if"
        return
    several = stored if dataset.get("NumberOfFrames", 1) > 1 else stored[None]
    for result in read.values():
        frames = result.frames if isinstance(result, Stills) else (result.pixels,)
        assert len(frames) == len(several)
        for frame, raw in zip(frames, several, strict=True):
            wanted = shown_by_pydicom(dataset, raw)
            assert frame.shape == wanted.shape
            # Two orders of the same float operations may fall to either side of a half.
            difference = np.abs(frame.astype(int) - wanted)
            assert difference.max() <= 1 and (difference > 0).mean() < 1e-3


@pytest.mark.parametrize("name", ["JPEG-lossy.dcm", "JPGExtended.dcm"])
def test_jpeg_of_12_bits(name: str) -> None:
    """Against pydicom's reference values, stored 244 and 95, and the same picture as JPEG 2000."""
    shown = read_stills(FOLDER / name).frames[0]
    assert shown.shape == (1024, 256)
    window = pydicom.dcmread(FOLDER / name)
    assert window.BitsStored == 12
    other = read_stills(FOLDER / "JPEG2000.dcm").frames[0]
    assert np.corrcoef(shown.ravel(), other.ravel())[0, 1] > 0.9
    from aris.imaging.dicom.codecs import stored_values

    stored = stored_values(window)
    assert stored[420, 140] == 244 and stored[230, 120] == 95


def test_the_table_of_refusals_has_no_strangers() -> None:
    assert set(REFUSED) <= set(FILES)


def test_they_are_as_many_and_as_various_as_they_were() -> None:
    """pydicom 3.0: 188 DICOM files, 107 of them with pixels, in 12 encodings. HTJ2K is tested in test_series_codecs."""
    found: list[str] = []
    for path in [*map(FOLDER.joinpath, FILES), *OTHERS]:
        try:
            dataset = pydicom.dcmread(path, specific_tags=["PixelData"])
        except Exception:  # no DICOM, or damaged on purpose
            continue
        meta = dataset.file_meta
        found.append(meta.get("TransferSyntaxUID", "none") if "PixelData" in dataset else "")
    assert len(found) >= 188 and len(list(filter(None, found))) >= 107
    assert len(set(found) - {"", "none"}) >= 12
