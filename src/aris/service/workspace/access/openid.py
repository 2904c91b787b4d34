"""Sign-in at the site's OpenID provider, and signing in there anew as proof for a signature."""

from __future__ import annotations

import hmac
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse
from sqlalchemy.orm import Session as Transaction

from aris.errors import ArisError
from aris.flow.settings import OidcSettings
from aris.service.oidc.pending import LASTS_S, Pending
from aris.service.oidc.provider import ProviderError, SignedIn
from aris.service.workspace.access.session import address, begin, failed
from aris.service.workspace.context import Caller, Workspace, allow_everybody, here
from aris.service.workspace.errors import RefusedError, not_found
from aris.store.reading import users
from aris.store.reading.access import identities, web_sessions
from aris.store.reading.users import AuthenticationError

router = APIRouter(prefix="/api/session/oidc", tags=["session"])
Anyone = Annotated[Caller | None, allow_everybody()]
Here = Annotated[Workspace, here]
_PATH = "/api/session/oidc"
# Clocks of two machines differ a little.
_SKEW_S = 10.0
_REDIRECT: dict[int | str, dict[str, Any]] = {303: {"description": "to the provider, or back to a page"}}


@router.get("", status_code=303, response_class=Response, responses=_REDIRECT)
def start(
    request: Request, caller: Anyone, workspace: Here,
    next: Annotated[str, Query(max_length=2000)] = "/", prove: bool = False,
) -> Response:  # fmt: skip
    """Send the browser to the provider. With `prove` the user, who is signed in here, must sign in there anew."""
    workspace.access.take(address(request))
    provider = workspace.provider
    if provider is None:
        raise not_found("this house has no OpenID provider; sign in with a password")
    session = None if caller is None else caller.session
    if prove and (caller is None or session is None):
        raise RefusedError(401, "not_signed_in", "sign in first")
    pending = Pending(
        next=_own(next), redirect_uri=f"{_base(request, workspace)}{_PATH}/callback",
        session=session.number if prove and session is not None else None,
        login=caller.login if prove and caller is not None else "", began=workspace.now().timestamp(),
    )  # fmt: skip
    try:
        url = provider.authorization_url(
            pending.redirect_uri, state=pending.state, nonce=pending.nonce, verifier=pending.verifier, anew=prove
        )
    except ProviderError as error:
        return _problem(error.code, pending)
    response = RedirectResponse(url, 303)
    # Lax: the provider sends the browser back from its own site. It is worth nothing but to finish this sign-in.
    response.set_cookie(
        _cookie(workspace), workspace.pending.put(pending), max_age=LASTS_S, path=_PATH,
        secure=workspace.settings.secure, httponly=True, samesite="lax",
    )  # fmt: skip
    return response


@router.get("/callback", status_code=303, response_class=Response, responses=_REDIRECT)
def callback(
    request: Request, caller: Anyone, workspace: Here,
    code: Annotated[str, Query(max_length=8192)] = "", state: Annotated[str, Query(max_length=512)] = "",
    iss: Annotated[str, Query(max_length=512)] = "",
) -> Response:  # fmt: skip
    """Take the browser back from the provider, and sign its user in, or note that he signed in anew."""
    provider = workspace.provider
    if provider is None:
        raise not_found("this house has no OpenID provider; sign in with a password")
    pending = workspace.pending.take(request.cookies.get(_cookie(workspace), ""))
    login = "" if pending is None else pending.login
    try:
        if pending is None or not hmac.compare_digest(pending.state.encode(), state.encode("utf-8", "replace")):
            raise ProviderError("oidc_expired", "the sign-in took too long, or began in another browser")
        if iss and iss != provider.settings.issuer:
            raise ProviderError("oidc_failed", "the answer is another provider's")
        if not code:
            raise ProviderError("oidc_denied", "the provider did not sign the user in")
        person = provider.signed_in(code, pending.redirect_uri, nonce=pending.nonce, verifier=pending.verifier)
        user = _user(workspace, provider.settings, person)
        login = user.login
        response: Response = RedirectResponse(pending.next, 303)
        if pending.session is None:
            begin(workspace, request, response, user, "oidc", caller)
        else:
            _prove(workspace, pending, person, user)
    except ArisError as error:
        # Of a sign-in that nobody is known of nothing is written: anybody can ask for this address.
        if pending is not None and not (isinstance(error, ProviderError) and error.code == "oidc_expired"):
            failed(workspace, login, "oidc")
        known = isinstance(error, ProviderError)
        code_of = error.code if known else "oidc_unknown_user"  # type: ignore[attr-defined]
        response = _problem(code_of, pending)
    response.delete_cookie(_cookie(workspace), path=_PATH, secure=workspace.settings.secure, httponly=True)
    return response


