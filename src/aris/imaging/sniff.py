"""Recognition of file formats by their first bytes."""

from __future__ import annotations

from typing import Literal

from aris.errors import ImageError
from aris.imaging.dicom.parsing import parse
from aris.imaging.dicom.quiet import quiet_pydicom

Kind = Literal["dicom", "png", "jpeg", "tiff", "webp", "unknown"]

SUFFIXES: dict[str, Kind] = {
    ".dcm": "dicom",
    ".dicom": "dicom",
    ".png": "png",
    ".jpg": "jpeg",
    ".jpeg": "jpeg",
    ".tif": "tiff",
    ".tiff": "tiff",
    ".webp": "webp",
}
# Files that are met by mistake: (offset, bytes) -> what they are and what to do.
_FOREIGN: tuple[tuple[int, bytes, str], ...] = (
    (0, b"%PDF", "a PDF; export the image as DICOM or PNG"),
    (0, b"PK\x03\x04", "a zip archive (or an Office file); unpack it and give the image"),
    (0, b"\x1f\x8b", "a gzip file; unpack it (NIfTI volumes are not read as one film)"),
    (0, b"GGUF", "model weights (GGUF); give an image, and the model with --model"),
    (0, b"GIF8", "a GIF; save the image as PNG"),
    (0, b"BM", "a BMP; save the image as PNG"),
    (0, b"\x00\x00\x00\x0cjP  ", "a JPEG 2000 image outside DICOM; save it as PNG"),
    (0, b"\xff\xd8\xff\xf7", "a JPEG-LS image outside DICOM; save it as PNG"),
    (0, b"\xff\x4f\xff\x51", "a JPEG 2000 stream outside DICOM; save it as PNG"),
    (344, b"n+1\x00", "a NIfTI volume; give one film"),
    (344, b"ni1\x00", "a NIfTI header; give one film"),
    (4, b"ftyp", "an HEIC, AVIF or video file; save the image as PNG"),
    (0, b"\x89HDF", "an HDF5 file; export the image as DICOM or PNG"),
    (0, b"\x93NUMPY", "a NumPy array; save the image as PNG"),
    (0, b"\x7fELF", "a program; give an image file"),
)


def kind_of(data: bytes) -> Kind:
    """The kind of image, or "unknown"."""
    if data[128:132] == b"DICM":
        return "dicom"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if data.startswith(b"\xff\xd8\xff") and not data.startswith(b"\xff\xd8\xff\xf7"):
        return "jpeg"
    if data[:4] in (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+"):
        return "tiff"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    if not any(data[at : at + len(magic)] == magic for at, magic, _ in _FOREIGN) and _is_bare_dicom(data):
        return "dicom"
    return "unknown"


def only_dicom(head: bytes) -> None:
    """Check that a file's first bytes are those of DICOM.

    Raises:
        ImageError: they are not; it says what the file is.
    """
    if kind_of(head) != "dicom":
        raise ImageError(complaint(head))


def complaint(data: bytes) -> str:
    """Say what an unreadable file is, and what to do."""
    for at, magic, words in _FOREIGN:
        if data[at : at + len(magic)] == magic:
            return f"this is {words}"
    try:
        text = data[:4096].decode("utf-8")
    except UnicodeDecodeError as error:
        text = data[: error.start].decode("utf-8") if error.start > 4000 else ""
    if text and sum(c.isprintable() or c.isspace() for c in text) > 0.95 * len(text):
        return "this is a text file, not an image; give a DICOM, PNG, JPEG, WebP or TIFF file"
    return "not an image that Aris reads; give a DICOM, PNG, JPEG, WebP or TIFF file"


def _is_bare_dicom(data: bytes) -> bool:
    """Return whether a file without preamble begins with DICOM elements of group 0002 or 0008, in order."""
    # Cheap first: little-endian group 2 or 8, and an element number that those groups begin with.
    if data[:2] not in (b"\x02\x00", b"\x08\x00") or data[3:4] != b"\x00":
        return False
    try:
        with quiet_pydicom():
            dataset = parse(data, "", pixels=False)
            return "SOPClassUID" in dataset or "Modality" in dataset
    except Exception:  # what pydicom raises on bytes that are not DICOM, here and when values are converted
        return False
