"""Bodies: of a limited size, there in a limited time, and JSON."""

from __future__ import annotations

import asyncio

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from aris.service.errors import RETRY_AFTER_S, ApiError, busy, too_large
from aris.service.settings import Limits


class BodyLimit:
    """Reads a request's whole body before the application sees the request, or refuses it (408, 413, 415, 429)."""

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self._app = app
        self._limits = limits
        self._held = 0  # bytes of all bodies that are there or on their way

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD", "OPTIONS"):
            await self._app(scope, receive, send)
            return
        own = _Held(self)
        try:
            try:
                body = await self._read(Headers(scope=scope), receive, own)
            except ApiError as error:
                error.headers["Connection"] = "close"  # the rest of the body is not read
                await error.response()(scope, receive, send)
                return
            if body is not None:  # else the caller has left
                await self._app(scope, _replay(body, receive), send)
        finally:
            own.release()

    async def _read(self, headers: Headers, receive: Receive, own: _Held) -> bytes | None:
        limit = self._limits.body_bytes
        declared = headers.get("content-length", "0")
        if declared.isdigit() and int(declared) > limit:
            raise _over(limit)
        # A form or a text is what a web page can send elsewhere without asking; JSON is not.
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise ApiError(415, "the Content-Type must be application/json", param="Content-Type")
        if headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
            # RFC 9110 15.5.16. What it would unpack to is not known beforehand.
            raise ApiError(415, "the body is compressed; send it as it is", param="Content-Encoding")
        parts: list[bytes] = []
        try:
            async with asyncio.timeout(self._limits.body_s):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return None
                    part = message.get("body", b"")
                    own.add(len(part))
                    if own.size > limit:
                        raise _over(limit)
                    parts.append(part)
                    if not message.get("more_body", False):
                        return b"".join(parts)
        except TimeoutError:
            raise ApiError(408, f"the body was not there within {self._limits.body_s:g} seconds") from None


class _Held:
    """What one request's body takes of the room for all."""

    def __init__(self, of: BodyLimit) -> None:
        self._of = of
        self.size = 0

    def add(self, count: int) -> None:
        """Take more.

        Raises:
            ApiError: 429, it is not there; a body that is alone has it in any case.
        """
        self._of._held += count
        self.size += count
        if self.size < self._of._held > self._of._limits.bodies_bytes:
            raise busy(RETRY_AFTER_S)

    def release(self) -> None:
        """Give all back."""
        self._of._held -= self.size
        self.size = 0


def _over(limit: int) -> ApiError:
    return too_large(f"the body is larger than {limit:,} bytes")


def _replay(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the body once, then what the connection says (that the caller has left)."""
    given = False

    async def replay() -> Message:
        nonlocal given
        if not given:
            given = True
            return {"type": "http.request", "body": body, "more_body": False}
        return await receive()

    return replay
