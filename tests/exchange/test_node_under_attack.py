"""The node against peers that say nothing, too much or the wrong thing: it serves others, and holds little."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from pynetdicom import AE, build_context

from aris.errors import ExchangeError
from aris.exchange.node.associations import Held, MonotonicTimer
from aris.exchange.node.log_limits import SAID, Repeats
from aris.exchange.node.pdus import PduError, Sequence, check_request, length_of
from aris.exchange.node.peers import Peer, echo
from aris.exchange.node.server import Node, NodeSettings
from aris.exchange.node.tls import client_context, server_context
from aris.store.store import Store
from dicom_objects import DX, image

VERIFICATION, IMPLICIT = "1.2.840.10008.1.1", "1.2.840.10008.1.2"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "store") as opened:
        yield opened


def settings(**changes: Any) -> NodeSettings:
    return NodeSettings(**({"port": 0, "timeout_s": 10.0} | changes))


def item(kind: int, content: bytes) -> bytes:
    return struct.pack(">BBH", kind, 0, len(content)) + content


def context(number: int = 1, abstract: str = DX, syntaxes: tuple[str, ...] = (IMPLICIT,)) -> bytes:
    inner = item(0x30, abstract.encode()) + b"".join(item(0x40, each.encode()) for each in syntaxes)
    return item(0x20, bytes([number, 0, 0, 0]) + inner)


def request(contexts: bytes | None = None, calling: bytes = b"SENDER", user: bytes | None = None) -> bytes:
    """The body of an A-ASSOCIATE-RQ."""
    body = struct.pack(">HH", 1, 0) + b"ARIS".ljust(16) + calling.ljust(16) + b"\0" * 32
    body += item(0x10, b"1.2.840.10008.3.1.1.1") + (context() if contexts is None else contexts)
    return body + item(0x50, item(0x51, struct.pack(">L", 0)) + item(0x52, b"1.2.3") if user is None else user)


def pdu(kind: int, body: bytes, declared: int | None = None) -> bytes:
    return struct.pack(">BBL", kind, 0, len(body) if declared is None else declared) + body


def value(content: bytes, control: int, number: int = 1) -> bytes:
    return struct.pack(">LBB", len(content) + 2, number, control) + content


def command(kind: int = 1, data: int = 0, message: int = 1, uid: str = "1.2.3") -> bytes:
    def element(number: int, content: bytes) -> bytes:
        content += b"\0" * (len(content) % 2)
        return struct.pack("<HHL", 0, number, len(content)) + content

    rest = element(0x0002, DX.encode()) + element(0x0100, struct.pack("<H", kind))
    rest += element(0x0110, struct.pack("<H", message)) + element(0x0700, b"\0\0")
    rest += element(0x0800, struct.pack("<H", data)) + element(0x1000, uid.encode())
    return element(0x0000, struct.pack("<L", len(rest))) + rest


def connect(node: Node) -> socket.socket:
    made = socket.create_connection(("127.0.0.1", node.port), timeout=20)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


def associated(node: Node) -> socket.socket:
    made = connect(node)
    made.sendall(pdu(1, request()))
    header = made.recv(6, socket.MSG_WAITALL)
    assert header[:1] == b"\x02", "not accepted"
    made.recv(struct.unpack(">L", header[2:])[0], socket.MSG_WAITALL)
    return made


def ending(connection: socket.socket) -> bytes:
    """What a connection says until it ends."""
    said = b""
    try:
        while piece := connection.recv(65536):
            said += piece
    except ConnectionError:
        pass
    return said


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "it never came to hold"
        time.sleep(0.01)


def serves(node: Node, tls: ssl.SSLContext | None = None) -> bool:
    try:
        echo(Peer("ARIS", "127.0.0.1", node.port), tls=tls, timeout_s=20)
    except ExchangeError:
        return False
    return True


@pytest.mark.parametrize("said", [b"", b"\x01", pdu(1, request())[:-1], pdu(4, b"", 1 << 16)[:3]])
def test_silent_connections_keep_nobody_out(store: Store, said: bytes) -> None:
    with Node(store, settings(associations=2)) as node, ExitStack() as open_ones:
        for _ in range(80):  # more than may wait
            open_ones.enter_context(connect(node)).sendall(said)
        assert serves(node)
        entity = AE()
        association = entity.associate("127.0.0.1", node.port, [build_context(DX)])
        assert association.send_c_store(image(1)).Status == 0
        association.release()


def test_a_connection_has_so_long_to_ask(store: Store) -> None:
    with Node(store, settings(request_s=0.2)) as node, connect(node) as silent:
        silent.sendall(b"\x01\0")
        assert ending(silent) == b""
        assert serves(node)


def test_silent_associations_make_room(store: Store) -> None:
    with Node(store, settings(associations=2, idle_s=0.2)) as node:
        held = [associated(node) for _ in range(2)]
        until(lambda: serves(node))
        for each in held:
            each.close()


def test_an_association_that_falls_silent_in_mid_pdu_ends(store: Store) -> None:
    with Node(store, settings(associations=1, timeout_s=0.3)) as node:
        with associated(node) as silent:
            silent.sendall(pdu(4, b"", 1000))
            ending(silent)
        until(lambda: serves(node))


def test_tls_handshakes_wait_for_nobody(store: Store, tmp_path: Path) -> None:
    certificate, key = tmp_path / "n.pem", tmp_path / "n.key"
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", key, "-out", certificate],
        capture_output=True, check=False,
    )  # fmt: skip
    if made.returncode:
        pytest.skip("openssl is not here")
    key.chmod(0o644)
    tls = server_context(certificate, key, None)
    assert key.stat().st_mode & 0o777 == 0o640  # nobody else's any more
    with Node(store, settings(tls=tls)) as node, connect(node), connect(node) as second:
        second.sendall(b"\x16\x03\x01")  # a handshake that does not go on
        assert serves(node, client_context(None, None, certificate))


@pytest.mark.parametrize(
    "said",
    [
        pdu(1, b"", 0xFFFFFFFF), pdu(1, b"", 1 << 20), pdu(4, value(command(), 3)), pdu(4, b"", 0xFFFFFFFF),
        pdu(5, b"\0" * 4), pdu(2, request()), pdu(9, b""), b"GET / HTTP/1.1\r\n\r\n", pdu(1, b"\0" * 68),
        pdu(1, request(b"")), pdu(1, request(context(2))), pdu(1, request(context(1) * 2)),
        pdu(1, request(b"".join(context(n % 256) for n in range(1, 999, 2)))),
        pdu(1, request(b"".join(context(n, syntaxes=("1.2.3",) * 3000) for n in (1, 3, 5, 7)))),
        pdu(1, request(user=item(0x55, b"") * 12_000)), pdu(1, request(item(0x20, b"\1\0\0\0" + b"\x30\0\xff\xff"))),
        pdu(1, request(calling=b"\x1b[2JX")), pdu(1, request(calling=b"")), pdu(1, request(calling=b"a\\b")),
    ],
)  # fmt: skip
def test_what_is_no_request_is_aborted_at_once(store: Store, said: bytes) -> None:
    with Node(store, settings()) as node, connect(node) as attacker:
        attacker.sendall(said)
        assert ending(attacker)[:1] in (b"\x07", b"")
        assert serves(node)


@pytest.mark.parametrize(
    "said",
    [
        pdu(4, b"", 0xFFFFFFFF), pdu(4, b"", (1 << 17) + 13), pdu(5, b"", 1 << 20), pdu(1, request()), pdu(4, b""),
        pdu(4, value(b"x" * 100, 2)),  # data without a command
        pdu(4, value(command(), 3) + value(command(), 3)),  # a command where its data should be
        pdu(4, value(command(), 3) + value(b"", 0) * 100), pdu(4, value(command(), 3) + value(b"x", 0, 3)),
        pdu(4, struct.pack(">LBB", 1 << 30, 1, 3)), pdu(4, struct.pack(">LBB", 0, 1, 3)),
        pdu(4, value(b"\0" * 20_000, 1)), pdu(4, value(command()[:-3], 3)), pdu(4, value(b"", 3)),
        pdu(4, value(command(0x0100), 3)),  # N-EVENT-REPORT: a thread for each
        pdu(4, value(command(0x8001), 3)), pdu(4, value(command(1, 0x0101), 3)), pdu(4, value(command(0x30, 0), 3)),
        pdu(4, value(command(), 3)) + pdu(5, b"\0" * 4), pdu(4, value(b"x", 1) * 600),
    ],
)  # fmt: skip
def test_what_an_association_may_not_carry_ends_it(store: Store, said: bytes) -> None:
    with Node(store, settings()) as node, associated(node) as attacker:
        attacker.sendall(said)
        assert ending(attacker)[:1] == b"\x07"
        assert serves(node)
        assert store.counts()["copies"] == 0


def test_pipelined_objects_wait_outside(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    goes_on = threading.Event()
    add = store.add
    monkeypatch.setattr(store, "add", lambda *a, **k: (goes_on.wait(30), add(*a, **k))[1])
    one = pdu(4, value(command(), 3)) + pdu(4, value(b"\0" * 100_000, 0)) * 10 + pdu(4, value(b"", 2))
    with Node(store, settings(timeout_s=30.0)) as node, associated(node) as attacker:
        (association,) = node._reception._associations  # type: ignore[union-attr]
        attacker.settimeout(1.0)
        sent = 0
        with pytest.raises(TimeoutError):  # the node does not read on, so that nothing more can be sent
            for _ in range(100):
                attacker.sendall(one)
                sent += len(one)
        # One is being stored, one has been read.
        assert sum(association.dul.complete) + association.dul.sequence.bytes_of_message < 3_500_000
        goes_on.set()


def test_all_associations_together_hold_so_much() -> None:
    held = Held(most=8 << 20, shares=4)
    for owner in range(4):
        held.add(owner, 3 << 20)
    assert [held.may_read(owner) for owner in range(4)] == [True] * 4  # equal: none waits for another
    held.add(0, 1)
    assert [held.may_read(owner) for owner in range(4)] == [True, False, False, False]
    held.drop(0)
    held.drop(1)
    assert all(held.may_read(owner) for owner in (2, 3, 9))


def test_timers_go_by_a_clock_that_nobody_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    timer = MonotonicTimer(60)
    timer.start()
    monkeypatch.setattr(time, "time", lambda: 1e12)
    assert not timer.expired and 59 < timer.remaining <= 60
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 61)
    assert timer.expired
    timer.restart()
    assert not timer.expired


@pytest.mark.parametrize("state", ["silent", "associated", "mid-PDU"])
def test_a_signal_ends_the_node(tmp_path: Path, state: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "aris.cli", "node", "serve", "--store", str(tmp_path / "s"), "--port", "0",
         "--dicomweb", "0"],
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    port = int(process.stderr.readline().split(" listens at ")[1].split(";")[0].rpartition(":")[2])
    while "Ctrl-C" not in process.stderr.readline():
        pass
    node = type("There", (), {"port": port})
    with ExitStack() as held:
        for number in range(20):
            talks = state != "silent" and number < 12
            one = held.enter_context(associated(node) if talks else connect(node))
            one.sendall(b"\x01" if state == "silent" else pdu(4, b"", 1000) if state == "mid-PDU" else b"")
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


def test_lengths_are_judged_before_a_byte_is_read() -> None:
    assert length_of(pdu(4, b"", 1 << 17)[:6], 1 << 17, first=False) == (4, 1 << 17)
    for header, first in ((pdu(4, b"", (1 << 17) + 13), False), (pdu(1, b"", 1 << 30), True), (pdu(1, b""), False)):
        with pytest.raises(PduError):
            length_of(header[:6], 1 << 17, first=first)


def test_a_request_of_all_that_may_be_proposed_passes() -> None:
    syntaxes = tuple(f"1.2.840.10008.1.2.4.{n}" for n in range(60))
    check_request(request(b"".join(context(n, syntaxes=syntaxes) for n in range(1, 256, 2))))


def test_messages_in_any_pieces_are_told_apart() -> None:
    sequence = Sequence()
    stored, echoed = command(), command(0x30, 0x0101)
    whole = value(stored[:7], 1) + value(stored[7:], 3) + value(b"a" * 10, 0) + value(b"b" * 6, 2) + value(echoed, 3)
    assert sequence.take(whole) == [len(stored) + 16, len(echoed)] and not sequence.inside
    assert sequence.take(value(stored, 3)) == [] and sequence.inside
    assert sequence.take(value(b"", 2)) == [len(stored)]
    assert sequence.take(value(command(0x0FFF, 0x0101), 3)) == []  # a cancel has no answer


def test_a_line_that_a_peer_can_cause_is_said_a_few_times(caplog: pytest.LogCaptureFixture, store: Store) -> None:
    import logging

    log = logging.getLogger("aris.test.repeats")
    log.addFilter(Repeats())
    for number in range(1000):
        log.warning("refused %d", number)
    log.warning("another")
    assert len(caplog.records) == SAID + 1 and "counted" in caplog.records[-2].getMessage()


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
def test_a_flood_of_bad_connections_takes_no_memory_and_no_log(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    def resident() -> int:
        return int(Path("/proc/self/status").read_text().split("VmRSS:")[1].split()[0]) << 10

    with Node(store, settings()) as node:
        serves(node)
        before = resident()
        for _ in range(100):
            with connect(node) as attacker:
                attacker.sendall(pdu(1, b"", 0xFFFFFFFF))
                ending(attacker)
        assert resident() - before < 64 << 20
        assert len(caplog.records) <= 2 * SAID
        assert os.getpid() and serves(node)
