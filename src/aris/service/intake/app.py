"""The routes of intake: the patient's page and its JSON, and the clinic's side behind a key."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from datetime import UTC, datetime
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from aris import __version__
from aris.backends import Backend
from aris.exchange.documents.intake import intake_bundle
from aris.service.errors import ApiError
from aris.service.http.access_log import AccessLog
from aris.service.intake import pages
from aris.service.intake.patients import PatientSettings, add_patient_routes
from aris.service.intake.sessions import Session, Sessions
from aris.tasks.intake import Site, summarize


def create_app(sessions: Sessions, site: Site, api_key: str, model: Backend | None = None,
               public_url: str = "") -> FastAPI:  # fmt: skip
    """The intake of a clinic, as an ASGI application.

    Args:
        sessions: of its patients.
        site: its settings.
        api_key: opens the clinic's side (`Authorization: Bearer`).
        model: chooses questions; None goes by the fixed order.
        public_url: its address in browsers behind a reverse proxy, as "https://intake.example"; "" for none.
    """
    settings = PatientSettings(public_url.lower().startswith("https://"), public_url.rstrip("/"))
    app = FastAPI(title="Aris intake", version=__version__, docs_url=None, redoc_url=None, openapi_url=None)
    add_patient_routes(app, sessions, site, lambda: model, settings)
    _clinic_routes(app, sessions, site, hashlib.sha256(api_key.encode()).digest())

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        """Return whether the server answers; needs no key."""
        return {"status": "ok"}

    @app.exception_handler(ApiError)
    async def refuse(_: Request, error: ApiError) -> Response:
        return error.response()

    app.add_middleware(PatientHeaders, secure=settings.secure)
    app.add_middleware(AccessLog)
    return app


class PatientHeaders:
    """Adds to every response what keeps it private: no script, no frame, no cache, no referrer.

    Args:
        secure: browsers reach it by TLS.
    """

    def __init__(self, app: ASGIApp, secure: bool = False) -> None:
        self._app, self._secure = app, secure

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                names = {name.lower() for name, _ in message["headers"]}
                added = {
                    b"content-security-policy": pages.POLICY.encode(),
                    b"x-content-type-options": b"nosniff",
                    b"referrer-policy": b"no-referrer",
                    b"cache-control": b"no-store",
                    b"x-frame-options": b"DENY",
                    b"cross-origin-opener-policy": b"same-origin",
                    b"cross-origin-resource-policy": b"same-origin",
                }
                if self._secure:
                    added[b"strict-transport-security"] = b"max-age=31536000"
                message["headers"] = [*message["headers"], *((k, v) for k, v in added.items() if k not in names)]
            await send(message)

        await self._app(scope, receive, with_headers)


def _clinic_routes(app: FastAPI, sessions: Sessions, site: Site, digest: bytes) -> None:
    def check(request: Request) -> None:
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        sent = hashlib.sha256(key.strip().encode("latin-1", "replace")).digest()
        if scheme.lower() != "bearer" or not hmac.compare_digest(sent, digest):
            raise ApiError(401, "the key is missing or wrong", headers={"WWW-Authenticate": "Bearer"})

    def found(name: str) -> Session:
        session = sessions.get(name)
        if session is None:
            raise ApiError(404, "no such intake", code="not_found")
        return session

    @app.post("/intake/sessions", status_code=201)
    async def create(request: Request) -> dict[str, Any]:
        check(request)
        opened = await asyncio.to_thread(sessions.create)
        return _listed(opened.session) | {"link": f"/intake/start/{opened.secret}"}

    @app.get("/intake/sessions")
    async def listed(request: Request) -> dict[str, Any]:
        check(request)
        await asyncio.to_thread(sessions.tidy)
        return {"sessions": [_listed(each) for each in await asyncio.to_thread(sessions.all)]}

    @app.get("/intake/sessions/{name}")
    async def one(name: str, request: Request) -> dict[str, Any]:
        check(request)
        session = found(name)
        return _listed(session) | {"summary": summarize(session.state).model_dump(mode="json")}

    @app.get("/intake/sessions/{name}/fhir")
    async def fhir(name: str, request: Request) -> Response:
        check(request)
        session = found(name)
        authored = datetime.fromtimestamp(session.created, UTC).isoformat(timespec="seconds")
        return JSONResponse(intake_bundle(session.state, site, authored=authored), media_type="application/fhir+json")

    @app.delete("/intake/sessions/{name}", status_code=204)
    async def remove(name: str, request: Request) -> None:
        check(request)
        found(name)
        await asyncio.to_thread(sessions.remove, name)


def _listed(session: Session) -> dict[str, Any]:
    when = datetime.fromtimestamp(session.expires, UTC).isoformat(timespec="seconds")
    state = session.state
    return {"id": session.name, "status": state.status, "level": state.risk.level, "expires": when}
