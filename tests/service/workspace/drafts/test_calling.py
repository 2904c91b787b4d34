"""Calls of the model by readers: bounded at once, and given up when the caller leaves."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from aris.service.workspace.drafts.calling import CallerLeftError, Calls
from aris.service.workspace.errors import RefusedError


class Caller:
    def __init__(self, left: bool = False) -> None:
        self.left = left

    async def is_disconnected(self) -> bool:
        return self.left


def test_a_caller_that_leaves_ends_the_work() -> None:
    told: list[str] = []
    ended = threading.Event()

    def work(left: threading.Event) -> str:
        told.append("begun")
        assert left.wait(60)
        ended.set()
        raise CallerLeftError

    leaving: Any = Caller(left=True)
    with pytest.raises(RefusedError) as raised:
        asyncio.run(Calls().run(leaving, work))
    assert raised.value.status == 499 and ended.wait(60) and told == ["begun"]


def test_only_so_many_are_computed_and_wait() -> None:
    go_on, begun = threading.Event(), threading.Semaphore(0)
    calls = Calls(at_once=1, waiting=1)
    running: list[int] = []
    most: list[int] = []

    def work(_: threading.Event) -> int:
        begun.release()
        running.append(1)
        most.append(len(running))
        assert go_on.wait(60)
        running.pop()
        return 7

    async def ask() -> None:
        here: Any = Caller()
        first = asyncio.create_task(calls.run(here, work))
        second = asyncio.create_task(calls.run(here, work))
        await asyncio.to_thread(begun.acquire)
        with pytest.raises(RefusedError) as raised:
            await calls.run(here, work)
        assert raised.value.status == 429
        go_on.set()
        assert await first == await second == 7
        assert await calls.run(here, lambda _: 8) == 8  # there is room again

    asyncio.run(asyncio.wait_for(ask(), 120))
    assert max(most) == 1
