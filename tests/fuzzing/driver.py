"""Feeds numbers to workers and notices what they cannot say themselves: that they crashed, or hang."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

WORKER = Path(__file__).with_name("worker.py")
MAX_SECONDS = 10  # of processor time for one reader; a hang on a busy machine is told from waiting by it
_PATIENCE = 600  # seconds of the clock
_RECYCLED = 4000  # inputs after which a worker is replaced, so that what leaks in libraries does not add up


def fuzz(numbers: Iterable[int], seed: int, script: Path = WORKER) -> Iterator[dict[str, Any]]:
    """The outcome of each input: "read" or "refused", with what was wrong: see `worker`."""
    worker: _Worker | None = None
    try:
        for count, number in enumerate(numbers):
            if worker is not None and count % _RECYCLED == 0:
                worker.stop()
                worker = None
            worker = worker or _Worker(seed, script)
            answer, end = worker.ask(number)
            if answer is None:
                worker.stop()
                worker = None
                answer = {"number": number, "outcome": end.split(":")[0], "wrong": [end]}
            elif answer["cpu"] > MAX_SECONDS:
                answer["wrong"].append(f"hang: {answer['cpu']:.0f} s of processor time")
            yield answer
    finally:
        if worker is not None:
            worker.stop()


class _Worker:
    def __init__(self, seed: int, script: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(script), str(seed)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        answer, end = self._answer()
        if answer is None:
            self._process.kill()
            raise RuntimeError(f"the worker did not start ({end}): {self._process.communicate()[1][-2000:]}")

    def ask(self, number: int) -> tuple[dict[str, Any] | None, str]:
        """The worker's answer; None, and what happened to it, if there was none."""
        stdin: IO[str] = self._process.stdin  # type: ignore[assignment]
        try:
            stdin.write(f"{number}\n")
            stdin.flush()
        except BrokenPipeError:
            pass
        return self._answer()

    def _answer(self) -> tuple[dict[str, Any] | None, str]:
        stdout: IO[str] = self._process.stdout  # type: ignore[assignment]
        start, used = time.monotonic(), self._cpu()
        with selectors.DefaultSelector() as selector:
            selector.register(stdout, selectors.EVENT_READ)
            while not selector.select(1):
                if self._cpu() - used > 8 * MAX_SECONDS or time.monotonic() - start > _PATIENCE:
                    return None, f"hang: no answer after {self._cpu() - used:.0f} s of processor time"
        line = stdout.readline()
        if line:
            return json.loads(line), ""
        code = self._process.wait()
        name = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return None, f"crash: {name}"

    def _cpu(self) -> float:
        """Seconds that the worker, without children that still run, has computed."""
        try:
            fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return 0.0
        return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        self._process.kill()
        self._process.communicate()
