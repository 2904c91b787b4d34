"""Routes of libraries: made, filled with files, looked through, and removed."""

from __future__ import annotations

import re
import secrets
import shutil
from pathlib import Path as FilePath
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import PlainTextResponse, Response
from starlette.concurrency import run_in_threadpool

from aris.errors import LiteratureError
from aris.exchange.documents.report import clean
from aris.flow import libraries
from aris.literature.adding import add_files, read_retractions
from aris.literature.citations import bibtex, ris, vancouver
from aris.literature.library import Library
from aris.literature.papers import STUDY_TYPES
from aris.service.workspace.context import Caller, Workspace, allow, here
from aris.service.workspace.errors import RefusedError, not_found
from aris.service.workspace.literature.libraries import libraries_of
from aris.service.workspace.literature.shown import library_info, matching, paper_info, passage_info
from aris.service.workspace.receiving import prepare, receive
from aris.service.workspace.schemas.literature import (
    Libraries,
    LibraryInfo,
    NewLibrary,
    PaperPage,
    PapersAdded,
    PaperText,
    RetractionsRead,
)
from aris.store.encryption.spool import Spool

router = APIRouter(prefix="/api/literature", tags=["literature"])
Anyone = Annotated[Caller, allow("reader", "viewer", "admin", scope="read")]
Keeper = Annotated[Caller, allow("reader", "admin", scope="write")]
Admin = Annotated[Caller, allow("admin", scope="write")]
Here = Annotated[Workspace, here]
_PATTERN = r"^[A-Za-z0-9]([A-Za-z0-9 ._-]{0,62}[A-Za-z0-9_-])?$"
LibraryPath = Annotated[str, Path(pattern=_PATTERN)]
LibraryQuery = Annotated[str, Query(pattern=_PATTERN)]
FileName = Annotated[str, Query(max_length=255)]
Number = Annotated[int, Path(ge=1, lt=1 << 31)]
Style = Literal["ris", "bibtex", "vancouver"]
_ANY_FILE: dict[str, Any] = {"requestBody": {"content": {"application/octet-stream": {}}}}
MOST_BYTES, MOST_LIST = 512 << 20, 256 << 20
_UPLOADS = "literature-uploads"
_MOST_PASSAGES, _MOST_REFERENCES = 2000, 20_000
_MEDIA = {"ris": ("application/x-research-info-systems", "ris"), "bibtex": ("application/x-bibtex", "bib"),
          "vancouver": ("text/plain", "txt")}  # fmt: skip


@router.get("/libraries")
def listed(caller: Anyone, workspace: Here) -> Libraries:
    """List the libraries with their counts."""
    opened = libraries_of(workspace)
    found = [library_info(opened, name) for name in libraries.names(workspace.house)]
    model = "" if workspace.model is None else workspace.model.name
    return Libraries(libraries=found, model=model, study_types=list(STUDY_TYPES))


@router.post("/libraries", status_code=201)
def make(body: NewLibrary, caller: Keeper, workspace: Here) -> LibraryInfo:
    """Make an empty library."""
    libraries_of(workspace).make(body.name)
    _audit(workspace, caller, "make library", body.name)
    return library_info(libraries_of(workspace), body.name)


@router.delete("/libraries/{library}", status_code=204)
def remove(library: LibraryPath, caller: Admin, workspace: Here) -> None:
    """Remove a library with all its papers. The command line's own is removed there."""
    if library == libraries.OWN:
        raise RefusedError(409, "conflict", "this is the library of the command line; remove its papers there")
    libraries_of(workspace).remove(library)
    _audit(workspace, caller, "remove library", library)


@router.post("/uploads", openapi_extra=_ANY_FILE)
async def upload(
    request: Request, caller: Keeper, workspace: Here, library: LibraryQuery, name: FileName = "file"
) -> PapersAdded:
    """Add a file of papers: PubMed XML, MEDLINE, JATS, PDF, HTML, Markdown or JSON Lines, packed by gzip or not."""
    opened = libraries_of(workspace)
    kept = await run_in_threadpool(opened.get, library)
    location = _upload_folder(workspace)
    try:
        path = await _received(request, location, name, MOST_BYTES)
        made = await run_in_threadpool(_added, kept, path)
        await run_in_threadpool(_audit, workspace, caller, "add papers", library, added=made.added)
    finally:
        await run_in_threadpool(shutil.rmtree, location, ignore_errors=True)
    if made.added or made.updated:
        await run_in_threadpool(opened.make_vectors, library)
    return made


