"""Uploads: one file a request, streamed to the disk within bounds, then kept, settled and so drafted at once."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.concurrency import run_in_threadpool

from aris.errors import ExchangeError
from aris.exchange.documents.report import clean
from aris.exchange.raster_images import RasterFacts, checked_facts
from aris.flow.arrival import settle_now
from aris.flow.uploads import Outcome, take_upload
from aris.service.workspace.context import Caller, Workspace, allow, here
from aris.service.workspace.errors import RefusedError
from aris.service.workspace.receiving import received
from aris.service.workspace.schemas.worklist import Refused, Uploaded
from aris.store.encryption.spool import Spool

router = APIRouter(prefix="/api", tags=["uploads"])
Reader = Annotated[Caller, allow("reader", scope="write")]
Here = Annotated[Workspace, here]
Fact = Annotated[str, Query(max_length=200)]

MOST_BYTES = 8 << 30
# Uploads at once, and of one user: his slow lines keep nobody else out.
MOST_AT_ONCE, MOST_OF_ONE = 8, 3
FOLDER = "uploads"


class _Arriving:
    """Uploads of a process: how many there are, and the studies that wait for the rest of a batch."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._active: Counter[str] = Counter()
        self._waiting: dict[str, set[str]] = {}

    def begin(self, login: str) -> None:
        with self._lock:
            if self._active.total() >= MOST_AT_ONCE or self._active[login] >= MOST_OF_ONE:
                raise RefusedError(503, "busy", "as many uploads arrive as there is room for; try again",
                                   {"Retry-After": "5"})  # fmt: skip
            self._active[login] += 1

    def end(self, login: str) -> None:
        with self._lock:
            self._active[login] -= 1
            self._active += Counter()  # without those who have none

    def whole(self, login: str, studies: list[str], *, more: bool) -> set[str]:
        """The studies that are whole now: none while more of the batch comes."""
        with self._lock:
            waiting = self._waiting.setdefault(login, set())
            waiting.update(studies)
            return set() if more else self._waiting.pop(login)


_arriving = _Arriving()


@router.post("/uploads", openapi_extra={"requestBody": {"content": {"application/octet-stream": {}}}})
async def upload(
    request: Request,
    caller: Reader,
    workspace: Here,
    name: Annotated[str, Query(max_length=500)] = "file",
    more: bool = False,
    patient_name: Fact = "",
    patient_id: Fact = "",
    birth_date: Fact = "",
    age: Fact = "",
    sex: Fact = "",
    view: Fact = "",
    modality: Fact = "",
    body_part: Fact = "",
    date: Fact = "",
    study: Fact = "",
) -> Uploaded:
    """Take a file: DICOM, a zip archive, or a raster image, for which the facts are.

    The studies settle at once, unless `more` says that further files of the batch follow.
    """
    try:
        facts = checked_facts(
            patient_name=patient_name, patient_id=patient_id, birth_date=birth_date, age=age, sex=sex, view=view,
            modality=modality, body_part=body_part, date=date, study=study,
        )  # fmt: skip
    except ExchangeError as error:
        raise RefusedError(422, "malformed", str(error)) from None
    _arriving.begin(caller.login)
    store = workspace.house.store
    try:
        async with received(request, store.files, store.folder / FOLDER, MOST_BYTES) as file:
            label = " ".join(clean(name).split()) or "file"
            done = await run_in_threadpool(_take, workspace, caller.login, file, label, facts, more=more)
    finally:
        _arriving.end(caller.login)
    return Uploaded(
        studies=done.studies, added=done.added, known=done.known,
        refused=[Refused(name=each, reason=reason) for each, reason in done.refused],
    )  # fmt: skip


def _take(workspace: Workspace, login: str, file: Spool, name: str, facts: RasterFacts, *, more: bool) -> Outcome:
    done = take_upload(workspace.house, login, file, name, facts)
    if whole := _arriving.whole(login, done.studies, more=more):
        settle_now(workspace.house, whole)
    return done
