"""Whole files of every kind that the readers take, from which the mutated ones are made. The same at every run."""

from __future__ import annotations

import gzip
import io
import itertools
import struct
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pydicom
from PIL import Image, PngImagePlugin
from pydicom.encaps import encapsulate
from pydicom.fileset import FileSet
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    HTJ2KLossless,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from aris.imaging.synthetic.series import Geometry, write_enhanced, write_series
from aris.imaging.synthetic.slide import write_slide

SMALL = Geometry(slices=3, rows=16, columns=16, spacing_mm=(100, 20, 20))
_SHIPPED = Path(pydicom.__file__).parent / "data" / "test_files"
_LARGEST = 60_000  # bytes: mutations of what is larger seldom meet its structure, and take longer
PATIENT = "Synthetic^Body"


@dataclass(frozen=True)
class Seed:
    """A whole file: its name, by whose suffix it is read, its bytes, and how it is mutated."""

    name: str
    kind: str  # "dicom", "zip", "folder", "nifti" or "picture"
    data: bytes


@contextmanager
def _same_uids() -> Iterator[None]:
    numbers = itertools.count(1)

    def next_uid(*_: object, **__: object) -> UID:
        return UID(f"2.25.{10**30 + next(numbers)}")

    with patch("pydicom.uid.generate_uid", next_uid), patch("pydicom.fileset.generate_uid", next_uid):
        yield


def corpus() -> list[Seed]:
    """Every seed, in the same order."""
    with tempfile.TemporaryDirectory() as folder, _same_uids():
        made = Path(folder)
        return [*_shipped(), *_volumes(made), *_encoded(made), *_pictures(), *_niftis(), *_archives(made)]


def _shipped() -> Iterator[Seed]:
    for path in sorted(_SHIPPED.rglob("*")):
        if path.is_file() and path.stat().st_size <= _LARGEST and path.suffix in (".dcm", ""):
            yield Seed(f"pydicom/{path.name}.dcm", "dicom", path.read_bytes())


def _volumes(folder: Path) -> Iterator[Seed]:
    for modality in ("CT", "MR"):
        paths = write_series(folder / modality, SMALL, modality=modality, PatientName=PATIENT)
        yield Seed(f"{modality}.dcm", "dicom", paths[0].read_bytes())
        path = write_enhanced(folder / f"enhanced-{modality}.dcm", SMALL, modality=modality, PatientName=PATIENT)
        yield Seed(path.name, "dicom", path.read_bytes())
    for sparse in (False, True):
        slide = write_slide(folder / f"slide{sparse}", width=60, height=40, tile=16, downsamples=(1,), sparse=sparse)
        yield Seed(f"slide-{'sparse' if sparse else 'full'}.dcm", "dicom", slide[0].read_bytes())
    yield Seed("ultrasound.dcm", "dicom", _ultrasound(folder))


def _ultrasound(folder: Path) -> bytes:
    path = write_series(folder / "us", SMALL, modality="MR", Modality="US", PatientName=PATIENT)[0]
    dataset = pydicom.dcmread(path)
    region = pydicom.Dataset()
    region.RegionLocationMinX0, region.RegionLocationMinY0 = 0, 0
    region.RegionLocationMaxX1, region.RegionLocationMaxY1 = 15, 15
    region.PhysicalUnitsXDirection = region.PhysicalUnitsYDirection = 3
    region.PhysicalDeltaX = region.PhysicalDeltaY = 0.01
    dataset.SequenceOfUltrasoundRegions = pydicom.Sequence([region])
    pixels = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3), dtype=np.uint8)
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PlanarConfiguration = 3, "YBR_FULL_422", 0
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.NumberOfFrames, dataset.FrameTime = 7, 4, 40
    dataset.PixelData = pixels[..., :2].tobytes()
    return _bytes(dataset)


def _encoded(folder: Path) -> Iterator[Seed]:
    """A film in each encoding, of a size at which its stream has some structure."""
    pixels = (np.random.default_rng(1).integers(0, 60, (40, 48)) + np.arange(48) * 40).astype(np.uint16)
    (path,) = write_series(folder / "film", Geometry(slices=1), modality="MR", Modality="DX", PatientName=PATIENT)
    plain = pydicom.dcmread(path)
    plain.Rows, plain.Columns, plain.BitsStored, plain.HighBit = 40, 48, 12, 11
    plain.PixelData, plain.WindowCenter, plain.WindowWidth = pixels.tobytes(), [1000, 500], [2000, 300]
    table = pydicom.Dataset()
    table.LUTDescriptor, table.LUTData = [4096, 0, 10], np.arange(4096, dtype=np.uint16).tobytes()
    plain.VOILUTSequence = pydicom.Sequence([table])
    yield Seed("film.dcm", "dicom", _bytes(plain))
    for syntax in (RLELossless, JPEGLSLossless, JPEG2000Lossless):
        dataset = pydicom.dcmread(io.BytesIO(_bytes(plain)))
        dataset.compress(syntax, generate_instance_uid=False)
        yield Seed(f"film-{syntax.keyword}.dcm", "dicom", _bytes(dataset))
    for syntax, stream in _foreign(pixels):
        dataset = pydicom.dcmread(io.BytesIO(_bytes(plain)))
        dataset.PixelData = encapsulate([stream])
        dataset["PixelData"].is_undefined_length = True
        dataset.file_meta.TransferSyntaxUID = syntax
        yield Seed(f"film-{syntax.keyword}.dcm", "dicom", _bytes(dataset))
    plain.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    yield Seed("film-deflated.dcm", "dicom", _bytes(plain))


