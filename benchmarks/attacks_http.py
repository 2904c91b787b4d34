"""Callers who would hold a server, against one on loopback: the memory, the time and the log that each attack costs.

    python benchmarks/attacks_http.py [--only NAME] [--scale 1.0]

Starts `aris serve --api-only` with a key on a tiny checkpoint, in a process of its own, and ends it. Every attack is
bounded (connections, bytes, seconds) and goes to that process alone. Printed for each: what the caller with the key
still gets meanwhile (the slowest of its calls of /healthz and the slowest of its one-token chats), the server's peak
memory above what it had, and the bytes that its log grew by.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
import tiny_checkpoint

KEY = "benchmark"
SECONDS = 6.0
BOUND_MB, BOUND_LOG = 700, 200_000


class Server:
    """A server in a process of its own."""

    def __init__(self, folder: Path) -> None:
        self._log = folder / "log"
        model = tiny_checkpoint.save(folder / "tiny", max_position_embeddings=20_000)
        command = [sys.executable, "-m", "aris.cli", "serve", "--api-only", "--port", "0", "--model", str(model)]
        self._process = subprocess.Popen(
            [*command, "--device", "cpu", "--dtype", "float32"], env=os.environ | {"ARIS_API_KEY": KEY},
            stderr=self._log.open("wb"), stdout=subprocess.DEVNULL,
        )  # fmt: skip
        until = time.monotonic() + 120
        while b"is served at" not in self._log.read_bytes():
            if time.monotonic() > until or self._process.poll() is not None:
                raise SystemExit(self._log.read_text())
            time.sleep(0.1)
        words = self._log.read_text().split("is served at ")[1]
        self.port = int(words.split("/v1")[0].rpartition(":")[2])
        self.url = f"http://127.0.0.1:{self.port}"

    def memory_mb(self) -> float:
        pages = Path(f"/proc/{self._process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE") / 1e6

    def log_bytes(self) -> int:
        return self._log.stat().st_size

    def stop(self) -> None:
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(15)
        self._process.kill()


def head(path: str, length: int, key: str | None = None) -> bytes:
    own = "" if key is None else f"Authorization: Bearer {key}\r\n"
    return (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n{own}"
        f"Content-Length: {length}\r\n\r\n"
    ).encode()


def post(server: Server, path: str, body: bytes, key: str | None, wait: float = SECONDS) -> None:
    """Send a body as fast as it is taken, and wait a moment for an answer."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", server.port), timeout=wait) as connection:
        connection.sendall(head(path, len(body), key) + body)
        connection.recv(4096)


