"""DICOM objects as bytes: what their headers say, and the one form in which they are kept."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from aris.errors import ImageError, StoreError
from aris.imaging.dicom import parsing
from aris.imaging.dicom.quiet import quiet_pydicom
from aris.imaging.dicom.values import text as text
from aris.imaging.dicom.wholeness import is_cut_off
from aris.regular import Openable

# Ours for all versions, so that the same object is the same file.
IMPLEMENTATION_UID = "2.25.81827926043097871668665088929335946287"
IMPLEMENTATION_NAME = "ARIS"
_PIECE = 1 << 20
_UID = re.compile(r"[0-9]+(\.[0-9]+)+")


class ObjectError(StoreError):
    """Not a whole DICOM object with the UIDs that it needs."""


class MismatchError(ObjectError):
    """Not the object that was announced."""


def parse(data: bytes, source: str, *, pixels: bool = True) -> Any:
    """The dataset of a file's bytes.

    Raises:
        ObjectError: they are not a DICOM file, damaged, or inflated larger than any object is.
    """
    with quiet_pydicom():
        try:
            dataset = parsing.parse(data, source, pixels=pixels)
            _restore_syntax(dataset, data[:4096])
            known = "SOPClassUID" in dataset and "SOPInstanceUID" in dataset
        except ImageError as error:
            raise ObjectError(str(error)) from None
        except Exception:  # pydicom raises many kinds on damaged files
            known = False
    if not known:
        raise ObjectError(f"{source}: not a DICOM object, or damaged; send or export it again")
    return dataset


def parse_file(file: Openable, source: str, *, pixels: bool = False, defer: int | None = None) -> Any:
    """As `parse`, of a file of which no more is read than is wanted; see `parsing.parse_file`.

    Raises:
        ObjectError: as `parse`.
        StoreError: it cannot be read.
    """
    with quiet_pydicom():
        try:
            dataset = parsing.parse_file(file, source, pixels=pixels, defer=defer)
            with io.BufferedReader(file.raw()) as opened:
                _restore_syntax(dataset, opened.read(4096))
            known = "SOPClassUID" in dataset and "SOPInstanceUID" in dataset
        except ImageError as error:
            raise ObjectError(str(error)) from None
        except OSError as error:
            raise StoreError(f"{source}: cannot be read ({error.strerror}); restore it") from None
        except Exception:  # pydicom raises many kinds on damaged files
            known = False
    if not known:
        raise ObjectError(f"{source}: not a DICOM object, or damaged; send or export it again")
    return dataset


def read_located(file: Openable, source: str, *, defer: int) -> tuple[Any, int | None]:
    """As `parse_file` without pixels; also where in the file the header ends, None for a deflated one.

    Raises:
        ObjectError, StoreError: as `parse_file`.
    """
    dataset = parse_file(file, source, defer=defer)
    return dataset, getattr(dataset, "header_end", None)


def _restore_syntax(dataset: Any, head: bytes) -> None:
    """Restore the deflated transfer syntax of what was parsed as inflated."""
    from pydicom.uid import DeflatedExplicitVRLittleEndian

    if parsing.is_deflated(head):
        dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian


def number(dataset: Any, keyword: str) -> int | None:
    """An element's value as a whole number; None where there is none, or none that an index holds (32 bits)."""
    try:
        value = dataset.get(keyword)
        found = None if value is None or value == "" else int(value)
    except Exception:  # pydicom converts on access and raises many kinds
        return None
    return found if found is not None and abs(found) < 1 << 31 else None


def file_bytes(encoded: bytes, sop_class: str, uid: str, transfer_syntax: str) -> bytes:
    """An encoded dataset as a file (PS3.10): the same object makes the same bytes, whoever sent it.

    Args:
        encoded: the dataset in `transfer_syntax`, without file meta information.
    """
    from pydicom.dataset import FileMetaDataset
    from pydicom.filebase import DicomBytesIO
    from pydicom.filewriter import write_file_meta_info

    meta: Any = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = sop_class, uid
    meta.TransferSyntaxUID = transfer_syntax
    meta.ImplementationClassUID, meta.ImplementationVersionName = IMPLEMENTATION_UID, IMPLEMENTATION_NAME
    out = DicomBytesIO()
    write_file_meta_info(out, meta, enforce_standard=True)
    return b"\0" * 128 + b"DICM" + out.getvalue() + encoded


def byte_order(dataset: Any) -> str:
    """Of a dataset that was read from a file: "<" or ">"."""
    return "<" if getattr(dataset, "original_encoding", (None, True))[1] is not False else ">"


@dataclass(frozen=True)
class Identity:
    """Identity under which an object is filed."""

    uid: str
    sop_class: str
    series: str
    study: str
    transfer_syntax: str


def identity(dataset: Any, source: str) -> Identity:
    """An object's UIDs.

    Raises:
        ObjectError: one is missing or is no UID.
    """
    meta = getattr(dataset, "file_meta", None)
    found = {
        "uid": text(dataset, "SOPInstanceUID"),
        "sop_class": text(dataset, "SOPClassUID"),
        "series": text(dataset, "SeriesInstanceUID"),
        "study": text(dataset, "StudyInstanceUID"),
        "transfer_syntax": "" if meta is None else text(meta, "TransferSyntaxUID"),
    }
    for name, value in found.items():
        if not (_UID.fullmatch(value) and len(value) <= 64):
            raise ObjectError(f"{source}: its {name.replace('_', ' ')} UID is missing or wrong; export it again")
    return Identity(**found)


def canonical(data: bytes, known: Identity) -> bytes:
    """A file in the one form in which objects are kept: its dataset as it is, file meta information and preamble ours.

    Raises:
        ObjectError: it is not a DICOM file (PS3.10).
    """
    start = dataset_start(io.BytesIO(data))
    return file_bytes(data[start:], known.sop_class, known.uid, known.transfer_syntax)


def canonical_pieces(file: Openable, known: Identity) -> Iterator[bytes]:
    """As `canonical`, of a file that is read piece by piece."""
    with io.BufferedReader(file.raw()) as opened:
        start = dataset_start(opened)
        yield file_bytes(b"", known.sop_class, known.uid, known.transfer_syntax)
        opened.seek(start)
        while piece := opened.read(_PIECE):
            yield piece


def dataset_start(file: BinaryIO) -> int:
    """The position of a file's dataset, behind its meta information.

    Raises:
        ObjectError: it is not a DICOM file (PS3.10).
    """
    from pydicom.filereader import _read_file_meta_info, read_preamble

    try:
        read_preamble(file, force=False)
        _read_file_meta_info(file)
    except Exception:  # pydicom raises many kinds on damaged files
        raise ObjectError("object: not a DICOM file, or damaged; send or export it again") from None
    return file.tell()


def require_whole(file: BinaryIO, size: int, dataset: Any, source: str) -> None:
    """See that a file does not end before what it announces: the whole object has the same UID, and comes after it.

    Args:
        dataset: its header.

    Raises:
        ObjectError: it does.
    """
    from pydicom.uid import UID

    syntax = UID(text(getattr(dataset, "file_meta", None) or {}, "TransferSyntaxUID") or "1.2.840.10008.1.2")
    if syntax == "1.2.840.10008.1.2.1.99":
        return  # the end of its stream was seen as it was parsed
    implicit, little = syntax == "1.2.840.10008.1.2", byte_order(dataset) == "<"
    file.seek(0)
    start = dataset_start(file)
    frames = number(dataset, "NumberOfFrames") or 1
    if is_cut_off(file, size, start, implicit=implicit, little=little, frames=frames):
        raise ObjectError(f"{source}: its end is missing; copy or export it again")
