"""Uploads: one file a request, streamed to the disk within bounds, then kept, settled and so drafted at once."""

from __future__ import annotations

import asyncio
import errno
import os
import secrets
import shutil
import threading
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Annotated, BinaryIO

from fastapi import APIRouter, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from aris.errors import ExchangeError, is_full_disk
from aris.exchange.documents.report import clean
from aris.exchange.raster_images import RasterFacts, checked_facts
from aris.flow.arrival import settle_now
from aris.flow.uploads import Outcome, take_upload
from aris.private import make_folder
from aris.service.workspace.context import Caller, Workspace, allow, here
from aris.service.workspace.errors import RefusedError
from aris.service.workspace.schemas.worklist import Refused, Uploaded
from aris.store.files import RESERVE_BYTES, StoreFullError

router = APIRouter(prefix="/api", tags=["uploads"])
Reader = Annotated[Caller, allow("reader", scope="write")]
Here = Annotated[Workspace, here]
Fact = Annotated[str, Query(max_length=200)]

MOST_BYTES = 8 << 30
# Seconds without a byte, and bytes a second at least.
SILENCE_S, LEAST_RATE = 30.0, 16 * 1024
MOST_AT_ONCE = 4
_PIECE = 1 << 20
_LEFT_S = 24 * 3600.0
FOLDER = "uploads"


class _Arriving:
    """Uploads of a process: how many there are, and the studies that wait for the rest of a batch."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._active = 0
        self._waiting: dict[str, set[str]] = {}

    def begin(self) -> None:
        with self._lock:
            if self._active >= MOST_AT_ONCE:
                raise RefusedError(503, "busy", "as many uploads arrive as there is room for; try again",
                                   {"Retry-After": "5"})  # fmt: skip
            self._active += 1

    def end(self) -> None:
        with self._lock:
            self._active -= 1

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
    if request.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        raise RefusedError(415, "compressed", "the body is compressed; send it as it is")
    declared = request.headers.get("content-length", "0")
    if declared.isdigit() and int(declared) > MOST_BYTES:
        raise _over()
    _arriving.begin()
    folder = workspace.house.store.folder / FOLDER
    location = folder / secrets.token_hex(8)
    try:
        await run_in_threadpool(prepare_folder, folder, location)
        path = location / "file"
        if not await stream_to(request, path):
            raise RefusedError(400, "empty", "the body is empty; send the file as the body")
        label = " ".join(clean(name).split()) or "file"
        done = await run_in_threadpool(_take, workspace, caller.login, path, label, facts, more=more)
    finally:
        _arriving.end()
        await run_in_threadpool(shutil.rmtree, location, ignore_errors=True)
    return Uploaded(
        studies=done.studies, added=done.added, known=done.known,
        refused=[Refused(name=each, reason=reason) for each, reason in done.refused],
    )  # fmt: skip


def _take(workspace: Workspace, login: str, path: Path, name: str, facts: RasterFacts, *, more: bool) -> Outcome:
    done = take_upload(workspace.house, login, path, name, facts)
    if whole := _arriving.whole(login, done.studies, more=more):
        settle_now(workspace.house, whole)
    return done


def prepare_folder(folder: Path, location: Path) -> None:
    """Make a folder for an upload; what a killed server left beside it is removed."""
    make_folder(folder)
    for each in folder.iterdir():
        with suppress(FileNotFoundError):  # another upload has just ended
            if time.time() - each.lstat().st_mtime > _LEFT_S:
                shutil.rmtree(each, ignore_errors=True)
    make_folder(location)


async def stream_to(request: Request, path: Path) -> int:
    """Write the body to a file; how many bytes it has.

    Raises:
        RefusedError: 408 too slow, 413 too large, 400 the caller has left.
        StoreFullError: no room.
    """
    size = 0
    with path.open("xb") as file:
        async for piece in _pieces(request):
            size += len(piece)
            await run_in_threadpool(_write, file, piece, path.parent)
    return size


def _write(file: BinaryIO, piece: bytes, folder: Path) -> None:
    """Write a piece. Room stays for the store, whose database cannot do without."""
    try:
        if shutil.disk_usage(folder).free < len(piece) + RESERVE_BYTES:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        file.write(piece)
        file.flush()
    except OSError as error:
        if not is_full_disk(error):
            raise
        raise StoreFullError("the disk is full; make room, then send the file again") from None


async def _pieces(request: Request) -> AsyncIterator[bytes]:
    size, took, held = 0, 0.0, bytearray()
    arriving = request.stream().__aiter__()
    while True:
        began = time.monotonic()
        try:
            async with asyncio.timeout(SILENCE_S):
                piece = await anext(arriving, None)
        except TimeoutError:
            raise RefusedError(408, "too_slow", f"nothing came for {SILENCE_S:g} seconds") from None
        except ClientDisconnect:
            raise RefusedError(400, "left", "the caller has left") from None
        took += time.monotonic() - began
        if piece is None:
            break
        size += len(piece)
        if size > MOST_BYTES:
            raise _over()
        if took > SILENCE_S + size / LEAST_RATE:
            raise RefusedError(408, "too_slow", "the body comes too slowly; send it again over a faster line")
        held += piece
        if len(held) >= _PIECE:
            yield bytes(held)
            held.clear()
    if held:
        yield bytes(held)


def _over() -> RefusedError:
    return RefusedError(413, "too_large", f"the file is larger than {MOST_BYTES >> 30} GB; send it in parts")