def many(count: int, work: Callable[[], None]) -> None:
    threads = [threading.Thread(target=work, daemon=True) for _ in range(count)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(60)


def bodies_without_a_key(server: Server, scale: float) -> None:
    """Large bodies to a path that needs no key."""
    body = b" " * (20 << 20)
    many(int(40 * scale), lambda: post(server, "/healthz", body, None))


def silent_connections(server: Server, scale: float) -> None:
    """Connections on which nothing comes, more than a process may have files open for."""
    held: list[socket.socket] = []
    until = time.monotonic() + SECONDS
    with contextlib.suppress(OSError):
        while len(held) < int(1100 * scale) and time.monotonic() < until:
            held.append(socket.create_connection(("127.0.0.1", server.port), timeout=2))
    time.sleep(max(0.0, until - time.monotonic()))
    for each in held:
        each.close()


def lists_of_nothing(server: Server, scale: float) -> None:
    """A body of millions of empty lists, from a caller with the key."""
    body = b'{"messages": [' + b"[]," * int(7_000_000 * scale) + b"[]]}"
    post(server, "/v1/chat/completions", body, KEY, 60)


def wrong_items(server: Server, scale: float) -> None:
    """Half a million items, each of which is wrong."""
    post(server, "/v1/completions", b'{"prompt": [' + b"{}," * int(400_000 * scale) + b"{}]}", KEY, 60)


def bodies_that_trickle(server: Server, scale: float) -> None:
    """A byte now and then on many connections."""
    held = [socket.create_connection(("127.0.0.1", server.port), timeout=2) for _ in range(int(100 * scale))]
    for each in held:
        each.sendall(head("/v1/chat/completions", 1_000_000, KEY))
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        for each in held:
            with contextlib.suppress(OSError):
                each.send(b" ")
        time.sleep(0.5)
    for each in held:
        each.close()


def scores_for_nobody(server: Server, scale: float) -> None:
    """Callers who ask for a long prompt's log-probabilities and leave."""
    text = "lung " * 3000
    prompts = ",".join(f'"{text}{at}"' for at in range(16))
    body = f'{{"prompt": [{prompts}], "max_tokens": 0, "echo": true, "logprobs": 0}}'.encode()
    many(int(12 * scale), lambda: post(server, "/v1/completions", body, KEY, 0.5))


def forms_that_nothing_meets(server: Server, scale: float) -> None:
    """Grammars that fail when they are followed."""
    bodies = [b'{"prompt": "Mustermann", "guided_json": {"$ref": "#"}}', rb'{"prompt": "x", "guided_regex": "[^\\s\\S]"}']
    for at in range(int(60 * scale)):
        post(server, "/v1/completions", bodies[at % 2], KEY)


def refused_requests(server: Server, scale: float) -> None:
    """As many requests without a key as go into some seconds."""
    until = time.monotonic() + SECONDS * scale

    def ask() -> None:
        with httpx2.Client(timeout=10) as http:
            while time.monotonic() < until:
                with contextlib.suppress(httpx2.HTTPError):
                    http.get(f"{server.url}/v1/models")

    many(4, ask)


ATTACKS = (
    bodies_without_a_key, silent_connections, lists_of_nothing, wrong_items, bodies_that_trickle, scores_for_nobody,
    forms_that_nothing_meets, refused_requests,
)  # fmt: skip


@contextlib.contextmanager
def watched(server: Server) -> Iterator[dict[str, float]]:
    """What the caller with the key gets while the block runs, and what the server takes."""
    found = {"peak_mb": server.memory_mb(), "health_s": 0.0, "chat_s": 0.0, "refused": 0.0}
    done = threading.Event()

    def look() -> None:
        while not done.wait(0.02):
            found["peak_mb"] = max(found["peak_mb"], server.memory_mb())

    def ask(name: str, path: str, body: dict[str, object] | None) -> None:
        with httpx2.Client(base_url=server.url, timeout=60, headers={"Authorization": f"Bearer {KEY}"}) as http:
            while not done.wait(0.1):
                began = time.perf_counter()
                try:
                    status = (http.get(path) if body is None else http.post(path, json=body)).status_code
                except httpx2.HTTPError:
                    status = 0
                found["refused"] += status != 200
                found[name] = max(found[name], time.perf_counter() - began)

    chat: dict[str, object] = {"messages": [{"role": "user", "content": "x"}], "max_tokens": 1}
    threads = [
        threading.Thread(target=look),
        threading.Thread(target=ask, args=("health_s", "/healthz", None)),
        threading.Thread(target=ask, args=("chat_s", "/v1/chat/completions", chat)),
    ]
    for each in threads:
        each.start()
    try:
        yield found
    finally:
        done.set()
        for each in threads:
            each.join(70)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="only attacks whose names hold this")
    parser.add_argument("--scale", type=float, default=1.0, help="of the number of connections and bytes")
    asked = parser.parse_args()
    beyond = 0
    print(f"{'attack':26} {'seconds':>8} {'+MB':>7} {'log bytes':>10} {'healthz s':>10} {'chat s':>8} {'not 200':>8}")
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder))
        try:
            with watched(server):  # warm
                time.sleep(1)
            for attack in ATTACKS:
                if asked.only not in attack.__name__:
                    continue
                memory, log, began = server.memory_mb(), server.log_bytes(), time.perf_counter()
                with watched(server) as found:
                    attack(server, asked.scale)
                    time.sleep(0.5)
                more, grown = found["peak_mb"] - memory, server.log_bytes() - log
                beyond += more > BOUND_MB or grown > BOUND_LOG
                print(
                    f"{attack.__name__:26} {time.perf_counter() - began:8.1f} {more:7.0f} {grown:10} "
                    f"{found['health_s']:10.2f} {found['chat_s']:8.2f} {found['refused']:8.0f}", flush=True,
                )  # fmt: skip
        finally:
            server.stop()
    print(f"{beyond} beyond the bounds of {BOUND_MB} MB and {BOUND_LOG:,} bytes of log")
    return 1 if beyond else 0


if __name__ == "__main__":
    sys.exit(main())
