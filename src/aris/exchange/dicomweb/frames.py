"""Frames of an object's pixels: as they are stored, or decoded to plain little-endian bytes (PS3.18 8.7.3.3)."""

from __future__ import annotations

from typing import Any

import numpy as np

from aris.exchange.dicomweb.media import COMPRESSED, EXPLICIT, IMPLICIT, OCTETS, MediaRange
from aris.exchange.dicomweb.metadata import turned, width
from aris.exchange.dicomweb.problems import WebError, not_acceptable, not_found
from aris.imaging.dicom import codecs, fragments, frames
from aris.store.objects import byte_order

# Of one answer's decoded pixels: what is larger is retrieved as it is stored.
DECODED_BYTES = 2 << 30
_FLOATS = {"FloatPixelData": 32, "DoubleFloatPixelData": 64}
_LOSSY = ("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.4.81", "1.2.840.10008.1.2.4.91",
          "1.2.840.10008.1.2.4.93", "1.2.840.10008.1.2.4.112", "1.2.840.10008.1.2.4.203")  # fmt: skip


def count(dataset: Any) -> int:
    """Count the frames.

    Raises:
        WebError: 404, the object has no pixels.
    """
    if not any(name in dataset for name in ("PixelData", *_FLOATS)):
        raise not_found()
    return total(dataset)


def total(dataset: Any) -> int:
    """Count the frames of an object with pixels.

    Raises:
        WebError: 406, its number is wrong.
    """
    try:
        return frames.count(dataset)
    except codecs.DecodeError:
        raise not_acceptable("the object's number of frames is wrong") from None


def bits_of_frame(dataset: Any, keyword: str) -> int:
    """Bits of one uncompressed frame."""
    bits = _FLOATS.get(keyword) or int(dataset.BitsAllocated)
    length = int(dataset.Rows) * int(dataset.Columns) * int(dataset.get("SamplesPerPixel") or 1) * bits
    return length // 3 * 2 if str(dataset.get("PhotometricInterpretation")) == "YBR_FULL_422" else length


def shifted(data: bytes, first: int, bits: int) -> bytes:
    """So many bits, from a first one on: frames of single bits follow each other without a gap (PS3.5 8.1.1)."""
    if first == 0 and bits % 8 == 0:
        return data
    cut = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")[first : first + bits]
    return np.packbits(cut, bitorder="little").tobytes()


def numbers(text: str, most: int) -> list[int]:
    """Frame numbers of a path, as "1,2,5", from 1; here from 0.

    Raises:
        WebError: 400, it is no such list; 404, there is no such frame.
    """
    parts = text.split(",")
    if not all(part.isascii() and part.isdigit() and len(part) < 8 for part in parts) or len(parts) > 100_000:
        raise WebError(400, "frames are numbers from 1 on, separated by commas")
    found = [int(part) - 1 for part in parts]
    if not all(0 <= each < most for each in found):
        raise not_found()
    return found


def form(ranges: list[MediaRange], stored: str, several: bool) -> tuple[str, str, bool]:
    """Choose the form of frames: media type, transfer syntax, and whether as multipart.

    Args:
        ranges: what is accepted, the most preferred first.
        stored: the object's transfer syntax.
        several: more than one frame, which only a multipart body holds.

    Raises:
        WebError: 406, in no accepted form.
    """
    as_stored = COMPRESSED.get(stored)
    for each in ranges:
        if several and not each.multipart and each.kind != "*/*":
            continue
        multipart = each.multipart or each.kind == "*/*"
        syntax = each.transfer_syntax
        # "*/*" prefers plain bytes, unless any transfer syntax will do.
        takes = as_stored is not None and each.takes(as_stored) and (each.kind != "*/*" or syntax == "*")
        if as_stored is not None and takes and syntax in (None, "*", stored):
            return as_stored, stored, multipart
        if each.takes(OCTETS):
            if syntax in ("*", stored) and as_stored is not None:
                return (as_stored if syntax == "*" else OCTETS), stored, multipart
            if syntax in (None, "*", EXPLICIT, IMPLICIT):
                return OCTETS, EXPLICIT, multipart
    raise not_acceptable(
        f"the frames are given as {OCTETS}" + (f" or, as they are stored, {as_stored}" if as_stored else "")
    )


