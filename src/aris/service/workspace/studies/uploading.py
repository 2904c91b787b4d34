"""Uploads: one file a request, streamed to the disk within bounds, then kept, settled and so drafted at once."""

from __future__ import annotations

import asyncio
import errno
import os
import secrets
import shutil
import threading
import time
from collections import Counter
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
from aris.store.encryption.spool import Spool
from aris.store.files import RESERVE_BYTES, StoreFullError

router = APIRouter(prefix="/api", tags=["uploads"])
Reader = Annotated[Caller, allow("reader", scope="write")]
Here = Annotated[Workspace, here]
Fact = Annotated[str, Query(max_length=200)]

MOST_BYTES = 8 << 30
# Seconds without a byte, and bytes a second at least.
SILENCE_S, LEAST_RATE = 30.0, 16 * 1024
# Uploads at once, and of one user: his slow lines keep nobody else out.
MOST_AT_ONCE, MOST_OF_ONE = 8, 3
_PIECE = 1 << 20
_LEFT_S = 24 * 3600.0
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
    if request.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        raise RefusedError(415, "compressed", "the body is compressed; send it as it is")
    declared = request.headers.get("content-length", "0")
    if declared.isdigit() and int(declared) > MOST_BYTES:
        raise _over()
    _arriving.begin(caller.login)
    folder = workspace.house.store.folder / FOLDER
    location = folder / secrets.token_hex(8)
    try:
        await run_in_threadpool(_prepare, folder, location)
        encrypted = await run_in_threadpool(workspace.house.store.files.keyring.current) is not None
        file = Spool(location / "file", encrypted=encrypted)
        if not await _stream(request, file):
            raise RefusedError(400, "empty", "the body is empty; send the file as the body")
        label = " ".join(clean(name).split()) or "file"
        done = await run_in_threadpool(_take, workspace, caller.login, file, label, facts, more=more)
    finally:
        _arriving.end(caller.login)
        await run_in_threadpool(shutil.rmtree, location, ignore_errors=True)
    return Uploaded(
        studies=done.studies, added=done.added, known=done.known,
        refused=[Refused(name=each, reason=reason) for each, reason in done.refused],
    )  # fmt: skip


def _take(workspace: Workspace, login: str, file: Spool, name: str, facts: RasterFacts, *, more: bool) -> Outcome:
    done = take_upload(workspace.house, login, file, name, facts)
    if whole := _arriving.whole(login, done.studies, more=more):
        settle_now(workspace.house, whole)
    return done


def _prepare(folder: Path, location: Path) -> None:
    make_folder(folder)
    for each in folder.iterdir():  # what a killed server left
        with suppress(FileNotFoundError):  # another upload has just ended
            if time.time() - each.lstat().st_mtime > _LEFT_S:
                shutil.rmtree(each, ignore_errors=True)
    make_folder(location)


async def _stream(request: Request, spool: Spool) -> int:
    """Write the body to a file; how many bytes it has.

    Raises:
        RefusedError: 408 too slow, 413 too large, 400 the caller has left.
        StoreFullError: no room.
    """
    size = 0
    with spool.writing() as file:
        async for piece in _pieces(request):
            size += len(piece)
            await run_in_threadpool(_write, file, piece, spool.path.parent)
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
