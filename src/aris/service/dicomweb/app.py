"""The routes of DICOMweb (PS3.18 10) over a store, as an ASGI application."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import Response, StreamingResponse
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from aris import __version__
from aris.exchange.dicomweb import frames, multipart, rendering, retrieving, searching
from aris.exchange.dicomweb.media import DICOM, JSON, MediaRange, accepted, takes_json
from aris.exchange.dicomweb.opened import Opened, opened
from aris.exchange.dicomweb.problems import WebError, not_acceptable, not_found
from aris.exchange.dicomweb.storing import Storing
from aris.imaging.memory_budget import DECODING, MemoryBusyError
from aris.service.dicomweb.settings import DicomwebSettings
from aris.service.dicomweb.uploads import Uploads
from aris.service.errors import ApiError
from aris.service.http.access_log import AccessLog
from aris.service.http.security import Guard
from aris.service.settings import is_loopback

if TYPE_CHECKING:
    from aris.store.store import Added, Store, Stored

log = logging.getLogger("aris.dicomweb")

_UID = re.compile(r"[0-9.]{1,64}")
_BUSY_S = 2
_IN_SERIES = "/studies/{study}/series/{series}"
_INSTANCE = _IN_SERIES + "/instances/{instance}"


def create_app(
    store: Store,
    settings: DicomwebSettings | None = None,
    received: Callable[[Added, str], None] = lambda *_: None,
    admission: Callable[..., ASGIApp] | None = None,
) -> FastAPI:
    """STOW-RS, QIDO-RS and WADO-RS over a store.

    Args:
        store: threads use it; it is not closed.
        settings: limits, key and origins; the application listens nowhere by itself.
        received: is called after each object that was kept, with what became of it and "", in a thread.
        admission: the middleware that keeps others out, made with the application and `origins`; the key's `Guard` by
            default.
    """
    settings = settings or DicomwebSettings()
    app = FastAPI(
        title="Aris DICOMweb", version=__version__, docs_url=None, redoc_url=None,
        description="Studies, series and instances (DICOM PS3.18).",
    )  # fmt: skip
    app.include_router(_router(store, Uploads(settings.limits, received)), prefix=settings.prefix)
    app.state.prefix = settings.prefix

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        """Return whether the server answers; needs no key."""
        return {"status": "ok"}

    _error_handlers(app)
    # The last one added is the outermost.
    app.add_middleware(Unread, silence_s=settings.limits.silence_s)
    app.add_middleware(AtOnce, most=settings.limits.requests)
    app.add_middleware(admission or partial(Guard, api_key=settings.api_key), origins=settings.origins)
    if settings.origins:
        app.add_middleware(
            CORSMiddleware, allow_origins=settings.origins, allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Accept", "Content-Type"], expose_headers=["Warning", "Retry-After"],
        )  # fmt: skip
    app.add_middleware(AccessLog)
    return app


class AtOnce:
    """Tells callers to come again (503) where as many are being answered as may be."""

    def __init__(self, app: ASGIApp, most: int) -> None:
        self._app = app
        self._most = most
        self._active = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self._active >= self._most:
            refusal = WebError(503, "the server is busy; try again in a moment", retry_after_s=_BUSY_S)
            await _error(refusal).response()(scope, receive, send)
            return
        self._active += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._active -= 1


class Unread:
    """Ends an answer that its caller does not read: each piece of it must be taken in time."""

    def __init__(self, app: ASGIApp, silence_s: float) -> None:
        self._app = app
        self._silence_s = silence_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def timely(message: Message) -> None:
            async with asyncio.timeout(self._silence_s):
                await send(message)

        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            await self._app(scope, receive, timely)
        except* TimeoutError:
            log.warning("an answer is ended: its caller does not read it")
            # Nothing more is sent, so that the server closes the connection.


def _router(store: Store, uploads: Uploads) -> APIRouter:
    router = APIRouter()
    _store_routes(router, store, uploads)
    _search_routes(router, store)
    _object_routes(router, store)
    _pixel_routes(router, store)
    return router


def _store_routes(router: APIRouter, store: Store, uploads: Uploads) -> None:
    @router.post("/studies")
    async def store_instances(request: Request) -> Response:
        """Keep objects."""
        return await uploads.answer(request, Storing(store, _base(request)))

    @router.post("/studies/{study}")
    async def store_instances_of_study(request: Request, study: str) -> Response:
        """Keep objects, all of one study."""
        return await uploads.answer(request, Storing(store, _base(request), _uid(study)))


def _search_routes(router: APIRouter, store: Store) -> None:
    def answer(request: Request, level: str, **within: str) -> Response:
        _require_json(request)
        named = {keyword: _uid(value) for keyword, value in within.items()}
        asked = searching.search(level, request.query_params.multi_items(), named)
        base = _base(request)
        found = searching.results(store, asked, base)
        headers = {"Warning": ", ".join(f"299 {base}: {note}" for note in asked.notes)} if asked.notes else {}
        if not found:
            return Response(None, 204, headers)
        return Response(json.dumps(found), 200, headers, media_type=JSON)

    @router.get("/studies")
    def studies(request: Request) -> Response:
        """Search for studies."""
        return answer(request, "studies")

    @router.get("/series")
    def all_series(request: Request) -> Response:
        """Search for series."""
        return answer(request, "series")

    @router.get("/instances")
    def all_instances(request: Request) -> Response:
        """Search for instances."""
        return answer(request, "instances")

    @router.get("/studies/{study}/series")
    def series(request: Request, study: str) -> Response:
        """Search for series of a study."""
        return answer(request, "series", StudyInstanceUID=study)

    @router.get("/studies/{study}/instances")
    def instances(request: Request, study: str) -> Response:
        """Search for instances of a study."""
        return answer(request, "instances", StudyInstanceUID=study)

    @router.get(_IN_SERIES + "/instances")
    def instances_of_series(request: Request, study: str, series: str) -> Response:
        """Search for instances of a series."""
        return answer(request, "instances", StudyInstanceUID=study, SeriesInstanceUID=series)


def _object_routes(router: APIRouter, store: Store) -> None:
    def objects(request: Request, *uids: str) -> Response:
        instances = retrieving.found(store, *map(_uid, uids))
        form = retrieving.form(_accepted(request), instances)
        return _parts(retrieving.objects(store, instances, form), DICOM, whole=not form.multipart)

    def metadata(request: Request, *uids: str) -> Response:
        _require_json(request)
        instances = retrieving.found(store, *map(_uid, uids))
        return _array(retrieving.metadata_of(store, instances, _base(request)))

    @router.get("/studies/{study}")
    def study_objects(request: Request, study: str) -> Response:
        """A study's objects."""
        return objects(request, study)

    @router.get(_IN_SERIES)
    def series_objects(request: Request, study: str, series: str) -> Response:
        """A series' objects."""
        return objects(request, study, series)

    @router.get(_INSTANCE)
    def instance_object(request: Request, study: str, series: str, instance: str) -> Response:
        """Retrieve an instance."""
        return objects(request, study, series, instance)

    @router.get("/studies/{study}/metadata")
    def study_metadata(request: Request, study: str) -> Response:
        """The headers of a study's objects."""
        return metadata(request, study)

    @router.get(_IN_SERIES + "/metadata")
    def series_metadata(request: Request, study: str, series: str) -> Response:
        """The headers of a series' objects."""
        return metadata(request, study, series)

    @router.get(_INSTANCE + "/metadata")
    def instance_metadata(request: Request, study: str, series: str, instance: str) -> Response:
        """Retrieve an instance's header."""
        return metadata(request, study, series, instance)

    @router.get(_INSTANCE + "/bulkdata/{path:path}")
    def bulkdata(request: Request, study: str, series: str, instance: str, path: str) -> Response:
        """A binary value of an object."""
        if not re.fullmatch("[0-9A-Fa-f]{8}(/[0-9]{1,6}/[0-9A-Fa-f]{8}){0,16}", path):
            raise not_found()
        one = opened(store, _one(store, study, series, instance))
        several, parts = retrieving.bulk_parts(one, path, _accepted(request))
        return _parts(parts, None, whole=not several)


