"""Searches as DICOM has them (PS3.4 C.2.2.2): single values, wildcards, ranges of dates, lists of UIDs."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Select, exists, false, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased

from aris.errors import StoreError
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
_RANGES = ("StudyDate", "StudyTime", "PatientBirthDate")
_LONGEST = 2048  # characters of a pattern: no text is kept that is as long, and databases refuse long ones
LEVELS = ("studies", "series", "instances")


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
        StoreError: a key cannot be matched at this level.
    """
    row: Any = {"studies": StudyRow, "series": SeriesRow, "instances": InstanceRow}[level]
    statement: Select[Any] = select(row)
    if level == "series":
        statement = statement.join(SeriesRow.study)
    elif level == "instances":
        statement = statement.join(InstanceRow.series).join(SeriesRow.study)
    for keyword, value in query.matches.items():
        if value not in ("", "*"):
            statement = statement.where(_condition(level, keyword, value))
    statement = statement.order_by(row.id).offset(query.offset)
    if query.limit is not None:
        statement = statement.limit(query.limit)
    return list(session.scalars(statement))


def _condition(level: str, keyword: str, value: str) -> ColumnElement[bool]:
    if keyword == "ModalitiesInStudy":
        wanted = [each for each in re.split(r"[\\,]", value) if each]
        inner = aliased(SeriesRow)
        return exists().where(inner.study_pk == StudyRow.id, inner.modality.in_(wanted))
    column = _COLUMNS.get(keyword)
    if column is None or LEVELS.index(_level_of(column)) > LEVELS.index(level):
        raise StoreError(f"{keyword}: not a key that {level} are searched by")
    if keyword.endswith("UID"):
        return column.in_([each for each in re.split(r"[\\,]", value) if each])
    if keyword in _RANGES and "-" in value:
        first, _, last = value.partition("-")
        # Times of "1200" and "120000.0" are compared as text, whose order is theirs.
        parts = [column >= first] if first else []
        parts += [column <= last + "~"] if last else []
        return parts[0] if len(parts) == 1 else parts[0] & parts[1] if parts else column == column
    named = keyword.endswith("Name")
    if not named and not ("*" in value or "?" in value):
        return column == value
    if len(value) > _LONGEST:
        return false()
    # In a pattern the database's own wildcards stand for themselves.
    pattern = re.sub(r"([%_\\])", r"\\\1", value.lower()).replace("*", "%").replace("?", "_")
    if not named:
        return func.lower(column).like(pattern, escape="\\")
    # A name that ends early matches names with empty components after it; and each of a name's groups (Latin,
    # ideographic and phonetic letters, PS3.5 6.2.1.1) is a name.
    forms = {each: None for part in (pattern, pattern.rstrip("^")) for each in (part, f"{part}=%", f"%={part}",
                                                                                f"%={part}=%")}  # fmt: skip
    return or_(*(func.lower(column).like(each, escape="\\") for each in forms))


def _level_of(column: InstrumentedAttribute[Any]) -> str:
    return str(column.parent.class_.__tablename__)
