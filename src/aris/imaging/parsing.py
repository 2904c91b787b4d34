"""DICOM bytes to pydicom's data set, within bounds: pydicom itself takes what time and memory a file asks for.

A few hundred kilobytes of a deflated file may inflate to gigabytes, and a megabyte of zeros is 131,072 elements. So
what is inflated is inflated here, with a limit; every read of the parser is counted; and sequences and long texts,
which pydicom would convert when they are first used, are bounded beforehand in files that could hold much.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aris.errors import ImageError

# An uncompressed image of the largest size that is read, in 32-bit cells, fits.
MAX_INFLATED = 1 << 29
# Reads of the parser, two or three an element: some seconds. A slide of 100,000 tiles, each with its place, takes three
# millions, but it is large: one read more is given for each 200 bytes.
MAX_READS, _BYTES_A_READ = 1_500_000, 200
_ZEROS, _COST_OF_ZEROS = bytes(8), 50  # no element begins with them, and what a broken transfer leaves behind does
# Up to so many bytes beside the pixels nothing can take long.
_FREE_BYTES = 1 << 20
_LONGEST = 1 << 18  # bytes of one text or list of numbers; a palette or LUT has 131,072
_BULK = ("OB", "OW", "OF", "OD", "OL", "OV", "UN", "SQ", "OB or OW", "US or OW", "US or SS or OW")
_LONG = (b"OB", b"OW", b"OF", b"OD", b"OL", b"OV", b"UN", b"SQ", b"UT", b"UC", b"UR", b"SV", b"UV")
_DEFLATED, _PLAIN = b"1.2.840.10008.1.2.1.99", b"1.2.840.10008.1.2.1\0\0\0"


class ParseError(Exception):
    """The bytes ask for more than any image does."""


class _Budget:
    """Reads that are left."""

    def __init__(self, size: int) -> None:
        self.left = max(MAX_READS, size // _BYTES_A_READ)

    def spend(self, size: int | None, got: bytes) -> bytes:
        self.left -= _COST_OF_ZEROS if got == _ZEROS else 1
        # pydicom reads without a size only to inflate the rest, without a limit.
        if self.left < 0 or size is None or size < 0:
            raise ParseError
        return got


class _CountedBytes(io.BytesIO):
    def __init__(self, data: bytes, budget: _Budget) -> None:
        super().__init__(data)
        self._budget = budget

    def read(self, size: int | None = -1, /) -> bytes:
        return self._budget.spend(size, super().read(size))


class _CountedFile(io.BufferedReader):
    def __init__(self, path: Path, budget: _Budget) -> None:
        super().__init__(io.FileIO(path))
        self._budget = budget

    def read(self, size: int | None = -1, /) -> bytes:
        return self._budget.spend(size, super().read(size))

    def whole(self) -> bytes:
        """All of the file, uncounted."""
        self.seek(0)
        return super().read()


def parse(data: bytes, source: str, *, tags: list[str] | None = None, pixels: bool = True) -> Any:
    """The data set of a file's bytes; of a deflated one as if it were not.

    Args:
        data: all of the file.
        source: for errors.
        tags: keywords of the elements that are wanted; all by default.
        pixels: whether Pixel Data and what follows it is wanted.

    Raises:
        ImageError: damaged, or larger inside than any image.
    """
    from pydicom import dcmread

    budget = _Budget(len(data))
    data = inflated(data, source)
    try:
        dataset = dcmread(_CountedBytes(data, budget), force=True, stop_before_pixels=not pixels, specific_tags=tags)
        _bound(dataset, len(data), budget)
    except MemoryError:
        raise ImageError(f"{source}: out of memory while reading; close other programs") from None
    except Exception:  # pydicom raises many kinds on damaged files
        raise _damaged(source) from None
    return dataset


def parse_header(path: Path, source: str, tags: list[str], check: Callable[[bytes], None] | None = None) -> Any:
    """As `parse` without pixels, of a file that is opened once and of which no more than the header is read.

    Args:
        check: is given the first bytes, some thousands of them, and raises what shall be raised for a file that is not
            to be parsed.

    Raises:
        ImageError: damaged.
        OSError: it cannot be opened or read.
    """
    from pydicom import dcmread

    budget = _Budget(path.stat().st_size)
    with _CountedFile(path, budget) as file:
        head = file.peek(4096)
        if check is not None:
            check(head)
        if is_deflated(head):
            return parse(file.whole(), source, tags=tags, pixels=False)
        try:
            dataset = dcmread(file, force=True, stop_before_pixels=True, specific_tags=tags)
            _bound(dataset, file.tell(), budget)
        except Exception:  # pydicom raises many kinds on damaged files
            raise _damaged(source) from None
    return dataset


def _damaged(source: str) -> ImageError:
    return ImageError(f"{source}: the DICOM file is damaged; send or export it again")


def is_deflated(head: bytes) -> bool:
    """Whether a file's first bytes (4,096 are enough) say that it is in the Deflated transfer syntax."""
    return _syntax(head)[0] == _DEFLATED


