"""The list of patients, uploads of records, and the records of a study's patient."""

from __future__ import annotations

import asyncio
import io
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from starlette.concurrency import run_in_threadpool

from aris.exchange.documents.report import clean
from aris.flow.monitoring.alarms import counts_by_record
from aris.flow.records.identity import records_of_study
from aris.flow.records.taking import MOST_BYTES, Taken, remove_upload, seen_of, take_upload
from aris.service.workspace.context import Caller, Workspace
from aris.service.workspace.errors import RefusedError
from aris.service.workspace.patients.opening import Here, Looker, Number, Reader, counts_of, entries_of, source_of
from aris.service.workspace.receiving import received
from aris.service.workspace.schemas.patients import PatientsPage, RecordSource, StudyRecord, UploadedRecord
from aris.service.workspace.studies.uploading import FOLDER
from aris.service.workspace.viewing import require_study
from aris.store.encryption.spool import Spool
from aris.store.reading.records import books

router = APIRouter(prefix="/api", tags=["patients"])
_TOO_LARGE = f"the file is larger than {MOST_BYTES >> 20} MB; put it into a folder that the site's settings name"
_SHOWN = 100
_uploading = asyncio.Semaphore(2)


@router.get("/patients")
def patients(
    caller: Looker, workspace: Here, text: Annotated[str, Query(max_length=200)] = "",
    source: Annotated[str, Query(max_length=64)] = "", limit: Annotated[int, Query(ge=1, le=500)] = 100,
    offset: Annotated[int, Query(ge=0, lt=1 << 31)] = 0,
) -> PatientsPage:  # fmt: skip
    """List the patients whose records are here, by name. The list is no view of a record: no audit."""
    with workspace.house.store.sessions.reading() as session:
        total, rows = books.page(session, clean(text), clean(source), limit, offset)
        entries = entries_of(workspace, session, rows)
    return PatientsPage(
        total=total, entries=entries, sources=sources_of(workspace), following=workspace.house.settings.monitor.follow,
        now=workspace.now().isoformat(),
    )  # fmt: skip


def sources_of(workspace: Workspace) -> list[RecordSource]:
    """The sources of records, as this process last saw them; where another one reads them, as the books say."""
    with workspace.house.store.sessions.reading() as session:
        counts = books.counts(session)
        broken = books.problems(session, 500)
    made = []
    for each in workspace.house.settings.records:
        seen = seen_of(workspace.house, each.name)
        files, records = counts.get(each.name, (0, 0))
        bad = [f"{name}: {why}" for source, name, why in broken if source == each.name]
        state = "ready" if seen.state == "waiting" and files else seen.state
        problem = seen.problem or (f"{len(bad)} files could not be read; the first: {bad[0]}"[:500] if bad else "")
        made.append(
            RecordSource(
                name=each.name, kind=each.kind, state=state,  # type: ignore[arg-type]
                records=records, files=max(seen.files, files), read=seen.read if state == "reading" else files,
                problem=problem, at=None if seen.at is None else seen.at.isoformat(),
            )
        )  # fmt: skip
    files, records = counts.get("uploads", (0, 0))
    if files:
        made.append(RecordSource(name="uploads", kind="uploads", state="ready", records=records, files=files,
                                 read=files,
                                 problem="", at=None))  # fmt: skip
    return made


@router.post("/records", openapi_extra={"requestBody": {"content": {"application/octet-stream": {}}}}, status_code=201)
async def upload(
    request: Request, caller: Reader, workspace: Here, name: Annotated[str, Query(max_length=500)] = "record.json"
) -> UploadedRecord:
    """Take a file of FHIR R4 resources: a bundle, one resource, or NDJSON, also in gzip."""
    declared = request.headers.get("content-length", "0")
    if declared.isdigit() and int(declared) > MOST_BYTES:
        raise RefusedError(413, "too_large", _TOO_LARGE)
    if _uploading.locked():
        raise RefusedError(503, "busy", "as many records arrive as there is room for; try again", {"Retry-After": "5"})
    async with _uploading:
        store = workspace.house.store
        async with received(request, store.files, store.folder / FOLDER, MOST_BYTES) as file:
            taken = await run_in_threadpool(_take, workspace, caller, file, name)
    return await run_in_threadpool(_told, workspace, taken)


def _take(workspace: Workspace, caller: Caller, file: Spool, name: str) -> Taken:
    with io.BufferedReader(file.raw()) as opened_:
        data = opened_.read()
    return take_upload(workspace.house, caller.login, data, name, workspace.now())


def _told(workspace: Workspace, taken: Taken) -> UploadedRecord:
    with workspace.house.store.sessions.reading() as session:
        entries = entries_of(workspace, session, list(taken.records[:_SHOWN]))
    return UploadedRecord(patients=entries, known=taken.known, problems=list(taken.problems))


@router.delete("/records/{number}", status_code=204)
def remove(number: Number, caller: Reader, workspace: Here) -> None:
    """Take an uploaded file out of the store, with all records in it. Its alarms and the audit trail stay."""
    remove_upload(workspace.house, caller.login, number, workspace.now())


@router.get("/studies/{study}/records")
def of_study(
    study: Annotated[str, Path(pattern=r"^[0-9]+(\.[0-9]+)+$", max_length=64)], caller: Looker, workspace: Here
) -> list[StudyRecord]:
    """Records that are, or may be, of a study's patient. Those that only may be are said to."""
    require_study(workspace, study)
    counts = counts_by_record(workspace.house, workspace.now())
    found = records_of_study(workspace.house, study)
    with workspace.house.store.sessions.reading() as session:
        return [
            StudyRecord(id=row.id, name=row.name, birth_date=row.birth_date, source=source_of(session, row),
                        certain=identity == "same", why=why, alarms=counts_of(counts.get(row.id)))
            for row, identity, why in found
        ]  # fmt: skip
