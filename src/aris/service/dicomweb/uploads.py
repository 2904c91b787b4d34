"""Store requests: bodies that are cut into objects and kept while they arrive, as many as there is room for.

An object that was kept stays kept, whatever becomes of the rest of its request; only the answer acknowledges it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from aris.exchange.dicomweb.media import DICOM, JSON, accepted, content_type, takes_json
from aris.exchange.dicomweb.multipart import Part, PartReader
from aris.exchange.dicomweb.problems import WebError, not_acceptable
from aris.exchange.dicomweb.storing import Storing
from aris.service.dicomweb.settings import DicomwebLimits

if TYPE_CHECKING:
    from aris.store.store import Added

BUSY_S = 5
# Bytes a second.
LEAST_RATE = 1024
log = logging.getLogger("aris.dicomweb")


class Uploads:
    """The store requests of a server. Used in one event loop.

    Args:
        received: is called after each object that was kept, in a thread; what it raises is logged, no more.
    """

    def __init__(self, limits: DicomwebLimits, received: Callable[[Added, str], None]) -> None:
        self._limits = limits
        self._received = received
        self._active = 0
        self._held = 0

    async def answer(self, request: Request, storing: Storing) -> Response:
        """Read a store request, keep its objects, and say what became of each.

        Raises:
            WebError: 400 malformed, 406, 408 too slow, 413 too large, 415 not DICOM, 503 busy.
        """
        whole, reader = self._checked(request)
        self._active += 1
        try:
            parts = 0
            async with aclosing(self._chunks(request, reader, whole)) as chunks:
                async for chunk in chunks:
                    for part in chunk:
                        parts += 1
                        if parts > self._limits.parts:
                            raise WebError(413, f"more than {self._limits.parts:,} parts; send fewer objects at a time")
                        if part.data:
                            await run_in_threadpool(self._keep, storing, part)
                        else:
                            storing.add(part)
                            # A million empty parts must not keep others from being answered.
                            await asyncio.sleep(0)
        finally:
            self._active -= 1
        status, made, retry_after = storing.answer()
        headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
        return Response(json.dumps(made), status, headers, media_type=JSON)

    def _checked(self, request: Request) -> tuple[bytearray | None, PartReader | None]:
        """Check a request before its body is read."""
        if not takes_json(accepted(request.headers.get("accept"))):
            raise not_acceptable(f"what became of the objects is told as {JSON}")
        declared = request.headers.get("content-length", "0")
        if declared.isdigit() and int(declared) > self._limits.request_bytes:
            raise self._over()
        if request.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
            # RFC 9110 15.5.16. What it would unpack to is not known beforehand.
            raise WebError(415, "the body is compressed; send it as it is, without a Content-Encoding")
        kind, parameters = content_type(request.headers.get("content-type", ""))
        if kind == "multipart/related" and parameters.get("type", DICOM).lower() == DICOM:
            reader = PartReader(parameters.get("boundary", ""), self._limits.object_bytes)
        elif kind != DICOM:
            raise WebError(415, f'objects are taken as multipart/related; type="{DICOM}", or one as {DICOM}')
        else:
            reader = None
        if self._active >= self._limits.uploads:
            raise _busy()
        return (bytearray() if reader is None else None), reader

    async def _chunks(
        self, request: Request, reader: PartReader | None, whole: bytearray | None
    ) -> AsyncGenerator[Iterator[Part], None]:
        """The parts that each piece of the body completes."""
        size = held = 0
        took = 0.0
        arriving = request.stream().__aiter__()
        try:
            while True:
                began = time.monotonic()
                try:
                    async with asyncio.timeout(self._limits.silence_s):
                        piece = await anext(arriving, None)
                except TimeoutError:
                    raise WebError(408, f"nothing came for {self._limits.silence_s:g} seconds") from None
                except ClientDisconnect:
                    raise WebError(400, "the caller has left") from None
                if piece is None:
                    break
                size += len(piece)
                took += time.monotonic() - began
                if took > self._limits.silence_s + size / LEAST_RATE:
                    raise WebError(408, "the body comes too slowly; send it again over a faster line")
                if size > self._limits.request_bytes:
                    raise self._over()
                if reader is not None:
                    yield reader.feed(piece)
                    now = reader.held
                else:
                    assert whole is not None
                    if len(whole) <= self._limits.object_bytes:
                        whole += piece
                    now = len(whole)
                self._held += now - held
                held = now
                if self._held > self._limits.held_bytes:
                    raise _busy()
            if reader is not None:
                reader.finish()
            elif whole:
                over = len(whole) > self._limits.object_bytes
                yield iter([Part({}, b"" if over else bytes(whole), over)])
        finally:
            self._held -= held

    def _keep(self, storing: Storing, part: Part) -> None:
        before = len(storing.added)
        storing.add(part)
        for added in storing.added[before:]:
            try:
                self._received(added, storing.source)
            except Exception as error:  # the object is kept, and is acknowledged
                log.error("what follows a stored object failed: %s", type(error).__name__)

    def _over(self) -> WebError:
        return WebError(413, f"the request is larger than {self._limits.request_bytes:,} bytes; send fewer objects")


def _busy() -> WebError:
    return WebError(503, "as many objects arrive as there is room for; try again", retry_after_s=BUSY_S)
