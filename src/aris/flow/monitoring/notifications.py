"""Notifications of a FHIR server (R4 Subscription, rest-hook): each asks for a reading, and no more.

What a notification holds is not read: who learned the secrets could otherwise put an alarm into a record, or keep one
out of it. The record is always read from the server itself.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass
from typing import Any

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
_BODY = 4 << 20  # bytes of a notification: a resource at most
_BODY_S = 20.0
_A_MINUTE = 600  # notifications; more are told to come later, and the poll makes good what then does not come
_LONG_PATH = 2048


@dataclass(frozen=True)
class Secrets:
    """Secrets of a server's notifications: a step of the path, and a bearer token."""

    path: str
    token: str

    @classmethod
    def new(cls) -> Secrets:
        """Fresh ones, of 192 bits each."""
        return cls(secrets.token_urlsafe(24), secrets.token_urlsafe(24))


class Bell:
    """A wish for a reading: rung by notifications, heard by the watch; any number of wishes are one reading.

    Args:
        least_s: seconds between two readings at least.
    """

    def __init__(self, least_s: float = 1.0) -> None:
        self._least_s = least_s
        self._rung = threading.Event()
        self._heard = float("-inf")

    def ring(self) -> None:
        """Ask for a reading."""
        self._rung.set()

    def wait(self, seconds: float, stop: threading.Event) -> bool:
        """Wait until it is rung, for so long at most; tell whether it was.

        Args:
            seconds: to wait.
            stop: ends the wait within half a second.
        """
        until = time.monotonic() + seconds
        while not stop.is_set() and (left := until - time.monotonic()) > 0:
            if self._rung.wait(min(left, 0.5)):
                # A panel of twenty results is twenty notifications, and one reading.
                stop.wait(max(0.0, self._heard + self._least_s - time.monotonic()))
                self._rung.clear()  # what rings from now on may not be in the reading that begins now
                self._heard = time.monotonic()
                return True
        return False


class Notifications:
    """An ASGI application that takes notifications; it can stand alone or be mounted in another.

    A notification is a POST or PUT (with a resource, to ADDRESS/TYPE/ID; HAPI also sends DELETE) under a path that has
    the secret step, with the token in `Authorization`. Anything else is 404, whatever it is. Its body is passed over,
    4 MiB at most; more than 600 a minute are answered 429.

    Args:
        expected: the secrets.
        ring: is called for each notification.
    """

    def __init__(self, expected: Secrets, ring: Callable[[], object]) -> None:
        self._secrets = expected
        self._ring = ring
        self._left, self._filled = float(_A_MINUTE), time.monotonic()
        self.taken = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a call."""
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["type"] == "http":
            await self._answer(scope, receive, send)
        else:
            await send({"type": "websocket.close"})

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] not in ("POST", "PUT", "DELETE") or not self._known(scope):
            await _respond(send, 404)
            return
        if not self._allowed():
            await _respond(send, 429, [(b"retry-after", b"60")])
            return
        self.taken += 1
        try:
            passed = await _passed_over(receive)
        finally:
            self._ring()  # also where its body was never whole
        await _respond(send, 200 if passed else 413)

    def _known(self, scope: Scope) -> bool:
        path, headers = scope["path"], dict(scope["headers"])
        if len(path) > _LONG_PATH:
            return False
        kind, _, token = headers.get(b"authorization", b"").partition(b" ")
        right = hmac.compare_digest(token.strip(), self._secrets.token.encode()) and kind.lower() == b"bearer"
        steps: Iterable[str] = path.split("/")[:12]
        found = False
        for step in steps:
            found |= hmac.compare_digest(step.encode(), self._secrets.path.encode())
        return right and found

    def _allowed(self) -> bool:
        now = time.monotonic()
        self._left = min(float(_A_MINUTE), self._left + (now - self._filled) * _A_MINUTE / 60.0)
        self._filled = now
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True


async def _passed_over(receive: Receive) -> bool:
    """Take a body and let it go; tell whether it ended in time and within its bound."""
    size = 0
    try:
        async with asyncio.timeout(_BODY_S):
            while True:
                message = await receive()
                size += len(message.get("body", b""))
                if size > _BODY:
                    return False
                if message["type"] == "http.disconnect" or not message.get("more_body", False):
                    return True
    except TimeoutError:
        return False


async def _respond(send: Send, status: int, headers: list[tuple[bytes, bytes]] | None = None) -> None:
    await send({"type": "http.response.start", "status": status,
                "headers": [(b"content-length", b"0"), *(headers or [])]})  # fmt: skip
    await send({"type": "http.response.body", "body": b""})


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
