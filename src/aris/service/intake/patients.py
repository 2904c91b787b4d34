"""The patients' routes: a one-time link, a question at a time, and the advice at the end; a page and its JSON.

Answers of one patient wait for each other, and for nobody else's: each intake has a lock of its own.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import parse_qs

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from aris.backends import Backend
from aris.errors import DataError
from aris.service.errors import ApiError
from aris.service.intake import pages
from aris.tasks.intake import IntakeState, Site, advice, answer, question, start, triage

log = logging.getLogger("aris.serve")

COOKIE = "aris_intake"
HOME = "/intake"
_MOST_BYTES = 128 << 10  # of a body: 10,000 characters, percent-encoded
_MOST_CHARACTERS = 12_000  # of an answer: the page's 10,000, a line's end counted twice
_AT_ONCE = 4
# Answers of one patient that wait for one another.
_MOST_WAITING = 3
# An emergency that could not be kept is tried again after so many seconds each.
_LATER_S = (2, 5, 15, 30, 60, 120, 300)
_MOST_UNASKED = 2000  # characters that are read of an answer to an intake that is not open


class _EmergencyError(Exception):
    """An emergency was told, and the intake does not say so: the advice is shown all the same.

    Attributes:
        state: of an intake that ended by it.
    """

    def __init__(self, state: IntakeState) -> None:
        super().__init__("an emergency that is not kept")
        self.state = state


class Asked(Protocol):
    """An intake as its patient has it open."""

    @property
    def name(self) -> str: ...

    @property
    def state(self) -> IntakeState: ...


class Begun(Protocol):
    """An intake that a link has opened, with the patient's secret."""

    @property
    def secret(self) -> str: ...


class PatientSessions(Protocol):
    """The intakes of a clinic, as patients reach them. `DataError`: one that this version cannot go on with."""

    def usable(self, ticket: str) -> bool: ...

    def redeem(self, ticket: str) -> Begun | None: ...

    def of_patient(self, ticket: str) -> Asked | None: ...

    def update(self, ticket: str, change: Callable[[IntakeState], IntakeState]) -> Asked | None: ...


@dataclass(frozen=True)
class PatientSettings:
    """Settings of the patients' page.

    Attributes:
        secure: browsers reach it by TLS, its own or a reverse proxy's; the cookie goes no other way then.
        origin: the address in browsers behind a reverse proxy, as "https://aris.example"; "" for none.
    """

    secure: bool = False
    origin: str = ""


@dataclass
class _Turns:
    """The locks of intakes: one answer of a patient at a time, some patients together."""

    locks: dict[str, asyncio.Lock] = field(default_factory=dict)
    waiting: dict[str, int] = field(default_factory=dict)
    threads: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(_AT_ONCE, "intake"))

    @asynccontextmanager
    async def of(self, ticket: str) -> AsyncIterator[None]:
        """Wait for the turn of a patient's answer; raises `ApiError` 429 where others of hers wait already."""
        key = ticket.partition(".")[0][:64]
        if self.waiting.get(key, 0) >= _MOST_WAITING:
            raise ApiError(429, "an answer is still being read; wait a moment", headers={"Retry-After": "2"})
        self.waiting[key] = self.waiting.get(key, 0) + 1
        lock = self.locks.setdefault(key, asyncio.Lock())
        try:
            async with lock:
                yield
        finally:
            self.waiting[key] -= 1
            if not self.waiting[key]:
                del self.waiting[key], self.locks[key]

    async def run(self, work: Callable[..., Any], *given: Any) -> Any:
        """Do work in a thread of intake's own: reading a long answer takes seconds, and nobody else waits for it."""
        return await asyncio.get_running_loop().run_in_executor(self.threads, work, *given)