def _pixel_routes(router: APIRouter, store: Store) -> None:
    def rendered_image(request: Request, found: Stored, numbers: str = "1", *, thumbnail: bool = False) -> Response:
        wanted = rendering.rendering(request.query_params, _accepted(request), thumbnail=thumbnail)
        one = opened(store, found)
        indices = frames.numbers(numbers, _total(one))
        if len(indices) > 1:
            raise not_acceptable("one frame is rendered at a time")
        with DECODING.holding(frames.memory(one.dataset)):
            span = rendering.span_of(one, wanted)
            made = rendering.render(*one.frame(indices[0]), wanted, span)
        return Response(made, media_type=wanted.kind)

    @router.get(_INSTANCE + "/frames/{numbers}")
    def pixel_frames(request: Request, study: str, series: str, instance: str, numbers: str) -> Response:
        """Frames, as they are stored or as plain bytes."""
        found = _one(store, study, series, instance)
        one = opened(store, found)
        indices = frames.numbers(numbers, _total(one))
        kind, syntax, several = frames.form(_accepted(request), found.transfer_syntax, len(indices) > 1)
        return _parts(retrieving.frame_parts(one, indices, kind, syntax), kind, whole=not several)

    @router.get(_INSTANCE + "/rendered")
    def rendered(request: Request, study: str, series: str, instance: str) -> Response:
        """An image, or the first frame of several, for a browser."""
        return rendered_image(request, _one(store, study, series, instance))

    @router.get(_INSTANCE + "/frames/{numbers}/rendered")
    def rendered_frame(request: Request, study: str, series: str, instance: str, numbers: str) -> Response:
        """A frame for a browser."""
        return rendered_image(request, _one(store, study, series, instance), numbers)

    @router.get(_INSTANCE + "/thumbnail")
    def thumbnail(request: Request, study: str, series: str, instance: str) -> Response:
        """An image, small."""
        return rendered_image(request, _one(store, study, series, instance), thumbnail=True)

    @router.get(_INSTANCE + "/frames/{numbers}/thumbnail")
    def frame_thumbnail(request: Request, study: str, series: str, instance: str, numbers: str) -> Response:
        """A frame, small."""
        return rendered_image(request, _one(store, study, series, instance), numbers, thumbnail=True)

    @router.get(_IN_SERIES + "/thumbnail")
    def series_thumbnail(request: Request, study: str, series: str) -> Response:
        """The image in the middle of a series, small."""
        found = retrieving.found(store, _uid(study), _uid(series))
        return rendered_image(request, found[len(found) // 2], thumbnail=True)

    @router.get("/studies/{study}/thumbnail")
    def study_thumbnail(request: Request, study: str) -> Response:
        """The image in the middle of a study's first series, small."""
        every = retrieving.found(store, _uid(study))
        found = [each for each in every if each.series == every[0].series]
        return rendered_image(request, found[len(found) // 2], thumbnail=True)


def _uid(text: str) -> str:
    if not _UID.fullmatch(text):
        raise WebError(400, "the address holds what is no UID")
    return text


def _one(store: Store, study: str, series: str, instance: str) -> Stored:
    return retrieving.found(store, _uid(study), _uid(series), _uid(instance))[0]


def _total(one: Opened) -> int:
    if not one.has_pixels:
        raise not_found()
    return one.total


def _base(request: Request) -> str:
    """The service's URL, as the caller reached it."""
    url = request.base_url
    # Some clients leave the port out of their Host header; on this machine it can only be ours.
    if url.port is None and is_loopback(url.hostname or ""):
        url = url.replace(port=request.scope["server"][1])
    return f"{str(url).rstrip('/')}{request.app.state.prefix}"


def _accepted(request: Request) -> list[MediaRange]:
    """From the query's `accept` (PS3.18 8.3.3.1), else the header."""
    return accepted(request.query_params.get("accept") or request.headers.get("accept"))


def _require_json(request: Request) -> None:
    if not takes_json(_accepted(request)):
        raise not_acceptable(f"this is given as {JSON}")


def _parts(
    parts: Iterable[tuple[dict[str, str], bytes | Iterable[bytes]]], kind: str | None, *, whole: bool
) -> Response:
    """A multipart response, or the one part alone. What the first part raises is still an error of its own."""
    arriving = iter(parts)
    headers, data = next(arriving)
    if whole:
        if isinstance(data, bytes):
            return Response(data, media_type=headers["Content-Type"])
        return StreamingResponse(data, media_type=headers["Content-Type"])
    boundary = multipart.new_boundary()
    body = multipart.write(itertools.chain([(headers, data)], arriving), boundary)
    # The type as the request asks for it, without parameters (RFC 2387).
    inner = kind or headers["Content-Type"].partition(";")[0]
    return StreamingResponse(body, media_type=f'multipart/related; type="{inner}"; boundary={boundary}')


def _array(items: Iterator[str]) -> Response:
    """A JSON array of items that are written out, item by item."""
    first = next(items)

    def pieces() -> Iterator[str]:
        yield "["
        yield first
        for each in items:
            yield ","
            yield each
        yield "]"

    return StreamingResponse(pieces(), media_type=JSON)


def _error(error: WebError) -> ApiError:
    headers = {} if error.retry_after_s is None else {"Retry-After": str(error.retry_after_s)}
    if error.status == 415:
        headers["Accept-Encoding"] = "identity"  # in a response: of request bodies (RFC 9110 12.5.3)
    return ApiError(error.status, str(error), headers=headers)


def _error_handlers(app: FastAPI) -> None:
    @app.exception_handler(WebError)
    async def refuse(request: Request, error: WebError) -> Response:
        made = _error(error)
        if request.method == "POST":
            made.headers["Connection"] = "close"  # the rest of the body is not read
        return made.response()

    @app.exception_handler(MemoryBusyError)
    async def busy(_: Request, __: MemoryBusyError) -> Response:
        return _error(WebError(503, "no memory is free for this now; try again", retry_after_s=_BUSY_S)).response()

    @app.exception_handler(HTTPException)
    async def http_error(_: Request, error: HTTPException) -> Response:
        return ApiError(error.status_code, str(error.detail), headers=error.headers).response()
