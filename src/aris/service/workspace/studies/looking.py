"""A study: looked at, opened, closed. Every look is audited by the reading room."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path

from aris.flow.reading.details import details
from aris.flow.reading.reading_room import Opened, ReadingRoom
from aris.service.workspace.context import Caller, Workspace, allow, here
from aris.service.workspace.schemas.studies import SeriesInfo, Study, Text
from aris.service.workspace.studies.shown import prior_of, study_of, text_of
from aris.tasks.calibration.answers import read_calibration

router = APIRouter(prefix="/api/studies/{study}", tags=["study"])
Looker = Annotated[Caller, allow("reader", "viewer", scope="read")]
Reader = Annotated[Caller, allow("reader", scope="write")]
Here = Annotated[Workspace, here]
StudyUid = Annotated[str, Path(pattern=r"^[0-9]+(\.[0-9]+)+$", max_length=64)]


@router.get("")
def look(study: StudyUid, caller: Looker, workspace: Here) -> Study:
    """Show a study without opening it."""
    return shown(workspace, caller, room(workspace).look(caller.login, study))


@router.get("/texts")
def texts(study: StudyUid, caller: Looker, workspace: Here) -> list[Text]:
    """Every text of a study, the newest first."""
    return [text_of(each) for each in room(workspace).texts(caller.login, study)]


@router.post("/open")
def open_study(study: StudyUid, caller: Reader, workspace: Here) -> Study:
    """Open a study to read it; who else has it open is told in `opened_by`."""
    return shown(workspace, caller, room(workspace).open(caller.login, study))


@router.post("/close", status_code=204)
def close(study: StudyUid, caller: Reader, workspace: Here) -> None:
    """Put a study back."""
    room(workspace).close(caller.login, study)


@router.post("/notice/seen")
def acknowledge(study: StudyUid, caller: Reader, workspace: Here) -> Study:
    """Take the notice off a signed study, which then leaves the list."""
    room(workspace).acknowledge(caller.login, study)
    return shown(workspace, caller, room(workspace).look(caller.login, study))


def room(workspace: Workspace) -> ReadingRoom:
    """The reading room of a workspace."""
    return ReadingRoom(workspace.house, workspace.now)


def shown(workspace: Workspace, caller: Caller, opened: Opened) -> Study:
    """A study as the caller's page shows it."""
    found = details(workspace.house, opened)
    return study_of(
        opened,
        login=caller.login,
        reads="reader" in caller.roles,
        series=[SeriesInfo(**each.__dict__) for each in found.series],
        priors=[prior_of(each, impression) for each, impression in found.priors],
        deliveries=found.deliveries,
        drafting=found.drafting,
        thresholds=_thresholds(workspace),
        now=workspace.now(),
        age=found.age,
    )


def _thresholds(workspace: Workspace) -> dict[str, dict[str, float]]:
    """The operating points of the model that is loaded; those of others are not known here."""
    model = workspace.model
    if model is None:
        return {}
    found = read_calibration(model.calibration).findings
    return {model.name: {name: each.threshold for name, each in found.items()}}
