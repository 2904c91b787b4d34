"""Associations over pynetdicom that hold no more memory, time or places than they are given.

pynetdicom reads whatever a peer declares, for as long as it takes, and queues what it has read. Here each PDU is
checked (`pdus`) and has a deadline; a message is read when the one before it is being answered; what all associations
hold of messages on their way is counted; and timers go by the monotonic clock.
"""

from __future__ import annotations

import contextlib
import queue
import socket
import threading
import time
from collections import deque
from typing import Any

from pynetdicom.association import Association
from pynetdicom.dul import DULServiceProvider
from pynetdicom.timer import Timer
from pynetdicom.transport import AddressInformation, AssociationSocket

from aris.exchange.node.pdus import HEADER, P_DATA, PduError, Sequence, length_of

# Bytes a second that a message must come with, once `timeout_s` has passed.
LEAST_RATE = 4096
_PIECE = 64 << 10
# An association that is over: what still arrives is dropped, so much and so long.
_DROPPED_BYTES, _DROPPED_S = 4 << 20, 2.0


class Held:
    """The bytes of messages on their way, over all associations.

    Args:
        most: in all. An association may always hold its share of it, and the one that holds most goes on, so that no
            two wait for each other.
        shares: how many associations there may be.
    """

    def __init__(self, most: int, shares: int) -> None:
        self._most, self._share = most, max(1 << 20, most // shares)
        self._lock = threading.Lock()
        self._of: dict[int, int] = {}

    def add(self, owner: int, count: int) -> None:
        """Count bytes of an association, or give them back (negative)."""
        with self._lock:
            self._of[owner] = max(0, self._of.get(owner, 0) + count)

    def drop(self, owner: int) -> None:
        """Give all of an association back."""
        with self._lock:
            self._of.pop(owner, None)

    def may_read(self, owner: int) -> bool:
        """Return whether an association may take more."""
        with self._lock:
            own = self._of.get(owner, 0)
            return own < self._share or sum(self._of.values()) < self._most or own >= max(self._of.values())


class MonotonicTimer(Timer):
    """pynetdicom's timer, which a clock that is set does not end."""

    @property
    def remaining(self) -> float:
        if self.timeout is None:
            return 1
        if self._start_time is None:
            return self.timeout
        return self.timeout - ((self._end_time or time.monotonic()) - self._start_time)

    def start(self) -> None:
        self._start_time, self._end_time = time.monotonic(), None

    def stop(self) -> None:
        self._end_time = time.monotonic()


class BoundedSocket(AssociationSocket):
    """A connection whose reads and writes end: at a deadline, or when it is cut.

    Args:
        read: what was read of it before.
    """

    def __init__(self, association: Association, connection: socket.socket, read: bytes, timeout_s: float) -> None:
        super().__init__(association, client_socket=connection)
        self._connection, self._read, self._timeout_s = connection, read, timeout_s

    @property
    def ready(self) -> bool:
        return bool(self._read) or super().ready

    def recv(self, nr_bytes: int) -> bytearray:
        """Exactly so many bytes; fewer where the connection ends.

        Raises:
            TimeoutError: they are not there in time.
            OSError: the connection is broken.
        """
        taken, self._read = bytearray(self._read[:nr_bytes]), self._read[nr_bytes:]
        end = time.monotonic() + self._timeout_s
        while len(taken) < nr_bytes:
            left = end - time.monotonic()
            if left <= 0:
                raise TimeoutError
            self._connection.settimeout(left)
            piece = self._connection.recv(min(_PIECE, nr_bytes - len(taken)))
            if not piece:
                break
            taken += piece
        return taken

    def drop_some(self) -> int:
        """Read what has arrived, and forget it.

        Returns:
            bytes; 0 at the end.
        """
        dropped, self._read = len(self._read), b""
        if dropped:
            return dropped
        try:
            self._connection.settimeout(0.1)
            return len(self._connection.recv(_PIECE))
        except OSError:
            return 0

    def send(self, bytestream: bytes) -> None:
        end = time.monotonic() + self._timeout_s
        left = memoryview(bytestream)
        try:
            while left:
                self._connection.settimeout(max(0.001, end - time.monotonic()))
                left = left[self._connection.send(left) :]
        except (OSError, ValueError):
            self.event_queue.put("Evt17")

    def cut(self) -> None:
        """End the connection at once, whoever is reading or writing."""
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(OSError):
            self._connection.close()


class BoundedProvider(DULServiceProvider):
    """pynetdicom's upper layer, which reads one message ahead and no further, within limits.

    Args:
        most: bytes of a P-DATA-TF PDU.
        object_bytes: of a message.
        timeout_s: of silence, and for each PDU.
        held: what all associations hold.
    """

    def __init__(self, association: Any, most: int, object_bytes: int, timeout_s: float, held: Held) -> None:
        super().__init__(association)
        self.daemon = True
        self._idle_timer, self.artim_timer = MonotonicTimer(timeout_s), MonotonicTimer(30)
        self._most, self._object_bytes, self._timeout_s = most, object_bytes, timeout_s
        self.held = held
        self.sequence = Sequence()
        self._began = self.progress = time.monotonic()
        self._first = True
        self.complete: deque[int] = deque()  # sizes of messages that are whole and not answered yet
        self._over: float | None = None
        self._dropped = 0
        self.reason = ""

    def _is_transport_event(self) -> bool:
        connection = self.socket
        if not isinstance(connection, BoundedSocket):
            return False
        if self.state_machine.current_state == "Sta13":
            return self._drop(connection)
        waiting = self.assoc.dimse.msg_queue.qsize()
        if waiting or not self.held.may_read(id(self.assoc)):
            # Not the peer's silence: it is we who do not read.
            self._idle_timer.restart()
            self._began = time.monotonic()
            return False
        if connection.ready:
            self._read_pdu_data()
            return True
        return False

    def _drop(self, connection: BoundedSocket) -> bool:
        """After an abort of ours: give the peer a moment to read it, then end the connection."""
        now = time.monotonic()
        self._over = self._over or now
        if connection.ready and self._dropped < _DROPPED_BYTES and now - self._over < _DROPPED_S:
            got = connection.drop_some()
            self._dropped += got
            if got:
                return False
        connection.close()
        return True

    def _read_pdu_data(self) -> None:
        connection = self.socket
        assert isinstance(connection, BoundedSocket)
        try:
            header = connection.recv(HEADER)
            if len(header) < HEADER:
                self.event_queue.put("Evt17")
                return
            kind, length = length_of(bytes(header), self._most, first=self._first)
            body = connection.recv(length)
            if len(body) < length:
                self.event_queue.put("Evt17")
                return
            if kind == P_DATA:
                self._check_data(bytes(body))
            elif self.sequence.inside and kind == 0x05:
                raise PduError("a release in the middle of a message")
            self._first = False
            pdu, event = self._decode_pdu(header + body)
        except TimeoutError:
            self.reason = "it fell silent in the middle of a PDU"
            self._give_up(connection)
        except OSError:
            self.event_queue.put("Evt17")
        except PduError as error:
            self.reason = str(error)
            self.event_queue.put("Evt19")
        except Exception:  # pynetdicom raises many kinds on malformed PDUs
            self.reason = "a PDU that is malformed"
            self.event_queue.put("Evt19")
        else:
            self.progress = time.monotonic()
            self.event_queue.put(event)
            self._recv_pdu.put(pdu)

    def _check_data(self, body: bytes) -> None:
        if not self.sequence.inside:
            self._began = time.monotonic()
        before = self.sequence.bytes_of_message
        done = self.sequence.take(body)
        self.held.add(id(self.assoc), sum(done) + self.sequence.bytes_of_message - before)
        self.complete.extend(done)
        if max((*done, self.sequence.bytes_of_message)) > self._object_bytes:
            raise PduError("an object that is larger than this node takes")
        took = time.monotonic() - self._began
        if self.sequence.inside and took > self._timeout_s + self.sequence.bytes_of_message / LEAST_RATE:
            raise PduError("an object that comes too slowly")

    def _give_up(self, connection: BoundedSocket) -> None:
        connection.cut()
        self.event_queue.put("Evt17")


class BoundedAssociation(Association):
    """An association of the acceptor's side, with a `BoundedProvider`."""

    dul: BoundedProvider

    def __init__(
        self, entity: Any, mode: str, *, object_bytes: int, timeout_s: float, held: Held, ended: Any
    ) -> None:  # fmt: skip
        super().__init__(entity, mode)
        self.dul = BoundedProvider(self, entity.maximum_pdu_size, object_bytes, timeout_s, held)
        self.network_timeout = timeout_s
        self.acse_timeout = entity.acse_timeout
        self._ended = ended
        self.serving = False

    @property
    def is_done(self) -> bool:
        """Return whether its thread has ended."""
        return self.ident is not None and not self.is_alive()

    @property
    def idle_s(self) -> float:
        """Seconds since the peer sent something, where nothing of it is being worked on; else 0."""
        if self.serving or self.dul.complete or not self.is_established:
            return 0.0
        return time.monotonic() - self.dul.progress

    def run(self) -> None:
        try:
            super().run()
        finally:
            self.dul.held.drop(id(self))
            if isinstance(self.dul.socket, BoundedSocket):
                self.dul.socket.cut()
            self._ended(self)

    def _serve_request(self, msg: Any, context_id: int) -> None:
        self.serving = True
        try:
            super()._serve_request(msg, context_id)
        finally:
            self.serving = False
            self.dul.progress = time.monotonic()
            self.dul._idle_timer.restart()  # while it was worked on, nobody was silent
            if self.dul.complete:
                self.dul.held.add(id(self), -self.dul.complete.popleft())

    def cut(self) -> None:
        """End it at once: its threads stop as soon as they look."""
        self._kill = self.dul._kill_thread = True
        self._reactor_checkpoint.set()
        if isinstance(self.dul.socket, BoundedSocket):
            self.dul.socket.cut()
        waiting: Any = self.dul.to_user_queue  # None ends who reads it, which its type does not say
        with contextlib.suppress(queue.Full):
            waiting.put_nowait(None)


def address_of(name: Any) -> AddressInformation:
    """Return pynetdicom's form of a socket's address."""
    return AddressInformation.from_tuple(name)
