"""MLLP (HL7's Minimal Lower Layer Protocol): one that listens, and one that sends and waits for the acknowledgement."""

from __future__ import annotations

import logging
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from aris.errors import ArisError, ExchangeError
from aris.exchange.orders.hl7_text import Hl7Error, acknowledgement, parse, segments, value

log = logging.getLogger("aris.hl7")
START, END = b"\x0b", b"\x1c\r"
_MOST_BYTES = 4 << 20
_IDLE_S, _TIMEOUT_S = 300.0, 30.0
_CONNECTIONS = 32
Taken = Callable[[bytes], None]


class MllpServer:
    """Listens for messages. Each is acknowledged after it was dealt with, never before.

    Args:
        taken: deals with a message; raises `Hl7Error` where it is wrong (answered AE), `ArisError` where it cannot be
            done now (AR: the sender tries again).
    """

    def __init__(self, taken: Taken, host: str = "127.0.0.1", port: int = 2575) -> None:
        self._taken, self._address = taken, (host, port)
        self._server: _Server | None = None

    @property
    def port(self) -> int:
        """The port that it listens at."""
        assert self._server is not None
        return int(self._server.server_address[1])

    def __enter__(self) -> MllpServer:
        """Listen, in threads.

        Raises:
            ExchangeError: the address cannot be used.
        """
        try:
            self._server = _Server(self._address, self._taken)
        except OSError as error:
            where = f"{self._address[0]} port {self._address[1]}"
            raise ExchangeError(f"HL7: {where}: {error.strerror or 'cannot be used'}; choose another") from None
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.2}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, address: tuple[str, int], taken: Taken) -> None:
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        self.taken = taken
        self.room = threading.BoundedSemaphore(_CONNECTIONS)
        super().__init__(address, _Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        log.warning("HL7: a connection broke")


class _Handler(socketserver.BaseRequestHandler):
    server: _Server

    def handle(self) -> None:
        if not self.server.room.acquire(blocking=False):
            return  # the sender tries again
        try:
            self.request.settimeout(_IDLE_S)
            for message in _messages(self.request):
                self.request.sendall(START + _answer(message, self.server.taken) + END)
        except (OSError, ExchangeError):
            pass  # gone, silent, or no MLLP
        finally:
            self.server.room.release()


def _answer(message: bytes, taken: Taken) -> bytes:
    try:
        taken(message)
    except Hl7Error as error:
        log.warning("HL7: a message was refused")
        return acknowledgement(message, "AE", str(error))
    except ArisError as error:
        log.error("HL7: a message could not be kept: %s", error)
        return acknowledgement(message, "AR", "it cannot be kept now; send it again")
    except Exception as error:
        # The type alone: a message may be quoted.
        log.error("HL7: a message could not be kept: a defect (%s)", type(error).__name__)
        return acknowledgement(message, "AR", "it cannot be kept now; send it again")
    return acknowledgement(message, "AA")


def _messages(connection: socket.socket) -> Iterator[bytes]:
    held = b""
    while True:
        while END not in held:
            if len(held) > _MOST_BYTES:
                raise ExchangeError("HL7: a message is larger than any order is")
            piece = connection.recv(1 << 16)
            if not piece:
                return
            held += piece
        block, _, held = held.partition(END)
        _, start, message = block.rpartition(START)
        if start:
            yield message


@contextmanager
def _connected(host: str, port: int) -> Iterator[socket.socket]:
    try:
        with socket.create_connection((host, port), timeout=_TIMEOUT_S) as connection:
            yield connection
    except TimeoutError:
        raise ExchangeError(f"{host}:{port}: no acknowledgement in time") from None
    except OSError as error:
        raise ExchangeError(f"{host}:{port}: cannot be reached ({error.strerror or 'the connection broke'})") from None


def send_message(message: bytes, host: str, port: int) -> None:
    """Send a message; when this returns, the other side has acknowledged this very one (AA or CA).

    Raises:
        ExchangeError: it cannot be reached, or has not.
    """
    sent = parse(message)
    control = value(sent, segments(sent, "MSH")[0], 10)
    with _connected(host, port) as connection:
        connection.sendall(START + message + END)
        answer = next(_messages(connection), None)
    if answer is None:
        raise ExchangeError(f"{host}:{port}: the connection was closed without an acknowledgement")
    told = parse(answer)
    found = segments(told, "MSA")
    code = value(told, found[0], 1) if found else ""
    if not found or value(told, found[0], 2) != control:
        raise ExchangeError(f"{host}:{port}: the answer acknowledges another message")
    if code not in ("AA", "CA"):
        raise ExchangeError(f"{host}:{port}: the message was not accepted ({code or 'no code'})")
