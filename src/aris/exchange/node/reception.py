"""Connections to a node until they have asked for an association: accepted, their TLS shaken hands, their request read.

Each has a thread and a deadline. When there are more than there is room for, those that have waited longest make room:
whoever connects and says nothing keeps nobody else out. Only a whole, well-formed request becomes an association.
"""

from __future__ import annotations

import contextlib
import copy
import logging
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pynetdicom import evt
from pynetdicom._globals import MODE_ACCEPTOR

from aris.exchange.node.associations import BoundedAssociation, BoundedSocket, Held, address_of
from aris.exchange.node.pdus import HEADER, PduError, check_request, length_of

log = logging.getLogger("aris.node")

# A-ABORT of the service provider, reason not specified; A-ASSOCIATE-RJ, transient, local limit exceeded (PS3.8 9.3).
_ABORT = b"\x07\0\0\0\0\4\0\0\2\0"
_BUSY = b"\x03\0\0\0\0\4\0\2\3\2"
_LINGER_S = 2.0


@dataclass(frozen=True)
class Room:
    """Capacity of a node.

    Attributes:
        associations: at once.
        waiting: connections at once that have not asked for an association yet.
        waiting_of_one: likewise, of one address.
        request_s: seconds in which a connection must have asked.
        idle_s: seconds of silence after which an association makes room for another, where all are taken.
        object_bytes: of one object.
        held_bytes: of objects on their way, over all associations.
        timeout_s: of silence within an association.
    """

    associations: int
    waiting: int
    waiting_of_one: int
    request_s: float
    idle_s: float
    object_bytes: int
    held_bytes: int
    timeout_s: float


@dataclass(eq=False)
class _Waiting:
    connection: socket.socket
    address: Any
    since: float = field(default_factory=time.monotonic)

    def cut(self) -> None:
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(OSError):
            self.connection.close()


