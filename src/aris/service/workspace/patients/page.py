"""The head of a patient's page: who it is, allergies, problems, drugs with what changed, contacts, studies."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

from fastapi import APIRouter
from sqlalchemy.orm import Session

from aris.errors import RecordError
from aris.exchange.documents.report import clean
from aris.flow.monitoring.alarms import counts_by_record
from aris.flow.records.identity import other_records, studies_of_record
from aris.flow.records.library import Opened, Progress, library_of
from aris.records import Encounter, Medication, Timeline
from aris.service.workspace.context import Workspace
from aris.service.workspace.patients.opening import (
    Here,
    Looker,
    Number,
    counts_of,
    entry_of,
    identifiers_of,
    source_of,
)
from aris.service.workspace.patients.writing import writer_of
from aris.service.workspace.schemas.patients import (
    Cited,
    EncounterLine,
    MedicationLine,
    PatientRecord,
    PatientStudy,
    Reading,
)
from aris.service.workspace.viewing import audit_view
from aris.store.reading import readings
from aris.store.reading.records.tables import RecordRow
from aris.tasks.summary import medications, problems
from aris.tasks.summary.forms import reference_moment
from aris.tasks.summary.results import Statement
from aris.tasks.summary.words import name_of, setting_of, stamp

router = APIRouter(prefix="/api/patients/{number}", tags=["patients"])
# So long the page waits for a record that was not read yet, before it is told how far it is.
_WAIT_S = 1.0
_STALE = timedelta(days=30)
_LATELY = timedelta(days=30)
_ENCOUNTERS, _LINES = 25, 300


@router.get("")
def record(number: Number, caller: Looker, workspace: Here) -> PatientRecord:
    """A record's head; while the record is being read, what the list knows of it."""
    try:
        found = library_of(workspace.house).open(number, _WAIT_S)
        audit_view(workspace, caller, f"record {number}", "record")
    except RecordError as error:
        return _head(workspace, number, problem=clean(str(error)))
    if isinstance(found, Progress):
        return _head(workspace, number, progress=found)
    return _head(workspace, number, found=found)


def _head(
    workspace: Workspace,
    number: int,
    *,
    found: Opened | None = None,
    progress: Progress | None = None,
    problem: str = "",
) -> PatientRecord:
    from aris.errors import NotFoundError
    from aris.store.reading.records import books

    now = workspace.now()
    counts = counts_by_record(workspace.house, now)
    by, note = writer_of(workspace)
    with workspace.house.store.sessions.reading() as session:
        row = books.find(session, number)
        if row is None:
            raise NotFoundError("there is no such record")
        reading = None
        if progress is not None:
            reading = Reading(bytes=progress.bytes, seconds=round(progress.seconds, 1), stage=progress.stage)
        values = dict(
            id=row.id, state="failed" if problem else "reading" if found is None else "ready", problem=problem,
            reading=reading, name=row.name, birth_date=row.birth_date, sex=row.sex, identifiers=identifiers_of(row),
            source=source_of(session, row), uploaded=row.source.startswith(books.UPLOAD),
            as_of=None if row.newest is None else row.newest.isoformat(),
            stale=row.newest is None or now - row.newest > _STALE, entries=row.entries,
            studies=_studies(session, row), alarms=counts_of(counts.get(row.id)), summary_by=by, summary_note=note,
            others=[entry_of(session, other, counts.get(other.id)) for other, _, _ in other_records(session, row)[:20]],
        )  # fmt: skip
    return PatientRecord.model_validate(values | _content(None if found is None else found.timeline, now))


