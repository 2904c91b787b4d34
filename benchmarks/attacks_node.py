"""The node and DICOMweb against peers that say nothing, too much or the wrong thing: memory, time and log bytes of each.

    python benchmarks/attacks_node.py [--only NAME]

On loopback, against a process of its own, bounded: each attack sends some tens of MB at most. Printed for each: resident
memory of the server before and at its highest, bytes that it logged, and how long an honest caller then waits for an
answer. It ends with 1 where an honest caller had none within ten seconds, memory grew by more than 700 MB, or more than
64 KiB were logged.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1] / "tests"),
                str(Path(__file__).resolve().parents[1] / "tests" / "exchange")]  # fmt: skip

import numpy as np  # noqa: E402
from test_node_under_attack import command, context, item, pdu, request, value  # noqa: E402

from aris.errors import ArisError  # noqa: E402
from aris.exchange.node.peers import Peer, echo, network  # noqa: E402
from aris.store.store import Store  # noqa: E402
from dicom_objects import ROOT, as_bytes, image  # noqa: E402

MEMORY, LOG, WAIT_S = 700 << 20, 64 << 10, 10.0
_OBJECT_MB = 200


@dataclass
class Server:
    """`aris node serve` as a process, with its log in a file."""

    process: subprocess.Popen[bytes]
    log: Path
    port: int
    web: int

    def resident(self) -> int:
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(text.split("VmRSS:")[1].split()[0]) << 10

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=15)

    def associated(self) -> socket.socket:
        made = self.connect()
        made.sendall(pdu(1, request()))
        made.recv(65536)
        return made

    def get(self, path: str) -> int:
        asked = http.client.HTTPConnection("127.0.0.1", self.web, timeout=120)
        asked.request("GET", f"/dicomweb{path}", headers={"Accept": "*/*"})
        answer = asked.getresponse()
        while answer.read(1 << 20):
            pass
        return answer.status


def start(folder: Path) -> Server:
    log = folder / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "aris.cli", "node", "serve", "--store", str(folder / "store"), "--port", "0",
             "--dicomweb", "0"], stdout=subprocess.DEVNULL, stderr=out,
        )  # fmt: skip
    end = time.monotonic() + 60
    while "Ctrl-C" not in (said := log.read_text()):
        if time.monotonic() > end or process.poll() is not None:
            raise SystemExit(f"the server did not start: {said}")
        time.sleep(0.05)
    port = int(said.split(" listens at ")[1].split(";")[0].rpartition(":")[2])
    return Server(process, log, port, int(said.split("DICOMweb at http://127.0.0.1:")[1].split("/")[0]))


@contextlib.contextmanager
def quietly() -> object:
    with contextlib.suppress(OSError, http.client.HTTPException):
        yield


def sent(server: Server, data: bytes, *, associated: bool = False) -> None:
    with quietly(), server.associated() if associated else server.connect() as one:
        one.sendall(data)
        while one.recv(65536):
            pass


def silent(server: Server) -> list[socket.socket]:
    held = [server.connect() for _ in range(200)]
    for one in held:
        with quietly():
            one.sendall(pdu(1, request())[:50])
    return held


def in_mid_pdu(server: Server) -> list[socket.socket]:
    held = []
    for _ in range(20):
        with quietly():
            held.append(server.associated())
            held[-1].sendall(pdu(4, b"", 60_000))
    time.sleep(10.5)  # then the silent ones make room
    return held


def declared(server: Server) -> None:
    for _ in range(20):
        sent(server, pdu(1, b"", 0xFFFFFFFF) + bytes(1 << 20))
        sent(server, pdu(4, b"", 0xFFFFFFFF) + bytes(1 << 20), associated=True)


def requests(server: Server) -> None:
    for _ in range(20):
        sent(server, pdu(1, request(b"".join(context(n, syntaxes=("1.2.3",) * 3000) for n in (1, 3, 5, 7)))))
        sent(server, pdu(1, request(user=item(0x55, b"") * 12_000)))


def fragments(server: Server) -> None:
    for _ in range(10):
        sent(server, pdu(4, value(command(), 3)) + pdu(4, value(b"", 0) * 500) * 200, associated=True)


def pipelined(server: Server) -> None:
    one = pdu(4, value(command(), 3)) + pdu(4, value(bytes(100_000), 0)) * 20 + pdu(4, value(b"", 2))
    with quietly(), server.associated() as attacker:
        attacker.settimeout(5)
        for _ in range(40):
            attacker.sendall(one)


def frames(server: Server) -> None:
    at = f"/studies/{ROOT}.1/series/{ROOT}.1.1/instances/{ROOT}.1.1.1"
    threads = [threading.Thread(target=server.get, args=(f"{at}/frames/{n + 1}",)) for n in range(6)]
    threads += [threading.Thread(target=server.get, args=(f"{at}/metadata",)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def posted(server: Server, body: bytes, kind: str) -> None:
    with quietly():
        asked = http.client.HTTPConnection("127.0.0.1", server.web, timeout=60)
        asked.request("POST", "/dicomweb/studies", body, {"Content-Type": kind})
        asked.getresponse().read()


def empty_parts(server: Server) -> None:
    posted(server, b"--B\r\n\r\n\r\n" * 1_000_000 + b"--B--\r\n", 'multipart/related; type="application/dicom"; boundary=B')


def bombs(server: Server) -> None:
    data = as_bytes(image(7))
    start = data.index(b"\x08\0\5\0")
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    head = data[:start].replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.1.99\0\0", 1)
    inside = data[start:] + struct.pack("<HH2sHI", 0xFFFC, 0xFFFC, b"OB", 0, 400 << 20)
    packed = packer.compress(inside) + b"".join(packer.compress(bytes(1 << 20)) for _ in range(400)) + packer.flush()
    for _ in range(4):
        posted(server, head + packed, "application/dicom")


def unread(server: Server) -> list[socket.socket]:
    held = []
    for _ in range(40):
        one = socket.socket()
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        one.connect(("127.0.0.1", server.web))
        one.sendall(f"GET /dicomweb/studies/{ROOT}.1 HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        held.append(one)
    return held


ATTACKS: dict[str, Callable[[Server], list[socket.socket] | None]] = {
    "200 connections silent in a request": silent,
    "20 associations silent in mid-PDU": in_mid_pdu,
    "4 GiB declared, 1 MiB sent": declared,
    "requests of many items": requests,
    "floods of empty fragments": fragments,
    "80 MB of pipelined objects": pipelined,
    f"6 frames, 6 metadata of {_OBJECT_MB} MB": frames,
    "a million empty parts": empty_parts,
    "deflated to 400 MB": bombs,
    "40 answers that nobody reads": unread,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="attacks whose names hold this")
    asked = parser.parse_args()
    network()
    bad = 0
    with tempfile.TemporaryDirectory() as folder:
        with Store(Path(folder) / "store") as store:
            made = image(1, Rows=1024, Columns=1024, BitsAllocated=8, BitsStored=8, HighBit=7, NumberOfFrames=_OBJECT_MB)
            made.PixelData = np.repeat(np.arange(_OBJECT_MB, dtype=np.uint8), 1 << 20).tobytes()
            store.add(as_bytes(made))
        server = start(Path(folder))
        print(f"{'attack':38} {'MB before':>9} {'at most':>8} {'log bytes':>9} {'attack s':>8} {'echo s':>6} {'web s':>6}")
        try:
            for name, attack in ATTACKS.items():
                if asked.only in name:
                    bad += not tried(server, name, attack)
        finally:
            began = time.monotonic()
            server.process.terminate()
            server.process.wait(30)
            print(f"SIGTERM: ended in {time.monotonic() - began:.1f} s")
    return 1 if bad else 0


def tried(server: Server, name: str, attack: Callable[[Server], list[socket.socket] | None]) -> bool:
    before, logged, highest, over = server.resident(), server.log.stat().st_size, [0], threading.Event()

    def watch() -> None:
        while not over.wait(0.05):
            highest[0] = max(highest[0], server.resident())

    watching = threading.Thread(target=watch)
    watching.start()
    began = time.monotonic()
    held = attack(server)
    took, began = time.monotonic() - began, time.monotonic()
    try:
        echo(Peer("ARIS", "127.0.0.1", server.port), timeout_s=WAIT_S)
        echoed = time.monotonic() - began
    except ArisError:
        echoed = float("inf")
    began = time.monotonic()
    status = server.get("/studies")
    web = time.monotonic() - began if status == 200 else float("inf")
    over.set()
    watching.join()
    for one in held or ():
        one.close()
    written = server.log.stat().st_size - logged
    print(f"{name:38} {before >> 20:9} {highest[0] >> 20:8} {written:9} {took:8.1f} {echoed:6.2f} {web:6.2f}", flush=True)
    return max(echoed, web) < WAIT_S and highest[0] - before < MEMORY and written < LOG


if __name__ == "__main__":
    raise SystemExit(main())
