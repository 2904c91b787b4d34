"""Cost of the workspace's requests: CPU time of the server's process and SQL statements, on a list of 10,000 studies.

    python benchmarks/workspace_cost.py [--studies 10000] [--times 20] [--house FOLDER] [--profile "worklist"]

Each request goes to the application in this process, without a network, one after the other. CPU time does not depend
on what else the machine does, so that two versions can be compared on a busy one. With `--house` the filled store is
kept in a folder and used again; with `--profile` the functions that a request's time went to are printed.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import json
import pstats
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from sqlalchemy import event

sys.path.insert(0, str(Path(__file__).parent))

from aris.service.workspace.app import create_workspace
from aris.service.workspace.settings import WorkspaceSettings
from workspace_load import PASSWORD, ROOT, fill, house_of


class Direct:
    """Calls an ASGI application; counts CPU seconds of this process and SQL statements."""

    def __init__(self, app: Any, engine: Any) -> None:
        self.app, self.statements, self.cookie, self.csrf = app, 0, "", ""
        event.listen(engine, "before_cursor_execute", self._count)

    def _count(self, *_: Any) -> None:
        self.statements += 1

    async def ask(self, method: str, path: str, body: Any = None) -> tuple[int, dict[str, str], bytes]:
        data = b"" if body is None else json.dumps(body).encode()
        headers = [(b"host", b"127.0.0.1:8000"), (b"content-type", b"application/json"),
                   (b"content-length", str(len(data)).encode())]  # fmt: skip
        if self.cookie:
            headers += [(b"cookie", self.cookie.encode()), (b"x-csrf-token", self.csrf.encode())]
        target, _, query = path.partition("?")
        scope = {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "path": target,
                 "raw_path": target.encode(), "query_string": query.encode(), "headers": headers, "scheme": "http",
                 "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 8000), "root_path": "", "state": {}}  # fmt: skip
        got: list[Any] = []
        given = False

        async def receive() -> Any:
            nonlocal given
            if given:
                await asyncio.sleep(3600)
            given = True
            return {"type": "http.request", "body": data, "more_body": False}

        async def send(message: Any) -> None:
            got.append(message)

        await self.app(scope, receive, send)
        heads = {name.decode().lower(): value.decode() for name, value in got[0]["headers"]}
        return got[0]["status"], heads, b"".join(each.get("body", b"") for each in got[1:])


async def measure(direct: Direct, times: int, studies: int, profile: str) -> None:
    status, heads, body = await direct.ask("POST", "/api/session", {"login": "reader0", "password": PASSWORD})
    assert status == 200, body
    direct.cookie, direct.csrf = heads["set-cookie"].partition(";")[0], json.loads(body)["csrf"]
    draw = random.Random(3)
    uids = [f"{ROOT}.{draw.randrange(1, studies)}" for _ in range(times)]
    for uid in uids:  # whatever the first use makes is not the request's
        await direct.ask("POST", f"/api/studies/{uid}/open")
    bases: dict[str, int] = {}
    for uid in uids:
        bases[uid] = (json.loads((await direct.ask("GET", f"/api/studies/{uid}"))[2])["text"] or {}).get("number", 0)

    def text(number: int) -> tuple[str, str, Any]:
        uid = uids[number]
        bases[uid] += 1
        return "PUT", f"/api/studies/{uid}/text", {"sections": {"impression": f"No finding ({draw.random():.6f})."},
                                                    "base": bases[uid] - 1}  # fmt: skip

    acts: dict[str, Any] = {
        "session": lambda n: ("GET", "/api/session", None),
        "worklist": lambda n: ("GET", "/api/worklist", None),
        "worklist at 5000": lambda n: ("GET", f"/api/worklist?offset={5000 + n}", None),
        "worklist by patient": lambda n: ("GET", f"/api/worklist?sort=patient&offset={n}", None),
        "worklist by modality": lambda n: ("GET", f"/api/worklist?sort=modality&offset={n}", None),
        "worklist, a name": lambda n: ("GET", f"/api/worklist?text=m%C3%BCller&offset={n}", None),
        "worklist, CT": lambda n: ("GET", f"/api/worklist?modality=CT&offset={n}", None),
        "worklist, final": lambda n: ("GET", f"/api/worklist?state=final&offset={n}", None),
        "study": lambda n: ("GET", f"/api/studies/{uids[n]}", None),
        "open": lambda n: ("POST", f"/api/studies/{uids[n]}/open", None),
        "text": text,
        "close": lambda n: ("POST", f"/api/studies/{uids[n]}/close", None),
        "open, then the list": None,
    }
    for name, made in acts.items():
        if profile and name != profile:
            continue
        spent, statements, size = [], 0, 0
        watch = cProfile.Profile(time.process_time)
        for number in range(times):
            if made is None:
                await direct.ask("POST", f"/api/studies/{uids[number]}/open")
                request: Any = ("GET", "/api/worklist", None)
            else:
                request = made(number)
            before, asked = time.process_time(), direct.statements
            if profile:
                watch.enable()
            status, _, body = await direct.ask(*request)
            if profile:
                watch.disable()
            spent.append(1000 * (time.process_time() - before))
            statements, size = max(statements, direct.statements - asked), len(body)
            assert status < 300, (name, status, body[:300])
        print(f"{name:22} {min(spent):6.1f} ms CPU (median {statistics.median(spent):6.1f})  {statements:3} statements  "
              f"{size:7,} bytes", flush=True)  # fmt: skip
        if profile:
            pstats.Stats(watch).sort_stats("tottime").print_stats(30)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", help="an empty PostgreSQL database; SQLite by default")
    parser.add_argument("--studies", type=int, default=10_000)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--house", type=Path, help="where the filled store is kept")
    parser.add_argument("--profile", default="", help="one request's name: where its time goes")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="aris-cost-") as name:
        folder = given.house or Path(name)
        known = (folder / "store").exists()
        house = house_of(folder, given.database)
        if not known:
            fill(house, given.studies, 50)
        app = create_workspace(house, settings=WorkspaceSettings(sign_ins=1000, sign_ins_in_all=1000))
        if given.profile:  # threads are not watched by the profiler: all runs in this one
            import anyio.to_thread

            async def here(function: Any, *args: Any, **_: Any) -> Any:
                return function(*args)

            anyio.to_thread.run_sync = here  # type: ignore[assignment]
        direct = Direct(app, house.store.sessions._engine)
        asyncio.run(measure(direct, given.times, given.studies, given.profile))
        house.store.close()


if __name__ == "__main__":
    main()
