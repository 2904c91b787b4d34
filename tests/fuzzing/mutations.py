"""Mutated files: the n-th of a seed number is the same at every run, whatever came before it."""

from __future__ import annotations

import functools
import gzip
import io
import random
import stat
import struct
import warnings
import zipfile
import zlib
from dataclasses import dataclass
from typing import Any

import corpus as seeds
import pydicom
from pydicom.datadict import tag_for_keyword

# What breaks arithmetic: ends of types, powers of two and their neighbours.
_NUMBERS = (0, 1, 2, 3, 7, 8, 9, 12, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 255, 256, 1000, 4095, 4096, 9999,
            10000, 32767, 32768, 65534, 65535)  # fmt: skip
_WIDE = (*_NUMBERS, 65536, 1 << 20, 1 << 24, (1 << 31) - 1, 1 << 31, (1 << 32) - 1)
_TEXTS = ("", " ", "\\", "\\\\", "NaN", "inf", "-inf", "1e308", "-1", "0", "999999999999", "1e-320", "..", "YES", "L",
          "MONOCHROME1", "RGB", "YBR_FULL_422", "YBR_FULL", "PALETTE COLOR", "CT", "MR", "US", "SM", "DX", "OP", "MG",
          "SIGMOID", "LINEAR_EXACT", "TILED_SPARSE", "1\\2\\3\\4\\5\\6\\7", "x" * 5000, "\u202e\x1b[2J\n",
          "0\\0\\0")  # fmt: skip
_IMAGE = ("Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "SamplesPerPixel",
          "PlanarConfiguration", "NumberOfFrames", "PixelPaddingValue", "PixelPaddingRangeLimit",
          "TotalPixelMatrixRows", "TotalPixelMatrixColumns")  # fmt: skip
_WORDS = ("PhotometricInterpretation", "Modality", "RescaleSlope", "RescaleIntercept", "RescaleType", "WindowCenter",
          "WindowWidth", "VOILUTFunction", "PresentationLUTShape", "ImagePositionPatient", "ImageOrientationPatient",
          "PixelSpacing", "SliceThickness", "InstanceNumber", "ImageType", "PatientAge", "PatientOrientation",
          "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID", "StudyDescription", "PatientID",
          "DimensionOrganizationType", "FrameTime", "ReferencedFileID", "SpecificCharacterSet",
          "BodyPartExamined")  # fmt: skip
_SYNTAXES = tuple(
    "1.2.840.10008.1.2" + end
    for end in ("", ".1", ".2", ".5", ".1.99", ".4.50", ".4.51", ".4.57", ".4.70", ".4.80", ".4.81", ".4.90", ".4.91",
                ".4.201", ".4.202", ".4.203", ".4.100", ".4.108")
)  # fmt: skip
_NAMES = ("../up.dcm", "/etc/cron.d/x.dcm", "..\\..\\up.dcm", "C:\\x.dcm", "C:x.dcm", "a/../../b.dcm", "~/x.dcm",
          "//host/share/x.dcm", "con", "a" * 300, "d/" * 200 + "x.dcm", "x\0.dcm", "x\n.dcm", "\u202e.dcm", ".", "..",
          "./././x.dcm", "inner.zip", "DICOMDIR", "a/", "\\\\host\\x", "file:///etc/passwd", "%2e%2e/x",
          "\ud800.dcm")  # fmt: skip


@dataclass(frozen=True)
class Input:
    """A mutated file: the seed's name and kind, its bytes, and what was done to it."""

    name: str
    kind: str
    data: bytes
    how: str


@functools.cache
def _seeds() -> dict[str, list[seeds.Seed]]:
    grouped: dict[str, list[seeds.Seed]] = {}
    for seed in seeds.corpus():
        grouped.setdefault(seed.kind, []).append(seed)
    return grouped


def mutated(number: int, seed: int) -> Input:
    """The input of a number (from 0) of a seed."""
    rng = random.Random(f"{seed}:{number}")
    (kind,) = rng.choices(("dicom", "zip", "folder", "nifti", "picture"), (60, 15, 4, 8, 13))
    whole = rng.choice(_seeds()[kind])
    data, done = whole.data, []
    for _ in range(rng.choice((1, 1, 1, 2, 3, 6))):
        # What has swollen is not taken apart again: that would take as long as it should not take a reader.
        how = rng.choice(_GENERAL if {"inflated", "swollen", "nested"} & set(done) else _WAYS[kind])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                data = how(data, rng)
                done.append(how.__name__.strip("_"))
            except Exception:  # the data were damaged before: this mutation needs them whole
                data = _bytes(data, rng)
                done.append("bytes")
    return Input(whole.name, kind, data, "+".join(done))


