"""Searches as DICOM has them (PS3.4 C.2.2.2): single values, wildcards, ranges of dates and times, lists of UIDs."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Select, SQLColumnExpression, and_, exists, false, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased

from aris.errors import StoreError
from aris.store.moments import MomentError, combined_condition, day_condition, is_range, time_condition
from aris.store.schema import InstanceRow, SeriesRow, StudyRow

_COLUMNS: dict[str, InstrumentedAttribute[Any]] = {
    "StudyInstanceUID": StudyRow.uid,
    "StudyID": StudyRow.study_id,
    "AccessionNumber": StudyRow.accession,
    "StudyDate": StudyRow.date,
    "StudyTime": StudyRow.time,
    "StudyDescription": StudyRow.description,
    "ReferringPhysicianName": StudyRow.referrer,
    "PatientID": StudyRow.patient_id,
    "PatientName": StudyRow.patient_name,
    "PatientBirthDate": StudyRow.birth_date,
    "PatientSex": StudyRow.sex,
    "SeriesInstanceUID": SeriesRow.uid,
    "Modality": SeriesRow.modality,
    "SeriesNumber": SeriesRow.number,
    "SeriesDescription": SeriesRow.description,
    "BodyPartExamined": SeriesRow.body_part,
    "SOPInstanceUID": InstanceRow.uid,
    "SOPClassUID": InstanceRow.sop_class,
    "InstanceNumber": InstanceRow.number,
}
MATCHING_KEYS = (*_COLUMNS, "ModalitiesInStudy")
_DAYS, _TIMES, _NUMBERS = ("StudyDate", "PatientBirthDate"), ("StudyTime",), ("SeriesNumber", "InstanceNumber")
_NAMES = ("PatientName", "ReferringPhysicianName")
# Components of a name that may be empty at its end (PS3.5 6.2.1.1).
_EMPTY_COMPONENTS = 4
_LONGEST = 2048  # characters of a pattern: no text is kept that is as long, and databases refuse long ones
LEVELS = ("studies", "series", "instances")


class QueryError(StoreError):
    """A search that cannot be made: a key that a level does not have, or a value that is malformed."""


@dataclass(frozen=True)
class Query:
    """A search.

    Attributes:
        matches: what must match, by DICOM keyword; "" matches all.
        limit: results at most; None for all.
        offset: results to leave out first.
    """

    matches: dict[str, str] = field(default_factory=dict)
    limit: int | None = None
    offset: int = 0


def run(session: Session, level: str, query: Query) -> list[Any]:
    """The rows of a level ("studies", "series" or "instances") that match, in a stable order.

    Raises:
        QueryError: a key cannot be matched at this level, or its value is malformed.
    """
    row: Any = {"studies": StudyRow, "series": SeriesRow, "instances": InstanceRow}[level]
    statement: Select[Any] = select(row)
    if level == "series":
        statement = statement.join(SeriesRow.study)
    elif level == "instances":
        statement = statement.join(InstanceRow.series).join(SeriesRow.study)
    # Spaces at the ends of a key say nothing (PS3.5 6.2); "" and "*" match all (universal matching).
    wanted = {keyword: value.strip() for keyword, value in query.matches.items()}
    wanted = {keyword: value for keyword, value in wanted.items() if value.strip("*")}
    day, time = wanted.get("StudyDate", ""), wanted.get("StudyTime", "")
    if is_range(day) and is_range(time):
        del wanted["StudyDate"], wanted["StudyTime"]
        try:
            statement = statement.where(combined_condition(StudyRow.date, StudyRow.time, day, time))
        except MomentError:
            raise _malformed("StudyDate and StudyTime") from None
    on_sqlite = session.get_bind().dialect.name == "sqlite"
    for keyword, value in wanted.items():
        statement = statement.where(_condition(level, keyword, value, on_sqlite))
    statement = statement.order_by(row.id).offset(query.offset)
    if query.limit is not None:
        statement = statement.limit(query.limit)
    return list(session.scalars(statement))


def _condition(level: str, keyword: str, value: str, on_sqlite: bool) -> ColumnElement[bool]:
    if keyword == "ModalitiesInStudy":
        inner = aliased(SeriesRow)
        some = or_(*(_text(inner.modality, each, on_sqlite) for each in _listed(value)))
        return exists().where(inner.study_pk == StudyRow.id, some)
    column = _COLUMNS.get(keyword)
    if column is None or LEVELS.index(_level_of(column)) > LEVELS.index(level):
        raise QueryError(f"{keyword}: not a key that {level} are searched by")
    if keyword.endswith("UID"):
        return column.in_(_listed(value))
    try:
        if keyword in _DAYS:
            return day_condition(column, value)
        if keyword in _TIMES:
            return time_condition(column, value)
        if keyword in _NUMBERS:
            return _number(keyword, column, value)
    except MomentError:
        raise _malformed(keyword) from None
    if len(value) > _LONGEST:
        return false()
    return _name(column, value) if keyword in _NAMES else _text(column, value, on_sqlite)


def _listed(value: str) -> list[str]:
    """The values of a list (PS3.4 C.2.2.2.2, PS3.18 8.3.4.1)."""
    return list(dict.fromkeys(part for each in re.split(r"[\\,]", value) if (part := each.strip())))


def _number(keyword: str, column: SQLColumnExpression[Any], value: str) -> ColumnElement[bool]:
    """A whole number, however it is written: "7" is "07" and "+7"."""
    if not re.fullmatch(r"[+-]?[0-9]{1,12}", value, re.ASCII):
        raise QueryError(f"{keyword}: not a whole number; there are no wildcards or ranges of numbers")
    number = int(value)
    bare = func.ltrim(func.trim(column), "+0")
    if number == 0:
        return (column != "") & (bare == "")
    return bare == str(number) if number > 0 else func.replace(func.trim(column), "-0", "-") == str(number)


def _text(column: SQLColumnExpression[Any], value: str, on_sqlite: bool) -> ColumnElement[bool]:
    """A text, in its case; "*" and "?" stand for any letters and for any one (PS3.4 C.2.2.2.4)."""
    if not ("*" in value or "?" in value):
        return column == value
    if on_sqlite:
        # Its LIKE does not tell capitals from small letters; in GLOB brackets stand for sets of letters.
        return column.op("GLOB", is_comparison=True)(value.replace("[", "[[]"))
    return column.like(_pattern(value), escape="\\")


def _name(column: SQLColumnExpression[Any], value: str) -> ColumnElement[bool]:
    """A name, in any case. Each of its groups (Latin, ideographic, phonetic letters; PS3.5 6.2.1.1) is a name.

    A key with several groups, as "=山田*", matches each against its own. Empty components at the end say nothing.
    """
    groups = [_pattern(each.lower()).rstrip("^") for each in value.split("=")]
    low = StudyRow.name_key if column is StudyRow.patient_name else func.lower(column)
    if len(groups) == 1:
        forms = [f"{before}{each}{after}" for each in _ending(groups[0]) for before, after in
                 (("", ""), ("", "=%"), ("%=", ""), ("%=", "=%"))]  # fmt: skip
        return or_(*(low.like(form, escape="\\") for form in forms))
    conditions = []
    for location, each in enumerate(groups[:3]):
        if each:
            forms = [f"{'%=' * location}{ended}{after}" for ended in _ending(each) for after in ("", "=%")]
            conditions.append(or_(*(low.like(form, escape="\\") for form in forms)))
    return and_(*conditions) if conditions and len(groups) <= 3 else false()


def _ending(group: str) -> list[str]:
    return [group + "^" * count for count in range(_EMPTY_COMPONENTS + 1)]


def _pattern(value: str) -> str:
    """For LIKE: the database's own wildcards stand for themselves."""
    return re.sub(r"([%_\\])", r"\\\1", value).replace("*", "%").replace("?", "_")


def _malformed(keyword: str) -> QueryError:
    return QueryError(
        f"{keyword}: not a date (YYYYMMDD), a time (HHMMSS) or a range of them, as 20260101-20260131, 20260101-, -1200"
    )


def _level_of(column: InstrumentedAttribute[Any]) -> str:
    return str(column.parent.class_.__tablename__)
