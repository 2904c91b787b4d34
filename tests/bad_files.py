"""Files that are not what they say: each maker writes one into a folder and returns its path."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless, generate_uid

DX = "1.2.840.10008.5.1.4.1.1.1.1"


def dicom(folder: Path, stored: np.ndarray | None = None, name: str = "film.dcm", **elements: Any) -> Path:
    """A DX file; `stored` (H, W) in its own dtype, and any element by keyword (None leaves it out)."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = DX
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[name])  # the same file at each run
    dataset = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    stored = np.arange(80 * 100, dtype=np.uint16).reshape(80, 100) % 4096 if stored is None else stored
    given: dict[str, Any] = {
        "SOPClassUID": DX,
        "SOPInstanceUID": meta.MediaStorageSOPInstanceUID,
        "PatientName": "Secret^Name",
        "PatientID": "ID-4711",
        "Modality": "DX",
        "Rows": stored.shape[0],
        "Columns": stored.shape[1],
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": stored.dtype.itemsize * 8,
        "BitsStored": 12 if stored.dtype.itemsize == 2 else 8,
        "PixelRepresentation": int(stored.dtype.kind == "i"),
        "PixelData": stored.tobytes(),
    } | elements
    given.setdefault("HighBit", given["BitsStored"] - 1)
    for key, value in given.items():
        if value is not None:
            setattr(dataset, key, value)
    path = folder / name
    dataset.save_as(path, enforce_file_format=True)
    return path


def truncated_png(folder: Path) -> Path:
    path = folder / "truncated.png"
    noise = np.random.default_rng(0).integers(0, 256, (200, 200), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:9000])
    return path


def zero_byte(folder: Path) -> Path:
    path = folder / "empty.png"
    path.write_bytes(b"")
    return path


def text_named_dcm(folder: Path) -> Path:
    path = folder / "notes.dcm"
    path.write_text("Patient was seen on Monday. This is not an image.\n" * 20)
    return path


def dicom_without_pixels(folder: Path) -> Path:
    return dicom(folder, name="report.dcm", PixelData=None, SOPClassUID="1.2.840.10008.5.1.4.1.1.88.11", Modality="SR")


def huge_png(folder: Path) -> Path:
    """20,000 x 20,000 by its header; a few kilobytes on disk."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 0, 0, 0, 0)
    row = zlib.compress(bytes(20_001) * 50)
    path = folder / "huge.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", row) + chunk(b"IEND", b""))
    return path


def huge_dicom(folder: Path) -> Path:
    return dicom(folder, name="huge.dcm", Rows=20_000, Columns=20_000)


def pdf_named_png(folder: Path) -> Path:
    path = folder / "letter.png"
    path.write_bytes(b"%PDF-1.7\n" + bytes(500))
    return path


def ct_slice(folder: Path) -> Path:
    return dicom(folder, name="ct.dcm", Modality="CT")


def two_frames(folder: Path) -> Path:
    return dicom(folder, np.zeros((20, 30), dtype=np.uint16), name="frames.dcm", NumberOfFrames=2)


def truncated_dicom(folder: Path) -> Path:
    path = dicom(folder, name="short.dcm")
    path.write_bytes(path.read_bytes()[:9000])
    return path


def truncated_jpeg(folder: Path) -> Path:
    return _cut(folder / "short.jpg", 0.5)


def truncated_tiff(folder: Path) -> Path:
    """Compressed, so that libtiff meets it: the library writes to stderr by itself."""
    return _cut(folder / "short.tif", 0.5, compression="tiff_lzw")


def _cut(path: Path, share: float, **options: Any) -> Path:
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (100, 120), dtype=np.uint8)).save(path, **options)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    return path


def zip_named_png(folder: Path) -> Path:
    path = folder / "films.png"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("film.txt", "film")
    return path


def gguf_named_png(folder: Path) -> Path:
    path = folder / "weights.png"
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, 0))
    return path


def nifti_named_png(folder: Path) -> Path:
    path = folder / "volume.png"
    path.write_bytes(struct.pack("<i", 348) + bytes(340) + b"n+1\0" + bytes(400))
    return path


def animated_png(folder: Path) -> Path:
    path = folder / "animated.png"
    dark = Image.fromarray(np.zeros((20, 20), dtype=np.uint8))
    dark.save(path, save_all=True, append_images=[Image.fromarray(np.full((20, 20), 200, dtype=np.uint8))])
    return path


def dicomdir(folder: Path) -> Path:
    record = pydicom.Dataset()
    record.DirectoryRecordType = "PATIENT"
    record.PatientName = "Secret^Name"
    return dicom(
        folder, name="DICOMDIR", PixelData=None, Modality=None, SOPClassUID="1.2.840.10008.1.3.10",
        DirectoryRecordSequence=pydicom.Sequence([record]),
    )  # fmt: skip


def lossless_jpeg(
    folder: Path, stored: np.ndarray, name: str = "lossless.dcm", syntax: str = "JPEGLosslessProcess14_1"
) -> Path:
    """A good film in JPEG Lossless, as many detectors send it, or in another of GDCM's transfer syntaxes."""
    import gdcm

    reader, writer, change = gdcm.ImageReader(), gdcm.ImageWriter(), gdcm.ImageChangeTransferSyntax()
    reader.SetFileName(str(dicom(folder, stored, name=f"plain-{name}", WindowCenter=2000, WindowWidth=3000)))
    assert reader.Read()
    change.SetTransferSyntax(gdcm.TransferSyntax(getattr(gdcm.TransferSyntax, syntax)))
    change.SetInput(reader.GetImage())
    assert change.Change()
    path = folder / name
    writer.SetFileName(str(path))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()
    return path


