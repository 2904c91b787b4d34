"""Connections of a server: how many there may be, and how long each may take for nothing.

Deadlines go by progress. Who sends headers, a body or takes a response at a least pace is served however long that is;
who does not holds a place that others want, and is cut off. Times are on a monotonic clock.
"""

from __future__ import annotations

import asyncio
import logging
import resource
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from aris.service.settings import ConnectionLimits

log = logging.getLogger("aris.connections")
# File descriptors that the process needs for all else.
_RESERVED = 128
_LINGER_S = 5.0


class _Pace:
    """Pace of progress: a growing count, looked at now and then, against a least rate."""

    def __init__(self, limits: ConnectionLimits) -> None:
        self._limits = limits
        self._since: float | None = None
        self._count = 0

    def rest(self) -> None:
        """Nothing is waited for."""
        self._since = None

    def keeps(self, count: int, now: float) -> bool:
        """Return whether `count` grew fast enough over the last whole span."""
        if self._since is None:
            self._since, self._count = now, count
        elif now - self._since >= self._limits.stall_s:
            if count - self._count < self._limits.bytes_per_s * (now - self._since):
                return False
            self._since, self._count = now, count
        return True


class _CountingTransport:
    """A transport that counts what was written to it; all else is the transport's own."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self.written = 0

    def write(self, data: bytes) -> None:
        self.written += len(data)
        self._transport.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class Connection(H11Protocol):
    """uvicorn's HTTP/1.1 connection, one of a table that watches it."""

    def __init__(self, *args: Any, table: Connections, **keywords: Any) -> None:
        super().__init__(*args, **keywords)
        self._table = table
        self._received = 0
        self._waits_since: float | None = time.monotonic()  # for headers, or for a next request
        self._begun: float | None = self._waits_since  # when the headers that are awaited began to be due
        self._answered: float | None = None
        self._reading, self._writing = _Pace(table.limits), _Pace(table.limits)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(_CountingTransport(transport))  # type: ignore[arg-type]
        self._table.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._table.discard(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._received += len(data)
        if self._waits_since is not None and self._begun is None:
            self._begun = time.monotonic()
        try:
            super().data_received(data)
        finally:
            if self.conn.their_state is not h11.IDLE:
                self._waits_since = self._begun = None
            elif self._waits_since is None and (self.cycle is None or self.cycle.response_complete):
                self._waits_since = time.monotonic()

    def on_response_complete(self) -> None:
        self._answered = time.monotonic()
        self._waits_since, self._begun = self._answered, None
        super().on_response_complete()
        # The next request may have come already.
        if self.cycle is not None and not self.cycle.response_complete:
            self._waits_since = self._answered = None

    @property
    def idle_since(self) -> float | None:
        """Since when nothing has been asked of it; None where something is."""
        busy = self.cycle is not None and not self.cycle.response_complete
        return None if busy or self.transport.get_write_buffer_size() else self._waits_since

    def end(self) -> None:
        """Cut it off, whatever waits to be sent."""
        self.transport.abort()

    def overdue(self, now: float) -> bool:
        """Return whether it has held its place too long without progress."""
        limits = self._table.limits
        if self._begun is not None and now - self._begun > limits.header_s:
            return True
        if self._begun is None and self.idle_since is not None and now - self.idle_since > limits.idle_s:
            return True
        buffered = self.transport.get_write_buffer_size()
        if buffered:
            if not self._writing.keeps(self.transport.written - buffered, now):  # type: ignore[attr-defined]
                return True
        else:
            self._writing.rest()
        cycle = self.cycle
        if cycle is None:
            return False
        if cycle.response_complete:
            # Who was answered before its body was there may send the rest for a moment, to read the answer.
            sending = self.conn.their_state is h11.SEND_BODY
            return sending and self._answered is not None and now - self._answered > _LINGER_S
        if cycle.more_body and not self.flow.read_paused and not cycle.waiting_for_100_continue:
            return not self._reading.keeps(self._received, now)
        self._reading.rest()
        return False


class Connections:
    """All connections of one server.

    Args:
        limits: of them.
    """

    def __init__(self, limits: ConnectionLimits | None = None) -> None:
        self.limits = limits or ConnectionLimits()
        self.most = self.limits.connections
        self._open: dict[Connection, None] = {}
        self._pending = 0  # accepted, and not yet handed over (TLS handshakes)
        self._sweeper: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._open) + self._pending

    def protocol(self, *args: Any, **keywords: Any) -> Connection:
        """A connection of this table, as uvicorn makes them."""
        return Connection(*args, table=self, **keywords)

    def fit_open_files(self) -> None:
        """Take as many connections as the process may have files open for; raises that limit as far as it may be."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = self.limits.connections + _RESERVED
        if soft != resource.RLIM_INFINITY and soft < wanted:
            raised = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
            try:
                resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
                soft = raised
            except (OSError, ValueError):
                pass  # as many as there are
            self.most = max(1, min(self.limits.connections, soft - _RESERVED))

    def add(self, connection: Connection) -> None:
        """A connection is there. One too many takes the place of an idle one, or is ended."""
        if len(self._open) >= self.most and not self.shed():
            log.warning("a connection refused: %d are open", len(self))
            connection.transport.write(REFUSAL)
            connection.transport.close()
        self._open[connection] = None
        self._sweep_later(asyncio.get_running_loop())

    def discard(self, connection: Connection) -> None:
        """A connection has ended."""
        self._open.pop(connection, None)

    def shed(self) -> bool:
        """End the connection that has been idle longest; False if none is idle."""
        idle = [each for each in self._open if each.idle_since is not None and not each.transport.is_closing()]
        if not idle:
            return False
        longest = min(idle, key=lambda each: each.idle_since or 0.0)
        longest.end()
        self.discard(longest)
        return True

    def pending(self, change: int) -> None:
        """So many more sockets are accepted and not yet handed over."""
        self._pending += change

    def sweep(self, now: float) -> int:
        """End the connections that are overdue; how many."""
        found = [each for each in self._open if each.overdue(now)]
        for each in found:
            each.end()
        if found:
            log.warning("%d connections ended: they did not go on", len(found))
        return len(found)

    def _sweep_later(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._sweeper is None:
            every = min(1.0, self.limits.header_s / 4, self.limits.stall_s / 4)
            self._sweeper = loop.call_later(every, self._swept, loop)

    def _swept(self, loop: asyncio.AbstractEventLoop) -> None:
        self._sweeper = None
        self.sweep(time.monotonic())
        if self._open:
            self._sweep_later(loop)


_TEXT = (
    b'{"error":{"message":"the server has too many connections; try again","type":"rate_limit_error","param":null,'
    b'"code":null}}'
)
REFUSAL = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(_TEXT), _TEXT)
)


class Acceptor:
    """Accepts connections at one socket: no more than there is room for, and handshakes beside each other.

    In place of asyncio's server, which accepts without a bound and logs each failure to, thousands of times a second.
    """

    def __init__(
        self, listening: Any, make: Callable[[], asyncio.Protocol], table: Connections, tls: ssl.SSLContext | None
    ) -> None:
        listening.setblocking(False)
        self._listening = listening
        self._make = make
        self._table = table
        self._tls = tls
        self._handshakes: set[asyncio.Task[None]] = set()
        self._task = asyncio.ensure_future(self._accept())

    def close(self) -> None:
        """Accept no more."""
        self._task.cancel()
        for each in self._handshakes:
            each.cancel()

    async def wait_closed(self) -> None:
        """Wait until it accepts no more."""
        await asyncio.gather(self._task, *self._handshakes, return_exceptions=True)

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, _ = await loop.sock_accept(self._listening)
            except OSError as error:  # no file descriptor or memory is left: nothing gets better at once
                log.error("connections cannot be accepted: %s", error.strerror or type(error).__name__)
                await asyncio.sleep(1.0)
                continue
            if len(self._table) >= self._table.most and not self._table.shed():
                log.warning("a connection refused: %d are open", len(self._table))
                if self._tls is None:
                    with suppress(OSError):  # it has left
                        accepted.send(REFUSAL)
                accepted.close()
                await asyncio.sleep(0)
                continue
            self._table.pending(1)
            task = loop.create_task(self._hand_over(accepted))
            self._handshakes.add(task)
            task.add_done_callback(self._handshakes.discard)

    async def _hand_over(self, accepted: Any) -> None:
        limits = self._table.limits
        times: dict[str, Any] = {}
        if self._tls is not None:
            most = limits.header_s
            times = {"ssl": self._tls, "ssl_handshake_timeout": most, "ssl_shutdown_timeout": most}
        try:
            await asyncio.get_running_loop().connect_accepted_socket(self._make, accepted, **times)
        except OSError:
            accepted.close()  # no handshake, or it has left
        except BaseException:
            accepted.close()
            raise
        finally:
            self._table.pending(-1)
