"""Live events: what happens to studies, for every page that is open.

Each event's id is its number in the audit trail, so that a page that was cut off goes on exactly where it was. A stream
ends when its user signs out, is changed or may no longer look at studies, and when the server ends.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, suppress
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent

from aris.errors import ArisError
from aris.flow.reading.journal import (
    ACTIONS,
    ALARM_ACTIONS,
    INTAKES,
    Alarmed,
    Asked,
    Happened,
    Journal,
    Listener,
    Progressed,
)
from aris.flow.reading.leaving import leave_forgotten
from aris.flow.reading.worklist import entries_of
from aris.service.workspace.context import Caller, Workspace, allow
from aris.service.workspace.errors import RefusedError
from aris.service.workspace.schemas.alarms import AlarmEvent
from aris.service.workspace.schemas.worklist import Drafting, IntakeEvent, Rows, StudyEvent
from aris.service.workspace.studies.worklist import lines_of
from aris.store.reading import listing
from aris.store.reading.access import web_sessions
from aris.store.reading.lasting_tables import AuditRow

log = logging.getLogger("aris.workspace")
router = APIRouter(prefix="/api", tags=["events"])
# No token listens: a stream has no end, and a token that is revoked must.
Looker = Annotated[Caller, allow("reader", "viewer", scope=None)]
MOST_STREAMS, MOST_OF_ONE = 1000, 20
# Whether the users may still look is asked so often, and whenever somebody signs out or is changed.
CHECK_S = 30.0
LOOKS = ("reader", "viewer")
_NOT_DONE = ("denied", "refused")
# Of more studies at once, as when an archive is taken in, the lines are not told one by one.
MOST_ROWS = 200
# Acts after which a study stands where it stood.
_STAY = frozenset(["open", "close", "edit", "measure", "unmeasure", "judge", "tell", "deliver"])


class Live:
    """The live events of a workspace's process.

    Args:
        poll_s: seconds between two looks at what is new.
    """

    def __init__(self, workspace: Workspace, poll_s: float = 1.0) -> None:
        self._workspace = workspace
        self.journal = Journal(workspace.house, poll_s, self._looked)
        self._streams: dict[Listener, tuple[int, str]] = {}
        self._checked_at = time.monotonic()
        self._checking: asyncio.Task[None] | None = None
        self._watched: Any = None
        # Studies of which something was done, and whether they may stand at another place of the list since.
        self._changed: dict[str, bool] = {}
        self._telling: asyncio.Task[None] | None = None

    async def stream(self, caller: Caller, after: int | None) -> AsyncGenerator[ServerSentEvent]:
        """The events for a caller, after the last one that he knows."""
        assert caller.session is not None
        self._watch_drafts()
        listener = Listener(self.journal)
        self._streams[listener] = (caller.session.number, caller.login)
        try:
            async with aclosing(listener.events(after)) as told:
                async for event in told:
                    yield _written(event)
        finally:
            del self._streams[listener]

    def require_room(self, caller: Caller) -> None:
        """Raise `RefusedError` where too many streams are open, or too many of one user."""
        own = sum(login == caller.login for _, login in self._streams.values())
        if len(self._streams) >= MOST_STREAMS or own >= MOST_OF_ONE:
            raise RefusedError(429, "busy", "too many live views are open; close some", {"Retry-After": "10"})

    def end(self) -> None:
        """End all streams, as before the server ends. Call it in the event loop."""
        self.journal.end()

    def _watch_drafts(self) -> None:
        """Be told of drafts that this process writes, at once; the model may be loaded later than the start."""
        drafts, loop = self._workspace.drafts, asyncio.get_running_loop()
        if drafts is None or drafts is self._watched:
            return
        self._watched = drafts

        def told(study: str, state: str) -> None:  # in any thread
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(self.journal.tell, Progressed(study, state))  # type: ignore[arg-type]

        drafts.watch(told)

    def _looked(self, rows: Sequence[AuditRow]) -> None:
        changed = [row for row in rows if row.action in ACTIONS and row.subject and row.outcome not in _NOT_DONE]
        for row in changed:
            self._changed[row.subject] = self._changed.get(row.subject, False) or row.action not in _STAY
        if self._changed and self._telling is None:
            self._telling = asyncio.ensure_future(self._tell_rows())
        # Whatever is not done to a study may be a sign-out, a changed user, a new password.
        known = ACTIONS | ALARM_ACTIONS | INTAKES | {"view", "export", "preview"}
        asked = any(row.action not in known for row in rows)
        if (asked or time.monotonic() - self._checked_at >= CHECK_S) and self._checking is None:
            self._checked_at = time.monotonic()
            self._checking = asyncio.ensure_future(self._check())

    async def _tell_rows(self) -> None:
        """Tell every page the changed lines of the worklist, which are asked for once for all of them."""
        try:
            while self._changed:
                changed, self._changed = self._changed, {}
                try:
                    said = await asyncio.to_thread(self._rows, changed)
                except BaseException:  # told with the next look
                    for study, elsewhere in changed.items():
                        self._changed[study] = self._changed.get(study, False) or elsewhere
                    raise
                event = ServerSentEvent(event="rows", raw_data=said)
                for listener in list(self._streams):
                    listener.put(event)
        except ArisError as error:
            log.error("live events: the worklist's lines cannot be asked (%s)", type(error).__name__)
        except Exception as error:
            self._changed.clear()
            log.error("live events: the worklist's lines are left out: a defect (%s)", type(error).__name__)
        finally:
            self._telling = None

    def _rows(self, changed: dict[str, bool]) -> str:
        house, many = self._workspace.house, len(changed) > MOST_ROWS
        found = [] if many else entries_of(house, changed, self._workspace.now())
        with house.store.sessions.reading() as session:
            counts = listing.counts(session)
        moved = [] if many else [study for study, elsewhere in changed.items() if elsewhere]
        return Rows(entries=lines_of(self._workspace, found), moved=moved, counts=counts, many=many).model_dump_json()

    async def _check(self) -> None:
        try:
            holding = await asyncio.to_thread(self._holding)
            for listener, (number, _) in list(self._streams.items()):
                if number not in holding:
                    listener.end()
        except ArisError as error:
            log.error("live events: who may look cannot be asked (%s)", type(error).__name__)
        finally:
            self._checking = None

    def _holding(self) -> set[int]:
        """The sessions whose users may look; studies of users who are gone are put back."""
        workspace, now = self._workspace, self._workspace.now()
        with workspace.house.store.sessions.reading() as session:
            found = web_sessions.users_of(session, now, workspace.settings.idle)
        leave_forgotten(workspace.house, {user.login for user in found.values()}, now)
        return {number for number, user in found.items() if user.roles.intersection(LOOKS)}


def live_of(workspace: Workspace) -> Live:
    """The live events of a workspace, made when first asked for. Call it in the event loop."""
    if workspace.live is None:
        workspace.live = Live(workspace)
    return workspace.live


async def _with_room(request: Request, caller: Looker) -> Live:
    """The live events, if there is room for one more stream."""
    live = live_of(request.app.state.workspace)
    live.require_room(caller)
    return live


@router.get("/events", response_class=EventSourceResponse)
async def events(
    caller: Looker,
    live: Annotated[Live, Depends(_with_room)],
    last_event_id: Annotated[str | None, Header(max_length=20)] = None,
) -> AsyncIterator[ServerSentEvent]:
    """Tell what happens: "study", "alarm" and "intake" with an id; "rows" of the worklist and "drafting" without."""
    after = int(last_event_id) if last_event_id and last_event_id.isascii() and last_event_id.isdigit() else None
    async with aclosing(live.stream(caller, after)) as told:
        async for event in told:
            yield event


def end_live(workspace: Workspace) -> None:
    """End all live events, as when the server is told to end: it need not wait for them. Call it in the event loop."""
    if workspace.live is not None:
        workspace.live.end()


def _written(event: object) -> ServerSentEvent:
    if isinstance(event, ServerSentEvent):
        return event
    if isinstance(event, int):
        # An id without data: the page knows from where on it is told, and no event is seen.
        return ServerSentEvent(id=str(event), retry=1000)
    if isinstance(event, Happened):
        told = StudyEvent(study=event.study, action=event.action, user=event.user, at=event.at)
        return ServerSentEvent(event="study", id=str(event.number), data=told)
    if isinstance(event, Alarmed):
        changed = AlarmEvent(patient=event.record, action=event.action, user=event.user, at=event.at)
        return ServerSentEvent(event="alarm", id=str(event.number), data=changed)
    if isinstance(event, Asked):
        said = IntakeEvent(intake=event.intake, action=event.action, level=event.level, user=event.user, at=event.at)
        return ServerSentEvent(event="intake", id=str(event.number), data=said)
    return ServerSentEvent(event="drafting", data=Drafting.model_validate(event.__dict__))
