"""The stored pixels of a DICOM data set: uncompressed, or through a decoder that can do no harm to this process."""

from __future__ import annotations

import contextlib
import io
import os
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from aris.imaging.dicom import fragments

# In this order, and those that a transfer syntax is not for are passed over. Not GDCM: see `gdcm_child`.
_PLUGINS = ("pylibjpeg", "pyjpegls", "pydicom", "pillow")
_CHILD_SECONDS = 120
# All that decoding needs: nothing of the patient leaves this process.
_NEEDED = (
    "SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration", "Rows", "Columns", "BitsAllocated",
    "BitsStored", "HighBit", "PixelRepresentation", "PixelData",
)  # fmt: skip
# SOF0 to SOF15 and SOF55, without DHT, JPG and DAC, which lie between.
_FRAME_HEADERS = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}
_STDERR = threading.Lock()
_ITEM, _MAX_FRAGMENTS = b"\xfe\xff\x00\xe0", 100_000
_NO_TABLE = _ITEM + bytes(4)  # an empty Basic Offset Table
# RLE and Deflated Image Frame pack the cells as they are, bits that are not used included.
_PACKED_CELLS = ("1.2.840.10008.1.2.5", "1.2.840.10008.1.2.8.1")


class DecodeError(Exception):
    """No decoder reads these pixels: they are damaged, or in an encoding that none of them knows."""


def stored_values(dataset: Any) -> npt.NDArray[Any]:
    """Decode the pixels of one frame; of uncompressed ones, of all frames.

    Args:
        dataset: with Transfer Syntax UID, Image Pixel module and Pixel Data.

    Returns:
        (H, W) in the type that Bits Allocated and Pixel Representation say, or (H, W, 3) with YBR turned into RGB. Bits
        of a cell outside Bits Stored and High Bit (PS3.5 8.1.1), where old files keep overlays, are not in the values,
        whether the cells are native or a stream's that is wider than the header says; signed values keep their sign.

    Raises:
        DecodeError: as it says.
    """
    try:
        bits, high = int(dataset.BitsStored), int(dataset.get("HighBit", dataset.BitsStored - 1))
        allocated = int(dataset.BitsAllocated)
    except _FAILURES:
        raise DecodeError from None
    compressed = dataset.file_meta.TransferSyntaxUID.is_encapsulated
    if compressed:
        dataset = _one_stream(dataset)
    shift = high + 1 - bits
    if shift <= 0 or high >= allocated or not _in_cells(dataset, high):
        return _within(_decoded(dataset), dataset, bits)
    # Decoders take values to begin at bit 0. Read up to the high bit, then drop what lies below the values.
    dataset.BitsStored, dataset.HighBit = high + 1, high
    try:
        return _within(_decoded(dataset) >> shift, dataset, bits)
    finally:
        dataset.BitsStored, dataset.HighBit = bits, high


def _decoded(dataset: Any) -> npt.NDArray[Any]:
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.pixels.utils import pixel_array

    if not dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        try:
            return np.asarray(pixel_array(dataset))
        except _FAILURES:
            raise DecodeError from None
    try:
        available = get_decoder(dataset.file_meta.TransferSyntaxUID).available_plugins
    except NotImplementedError:
        raise DecodeError from None
    if not _size_as_declared(dataset):
        raise DecodeError
    with quiet_stderr():
        for plugin in (name for name in _PLUGINS if name in available):
            try:
                return np.asarray(pixel_array(dataset, decoding_plugin=plugin))
            except _FAILURES:
                continue
            except BaseException as error:
                # What a decoder in Rust raises where it would abort is no Exception.
                if type(error).__name__ != "PanicException":
                    raise
    if "gdcm" in available:
        return _by_gdcm(dataset)
    raise DecodeError


def _one_stream(dataset: Any) -> Any:
    """The data set with its frame's stream in one fragment and without offset tables, which may be wrong."""
    from pydicom.dataset import Dataset
    from pydicom.encaps import encapsulate

    # A list of empty fragments would be walked item by item.
    if dataset.PixelData.count(_ITEM) > _MAX_FRAGMENTS:
        raise DecodeError
    try:
        (spans,) = fragments.frames(dataset.PixelData, 1)
        bare: Any = Dataset()
        for keyword in (name for name in _NEEDED if name in dataset):
            bare[keyword] = dataset[keyword]
        if not (dataset.PixelData.startswith(_NO_TABLE) and len(spans) == 1):
            bare.add_new("PixelData", "OB", encapsulate([fragments.joined(dataset.PixelData, spans)], has_bot=False))
            bare["PixelData"].is_undefined_length = True
    except _FAILURES:
        raise DecodeError from None
    bare.file_meta = dataset.file_meta
    bare.set_original_encoding(*dataset.original_encoding, None)
    return bare


