"""The draft of a study while it is written, as server-sent events."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query
from fastapi.sse import EventSourceResponse, ServerSentEvent

from aris.service.workspace.context import Caller, Workspace, allow, here
from aris.service.workspace.drafts.live import LiveDrafts, Written, what_there_is
from aris.service.workspace.viewing import audit_view, require_study

router = APIRouter(prefix="/api", tags=["drafts"])
Looking = Annotated[Caller, allow("reader", "viewer", scope="read")]
Here = Annotated[Workspace, here]
StudyUid = Annotated[str, Path(max_length=64, pattern=r"^[0-9.]+$")]


def _written(
    study: StudyUid, caller: Looking, workspace: Here, again: Annotated[bool, Query()] = False
) -> Written:
    require_study(workspace, study)
    audit_view(workspace, caller, study, "draft")
    drafts: LiveDrafts | None = workspace.drafts
    if drafts is None:
        return what_there_is(workspace.house, study)
    # Only a reader's wish costs the model's time.
    return drafts.ask(study, again=again, start="reader" in caller.roles and _may_write(caller))


def _may_write(caller: Caller) -> bool:
    return caller.token is None or "write" in caller.scopes


@router.get("/studies/{study}/draft", response_class=EventSourceResponse)
async def draft(
    study: StudyUid, caller: Looking, written: Annotated[Written, Depends(_written)]
) -> AsyncIterator[ServerSentEvent]:
    """A study's draft, as it is written: "findings", "section", "piece", then "done" or "failed".

    A reader's call drafts it now, if nobody has; `again=1` also where it was given up. A viewer only listens.
    """
    async for name, data in written.events():
        yield ServerSentEvent(event=name, data=data)