class Reception:
    """Listens, and makes associations.

    Args:
        entity: pynetdicom's, with its titles and presentation contexts.
        handlers: of pynetdicom's events, for each association.
        room: see there.
        tls: the server's side; None for none.
    """

    def __init__(
        self, entity: Any, handlers: list[tuple[Any, Callable[..., Any]]], room: Room, tls: ssl.SSLContext | None
    ) -> None:
        self._entity, self._handlers, self._room, self._tls = entity, handlers, room, tls
        self._held = Held(room.held_bytes, room.associations)
        self._lock = threading.Lock()
        self._waiting: list[_Waiting] = []
        self._associations: list[BoundedAssociation] = []
        self._listening: socket.socket | None = None
        self._stopped = False

    def listen(self, host: str, port: int) -> None:
        """Listen, in threads of its own.

        Raises:
            OSError: the address cannot be used.
        """
        family, kind, protocol, _, address = socket.getaddrinfo(
            host.strip("[]") or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, protocol)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
            listening.listen(256)
        except OSError:
            listening.close()
            raise
        listening.settimeout(0.5)
        self._listening = listening
        threading.Thread(target=self._accept, args=(listening,), name="aris-node-accept", daemon=True).start()

    @property
    def port(self) -> int:
        """Return the port that it listens on."""
        assert self._listening is not None
        return int(self._listening.getsockname()[1])

    def stop(self, patience_s: float) -> None:
        """Stop listening and end every association; an object that is being stored has so long to be stored."""
        self._stopped = True
        if self._listening is not None:
            self._listening.close()
        with self._lock:
            waiting, associations = list(self._waiting), list(self._associations)
        for each in waiting:
            each.cut()
        for association in associations:
            with contextlib.suppress(Exception):
                if association.is_established and not association.serving:
                    association.abort(block=False)
        end = time.monotonic() + patience_s
        while any(each.serving for each in associations) and time.monotonic() < end:
            time.sleep(0.02)
        for association in associations:
            association.join(max(0.0, min(0.2, end - time.monotonic())))
            association.cut()
        for association in associations:
            association.join(0.5 if time.monotonic() < end + 1 else 0.0)

    def shutdown_request(self, connection: socket.socket) -> None:
        """End a connection; pynetdicom calls it of a server when an association has ended."""
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_WR)
        with contextlib.suppress(OSError):
            connection.close()

    def _accept(self, listening: socket.socket) -> None:
        while not self._stopped:
            try:
                connection, address = listening.accept()
            except TimeoutError:
                continue
            except OSError:
                if self._stopped:
                    return
                # No descriptor is free: whoever has waited longest gives his.
                self._make_room(force=True)
                time.sleep(0.05)
                continue
            one = _Waiting(connection, address)
            self._make_room(address[0])
            with self._lock:
                self._waiting.append(one)
            try:
                threading.Thread(target=self._greet, args=(one,), name="aris-node-greet", daemon=True).start()
            except RuntimeError:  # no thread can be started
                self._leave(one)
                one.cut()

    def _make_room(self, host: str = "", *, force: bool = False) -> None:
        """Cut connections that wait, where there are too many: those of whoever has most, the longest first."""
        with self._lock:
            of = Counter(each.address[0] for each in self._waiting)
            crowd = None
            if of[host] >= self._room.waiting_of_one:
                crowd = host
            elif len(self._waiting) >= self._room.waiting or (force and self._waiting):
                crowd = of.most_common(1)[0][0]
            first = next((each for each in self._waiting if each.address[0] == crowd), None)
            if first is not None:
                self._waiting.remove(first)
        if first is not None:
            first.cut()
            log.warning("more connections than wait at once without asking for an association; the first is cut")

    def _leave(self, one: _Waiting) -> bool:
        """Return whether it was still waiting."""
        with self._lock:
            if one not in self._waiting:
                return False
            self._waiting.remove(one)
            return True

    def _greet(self, one: _Waiting) -> None:
        """Read a connection's request and make an association of it."""
        end = one.since + self._room.request_s
        connection = one.connection
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls is not None:
                connection.settimeout(max(0.001, end - time.monotonic()))
                connection = self._tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
                one.connection = connection
                connection.do_handshake()
            header = _exactly(connection, HEADER, end)
            if not header:
                raise OSError
            _, length = length_of(header, 0, first=True)
            body = _exactly(connection, length, end)
            check_request(body)
        except PduError as error:
            self._leave(one)
            log.warning("a connection is ended before an association: %s", error)
            _say(connection, _ABORT)
            one.cut()
            return
        except (OSError, ssl.SSLError, ValueError):
            self._leave(one)
            one.cut()
            return
        if not self._leave(one) or self._stopped:
            one.cut()
            return
        try:
            self._associate(one, header + body)
        except Exception as error:  # pynetdicom raises many kinds
            log.error("a connection cannot become an association: %s", type(error).__name__)
            one.cut()

    def _associate(self, one: _Waiting, request: bytes) -> None:
        room = self._room
        connection = one.connection
        with self._lock:
            self._associations = [each for each in self._associations if not each.is_done]
            taken = len(self._associations) >= room.associations
            idle = max(self._associations, key=lambda each: each.idle_s, default=None) if taken else None
            if taken and idle is not None and idle.idle_s > room.idle_s:
                self._associations.remove(idle)
                taken = False
            else:
                idle = None
            if not taken:
                association = self._made(connection, one.address, request)
                self._associations.append(association)
        if taken:
            log.warning("an association is refused for now: as many are open as may be")
            _say(connection, _BUSY)
            one.cut()
            return
        if idle is not None:
            log.warning("an association that was silent makes room for another")
            idle.abort(block=False)
        association.start()

    def _made(self, connection: socket.socket, address: Any, request: bytes) -> BoundedAssociation:
        """As pynetdicom's `RequestHandler` makes one."""
        entity, room = self._entity, self._room
        association = BoundedAssociation(
            entity, MODE_ACCEPTOR, object_bytes=room.object_bytes, timeout_s=room.timeout_s, held=self._held,
            ended=self._ended,
        )  # fmt: skip
        association._server = self  # type: ignore[assignment]
        association.name = "AcceptorThread@aris"
        association.set_socket(BoundedSocket(association, connection, request, room.timeout_s))
        acceptor = association.acceptor
        acceptor.maximum_length = entity.maximum_pdu_size
        acceptor.ae_title = entity.ae_title
        acceptor.address_info = address_of(connection.getsockname())
        acceptor.implementation_class_uid = entity.implementation_class_uid
        acceptor.implementation_version_name = entity.implementation_version_name
        acceptor.supported_contexts = copy.deepcopy(entity.supported_contexts)
        association.requestor.address_info = address_of(address)
        for event, handler in self._handlers:
            association.bind(event, handler)
        evt.trigger(association, evt.EVT_CONN_OPEN, {"address": address})
        return association

    def _ended(self, association: BoundedAssociation) -> None:
        with self._lock:
            if association in self._associations:
                self._associations.remove(association)
        if association.dul.reason and not self._stopped:
            log.warning("an association is aborted: %s", association.dul.reason)


def _exactly(connection: socket.socket, count: int, end: float) -> bytes:
    """So many bytes.

    Raises:
        OSError: the connection ends, or is not that fast.
    """
    data = bytearray()
    while len(data) < count:
        left = end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        connection.settimeout(left)
        piece = connection.recv(count - len(data))
        if not piece:
            raise ConnectionError
        data += piece
    return bytes(data)


def _say(connection: socket.socket, pdu: bytes) -> None:
    """Send a last PDU, and wait a moment for the peer to read it: bytes of it that lie unread would take it back."""
    with contextlib.suppress(OSError, ValueError):
        connection.settimeout(_LINGER_S)
        connection.sendall(pdu)
        connection.shutdown(socket.SHUT_WR)
        end = time.monotonic() + _LINGER_S
        while time.monotonic() < end and connection.recv(64 << 10):
            pass