def inflated(data: bytes, source: str) -> bytes:
    """A deflated file inflated, in the Explicit VR Little Endian transfer syntax; any other as it is.

    Raises:
        ImageError: it is larger than `MAX_INFLATED`, or damaged.
    """
    syntax, start = _syntax(data)
    if syntax != _DEFLATED:
        return data
    inflating = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        body = inflating.decompress(data[start:], MAX_INFLATED + 1)
    except zlib.error:
        raise _damaged(source) from None
    if len(body) > MAX_INFLATED:
        raise ImageError(f"{source}: inflated, it is too large for an image; export it uncompressed")
    if not inflating.eof:
        raise _damaged(source)
    return data[:start].replace(_DEFLATED, _PLAIN, 1) + body


def _syntax(data: bytes) -> tuple[bytes, int]:
    """Transfer Syntax UID and where the file's meta group ends (PS3.10 7.1); pydicom does not go by the group's length.

    Returns:
        b"" and 0 where there is no such group.
    """
    at = 132 if data[128:132] == b"DICM" else 0
    syntax = b""
    while data[at : at + 2] == b"\2\0" and at + 12 <= len(data):
        element, vr = data[at + 2 : at + 4], data[at + 4 : at + 6]
        if vr in _LONG:
            start, (length,) = at + 12, struct.unpack_from("<I", data, at + 8)
        else:
            start, (length,) = at + 8, struct.unpack_from("<H", data, at + 6)
        at = start + length
        if element == b"\x10\0":
            syntax = data[start:at].rstrip(b"\0 ")
    return syntax, at


def _bound(dataset: Any, size: int, budget: _Budget) -> None:
    """Parse every sequence now, and leave too long values out, in a data set that is large beside its pixels."""
    pixels = dataset.get_item(0x7FE00010) if 0x7FE00010 in dataset else None
    if size - (len(pixels.value or b"") if pixels is not None else 0) > _FREE_BYTES:
        _walk(dataset, budget)


def _walk(dataset: Any, budget: _Budget) -> None:
    from pydicom.datadict import dictionary_has_tag, dictionary_VR
    from pydicom.dataelem import DataElement, RawDataElement
    from pydicom.filereader import read_sequence

    for tag in list(dataset.keys()):
        element = dataset.get_item(tag)
        known = dictionary_VR(tag) if dictionary_has_tag(tag) else ""
        vr = known if element.VR in (None, "UN") and known else element.VR
        if isinstance(element, RawDataElement):
            if vr == "SQ" and element.value:
                # What is coded as UN is implicit (PS3.5 6.2.2).
                implicit = element.is_implicit_VR or element.VR == "UN"
                items = read_sequence(
                    _CountedBytes(element.value, budget), implicit, element.is_little_endian, len(element.value),
                    dataset._character_set or "iso8859", 0,
                )  # fmt: skip
                dataset[tag] = element = DataElement(tag, "SQ", items)
            elif vr not in _BULK and len(element.value or b"") > _LONGEST:
                del dataset[tag]
                continue
        if vr == "SQ":
            for item in element.value or ():
                _walk(item, budget)