def _content(timeline: Timeline | None, now: datetime) -> dict[str, object]:
    if timeline is None:
        return {
            "age": "", "died": "", "allergies": [], "allergies_stated": False, "problems": [], "medications": [],
            "encounters": [], "encounters_total": 0, "excluded": [], "reading_problems": [],
        }  # fmt: skip
    person = timeline.patient
    reference = reference_moment(timeline, None)
    age = person.age_at(person.death.start if person.death else now)
    allergies = [each for each in problems.allergies(timeline) if each.cites]
    return {
        "age": "" if age is None else _age(age), "died": "" if person.death is None else stamp(person.death),
        "allergies": _cited(allergies), "allergies_stated": bool(timeline.allergies),
        "problems": _cited(each for each in problems.problems(timeline, None) if each.cites),
        "medications": _medications(timeline, reference),
        "encounters": [_encounter(each) for each in list(reversed(timeline.encounters))[:_ENCOUNTERS]],
        "encounters_total": len(timeline.encounters),
        "excluded": [clean(f"{each.record.id}: {each.reason}") for each in timeline.excluded[:_LINES]],
        "reading_problems": [clean(each) for each in list(dict.fromkeys(map(str, timeline.problems)))[:_LINES]],
    }  # fmt: skip


def _age(years: float) -> str:
    return f"{int(years)} y" if years >= 2 else f"{int(years * 12)} months"


def _cited(statements: object) -> list[Cited]:
    return [Cited(text=clean(each.text), cites=list(each.cites)) for each in statements][:_LINES]  # type: ignore[attr-defined]


def _medications(timeline: Timeline, reference: datetime | None) -> list[MedicationLine]:
    return [_medication(timeline, each, reference) for each in medications.medications(timeline, None, reference)
            if each.cites][:_LINES]  # fmt: skip


def _medication(timeline: Timeline, statement: Statement, reference: datetime | None) -> MedicationLine:
    drugs = [each for each in timeline.find(statement.cites[0]) if isinstance(each, Medication)]
    state: Literal["current", "stopped", "on hold", "other"] = "other"
    change = ""
    if drugs:
        drug = drugs[0]
        if drug.current_at(None) is True:
            state, change = "current", _change(timeline, drug, reference)
        elif drug.status == "on-hold":
            state, change = "on hold", "put on hold"
        elif drug.status in ("stopped", "completed", "cancelled"):
            state = "stopped"
            change = "stopped" if drug.status == "stopped" else ""
    return MedicationLine(text=clean(statement.text), cites=list(statement.cites), state=state, change=change)


def _change(timeline: Timeline, drug: Medication, reference: datetime | None) -> str:
    """What changed lately of a drug in use: it is new, or its dosage is another than before."""
    name = name_of(drug.concept).casefold()
    start = drug.time or drug.known
    if start is None:
        return ""
    before = [
        each for each in timeline.medications
        if each.id != drug.id and each.role in ("request", "statement") and not each.negated and each.time is not None
        and each.time.start < start.start and name_of(each.concept).casefold() == name
    ]  # fmt: skip
    if before and before[-1].dosage and drug.dosage and before[-1].dosage != drug.dosage:
        return clean(f"dosage changed {stamp(start)}, before: {before[-1].dosage}")
    if not before and reference is not None and reference - start.start <= _LATELY:
        return f"new since {stamp(start)}"
    return ""


def _encounter(each: Encounter) -> EncounterLine:
    return EncounterLine(
        id=each.id, title=clean(name_of(each.concept)), setting=clean(setting_of(each.setting)),
        status=clean(each.status),
        start="" if each.time is None else each.time.text, end="" if each.end is None else each.end.text,
        reasons=clean(", ".join(name_of(reason) for reason in each.reasons)),
    )  # fmt: skip


def _studies(session: Session, row: RecordRow) -> list[PatientStudy]:
    found = studies_of_record(session, row)
    kinds = readings.modalities(session, [study.id for study, _, _ in found])
    made = []
    for study, identity, why in found:
        reading = readings.find(session, study.uid)
        made.append(
            PatientStudy(study=study.uid, date=study.date, description=study.description,
                         modalities=list(kinds.get(study.id, [])), state="" if reading is None else reading.state,
                         certain=identity == "same", why=why)
        )  # fmt: skip
    return made
