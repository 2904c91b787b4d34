"""Serving an application: sockets, signals, and an end that lets answers in progress end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Protocol

import uvicorn

from aris.backends import NativeBackend
from aris.errors import ArisError
from aris.service.api import served_name
from aris.service.app import create_app
from aris.service.settings import Settings


class Server(uvicorn.Server):
    """uvicorn's server with our ending: a first signal lets answers end, a second one does not wait.

    Attributes:
        stopped_by: the signal that ended it; None if none did.
    """

    stopped_by: int | None = None

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        # uvicorn raises the signals again after its end, which would make a clean stop look like a killed process.
        handled = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.signal(number, self._stop) for number in handled}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _stop(self, number: int, _frame: FrameType | None) -> None:
        if self.should_exit:
            self.force_exit = True
        self.stopped_by = number
        self.should_exit = True


def serve(
    backend: NativeBackend, settings: Settings, started: Callable[[str, str], None] = lambda *_: None
) -> int | None:
    """Serve a model until SIGINT or SIGTERM. Call it in the main thread.

    Args:
        backend: the model.
        settings: where, for whom, and how much.
        started: is called once with the server's URL and the model's name there, when it can be reached.

    Returns:
        The signal that ended it.

    Raises:
        ArisError: the address cannot be listened at.
    """
    configure_logs()
    listening = listen(settings)
    server = Server(config(backend, settings))
    started(url_of(settings.host, listening), settings.model_name or served_name(backend))
    server.run(sockets=[listening])
    return server.stopped_by


def config(backend: NativeBackend, settings: Settings) -> uvicorn.Config:
    """How uvicorn runs the application."""
    return uvicorn.Config(
        create_app(backend, settings),
        log_config=None,  # ours
        access_log=False,  # its lines have whole paths; ours have none (see access_log)
        server_header=False,
        lifespan="on",
        ws="none",
        timeout_graceful_shutdown=max(1, round(settings.drain_s)),
        timeout_keep_alive=30,
    )


class Address(Protocol):
    """Where a server listens."""

    @property
    def host(self) -> str: ...

    @property
    def port(self) -> int: ...


def listen(settings: Address, name: str = "serve", option: str = "--port") -> socket.socket:
    """A socket that listens where the settings say.

    Args:
        name: of the server, for the error.
        option: that sets its port.

    Raises:
        ArisError: it cannot.
    """
    host = settings.host.strip("[]")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(2048)
    except OSError as error:
        reason = error.strerror or "the address cannot be used"
        where = f"{name}: {host} port {settings.port}"
        raise ArisError(f"{where}: {reason}; choose another with --host or {option}") from None
    return listening


def url_of(host: str, listening: socket.socket) -> str:
    """The URL of a listening socket, as a client on this machine or a name of it would use it."""
    name = f"[{host}]" if ":" in host and not host.startswith("[") else host
    return f"http://{name}:{listening.getsockname()[1]}"


class _OneLine(logging.Formatter):
    """A line for each record. A traceback may quote what was asked; the exception's type must do."""

    def format(self, record: logging.LogRecord) -> str:
        kind = record.exc_info[0] if record.exc_info else None
        record.exc_info = record.exc_text = None
        message = record.getMessage().rstrip()
        if "\n" in message:
            record.msg, record.args = message.rpartition("\n")[2].partition(":")[0], ()
        line = super().format(record).rstrip()
        return line if kind is None else f"{line}: {kind.__name__}"


def _not_a_cut(record: logging.LogRecord) -> bool:
    """Leave out that an answer was cancelled, which uvicorn takes for a defect of ours."""
    kind = record.exc_info[0] if record.exc_info else None
    cut = kind is not None and issubclass(kind, asyncio.CancelledError)
    return not cut and not record.getMessage().rstrip().endswith("CancelledError")


def configure_logs() -> None:
    """Logs go to stderr, one line each; uvicorn's only where something is wrong."""
    # A descriptor of its own: image decoders silence number 2 for as long as they work.
    stream = os.fdopen(os.dup(sys.stderr.fileno()), "w", buffering=1, errors="replace")
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_OneLine("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"))
    handler.addFilter(_not_a_cut)
    for name, level in (("aris", logging.INFO), ("uvicorn", logging.ERROR)):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.setLevel(level)
        logger.propagate = False
