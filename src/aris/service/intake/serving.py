"""The patients' page beside the workspace, in one process: its own path, policy and limits.

A patient is no user: this application knows no session of the workspace, and its cookie is sent to /intake alone.
"""

from __future__ import annotations

from collections.abc import Callable

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from aris import __version__
from aris.backends import Backend
from aris.errors import ArisError
from aris.flow.house import House
from aris.flow.intakes.answering import Answering
from aris.service.errors import ApiError
from aris.service.http.access_log import AccessLog
from aris.service.intake import pages
from aris.service.intake.app import PatientHeaders
from aris.service.intake.patients import HOME, PatientSettings, add_patient_routes
from aris.service.workspace.errors import RefusedError, refusal
from aris.service.workspace.guarding import WebGuard
from aris.service.workspace.settings import WorkspaceSettings
from aris.service.workspace.throttle import Throttle

# Requests a minute from one address, which all patients behind a reverse proxy share, and from all.
_EACH, _IN_ALL = 600, 3000


def patient_app(
    house: House,
    settings: WorkspaceSettings,
    model: Callable[[], Backend | None] = lambda: None,
    answering: Answering | None = None,
) -> FastAPI:
    """The patients' page of a house, as an ASGI application for /intake and what is under it.

    Args:
        house: keeps the intakes.
        settings: of the workspace's server, whose addresses are its own.
        model: chooses the next question where the site wants it.
        answering: of the house; a clock of its own in tests.
    """
    site = house.settings.intake
    app = FastAPI(title="Aris intake", version=__version__, docs_url=None, redoc_url=None, openapi_url=None)
    chooses = model if site.model_chooses else lambda: None
    add_patient_routes(
        app, answering or Answering(house), site, chooses, PatientSettings(settings.secure, settings.origin)
    )

    async def refuse(request: Request, error: Exception) -> Response:
        answer = error.response() if isinstance(error, ApiError) else refusal(error).response()
        if request.url.path in (HOME,) or request.url.path.startswith(f"{HOME}/start/"):
            text = "The page cannot be shown just now. Wait a moment and try again"
            return HTMLResponse(pages.again_page(text), answer.status_code)
        return answer

    app.add_exception_handler(ApiError, refuse)
    app.add_exception_handler(ArisError, refuse)
    app.add_middleware(_Limited)
    app.add_middleware(WebGuard, settings=settings)
    app.add_middleware(PatientHeaders, secure=settings.secure)
    app.add_middleware(AccessLog)
    return app


class _Limited:
    """Refuses what comes too often: whoever tries links, and whoever keeps the machine busy."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._throttle = Throttle(_EACH, _IN_ALL)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            try:
                self._throttle.take((scope.get("client") or ("", 0))[0])
            except RefusedError as error:
                page = HTMLResponse(pages.again_page("Too many tries. Wait a minute"), 429, error.headers)
                await page(scope, receive, send)
                return
        await self._app(scope, receive, send)
