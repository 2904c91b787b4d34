"""One-token chats from many clients at once: how many a second, how long each takes, and whether any fails.

    python benchmarks/load_chats.py [--clients 8 64 200] [--seconds 10]

Starts `aris serve --api-only` on a free port in a process of its own, and ends it. Clients send the next chat when the
last one was answered. The issue's bar: 20 a second at 8 to 200 clients on 2 busy cores, without an error.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path

import httpx2

from attacks_http import KEY, Server

CHAT = {"messages": [{"role": "user", "content": "Is there a pleural effusion?"}], "max_tokens": 1, "temperature": 0}


async def load(url: str, clients: int, seconds: float) -> tuple[list[float], int]:
    """Seconds of each answered chat, and how many failed."""
    times: list[float] = []
    failed = 0
    until = time.perf_counter() + seconds

    async def one(http: httpx2.AsyncClient) -> None:
        nonlocal failed
        while time.perf_counter() < until:
            began = time.perf_counter()
            try:
                response = await http.post("/v1/chat/completions", json=CHAT)
                good = response.status_code == 200 and response.json()["usage"]["completion_tokens"] == 1
            except httpx2.HTTPError:
                good = False
            failed += not good
            if good:
                times.append(time.perf_counter() - began)

    limits = httpx2.Limits(max_connections=clients, max_keepalive_connections=clients)
    headers = {"Authorization": f"Bearer {KEY}"}
    async with httpx2.AsyncClient(base_url=url, timeout=60, limits=limits, headers=headers) as http:
        await asyncio.gather(*(one(http) for _ in range(clients)))
    return times, failed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, nargs="+", default=[8, 64, 200])
    parser.add_argument("--seconds", type=float, default=10.0, help="for each number of clients")
    asked = parser.parse_args()
    errors = 0
    print(f"{'clients':>8} {'chats/s':>8} {'p50 s':>7} {'p95 s':>7} {'worst s':>8} {'failed':>7} {'memory MB':>10}")
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder))
        try:
            for clients in asked.clients:
                began = time.perf_counter()
                times, failed = asyncio.run(load(server.url, clients, asked.seconds))
                spent = time.perf_counter() - began
                errors += failed
                cuts = statistics.quantiles(times, n=20) if len(times) > 1 else [0.0] * 19
                print(
                    f"{clients:8} {len(times) / spent:8.1f} {cuts[9]:7.3f} {cuts[18]:7.3f} {max(times, default=0):8.3f} "
                    f"{failed:7} {server.memory_mb():10.0f}", flush=True,
                )  # fmt: skip
        finally:
            server.stop()
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
