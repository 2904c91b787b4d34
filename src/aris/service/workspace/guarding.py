"""Requests that are turned away before anything is read: foreign web pages, foreign host names, bodies too large.

A browser says which page a request comes from (`Origin`, `Sec-Fetch-Site`) and by which name it calls the server
(`Host`). A name that was pointed to this server after a page was loaded (DNS rebinding) is none of ours; an IP address
cannot be rebound.
"""

from __future__ import annotations

import ipaddress
import json

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from aris.service.http.json_size import JsonDepthError, JsonSize, JsonSizeError
from aris.service.http.security import host_name
from aris.service.settings import is_loopback
from aris.service.workspace.errors import RefusedError
from aris.service.workspace.settings import WorkspaceSettings

_SAFE = ("GET", "HEAD", "OPTIONS")
# Bodies of these are read by their routes, piece by piece, within limits of their own.
STREAMED = ("/api/uploads", "/api/records", "/api/literature/uploads", "/api/literature/retractions")
_BODY_BYTES, _JSON_VALUES, _JSON_DEPTH = 1 << 20, 50_000, 32


class WebGuard:
    """See the module.

    Args:
        settings: of the server.
    """

    def __init__(self, app: ASGIApp, settings: WorkspaceSettings) -> None:
        self._app = app
        self._names, self._origin = settings.names, settings.origin

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            self._check(scope)
            if scope["path"] in STREAMED or scope["method"] in _SAFE:
                await self._app(scope, receive, send)
                return
            body = await _whole(Headers(scope=scope), receive)
        except RefusedError as error:
            await error.response()(scope, receive, send)
            return
        except _LeftError:
            return
        await self._app(scope, _replay(body, receive), send)

    def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not self._is_ours(host_name(host).lower()):
            raise RefusedError(
                403, "forbidden_host", "this server is not called by this name; see docs/workspace_security.md"
            )
        if "\0" in scope["path"] or b"%00" in scope.get("query_string", b""):
            raise RefusedError(400, "bad_request", "a NUL is in no address")  # and in no text of PostgreSQL
        if not scope["path"].startswith("/api"):
            return
        unsafe = scope["method"] not in _SAFE
        site = headers.get("sec-fetch-site", "none")
        # A link from elsewhere may lead here; it is followed without the cookie, which is SameSite=Strict.
        followed = not unsafe and headers.get("sec-fetch-mode") == "navigate"
        if site not in ("none", "same-origin") and not followed:
            raise RefusedError(403, "forbidden_origin", "a web page of another origin sent this")
        origin = headers.get("origin")
        own = {f"http://{host}".lower(), f"https://{host}".lower(), self._origin}
        if origin is not None and origin.lower() not in own:
            raise RefusedError(403, "forbidden_origin", "a web page of another origin sent this")

    def _is_ours(self, name: str) -> bool:
        if is_loopback(name) or name in self._names:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True


class _LeftError(Exception):
    """The caller has left."""


async def _whole(headers: Headers, receive: Receive) -> bytes:
    """The body, if it is neither too large nor, as JSON, too large or too deep.

    Raises:
        RefusedError: 413 or 400.
    """
    declared = headers.get("content-length", "0")
    if declared.isdigit() and int(declared) > _BODY_BYTES:
        raise _too_large()
    is_json = headers.get("content-type", "").partition(";")[0].strip().lower() in ("application/json", "")
    size = JsonSize(_JSON_VALUES, _JSON_DEPTH)
    data = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _LeftError
        piece = message.get("body", b"")
        data += piece
        if len(data) > _BODY_BYTES:
            raise _too_large()
        if is_json:
            try:
                size.feed(piece)
            except (JsonSizeError, JsonDepthError) as error:
                raise RefusedError(400, "bad_request", f"the body is not read: {error}") from None
        if not message.get("more_body", False):
            break
    if is_json and data:
        _require_json(bytes(data))
    return bytes(data)


def _require_json(data: bytes) -> None:
    """Refuse what Python alone takes for JSON, as NaN, and lone surrogates, which no database keeps."""

    def no(_: str) -> float:
        raise ValueError

    try:
        json.dumps(json.loads(data, parse_constant=no), ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise RefusedError(400, "bad_request", "the body is not valid JSON") from None


def _too_large() -> RefusedError:
    return RefusedError(413, "too_large", f"the body is larger than {_BODY_BYTES:,} bytes")


def _replay(body: bytes, receive: Receive) -> Receive:
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
