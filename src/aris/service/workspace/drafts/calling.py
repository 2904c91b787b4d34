"""Calls of the model by readers: bounded at once, and given up when the caller leaves."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from fastapi import Request

from aris.service.workspace.context import Workspace
from aris.service.workspace.errors import RefusedError
from aris.tasks.calibration.answers import Calibration

T = TypeVar("T")
# Questions, sections and maps of readers that are computed at once, and that wait.
_AT_ONCE, _WAITING = 2, 16
_LOOK_S = 0.25


class CallerLeftError(Exception):
    """Nobody waits for the answer any longer."""


class Calls:
    """Calls of one process. Threads and event loops share it."""

    def __init__(self, at_once: int = _AT_ONCE, waiting: int = _WAITING) -> None:
        self._room = threading.BoundedSemaphore(at_once)
        self._most = at_once + waiting
        self._count = 0
        self._lock = threading.Lock()
        # Not asyncio's own few: sign-ins and tokens are looked up in those, and would wait behind the model.
        self._threads = ThreadPoolExecutor(self._most, "calls")

    async def run(self, request: Request, work: Callable[[threading.Event], T]) -> T:
        """Do work in a thread, in its turn.

        Args:
            work: is given what is set when the caller has left; it then raises `CallerLeftError`, or just ends.

        Raises:
            RefusedError: 429, as many wait as may; 499, the caller has left.
        """
        with self._lock:
            if self._count >= self._most:
                raise RefusedError(429, "busy", "the model is busy; try again in a moment", {"Retry-After": "2"})
            self._count += 1
        left = threading.Event()
        task = asyncio.get_running_loop().run_in_executor(self._threads, self._in_turn, work, left)
        # What nobody waits for any longer may end as it likes.
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        try:
            while True:
                done, _ = await asyncio.wait({task}, timeout=_LOOK_S)
                if done:
                    return task.result()
                if await request.is_disconnected():
                    raise CallerLeftError
        except CallerLeftError:
            raise RefusedError(499, "left", "the caller has left") from None
        finally:
            left.set()

    def _in_turn(self, work: Callable[[threading.Event], T], left: threading.Event) -> T:
        try:
            while not self._room.acquire(timeout=_LOOK_S):
                if left.is_set():
                    raise CallerLeftError
            try:
                if left.is_set():
                    raise CallerLeftError
                return work(left)
            finally:
                self._room.release()
        finally:
            with self._lock:
                self._count -= 1


CALLS = Calls()


def site_calibration(workspace: Workspace) -> Calibration | None:
    """The site's own calibration of findings, as its drafts are made with; None where there is none."""
    found: Calibration | None = getattr(getattr(workspace.drafts, "drafter", None), "calibration", None)
    return found