def _foreign(pixels: np.ndarray) -> Iterator[tuple[UID, bytes]]:
    try:
        import imagecodecs
    except ImportError:
        return
    yield HTJ2KLossless, bytes(imagecodecs.htj2k_encode(pixels, reversible=True))
    yield JPEGLosslessSV1, bytes(imagecodecs.ljpeg_encode(pixels, bitspersample=12))


def _bytes(dataset: Any) -> bytes:
    out = io.BytesIO()
    dataset.save_as(out, enforce_file_format=True)
    return out.getvalue()


def _pictures() -> Iterator[Seed]:
    rng = np.random.default_rng(2)
    grey = Image.fromarray(rng.integers(0, 256, (30, 40), dtype=np.uint8))
    colour = Image.fromarray(rng.integers(0, 256, (30, 40, 3), dtype=np.uint8))
    wide = Image.fromarray(rng.integers(0, 65536, (30, 40)).astype(np.uint16))
    real = Image.fromarray(rng.normal(size=(30, 40)).astype(np.float32))
    words = PngImagePlugin.PngInfo()
    words.add_text("Comment", "a photograph " * 20, zip=True)
    profile = (_SHIPPED / "crayons.icc").read_bytes() if (_SHIPPED / "crayons.icc").is_file() else None
    exif = Image.Exif()
    exif[0x0112] = 6
    forms: tuple[tuple[str, Image.Image, dict[str, Any]], ...] = (
        ("grey.png", grey, {}), ("colour.png", colour, {"pnginfo": words, "icc_profile": profile}),
        ("wide.png", wide, {}), ("palette.png", colour.quantize(16), {"transparency": 3}),
        ("clear.png", colour.convert("RGBA"), {}), ("grey.jpg", grey, {}),
        ("photo.jpg", colour, {"exif": exif, "icc_profile": profile}),
        ("progressive.jpg", colour, {"progressive": True}), ("cmyk.jpg", colour.convert("CMYK"), {}),
        ("plain.tif", grey, {}), ("real.tif", real, {}), ("lzw.tif", colour, {"compression": "tiff_lzw"}),
        ("deflate.tif", wide, {"compression": "tiff_adobe_deflate"}),
        ("jpeg.tif", colour, {"compression": "jpeg"}), ("fax.tif", grey.convert("1"), {"compression": "group4"}),
    )  # fmt: skip
    for name, image, options in forms:
        out = io.BytesIO()
        image.save(out, format={"png": "PNG", "jpg": "JPEG", "tif": "TIFF"}[name[-3:]], **options)
        yield Seed(name, "picture", out.getvalue())


def _niftis() -> Iterator[Seed]:
    voxels = np.random.default_rng(3).integers(-1000, 1000, (8, 8, 3)).astype(np.int16).tobytes()
    one = bytearray(352)
    struct.pack_into("<i", one, 0, 348)
    struct.pack_into("<8h", one, 40, 3, 8, 8, 3, 1, 1, 1, 1)
    struct.pack_into("<h", one, 70, 4)
    struct.pack_into("<8f", one, 76, *[1.0] * 8)
    struct.pack_into("<3f", one, 108, 352, 1, 0)
    struct.pack_into("<2h", one, 252, 0, 1)
    struct.pack_into("<12f", one, 280, *np.eye(3, 4).ravel())
    one[344:348] = b"n+1\0"
    two = bytearray(544)
    struct.pack_into("<i8s", two, 0, 540, b"n+2\0\r\n\x1a\n")
    struct.pack_into("<h", two, 12, 4)
    struct.pack_into("<8q", two, 16, 3, 8, 8, 3, 1, 1, 1, 1)
    struct.pack_into("<8d", two, 104, *[1.0] * 8)
    struct.pack_into("<q2d", two, 168, 544, 1, 0)
    struct.pack_into("<2i", two, 344, 1, 0)
    for name, header in (("one", one), ("two", two)):
        yield Seed(f"{name}.nii", "nifti", bytes(header) + voxels)
        yield Seed(f"{name}.nii.gz", "nifti", gzip.compress(bytes(header) + voxels, mtime=0))


def _archives(folder: Path) -> Iterator[Seed]:
    series = write_series(folder / "series", SMALL, PatientName=PATIENT, StudyDate="20200101", StudyTime="101010",
                          StudyID="1", AccessionNumber="", PatientID="SYNTHETIC")  # fmt: skip
    yield Seed("stored.zip", "zip", _zip(series, zipfile.ZIP_STORED))
    yield Seed("deflated.zip", "zip", _zip(series, zipfile.ZIP_DEFLATED))
    yield Seed("lzma.zip", "zip", _zip(series, zipfile.ZIP_LZMA))
    media = FileSet()
    for path in series:
        media.add(path)
    media.write(folder / "media")
    # A folder travels as an archive that the test itself unpacks; what is mutated is one of its files.
    yield Seed("media", "folder", _zip(sorted(p for p in (folder / "media").rglob("*") if p.is_file()),
                                       zipfile.ZIP_STORED, folder / "media"))  # fmt: skip


def _zip(paths: list[Path], method: int, root: Path | None = None) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for path in paths:
            name = path.name if root is None else path.relative_to(root).as_posix()
            archive.writestr(zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0)), path.read_bytes(), method)
    return out.getvalue()
