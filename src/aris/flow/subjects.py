"""The subject of a report, from the index of the store: patient, study and images."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from aris.exchange.documents.report import ImageReference, Patient, Report, Study, checked
from aris.imaging.dicom.patients import Patient as HeaderPatient
from aris.store.reading import drafts
from aris.store.reading.lasting_tables import ReportRow
from aris.store.reading.orders import patient_of
from aris.store.reading.tables import DraftRow, ReadingRow
from aris.store.schema import InstanceRow, SeriesRow, StudyRow

_SEXES: dict[str, Literal["M", "F", "O"]] = {"M": "M", "F": "F", "O": "O"}


def study_row(session: Session, uid: str) -> StudyRow | None:
    """The index's row of a study."""
    return session.scalar(select(StudyRow).where(StudyRow.uid == uid))


def subject(session: Session, row: StudyRow) -> tuple[Patient, Study, tuple[ImageReference, ...]]:
    """Patient, study, and references to its images in the order of series and instances."""
    patient = Patient(
        identifier=row.patient_id, issuer=row.issuer, name=row.patient_name, birth_date=_day(row.birth_date),
        sex=_SEXES.get(row.sex.strip().upper(), ""),
    )  # fmt: skip
    study = Study(
        uid=row.uid, identifier=row.study_id, accession=row.accession, date=_day(row.date), time=_clock(row.time),
        description=row.description, referrer=row.referrer,
    )  # fmt: skip
    query = (
        select(InstanceRow.sop_class, InstanceRow.uid, SeriesRow.uid)
        .join(InstanceRow.series)
        .where(SeriesRow.study_pk == row.id, InstanceRow.rows.is_not(None))
        .order_by(SeriesRow.id, InstanceRow.id)
    )
    images = tuple(
        ImageReference(sop_class=sop_class, uid=uid, series=series, study=row.uid)
        for sop_class, uid, series in session.execute(query)
    )
    return patient, study, images


def report_of(row: DraftRow | ReportRow) -> Report:
    """The report of a model's draft or of a signed version, checked once: rows of both never change."""
    found: Report | None = row.__dict__.get("_report_of")
    if found is None:
        found = checked(**row.report)
        row.__dict__["_report_of"] = found
    return found


def of_another(report: Report, row: StudyRow) -> bool:
    """Return whether a report names another patient than its study does now (`Store.resolve` gives studies away)."""
    who = report.patient
    return patient_of(row).conflicts(HeaderPatient(who.identifier, who.issuer, who.name, who.birth_date, who.sex))


def drafts_of_others(session: Session, reading: ReadingRow, row: StudyRow) -> list[int]:
    """Return the numbers of models' drafts that name another patient than their study does now, in their order."""
    return of_others(drafts.all_of(session, reading), row)


def of_others(found: Iterable[DraftRow], row: StudyRow) -> list[int]:
    """Return the numbers of those models' drafts that name another patient than their study does now."""
    return [each.number for each in found if each.origin == drafts.MODEL and of_another(report_of(each), row)]


def _day(value: str) -> str:
    try:
        return datetime.strptime(value, "%Y%m%d").strftime("%Y%m%d") if len(value) == 8 else ""
    except ValueError:
        return ""


def _clock(value: str) -> str:
    value = value.partition(".")[0].replace(":", "")
    value = value.ljust(6, "0") if len(value) in (2, 4, 6) else ""
    return value if re.fullmatch("([01][0-9]|2[0-3])[0-5][0-9][0-5][0-9]", value) else ""
