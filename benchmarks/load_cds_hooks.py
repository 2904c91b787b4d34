"""CDS Hooks under load: calls arrive at a fixed rate, whatever the server does (open loop), over HTTP on this machine.

    python benchmarks/load_cds_hooks.py [--rate 100] [--seconds 20] [--hook order-sign]

The server runs in a process of its own; the calls have a whole prefetch (some sixty resources and two draft orders of a
patient; 200 patients in turn). Arrivals are a Poisson process; a call's time counts from the moment at which it should
have been sent, so a server that falls behind is seen to. Besides, the CPU time a call takes of the server: on a machine
that does other work it is the fairer figure. No model is in the path.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from fhir_made import allergy, bundle, drug, observation, patient

PATIENTS = 200
SERVER = """
import sys, uvicorn
from aris.service.cds_hooks import create_cds_app
uvicorn.run(create_cds_app(), host="127.0.0.1", port=int(sys.argv[1]), log_level="error", access_log=False)
"""


def body(hook: str, number: int = 0) -> dict[str, Any]:
    """A call for one of the patients, whose values and times are their own."""
    chance = random.Random(number)
    id = f"p{number}"
    now = datetime.now(UTC) - timedelta(minutes=chance.randrange(60))
    names = ("potassium", "sodium", "creatinine", "haemoglobin", "glucose", "lactate", "egfr")
    values = (4.2, 139, 2.4, 11.8, 110, 1.1, 24)
    results = [
        observation(name, round(value * chance.uniform(0.97, 1.03), 2), now - timedelta(hours=6 * each + 1),
                    id=f"{id}-{name}-{each}", of=id)
        for each in range(7)
        for name, value in zip(names, values, strict=True)
    ]  # fmt: skip
    prefetch = {
        "patient": patient(id), "conditions": None, "observations": bundle(*results),
        "medications": bundle(*(drug(f"Drug {each} 10 MG Oral Tablet", id=f"d{each}", of=id) for each in range(8))),
        "allergies": bundle(allergy("Penicillin V", of=id)), "procedures": None, "orders": None, "reports": None,
    }
    drafts = [
        drug("Ibuprofen 400 MG Oral Tablet", id="x1", of=id), drug("Amoxicillin 500 MG Oral Capsule", id="x2", of=id)
    ]
    context: dict[str, Any] = {"userId": "Practitioner/1", "patientId": id, "draftOrders": bundle(*drafts)}
    return {"hook": hook, "hookInstance": f"d1577c69-dfbe-44ad-ba6d-3e05e953b{number:03}", "context": context,
            "prefetch": prefetch}  # fmt: skip


def cpu_s(pid: int) -> float:
    """The CPU time that a process has used (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Connections:
    """Connections that are kept open, as many as calls are under way at once."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self.most = 0

    async def post(self, request: bytes) -> bytes:
        """Send a request; the body of its answer."""
        reader, writer = self._idle.pop() if self._idle else await asyncio.open_connection("127.0.0.1", self._port)
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head[:80]
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        found = await reader.readexactly(length)
        self._idle.append((reader, writer))
        self.most = max(self.most, len(self._idle))
        return found


async def load(pid: int, port: int, hook: str, rate: float, seconds: float) -> None:
    requests = []
    for number in range(PATIENTS):
        data = json.dumps(body(hook, number)).encode()
        head = f"POST /cds-services/aris-{hook} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
        requests.append(f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data)
    connections, chance = Connections(port), random.Random(0)
    cards = [len(json.loads(await connections.post(each))["cards"]) for each in requests[:50]]  # warm
    times: list[float] = []

    async def one(due: float, number: int) -> None:
        await connections.post(requests[number % PATIENTS])
        times.append(time.perf_counter() - due)

    before, began = cpu_s(pid), time.perf_counter()
    due, calls = began, []
    while due < began + seconds:
        if (wait := due - time.perf_counter()) > 0:
            await asyncio.sleep(wait)
        calls.append(asyncio.create_task(one(due, len(calls))))
        due += chance.expovariate(rate)
    await asyncio.gather(*calls)
    took, used = time.perf_counter() - began, cpu_s(pid) - before
    times.sort()
    p50, p95, p99 = (1000 * times[int(share * len(times))] for share in (0.5, 0.95, 0.99))
    print(
        f"{hook}: {len(requests[0]):,} bytes, {min(cards)} to {max(cards)} cards, {rate:g} calls/s wanted for "
        f"{seconds:g} s: {len(times)} answered, {len(times) / took:.0f}/s, p50 {p50:.1f} ms, p95 {p95:.1f} ms, "
        f"p99 {p99:.1f} ms, {connections.most} connections; {1000 * used / len(times):.2f} ms of the server's CPU a "
        f"call ({100 * used / took:.0f} % of a core); load of the machine {os.getloadavg()[0]:.1f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=100, help="calls a second")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--hook", action="append", choices=("order-sign", "order-select", "patient-view"))
    wanted = parser.parse_args()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen([sys.executable, "-c", SERVER, str(port)])
    try:
        for _ in range(600):
            with socket.socket() as tried:
                if tried.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        for hook in wanted.hook or ("order-sign", "patient-view"):
            asyncio.run(load(server.pid, port, hook, wanted.rate, wanted.seconds))
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main()