# --- bytes of any kind ---


def _bytes(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data or b"\0")
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        at = rng.randrange(min(len(changed), rng.choice((400, 2000, len(changed)))))
        piece = rng.choice((bytes([changed[at] ^ 1 << rng.randrange(8)]), rng.randbytes(rng.choice((1, 2, 4, 8))),
                            b"\xff" * 4, b"\0" * 8, struct.pack("<I", rng.choice(_WIDE)),
                            struct.pack(">I", rng.choice(_WIDE)), struct.pack("<H", rng.choice(_NUMBERS))))  # fmt: skip
        changed[at : at + len(piece)] = piece
    return bytes(changed)


def _cut(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def _moved(data: bytes, rng: random.Random) -> bytes:
    """A run of bytes left out, doubled or put elsewhere."""
    start, end = sorted(rng.randrange(len(data) + 1) for _ in range(2))
    end = min(end, start + rng.choice((4, 64, 4096)))
    piece, at = data[start:end], rng.randrange(len(data) + 1)
    return rng.choice((data[:start] + data[end:], data[:end] + piece * rng.choice((1, 50)) + data[end:],
                       data[:at] + piece + data[at:]))  # fmt: skip


def _spliced(data: bytes, rng: random.Random) -> bytes:
    other = rng.choice([one for group in _seeds().values() for one in group]).data
    at, start = rng.randrange(len(data) + 1), rng.randrange(len(other) + 1)
    return data[:at] + other[start : start + rng.choice((16, 512, len(other)))] + data[rng.choice((at, len(data))) :]


# --- DICOM ---


def _element(data: bytes, rng: random.Random) -> bytes:
    """One element's length or VR, found by its tag, in explicit little-endian."""
    keyword = rng.choice(("PixelData", "Rows", "BitsStored", "Modality", "SOPInstanceUID", *_IMAGE, *_WORDS))
    tag = tag_for_keyword(keyword)
    at = data.index(struct.pack("<HH", tag >> 16, tag & 0xFFFF))
    changed = bytearray(data)
    if rng.random() < 0.5:
        changed[at + 4 : at + 6] = rng.choice((b"US", b"SQ", b"OB", b"UN", b"DS", b"UI", b"AT", b"FL", b"??", b"\0\0"))
    else:
        changed[at + 6 : at + 8] = struct.pack("<H", rng.choice(_NUMBERS))
        if rng.random() < 0.5:
            changed[at + 8 : at + 12] = struct.pack("<I", rng.choice(_WIDE))
    return bytes(changed)


def _raw(dataset: Any, keyword: str, value: Any) -> None:
    """An element that pydicom would refuse to hold."""
    tag = pydicom.tag.Tag(tag_for_keyword(keyword))
    vr = pydicom.datadict.dictionary_VR(tag).split(" or ")[0]
    body = struct.pack("<H", value) if isinstance(value, int) else value.encode("utf-8", "surrogatepass")
    body += b"\0" * (len(body) % 2)
    dataset[tag] = pydicom.dataelem.RawDataElement(tag, vr, len(body), body, 0, False, True, True)


def _header(data: bytes, rng: random.Random) -> bytes:
    """Values that do not fit one another or anything."""
    dataset = pydicom.dcmread(io.BytesIO(data), force=True)
    for _ in range(rng.choice((1, 1, 2, 4))):
        holder = _some_item(dataset, rng)
        keyword = rng.choice(_IMAGE + _WORDS)
        if rng.random() < 0.2:
            if keyword in holder:
                del holder[keyword]
        elif keyword in _IMAGE and keyword not in ("NumberOfFrames",):
            _raw(holder, keyword, rng.choice(_NUMBERS))
        elif keyword == "NumberOfFrames":
            _raw(holder, keyword, str(rng.choice(_WIDE)))
        else:
            _raw(holder, keyword, rng.choice(_TEXTS))
    return _written(dataset)


def _some_item(dataset: Any, rng: random.Random) -> Any:
    """The data set, or an item of one of its sequences, or of theirs."""
    for _ in range(3):
        inner = [item for element in dataset if element.VR == "SQ" for item in element.value or ()]
        if not inner or rng.random() < 0.5:
            return dataset
        dataset = rng.choice(inner)
    return dataset


def _written(dataset: Any) -> bytes:
    out = io.BytesIO()
    dataset.save_as(out, implicit_vr=dataset.original_encoding[0], little_endian=dataset.original_encoding[1])
    return out.getvalue()


def _syntax(data: bytes, rng: random.Random) -> bytes:
    """Another transfer syntax than the pixels have, without writing them anew."""
    old = pydicom.dcmread(io.BytesIO(data), force=True, stop_before_pixels=True).file_meta.TransferSyntaxUID
    new = rng.choice(_SYNTAXES)
    room = len(old) + len(old) % 2
    return data.replace(old.encode(), new.encode()[:room].ljust(len(old), b"\0"), 1)


def _nested(data: bytes, rng: random.Random) -> bytes:
    """Sequences in sequences, to some depth, of defined or undefined length, ended or not."""
    at = len(data) if rng.random() < 0.5 else data.index(b"\x10\x00") if b"\x10\x00" in data[132:] else len(data)
    depth = rng.choice((10, 100, 400, 3000))
    opening = b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    closing = b"\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0"
    return data[:at] + opening * depth + (closing * depth if rng.random() < 0.5 else b"") + data[at:]


def _stream(data: bytes, rng: random.Random) -> bytes:
    """Inside the pixels: markers and sizes of a JPEG, JPEG-LS, JPEG 2000 or RLE stream, or the item table."""
    at = data.index(b"\xe0\x7f\x10\x00")
    changed = bytearray(data)
    markers = [i for i in range(at, min(len(data) - 4, at + 20_000)) if data[i] == 0xFF and data[i + 1] > 0x4E]
    for _ in range(rng.choice((1, 2, 4))):
        place = (
            rng.choice(markers) + rng.randrange(24)
            if markers and rng.random() < 0.7
            else rng.randrange(at, len(changed))
        )
        piece = rng.choice((struct.pack(">H", rng.choice(_NUMBERS)), struct.pack(">I", rng.choice(_WIDE)),
                            rng.randbytes(1), rng.randbytes(3)))  # fmt: skip
        changed[place : place + len(piece)] = piece
    return bytes(changed)


def _inflated(data: bytes, rng: random.Random) -> bytes:
    """The data set deflated, with much behind it."""
    end = 144 + struct.unpack_from("<I", data, 140)[0]
    meta = data[:end].replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.1.99")
    room = len(meta) - end
    meta = meta[:140] + struct.pack("<I", end - 144 + room) + meta[144:]
    place = meta.find(b"\x02\x00\x10\x00UI")
    if place > 0:
        meta = meta[: place + 6] + struct.pack("<H", 22) + meta[place + 8 :]
    packer = zlib.compressobj(1, zlib.DEFLATED, -15)
    much = rng.choice((0, 1 << 20, 1 << 25))
    return meta + packer.compress(data[end:] + bytes(much)) + packer.flush()


# --- archives ---


def _entries(data: bytes) -> list[tuple[zipfile.ZipInfo, bytes]]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return [(info, archive.read(info)) for info in archive.infolist()]


def _member(data: bytes, rng: random.Random) -> bytes:
    """One member's content mutated, within a sound archive."""
    entries = _entries(data)
    chosen = rng.randrange(len(entries))
    return _packed([
        (info.filename, rng.choice(_WAYS["dicom"])(body, rng) if place == chosen else body, 0)
        for place, (info, body) in enumerate(entries)
    ])  # fmt: skip


def _packed(members: list[tuple[str, bytes, int]], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, body, mode in members:
            info = zipfile.ZipInfo("x", (2020, 1, 1, 0, 0, 0))
            info.filename = name.encode("utf-8", "replace").decode()
            info.external_attr = mode << 16
            archive.writestr(info, body, method)
    return out.getvalue()


def _hostile(data: bytes, rng: random.Random) -> bytes:
    """Names that leave the archive, links, archives in archives, many members, deep folders, much in little."""
    members = [(info.filename, body, 0) for info, body in _entries(data)]
    trick = rng.randrange(6)
    if trick == 0:
        members += [(rng.choice(_NAMES), members[0][1], 0) for _ in range(rng.choice((1, 3)))]
    elif trick == 1:
        members.append(("link.dcm", rng.choice((b"/etc/passwd", b"../..", b"slice0000.dcm")), stat.S_IFLNK | 0o777))
    elif trick == 2:
        inner = data
        for _ in range(rng.choice((1, 3))):
            inner = _packed([(rng.choice(("inner.zip", "inner.dcm")), inner, 0)])
        members.append(("inner.zip", inner, 0))
    elif trick == 3:
        members += [(f"m{number}", b"", 0) for number in range(rng.choice((100, 2000)))]
    elif trick == 4:
        members.append(("bomb.dcm", b"\0" * 128 + b"DICM" + bytes(rng.choice((1 << 20, 80 << 20))), 0))
    else:
        name = rng.choice(_NAMES)
        members = [(name, body, rng.choice((0, stat.S_IFDIR, stat.S_IFIFO, stat.S_IFCHR))) for _, body, _ in members]
    method = rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA))
    return _packed(members, zipfile.ZIP_DEFLATED if trick == 4 else method)


