"""A resource of a record as it lies in its source, read-only, with what was read of it."""

from __future__ import annotations

import json
from typing import Annotated

from fastapi import APIRouter, Query

from aris.errors import RecordError
from aris.exchange.documents.report import clean
from aris.flow.records.library import library_of
from aris.records import Note, Record, Report, Timeline
from aris.service.workspace.errors import RefusedError, not_found
from aris.service.workspace.patients.opening import Here, Looker, Number, opened
from aris.service.workspace.schemas.patients import SourceResource
from aris.tasks.summary.entries import text_of
from aris.tasks.summary.words import name_of, stamp

router = APIRouter(prefix="/api/patients/{number}", tags=["patients"])
_MOST = 120_000
_MOST_WORDS = 20_000


@router.get("/resource")
def resource(
    number: Number, caller: Looker, workspace: Here, id: Annotated[str, Query(min_length=3, max_length=200)]
) -> SourceResource:
    """A resource that is cited. Of several versions the last that lies in the source is shown."""
    found = opened(workspace, caller, number, "resource")
    # A source holds other patients' resources too: what is no part of this record is not looked for there.
    if not _belongs(found.timeline, id):
        raise not_found("the record has no such resource")
    try:
        lying = library_of(workspace.house).resource(number, id)
    except RecordError as error:
        raise RefusedError(422, "unreadable", str(error)) from None
    facts = found.timeline.find(id)
    if not lying and not facts:
        raise not_found("the record has no such resource")
    where, text, cut = "", "", False
    if lying:
        where, raw = lying[-1]
        text, cut = _shown(raw)
    return SourceResource(
        id=clean(id), where=clean(where or facts[0].source), text=text, cut=cut,
        facts=[pair for each in facts[:20] for pair in _facts(each)],
    )  # fmt: skip


def _belongs(timeline: Timeline, id: str) -> bool:
    """Tell whether a resource is of the record: the person, a fact, or one that was kept out though it is theirs."""
    if id == timeline.patient.id or timeline.find(id):
        return True
    return any(each.record.id == id and each.reason != "another patient's" for each in timeline.excluded)


def _shown(raw: bytes) -> tuple[str, bool]:
    try:
        said = json.dumps(json.loads(raw), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        said = raw.decode("utf-8", "replace")
    return clean(said[:_MOST]), len(said) > _MOST


def _facts(record: Record) -> list[list[str]]:
    """List its contents as they were read: pairs of a name and words."""
    pairs = [
        ("what", name_of(record.concept)), ("kind", record.kind), ("status", record.status),
        ("time", stamp(record.time, clock=True) if record.time else "not documented"),
        ("until", stamp(record.end, clock=True) if record.end else ""),
        ("known since", stamp(record.known, clock=True) if record.known else ""),
        ("in words", text_of(record) if not isinstance(record, Note | Report) else ""),
        ("text", record.text[:_MOST_WORDS] if isinstance(record, Note | Report) else ""),
        ("codes",
        ", ".join(f"{each.code} ({each.system.rpartition('/')[2] or 'no system'})" for each in record.concept.codings)),
        ("remarks", " ".join(record.notes)), ("version", record.version),
    ]  # fmt: skip
    return [[name, clean(words)] for name, words in pairs if words]
