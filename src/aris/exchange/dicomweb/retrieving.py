"""WADO-RS (PS3.18 10.4): objects, their metadata, frames and bulk data, from the store."""

from __future__ import annotations

import io
import json
import logging
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aris.exchange.dicomweb import frames, metadata
from aris.exchange.dicomweb.media import COMPRESSED, DICOM, EXPLICIT, IMPLICIT, OCTETS, MediaRange
from aris.exchange.dicomweb.opened import PIECE, Opened, deferred, header_memory, opened
from aris.exchange.dicomweb.problems import WebError, not_acceptable, not_found
from aris.imaging.dicom import codecs
from aris.imaging.memory_budget import DECODING
from aris.imaging.radiograph import cut_padding
from aris.store.objects import canonical, identity, parse, parse_file

if TYPE_CHECKING:
    from aris.store.files import StoredFile
    from aris.store.store import Store, Stored

log = logging.getLogger("aris.dicomweb")

# Not used on the web (PS3.18 8.7.3); kept as sent, and given out as Explicit VR Little Endian.
_OFF_THE_WEB = (IMPLICIT, "1.2.840.10008.1.2.2")
_NATIVE = (EXPLICIT, "1.2.840.10008.1.2.1.99", *_OFF_THE_WEB)
_VIDEO = "video/"

Headers = dict[str, str]


@dataclass(frozen=True)
class Form:
    """Form in which objects are given out.

    Attributes:
        multipart: as multipart/related, else the one object alone.
        transfer_syntax: a UID; "*" for as they are stored; "" for the standard's default.
    """

    multipart: bool
    transfer_syntax: str


def found(store: Store, study: str, series: str = "", uid: str = "") -> list[Stored]:
    """The objects that a path names.

    Raises:
        WebError: 404, there are none.
    """
    instances = store.instances(study, series, uid)
    if not instances:
        raise not_found()
    return instances


def form(ranges: list[MediaRange], instances: list[Stored]) -> Form:
    """Choose the form of objects by the accepted media ranges.

    Raises:
        WebError: 406, in no accepted form.
    """
    for each in ranges:
        if not each.takes(DICOM) or (not each.multipart and each.kind != "*/*" and len(instances) > 1):
            continue
        syntax = each.transfer_syntax or ""
        if syntax not in ("", "*", EXPLICIT) and any(syntax != one.transfer_syntax for one in instances):
            continue
        if syntax == EXPLICIT and not all(_can_be_explicit(one.transfer_syntax) for one in instances):
            continue
        return Form(each.multipart or each.kind == "*/*", syntax)
    raise not_acceptable(
        f'objects are given as multipart/related; type="{DICOM}", in Explicit VR Little Endian or as they are stored '
        "(transfer-syntax=*); one alone also as application/dicom"
    )


def objects(store: Store, instances: list[Stored], form: Form) -> Iterator[tuple[Headers, bytes | Iterable[bytes]]]:
    """Each object as a file (PS3.10) and its headers. As it is stored it comes in pieces; converted, one is in memory.

    Raises:
        StoreError: a file is gone or damaged.
        WebError: 406, pixels that cannot be decoded as asked.
    """
    for each in instances:
        syntax = each.transfer_syntax
        file = store.files.verified(each.digest)
        if _is_converted(syntax, form.transfer_syntax):
            with DECODING.holding(_conversion_bytes(file, syntax)):
                data, syntax = explicit(store.files.read(each.digest), strict=form.transfer_syntax == EXPLICIT)
            yield {"Content-Type": f"{DICOM}; transfer-syntax={syntax}"}, data
        else:
            yield {"Content-Type": f"{DICOM}; transfer-syntax={syntax}"}, in_pieces(file)


def in_pieces(stored: StoredFile) -> Iterator[bytes]:
    """A file's bytes."""
    with stored.open() as file:
        while piece := file.read(PIECE):
            yield piece


def _conversion_bytes(file: StoredFile, syntax: str) -> int:
    """Memory that a conversion takes: of the file, of what its header says is decoded, and of what is written."""
    size = file.size()
    if syntax in _OFF_THE_WEB:
        return 5 * size
    try:
        header = parse_file(file, "object")
        cells = int(header.Rows) * int(header.Columns) * int(header.get("SamplesPerPixel") or 1)
        decoded = cells * frames.total(header) * max(1, int(header.BitsAllocated) // 8)
    except Exception:  # said when it is converted
        decoded = 0
    return 2 * size + 4 * max(decoded, size)


def explicit(data: bytes, *, strict: bool) -> tuple[bytes, str]:
    """A file in Explicit VR Little Endian, and its transfer syntax.

    Args:
        strict: refuse what cannot be converted; else it stays as it is.

    Raises:
        WebError: 406, it cannot.
    """
    from pydicom import dcmwrite

    dataset = parse(data, "object")
    known = identity(dataset, "object")
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)  # its log lines quote values
    try:
        with warnings.catch_warnings(), codecs.kept_child():
            warnings.simplefilter("ignore")
            if known.transfer_syntax not in _NATIVE:
                _decompress(dataset)
            else:
                for _ in metadata.binary(dataset):  # to little endian; the rest is turned as it is written
                    pass
            dataset.file_meta.TransferSyntaxUID = EXPLICIT
            out = io.BytesIO()
            # Not `save_as`, which refuses big endian: its values were turned above.
            dcmwrite(out, dataset, enforce_file_format=True)
            made = out.getvalue()
            return canonical(made, identity(parse(made, "object", pixels=False), "object")), EXPLICIT
    except Exception as error:  # pydicom raises many kinds on odd and damaged objects
        if strict:
            raise not_acceptable(
                "an object cannot be written in Explicit VR Little Endian; ask for transfer-syntax=*"
            ) from None
        log.warning("an object is given as it is stored: it cannot be converted (%s)", type(error).__name__)
        return data, known.transfer_syntax


