"""A study: looked at, opened, closed. Every look is audited by the reading room."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

from fastapi import APIRouter, Path, Response
from sqlalchemy.orm import Session

from aris.errors import NotFoundError
from aris.flow.reading.archives import ask_for
from aris.flow.reading.archives import look as look_in_archives
from aris.flow.reading.details import details, series_of
from aris.flow.reading.reading_room import Opened, ReadingRoom
from aris.flow.subjects import study_row
from aris.service.workspace.context import Caller, Workspace, allow, here
from aris.service.workspace.errors import RefusedError
from aris.service.workspace.schemas.common import answered
from aris.service.workspace.schemas.studies import SeriesInfo, Study, Text
from aris.service.workspace.studies.shown import prior_of, study_of, text_of
from aris.store.reading import drafts, readings

router = APIRouter(prefix="/api/studies/{study}", tags=["study"])
Looker = Annotated[Caller, allow("reader", "viewer", scope="read")]
Reader = Annotated[Caller, allow("reader", scope="write")]
Here = Annotated[Workspace, here]
# Looks into archives at once.
MOST_LOOKS = 4
StudyUid = Annotated[str, Path(pattern=r"^[0-9]+(\.[0-9]+)+$", max_length=64)]


class _Looks:
    """Looks into archives that are under way: each holds a thread until the archives have answered."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._logins: set[str] = set()

    @contextmanager
    def one(self, login: str) -> Iterator[None]:
        """Look, as the only one of a user, and one of a few in all.

        Raises:
            RefusedError: 503, there are too many.
        """
        with self._lock:
            if login in self._logins or len(self._logins) >= MOST_LOOKS:
                raise RefusedError(503, "busy", "the archives are being asked already; try again in a moment",
                                   {"Retry-After": "5"})  # fmt: skip
            self._logins.add(login)
        try:
            yield
        finally:
            with self._lock:
                self._logins.discard(login)


_LOOKS = _Looks()


@router.get("", response_model=Study)
def look(study: StudyUid, caller: Looker, workspace: Here) -> Response:
    """Show a study without opening it."""
    return answered(shown(workspace, caller, room(workspace).look(caller.login, study)))


@router.get("/texts")
def texts(study: StudyUid, caller: Looker, workspace: Here) -> list[Text]:
    """Every text of a study, the newest first."""
    return [text_of(each) for each in room(workspace).texts(caller.login, study)]


@router.get("/series")
def series(study: StudyUid, caller: Looker, workspace: Here) -> list[SeriesInfo]:
    """The series of any study in the store, as of an earlier one that was fetched and not read here. Audited."""
    house = workspace.house

    def work(session: Session) -> list[SeriesInfo]:
        row = study_row(session, study)
        if row is None:
            raise NotFoundError("no such study in the store")
        house.trail.add(session, caller.login, "view", study, now=workspace.now(), what="series")
        return [SeriesInfo(**each.__dict__) for each in series_of(session, row.id)]

    return house.store.sessions.write(work)


@router.post("/priors/look", response_model=Study)
def look_for_priors(study: StudyUid, caller: Reader, workspace: Here) -> Response:
    """Ask the site's archives for earlier studies of the patient, now."""
    with _LOOKS.one(caller.login):
        look_in_archives(workspace.house, study, caller.login)
    return answered(shown(workspace, caller, room(workspace).look(caller.login, study)))


@router.post("/priors/{prior}/fetch", response_model=Study)
def fetch(study: StudyUid, prior: StudyUid, caller: Reader, workspace: Here) -> Response:
    """Have an earlier study fetched from its archive; it comes in the background."""
    ask_for(workspace.house, caller.login, study, prior)
    return answered(shown(workspace, caller, room(workspace).look(caller.login, study)))


@router.post("/open", response_model=Study)
def open_study(study: StudyUid, caller: Reader, workspace: Here) -> Response:
    """Open a study to read it; who else has it open is in `opened_by`. One that nobody has drafted is drafted."""
    opened = room(workspace).open(caller.login, study)
    _begin_draft(workspace, opened)
    return answered(shown(workspace, caller, opened))


@router.post("/close", status_code=204)
def close(study: StudyUid, caller: Reader, workspace: Here) -> None:
    """Put a study back."""
    room(workspace).close(caller.login, study)


@router.post("/notice/seen", response_model=Study)
def acknowledge(study: StudyUid, caller: Reader, workspace: Here) -> Response:
    """Take the notice off a signed study, which then leaves the list."""
    room(workspace).acknowledge(caller.login, study)
    return answered(shown(workspace, caller, room(workspace).look(caller.login, study)))


def room(workspace: Workspace) -> ReadingRoom:
    """The reading room of a workspace."""
    return ReadingRoom(workspace.house, workspace.now)


def shown(workspace: Workspace, caller: Caller, opened: Opened) -> Study:
    """A study as the caller's page shows it."""
    study, found = opened.study.uid, details(workspace.house, opened)
    return study_of(
        opened,
        login=caller.login,
        reads="reader" in caller.roles,
        series=[SeriesInfo(**each.__dict__) for each in found.series],
        priors=[prior_of(each, impression) for each, impression in found.priors],
        deliveries=found.deliveries,
        drafting=_live(workspace, study) or found.drafting,
        now=workspace.now(),
        age=found.age,
        archives=[each.name for each in workspace.house.settings.archives],
    )


def _begin_draft(workspace: Workspace, opened: Opened) -> None:
    """Have a study drafted that a reader opens and nobody has: its page asks for the draft when it stands, later.

    Whoever asks then hears all of it. Nothing is drafted twice: drafts are made under leases.
    """
    drafted = opened.text is not None or any(each.origin == drafts.MODEL for each in opened.drafts)
    if workspace.drafts is not None and not drafted and opened.reading.state in readings.OPEN:
        workspace.drafts.ask(opened.study.uid)


def _live(workspace: Workspace, study: str) -> str | None:
    """Return how far a draft is that is written in this process; None where none is."""
    return None if workspace.drafts is None else workspace.drafts.state(study)
