"""A record along the axis of time: a page of entries within a span, and counts for the bars."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query

from aris.exchange.documents.report import clean
from aris.records import Measurement, Record
from aris.records.when import parse_when
from aris.service.workspace.errors import RefusedError
from aris.service.workspace.patients.opening import Here, Looker, Number, opened
from aris.service.workspace.schemas.patients import Kind, TimelineBar, TimelineEntry, TimelinePage
from aris.tasks.summary.entries import text_of
from aris.tasks.summary.words import is_abnormal, name_of, test_name

router = APIRouter(prefix="/api/patients/{number}", tags=["patients"])
_SLOTS = 96
_LONGEST = 600
Moment = Annotated[str, Query(max_length=40)]


@router.get("/timeline")
def timeline(
    number: Number, caller: Looker, workspace: Here, kind: Annotated[list[Kind] | None, Query(max_length=13)] = None,
    text: Annotated[str, Query(max_length=200)] = "", start: Moment = "", end: Moment = "",
    limit: Annotated[int, Query(ge=1, le=500)] = 200, offset: Annotated[int, Query(ge=0, lt=1 << 31)] = 0,
) -> TimelinePage:  # fmt: skip
    """Entries of a record within a span, the newest first; without an end or a start, to the record's own."""
    begin, over = _moment(start), _moment(end)
    records = opened(workspace, caller, number, "timeline").timeline.records
    words = clean(text).casefold().split()
    fits = [each for each in records if not words or _has(each, words)]
    kinds = Counter(each.kind for each in fits)
    wanted = set(kind or ())
    shown = [each for each in fits if not wanted or each.kind in wanted]
    dated = [each for each in shown if each.time is not None]
    # The axis is the whole record's, whatever is shown of it, so that filters move nothing.
    starts = [each.time.start for each in records if each.time is not None]
    first, last = (min(starts), max(starts)) if starts else (None, None)
    begin, over = begin or first, over or last
    within = [each for each in dated if _within(each, begin, over)]
    undated = [each for each in shown if each.time is None]
    ordered = [*reversed(within), *undated]
    return TimelinePage(
        total=len(ordered), entries=[entry_of(each) for each in ordered[offset : offset + limit]],
        kinds={str(kind): count for kind, count in kinds.items()},
        first=_iso(first), last=_iso(last), start=_iso(begin), end=_iso(over), slots=_SLOTS,
        bars=_bars(within, begin, over), undated=len(undated),
    )  # fmt: skip


def entry_of(record: Record) -> TimelineEntry:
    """An entry of the timeline."""
    title = clean(test_name(record) if isinstance(record, Measurement) else name_of(record.concept)) or record.kind
    said = " ".join(clean(text_of(record)).split())
    detail = said.removeprefix(f"{title}: ").removeprefix(title).strip(" :")
    return TimelineEntry(
        id=record.id, kind=record.kind, title=title[:_LONGEST], detail=detail[:_LONGEST], status=clean(record.status),
        time="" if record.time is None else record.time.text,
        precision="" if record.time is None else record.time.precision,
        start=_iso(None if record.time is None else record.time.start),
        end=_iso(None if record.end is None else record.end.end),
        known="" if record.known is None else record.known.text, negated=record.negated,
        abnormal=isinstance(record, Measurement) and is_abnormal(record),
    )  # fmt: skip


def _has(record: Record, words: list[str]) -> bool:
    said = f"{record.concept.text} {record.kind} {record.id} {text_of(record)}".casefold()
    return all(word in said for word in words)


def _within(record: Record, start: datetime | None, end: datetime | None) -> bool:
    assert record.time is not None
    return (end is None or record.time.start <= end) and (start is None or record.time.end >= start)


def _bars(records: list[Record], start: datetime | None, end: datetime | None) -> list[TimelineBar]:
    if start is None or end is None:
        return []
    span = max((end - start).total_seconds(), 1.0)
    counted: Counter[tuple[Kind, int]] = Counter()
    for each in records:
        assert each.time is not None
        slot = int((each.time.start - start).total_seconds() / span * _SLOTS)
        counted[each.kind, min(max(slot, 0), _SLOTS - 1)] += 1
    return [TimelineBar(kind=kind, slot=slot, count=count) for (kind, slot), count in sorted(counted.items())]


def _moment(text: str) -> datetime | None:
    if not text:
        return None
    found = parse_when(text)
    if found is None:
        raise RefusedError(422, "malformed", "start and end are times, as 2019-03-04 or 2019-03-04T08:00:00Z")
    return found.start.astimezone(UTC)


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