@router.post("/retractions", openapi_extra=_ANY_FILE)
async def retractions(
    request: Request, caller: Keeper, workspace: Here, library: LibraryQuery, name: FileName = "list.csv"
) -> RetractionsRead:
    """Import a list of retractions: Retraction Watch's CSV, a CSV with a column pmid or doi, or one of them a line."""
    kept = await run_in_threadpool(libraries_of(workspace).get, library)
    location = _upload_folder(workspace)
    try:
        path = await _received(request, location, name, MOST_LIST)
        try:
            rows = await run_in_threadpool(read_retractions, path)
        except LiteratureError as error:
            raise RefusedError(422, "refused", str(error).replace(str(path), path.name)) from None
        retracted = await run_in_threadpool(kept.list_retractions, rows)
        await run_in_threadpool(_audit, workspace, caller, "add retractions", library, identifiers=len(rows))
    finally:
        await run_in_threadpool(shutil.rmtree, location, ignore_errors=True)
    return RetractionsRead(identifiers=len(rows), retracted=retracted)


@router.get("/libraries/{library}/papers")
def papers(
    library: LibraryPath,
    caller: Anyone,
    workspace: Here,
    text: Annotated[str, Query(max_length=200)] = "",
    retracted: bool = False,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    offset: Annotated[int, Query(ge=0, lt=1 << 31)] = 0,
) -> PaperPage:
    """List papers, of which title, authors, journal or identifiers hold a text."""
    kept = libraries_of(workspace).get(library)
    found = matching(kept, text, retracted)
    return PaperPage(
        total=len(found), papers=[paper_info(kept.paper(each)) for each in found[offset : offset + limit]]
    )


@router.get("/libraries/{library}/papers/{paper}")
def paper(library: LibraryPath, paper: Number, caller: Anyone, workspace: Here) -> PaperText:
    """Return a paper with its passages."""
    kept = libraries_of(workspace).get(library)
    if not kept.execute("SELECT 1 FROM papers WHERE id = ?", (paper,)):
        raise not_found("there is no such paper")
    found = kept.passages(paper)
    return PaperText(
        paper=paper_info(kept.paper(paper)), passages=[passage_info(each) for each in found[:_MOST_PASSAGES]],
        cut=len(found) > _MOST_PASSAGES,
    )  # fmt: skip


@router.delete("/libraries/{library}/papers/{paper}", status_code=204)
def remove_paper(library: LibraryPath, paper: Number, caller: Keeper, workspace: Here) -> None:
    """Remove a paper from a library."""
    if not libraries_of(workspace).get(library).remove([paper]):
        raise not_found("there is no such paper")
    _audit(workspace, caller, "remove paper", library)


@router.get(
    "/libraries/{library}/references",
    response_class=Response,
    responses={200: {"content": {media: {} for media, _ in _MEDIA.values()}}},
)
def references(
    library: LibraryPath,
    caller: Anyone,
    workspace: Here,
    format: Style = "ris",
    paper: Annotated[list[Annotated[int, Query(ge=1, lt=1 << 31)]] | None, Query(max_length=500)] = None,
) -> Response:
    """Return references as a file: of the named papers, or of all."""
    kept = libraries_of(workspace).get(library)
    known = {int(row["id"]) for row in kept.execute("SELECT id FROM papers ORDER BY id LIMIT ?", (_MOST_REFERENCES,))}
    wanted = sorted(known) if not paper else [each for each in dict.fromkeys(paper) if each in known]
    found = [kept.paper(each) for each in wanted]
    text = {
        "ris": lambda: ris(found),
        "bibtex": lambda: bibtex(found),
        "vancouver": lambda: "".join(f"{number}. {vancouver(each)}\n" for number, each in enumerate(found, 1)),
    }[format]()
    media, ending = _MEDIA[format]
    return PlainTextResponse(
        text, media_type=media, headers={"Content-Disposition": f'attachment; filename="references.{ending}"'}
    )


def _added(library: Library, path: FilePath) -> PapersAdded:
    for told in add_files(library, [path]):
        return PapersAdded(
            name=path.name, added=told.added, updated=told.updated, known=told.known, faulty=told.faulty,
            faults=[_told(each, path) for each in told.faults], error=_told(told.error or "", path),
            unchanged=told.unchanged,
        )  # fmt: skip
    raise RefusedError(422, "refused", "the file holds no papers")


def _told(text: str, path: FilePath) -> str:
    return clean(text.replace(f"{path}: ", "").replace(str(path), path.name))[:500]


def _upload_folder(workspace: Workspace) -> FilePath:
    return workspace.house.store.folder / _UPLOADS / secrets.token_hex(8)


async def _received(request: Request, location: FilePath, name: str, most: int) -> FilePath:
    await run_in_threadpool(prepare, location.parent, location)
    # The ending tells the format; of the rest only what is safe in a file's name stays.
    last = re.split(r"[\\/]", name)[-1]
    plain = re.sub(r"[^\w .()+-]", "_", clean(last)).strip(" .")[-120:] or "file"
    path = location / plain
    if not await receive(request, Spool(path, encrypted=False), most):  # a paper names no patient
        raise RefusedError(400, "empty", "the body is empty; send the file as the body")
    return path


def _audit(workspace: Workspace, caller: Caller, action: str, library: str, **detail: Any) -> None:
    house = workspace.house
    house.store.sessions.write(
        lambda session: house.trail.add(
            session, caller.login, action, now=workspace.now(), library=library, **detail
        )
    )

