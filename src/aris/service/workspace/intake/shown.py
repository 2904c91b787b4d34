"""Intakes of the store as the pages get them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from sqlalchemy.orm import Session

from aris.errors import DataError
from aris.flow.intakes.answering import who_of
from aris.flow.intakes.landing import landed
from aris.flow.intakes.results import partial_result, result_of
from aris.imaging.dicom.patients import Patient
from aris.service.workspace.context import Workspace
from aris.service.workspace.schemas.intake import (
    Intake,
    IntakeBadge,
    IntakeFinding,
    IntakeLine,
    IntakeMark,
    IntakePatient,
    IntakeReason,
    IntakeSaid,
    IntakeSummary,
    IntakeTurn,
)
from aris.store.intakes import intakes
from aris.store.intakes.tables import IntakeMarkRow, IntakeRow
from aris.tasks.intake import LEVELS, resume


def lines_of(session: Session, rows: Iterable[IntakeRow]) -> list[IntakeLine]:
    """The lines of intakes with their marks, in the same order."""
    rows = list(rows)
    marks = intakes.marks_of(session, rows)
    return [line_of(row, marks.get(row.id, [])) for row in rows]


def line_of(row: IntakeRow, marks: Iterable[IntakeMarkRow]) -> IntakeLine:
    """The line of an intake."""
    return IntakeLine(
        name=row.name,
        patient=IntakePatient(identifier=row.patient_id, issuer=row.issuer, name=row.patient_name,
                              birth_date=row.birth_date, sex=row.sex),
        note=row.note, status=row.status,  # type: ignore[arg-type]
        level=LEVELS[row.rank], complaint=row.complaint, reason=row.reason,
        made_by=row.made_by, made_at=row.made_at.isoformat(), expires_at=row.expires_at.isoformat(),
        ended_at=None if row.ended_at is None else row.ended_at.isoformat(), asked=row.asked,
        link_used=row.patient is not None,
        marks=[IntakeMark(kind=each.kind,  # type: ignore[arg-type]
                        login=each.login, at=each.at.isoformat(), how=each.how, note=each.note)
               for each in marks],
    )  # fmt: skip


def result(workspace: Workspace, row: IntakeRow) -> dict[str, Any] | None:
    """The kept result of an intake, or that of one that still runs, as it stands; None before an answer."""
    if row.result is not None or row.state is None:
        found: dict[str, Any] | None = row.result
        return found
    try:
        state = resume(json.dumps(row.state))
    except DataError:
        return partial_result(row.state)
    return result_of(state, workspace.house.settings.intake, who_of(row), row.name, workspace.now())


def whole(workspace: Workspace, session: Session, row: IntakeRow) -> Intake:
    """An intake as a clinician reads it."""
    made = result(workspace, row) or {}
    summary = made.get("summary")
    return Intake(
        line=lines_of(session, [row])[0],
        summary=None if summary is None else _summary(summary),
        transcript=[
            IntakeTurn(**{name: each[name] for name in IntakeTurn.model_fields}) for each in made.get("transcript", [])
        ],
        text=made.get("text", ""), has_fhir=made.get("bundle") is not None,
    )  # fmt: skip


def _summary(kept: dict[str, Any]) -> IntakeSummary:
    def findings(name: str) -> list[IntakeFinding]:
        return [IntakeFinding(label=each["label"], quote=each["quote"], denied=each["denied"]) for each in kept[name]]

    return IntakeSummary(
        **{name: kept[name] for name in ("answered_by", "age", "sex", "pregnancy", "complaint", "chief_complaint",
                                         "medications", "allergies", "other", "not_asked", "questions", "caution")},
        model=kept["model"] or "",
        reasons=[IntakeReason(**{name: each[name] for name in IntakeReason.model_fields}) for each in kept["reasons"]],
        red_flags=findings("red_flags"),
        history=[IntakeSaid(label=each["label"], value=each["value"]) for each in kept["history_of_present_illness"]],
        positives=findings("positives"), negatives=findings("pertinent_negatives"), not_known=findings("not_known"),
        past_history=findings("past_history"),
    )  # fmt: skip


def badges(
    workspace: Workspace, session: Session, patients: list[Patient], *, recent: bool = True
) -> list[IntakeBadge | None]:
    """The newest intake of each patient, for the worklist; one query for all."""
    found = landed(session, patients, workspace.now() if recent else None)
    newest = [own[0] if own else None for own in found]
    marks = intakes.marks_of(session, [each[0] for each in newest if each is not None])
    return [
        None if each is None else badge_of(each[0], marks.get(each[0].id, []), certain=each[1]) for each in newest
    ]


def badge_of(row: IntakeRow, marks: Iterable[IntakeMarkRow], *, certain: bool) -> IntakeBadge:
    """An intake beside a study."""
    ended = row.ended_at or row.changed_at
    return IntakeBadge(
        name=row.name, at=ended.isoformat(), level=LEVELS[row.rank], status=row.status,  # type: ignore[arg-type]
        complaint=row.complaint, seen=any(each.kind == intakes.SEEN for each in marks), certain=certain,
    )  # fmt: skip
