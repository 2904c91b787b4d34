"""The stored pixels of a DICOM data set: uncompressed, or through a decoder that can do no harm to this process."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

# In this order, and those that a transfer syntax is not for are passed over. Not GDCM: see `gdcm_child`.
_PLUGINS = ("pylibjpeg", "pyjpegls", "pydicom", "pillow")
_CHILD_SECONDS = 120
# All that decoding needs: nothing of the patient leaves this process.
_NEEDED = (
    "SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration", "Rows", "Columns", "BitsAllocated",
    "BitsStored", "HighBit", "PixelRepresentation", "PixelData",
)  # fmt: skip
_STDERR = threading.Lock()


class DecodeError(Exception):
    """No decoder reads these pixels: they are damaged, or in an encoding that none of them knows."""


def stored_values(dataset: Any) -> npt.NDArray[Any]:
    """Decode the pixels of one frame.

    Args:
        dataset: with Transfer Syntax UID, Image Pixel module and Pixel Data. One frame.

    Returns:
        (H, W) in a type that is signed as Pixel Representation says, or (H, W, 3) with YBR turned into RGB. Bits of a
        cell outside Bits Stored and High Bit (PS3.5 8.1.1), where old files keep overlays, are not in the values.

    Raises:
        DecodeError: as it says.
    """
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.pixels.utils import pixel_array

    if not dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        return _uncompressed(dataset)
    try:
        available = get_decoder(dataset.file_meta.TransferSyntaxUID).available_plugins
    except NotImplementedError:
        raise DecodeError from None
    with quiet_stderr():
        for plugin in (name for name in _PLUGINS if name in available):
            with contextlib.suppress(*_FAILURES):
                return np.asarray(pixel_array(dataset, decoding_plugin=plugin))
    if "gdcm" in available:
        return _by_gdcm(dataset)
    raise DecodeError


# What decoders raise on damaged or foreign streams. MemoryError is not among them.
_FAILURES = (RuntimeError, NotImplementedError, AttributeError, ValueError, KeyError, IndexError, OSError, TypeError,
             ArithmeticError, AssertionError)  # fmt: skip


def _uncompressed(dataset: Any) -> npt.NDArray[Any]:
    from pydicom.pixels.utils import pixel_array

    bits, high = int(dataset.BitsStored), int(dataset.get("HighBit", dataset.BitsStored - 1))
    shift = high + 1 - bits
    try:
        if shift <= 0 or high >= int(dataset.BitsAllocated):
            return np.asarray(pixel_array(dataset))
        # pydicom takes values to begin at bit 0. Read up to the high bit, then drop what lies below the values.
        dataset.BitsStored = high + 1
        return np.asarray(pixel_array(dataset) >> shift)
    except _FAILURES:
        raise DecodeError from None
    finally:
        dataset.BitsStored = bits


def _by_gdcm(dataset: Any) -> npt.NDArray[Any]:
    from pydicom.dataset import Dataset, FileMetaDataset

    bare = Dataset()
    bare.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"  # Secondary Capture; a file must have one
    bare.SOPInstanceUID = "2.25.1"
    bare.file_meta = FileMetaDataset()
    bare.file_meta.TransferSyntaxUID = dataset.file_meta.TransferSyntaxUID
    sent = io.BytesIO()
    child = [sys.executable, "-P", str(Path(__file__).with_name("gdcm_child.py"))]
    try:
        for keyword in (name for name in _NEEDED if name in dataset):
            bare[keyword] = dataset[keyword]
        bare.save_as(sent, enforce_file_format=True)
        done = subprocess.run(child, input=sent.getvalue(), capture_output=True, timeout=_CHILD_SECONDS, check=True)
        return np.asarray(np.load(io.BytesIO(done.stdout), allow_pickle=False))
    except (subprocess.SubprocessError, EOFError, *_FAILURES):
        raise DecodeError from None


def inflated_size_within(data: bytes, limit: int) -> bool:
    """Whether a file in the Deflated transfer syntax has at most `limit` bytes inflated; True for all other files."""
    if b"1.2.840.10008.1.2.1.99" not in data[132:1024]:
        return True
    start = 144 + int.from_bytes(data[140:144], "little")  # the length of group 0002, its first element
    inflating = zlib.decompressobj(-zlib.MAX_WBITS)
    size, rest = 0, data[start:]
    try:
        while rest and not inflating.eof and size <= limit:
            size += len(inflating.decompress(rest, 1 << 24))
            rest = inflating.unconsumed_tail
    except zlib.error:
        return True  # damaged: the reader says so
    return size <= limit


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """Send what C libraries (libtiff, libjpeg, OpenJPEG) write to file descriptor 2 nowhere.

    The descriptor is the whole process's, so this is held only while one image is decoded.
    """
    with _STDERR:
        try:
            kept = os.dup(2)
        except OSError:  # no stderr: nothing to keep quiet
            yield
            return
        try:
            with Path(os.devnull).open("wb") as nowhere:
                os.dup2(nowhere.fileno(), 2)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