def _directory(data: bytes, rng: random.Random) -> bytes:
    """Fields of headers and of the central directory: sizes, offsets (entries that overlap), flags, methods."""
    changed = bytearray(data)
    places = []
    for signature, fields in ((b"PK\x01\x02", (6, 8, 10, 16, 20, 24, 28, 30, 32, 38, 42)),
                              (b"PK\x03\x04", (4, 6, 8, 14, 18, 22, 26, 28)),
                              (b"PK\x05\x06", (4, 8, 10, 12, 16, 20))):  # fmt: skip
        start = data.find(signature)
        while start >= 0:
            places += [start + field for field in fields]
            start = data.find(signature, start + 4)
    for _ in range(rng.choice((1, 2, 4))):
        at = rng.choice(places)
        piece = rng.choice((struct.pack("<I", rng.choice(_WIDE)), struct.pack("<H", rng.choice(_NUMBERS)),
                            struct.pack("<I", rng.randrange(len(data)))))  # fmt: skip
        changed[at : at + len(piece)] = piece
    return bytes(changed)


def _overlapping(data: bytes, rng: random.Random) -> bytes:
    """Every entry of the central directory points at the first member."""
    changed = bytearray(data)
    start = data.find(b"PK\x01\x02")
    first = changed[start + 16 : start + 28], changed[start + 42 : start + 46]
    while start >= 0:
        changed[start + 16 : start + 28], changed[start + 42 : start + 46] = first
        start = data.find(b"PK\x01\x02", start + 4)
    return bytes(changed)


