"""Reports from outside: others' structured reports of a study, kept beside the drafts for the reader to see.

None ever becomes the text, signed or not: a reader may take words of it over.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.orm import Session

from aris.errors import ArisError
from aris.exchange.documents.report import clean
from aris.flow.house import House
from aris.imaging.dicom.quiet import quiet_pydicom
from aris.regular import Openable
from aris.store.objects import parse_file
from aris.store.reading import drafts, readings, reports
from aris.store.reading.audit import SYSTEM

log = logging.getLogger("aris.flow")
_MOST_ITEMS = 2000


def take_outside(session: Session, house: House, study: str) -> int:
    """Keep a study's structured reports that are not ours and not kept yet. How many there were."""
    reading = readings.find(session, study, lock=True)
    if reading is None:
        return 0
    known = {each.source for each in drafts.all_of(session, reading) if each.origin == drafts.OUTSIDE}
    taken = 0
    for uid, digest in readings.report_instances(session, study):
        if uid in known or reports.is_own_document(session, uid):
            continue
        try:
            content = read_text(house.store.files.file(digest))
        except ArisError:
            log.warning("a structured report from outside cannot be read")
            continue
        except Exception as error:
            # What others' programs write breaks pydicom in many ways, and must not stop the arrival of other studies.
            log.warning("a structured report from outside cannot be read (%s)", type(error).__name__)
            continue
        moment = datetime.now(UTC)
        drafts.add(session, reading, content, origin=drafts.OUTSIDE, source=uid, applied=False, now=moment)
        house.trail.add(session, SYSTEM, "outside report", study, now=moment)
        taken += 1
    return taken


@quiet_pydicom()
def read_text(file: Openable) -> dict[str, Any]:
    """Read a structured report of anybody as text: its title, its state, and lines of a name and a text.

    Raises:
        StoreError: it is damaged.
    """
    document = parse_file(file, "report")
    document.decode()
    lines = [list(line) for line, _ in zip(_lines(document), range(_MOST_ITEMS), strict=False)]
    return {
        "title": _meaning(document),
        "maker": clean(str(document.get("Manufacturer", "")))[:64],
        "verified": str(document.get("VerificationFlag", "")) == "VERIFIED",
        "complete": str(document.get("CompletionFlag", "")) == "COMPLETE",
        "lines": lines,
    }


def _lines(item: Any, depth: int = 0) -> Iterator[tuple[str, str]]:
    for child in item.get("ContentSequence", []) if depth < 32 else []:
        kind, value = str(child.get("ValueType", "")), ""
        if kind == "TEXT":
            value = str(child.get("TextValue", ""))
        elif kind == "CODE" and child.get("ConceptCodeSequence"):
            value = str(child.ConceptCodeSequence[0].get("CodeMeaning", ""))
        elif kind == "NUM" and child.get("MeasuredValueSequence"):
            measured = child.MeasuredValueSequence[0]
            units = measured.get("MeasurementUnitsCodeSequence")
            value = f"{measured.get('NumericValue', '')} {units[0].get('CodeValue', '') if units else ''}"
        if clean(value):
            yield _meaning(child), clean(value)
        yield from _lines(child, depth + 1)


def _meaning(item: Any) -> str:
    names = item.get("ConceptNameCodeSequence")
    return clean(str(names[0].get("CodeMeaning", ""))) if names else ""
