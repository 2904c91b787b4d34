"""Lists of readings in the worklist's orders, with what of their studies a list shows.

Only keys are sorted, without a join where the order is of the reading alone; what a row shows is joined to a page of
them. No function of Python is called by the database: it would be for each row, under Python's lock.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, case, func, literal, literal_column, or_, select
from sqlalchemy.orm import Session

from aris.errors import StoreError
from aris.store.reading.critical import ENDS
from aris.store.reading.lasting_tables import AttemptRow, CriticalRow
from aris.store.reading.readings import OPEN, STATES, State
from aris.store.reading.tables import ReadingRow
from aris.store.schema import SeriesRow, StudyRow, folded

# Of a study that is past its first-come limit: as the highest concern.
TOP_CONCERN = 3
_SORTS = ("priority", "arrived", "patient", "date", "modality", "state")
# Sorts by what the study's row has.
_OF_STUDY = ("patient", "date", "modality")
# Without images there is nothing to read: as of samples that were taken out, whose study is not in the index any more.
_LISTED = ReadingRow.images > literal_column("0")
# Nobody has read back what is critical there, and nobody withdrew it.
_CRITICAL = ReadingRow.id.in_(
    select(CriticalRow.reading_pk).where(
        CriticalRow.id.not_in(select(AttemptRow.critical_pk).where(AttemptRow.outcome.in_(ENDS)))
    )
)
_NOTICED = or_(ReadingRow.notice != literal_column("''"), _CRITICAL)
_MODALITIES = (
    select(func.aggregate_strings(SeriesRow.modality, ",")).where(SeriesRow.study_pk == StudyRow.id)
    .correlate(StudyRow).scalar_subquery().label("kinds")
)  # fmt: skip
_SHOWN = (
    StudyRow.id, StudyRow.uid, StudyRow.patient_id, StudyRow.patient_name, StudyRow.birth_date, StudyRow.sex,
    StudyRow.accession, StudyRow.date, StudyRow.time, StudyRow.description, ReadingRow.state, ReadingRow.urgency,
    ReadingRow.concern, ReadingRow.assessed, ReadingRow.reason, ReadingRow.due_at, ReadingRow.images,
    ReadingRow.arrived_at, ReadingRow.opened_by, ReadingRow.notice, _MODALITIES,
)  # fmt: skip


@dataclass(frozen=True)
class ListQuery:
    """A query of the worklist.

    Attributes:
        states: in which the reading is; empty for all. Those of `OPEN` bring signed ones with a notice or an open
            critical result too.
        text: stands in the patient's name, ID, accession number or description.
        modality: of one of the study's series; "" for any.
        sort: "priority", "arrived", "patient", "date", "modality" or "state"; reverse: turned round.
        limit, offset: a page.
    """

    states: tuple[str, ...] = OPEN
    text: str = ""
    modality: str = ""
    sort: str = "priority"
    reverse: bool = False
    limit: int = 100
    offset: int = 0

    @property
    def by_state(self) -> bool:
        """Return whether nothing but states narrows it."""
        return not self.text.strip() and not self.modality


@dataclass(frozen=True)
class Listed:
    """A page of a list.

    Attributes:
        rows: the columns of `_SHOWN` by their names; `kinds` has the series' modalities between commas.
        total: how many there are in all.
        counts: of all studies, by state.
    """

    rows: list[Row[Any]]
    total: int
    counts: dict[State, int]


def listed(session: Session, query: ListQuery, now: datetime) -> Listed:
    """A page of the worklist.

    By priority: the order's urgency first; then concern, where a study past its first-come limit counts as of the
    highest concern; then the longest wait.

    Raises:
        StoreError: no such order.
    """
    if query.sort not in _SORTS:
        raise StoreError(f"worklist: cannot be sorted by {query.sort!r:.40}; by {', '.join(_SORTS)}")
    by_state, total = _counted(session, query)
    sorted_by: list[Any] = [*_order(query.sort, now), ReadingRow.id]
    order = [each.label(f"order_{at}") for at, each in enumerate(sorted_by)]
    turned = [query.reverse and at < len(order) - 1 for at in range(len(order))]
    needs_study = query.sort in _OF_STUDY or not query.by_state
    keys = select(ReadingRow.id.label("key"), *order).where(*_conditions(query))
    if needs_study:
        keys = keys.join(StudyRow, StudyRow.uid == ReadingRow.study_uid)
    keys = keys.order_by(*(each.desc() if down else each for each, down in zip(order, turned, strict=True)))
    page = keys.limit(query.limit).offset(query.offset).subquery()
    again = [page.c[each.name].desc() if down else page.c[each.name] for each, down in zip(order, turned, strict=True)]
    rows = session.execute(
        select(*_SHOWN).select_from(page).join(ReadingRow, ReadingRow.id == page.c.key)
        .join(StudyRow, StudyRow.uid == ReadingRow.study_uid).order_by(*again)
    )  # fmt: skip
    return Listed(list(rows), total, by_state)


def rows_of(session: Session, study_uids: Collection[str]) -> list[Row[Any]]:
    """Return the rows of studies, in no order; of those that are not in the worklist none."""
    if not study_uids:
        return []
    query = select(*_SHOWN).select_from(ReadingRow).join(StudyRow, StudyRow.uid == ReadingRow.study_uid)
    return list(session.execute(query.where(ReadingRow.study_uid.in_(study_uids), _LISTED)))


def counts(session: Session) -> dict[State, int]:
    """Count the studies in each state."""
    return _counted(session, ListQuery())[0]


def _counted(session: Session, query: ListQuery) -> tuple[dict[State, int], int]:
    """Count the studies by state, and those that a query lists."""
    count = func.count()
    found = session.execute(
        select(ReadingRow.state, literal(0), count).where(_LISTED).group_by(ReadingRow.state).union_all(
            select(ReadingRow.state, literal(1), count).where(_LISTED, _NOTICED).group_by(ReadingRow.state)
        )
    ).all()
    by_state: dict[Any, int] = dict.fromkeys(STATES, 0)
    by_state |= {state: number for state, noticed, number in found if not noticed}
    if query.by_state:
        takes = query.states or STATES
        return by_state, sum(
            number for state, noticed, number in found
            if (state in takes) is not bool(noticed) and (not noticed or query.states == OPEN)
        )  # fmt: skip
    chosen = (
        select(count).select_from(ReadingRow).join(StudyRow, StudyRow.uid == ReadingRow.study_uid)
        .where(*_conditions(query))
    )  # fmt: skip
    return by_state, session.scalar(chosen) or 0


def _conditions(query: ListQuery) -> list[ColumnElement[bool]]:
    made: list[ColumnElement[bool]] = [_LISTED]
    if query.states:
        chosen = ReadingRow.state.in_(query.states)
        # A signed one that somebody must look at again is to be read too.
        made.append(or_(chosen, _NOTICED) if query.states == OPEN else chosen)
    words = folded(query.text).split()[:8]
    made += [StudyRow.words.contains(word, autoescape=True) for word in words]
    if query.modality:
        made.append(StudyRow.id.in_(select(SeriesRow.study_pk).where(SeriesRow.modality == query.modality)))
    return made


def _order(sort: str, now: datetime) -> list[ColumnElement[Any]]:
    if sort == "arrived":
        return [ReadingRow.arrived_at.expression]
    if sort == "patient":
        return [StudyRow.name_key.expression]
    if sort == "date":
        return [StudyRow.date.expression, StudyRow.time.expression]
    if sort == "state":
        return [ReadingRow.state.expression]
    if sort == "modality":
        first = select(func.min(SeriesRow.modality)).where(SeriesRow.study_pk == StudyRow.id)
        return [first.scalar_subquery()]
    waits = ReadingRow.state.in_(OPEN)
    late = and_(waits, ReadingRow.due_at <= now)
    concern = case((late, TOP_CONCERN), else_=ReadingRow.concern)
    return [-ReadingRow.urgency, -concern, ReadingRow.arrived_at.expression]
