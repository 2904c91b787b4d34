"""API tokens of one's own, and one's own preferences."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import JsonValue
from sqlalchemy.orm import Session as Transaction

from aris.service.workspace.context import Caller, Workspace, allow, here
from aris.service.workspace.errors import not_found
from aris.service.workspace.schemas.access import ApiToken, NewApiToken
from aris.store.reading.access import preferences, tokens
from aris.store.reading.access.tables import ApiTokenRow

router = APIRouter(prefix="/api", tags=["tokens and preferences"])
Person = Annotated[Caller, allow("admin", "reader", "viewer", scope=None)]
Here = Annotated[Workspace, here]


@router.get("/tokens")
def list_tokens(caller: Person, workspace: Here) -> list[ApiToken]:
    """Return one's own tokens, the newest first; none of them says what it is."""
    with workspace.house.store.sessions.reading() as transaction:
        return [_shown(row) for row in tokens.of(transaction, caller.login)]


@router.post("/tokens", status_code=201)
def add_token(body: NewApiToken, caller: Person, workspace: Here) -> ApiToken:
    """Make a token, by which a program acts for oneself; it is shown this once. A token never signs."""
    now = workspace.now()

    def work(transaction: Transaction) -> ApiToken:
        row, token = tokens.add(transaction, caller.login, body.name, body.scopes, now, body.days)
        workspace.house.trail.add(
            transaction, caller.login, "add token", caller.login, now=now, token=row.id, scopes=row.scopes,
            days=body.days,
        )  # fmt: skip
        return _shown(row, token)

    return workspace.house.store.sessions.write(work)


@router.delete("/tokens/{number}", status_code=204)
def revoke_token(number: Annotated[int, Path(ge=1, lt=1 << 31)], caller: Person, workspace: Here) -> None:
    """Revoke a token of one's own."""
    now = workspace.now()

    def work(transaction: Transaction) -> None:
        if not tokens.revoke(transaction, caller.login, number, now):
            raise not_found("you have no such token")
        workspace.house.trail.add(transaction, caller.login, "revoke token", caller.login, now=now, token=number)

    workspace.house.store.sessions.write(work)


@router.get("/preferences")
def get_preferences(caller: Person, workspace: Here) -> dict[str, Any]:
    """Return one's own preferences."""
    with workspace.house.store.sessions.reading() as transaction:
        return preferences.get(transaction, caller.login)


@router.put("/preferences")
def put_preferences(body: dict[str, JsonValue], caller: Person, workspace: Here) -> dict[str, Any]:
    """Keep one's own preferences in place of those before; 64 KB at most."""
    workspace.house.store.sessions.write(
        lambda transaction: preferences.put(transaction, caller.login, body, workspace.now())
    )
    return body


def _shown(row: ApiTokenRow, token: str | None = None) -> ApiToken:
    return ApiToken(
        id=row.id, name=row.name, scopes=row.scopes, created_at=row.created_at, expires_at=row.expires_at,
        last_used_at=row.last_used_at, token=token,
    )  # fmt: skip
