"""A watch that a FHIR server wakes: the listener, the Subscriptions, and the poll behind them."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from ssl import SSLContext

import uvicorn

from aris.errors import ArisError, RecordError
from aris.flow.monitoring.notifications import Bell, Notifications, Secrets
from aris.flow.monitoring.subscriptions import Subscriptions

# After a reading that a notification asked for, another: servers notify before their own search finds the resource.
_ECHO_S = 10.0
# Between two looks at the Subscriptions.
_LOOK_S = 300.0
# Between two readings where no Subscription is active.
POLL_S = 30.0
_CONNECTIONS = 64


class Listener:
    """An HTTP server in a thread of its own, for notifications alone.

    Args:
        host, port: where it listens; port 0 takes a free one.
        expected: the secrets.
        ring: is called for each notification.
        tls: the certificate, for https.

    Raises:
        ArisError: it cannot listen there.
    """

    def __init__(
        self, host: str, port: int, expected: Secrets, ring: Callable[[], object], tls: SSLContext | None = None
    ) -> None:
        self.notifications = Notifications(expected, ring)
        config = uvicorn.Config(
            self.notifications, log_config=None, access_log=False, server_header=False, limit_concurrency=_CONNECTIONS,
            timeout_keep_alive=30, timeout_graceful_shutdown=2, lifespan="off",
        )  # fmt: skip
        config.load()
        if tls is not None:
            config.ssl = tls
        try:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            self._socket = socket.create_server((host, port), family=family)
        except OSError as error:
            raise ArisError(
                f"{host}:{port}: it cannot be listened at ({error.strerror or error}); give another --listen"
            ) from None
        self.port = int(self._socket.getsockname()[1])
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, args=([self._socket],), name="aris-notifications", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._server.should_exit = True
        self._thread.join(10.0)
        self._socket.close()


class Subscribed:
    """Wakes a watch: notifications where they come, and a poll that makes good those that do not.

    Args:
        subscriptions: at the server.
        every_s: seconds between two readings of the poll; 30 at most while no Subscription is active.
        least_s: seconds between two readings at least.
    """

    def __init__(self, subscriptions: Subscriptions, every_s: float, least_s: float = 1.0) -> None:
        self.subscriptions = subscriptions
        self.bell = Bell(least_s)
        self._every_s = every_s
        self._next_look = float("-inf")
        self._echo = False
        self._said: set[str] = set()

    def look(self, trouble: Callable[[ArisError], None]) -> None:
        """See to the Subscriptions where it is time to; each trouble is told once while it lasts."""
        if time.monotonic() < self._next_look:
            return
        try:
            problems = self.subscriptions.ensure()
            settled = self.subscriptions.active or bool(problems)
        except RecordError as error:
            problems, settled = [str(error)], False
        self._next_look = time.monotonic() + (_LOOK_S if settled else POLL_S)
        for each in problems:
            if each not in self._said:
                trouble(RecordError(each))
        self._said = set(problems)

    def wait(self, stop: threading.Event) -> None:
        """Wait for a notification, or until the poll is due."""
        seconds = self._every_s if self.subscriptions.active else min(self._every_s, POLL_S)
        if self._echo:
            seconds = min(seconds, _ECHO_S)
        self._echo = self.bell.wait(seconds, stop)

    def remove(self) -> int:
        """Take the Subscriptions away; return how many. Errors as `Subscriptions.remove`."""
        return self.subscriptions.remove()