def damaged_lossless_jpeg(folder: Path) -> Path:
    """Its frame header says 74 bits, on which GDCM ends its process with a segmentation fault."""
    path = lossless_jpeg(folder, np.arange(60 * 50, dtype=np.uint16).reshape(60, 50), "damaged.dcm")
    raw = bytearray(path.read_bytes())
    raw[raw.index(b"\xff\xc3") + 4] = 74
    path.write_bytes(bytes(raw))
    return path


def swollen_jpeg_2000(folder: Path) -> Path:
    """Half a kilobyte that decodes to 8,000 x 8,000 pixels, under a header that says 50 x 60."""
    stream = io.BytesIO()
    Image.new("L", (8000, 8000)).save(stream, format="JPEG2000", no_jp2=True)
    path = dicom(folder, np.zeros((60, 50), dtype=np.uint8), name="swollen.dcm")
    dataset = pydicom.dcmread(path)
    dataset.PixelData = pydicom.encaps.encapsulate([stream.getvalue()])
    dataset["PixelData"].VR = "OB"
    dataset.file_meta.TransferSyntaxUID = JPEG2000Lossless
    dataset.save_as(path)
    return path


# Each with words that its error must say.
BAD: dict[str, tuple[Callable[[Path], Path], str]] = {
    "truncated PNG": (truncated_png, "truncated or damaged"),
    "zero bytes": (zero_byte, "empty"),
    "text named .dcm": (text_named_dcm, "text file"),
    "DICOM without pixels": (dicom_without_pixels, "Basic Text SR Storage has no pixels"),
    "20,000 x 20,000 PNG": (huge_png, "are too many"),
    "20,000 x 20,000 DICOM": (huge_dicom, "20,000 x 20,000"),
    "PDF named .png": (pdf_named_png, "a PDF"),
    "CT slice": (ct_slice, "CT slice"),
    "two frames": (two_frames, "2 frames"),
    "truncated DICOM": (truncated_dicom, "truncated, damaged"),
    "truncated JPEG": (truncated_jpeg, "JPEG is truncated or damaged"),
    "truncated TIFF": (truncated_tiff, "TIFF is truncated or damaged"),
    "zip named .png": (zip_named_png, "a zip archive"),
    "GGUF named .png": (gguf_named_png, "model weights"),
    "NIfTI named .png": (nifti_named_png, "a NIfTI volume"),
    "animated PNG": (animated_png, "2 frames"),
    "DICOMDIR": (dicomdir, "this is a DICOMDIR"),
    "JPEG 2000 larger than its header says": (swollen_jpeg_2000, "truncated, damaged"),
    "JPEG on which the decoder crashes": (damaged_lossless_jpeg, "truncated, damaged"),
}


def monochrome1_with_voi_lut(folder: Path) -> tuple[Path, np.ndarray]:
    """12 bits, MONOCHROME1, with a VOI LUT Sequence and a window that must lose against it; and what must be shown."""
    stored = np.linspace(0, 4095, 64 * 48).reshape(64, 48).astype(np.uint16)
    table = (np.sqrt(np.arange(4096) / 4095) * 1023).round().astype(np.uint16)  # a curve, 10 bits
    item = pydicom.Dataset()
    item.LUTDescriptor = [4096, 0, 10]
    item.LUTData = table.tobytes()
    path = dicom(
        folder, stored, name="voi.dcm", PhotometricInterpretation="MONOCHROME1",
        VOILUTSequence=pydicom.Sequence([item]), WindowCenter=100, WindowWidth=10, PresentationLUTShape="INVERSE",
    )  # fmt: skip
    shown = 255 - np.rint(table[stored].astype(np.float64) / 1023 * 255)
    return path, shown.astype(np.uint8)
