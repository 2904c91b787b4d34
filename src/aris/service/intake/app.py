"""The routes of intake: the patient's page and its JSON, and the clinic's side behind a key."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from aris import __version__
from aris.backends import Backend
from aris.exchange.documents.intake import intake_bundle
from aris.service.errors import ApiError
from aris.service.http.access_log import AccessLog
from aris.service.intake import pages
from aris.service.intake.sessions import Session, Sessions
from aris.tasks.intake import IntakeState, Site, advice, answer, question, summarize

_COOKIE = "aris_intake"
_MOST_BYTES = 128 << 10  # of a body: 10,000 characters, percent-encoded
_MOST_CHARACTERS = 12_000  # of an answer: the page's 10,000, a line's end counted twice; others wait while it is read
_HOME = "/intake"


def create_app(sessions: Sessions, site: Site, api_key: str, model: Backend | None = None) -> FastAPI:
    """The intake of a clinic, as an ASGI application.

    Args:
        sessions: of its patients.
        site: its settings.
        api_key: opens the clinic's side (`Authorization: Bearer`).
        model: chooses questions; None goes by the fixed order.
    """
    app = FastAPI(title="Aris intake", version=__version__, docs_url=None, redoc_url=None, openapi_url=None)
    _patient_routes(app, sessions, site, model)
    _clinic_routes(app, sessions, site, hashlib.sha256(api_key.encode()).digest())

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        """Return whether the server answers; needs no key."""
        return {"status": "ok"}

    @app.exception_handler(ApiError)
    async def refuse(_: Request, error: ApiError) -> Response:
        return error.response()

    app.add_middleware(_Headers)
    app.add_middleware(AccessLog)
    return app


class _Headers:
    """Adds to every response what keeps it private: no script, no frame, no cache, no referrer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

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
                }
                message["headers"] = [*message["headers"], *((k, v) for k, v in added.items() if k not in names)]
            await send(message)

        await self._app(scope, receive, with_headers)


def _patient_routes(app: FastAPI, sessions: Sessions, site: Site, model: Backend | None) -> None:
    turn = asyncio.Lock()  # a model takes one prompt at a time, and an answer is quick

    async def apply(request: Request, given: dict[str, Any]) -> Session | None:
        """Apply an answer, if it is to the question that waits; an older one, sent twice, changes nothing."""

        if len(str(given.get("answer", ""))) > _MOST_CHARACTERS:
            raise ApiError(413, "the answer is too long; shorten it", code="request_too_large")

        def change(state: IntakeState) -> IntakeState:
            asked = question(state, site)
            current = None if asked is None else (asked.id, str(asked.number))
            if current is None or current != (given.get("question"), str(given.get("number"))):
                return state
            return answer(state, str(given.get("answer", "")), site=site, model=model)

        async with turn:
            return await asyncio.to_thread(sessions.update, _ticket(request), change)

    @app.get("/intake/style.css")
    async def style() -> Response:
        return Response(pages.STYLE, media_type="text/css", headers={"Cache-Control": "public, max-age=3600"})

    @app.get("/intake/start/{ticket}")
    async def link(ticket: str) -> Response:
        if not sessions.usable(ticket):
            return HTMLResponse(pages.gone_page(), 410)
        return HTMLResponse(pages.start_page(f"/intake/start/{ticket}"))

    @app.post("/intake/start/{ticket}")
    async def redeem(ticket: str, request: Request) -> Response:
        _same_origin(request)
        opened = await asyncio.to_thread(sessions.redeem, ticket)
        if opened is None:
            return HTMLResponse(pages.gone_page(), 410)
        response = RedirectResponse(_HOME, 303)
        response.set_cookie(
            _COOKIE, opened.secret, httponly=True, samesite="strict", secure=request.url.scheme == "https", path=_HOME
        )
        return response

    @app.get(_HOME)
    async def page(request: Request) -> Response:
        session = sessions.of_patient(_ticket(request))
        if session is None:
            return HTMLResponse(pages.gone_page(), 410)
        return _shown(session.state, site)

    @app.post(_HOME)
    async def send(request: Request) -> Response:
        _same_origin(request)
        form = parse_qs((await _body(request)).decode("utf-8", "replace"), keep_blank_values=True)
        given = {name: values[0] for name, values in form.items()}
        given["answer"] = _joined(form.get("answer", []))
        session = await apply(request, given)
        if session is None:
            return HTMLResponse(pages.gone_page(), 410)
        if session.state.status == "declined":
            response = _shown(session.state, site)
            response.delete_cookie(_COOKIE, path=_HOME)
            return response
        return RedirectResponse(_HOME, 303)  # so that going back or reloading sends nothing twice

    @app.get("/intake/question")
    async def current(request: Request) -> Response:
        session = sessions.of_patient(_ticket(request))
        return _json(session, site)

    @app.post("/intake/answer")
    async def answered(request: Request) -> Response:
        _same_origin(request)
        return _json(await apply(request, _object(await _body(request))), site)


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


def _shown(state: IntakeState, site: Site) -> Response:
    asked = question(state, site)
    if asked is not None:
        return HTMLResponse(pages.question_page(asked, _HOME))
    return HTMLResponse(pages.end_page(advice(state, site), emergency=state.status == "emergency"))


def _json(session: Session | None, site: Site) -> Response:
    if session is None:
        raise ApiError(410, "this link or session has ended; ask the clinic for a new one", code="gone")
    asked = question(session.state, site)
    shown = None if asked is None else asked.model_dump(mode="json")
    return JSONResponse({"status": session.state.status, "question": shown, "advice": advice(session.state, site)})


def _ticket(request: Request) -> str:
    return request.cookies.get(_COOKIE, "")


def _same_origin(request: Request) -> None:
    """Refuse forms of other origins, which a browser names."""
    origin = request.headers.get("origin")
    if origin not in (None, "null") and origin.partition("://")[2] != request.headers.get("host", ""):
        raise ApiError(403, "requests of other web pages are refused")
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise ApiError(403, "requests of other web pages are refused")


async def _body(request: Request) -> bytes:
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > _MOST_BYTES:
            raise ApiError(413, "the answer is too long; shorten it", code="request_too_large")
    return body


def _object(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise ApiError(400, 'the body is no JSON object; send {"question", "number", "answer"}')
    return value


def _joined(values: list[str]) -> str:
    """The answer of a form: the chosen numbers, or the one that a button adds."""
    if len(values) > 1 and values[-1] in ("0", "not sure"):
        # A button besides chosen options: what was chosen counts, so that no "none" takes it back.
        values = values[:-1]
    return ", ".join(values)
