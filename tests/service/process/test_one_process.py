"""`aris serve`: what answers while the model loads, who is let in where, and an end that loses nothing."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest
from house_at_work import STUDY, application, client, made_house, sign_in, token

from aris.backends import NativeBackend
from aris.errors import ArisError, ModelError
from aris.exchange.node.server import NodeSettings
from aris.flow.arrival import settle_now
from aris.flow.house import House
from aris.flow.worker import Worker
from aris.service import Settings
from aris.service.process.loading import LoadingModel
from aris.service.process.running import Process
from aris.service.process.settings import ProcessSettings
from aris.service.workspace.app import create_workspace
from aris.service.workspace.settings import WorkspaceSettings
from aris.store.reading.tables import JobRow
from aris.tasks import Draft
from cheap_passwords import cheap_passwords
from dicom_objects import as_bytes, image

__all__ = ["cheap_passwords"]
STOW = {"Content-Type": "application/dicom"}


@pytest.fixture
def house(tmp_path: Path, cheap_passwords: None) -> Iterator[House]:
    made = made_house(tmp_path)
    yield made
    made.store.close()


def actions(house: House) -> list[tuple[str, str]]:
    from aris.store.reading.audit import events

    with house.store.sessions.reading() as session:
        return [(each.actor, each.action) for each in reversed(events(session))]


def test_pages_and_list_answer_while_the_model_loads(house: House, backend: NativeBackend) -> None:
    go_on = threading.Event()

    def load() -> NativeBackend:
        assert go_on.wait(60)
        return backend

    model = LoadingModel("tiny", load)
    with client(application(house, model)) as browser:
        sign_in(browser, "ana")
        assert browser.get("/api/worklist").status_code == 200
        assert browser.get("/healthz").json() == {"status": "ok", "model": "loading"}
        refused = browser.get("/v1/models")
        assert refused.status_code == 503 and refused.json()["error"]["code"] == "model_loading"
        assert int(refused.headers["retry-after"]) > 0
        go_on.set()
        assert model.wait(60)
        for _ in range(1000):  # the API begins in the event loop, a moment later
            answer = browser.get("/v1/models")
            if answer.status_code == 200:
                break
            time.sleep(0.01)
        assert [each["id"] for each in answer.json()["data"]] and model.state == "ready"
    assert browser.get("/healthz").json()["model"] == "ready"


def test_a_model_that_cannot_be_loaded_leaves_the_workspace(house: House) -> None:
    def load() -> NativeBackend:
        raise ModelError("broken.gguf: damaged")

    model = LoadingModel("broken.gguf", load)
    with client(application(house, model)) as browser:
        assert model.wait(60)
        assert browser.get("/v1/models").json()["error"]["code"] == "no_model"
        sign_in(browser, "ana")
        assert browser.get("/api/preferences").status_code == 200
    assert model.problem == "broken.gguf: damaged"


@pytest.mark.parametrize(
    ("scopes", "key", "host", "status"),
    [
        ((), None, "127.0.0.1", 200),  # a program on this machine
        ((), None, "0.0.0.0", 401),
        ((), None, "https://aris.example", 401),  # all of a reverse proxy's callers come from this machine
        (("model",), None, "0.0.0.0", 200),
        (("read", "write", "dicomweb", "audit"), None, "0.0.0.0", 403),
        ((), "a-key", "127.0.0.1", 401),
        (("model",), "a-key", "127.0.0.1", 200),
    ],
)
def test_the_model_s_callers(
    house: House, backend: NativeBackend, scopes: tuple[str, ...], key: str | None, host: str, status: int
) -> None:
    model = LoadingModel("tiny", lambda: backend)
    at = {"public_url": host} if "//" in host else {"host": host}
    workspace = WorkspaceSettings(plain=True, **at)  # type: ignore[arg-type]
    app = application(house, model, workspace=workspace, api=Settings(api_key=key))
    with client(app, **(token(house, "ana", *scopes) if scopes else {})) as browser:
        assert model.wait(60)
        while (answer := browser.get("/v1/models")).status_code == 503:
            time.sleep(0.01)
        assert answer.status_code == status
        if key is not None:
            browser.headers["Authorization"] = f"Bearer {key}"
            assert browser.get("/v1/models").status_code == 200
        browser.headers["Authorization"] = "Bearer aris_wrong"
        assert browser.get("/v1/models").status_code == 401
        del browser.headers["Authorization"]
        browser.cookies.clear()
        foreign = browser.get("/v1/models", headers={"Origin": "https://evil.example"})
        assert foreign.status_code in (401, 403)


def test_dicomweb_wants_a_session_or_a_token(house: House) -> None:
    film = as_bytes(image(2))
    with client(application(house)) as browser:
        where = f"/dicom-web/studies/{STUDY}"
        for path in ("/dicom-web/studies", where, f"{where}/metadata"):
            assert browser.get(path).status_code == 401
        assert browser.post("/dicom-web/studies", content=film, headers=STOW).status_code == 401
        sign_in(browser, "ana")
        assert browser.get("/dicom-web/studies").json()[0]["0020000D"]["Value"] == [STUDY]
        assert browser.get(where, headers={"Accept": 'multipart/related; type="application/dicom"'}).status_code == 200
        base = browser.get("/dicom-web/studies").json()[0]["00081190"]["Value"][0]
        assert base.endswith(where) and "127.0.0.1" in base
        assert browser.get(where, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
        assert browser.post("/dicom-web/studies", content=film, headers=STOW).status_code == 403
        browser.cookies.clear()
        for scopes, status in ((("read", "write", "model"), 403), (("dicomweb",), 200)):
            browser.headers.update(token(house, "ana", *scopes))
            assert browser.post("/dicom-web/studies", content=film, headers=STOW).status_code == status
        browser.headers.update(token(house, "vic", "dicomweb"))  # looks, and sends nothing
        assert browser.get("/dicom-web/studies").status_code == 200
        assert browser.post("/dicom-web/studies", content=film, headers=STOW).status_code == 403
        browser.headers.update(token(house, "adm", "dicomweb"))
        assert browser.get("/dicom-web/studies").status_code == 403
    assert [each for each in actions(house) if each[1] in ("search", "view", "store")] == [
        ("ana", "search"), ("ana", "view"), ("ana", "store"), ("vic", "search")
    ]  # fmt: skip


def test_dicomweb_can_be_left_out(house: House) -> None:
    with client(application(house, dicomweb=False), **token(house, "ana", "dicomweb")) as browser:
        assert browser.get("/dicom-web/studies").status_code == 404


def test_addresses_that_are_taken_say_what_to_do(house: House) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for settings, said in (
            (ProcessSettings(port=port, node=None), "--port"),
            (ProcessSettings(port=0, node=NodeSettings(port=port)), "--no-node"),
        ):
            process = Process(house, LoadingModel("none", None), settings, lambda _: None)  # type: ignore[arg-type,return-value]
            with pytest.raises(ArisError, match="already in use") as refused:
                process.run()
            assert said in str(refused.value)


def test_what_is_being_drafted_is_handed_back_before_the_engine_ends(house: House, backend: NativeBackend) -> None:
    """An engine that ends fails its drafts; a study is not to be given up for three restarts."""
    engine_ran: list[bool] = []
    app = application(house, LoadingModel("tiny", lambda: backend))
    app._before_end = lambda: engine_ran.append(backend.engine._thread is not None)
    with client(app) as browser:
        while browser.get("/v1/models").status_code == 503:
            time.sleep(0.01)
    assert engine_ran == [True] and backend.engine._thread is None


def test_a_model_without_its_drafts_is_given_to_nobody(house: House, backend: NativeBackend) -> None:
    def drafter(_: NativeBackend) -> Any:
        raise ArisError("calibration.json: damaged")

    settings = ProcessSettings(node=None, worker=False)
    model = LoadingModel("tiny", lambda: backend)
    process = Process(house, model, settings, drafter)
    workspace = create_workspace(house, settings=settings.workspace).state.workspace
    process._follow(workspace)
    model.start()
    assert model.wait(60) and model.state == "failed"
    assert workspace.model is None and workspace.drafts is None and workspace.loading == "failed"


class SlowDrafter:
    """Drafts until it is let go."""

    name, revision = "slow", "1"

    def __init__(self) -> None:
        self.began, self.go_on = threading.Event(), threading.Event()

    def __call__(self, files: Sequence[Path]) -> Draft:
        self.began.set()
        assert self.go_on.wait(60)
        raise ArisError("nobody waits for this any more")


def test_a_draft_in_progress_goes_back_to_the_queue(house: House) -> None:
    settle_now(house, [STUDY])
    drafter, worker = SlowDrafter(), Worker(house, None)
    working = threading.Thread(target=worker.run, daemon=True)
    working.start()
    worker.use(drafter)  # type: ignore[arg-type]
    assert drafter.began.wait(60)
    worker.stop()
    assert worker.give_back() == 1
    with house.store.sessions.reading() as session:
        job = session.query(JobRow).one()
        assert (job.state, job.owner, job.attempts) == ("waiting", "", 0)
        assert job.not_before <= datetime.now(UTC)
    drafter.go_on.set()
    working.join(60)
    with house.store.sessions.reading() as session:  # what it still made of it counts for nothing
        job = session.query(JobRow).one()
        assert (job.state, job.attempts) == ("waiting", 0)


def start(home: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    pipe: Any = subprocess.PIPE
    values = os.environ | {"ARIS_HOME": str(home), "HOME": str(home)} | environment
    command = [sys.executable, "-m", "aris.cli", "serve", "--port", "0", "--dicom-port", "0", "--no-browser"]
    return subprocess.Popen([*command, *arguments], env=values, stderr=pipe, stdout=pipe, text=True)


def told(process: subprocess.Popen[str], pattern: str) -> str:
    """Return the first group of the first line that matches."""
    assert process.stderr is not None
    seen = []
    for line in process.stderr:
        seen.append(line)
        if found := re.search(pattern, line):
            return found[1]
    raise AssertionError("".join(seen))


def test_the_real_process_ends_in_time_with_all_open(tmp_path: Path) -> None:
    """A signal comes while a stream of events, an upload and an association are open."""
    process = start(tmp_path, "--no-model")
    try:
        url, code = told(process, r"(http://127.0.0.1:\d+/setup#\S+)").split("/setup#")
        node = int(told(process, r"DICOM node: ARIS@127.0.0.1:(\d+)"))
        told(process, "(stop with Ctrl.C)")
        answer: Any = None
        for _ in range(1000):
            try:
                answer = httpx2.get(f"{url}/healthz", timeout=60)
                break
            except httpx2.ConnectError:
                time.sleep(0.01)
        assert answer.json() == {"status": "ok", "model": "none"}
        with httpx2.Client(base_url=url, timeout=60) as browser:
            user = {"code": code, "login": "ana", "password": "correct horse battery", "name": "Müller^Ana",
                    "organization": "St. Élan", "identifier": ""}  # fmt: skip
            made = browser.post("/api/setup", json=user)
            assert made.status_code == 200, made.text
            assert browser.post("/api/setup", json=user).status_code in (403, 409)  # the code works once
            cookie = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
            port = int(url.rpartition(":")[2])
            open_ones = [socket.create_connection(("127.0.0.1", each), 60) for each in (port, port, node)]
            lines = f"Host: 127.0.0.1:{port}\r\nCookie: {cookie}\r\nX-CSRF-Token: {made.json()['csrf']}\r\n"
            open_ones[0].sendall(f"GET /api/events HTTP/1.1\r\n{lines}\r\n".encode())
            half = f"POST /api/uploads?name=a.dcm HTTP/1.1\r\n{lines}Content-Length: 9\r\n\r\nabc"
            open_ones[1].sendall(half.encode())
            assert open_ones[0].recv(12).startswith(b"HTTP/1.1 ")
            began = time.monotonic()
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
            # Ten seconds, and what a busy machine adds to each step.
            assert time.monotonic() - began < 20
            for each in open_ones:
                each.close()
    finally:
        process.kill()
        process.communicate()
