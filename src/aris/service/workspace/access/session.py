"""Sessions: the user who is here, the first set-up, sign in, sign out, one's own password."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Request, Response
from sqlalchemy import select
from sqlalchemy.orm import Session as Transaction

from aris import __version__
from aris.exchange.documents.formats import model_identity
from aris.flow.reading.leaving import leave_all
from aris.service.workspace.attempts import forget_code
from aris.service.workspace.context import (
    Caller,
    Workspace,
    allow,
    allow_everybody,
    cookie_name,
    csrf_of,
    here,
)
from aris.service.workspace.errors import RefusedError
from aris.service.workspace.schemas.access import (
    PasswordChange,
    Session,
    SessionModel,
    SessionOidc,
    SessionSite,
    SetUp,
    SignIn,
    User,
)
from aris.store.reading import users
from aris.store.reading.access import web_sessions
from aris.store.reading.lasting_tables import UserRow
from aris.store.sessions import advisory_lock
from aris.tasks.scope import caution

router = APIRouter(prefix="/api", tags=["session"])
Anyone = Annotated[Caller | None, allow_everybody()]
Person = Annotated[Caller, allow("admin", "reader", "viewer", scope=None)]
Here = Annotated[Workspace, here]
UNKNOWN = "(unknown)"
_WRONG = "the login or the password is wrong, or the user is not active or for now locked"


@router.get("/session")
def session(caller: Anyone, workspace: Here) -> Session:
    """Return the user who is here; answered without a session too."""
    return described(workspace, caller)


@router.post("/setup")
def set_up(body: SetUp, request: Request, response: Response, caller: Anyone, workspace: Here) -> Session:
    """Make the first user, an admin+reader, and sign in. Works once, with the code that the server printed."""
    sessions, now = workspace.house.store.sessions, workspace.now()
    workspace.access.take(address(request))
    if not workspace.access.setup_needed():
        raise RefusedError(409, "set_up_already", "this house is set up; sign in")
    workspace.access.check_code(body.code)

    def work(transaction: Transaction) -> users.User:
        advisory_lock(transaction, "set-up")
        if transaction.scalar(select(UserRow.id).limit(1)) is not None:
            raise RefusedError(409, "set_up_already", "this house is set up; sign in")
        made = users.add(transaction, body.login, body.password, role="admin+reader", name=body.name,
                         organization=body.organization, identifier=body.identifier, now=now)  # fmt: skip
        forget_code(transaction)
        workspace.house.trail.add(transaction, made.login, "set up", made.login, now=now, role=made.role)
        return made

    made = sessions.write(work)
    return begin(workspace, request, response, made, "password", caller)


@router.post("/session")
def sign_in(body: SignIn, request: Request, response: Response, caller: Anyone, workspace: Here) -> Session:
    """Sign in with a password."""
    workspace.access.take(address(request))
    user = users.authenticate(workspace.house.store.sessions, body.login, body.password, workspace.now())
    if user is None:
        failed(workspace, body.login, "password")
        raise RefusedError(401, "wrong_password", _WRONG)
    return begin(workspace, request, response, user, "password", caller)


@router.delete("/session", status_code=204)
def sign_out(caller: Person, response: Response, workspace: Here) -> None:
    """Sign out of this browser."""
    assert caller.session is not None
    number = caller.session.number

    now = workspace.now()

    def work(transaction: Transaction) -> bool:
        web_sessions.end(transaction, number)
        workspace.house.trail.add(transaction, caller.login, "sign out", caller.login, now=now)
        return caller.login in web_sessions.present(transaction, now, workspace.settings.idle)

    if not workspace.house.store.sessions.write(work):
        leave_all(workspace.house, caller.login, now)
    response.delete_cookie(
        cookie_name(workspace.settings), path="/", secure=workspace.settings.secure, httponly=True, samesite="strict"
    )


@router.put("/session/password")
def change_password(
    body: PasswordChange, request: Request, response: Response, caller: Person, workspace: Here
) -> Session:
    """Change one's own password, which signs out everywhere else."""
    workspace.access.take(address(request))
    sessions, now = workspace.house.store.sessions, workspace.now()
    if users.authenticate(sessions, caller.login, body.current, now) is None:
        failed(workspace, caller.login, "password")
        raise RefusedError(401, "wrong_password", _WRONG)

    def work(transaction: Transaction) -> users.User:
        made = users.change(transaction, caller.login, now, password=body.password)
        web_sessions.end_all(transaction, caller.login)
        workspace.house.trail.add(transaction, caller.login, "change user", caller.login, now=now, password=True)
        return made

    return begin(workspace, request, response, sessions.write(work), "password", None)


def begin(
    workspace: Workspace, request: Request, response: Response, user: users.User, method: str, before: Caller | None
) -> Session:
    """Begin a session with a fresh secret in place of the one that the browser has, and give it to the browser."""
    sessions, now, settings = workspace.house.store.sessions, workspace.now(), workspace.settings

    def work(transaction: Transaction) -> str:
        if before is not None and before.session is not None:
            web_sessions.end(transaction, before.session.number)
        workspace.house.trail.add(transaction, user.login, "sign in", user.login, now=now, method=method)
        return web_sessions.begin(transaction, user.login, method, now, settings.lasts)

    secret = sessions.write(work)
    response.set_cookie(
        cookie_name(settings), secret, max_age=round(settings.lasts / timedelta(seconds=1)), path="/",
        secure=settings.secure, httponly=True, samesite="strict",
    )  # fmt: skip
    with sessions.reading() as transaction:
        found = web_sessions.find(transaction, secret, now, settings.idle)
    assert found is not None
    return described(workspace, Caller(found.user, session=found, csrf=csrf_of(secret)))


def described(workspace: Workspace, caller: Caller | None) -> Session:
    """The answer to who is here."""
    site, held = workspace.house.settings, None if caller is None else caller.session
    proved = None if held is None or held.proved_at is None else held.proved_at + workspace.settings.proof
    return Session(
        setup_needed=workspace.access.setup_needed(),
        user=None if caller is None else User.of(caller.user),
        csrf="" if caller is None else caller.csrf,
        expires_at=None if held is None else held.ends_at,
        version=__version__,
        model=_model(workspace),
        model_state="ready" if workspace.model is not None else workspace.loading or "none",
        oidc=None if workspace.provider is None else SessionOidc(name=workspace.provider.settings.name),
        site=SessionSite(
            second_signature=site.second_signature, destinations=[each.name for each in site.destinations],
            demo_available=workspace.demo_available,
        ),
        method="" if held is None else held.method,
        proved_until=proved,
    )  # fmt: skip


def failed(workspace: Workspace, login: str, method: str) -> None:
    """Write down that somebody failed to sign in. A login that nobody has may be a password in the wrong field."""
    house = workspace.house

    def work(transaction: Transaction) -> None:
        known = login if users.find(transaction, login) is not None else UNKNOWN
        house.trail.add(transaction, known, "sign in", known, outcome="denied", now=workspace.now(), method=method)

    house.store.sessions.write(work)


def address(request: Request) -> str:
    """The address that a request comes from."""
    return "" if request.client is None else request.client.host


def _model(workspace: Workspace) -> SessionModel | None:
    model = workspace.model
    if model is None:
        return None
    identity = model_identity(model.name)
    name = identity.name.rstrip("/\\").replace("\\", "/").rpartition("/")[2] or identity.name
    return SessionModel(name=name if model.spec is None else identity.name, revision=identity.revision,
                        caution=caution(model))  # fmt: skip


