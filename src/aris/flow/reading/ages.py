"""Ages of patients as DICOM's AS: from the birth date and the day of the study, or as an image states it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date
from functools import lru_cache

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from aris.errors import ArisError
from aris.flow.house import House
from aris.imaging import sniff
from aris.imaging.dicom.parsing import parse_header
from aris.imaging.dicom.quiet import quiet_pydicom
from aris.imaging.dicom.values import text
from aris.store.files import StoredFile
from aris.store.schema import InstanceRow, SeriesRow

_DAY = re.compile("[0-9]{8}")
_AGE = re.compile("[0-9]{3}[DWMY]")
_STATED: dict[str, str] = {}
_MOST_STATED = 1 << 16


def age_of(birth_date: str, day: str) -> str:
    """Age on a day as DICOM's AS: days to four weeks, weeks to three months, months to two years, then years.

    Args:
        birth_date, day: YYYYMMDD.

    Returns:
        "" where one is missing or wrong, or the day is before the birth.
    """
    born, then = _day(birth_date), _day(day)
    if born is None or then is None:
        return ""
    days = (then - born).days
    months = (then.year - born.year) * 12 + then.month - born.month - (then.day < born.day)
    if days < 0 or months >= 12 * 150:
        return ""
    if days < 28:
        return f"{days:03}D"
    if months < 3:
        return f"{days // 7:03}W"
    return f"{months:03}M" if months < 24 else f"{months // 12:03}Y"


@lru_cache(maxsize=1 << 15)
def _day(value: str) -> date | None:
    """The day of YYYYMMDD; None where it is none."""
    if not _DAY.fullmatch(value):
        return None
    try:
        return date(int(value[:4]), int(value[4:6]), int(value[6:]))
    except ValueError:
        return None


def ages(house: House, session: Session, studies: Iterable[tuple[int, str, str]]) -> dict[int, str]:
    """Return the ages of the studies' patients, by the studies' keys; "" where none is known.

    Args:
        studies: key, birth date and date of each.
    """
    made = {key: age_of(birth_date, day) for key, birth_date, day in studies}
    unknown = [key for key, age in made.items() if not age]
    if unknown:
        first = (
            select(func.min(InstanceRow.id))
            .join(InstanceRow.series)
            .where(SeriesRow.study_pk.in_(unknown), InstanceRow.rows.is_not(None))
            .group_by(SeriesRow.study_pk)
        )
        query = select(SeriesRow.study_pk, InstanceRow.digest).join(InstanceRow.series).where(InstanceRow.id.in_(first))
        for key, digest in session.execute(query):
            made[key] = _stated(house.store.files.file(digest))
    return made


def _stated(file: StoredFile) -> str:
    """The Patient's Age (0010,1010) of a file, which never changes: it is known by its digest."""
    if (known := _STATED.get(file.digest)) is not None:
        return known
    try:
        with quiet_pydicom():
            found = text(parse_header(file, "image", ["PatientAge"], sniff.only_dicom), "PatientAge").upper()
    except (ArisError, OSError, ValueError):
        return ""
    if len(_STATED) >= _MOST_STATED:
        _STATED.clear()
    return _STATED.setdefault(file.digest, found if _AGE.fullmatch(found) else "")
