"""Ages of patients as DICOM's AS: from the birth date and the day of the study, or as an image states it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from aris.errors import ArisError
from aris.flow.house import House
from aris.imaging import sniff
from aris.imaging.dicom.parsing import parse_header
from aris.imaging.dicom.quiet import quiet_pydicom
from aris.imaging.dicom.values import text
from aris.store.files import StoredFile
from aris.store.schema import InstanceRow, SeriesRow, StudyRow

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
    if len(birth_date) != 8 or len(day) != 8:
        return ""
    try:
        born, then = (datetime.strptime(each, "%Y%m%d").date() for each in (birth_date, day))
    except ValueError:
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


def ages(house: House, session: Session, studies: Sequence[StudyRow]) -> dict[int, str]:
    """Return the ages of the studies' patients, by the studies' keys; "" where none is known."""
    made = {each.id: age_of(each.birth_date, each.date) for each in studies}
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
