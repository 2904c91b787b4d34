"""A server that ends by signals: a first one lets answers in progress end, a second one does not wait."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

from aris.service.http.listening import ListeningServer


class Server(ListeningServer):
    """The listening server with our ending: a first signal lets answers end, a second one does not wait.

    Attributes:
        stopped_by: the signal that ended it; None if none did.
        on_stop: is called once, in the main thread, with the first signal; it must return at once.
    """

    stopped_by: int | None = None
    on_stop: Callable[[int], None] | None = None

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        # uvicorn raises the signals again after its end, which would make a clean stop look like a killed process.
        handled = (signal.SIGINT, signal.SIGTERM)
        if threading.current_thread() is not threading.main_thread():
            yield  # signals go to the main thread alone
            return
        before = {number: signal.signal(number, self._stop) for number in handled}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _stop(self, number: int, _frame: FrameType | None) -> None:
        if self.should_exit:
            self.force_exit = True
        elif self.on_stop is not None:
            self.on_stop(number)
        self.stopped_by = number
        self.should_exit = True
