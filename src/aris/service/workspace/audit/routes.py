"""The audit trail: read, checked, exported as FHIR; and the site's settings as they hold."""

from __future__ import annotations

import json
import threading
from typing import Annotated

from fastapi import APIRouter, Query, Response
from sqlalchemy.orm import Session as Transaction

from aris.exchange.documents.fhir_audit import audit_bundle
from aris.flow.settings import FILE
from aris.service.workspace.context import Caller, Workspace, allow, here
from aris.service.workspace.errors import RefusedError
from aris.service.workspace.schemas.audit import AuditEvent, AuditPage, Service, Site, Verified
from aris.store.reading import audit, house

router = APIRouter(prefix="/api", tags=["audit"])
Auditor = Annotated[Caller, allow("admin", scope="audit")]
Admin = Annotated[Caller, allow("admin", scope="read")]
Here = Annotated[Workspace, here]
Name = Annotated[str, Query(max_length=64)]
Number = Annotated[int, Query(ge=0, lt=1 << 31)]
_verifying = threading.Lock()
_SHOWN = 200


@router.get("/audit")
def page(
    caller: Auditor, workspace: Here, before: Number = 0, limit: Annotated[int, Query(ge=1, le=500)] = 100,
    user: Name = "", action: Name = "", study: Name = "",
) -> AuditPage:  # fmt: skip
    """A page of the trail, the newest event first."""
    with workspace.house.store.sessions.reading() as transaction:
        rows = audit.events(
            transaction, subject=study, actor=user, action=action, limit=limit + 1, before=before or None
        )
        actions = audit.actions(transaction)
    events = [
        AuditEvent(number=row.number, at=row.at, user=row.actor, action=row.action, study=row.subject,
                   outcome=row.outcome, detail=row.detail)
        for row in rows[:limit]
    ]  # fmt: skip
    return AuditPage(events=events, next=rows[limit - 1].number if len(rows) > limit else None, actions=actions)


@router.post("/audit/verify")
def verify(caller: Auditor, workspace: Here) -> Verified:
    """Check the whole trail, against the heads that were exported too."""
    trail, exported = workspace.house.trail, workspace.house.settings.audit_heads
    if not _verifying.acquire(blocking=False):
        raise RefusedError(429, "busy", "the trail is being checked already; try again in a moment")
    try:
        heads = audit.read_heads(exported) if exported is not None and exported.exists() else []
        with workspace.house.store.sessions.reading() as transaction:
            events = trail.head(transaction).number
            wrong = trail.verify(transaction, heads)
    finally:
        _verifying.release()
    shown = wrong[:_SHOWN] + ([f"and {len(wrong) - _SHOWN} more"] if len(wrong) > _SHOWN else [])
    workspace.house.store.sessions.write(
        lambda transaction: trail.add(
            transaction, caller.login, "verify audit", outcome="failed" if wrong else "done", now=workspace.now(),
            events=events, problems=len(wrong),
        )
    )  # fmt: skip
    return Verified(ok=not wrong, events=events, problems=shown, heads=len(heads))


@router.get("/audit/export", response_class=Response, responses={
    200: {"content": {"application/fhir+json": {"schema": {"type": "object"}}}}
})  # fmt: skip
def export(
    caller: Auditor, workspace: Here, after: Number = 0, limit: Annotated[int, Query(ge=1, le=20_000)] = 5_000,
    user: Name = "", action: Name = "", study: Name = "",
) -> Response:  # fmt: skip
    """Events in their order as a FHIR R4 Bundle of AuditEvent; where more follow, its link "next" says from where."""

    def work(transaction: Transaction) -> bytes:
        rows = audit.events(
            transaction, subject=study, actor=user, action=action, limit=limit + 1, after=after, oldest_first=True
        )
        more = f"/api/audit/export?after={rows[limit - 1].number}&limit={limit}" if len(rows) > limit else ""
        made = audit_bundle(rows[:limit], house.identity(transaction), workspace.now(), more)
        workspace.house.trail.add(
            transaction, caller.login, "export audit", now=workspace.now(), events=len(rows[:limit]), after=after
        )
        return json.dumps(made, ensure_ascii=False).encode()

    data = workspace.house.store.sessions.write(work)
    headers = {"Content-Disposition": 'attachment; filename="audit.json"'}
    return Response(data, media_type="application/fhir+json", headers=headers)


@router.get("/site")
def site(caller: Admin, workspace: Here) -> Site:
    """The site's settings as they hold. Passwords in the database's address are left out."""
    store = workspace.house.store
    return Site(
        settings=workspace.house.settings.model_dump(mode="json"), file=str(store.folder / FILE),
        store=str(store.folder), database=store.database,
        services=[Service.model_validate(each) for each in workspace.services],
    )  # fmt: skip
