"""The one application of the process: pages, the model's API and DICOMweb by their paths, each with its own admission.

The model's API is there when the model is: until then its paths say that it is loading (503).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING

from fastapi import FastAPI
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from aris.faults import described
from aris.service.errors import ApiError
from aris.service.http.access_log import AccessLog
from aris.service.process.admission import DicomwebAdmission, ModelAdmission
from aris.service.process.loading import LoadingModel
from aris.service.process.settings import DICOMWEB, INTAKE, ProcessSettings
from aris.service.workspace.context import Workspace

if TYPE_CHECKING:
    from aris.backends import NativeBackend
    from aris.store.store import Added

log = logging.getLogger("aris.serve")
# Paths of the model's application, and what is under them.
_MODEL = ("/v1", "/metrics", "/cds-services")
_RETRY_S = 2


class Gateway:
    """An ASGI application over the parts.

    Args:
        workspace: the workspace's application, of which `state.workspace` is the workspace.
        model: of the API.
        settings: of the process.
        received: is called after each object that came by DICOMweb.
        ending: is called in a thread before the parts end, while the model still answers.
    """

    def __init__(
        self,
        workspace: FastAPI,
        model: LoadingModel,
        settings: ProcessSettings,
        received: Callable[[Added, str], None] = lambda *_: None,
        ending: Callable[[], None] = lambda: None,
    ) -> None:
        self._pages, self._model, self._settings = workspace, model, settings
        self._workspace: Workspace = workspace.state.workspace
        self._before_end = ending
        self._waiting: ASGIApp = AccessLog(self._not_there)
        self._api: ASGIApp = self._waiting
        self._dicomweb: ASGIApp = AccessLog(_not_found)
        if settings.dicomweb:
            self._dicomweb = self._make_dicomweb(received)
        self._intake: ASGIApp | None = None
        if settings.intake and self._workspace.house.settings.intake.page:
            self._intake = self._make_intake()
        self._ready, self._ending = asyncio.Event(), asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            await self._part(scope["path"])(scope, receive, send)

    def _part(self, path: str) -> ASGIApp:
        if any(path == each or path.startswith(f"{each}/") for each in _MODEL):
            return self._api
        if path == DICOMWEB or path.startswith(f"{DICOMWEB}/"):
            return self._dicomweb
        if self._intake is not None and (path == INTAKE or path.startswith(f"{INTAKE}/")):
            return self._intake
        if path == "/healthz":
            return self._health
        return self._pages

    async def _live(self, receive: Receive, send: Send) -> None:
        """ASGI's lifespan: the parts begin together, and end in the reverse order."""
        await receive()
        async with AsyncExitStack() as parts:
            try:
                loop = asyncio.get_running_loop()
                await parts.enter_async_context(self._pages.router.lifespan_context(self._pages))
                serving = asyncio.create_task(self._serve_model())
                self._model.when_ready(lambda _: _tell(loop, self._ready))
                self._model.start()
            except Exception as error:
                log.error("the server cannot start: %s", described(error))
                await send({"type": "lifespan.startup.failed", "message": type(error).__name__})
                return
            await send({"type": "lifespan.startup.complete"})
            await receive()
            try:
                await asyncio.to_thread(self._before_end)
            except Exception as error:  # the parts end all the same
                log.error("what was being done is not handed back: %s", described(error))
            self._ending.set()
            if not self._ready.is_set():
                serving.cancel()
            await asyncio.wait([serving])
        await send({"type": "lifespan.shutdown.complete"})

    async def _serve_model(self) -> None:
        """Serve the model's API from when it is there to the end; begun and ended in one task."""
        await self._ready.wait()
        backend = self._model.backend
        assert backend is not None
        try:
            app = self._make_api(backend)
            async with app.router.lifespan_context(app):
                self._api = app
                await self._ending.wait()
                self._api = self._waiting
        except Exception as error:
            log.error("the model's API cannot be served: %s", described(error))

    def _make_api(self, backend: NativeBackend) -> FastAPI:
        from aris.service.app import create_app

        settings = self._settings
        admission = partial(ModelAdmission, api_key=settings.api.api_key, local=settings.local)
        app = create_app(backend, settings.api, admission)
        app.state.workspace = self._workspace
        return app

    def _make_dicomweb(self, received: Callable[[Added, str], None]) -> FastAPI:
        from aris.service.dicomweb import DicomwebSettings, create_app

        settings = DicomwebSettings(prefix=DICOMWEB, origins=self._settings.origins)
        admission = partial(DicomwebAdmission, workspace=self._workspace)
        app = create_app(self._workspace.house.store, settings, received, admission)
        app.state.workspace = self._workspace
        return app

    def _make_intake(self) -> FastAPI:
        from aris.service.intake.serving import patient_app

        self._workspace.asks = True
        return patient_app(self._workspace.house, self._settings.workspace, lambda: self._workspace.model)

    async def _health(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Say that the process answers, and where its model stands; needs no key."""
        await JSONResponse({"status": "ok", "model": self._model.state})(scope, receive, send)

    async def _not_there(self, scope: Scope, receive: Receive, send: Send) -> None:
        why = {
            "loading": ApiError(
                503, "the model is loading; try again in a moment", code="model_loading",
                headers={"Retry-After": str(_RETRY_S)},
            ),
            "failed": ApiError(503, "the model could not be loaded; the server's log says why", code="no_model"),
        }.get(self._model.state, ApiError(404, "this server runs no model", code="no_model"))  # fmt: skip
        await why.response()(scope, receive, send)


async def _not_found(scope: Scope, receive: Receive, send: Send) -> None:
    await ApiError(404, "there is no DICOMweb here", code="not_found").response()(scope, receive, send)


def _tell(loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> None:
    loop.call_soon_threadsafe(event.set)
