"""The routes of CDS Hooks 2.0: discovery, the services, and their feedback."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, TypeVar

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from aris import __version__
from aris.errors import ArisError
from aris.service.cds_hooks.answering import cards
from aris.service.cds_hooks.clients import Clients
from aris.service.cds_hooks.feedback import FeedbackLog
from aris.service.cds_hooks.gathering import Gathering
from aris.service.cds_hooks.problems import HookError
from aris.service.cds_hooks.requests import FeedbackRequest, HookRequest
from aris.service.cds_hooks.services import SERVICES, Service
from aris.service.errors import ApiError
from aris.service.http.access_log import AccessLog
from aris.service.http.body import Bodies
from aris.service.http.security import Guard
from aris.service.settings import CdsHooksSettings, Limits
from aris.tasks.monitor import load_rules

PREFIX = "/cds-services"
# Resources of a call.
_SMALL = 200
log = logging.getLogger("aris.cds_hooks")
Body = TypeVar("Body", bound=BaseModel)


class CdsHooks:
    """The service, for one or more applications of one event loop.

    Args:
        settings: see there.
        gathering: reads missing data; by the settings by default.

    Raises:
        ArisError: the rules, the clients' keys or the file of feedback cannot be used.
    """

    def __init__(self, settings: CdsHooksSettings, gathering: Gathering | None = None) -> None:
        self.settings = settings
        self.rules = load_rules(settings.rules)
        self.clients = Clients(settings.clients, settings.base_url)
        self.feedback = FeedbackLog(settings.feedback)
        self._gathering = gathering or Gathering(settings)
        self._bodies = Bodies(Limits(body_bytes=32 << 20))
        self._work = ThreadPoolExecutor(2, thread_name_prefix="aris-cds")
        self.router = self._routes()

    def close(self) -> None:
        """End its threads, and close its file."""
        self._bodies.close()
        self._work.shutdown(cancel_futures=True)
        self.feedback.close()

    def _routes(self) -> APIRouter:
        router = APIRouter()

        @router.get(PREFIX)
        async def discovery() -> dict[str, Any]:
            """The services that are offered."""
            return {"services": [each.offered() for each in SERVICES.values()]}

        @router.post(PREFIX + "/{service}", response_model=None)
        async def call(service: str, request: Request) -> Response:
            """Answer a hook with cards."""
            return await answered(lambda: self._call(service, request))

        @router.post(PREFIX + "/{service}/feedback", response_model=None)
        async def feedback(service: str, request: Request) -> Response:
            """Take what became of cards."""
            return await answered(lambda: self._take(service, request))

        return router

    async def _call(self, id: str, request: Request) -> Response:
        service = _service(id)
        self._require_client(request)
        async with self._bodies.read(request, HookRequest) as call:
            if call.hook != service.hook:
                raise HookError(400, f"this service is for the hook {service.hook}")
            resources = await self._gathering.resources(service, call)
            work = partial(cards, service, call, resources, self.rules, self.settings.workspace_url)
            # A few milliseconds are sooner over than two threads have taken turns.
            small = sum(map(_size, resources)) <= _SMALL
            found = work() if small else await asyncio.wrap_future(self._work.submit(work))
        for card, flag in found:
            self.feedback.served(card["uuid"], f"{flag.rule} {flag.version}")
        return JSONResponse({"cards": [card for card, _ in found]})

    async def _take(self, id: str, request: Request) -> Response:
        service = _service(id)
        self._require_client(request)
        async with self._bodies.read(request, FeedbackRequest) as given:
            await asyncio.to_thread(self.feedback.add, service.id, given.feedback)
        return JSONResponse({})

    def _require_client(self, request: Request) -> None:
        if self.clients.configured:
            self.clients.require(request.headers.get("authorization", ""), request.url.path)


def create_cds_app(
    settings: CdsHooksSettings | None = None, api_key: str | None = None, gathering: Gathering | None = None
) -> FastAPI:
    """CDS Hooks alone, as an ASGI application: it needs no model.

    Args:
        settings: see there.
        api_key: what callers send as `Authorization: Bearer KEY`, where clients do not sign; None asks for none, and
            answers programs of this machine alone.
        gathering: reads missing data; by the settings by default.

    Raises:
        ArisError: as for `CdsHooks`.
    """
    settings = settings or CdsHooksSettings()
    hooks = CdsHooks(settings, gathering)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        # What is loaded stays; the collector would look at it again for every few calls.
        gc.collect()
        gc.freeze()
        try:
            yield
        finally:
            hooks.close()

    app = FastAPI(
        title="Aris CDS Hooks", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None,
        description="CDS Hooks 2.0: rules as cards.",
    )  # fmt: skip
    app.include_router(hooks.router)

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        """Tell whether the server answers; needs no key."""
        return {"status": "ok"}

    @app.exception_handler(HTTPException)
    async def http_error(_: Request, error: HTTPException) -> Response:
        return HookError(error.status_code, str(error.detail)).response()

    guard(app, hooks, partial(Guard, api_key=api_key))
    app.add_middleware(AccessLog)
    return app


def guard(app: FastAPI, hooks: CdsHooks, admission: Callable[..., ASGIApp]) -> None:
    """Put before an application that serves CDS Hooks what keeps others out.

    Where clients sign, their paths need no key: each call is checked by its JWT.

    Args:
        admission: the middleware, made with `origins` and `open_under`.
    """
    signed = (PREFIX,) if hooks.clients.configured else ()
    app.add_middleware(admission, origins=hooks.settings.origins, open_under=signed)
    if hooks.settings.origins:
        app.add_middleware(
            CORSMiddleware, allow_origins=hooks.settings.origins, allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type"],
        )  # fmt: skip


async def answered(work: Callable[[], Awaitable[Response]]) -> Response:
    """The response of a call; refusals as OperationOutcomes."""
    try:
        return await work()
    except HookError as error:
        return error.response()
    except ApiError as error:
        return HookError(error.status, error.body["error"]["message"] or "refused").response()
    except ArisError as error:
        log.error("feedback: %s", error)
        return HookError(500, "the service failed at this call; its log says why").response()


def _size(resource: dict[str, Any]) -> int:
    entries = resource.get("entry")
    return len(entries) if isinstance(entries, list) else 1


def _service(id: str) -> Service:
    found = SERVICES.get(id)
    if found is None:
        raise HookError(404, "there is no such service; see GET /cds-services")
    return found
