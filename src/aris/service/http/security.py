"""Authentication of callers: by a key, or, where none is asked for, only callers that are no foreign web page.

A server on loopback without a key is still within reach of every web page that the user opens. A page may send
requests to 127.0.0.1 (then the browser says so in `Origin` and `Sec-Fetch-Site`), or its own name may be pointed to
127.0.0.1 after it was loaded (DNS rebinding; then the browser sends that name in `Host`). Both are refused. No
response carries CORS headers, so no page of another origin can read one.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from aris.service.errors import ApiError
from aris.service.settings import is_loopback

# Answered without a key: whether the server is alive says nothing of what it does.
OPEN_PATHS = ("/healthz",)
_HOST = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<name>[^:\[\]]+))(?::[0-9]+)?")


class Guard:
    """Refuses callers: 401 without the key, 403 for web pages of other origins where there is no key.

    Args:
        origins: of web pages that may call nevertheless, as "https://viewer.example".
        open_under: paths that, with all that lies under them, need no key: what is there checks its callers itself.
    """

    def __init__(
        self, app: ASGIApp, api_key: str | None, origins: Sequence[str] = (), open_under: Sequence[str] = ()
    ) -> None:
        self._app = app
        self._open_under = tuple(open_under)
        self._origins = frozenset(each.lower() for each in origins)
        # Digests have one length, so that comparing takes one time whatever was sent.
        self._digest = None if api_key is None else _digest(api_key.encode())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            try:
                await self.admit(scope)
            except ApiError as error:
                await error.response()(scope, receive, send)
                return
        elif scope["type"] == "websocket":
            return
        await self._app(scope, receive, send)

    async def admit(self, scope: Scope) -> None:
        """Let a request pass.

        Raises:
            ApiError: it may not.
        """
        if self.is_open(scope):
            return
        if self._digest is None:
            self.require_local(scope)
        elif not self.has_key(bearer(scope)):
            raise no_key()

    def is_open(self, scope: Scope) -> bool:
        """Return whether a request needs no key."""
        if any(scope["path"] == each or scope["path"].startswith(f"{each}/") for each in self._open_under):
            return True
        return self._digest is not None and scope["path"] in OPEN_PATHS and scope["method"] in ("GET", "HEAD")

    def has_key(self, sent: str) -> bool:
        """Return whether there is a key, and this is it."""
        return self._digest is not None and hmac.compare_digest(
            _digest(sent.encode("latin-1", "replace")), self._digest
        )

    def require_local(self, scope: Scope) -> None:
        """Refuse web pages of other origins.

        Raises:
            ApiError: one sent this, or the Host header names another machine.
        """
        _require_local(Headers(scope=scope), self._origins)


def bearer(scope: Scope) -> str:
    """Return the key that a request was sent with; "" for none."""
    scheme, _, key = Headers(scope=scope).get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""


def no_key() -> ApiError:
    """Return the refusal of a request without a key."""
    return ApiError(
        401,
        "the key is missing or wrong; send it as 'Authorization: Bearer KEY'",
        code="invalid_api_key",
        headers={"WWW-Authenticate": "Bearer"},
    )


def _require_local(headers: Headers, origins: frozenset[str]) -> None:
    host = headers.get("host", "")
    if not is_loopback(host_name(host)):
        raise _forbidden("the Host header names another machine")
    origin = headers.get("origin")
    if origin is not None and origin.lower() in origins:
        return
    if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        raise _forbidden("a web page of another origin sent this")
    if origin is not None and origin.lower() not in (f"http://{host}".lower(), f"https://{host}".lower()):
        raise _forbidden("a web page of another origin sent this")


def _forbidden(why: str) -> ApiError:
    return ApiError(
        403,
        f"{why}; without a key this server answers programs on this machine only",
        kind="permission_error",
        code="forbidden_origin",
    )


def host_name(host: str) -> str:
    """The host of a Host header, without its port; "" if it is malformed."""
    found = _HOST.fullmatch(host)
    return "" if found is None else found["six"] or found["name"]


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()
