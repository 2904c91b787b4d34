"""Documents of other systems, to be read beside the images: structured reports (TID 1500 too) and presentation states.

Nothing of them becomes a text of ours by itself. All of it is text and numbers that somebody else wrote.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from typing import Any, Literal

from aris.errors import ArisError
from aris.exchange.documents.report import clean
from aris.imaging.dicom.quiet import quiet_pydicom
from aris.imaging.dicom.values import one_number, text
from aris.service.workspace.images.finding import find_objects
from aris.service.workspace.images.series import header_of, kind_of
from aris.service.workspace.schemas.images import (
    DocumentLine,
    DocumentMeasurement,
    Graphic,
    OutsideDocument,
)
from aris.store.objects import parse
from aris.store.store import Store, Stored

log = logging.getLogger("aris.workspace")
_ENCAPSULATED_PDF = "1.2.840.10008.5.1.4.1.1.104.1"
_MOST_ITEMS, _MOST_GRAPHICS, _MOST_POINTS, _DEEPEST = 5000, 2000, 5000, 32
_LONGEST = 10_000
_KINDS: dict[str, Literal["point", "polyline", "circle", "ellipse"]] = {
    "POINT": "point", "MULTIPOINT": "point", "POLYLINE": "polyline", "INTERPOLATED": "polyline", "CIRCLE": "circle",
    "ELLIPSE": "ellipse",
}  # fmt: skip


def outside_document(found: Stored) -> OutsideDocument | None:
    """A document as text; None where the object is none, or damaged."""
    kind = kind_of(found.sop_class)
    if kind not in ("sr", "gsps"):
        return None
    with quiet_pydicom():
        try:
            dataset = header_of(found)
            dataset.decode()
            return _report(dataset, found) if kind == "sr" else _state(dataset, found)
        except ArisError:
            return None
        except Exception as error:  # what others' programs write breaks pydicom in many ways
            log.warning("a document from outside cannot be read (%s)", type(error).__name__)
            return None


def encapsulated_pdf(store: Store, found: Stored) -> bytes | None:
    """The PDF that an object holds (PS3.3 A.45.1); None where it holds none, or is damaged."""
    if found.sop_class != _ENCAPSULATED_PDF:
        return None
    try:
        dataset = parse(store.files.read(found.digest), "document")
        made = bytes(dataset.get("EncapsulatedDocument") or b"")
    except ArisError:
        return None
    except Exception as error:  # what others' programs write breaks pydicom in many ways
        log.warning("a PDF from outside cannot be read (%s)", type(error).__name__)
        return None
    # Files that begin with anything else are no PDF, whatever they are called.
    return made if made.startswith(b"%PDF-") else None


def graphics_of_study(store: Store, study: str) -> list[Graphic]:
    """Every mark on a study's images, of all of its documents."""
    made: list[Graphic] = []
    for each in find_objects(store, study=study):
        if kind_of(each.sop_class) in ("sr", "gsps") and len(made) < _MOST_GRAPHICS:
            found = outside_document(each)
            made += [] if found is None else found.graphics
    return made[:_MOST_GRAPHICS]


def _report(dataset: Any, found: Stored) -> OutsideDocument:
    lines: list[DocumentLine] = []
    measurements: list[DocumentMeasurement] = []
    graphics: list[Graphic] = []
    title = _meaning(dataset) or "Structured report"
    for depth, item, above in _items(dataset):
        kind = str(item.get("ValueType", ""))
        name, said = _meaning(item), _said(item, kind)
        if said or kind == "CONTAINER":
            lines.append(DocumentLine(depth=depth, name=name, text=said))
        if kind == "NUM" and (value := _value(item)) is not None:
            measurements.append(DocumentMeasurement(name=name, value=value, unit=_unit(item), of=above))
        if kind == "SCOORD":
            graphics += _region(item, title, above)
    return OutsideDocument(
        uid=found.uid, title=title, kind="sr", maker=clean(text(dataset, "Manufacturer", 64)),
        verified=text(dataset, "VerificationFlag") == "VERIFIED",
        complete=text(dataset, "CompletionFlag") == "COMPLETE",
        lines=lines, measurements=measurements, graphics=graphics[:_MOST_GRAPHICS],
    )  # fmt: skip


def _items(dataset: Any) -> Iterator[tuple[int, Any, str]]:
    """Content items, depth first: how deep, the item, and words of what stands above it."""
    left = [(0, item, "") for item in reversed(dataset.get("ContentSequence") or ())]
    count = 0
    while left and count < _MOST_ITEMS:
        count += 1
        depth, item, above = left.pop()
        yield depth, item, above
        if depth + 1 < _DEEPEST:
            below = list(item.get("ContentSequence") or ())
            words = _words(item, below) or above
            left += [(depth + 1, each, words) for each in reversed(below)]


def _words(item: Any, below: list[Any]) -> str:
    """Say what a group or a measurement is about: its tracking identifier, finding or site, or what it measures."""
    if item.get("ValueType") == "NUM":
        value = _value(item)
        return "" if value is None else f"{_meaning(item)} {value:g} {_unit(item)}".strip()
    told: dict[str, str] = {}
    for each in below:
        code = _code(each.get("ConceptNameCodeSequence"))
        # Tracking Identifier, Finding, Finding Site (TID 1501).
        if code in ("112039", "121071", "363698007", "G-C0E3"):
            told[code] = _said(each, str(each.get("ValueType", "")))
    measured = [
        f"{_meaning(each)} {value:g} {_unit(each)}".strip()
        for each in below
        if each.get("ValueType") == "NUM" and (value := _value(each)) is not None
    ]
    return "; ".join(filter(None, [*told.values(), *measured[:3]]))[:256]


