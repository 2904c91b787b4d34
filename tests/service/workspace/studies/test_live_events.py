"""Live events over a real connection: resumed exactly after a cut, ended at sign-out and with the server."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
import pytest
import uvicorn
from office import PASSWORD, Office

from aris.flow.reading import journal as journal_module
from aris.flow.reading.journal import ACTIONS, Journal, Listener
from aris.service.workspace.studies.events import Live, end_live
from aris.store.reading import audit


class Serving:
    """The office's application at a real address, with live events that are looked for often."""

    def __init__(self, office: Office) -> None:
        self.workspace = office.app.state.workspace
        self.workspace.live = Live(self.workspace, poll_s=0.02)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.server = uvicorn.Server(uvicorn.Config(office.app, log_config=None, lifespan="off"))
        self.loop: asyncio.AbstractEventLoop | None = None
        self.thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        async def serve() -> None:
            self.loop = asyncio.get_running_loop()
            await self.server.serve(sockets=[self._socket])

        asyncio.run(serve())

    def __enter__(self) -> Serving:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        if self.thread.is_alive() and self.loop is not None:
            self.loop.call_soon_threadsafe(end_live, self.workspace)
            self.server.should_exit = True
            self.thread.join(60)
        assert not self.thread.is_alive()

    @contextmanager
    def client(self, login: str) -> Iterator[httpx2.Client]:
        with httpx2.Client(base_url=self.url, timeout=60) as made:
            answer = made.post("/api/session", json={"login": login, "password": PASSWORD})
            made.headers["X-CSRF-Token"] = answer.json()["csrf"]
            yield made


@contextmanager
def listening(client: httpx2.Client, after: str | None = None) -> Iterator[Iterator[dict[str, str]]]:
    headers = {} if after is None else {"Last-Event-ID": after}
    with client.stream("GET", "/api/events", headers=headers) as answer:
        assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/event-stream")
        yield blocks(answer)


def blocks(answer: httpx2.Response) -> Iterator[dict[str, str]]:
    block: dict[str, str] = {}
    for line in answer.iter_lines():
        if not line:
            if block:
                yield block
            block = {}
        elif not line.startswith(":"):
            name, _, value = line.partition(": ")
            block[name] = value


def studies(told: Iterator[dict[str, str]], count: int) -> list[tuple[str, str]]:
    """So many durable events: their ids and actions."""
    found: list[tuple[str, str]] = []
    while len(found) < count:
        block = next(told)
        assert ("id" in block) == (block.get("event") not in ("drafting", "rows"))
        if block.get("event") == "study":
            found.append((block["id"], json.loads(block["data"])["action"]))
    return found


def durable(office: Office) -> list[tuple[str, str]]:
    with office.clinic.store.sessions.reading() as session:
        rows = audit.events(session, limit=1000)[::-1]
    return [(str(each.number), each.action) for each in rows if each.action in ACTIONS]


def told_rows(told: Iterator[dict[str, str]], study: str) -> dict[str, Any]:
    """The next news of the worklist's lines that has a study."""
    while True:
        block = next(told)
        if block.get("event") == "rows":
            news: dict[str, Any] = json.loads(block["data"])
            if any(each["study"] == study for each in news["entries"]):
                return news


def test_the_lines_of_the_worklist_are_told_as_the_list_has_them(any_office: Office) -> None:
    uid = any_office.clinic.drafted()
    with Serving(any_office) as serving, serving.client("ana") as ana, listening(ana) as told:
        next(told)
        ana.post(f"/api/studies/{uid}/open")
        news = told_rows(told, uid)
        page = ana.get("/api/worklist").json()
        # But for the minutes of its wait.
        told_now, listed = ([{**each, "reason": ""} for each in said["entries"]] for said in (news, page))
        assert told_now == listed
        assert news["entries"][0]["opened_by"] == "ana" and news["counts"] == page["counts"]
        assert news["moved"] == [] and not news["many"], "it stands where it stood"
        other = any_office.clinic.receive(2, study=2)
        any_office.clinic.settle()
        assert told_rows(told, other)["moved"] == [other]


def test_a_page_that_was_cut_off_goes_on_where_it_was(any_office: Office) -> None:
    clinic = any_office.clinic
    with Serving(any_office) as serving, serving.client("ana") as ana:
        with listening(ana) as told:
            start = next(told)
            assert set(start) == {"id", "retry"}  # no event, only the place
            uid = clinic.drafted()
            first = studies(told, 3)
        assert [action for _, action in first] == ["arrive", "settle", "draft"]
        # The connection is cut: what happens meanwhile is told afterwards, all of it and once.
        ana.post(f"/api/studies/{uid}/open")
        ana.get(f"/api/studies/{uid}")
        ana.post(f"/api/studies/{uid}/close")
        with listening(ana, first[1][0]) as told:
            assert next(told)["id"] == first[1][0]
            again = studies(told, 3)
            ana.post(f"/api/studies/{uid}/open")
            again += studies(told, 1)
        assert first[:2] + again == durable(any_office)
        with listening(ana, "999999") as told:  # of another house
            assert next(told)["id"].isdecimal()
        assert ana.get("/api/events", headers={"Last-Event-ID": "x" * 30}).status_code == 422


def test_drafts_are_told_without_an_id(office: Office) -> None:
    with Serving(office) as serving, serving.client("vic") as vic, listening(vic) as told:
        next(told)
        uid = office.clinic.drafted()
        states = []
        while "done" not in states:
            block = next(told)
            if block.get("event") == "drafting":
                assert "id" not in block and json.loads(block["data"])["study"] == uid
                states.append(json.loads(block["data"])["state"])
        assert states[0] == "waiting"


def test_a_stream_ends_when_its_user_signs_out_and_with_the_server(office: Office) -> None:
    with Serving(office) as serving, serving.client("ana") as ana, serving.client("bob") as bob:
        with serving.client("adm") as adm:
            assert adm.get("/api/events").status_code == 403
        assert httpx2.get(f"{serving.url}/api/events").status_code == 401
        with listening(ana) as mine, listening(bob) as his:
            next(mine), next(his)
            ana.delete("/api/session")
            assert [block for block in mine if block.get("event") == "study"] == []  # it ends
            uid = office.clinic.drafted()
            assert json.loads(next(block for block in his if block.get("event") == "study")["data"])["study"] == uid
            serving.stop()
            list(his)
    assert serving.workspace.live.journal.listeners == 0


def test_a_listener_that_is_far_behind_is_ended_and_misses_nothing(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "_BEHIND", 50)
    house, many = office.clinic.house, 600

    def happen(count: int) -> None:
        with house.store.sessions.writing() as session:
            for _ in range(count):
                house.trail.add(session, "ana", "edit", "1.2.3")

    async def read(after: int | None, wanted: int) -> list[Any]:
        journal = Journal(house, 0.01)
        slow, found = Listener(journal), []
        async for event in slow.events(after):
            found.append(event)
            if len(found) == 1 and after is None:
                happen(many)
                await asyncio.sleep(0)
                while not slow._ended:  # it does not read, until it is given up
                    await asyncio.sleep(0.01)
            if len(found) == wanted + 1:
                break
        journal.end()
        return found

    (start,) = asyncio.run(read(None, 0))
    told = asyncio.run(read(start, many))
    assert [each.number for each in told[1:]] == list(range(start + 1, start + many + 1))
