"""A model that is loaded while the rest of the process works already."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from aris.errors import ArisError
from aris.faults import described

if TYPE_CHECKING:
    from aris.backends import NativeBackend

log = logging.getLogger("aris.serve")
ModelState = Literal["none", "loading", "ready", "failed"]


class LoadingModel:
    """Loads a model in a thread.

    Attributes:
        name: as it was asked for.
        state: "none" where there is none to load, "loading", "ready" or "failed".
        backend: the model, once it is loaded.
        problem: why it failed, for a person; "" otherwise.

    Args:
        load: gives the model, in the thread; None for none.
    """

    def __init__(self, name: str, load: Callable[[], NativeBackend] | None) -> None:
        self.name = name
        self._load = load
        self.state: ModelState = "none" if load is None else "loading"
        self.backend: NativeBackend | None = None
        self.problem = ""
        self._ready: list[Callable[[NativeBackend], None]] = []
        self._not_ready: list[Callable[[str], None]] = []
        self._ended = threading.Event()

    def when_ready(self, do: Callable[[NativeBackend], None]) -> None:
        """Have something done with the model, in its thread, in the order of these calls; before `start`."""
        self._ready.append(do)

    def when_failed(self, do: Callable[[str], None]) -> None:
        """Have the reason told where it cannot be loaded; before `start`."""
        self._not_ready.append(do)

    def start(self) -> None:
        """Begin to load it."""
        if self._load is None:
            self._ended.set()
        else:
            threading.Thread(target=self._run, args=(self._load,), name="aris-model", daemon=True).start()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until it is ready, or has failed. Whether it is so in time."""
        return self._ended.wait(timeout_s)

    def _run(self, load: Callable[[], NativeBackend]) -> None:
        try:
            self.backend = load()
            for do in self._ready:
                do(self.backend)
            self.state = "ready"
        except ArisError as error:
            self._failed(str(error))
        except Exception as error:
            self._failed(f"a defect ({described(error)})")
        finally:
            self._ended.set()

    def _failed(self, why: str) -> None:
        self.backend, self.problem, self.state = None, why, "failed"
        for do in self._not_ready:
            do(why)
        log.error("the model cannot be loaded: %s; the workspace goes on without it", why)
