"""The context of every route: the workspace, the caller, and the rule of who may call."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from fastapi import Depends, FastAPI, Request
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute

from aris.service.oidc.pending import PendingSignIns
from aris.service.workspace.errors import RefusedError
from aris.service.workspace.settings import WorkspaceSettings
from aris.store.reading.access import tokens, web_sessions
from aris.store.reading.users import User

if TYPE_CHECKING:
    from aris.backends import NativeBackend
    from aris.flow.house import House
    from aris.service.oidc.provider import Provider
    from aris.service.workspace.attempts import Attempts

# What answers for all paths under /api that are none.
NO_ROUTE = ("/api", "/api/{rest:path}")
SINGLE_ROLES = ("admin", "reader", "viewer")
_SAFE = ("GET", "HEAD", "OPTIONS")


@dataclass
class Workspace:
    """A workspace, at `request.app.state.workspace`.

    Attributes:
        house: the store, its trail and the site's settings.
        settings: of the server.
        access: limits of sign-ins, and the code of the first set-up.
        provider: the OpenID provider, if the site has one.
        model: that drafts; None: the workspace still reads and signs.
        loading: of a model that is not there yet: "loading", or "failed"; "" where none is expected.
        drafts: live drafts of this process; None where there are none.
        demo_available: whether sample studies can be had.
        live: live events (`studies.events.Live`), once somebody has asked for them.
        images: readers of its images (`images.routes.ImageRoom`), once somebody has asked for them.
        services: what else runs, as /api/site tells it: name, address, state.
        clock: tells the time.
        libraries: of papers (`literature.libraries.OpenLibraries`), once somebody has asked for them.
        asks: whether this process serves the patients' page of intake, at /intake.
    """

    house: House
    settings: WorkspaceSettings
    access: Attempts
    provider: Provider | None = None
    model: NativeBackend | None = None
    loading: str = ""
    drafts: Any = None
    demo_available: bool = False
    live: Any = None
    images: Any = None
    services: list[dict[str, str]] = field(default_factory=list)
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    libraries: Any = None
    asks: bool = False

    def now(self) -> datetime:
        """The time."""
        return self.clock()

    @cached_property
    def pending(self) -> PendingSignIns:
        """Sign-ins that are under way at the provider."""
        return PendingSignIns(self.house.store.sessions, self.now)

    @property
    def setup_code(self) -> str | None:
        """The one-time code of the first set-up; None once there is a user."""
        return self.access.setup_code()


@dataclass(frozen=True)
class Caller:
    """Somebody who is signed in, or a program that acts for a user.

    Attributes:
        session: the web session; None for a program.
        token: the API token's number; None for a person.
        scopes: of a token; a person has all.
        csrf: the session's token against forged requests; "" for a program.
    """

    user: User
    session: web_sessions.WebSession | None = None
    token: int | None = None
    scopes: frozenset[str] = frozenset(tokens.SCOPES)
    csrf: str = ""

    @property
    def login(self) -> str:
        return self.user.login

    @property
    def name(self) -> str:
        return self.user.name

    @property
    def role(self) -> str:
        return self.user.role

    @property
    def roles(self) -> frozenset[str]:
        """The single roles: of "admin+reader" both."""
        return self.user.roles


@dataclass(frozen=True)
class Rule:
    """Rule of a route, and the dependency that holds it.

    Attributes:
        roles: one of which the caller must have; of none a route is open to everybody.
        scope: that a token must have; None: tokens never may, only persons.
    """

    roles: tuple[str, ...]
    scope: str | None

    @property
    def open(self) -> bool:
        """Return whether everybody may call."""
        return not self.roles

    def __call__(self, request: Request) -> Caller | None:
        """The caller, if the rule lets him.

        Raises:
            RefusedError: 401 nobody is signed in, 403 not for this role or token, or forged.
        """
        caller = identified(request)
        if self.open:
            return caller
        if caller is None:
            raise RefusedError(401, "not_signed_in", "sign in first")
        if caller.token is not None:
            if self.scope is None:
                raise RefusedError(403, "person_needed", "a token cannot do this; sign in as a person")
            if self.scope not in caller.scopes:
                raise RefusedError(403, "scope", f"the token has no scope {self.scope}")
        elif request.method not in _SAFE:
            require_csrf(request, caller)
        if not caller.roles.intersection(self.roles):
            raise RefusedError(403, "forbidden", f"only the role {' or '.join(self.roles)} may do this")
        return caller


def allow(*roles: str, scope: str | None) -> Any:
    """Declare who may call a route: `caller: Annotated[Caller, allow("reader", scope="write")]`.

    Args:
        roles: of which one is enough: "admin", "reader", "viewer".
        scope: that an API token needs; None: no token may, as for signatures.
    """
    if not roles or set(roles) - set(SINGLE_ROLES) or scope not in (None, *tokens.SCOPES):
        raise ValueError(f"no such rule: {roles}, {scope}")
    return Depends(Rule(roles, scope))


def allow_everybody() -> Any:
    """Declare that a route is open: `caller: Annotated[Caller | None, allow_everybody()]`; the caller may be nobody."""
    return Depends(Rule((), None))


def workspace_of(request: Request) -> Workspace:
    """The workspace of a request; as a parameter `workspace: Annotated[Workspace, here]`."""
    found: Workspace = request.app.state.workspace
    return found


async def _here(request: Request) -> Workspace:
    """The same, in the event loop: a dependency that does not wait needs no thread of its own."""
    return workspace_of(request)


here = Depends(_here)


def rules(app: FastAPI) -> Iterator[tuple[APIRoute, list[Rule]]]:
    """Every route under /api with its rules."""
    for route in _routes(app.routes):
        if route.path.startswith("/api") and route.path not in NO_ROUTE:
            calls = [each.call for each in route.dependant.dependencies]
            yield route, [each for each in calls if isinstance(each, Rule)]


def require_rules(app: FastAPI) -> None:
    """Raise `RuntimeError` where a route under /api has not exactly one rule: a server without it does not start."""
    wrong = [f"{'/'.join(sorted(route.methods or ()))} {route.path}" for route, held in rules(app) if len(held) != 1]
    if wrong:
        raise RuntimeError(f"routes without exactly one rule (see context.allow): {', '.join(wrong)}")


def _routes(routes: Iterable[BaseRoute]) -> Iterator[APIRoute]:
    for route in routes:
        if isinstance(route, APIRoute):
            yield route
        elif (inner := getattr(route, "original_router", None)) is not None:  # FastAPI keeps included routers whole
            yield from _routes(inner.routes)


def cookie_name(settings: WorkspaceSettings) -> str:
    """The session cookie's name; under TLS one that no other host or path can set."""
    return "__Host-aris" if settings.secure else "aris"


