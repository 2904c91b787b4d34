"""Access log, a line for each request, and the last resort for defects. No line holds what a caller sent."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from aris.service.failures import failure

if TYPE_CHECKING:
    from aris.service.metrics import Metrics

log = logging.getLogger("aris.access")


class AccessLog:
    """Outermost of all: logs and counts each request, and turns what nothing else caught into a plain 500."""

    def __init__(self, app: ASGIApp, metrics: Metrics | None = None) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        status = 0

        async def counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, counted)
        except Exception as error:
            response = failure(error, self._metrics).response()
            if not status:
                await response(scope, receive, counted)
        finally:
            # The path of the route, as in "/v1/models/{name}": a path itself may hold anything.
            route = getattr(scope.get("route"), "path_format", "other")
            if self._metrics is not None:
                self._metrics.responded(route, status)
            log.info("%s %s %d %.3f s", _method(scope), route, status, time.perf_counter() - started)


def _method(scope: Scope) -> str:
    method = str(scope["method"])
    return method if method in ("GET", "POST", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE") else "OTHER"
