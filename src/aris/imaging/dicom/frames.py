"""The frames of a multi-frame object, each as a data set of one frame that every reader of stills can take."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from aris.imaging.dicom import fragments
from aris.imaging.dicom.codecs import DecodeError
from aris.imaging.dicom.concatenations import concatenation
from aris.imaging.dicom.values import numbers

# The Image Pixel, Modality LUT and VOI LUT modules: what turns one frame's bytes into what is shown.
_KEPT = (
    "SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration", "Rows", "Columns", "BitsAllocated",
    "BitsStored", "HighBit", "PixelRepresentation", "PixelPaddingValue", "PixelPaddingRangeLimit",
    "RedPaletteColorLookupTableDescriptor", "GreenPaletteColorLookupTableDescriptor",
    "BluePaletteColorLookupTableDescriptor", "RedPaletteColorLookupTableData", "GreenPaletteColorLookupTableData",
    "BluePaletteColorLookupTableData", "SegmentedRedPaletteColorLookupTableData",
    "SegmentedGreenPaletteColorLookupTableData", "SegmentedBluePaletteColorLookupTableData", "ICCProfile",
    "RescaleSlope", "RescaleIntercept", "RescaleType", "ModalityLUTSequence", "WindowCenter", "WindowWidth",
    "VOILUTFunction", "WindowCenterWidthExplanation", "VOILUTSequence", "PresentationLUTShape",
    "PresentationIntentType", "SOPClassUID", "Modality",
)  # fmt: skip
# A stream of empty fragments, eight bytes each, is walked item by item.
_ITEM, _MAX_FRAGMENTS = b"\xfe\xff\x00\xe0", 4_000_000
_SHARED, _PER_FRAME = 0x52009229, 0x52009230
_OF_GROUPS = {
    "PixelValueTransformationSequence": ("RescaleSlope", "RescaleIntercept", "RescaleType"),
    "FrameVOILUTSequence": ("WindowCenter", "WindowWidth", "VOILUTFunction", "WindowCenterWidthExplanation"),
}


def count(dataset: Any) -> int:
    """Number of Frames (0028,0008), 1 where it is absent, empty or 0.

    Raises:
        DecodeError: it is negative, no whole number, or more than any object has.
    """
    found = numbers(dataset, "NumberOfFrames") or (1.0,)
    if len(found) != 1 or found[0] is None or not 0 <= found[0] <= _MAX_FRAGMENTS or not found[0].is_integer():
        raise DecodeError
    return int(found[0]) or 1


def group(dataset: Any, index: int, name: str) -> Any | None:
    """The item of a functional group macro for a frame: its own, else the shared one, else None (PS3.3 C.7.6.16)."""
    if _SHARED not in dataset and _PER_FRAME not in dataset:
        return None
    per_frame = dataset.get("PerFrameFunctionalGroupsSequence") or ()
    shared = dataset.get("SharedFunctionalGroupsSequence") or ()
    found: Any
    if len(per_frame) > count(dataset):
        # A part of a concatenation has the groups of its own frames; some writers leave all of the object's in each.
        part = concatenation(dataset)
        index += (part.offset or 0) if part is not None else 0
    for item in (*per_frame[index : index + 1], *shared[:1]):
        found = item.get(name)
        if found:
            return found[0]
    return None


def split(dataset: Any, indices: Sequence[int] | None = None) -> Iterator[Any]:
    """Each frame, or those of `indices` (ascending, from 0), as a data set with one frame's pixels.

    Rescale and windows of a frame's functional groups take the place of the object's own.

    Raises:
        DecodeError: the pixels hold fewer frames than are declared, or cannot be cut (BitsAllocated of 1).
    """
    total = count(dataset)
    wanted = list(range(total)) if indices is None else list(indices)
    if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        parts = _encapsulated(dataset, wanted, total)
    else:
        parts = _native(dataset, wanted, total)
    for index, (data, encapsulated) in zip(wanted, parts, strict=True):
        yield _frame(dataset, index, data, encapsulated)


def _frame(dataset: Any, index: int, data: bytes, encapsulated: bool) -> Any:
    frame = header(dataset, index)
    # Bytes in words, as old files have them, are read by words: in big endian they lie the other way round.
    words = int(dataset.BitsAllocated) > 8 or dataset["PixelData"].VR == "OW"
    frame.add_new("PixelData", "OW" if words and not encapsulated else "OB", data)
    frame["PixelData"].is_undefined_length = encapsulated
    return frame


def header(dataset: Any, index: int) -> Any:
    """A frame's image pixel, modality and VOI modules, without its pixels."""
    from pydicom.dataset import Dataset

    frame: Any = Dataset()
    _take(frame, dataset, _KEPT)
    for name, keywords in _OF_GROUPS.items():
        item = group(dataset, index, name)
        if item is None or not any(keyword in item for keyword in keywords):
            continue
        # The macro is of one piece: what it does not say is not the object's own either.
        for keyword in keywords:
            if keyword in frame:
                del frame[keyword]
        _take(frame, item, keywords)
    frame.file_meta = dataset.file_meta
    return frame


def _take(frame: Any, source: Any, keywords: Sequence[str]) -> None:
    """Copy elements; one that cannot be converted as it was read, so that it is still known to be unreadable."""
    from pydicom.datadict import tag_for_keyword

    for keyword in keywords:
        tag = tag_for_keyword(keyword)
        if tag is None or tag not in source:
            continue
        try:
            frame[tag] = source[tag]
        except Exception:  # pydicom converts on access and raises many kinds
            frame[tag] = source.get_item(tag)


def _native(dataset: Any, wanted: list[int], total: int) -> Iterator[tuple[bytes, bool]]:
    bits, samples = int(dataset.BitsAllocated), int(dataset.SamplesPerPixel)
    pixels = int(dataset.Rows) * int(dataset.Columns)
    if bits % 8 or bits == 0:
        raise DecodeError
    size = pixels * samples * bits // 8
    if str(dataset.PhotometricInterpretation) == "YBR_FULL_422":
        size = size // 3 * 2
    data = dataset.PixelData
    if len(data) < size * total:
        raise DecodeError
    for index in wanted:
        part = data[index * size : (index + 1) * size]
        yield part + b"\0" * (len(part) % 2), False


def _encapsulated(dataset: Any, wanted: list[int], total: int) -> Iterator[tuple[bytes, bool]]:
    from pydicom.encaps import encapsulate

    if dataset.PixelData.count(_ITEM) > _MAX_FRAGMENTS:
        raise DecodeError
    try:
        spans = fragments.frames(dataset.PixelData, total, offset_tables(dataset))
    except ValueError:
        raise DecodeError from None
    for index in wanted:
        if index >= len(spans):
            raise DecodeError
        yield encapsulate([fragments.joined(dataset.PixelData, spans[index])], has_bot=False), True


def offset_tables(dataset: Any) -> tuple[bytes, bytes] | None:
    """Extended Offset Table and its Lengths, where both are there."""
    table, lengths = dataset.get("ExtendedOffsetTable"), dataset.get("ExtendedOffsetTableLengths")
    return (table, lengths) if isinstance(table, bytes) and isinstance(lengths, bytes) else None
