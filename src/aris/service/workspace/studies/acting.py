"""Acts of readers on a study: texts, verdicts, measurements, critical results."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path

from aris.service.workspace.schemas.acts import (
    NewAttempt,
    NewCritical,
    NewMeasurement,
    NewText,
    NewVerdict,
    Saved,
)
from aris.service.workspace.schemas.studies import Measured, Study
from aris.service.workspace.studies.looking import Here, Reader, StudyUid, room, shown
from aris.service.workspace.studies.shown import measured_of

router = APIRouter(prefix="/api/studies/{study}", tags=["reading"])
Number = Annotated[int, Path(ge=1, lt=1 << 31)]


@router.put("/text")
def save(study: StudyUid, body: NewText, caller: Reader, workspace: Here) -> Saved:
    """Keep a text. Where another one came first both are kept, and `number` of this one is null."""
    sections = body.sections.model_dump(exclude_none=True)
    done = room(workspace).edit(caller.login, study, sections, body.base)
    return Saved(number=done.number, newest=done.newest, author=done.author)


@router.post("/verdicts", status_code=204)
def judge(study: StudyUid, body: NewVerdict, caller: Reader, workspace: Here) -> None:
    """Keep a verdict on a finding or a sentence of a draft; of the newest where none is named."""
    room(workspace).judge(caller.login, study, **body.model_dump())


@router.post("/measurements", status_code=201)
def measure(study: StudyUid, body: NewMeasurement, caller: Reader, workspace: Here) -> Measured:
    """Keep a measurement."""
    return measured_of(room(workspace).measure(caller.login, study, **body.model_dump()))


@router.delete("/measurements/{number}", status_code=204)
def remove_measurement(study: StudyUid, number: Number, caller: Reader, workspace: Here) -> None:
    """Take a measurement out."""
    room(workspace).remove_measurement(caller.login, study, number)


@router.post("/critical", status_code=201)
def raise_critical(study: StudyUid, body: NewCritical, caller: Reader, workspace: Here) -> Study:
    """Say that a study has a critical result."""
    room(workspace).raise_critical(caller.login, study, body.finding)
    return shown(workspace, caller, room(workspace).look(caller.login, study))


@router.post("/critical/{number}/attempts", status_code=201)
def tell(study: StudyUid, number: Number, body: NewAttempt, caller: Reader, workspace: Here) -> Study:
    """Note an attempt to tell somebody of a critical result."""
    values = body.model_dump()
    if values["outcome"] == "reached":
        values["outcome"] = "told"
    room(workspace).tell(caller.login, study, number, **values)
    return shown(workspace, caller, room(workspace).look(caller.login, study))
