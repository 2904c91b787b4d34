"""Bodies: read when it is known who asks and for what, of a limited size, at a least pace, and of limited JSON."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from typing import NoReturn, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.datastructures import Headers
from starlette.requests import Request

from aris.service.errors import RETRY_AFTER_S, ApiError, bad_request, busy, from_validation, too_large
from aris.service.http.json_size import JsonDepthError, JsonSize, JsonSizeError
from aris.service.settings import Limits

Body = TypeVar("Body", bound=BaseModel)
_PARSERS = 2
_SMALL = 1 << 16  # bytes: about a millisecond


class ClientLeftError(Exception):
    """The caller has closed the connection; nobody reads a response."""


class Bodies:
    """Reads the bodies of a server's requests, and refuses those that are too much (408, 413, 415, 429)."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._held = 0  # bytes of all bodies that are there or on their way
        self._parsers = ThreadPoolExecutor(_PARSERS, thread_name_prefix="aris-parse")

    @asynccontextmanager
    async def read(self, request: Request, kind: type[Body]) -> AsyncIterator[Body]:
        """The body of a request; what it takes of the room for all is given back at the end of the block.

        Raises:
            ApiError: it is refused, or malformed (400).
            ClientLeftError: the caller has left.
        """
        own = _Held(self)
        try:
            # Where it is refused, what is still to come is passed over for a moment (see `connections`): a connection
            # that is closed with bytes unread is reset, and its caller never reads why.
            data = await self._read(request, own)
            work = partial(_parsed, data, kind)
            # A small one is parsed sooner than two threads have taken turns.
            small = len(data) <= _SMALL
            del data
            body = work() if small else await asyncio.get_running_loop().run_in_executor(self._parsers, work)
            del work
            yield body
        finally:
            own.release()

    def close(self) -> None:
        """End the threads."""
        self._parsers.shutdown(cancel_futures=True)

    async def _read(self, request: Request, own: _Held) -> bytearray:
        limits = self._limits
        _require_json(request.headers)
        declared = request.headers.get("content-length", "0")
        if declared.isdigit() and int(declared) > limits.body_bytes:
            raise _over(limits.body_bytes)
        size = JsonSize(limits.json_values, limits.json_depth)
        data = bytearray()
        began = time.monotonic()
        while True:
            # A caller has some seconds and, for what has come, as many more as it needs at the least pace.
            allowed = limits.body_s + len(data) / limits.body_bytes_per_s
            try:
                async with asyncio.timeout(max(0.0, began + allowed - time.monotonic())):
                    message = await request.receive()
            except TimeoutError:
                raise ApiError(
                    408, f"the body came slower than {limits.body_bytes_per_s:,} bytes a second; send it faster"
                ) from None
            if message["type"] == "http.disconnect":
                raise ClientLeftError
            piece = message.get("body", b"")
            own.add(len(piece))
            if own.size > limits.body_bytes:
                raise _over(limits.body_bytes)
            try:
                size.feed(piece)
            except JsonSizeError as error:
                raise too_large(f"the body is too large as JSON: {error}") from None
            except JsonDepthError as error:
                raise bad_request(f"the body is not read: {error}") from None
            data += piece
            if not message.get("more_body", False):
                return data


def _parsed(data: bytearray, kind: type[Body]) -> Body:
    """A body as its model.

    Raises:
        ApiError: it is no JSON, or not what it should be.
    """
    try:
        value = json.loads(data, parse_constant=_not_json)
    except json.JSONDecodeError as error:
        # Its message alone: the exception holds the document.
        raise bad_request(f"the body is not valid JSON: {error.msg}") from None
    except (ValueError, RecursionError):
        raise bad_request("the body is not valid JSON: it cannot be parsed") from None
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        raise from_validation(found) from None
    except RecursionError:
        raise bad_request("the body is nested too deep") from None


def _not_json(_: str) -> NoReturn:
    raise ValueError  # NaN and infinities are no JSON


def _require_json(headers: Headers) -> None:
    # A form or a text is what a web page can send elsewhere without asking; JSON is not.
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise ApiError(415, "the Content-Type must be application/json", param="Content-Type")
    if headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        # RFC 9110 15.5.16. What it would unpack to is not known beforehand.
        raise ApiError(415, "the body is compressed; send it as it is", param="Content-Encoding")


class _Held:
    """Share of the memory for all bodies that one request's body takes."""

    def __init__(self, of: Bodies) -> None:
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