def metadata_of(store: Store, instances: list[Stored], base: str) -> Iterator[str]:
    """Each object's header as DICOM JSON, written out, with the addresses of its bulk data."""
    for each in instances:
        one = opened(store, each)
        with DECODING.holding(header_memory(one.file)):
            made = _described(one, f"{address(base, each)}/bulkdata", each.transfer_syntax)
        del one
        yield made


def _described(one: Opened, bulkdata: str, syntax: str) -> str:
    return json.dumps(metadata.to_json(one.dataset, bulkdata, syntax, one.position), allow_nan=False)


def frame_parts(one: Opened, indices: list[int], kind: str, syntax: str) -> Iterator[tuple[Headers, bytes]]:
    """Frames, each with its headers; see `frames.form` for kind and syntax.

    Raises:
        WebError: 406, a frame cannot be decoded.
    """
    get = frames.plain_frame if syntax == EXPLICIT else frames.stored_frame
    for index in indices:
        with DECODING.holding(frames.memory(one.dataset)):
            data = get(*one.frame(index))
        yield {"Content-Type": f"{kind}; transfer-syntax={syntax}"}, data


def bulk_parts(
    one: Opened, path: str, ranges: list[MediaRange]
) -> tuple[bool, Iterator[tuple[Headers, bytes | Iterable[bytes]]]]:
    """A binary value: whether as multipart, and its parts. Compressed pixels come frame by frame.

    Raises:
        WebError: 404, there is no such value; 406, in no accepted form.
    """
    stored = str(one.dataset.file_meta.TransferSyntaxUID)
    if path.upper() == "7FE00010" and stored not in _NATIVE:
        if not one.has_pixels:
            raise not_found()
        kind, syntax, multipart = frames.form(ranges, stored, one.total > 1)
        return multipart, iter(frame_parts(one, list(range(one.total)), kind, syntax))
    for each in ranges:
        if each.takes(OCTETS) and each.transfer_syntax in (None, "*", EXPLICIT, IMPLICIT):
            return each.multipart or each.kind == "*/*", iter([({"Content-Type": OCTETS}, _value(one, path))])
    raise not_acceptable(f"bulk data are given as {OCTETS}")


def address(base: str, each: Stored) -> str:
    """An instance's URL."""
    return f"{base}/studies/{each.study}/series/{each.series}/instances/{each.uid}"


def _value(one: Opened, path: str) -> bytes | Iterable[bytes]:
    """A binary value: in pieces where it lies in the file.

    Raises:
        WebError: 404, there is none.
    """
    if one.position is not None and path.upper() == metadata.tag_of(one.position.keyword) and one.position.length >= 0:
        return one.slice(one.position.start, one.position.length)
    if "/" not in path and int(path, 16) in one.dataset and metadata.left_in_file(one.dataset, int(path, 16)):
        raw = deferred(one.dataset, int(path, 16))
        if raw is not None and raw.length != 0xFFFFFFFF:
            return one.slice(raw.value_tell, raw.length)
    return metadata.value_at(one.dataset, path)


def _can_be_explicit(syntax: str) -> bool:
    return syntax in _NATIVE or not COMPRESSED.get(syntax, _VIDEO).startswith(_VIDEO)


def _is_converted(stored: str, asked: str) -> bool:
    if stored == EXPLICIT or asked == stored:
        return False
    if asked == EXPLICIT:
        return True
    if asked == "*":
        return stored in _OFF_THE_WEB
    # By default what is lossy stays as it is, else it is plain (PS3.18 8.7.3).
    return _can_be_explicit(stored) and not frames.is_lossy(stored)


def _decompress(dataset: Any) -> None:
    total = frames.count(dataset)
    size = int(dataset.Rows) * int(dataset.Columns) * int(dataset.SamplesPerPixel) * int(dataset.BitsAllocated) // 8
    if total * size > frames.DECODED_BYTES:
        raise WebError(406, "too large")
    values = [frames.decoded(dataset, index) for index in range(total)]
    first = values[0]
    if first.ndim == 3:
        dataset.PlanarConfiguration = 0
        if str(dataset.PhotometricInterpretation).startswith("YBR"):
            dataset.PhotometricInterpretation = "RGB"
    bits = 8 * first.dtype.itemsize
    dataset.BitsAllocated = bits
    cut_padding(dataset)
    dataset.HighBit = int(dataset.BitsStored) - 1  # decoded values begin at bit 0, wherever they lay
    for name in ("ExtendedOffsetTable", "ExtendedOffsetTableLengths"):
        if name in dataset:
            del dataset[name]
    data = b"".join(map(frames.little_endian, values))
    dataset.add_new("PixelData", "OW" if bits > 8 else "OB", data + b"\0" * (len(data) % 2))