def _listing(data: bytes, rng: random.Random) -> bytes:
    """A folder's DICOMDIR with file identifiers that lead elsewhere."""
    members = [(info.filename, body, 0) for info, body in _entries(data)]
    place = next(i for i, (name, _, _) in enumerate(members) if name == "DICOMDIR")
    directory = pydicom.dcmread(io.BytesIO(members[place][1]))
    for record in directory.DirectoryRecordSequence:
        if "ReferencedFileID" in record and rng.random() < 0.6:
            _raw(record, "ReferencedFileID", rng.choice((
                "..\\..\\..\\etc\\passwd", "/etc/passwd", "\\etc\\passwd", "", ".", "..", "DICOMDIR", "A" * 300, "\0",
                "~root", "C:\\X", "\u202e", "PT000000\\..\\..\\UP",
            )))  # fmt: skip
    members[place] = ("DICOMDIR", _written(directory), 0)
    return _packed(members)


# --- NIfTI ---


def _fields(data: bytes, rng: random.Random) -> bytes:
    """Dimensions, type, offset, scale and orientation."""
    packed = data.startswith(b"\x1f\x8b")
    header = bytearray(gzip.decompress(data) if packed else data)
    one = header[344:348] == b"n+1\0"
    for _ in range(rng.choice((1, 1, 3))):
        if one:
            at, kind = rng.choice(((40 + 2 * rng.randrange(8), "h"), (70, "h"), (76 + 4 * rng.randrange(4), "f"),
                                   (108, "f"), (112, "f"), (116, "f"), (252, "h"), (254, "h"),
                                   (256 + 4 * rng.randrange(18), "f")))  # fmt: skip
        else:
            at, kind = rng.choice(((16 + 8 * rng.randrange(8), "q"), (12, "h"), (104 + 8 * rng.randrange(4), "d"),
                                   (168, "q"), (176, "d"), (184, "d"), (344, "i"), (348, "i"),
                                   (352 + 8 * rng.randrange(18), "d")))  # fmt: skip
        if kind in "fd":
            value: float = rng.choice((0.0, -1.0, 1.5, 352.5, float("nan"), float("inf"), 3e38, 1e-38, 1e9))
        else:
            bits = {"h": 15, "i": 31, "q": 63}[kind]
            value = rng.choice((0, 1, -1, 2, 4, 8, 16, 64, 128, 512, 2304, (1 << bits) - 1, -(1 << bits), 30000))
        struct.pack_into("<" + kind, header, at, value)
    return gzip.compress(bytes(header), mtime=0) if packed else bytes(header)


