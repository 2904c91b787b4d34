"""Bodies that are streamed to the disk within bounds of size, speed and room."""

from __future__ import annotations

import asyncio
import errno
import os
import secrets
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from aris.errors import is_full_disk
from aris.private import make_folder
from aris.service.workspace.errors import RefusedError
from aris.store.encryption.spool import Spool
from aris.store.files import RESERVE_BYTES, FileStore, StoreFullError

# Seconds without a byte, and bytes a second at least.
SILENCE_S, LEAST_RATE = 30.0, 16 * 1024
_PIECE = 1 << 20
_LEFT_S = 24 * 3600.0


def prepare(folder: Path, location: Path) -> None:
    """Make a place for a body, and remove what a killed server left beside it."""
    make_folder(folder)
    for each in folder.iterdir():
        with suppress(FileNotFoundError):  # another upload has just ended
            if time.time() - each.lstat().st_mtime > _LEFT_S:
                shutil.rmtree(each, ignore_errors=True)
    make_folder(location)


@asynccontextmanager
async def received(request: Request, files: FileStore, folder: Path, most: int) -> AsyncIterator[Spool]:
    """Hold a body in a file of its own in a folder, encrypted where the store's files are, and remove it afterwards.

    Raises:
        RefusedError, StoreFullError: as `receive`; 400 where the body is empty.
    """
    location = folder / secrets.token_hex(8)
    try:
        await run_in_threadpool(prepare, folder, location)
        encrypted = await run_in_threadpool(files.keyring.current) is not None
        spool = Spool(location / "file", encrypted=encrypted)
        if not await receive(request, spool, most):
            raise RefusedError(400, "empty", "the body is empty; send the file as the body")
        yield spool
    finally:
        await run_in_threadpool(shutil.rmtree, location, ignore_errors=True)


async def receive(request: Request, spool: Spool, most: int) -> int:
    """Write a body to a file for a while; how many bytes it has.

    Raises:
        RefusedError: 408 too slow, 413 more than `most` bytes, 415 compressed, 400 the caller has left.
        StoreFullError: no room.
    """
    if request.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        raise RefusedError(415, "compressed", "the body is compressed; send it as it is")
    declared = request.headers.get("content-length", "0")
    if declared.isdigit() and int(declared) > most:
        raise _over(most)
    size = 0
    with spool.writing() as file:
        async for piece in _pieces(request, most):
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


async def _pieces(request: Request, most: int) -> AsyncIterator[bytes]:
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
        if size > most:
            raise _over(most)
        if took > SILENCE_S + size / LEAST_RATE:
            raise RefusedError(408, "too_slow", "the body comes too slowly; send it again over a faster line")
        held += piece
        if len(held) >= _PIECE:
            yield bytes(held)
            held.clear()
    if held:
        yield bytes(held)


def _over(most: int) -> RefusedError:
    size = f"{most >> 30} GB" if most >= 1 << 30 else f"{most >> 20} MB"
    return RefusedError(413, "too_large", f"the file is larger than {size}; send it in parts")
