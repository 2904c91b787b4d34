"""Users, as an admin looks after them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path
from sqlalchemy.orm import Session as Transaction

from aris.flow.reading.leaving import leave_all
from aris.service.workspace.context import Caller, Workspace, allow, here
from aris.service.workspace.errors import not_found
from aris.service.workspace.schemas.access import NewUser, User, UserChange
from aris.store.reading import users
from aris.store.reading.access import tokens, web_sessions

router = APIRouter(prefix="/api/users", tags=["users"])
Admin = Annotated[Caller, allow("admin", scope=None)]
Here = Annotated[Workspace, here]
Login = Annotated[str, Path(max_length=64)]


@router.get("")
def list_users(caller: Admin, workspace: Here) -> list[User]:
    """All users, by login."""
    with workspace.house.store.sessions.reading() as transaction:
        return [User.of(each) for each in users.all_of(transaction)]


@router.post("", status_code=201)
def add_user(body: NewUser, caller: Admin, workspace: Here) -> User:
    """Make a user."""
    now = workspace.now()

    def work(transaction: Transaction) -> users.User:
        made = users.add(transaction, body.login, body.password, role=body.role, name=body.name,
                         organization=body.organization, identifier=body.identifier, now=now)  # fmt: skip
        workspace.house.trail.add(transaction, caller.login, "add user", made.login, now=now, role=made.role)
        return made

    return User.of(workspace.house.store.sessions.write(work))


@router.patch("/{login}")
def change_user(login: Login, body: UserChange, caller: Admin, workspace: Here) -> User:
    """Change a user's password or role, or whether he may act; he is signed out everywhere. Nobody is ever removed."""
    now = workspace.now()

    def work(transaction: Transaction) -> users.User:
        if users.find(transaction, login, lock=True) is None:
            raise not_found("there is no such user")
        made = users.change(transaction, login, now, password=body.password, role=body.role, active=body.active)
        web_sessions.end_all(transaction, login)
        if body.active is False:
            tokens.revoke_all(transaction, login, now)
        workspace.house.trail.add(
            transaction, caller.login, "change user", login, now=now, role=body.role, active=body.active,
            password=body.password is not None,
        )  # fmt: skip
        return made

    changed = workspace.house.store.sessions.write(work)
    leave_all(workspace.house, login, now)
    return User.of(changed)
