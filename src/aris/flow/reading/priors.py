"""Earlier studies of a patient. Identity is Patient ID, its issuer and the birth date: all else is only possible.

A possible prior is shown as such, never compared by itself, and loaded when a reader asks for it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from aris.errors import NotFoundError
from aris.flow.house import House
from aris.flow.subjects import study_row
from aris.imaging.dicom.patients import Patient
from aris.store.reading import readings, remote
from aris.store.reading.orders import patient_of
from aris.store.reading.tables import FetchedStudyRow
from aris.store.schema import StudyRow, folded

Identity = Literal["same", "possible"]
_MOST = 200


@dataclass(frozen=True)
class Prior:
    """Another study that is, or may be, of the same patient.

    Attributes:
        identity: "same", or "possible" with the reason.
        date: of the study, YYYYMMDD.
        state: of its reading; "" where it was not read here.
        archive: where it must be fetched from; "" where it is in the store.
        fetching: "asked" while it is on its way, "failed" with `error` where it did not come; else "".
    """

    study: str
    identity: Identity
    reason: str
    date: str
    description: str
    modalities: tuple[str, ...]
    state: str
    archive: str = ""
    fetching: str = ""
    error: str = ""


def priors(house: House, study: str) -> list[Prior]:
    """Other studies of a study's patient, here and in archives: the sure ones first, the latest first.

    Raises:
        NotFoundError: there is no such study.
    """
    with house.store.sessions.reading() as session:
        row = study_row(session, study)
        if row is None:
            raise NotFoundError("no such study in the store")
        return priors_of(session, row)


def priors_of(session: Session, row: StudyRow) -> list[Prior]:
    """Return the other studies of a study's patient, in a session that is there; see `priors`."""
    here, there = _candidates(session, row), remote.of(session, row.uid)
    found = _of_store(session, row, here)
    if there:
        uids = {each.uid for each in there}
        asked, in_store = remote.fetched_of(session, uids), _in_store(session, uids)
        made = [_elsewhere(row, each, asked.get(each.uid), each.uid in in_store) for each in there]
        found += [each for each in made if each is not None]
    found.sort(key=lambda each: each.date, reverse=True)
    return sorted(found, key=lambda each: each.identity != "same")


def latest_sure(session: Session, row: StudyRow) -> Prior | None:
    """Return the latest earlier study in the store that is surely of a study's patient; None if there is none."""
    dated = [each for each in _candidates(session, row) if re.fullmatch(r"[0-9]{8}", each.date)]
    earlier = [each for each in dated if (each.date, each.time) < (row.date, row.time)]
    earlier.sort(key=lambda each: (each.date, each.time), reverse=True)
    return next((each for each in _of_store(session, row, earlier) if each.identity == "same"), None)


def _candidates(session: Session, row: StudyRow) -> list[StudyRow]:
    ways = []
    if row.patient_id.strip():
        ways.append(StudyRow.id_key == folded(row.patient_id))
    family = folded(re.split(r"[\^=]", row.patient_name)[0].strip())
    if family and row.birth_date:
        # Somebody with another number: a second hospital's, or a slip of the pen.
        ways.append((StudyRow.birth_date == row.birth_date) & StudyRow.name_key.startswith(family, autoescape=True))
    if not ways:
        return []
    query = select(StudyRow).where(StudyRow.id != row.id, or_(*ways)).order_by(StudyRow.date.desc()).limit(_MOST)
    return list(session.scalars(query))


def _of_store(session: Session, row: StudyRow, others: Sequence[StudyRow]) -> list[Prior]:
    """Those of the store's studies that are, or may be, of the patient, in their order."""
    asked = remote.fetched_of(session, [each.uid for each in others])
    states = readings.states_of(session, [each.uid for each in others])
    kinds = readings.modalities(session, [each.id for each in others])
    made = [_prior(row, each, asked.get(each.uid), states.get(each.uid, ""), kinds.get(each.id, ())) for each in others]
    return [each for each in made if each is not None]


def _in_store(session: Session, uids: Collection[str]) -> set[str]:
    return set(session.scalars(select(StudyRow.uid).where(StudyRow.uid.in_(uids))))


def _prior(
    row: StudyRow, other: StudyRow, asked: FetchedStudyRow | None, state: str, kinds: Sequence[str]
) -> Prior | None:
    identity, reason = same_patient(patient_of(row), patient_of(other))
    if identity is None or (asked is not None and asked.state in (remote.ASKED, remote.FAILED)):
        return None  # what has come of it so far is listed as on its way
    return Prior(other.uid, identity, reason, other.date, other.description, tuple(kinds), state)


def _elsewhere(
    row: StudyRow, other: remote.RemoteStudy, asked: FetchedStudyRow | None, in_store: bool
) -> Prior | None:
    identity, reason = same_patient(patient_of(row), other.patient)
    on_its_way = asked is not None and asked.state in (remote.ASKED, remote.FAILED)
    if identity is None or (in_store and not on_its_way):
        return None
    return Prior(
        other.uid, identity, reason, other.date, other.description, other.modalities, "", archive=other.archive,
        fetching=asked.state if asked is not None and on_its_way else "", error="" if asked is None else asked.error,
    )  # fmt: skip


def same_patient(one: Patient, other: Patient) -> tuple[Identity | None, str]:
    """Compare the patients that two headers name: "same", "possible" with why not surely, or None.

    The same are those whose Patient ID, issuer and birth date are stated and equal, where nothing else differs. Without
    an issuer on either side the number is the house's own.
    """
    number = one.identifier.strip().casefold() == other.identifier.strip().casefold() != ""
    born = one.birth_date == other.birth_date
    issuer = one.issuer.strip().casefold() == other.issuer.strip().casefold()
    if number and issuer and born and one.birth_date and not one.conflicts(other):
        return "same", ""
    if number:
        why = [
            *([] if issuer else ["the issuers of the number differ, or one is not stated"]),
            *([] if born and one.birth_date else ["the birth dates differ, or one is not stated"]),
        ]
        return "possible", "; ".join(why) or "the name or the sex differs"
    named = [Patient(name=each.name, sex=each.sex) for each in (one, other)]
    if born and one.birth_date and one.name and other.name and not named[0].conflicts(named[1]):
        return "possible", "the same name and birth date under another Patient ID"
    return None, ""