def csrf_of(secret: str) -> str:
    """Return the token against forged requests of a session's secret, from which the secret does not follow."""
    return hmac.new(secret.encode(), b"aris csrf", "sha256").hexdigest()


def require_csrf(request: Request, caller: Caller) -> None:
    """Raise `RefusedError` unless the page that asks knows the session's token."""
    sent = request.headers.get("x-csrf-token", "")
    if not caller.csrf or not hmac.compare_digest(sent.encode("latin-1", "replace"), caller.csrf.encode()):
        raise RefusedError(403, "csrf", "the request has not the session's X-CSRF-Token; load the page again")


def identified(request: Request) -> Caller | None:
    """The caller of a request by its token or its cookie; None if it names nobody.

    Raises:
        RefusedError: 401, it sends a token that does not hold.
    """
    workspace = workspace_of(request)
    sessions, now = workspace.house.store.sessions, workspace.now()
    if "authorization" in request.headers:
        scheme, _, key = request.headers["authorization"].partition(" ")
        token = None
        if scheme.lower() == "bearer" and key.strip().startswith(tokens.PREFIX):
            with sessions.reading() as session:
                token = tokens.find(session, key.strip(), now)
        if token is None:
            headers = {"WWW-Authenticate": "Bearer"}
            raise RefusedError(401, "invalid_token", "the token is wrong, revoked or over", headers)
        number = token.number
        if token.due:
            sessions.write(lambda session: tokens.touch(session, number, now))
        return Caller(token.user, token=number, scopes=token.scopes)
    secret = request.cookies.get(cookie_name(workspace.settings), "")
    if not secret:
        return None
    with sessions.reading() as session:
        found = web_sessions.find(session, secret, now, workspace.settings.idle)
    if found is None:
        return None
    if found.due:
        sessions.write(lambda session: web_sessions.touch(session, found.number, now))
    return Caller(found.user, session=found, csrf=csrf_of(secret))