def _in_cells(dataset: Any, high: int) -> bool:
    """Return whether the header's bit positions hold for decoded values.

    They do for native cells, and for codecs that pack cells as they are; of JPEG streams where they are that wide.
    """
    if dataset.file_meta.TransferSyntaxUID in (*_PACKED_CELLS, *_native()):
        return True
    precision = _precision(dataset)
    return precision is not None and precision > high


def _precision(dataset: Any) -> int | None:
    try:
        (spans,) = fragments.frames(dataset.PixelData, 1)
    except ValueError:
        return None
    return stream_precision(fragments.joined(dataset.PixelData, spans))


def _native() -> tuple[str, ...]:
    from pydicom.uid import UncompressedTransferSyntaxes

    return tuple(UncompressedTransferSyntaxes)


def _within(values: npt.NDArray[Any], dataset: Any, bits: int) -> npt.NDArray[Any]:
    """The values cut to so many bits, in the type that the header says."""
    allocated, signed = int(dataset.BitsAllocated), int(dataset.get("PixelRepresentation") or 0) == 1
    if values.dtype.kind not in "iu" or not 0 < bits <= 64:
        return values
    low, top = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    wide = np.iinfo(values.dtype)
    if (wide.min < low or wide.max > top) and (int(values.min()) < low or int(values.max()) > top):
        if str(dataset.PhotometricInterpretation).startswith("YBR"):
            values = np.clip(values, low, top)  # turned into RGB: what is beyond is no bit of the cells
        else:
            unsigned = values.view(values.dtype.str.replace("i", "u")) & np.array((1 << bits) - 1, f"u{wide.bits // 8}")
            # Two's complement of so many bits: its upper half is below zero.
            wider = unsigned.astype(np.int64)
            values = np.where(wider > top, wider - (1 << bits), wider) if signed else unsigned
    wanted = np.dtype(f"{'i' if signed else 'u'}{max(8, allocated) // 8}")
    return values if values.dtype.newbyteorder("=") == wanted else values.astype(wanted)


# What decoders raise on damaged or foreign streams. MemoryError is not among them.
_FAILURES = (RuntimeError, NotImplementedError, AttributeError, ValueError, KeyError, IndexError, OSError, TypeError,
             ArithmeticError, AssertionError)  # fmt: skip


def _size_as_declared(dataset: Any) -> bool:
    """Return whether a JPEG, JPEG-LS or JPEG 2000 stream has the header's Rows and Columns; True for all other streams.

    Decoders take memory for what the stream declares: some hundred bytes may ask for gigabytes.
    """
    try:
        (spans,) = fragments.frames(dataset.PixelData, 1)
    except ValueError:
        return False
    stream = fragments.joined(dataset.PixelData, spans)
    size = stream_size(stream)
    return size is None or size == (int(dataset.Columns), int(dataset.Rows), int(dataset.SamplesPerPixel))


def stream_size(stream: bytes) -> tuple[int, int, int] | None:
    """Columns, rows and components that a JPEG, JPEG-LS or JPEG 2000 stream declares; None if it is no such stream."""
    if stream.startswith(b"\xff\xd8"):
        return _jpeg_size(stream)
    # The SIZ segment follows at once (ISO/IEC 15444-1 A.5.1); in a JP2 file the codestream lies in a box.
    start = stream.find(b"\xff\x4f\xff\x51") if stream[4:8] == b"jP  " else 0
    if start < 0 or stream[start : start + 4] != b"\xff\x4f\xff\x51" or len(stream) < start + 42:
        return None
    right, bottom, left, top = struct.unpack_from(">4I", stream, start + 8)
    (components,) = struct.unpack_from(">H", stream, start + 40)
    return right - left, bottom - top, components