def add_patient_routes(
    app: FastAPI,
    sessions: PatientSessions,
    site: Site,
    model: Callable[[], Backend | None] = lambda: None,
    settings: PatientSettings | None = None,
) -> None:
    """Add the patients' routes to an application.

    Args:
        sessions: of its patients.
        site: what they are told.
        model: chooses questions; None goes by the fixed order.
        settings: of the page.
    """
    known = settings or PatientSettings()
    turns = _Turns()
    later: set[asyncio.Task[None]] = set()

    async def keep_later(ticket: str, change: Callable[[IntakeState], IntakeState]) -> None:
        for wait_s in _LATER_S:
            await asyncio.sleep(wait_s)
            with suppress(Exception):
                if await turns.run(sessions.update, ticket, change) is not None:
                    return
        log.error("an intake's emergency could not be kept; its patient was shown the advice")

    async def apply(request: Request, given: dict[str, Any]) -> Asked | None:
        """Apply an answer, if it is to the question that waits; an older one, sent twice, changes nothing.

        Words of an emergency are read whatever question they were typed to, and the advice does not hang on the write.

        Raises:
            _EmergencyError: an emergency that the intake does not have.
        """
        said, ticket = str(given.get("answer", "")), _ticket(request)
        if len(said) > _MOST_CHARACTERS:
            raise ApiError(413, "the answer is too long; shorten it", code="request_too_large")

        def change(state: IntakeState) -> IntakeState:
            asked = question(state, site)
            current = None if asked is None else (asked.id, str(asked.number))
            stale = current is None or current != (given.get("question"), str(given.get("number")))
            if stale:
                told = None if _was_read(state, given.get("question"), said) else _emergency(said)
                if told is None:
                    return state
                seen.append(told)
                if current is None:
                    return state
            after = answer(state, said, site=site, model=model())
            if after.status == "emergency":
                seen.append(after)
            return state if stale and after.status != "emergency" else after

        seen: list[IntakeState] = []
        found: Asked | None = None
        try:
            if await turns.run(sessions.of_patient, ticket) is not None:
                async with turns.of(ticket):
                    found = await turns.run(sessions.update, ticket, change)
        except ApiError:
            raise
        except Exception as error:
            if seen:
                task = asyncio.create_task(keep_later(ticket, change))
                later.add(task)
                task.add_done_callback(later.discard)
            elif told := await turns.run(_emergency, said[:_MOST_UNASKED]):
                seen.append(told)
            if not seen:
                raise
            raise _EmergencyError(seen[-1]) from error
        if found is None and not seen and (told := await turns.run(_emergency, said[:_MOST_UNASKED])):
            seen.append(told)
        if seen and (found is None or found.state.status != "emergency"):
            raise _EmergencyError(seen[-1])
        return found

    @app.get("/intake/style.css")
    async def style() -> Response:
        return Response(pages.STYLE, media_type="text/css", headers={"Cache-Control": "public, max-age=3600"})

    @app.get("/intake/start/{ticket}")
    async def link(ticket: str) -> Response:
        if not await turns.run(sessions.usable, ticket):
            return HTMLResponse(pages.gone_page(), 410)
        return HTMLResponse(pages.start_page(f"/intake/start/{ticket}", site.clinic))

    @app.post("/intake/start/{ticket}")
    async def redeem(ticket: str, request: Request) -> Response:
        _same_origin(request, known)
        opened = await turns.run(sessions.redeem, ticket)
        if opened is None:
            # The button was pressed twice, or the page loaded again: the patient's own cookie goes on.
            if await _state(turns, sessions, request) is not None:
                return RedirectResponse(HOME, 303)
            return HTMLResponse(pages.gone_page(), 410)
        response = RedirectResponse(HOME, 303)
        secure = known.secure or request.url.scheme == "https"
        response.set_cookie(COOKIE, opened.secret, httponly=True, samesite="strict", secure=secure, path=HOME)
        return response

    @app.get(HOME)
    async def page(request: Request) -> Response:
        try:
            session = await turns.run(sessions.of_patient, _ticket(request))
        except DataError:
            return HTMLResponse(pages.changed_page(), 409)
        return HTMLResponse(pages.gone_page(), 410) if session is None else _shown(session.state, site)

    @app.post(HOME)
    async def send(request: Request) -> Response:
        _same_origin(request, known)
        form = parse_qs((await _body(request)).decode("utf-8", "replace"), keep_blank_values=True)
        given = {name: values[0] for name, values in form.items()}
        given["answer"] = _joined(form.get("answer", []))
        try:
            session = await apply(request, given)
        except _EmergencyError as told:
            return _shown(told.state, site)
        except DataError:
            return HTMLResponse(pages.changed_page(), 409)
        except ApiError as error:
            if error.status not in (413, 429):
                raise
            return HTMLResponse(pages.again_page(str(error)), error.status)
        if session is None:
            return HTMLResponse(pages.gone_page(), 410)
        if session.state.status == "declined":
            response = _shown(session.state, site)
            response.delete_cookie(COOKIE, path=HOME)
            return response
        return RedirectResponse(HOME, 303)  # so that going back or reloading sends nothing twice

    @app.get("/intake/question")
    async def current(request: Request) -> Response:
        with _changed():
            return _json(await turns.run(sessions.of_patient, _ticket(request)), site)

    @app.post("/intake/answer")
    async def answered(request: Request) -> Response:
        _same_origin(request, known)
        given = _object(await _body(request))
        with _changed():
            try:
                return _json(await apply(request, given), site)
            except _EmergencyError as told:
                return _answer(told.state, site)


async def _state(turns: _Turns, sessions: PatientSessions, request: Request) -> Asked | None:
    try:
        found: Asked | None = await turns.run(sessions.of_patient, _ticket(request))
        return found
    except DataError:
        return None


class _changed:  # noqa: N801  (a context manager reads as a word)
    """Says that the questions have changed, where a program asks."""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if isinstance(error, DataError):
            raise ApiError(409, "the questions were changed meanwhile; ask the clinic for a new link", code="changed")


def _shown(state: IntakeState, site: Site) -> Response:
    asked = question(state, site)
    if asked is not None:
        return HTMLResponse(pages.question_page(asked, HOME))
    return HTMLResponse(pages.end_page(advice(state, site), emergency=state.status == "emergency"))


def _json(session: Asked | None, site: Site) -> Response:
    if session is None:
        raise ApiError(410, "this link or session has ended; ask the clinic for a new one", code="gone")
    return _answer(session.state, site)


def _answer(state: IntakeState, site: Site) -> Response:
    asked = question(state, site)
    shown = None if asked is None else asked.model_dump(mode="json")
    return JSONResponse({"status": state.status, "question": shown, "advice": advice(state, site)})


def _emergency(said: str) -> IntakeState | None:
    """An intake that these words end, as far as its advice goes; None if they tell of no emergency."""
    risk = triage(said)
    if risk.level != "emergency":
        return None
    return start().model_copy(update={"status": "emergency", "pending": "", "risk": risk})


def _was_read(state: IntakeState, asked: object, said: str) -> bool:
    """Return whether these words were the answer to that question: the same form sent twice."""
    words = " ".join(said.split())
    return any(each.question == asked and " ".join(each.said.split()) == words for each in state.answers)


def _ticket(request: Request) -> str:
    return request.cookies.get(COOKIE, "")


def _same_origin(request: Request, settings: PatientSettings) -> None:
    """Refuse forms of other origins, which a browser names."""
    origin = request.headers.get("origin")
    own = origin in (None, "null") or origin.partition("://")[2] == request.headers.get("host", "")
    if not own and (origin or "").lower() != settings.origin.lower():
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