def stored_frame(dataset: Any, index: int) -> bytes:
    """Return a frame of compressed pixels, without the delimiters of its fragments.

    Raises:
        WebError: 406, it cannot be cut out.
    """
    try:
        found = fragments.frames(dataset.PixelData, frames.count(dataset), frames.offset_tables(dataset))
        return fragments.joined(dataset.PixelData, found[index])
    except Exception:  # damaged objects fail in many ways
        raise not_acceptable("the object's pixels are damaged") from None


def plain_frame(dataset: Any, index: int) -> bytes:
    """Return a frame in Explicit VR Little Endian: colours by pixel, and as RGB where they were compressed as YBR.

    Raises:
        WebError: 406, no decoder reads it, or it is damaged.
    """
    try:
        if not dataset.file_meta.TransferSyntaxUID.is_encapsulated:
            return _native(dataset, index)
        return little_endian(decoded(dataset, index))
    except (codecs.DecodeError, AttributeError, TypeError, ValueError):
        raise not_acceptable("the object's pixels are damaged, or in an encoding that is not read") from None


def decoded(dataset: Any, index: int) -> np.ndarray[Any, Any]:
    """Decode a compressed frame to values (H, W) or (H, W, 3).

    Raises:
        DecodeError: it cannot be decoded.
        WebError: 406, the pixels are too many.
    """
    if int(dataset.Rows) * int(dataset.Columns) * int(dataset.SamplesPerPixel) > DECODED_BYTES >> 3:
        raise not_acceptable("the image is too large to be decoded; ask for it with transfer-syntax=*")
    (frame,) = frames.split(dataset, [index])
    return codecs.stored_values(frame)


def memory(dataset: Any) -> int:
    """Bytes that decoding or displaying one frame takes, or about so many."""
    try:
        cells = int(dataset.Rows) * int(dataset.Columns) * int(dataset.get("SamplesPerPixel") or 1)
    except (AttributeError, TypeError, ValueError):
        return 1 << 20
    return 12 * cells + (1 << 20)


def little_endian(values: np.ndarray[Any, Any]) -> bytes:
    """Values as bytes."""
    return np.ascontiguousarray(values, values.dtype.newbyteorder("<")).tobytes()


def is_lossy(syntax: str) -> bool:
    """Return whether pixels in this transfer syntax have lost something."""
    return syntax in _LOSSY


def _native(dataset: Any, index: int) -> bytes:
    name = next(each for each in ("PixelData", *_FLOATS) if each in dataset)
    bits = _FLOATS.get(name) or int(dataset.BitsAllocated)
    length = int(dataset.Rows) * int(dataset.Columns) * int(dataset.SamplesPerPixel) * bits
    if str(dataset.get("PhotometricInterpretation")) == "YBR_FULL_422":
        length = length // 3 * 2
    element = dataset[name]
    # Whole, as a word may lie in two frames.
    data: bytes = turned(element.value, width(dataset, element)) if byte_order(dataset) == ">" else element.value
    if len(data) * 8 < length * (index + 1):
        raise codecs.DecodeError
    if bits == 1:
        # Frames of single bits follow each other without a gap (PS3.5 8.1.1).
        start = index * length
        part = np.frombuffer(data, np.uint8, (start + length + 7) // 8 - start // 8, start // 8)
        cut = np.unpackbits(part, bitorder="little")[start % 8 : start % 8 + length]
        return np.packbits(cut, bitorder="little").tobytes()
    size = length // 8
    return data[index * size : (index + 1) * size]