def _user(workspace: Workspace, settings: OidcSettings, person: SignedIn) -> users.User:
    """The user that a person at the provider is, with the role that the provider's claims give, if they do.

    Raises:
        AuthenticationError: he is nobody here, or has no role.
    """
    house, now = workspace.house, workspace.now()

    def work(transaction: Transaction) -> users.User:
        login = identities.find(transaction, person.issuer, person.subject)
        fresh = login is None
        if login is None:
            login = _named(settings, person)
        user = users.require(transaction, login)
        if fresh:
            identities.link(transaction, login, person.issuer, person.subject, now)
            house.trail.add(transaction, login, "link identity", login, now=now, issuer=person.issuer[:200])
        role = _role(settings, person)
        if role is not None and role != user.role:
            user = users.change(transaction, login, now, role=role)
            house.trail.add(transaction, login, "change user", login, now=now, role=role, by="oidc")
        return user

    return house.store.sessions.write(work)


def _named(settings: OidcSettings, person: SignedIn) -> str:
    """The login that the site's claim names."""
    value = person.claims.get(settings.login_claim)
    if not isinstance(value, str) or not value:
        raise AuthenticationError("the provider does not name a login")
    if settings.login_claim == "email" and person.claims.get("email_verified") is not True:
        raise AuthenticationError("the provider has not verified the address")
    return value.lower()[:64]


def _role(settings: OidcSettings, person: SignedIn) -> str | None:
    """The role that the site's claim gives; None where the site maps none."""
    if not settings.roles:
        return None
    value = person.claims.get(settings.role_claim)
    held = value if isinstance(value, list) else [value]
    given = {part for each in held if isinstance(each, str) and each in settings.roles
             for part in settings.roles[each].split("+")}  # fmt: skip
    if not given:
        raise AuthenticationError("the provider gives the user no role in this house")
    if {"admin", "reader"} <= given:
        return "admin+reader"
    return next(each for each in ("admin", "reader", "viewer") if each in given)


def _prove(workspace: Workspace, pending: Pending, person: SignedIn, user: users.User) -> None:
    """Note in the session that its user has just signed in anew."""
    now = workspace.now()
    at = person.auth_time
    if at is None or at < pending.began - _SKEW_S or at > now.timestamp() + _SKEW_S:
        raise ProviderError("oidc_stale", "the provider did not ask the user to sign in anew")
    if user.login != pending.login or pending.session is None:
        raise ProviderError("oidc_other_user", "another user signed in at the provider")
    number = pending.session

    def work(transaction: Transaction) -> None:
        if not web_sessions.prove(transaction, number, user.login, now):
            raise ProviderError("oidc_expired", "the session has ended meanwhile")
        workspace.house.trail.add(transaction, user.login, "sign in anew", user.login, now=now, method="oidc")

    workspace.house.store.sessions.write(work)


def _problem(code: str, pending: Pending | None) -> Response:
    """Back to a page that says what was wrong: the one that asked for proof, or that of signing in."""
    if pending is not None and pending.session is not None:
        mark = "&" if "?" in pending.next else "?"
        return RedirectResponse(f"{pending.next}{mark}{urlencode({'problem': code})}", 303)
    asked = {"problem": code, **({"next": pending.next} if pending is not None and pending.next != "/" else {})}
    return RedirectResponse(f"/signin?{urlencode(asked)}", 303)


def _own(path: str) -> str:
    """The path, if it leads to a page of ours; else "/"."""
    strange = any(ord(each) < 0x21 or ord(each) > 0x7E or each == "\\" for each in path)
    if not path.startswith("/") or path.startswith(("//", "/api", "/signin", "/setup")) or strange or "#" in path:
        return "/"
    return path


def _base(request: Request, workspace: Workspace) -> str:
    # The Host was looked at by `guarding`: it is a name of this server.
    return workspace.settings.origin or f"{request.url.scheme}://{request.headers['host']}"


def _cookie(workspace: Workspace) -> str:
    return "__Secure-aris-oidc" if workspace.settings.secure else "aris-oidc"
