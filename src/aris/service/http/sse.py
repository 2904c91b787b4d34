"""Server-sent events: how a stream is written, and what happens when its reader leaves."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable

from fastapi.responses import StreamingResponse
from pydantic import BaseModel
from starlette.types import Receive, Scope, Send

DONE = b"data: [DONE]\n\n"


def event(value: BaseModel) -> bytes:
    """Write an event; fields that were not set are left out."""
    return b"data: " + value.model_dump_json(exclude_unset=True).encode() + b"\n\n"


def error_event(body: object) -> bytes:
    """An error that came after the stream had begun, when its status could not tell any more."""
    return b"data: " + json.dumps(body).encode() + b"\n\n"


class EventStream(StreamingResponse):
    """A stream of events; `on_end` is called however it ends, also when the caller has left."""

    media_type = "text/event-stream"

    def __init__(self, content: AsyncIterator[bytes], on_end: Callable[[], None]) -> None:
        # Proxies must not keep events back (nginx' X-Accel-Buffering).
        super().__init__(content, headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"})
        self._on_end = on_end

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._on_end()