def stream_precision(stream: bytes) -> int | None:
    """Bits of a sample that a JPEG, JPEG-LS or JPEG 2000 stream declares; None if it is no such stream."""
    if stream.startswith(b"\xff\xd8"):
        at = _jpeg_header(stream)
        return None if at is None else stream[at + 4]
    start = stream.find(b"\xff\x4f\xff\x51") if stream[4:8] == b"jP  " else 0
    if start < 0 or stream[start : start + 4] != b"\xff\x4f\xff\x51" or len(stream) < start + 43:
        return None
    return (stream[start + 42] & 0x7F) + 1  # Ssiz of the first component (ISO/IEC 15444-1 A.5.1)


def _jpeg_size(stream: bytes) -> tuple[int, int, int] | None:
    """From the frame header (ISO/IEC 10918-1 B.2.2, 14495-1 C.2.2)."""
    at = _jpeg_header(stream)
    if at is None:
        return None
    rows, columns, components = struct.unpack_from(">HHB", stream, at + 5)
    return columns, rows, components


def _jpeg_header(stream: bytes) -> int | None:
    """Find the position of the frame header's marker."""
    at = 2
    while at + 10 <= len(stream):
        if stream[at] != 0xFF:
            return None
        marker = stream[at + 1]
        if marker == 0xFF:  # fill
            at += 1
        elif marker in _FRAME_HEADERS:
            return at
        else:
            at += 2 + int.from_bytes(stream[at + 2 : at + 4])
    return None


def _by_gdcm(dataset: Any) -> npt.NDArray[Any]:
    from pydicom.dataset import Dataset, FileMetaDataset

    bare = Dataset()
    bare.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"  # Secondary Capture; a file must have one
    bare.SOPInstanceUID = "2.25.1"
    bare.file_meta = FileMetaDataset()
    bare.file_meta.TransferSyntaxUID = dataset.file_meta.TransferSyntaxUID
    sent = io.BytesIO()
    try:
        for keyword in (name for name in _NEEDED if name in dataset):
            bare[keyword] = dataset[keyword]
        if (precision := _precision(dataset) or 0) > int(bare.BitsStored):
            # It ends its process over a stream that is wider than the header says.
            allocated = max(int(bare.BitsAllocated), 8 if precision <= 8 else 16)
            # New elements: those of the data set are its own.
            bare.add_new("BitsAllocated", "US", allocated)
            bare.add_new("BitsStored", "US", precision)
            bare.add_new("HighBit", "US", precision - 1)
        bare.save_as(sent, enforce_file_format=True)
    except _FAILURES:
        raise DecodeError from None
    kept: _GdcmChild | None = getattr(_KEPT, "child", None)
    if kept is not None:
        return kept.decode(sent.getvalue())
    with _GdcmChild() as child:
        return child.decode(sent.getvalue())


class _GdcmChild:
    """GDCM in a process (see `gdcm_child`) that is started when it is first needed, and again if a stream ended it."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> _GdcmChild:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def decode(self, data: bytes) -> npt.NDArray[Any]:
        """The values of one frame.

        Raises:
            DecodeError: the stream is damaged, ended the process or took too long.
        """
        if self._process is None:
            path = str(Path(__file__).with_name("gdcm_child.py"))
            self._process = subprocess.Popen(
                [sys.executable, "-P", path],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            )  # fmt: skip
        process = self._process
        assert process.stdin is not None and process.stdout is not None
        # Killed, its pipes end and the reading below returns.
        late = threading.Timer(_CHILD_SECONDS, process.kill)
        late.start()
        in_step = False
        try:
            process.stdin.write(len(data).to_bytes(8, "little") + data)
            process.stdin.flush()
            head = process.stdout.read(8)
            length = int.from_bytes(head, "little")
            answer = process.stdout.read(length)
            in_step = len(head) == 8 and len(answer) == length  # else its pipe has ended, and so has it
            if not answer or len(answer) < length:
                raise DecodeError
            return np.asarray(np.load(io.BytesIO(answer), allow_pickle=False))
        except (EOFError, *_FAILURES):
            raise DecodeError from None
        finally:
            late.cancel()
            if not in_step:
                self.__exit__()


_KEPT = threading.local()


@contextlib.contextmanager
def kept_child() -> Iterator[None]:
    """Within this, one process decodes all of the thread's images that need one: a series has hundreds."""
    if getattr(_KEPT, "child", None) is not None:
        yield
        return
    with _GdcmChild() as child:
        _KEPT.child = child
        try:
            yield
        finally:
            _KEPT.child = None


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
