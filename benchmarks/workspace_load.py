"""Load of the workspace: scripted readers with 5 s of thought between two acts, on a list of 10,000 studies.

    python benchmarks/workspace_load.py [--database postgresql://...] [--studies 10000] [--readers 50] [--seconds 60]

Each reader looks at the list (at changing pages, sorts and searches), opens a study, writes, and closes it. Prints the
95th percentile of the list's answers beside the limit of 300 ms, and every answer that was an error. The server runs in
a process of its own, the readers in this one.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import random
import socket
import statistics
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import uvicorn
from sqlalchemy import insert

from aris.flow.house import House, open_house
from aris.service.workspace.app import create_workspace
from aris.store.reading import users
from aris.store.reading.tables import EditRow, ReadingRow
from aris.store.schema import CopyRow, InstanceRow, SeriesRow, StudyRow
from aris.store.store import Store

LIMIT_MS = 300.0
PASSWORD = "correct horse battery staple"
ROOT = "1.2.826.0.1.3680043.8.498.77"
SECTIONS = dict.fromkeys(("examination", "indication", "technique", "comparison"), "") | {
    "findings": "Opacity in the right lower zone.", "impression": "Pneumonia is likely."
}  # fmt: skip


def house_of(folder: Path, url: str | None) -> House:
    return open_house(Store(folder / "store", url=url), key=folder / "keys" / "audit.key")


def fill(house: House, count: int, readers: int) -> None:
    """Put studies with readings and texts straight into the tables, a fifth of them signed, and the readers."""
    now, draw = datetime.now(UTC), random.Random(1)
    numbers = range(1, count + 1)
    families = ("Müller", "García", "Smith", "Yamada", "Kowalska", "Okafor", "Silva", "Nowak")
    born = [f"{draw.randrange(1930, 2020)}0615" for _ in numbers]
    state = [draw.choices(("drafted", "settled", "opened", "final"), (6, 1, 1, 2))[0] for _ in numbers]
    with house.store.sessions.writing() as session:
        session.execute(insert(StudyRow), [
            {"id": n, "uid": f"{ROOT}.{n}", "study_id": str(n), "accession": f"A{n}", "date": "20261129",
             "time": "101500", "description": "Chest PA", "referrer": "Roe^Richard", "patient_id": f"P{n // 2}",
             "patient_name": f"{families[n % 8]}^{n // 8}", "birth_date": born[n - 1], "sex": "FM"[n % 2],
             "issuer": "", "received_at": now} for n in numbers
        ])  # fmt: skip
        session.execute(insert(SeriesRow), [
            {"id": n, "study_pk": n, "uid": f"{ROOT}.{n}.1", "modality": ("DX", "CR", "CT", "MR")[n % 4], "number": "1",
             "description": "PA", "body_part": "CHEST"} for n in numbers
        ])  # fmt: skip
        session.execute(insert(InstanceRow), [
            {"id": n, "series_pk": n, "uid": f"{ROOT}.{n}.1.1", "sop_class": "1.2.840.10008.5.1.4.1.1.1.1",
             "number": "1", "rows": 16, "columns": 16, "bits_allocated": 16, "frames": None,
             "transfer_syntax": "1.2.840.10008.1.2.1", "digest": f"{n:064x}", "size": 1} for n in numbers
        ])  # fmt: skip
        session.execute(insert(CopyRow), [
            {"id": n, "instance_pk": n, "digest": f"{n:064x}", "size": 1, "transfer_syntax": "1.2.840.10008.1.2.1",
             "source": "CT1", "received_at": now} for n in numbers
        ])  # fmt: skip
        session.execute(insert(ReadingRow), [
            {"id": n, "study_uid": f"{ROOT}.{n}", "state": state[n - 1], "order_pk": None, "images": 1,
             "images_digest": "d", "arrived_at": now - timedelta(minutes=n % 600), "last_object_at": now,
             "settled_at": now, "urgency": n % 3, "concern": n % 4, "assessed": True, "reason": "pneumonia 0.93",
             "due_at": now + timedelta(minutes=60 - n % 300), "text_number": 1, "opened_by": "", "opened_at": None,
             "notice": "", "changed_at": now} for n in numbers
        ])  # fmt: skip
        session.execute(insert(EditRow), [
            {"id": n, "reading_pk": n, "number": 1, "base": 0, "author": "(model)", "draft_number": 0,
             "sections": SECTIONS, "created_at": now} for n in numbers
        ])  # fmt: skip
        users._hasher.cache_clear()
        for number in range(readers):
            users.add(session, f"reader{number}", PASSWORD, role="reader", name=f"Reader^{number}",
                      organization="Load", now=now)  # fmt: skip
        # Rows went in under numbers of their own: PostgreSQL must count on from there.
        if house.store.sessions.dialect == "postgresql":
            from sqlalchemy import text

            for table in ("studies", "series", "instances", "copies", "readings", "edits"):
                session.execute(text(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), {count})"))


def serve(folder: Path, url: str | None, port: int) -> None:
    from aris.service.workspace.settings import WorkspaceSettings

    # Fifty sign in within a moment, from one address.
    settings = WorkspaceSettings(sign_ins=1000, sign_ins_in_all=1000)
    app = create_workspace(house_of(folder, url), settings=settings)
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="error", access_log=False,
                timeout_keep_alive=30)  # as of `aris serve`


async def reader(
    number: int, url: str, ready: asyncio.Barrier, seconds: float, think: float, took: dict[str, list[float]]
) -> int:
    draw, wrong = random.Random(number), 0

    async with httpx2.AsyncClient(base_url=url, timeout=60) as client:

        async def act(kind: str, method: str, path: str, **more: Any) -> Any:
            nonlocal wrong
            began = time.perf_counter()
            answer = await client.request(method, path, **more)
            took.setdefault(kind, []).append((time.perf_counter() - began) * 1000)
            if answer.status_code >= 400:
                wrong += 1
                print(f"{method} {path}: {answer.status_code} {answer.text[:200]}")
            return answer.json() if answer.content and answer.status_code < 400 else {}

        await asyncio.sleep(draw.random() * think)
        signed_in = await act("sign in", "POST", "/api/session",
                              json={"login": f"reader{number}", "password": PASSWORD})  # fmt: skip
        client.headers["X-CSRF-Token"] = signed_in.get("csrf", "")
        # Passwords cost on purpose: all are in before the measured time begins.
        await ready.wait()
        until = time.monotonic() + seconds
        await asyncio.sleep(draw.random() * think)
        while time.monotonic() < until:
            query = draw.choice([
                {}, {"offset": draw.randrange(0, 7000, 100)}, {"sort": draw.choice(["patient", "arrived", "modality"])},
                {"text": draw.choice(["smith", "P12", "müller", "A77"])}, {"modality": "CT"}, {"state": "final"},
            ])  # fmt: skip
            page = await act("worklist", "GET", "/api/worklist", params=query)
            await asyncio.sleep(think * draw.uniform(0.5, 1.5))
            entries = page.get("entries") or []
            if not entries:
                continue
            uid = draw.choice(entries)["study"]
            study = await act("open", "POST", f"/api/studies/{uid}/open")
            await asyncio.sleep(think * draw.uniform(0.5, 1.5))
            base = (study.get("text") or {}).get("number", 0)
            await act("text", "PUT", f"/api/studies/{uid}/text",
                      json={"sections": {"impression": f"No finding ({draw.random():.6f})."}, "base": base})  # fmt: skip
            await act("close", "POST", f"/api/studies/{uid}/close")
            await asyncio.sleep(think * draw.uniform(0.5, 1.5))
    return wrong


async def load(url: str, readers: int, seconds: float, think: float) -> tuple[dict[str, list[float]], int]:
    took: dict[str, list[float]] = {}
    ready = asyncio.Barrier(readers)
    wrong = await asyncio.gather(*(reader(each, url, ready, seconds, think, took) for each in range(readers)))
    return took, sum(wrong)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", help="an empty PostgreSQL database; SQLite by default")
    parser.add_argument("--studies", type=int, default=10_000)
    parser.add_argument("--readers", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--think", type=float, default=5.0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="aris-load-") as name:
        folder = Path(name)
        house = house_of(folder, given.database)
        began = time.perf_counter()
        fill(house, given.studies, given.readers)
        house.store.close()
        print(f"{given.studies:,} studies put into the store in {time.perf_counter() - began:.1f} s")
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        server = multiprocessing.get_context("spawn").Process(target=serve, args=(folder, given.database, port))
        server.start()
        try:
            url = f"http://127.0.0.1:{port}"
            for _ in range(600):
                try:
                    httpx2.get(f"{url}/api/session")
                    break
                except httpx2.TransportError:
                    time.sleep(0.1)
            took, wrong = asyncio.run(load(url, given.readers, given.seconds, given.think))
        finally:
            server.terminate()
            server.join()
    for kind, times in sorted(took.items()):
        p95 = statistics.quantiles(times, n=20)[-1] if len(times) > 1 else times[0]
        print(f"{kind:9} {len(times):5} answers  median {statistics.median(times):6.1f} ms  p95 {p95:6.1f} ms")
    times = took["worklist"]
    print(f"worklist p95 {statistics.quantiles(times, n=20)[-1]:.1f} ms (limit {LIMIT_MS:g} ms); {wrong} errors")


if __name__ == "__main__":
    main()