def _said(item: Any, kind: str) -> str:
    if kind == "TEXT":
        return clean(str(item.get("TextValue", "")))[:_LONGEST]
    if kind == "CODE":
        return _code_meaning(item.get("ConceptCodeSequence"))
    if kind == "NUM":
        value = _value(item)
        return "" if value is None else f"{value:g} {_unit(item)}".strip()
    for keyword in ("PersonName", "Date", "Time", "DateTime"):
        if kind in ("PNAME", "DATE", "TIME", "DATETIME") and keyword in item:
            return clean(text(item, keyword, 256))
    return ""


def _region(item: Any, title: str, above: str) -> Iterator[Graphic]:
    """A spatial coordinate (PS3.3 C.18.6), on each image that it is selected from."""
    for source in item.get("ContentSequence") or ():
        if source.get("ValueType") == "IMAGE":
            yield from _drawn(item, source.get("ReferencedSOPSequence") or (), title, above, closed=None)


def _state(dataset: Any, found: Stored) -> OutsideDocument:
    title = text(dataset, "ContentDescription", 128) or text(dataset, "ContentLabel", 64) or "Presentation state"
    graphics: list[Graphic] = []
    lines: list[DocumentLine] = []
    everywhere = [
        image for series in dataset.get("ReferencedSeriesSequence") or ()
        for image in series.get("ReferencedImageSequence") or ()
    ]  # fmt: skip
    for annotation in dataset.get("GraphicAnnotationSequence") or ():
        images = list(annotation.get("ReferencedImageSequence") or everywhere)
        for each in annotation.get("GraphicObjectSequence") or ():
            if str(each.get("GraphicAnnotationUnits", "PIXEL")) == "PIXEL":
                graphics += _drawn(each, images, title, "", closed=None)
        for each in annotation.get("TextObjectSequence") or ():
            said = clean(text(each, "UnformattedTextValue", _LONGEST))
            if said:
                lines.append(DocumentLine(depth=0, name="Text", text=said))
                graphics += _placed_text(each, images, title, said)
    return OutsideDocument(
        uid=found.uid, title=clean(title), kind="gsps", maker=clean(text(dataset, "Manufacturer", 64)), verified=False,
        complete=True, lines=lines[:_MOST_ITEMS], measurements=[], graphics=graphics[:_MOST_GRAPHICS],
    )  # fmt: skip


def _drawn(item: Any, images: Any, title: str, words: str, *, closed: bool | None) -> Iterator[Graphic]:
    kind = _KINDS.get(str(item.get("GraphicType", "")).strip().upper())
    points = _points(item.get("GraphicData"))
    if kind is None or not points:
        return
    shut = len(points) > 2 and points[0] == points[-1] if closed is None else closed
    groups = [[each] for each in points] if kind == "point" else [points]
    for image in images:
        for frame in _frames(image):
            for each in groups:
                yield Graphic(source=clean(title), kind=kind, image=text(image, "ReferencedSOPInstanceUID", 64),
                              frame=frame, points=each, closed=shut, text=words)  # fmt: skip


def _placed_text(item: Any, images: Any, title: str, said: str) -> Iterator[Graphic]:
    units = str(item.get("AnchorPointAnnotationUnits") or item.get("BoundingBoxAnnotationUnits") or "PIXEL")
    corner = item.get("AnchorPoint") or item.get("BoundingBoxTopLeftHandCorner")
    points = _points(corner)
    if units != "PIXEL" or not points:
        return
    for image in images:
        for frame in _frames(image):
            yield Graphic(source=clean(title), kind="text", image=text(image, "ReferencedSOPInstanceUID", 64),
                          frame=frame, points=points[:1], closed=False, text=said[:512])  # fmt: skip


def _frames(image: Any) -> list[int | None]:
    found = image.get("ReferencedFrameNumber")
    if found is None or found == "":
        return [None]
    several = list(found) if type(found).__name__ == "MultiValue" else [found]
    return [int(each) for each in several[:256]]


def _points(data: Any) -> list[tuple[float, float]]:
    values = [float(each) for each in data or ()][: 2 * _MOST_POINTS]
    if not all(math.isfinite(each) for each in values):
        return []
    return list(zip(values[::2], values[1::2], strict=False))


def _value(item: Any) -> float | None:
    measured = next(iter(item.get("MeasuredValueSequence") or ()), None)
    return None if measured is None else one_number(measured, "NumericValue")


def _unit(item: Any) -> str:
    measured = next(iter(item.get("MeasuredValueSequence") or ()), None)
    units = None if measured is None else measured.get("MeasurementUnitsCodeSequence")
    code = clean(text(units[0], "CodeValue", 16)) if units else ""
    return "" if code == "1" else code


def _meaning(item: Any) -> str:
    return _code_meaning(item.get("ConceptNameCodeSequence"))


def _code_meaning(sequence: Any) -> str:
    return clean(text(sequence[0], "CodeMeaning", 256)) if sequence else ""


def _code(sequence: Any) -> str:
    return text(sequence[0], "CodeValue", 64) if sequence else ""
