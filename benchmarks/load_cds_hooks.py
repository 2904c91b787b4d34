"""CDS Hooks under load: requests a second and the 95th percentile of the time to an answer, over HTTP on this machine.

    python benchmarks/load_cds_hooks.py [--seconds 20] [--connections 8]

The server runs in a process of its own; the calls are order-sign with a whole prefetch (a patient with some sixty
resources and two draft orders), which gives two cards. No model is in the path.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from fhir_made import allergy, bundle, drug, observation, patient

SERVER = """
import sys, uvicorn
from aris.service.cds_hooks import create_cds_app
uvicorn.run(create_cds_app(), host="127.0.0.1", port=int(sys.argv[1]), log_level="error", access_log=False)
"""


def body(hook: str) -> dict[str, Any]:
    now = datetime.now(UTC)
    names = ("potassium", "sodium", "creatinine", "haemoglobin", "glucose", "lactate", "egfr")
    values = (4.2, 139, 2.4, 11.8, 110, 1.1, 24)
    results = [
        observation(name, value, now - timedelta(hours=6 * each + 1), id=f"{name}-{each}")
        for each in range(7)
        for name, value in zip(names, values, strict=True)
    ]
    prefetch = {
        "patient": patient(), "conditions": None, "observations": bundle(*results),
        "medications": bundle(*(drug(f"Drug {each} 10 MG Oral Tablet", id=f"d{each}") for each in range(8))),
        "allergies": bundle(allergy("Penicillin V")), "procedures": None, "orders": None, "reports": None,
    }
    drafts = [drug("Ibuprofen 400 MG Oral Tablet", id="x1"), drug("Amoxicillin 500 MG Oral Capsule", id="x2")]
    context: dict[str, Any] = {"userId": "Practitioner/1", "patientId": "p1", "draftOrders": bundle(*drafts)}
    return {"hook": hook, "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea", "context": context, "prefetch": prefetch}


def cpu_s(pid: int) -> float:
    """The CPU time that a process has used (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def load(pid: int, port: int, hook: str, seconds: float, connections: int) -> None:
    data = json.dumps(body(hook)).encode()
    place = f"http://127.0.0.1:{port}/cds-services/aris-{hook}"
    headers = {"Content-Type": "application/json"}
    times: list[float] = []
    cards = 0
    async with httpx2.AsyncClient(limits=httpx2.Limits(max_connections=connections)) as client:
        await client.post(place, content=data, headers=headers)
        end = time.monotonic() + seconds

        async def one() -> None:
            nonlocal cards
            while time.monotonic() < end:
                began = time.perf_counter()
                answer = await client.post(place, content=data, headers=headers)
                times.append(time.perf_counter() - began)
                answer.raise_for_status()
                cards = len(answer.json()["cards"])

        before, began = cpu_s(pid), time.monotonic()
        await asyncio.gather(*(one() for _ in range(connections)))
        took = time.monotonic() - began
    times.sort()
    print(
        f"{hook}: {len(data):,} bytes, {cards} cards, {connections} connections: {len(times) / took:.0f} requests/s, "
        f"median {1000 * times[len(times) // 2]:.1f} ms, p95 {1000 * times[int(0.95 * len(times))]:.1f} ms; "
        f"the server used {1000 * (cpu_s(pid) - before) / len(times):.1f} ms of CPU a request"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--connections", type=int, default=2)
    wanted = parser.parse_args()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen([sys.executable, "-c", SERVER, str(port)])
    try:
        for _ in range(600):
            try:
                httpx2.get(f"http://127.0.0.1:{port}/healthz").raise_for_status()
                break
            except httpx2.HTTPError:
                time.sleep(0.1)
        for hook in ("order-sign", "patient-view"):
            asyncio.run(load(server.pid, port, hook, wanted.seconds, wanted.connections))
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main()