def _swollen(data: bytes, rng: random.Random) -> bytes:
    """Much in little: a gzip file of zeros behind the header."""
    body = gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data
    return gzip.compress(body + bytes(rng.choice((1 << 20, 40 << 20))), 1, mtime=0)


# --- pictures ---


def _chunks(data: bytes, rng: random.Random) -> bytes:
    """A PNG's chunks with right checksums: sizes and forms that do not fit, texts and profiles that swell."""
    if not data.startswith(b"\x89PNG"):
        return _marker(data, rng)
    at, chunks = 8, []
    while at + 8 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    place = rng.randrange(len(chunks))
    kind, body = chunks[place]
    if kind == b"IHDR" or rng.random() < 0.3:
        place, (kind, body) = 0, chunks[0]
        header = bytearray(body)
        if rng.random() < 0.6:
            struct.pack_into(">I", header, rng.choice((0, 4)), rng.choice(_WIDE))
        else:
            header[rng.randrange(8, 13)] = rng.choice((0, 1, 2, 3, 4, 6, 8, 16, 255))
        chunks[place] = (kind, bytes(header))
    elif rng.random() < 0.4:
        bomb = _zeros(rng.choice((1 << 16, 80 << 20)))
        chunks.insert(1, rng.choice(((b"iCCP", b"x\0\0" + bomb), (b"zTXt", b"x\0\0" + bomb),
                                     (b"iTXt", b"x\0\1\0\0\0" + bomb), (b"eXIf", b"MM\0*" + rng.randbytes(60)),
                                     (b"acTL", struct.pack(">II", rng.choice(_WIDE), 0)))))  # fmt: skip
    else:
        chunks[place] = (kind, _bytes(body, rng))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(b)) + k + b + struct.pack(">I", zlib.crc32(k + b)) for k, b in chunks
    )


@functools.cache
def _zeros(size: int) -> bytes:
    return zlib.compress(bytes(size), 1)


def _marker(data: bytes, rng: random.Random) -> bytes:
    """A TIFF's tags, or a JPEG's segments."""
    changed = bytearray(data)
    if data[:2] == b"II":
        (start,) = struct.unpack_from("<I", data, 4)
        (count,) = struct.unpack_from("<H", data, start)
        for _ in range(rng.choice((1, 2, 4))):
            at = start + 2 + 12 * rng.randrange(max(1, count))
            field, kind = rng.choice(((0, "H"), (2, "H"), (4, "I"), (8, "I"), (8, "I")))
            struct.pack_into("<" + kind, changed, at + field, rng.choice(_WIDE if kind == "I" else _NUMBERS))
        if rng.random() < 0.1:  # a directory that comes again
            struct.pack_into("<I", changed, start + 2 + 12 * count, start)
        return bytes(changed)
    markers = [i for i in range(len(data) - 1) if data[i] == 0xFF and data[i + 1] not in (0, 0xFF)]
    at = rng.choice(markers) + rng.choice((1, 2, 3, 4, 5, 6, 7, 8))
    changed[at : at + 2] = struct.pack(">H", rng.choice(_NUMBERS))
    return bytes(changed)


_GENERAL = (_bytes, _bytes, _cut, _moved, _spliced)
_WAYS: dict[str, tuple[Any, ...]] = {
    "dicom": (*_GENERAL, _element, _element, _header, _header, _header, _header, _syntax, _nested, _stream, _stream,
              _stream, _inflated),
    "zip": (*_GENERAL, _member, _hostile, _hostile, _directory, _directory, _overlapping),
    "folder": (_member, _listing, _listing),
    "nifti": (*_GENERAL, _fields, _fields, _fields, _fields, _swollen),
    "picture": (*_GENERAL, _chunks, _chunks, _chunks, _marker, _marker),
}  # fmt: skip
