"""The draft of a study while it is written, as server-sent events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query
from fastapi.sse import EventSourceResponse, ServerSentEvent

from aris.service.workspace.context import Caller, Workspace, allow, here
from aris.service.workspace.drafts.live import LiveDrafts, Written, drafted_elsewhere, what_there_is
from aris.service.workspace.viewing import audit_view, require_study

router = APIRouter(prefix="/api", tags=["drafts"])
Looking = Annotated[Caller, allow("reader", "viewer", scope="read")]
Here = Annotated[Workspace, here]
StudyUid = Annotated[str, Path(max_length=64, pattern=r"^[0-9.]+$")]


_LOOK_S = 0.5


def _asking(
    study: StudyUid, caller: Looking, workspace: Here, again: Annotated[bool, Query()] = False
) -> Callable[[LiveDrafts], Written]:
    require_study(workspace, study)
    audit_view(workspace, caller, study, "draft")
    # Only a reader's wish costs the model's time.
    start = "reader" in caller.roles and _may_write(caller)
    return lambda drafts: drafts.ask(study, again=again, start=start)


def _may_write(caller: Caller) -> bool:
    return caller.token is None or "write" in caller.scopes


@router.get("/studies/{study}/draft", response_class=EventSourceResponse)
async def draft(
    study: StudyUid,
    caller: Looking,
    workspace: Here,
    ask: Annotated[Callable[[LiveDrafts], Written], Depends(_asking)],
) -> AsyncIterator[ServerSentEvent]:
    """A study's draft, as it is written: "findings", "section", "piece", then "done" or "failed".

    A reader's call drafts it now, if nobody has; `again=1` also where it was given up. A viewer only listens. While
    the model is loaded, and while a worker elsewhere drafts, it waits.
    """
    written = await _begun(workspace, study, ask)
    async for name, data in written.events():
        yield ServerSentEvent(event=name, data=data)


async def _begun(workspace: Workspace, study: str, ask: Callable[[LiveDrafts], Written]) -> Written:
    """A draft that is written or wanted; without a model here, what there is when nobody else writes any longer."""
    house = workspace.house
    while True:
        drafts: LiveDrafts | None = workspace.drafts
        if drafts is not None:
            return await asyncio.to_thread(ask, drafts)
        if workspace.loading != "loading" and not await asyncio.to_thread(drafted_elsewhere, house, study):
            return await asyncio.to_thread(what_there_is, house, study)
        await asyncio.sleep(_LOOK_S)
