"""kill -9 of a real server at random moments of a scripted flow: store, draft, edit, sign, export.

No signed report is lost or changed, no acknowledged study is lost, and what is delivered again has the same UID. A few
rounds by default; `ARIS_CRASHES=50` makes it as many.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import socket
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from office import PASSWORD, Office

from aris.exchange.files import read_header
from aris.store.checking import problems
from aris.store.reading import edits, readings, reports
from dicom_objects import ROOT, as_bytes, image

KILLS = int(os.environ.get("ARIS_CRASHES", "2"))
# So many that the script does not end before the kills do.
STUDIES = max(5, KILLS // 2)
LEASE_S = 1.0


def settings(folder: Path) -> dict[str, Any]:
    return {"lease_s": LEASE_S, "destinations": [
        {"kind": "folder", "name": "out", "path": folder / "out", "formats": ["sr"]}
    ]}  # fmt: skip


def cheap() -> None:
    import argon2

    from aris.store.reading import users

    hasher = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    users._hasher = lambda: hasher  # type: ignore[assignment]


def serve(folder: Path, url: str | None, port: int) -> None:
    """The server with its worker, as `aris serve` has them; the drafts are recorded."""
    import uvicorn

    from aris.flow.outgoing import delivery
    from aris.flow.worker import Worker

    cheap()
    delivery.LEASE = timedelta(seconds=LEASE_S)  # what a killed server held is soon free
    office = Office(folder, url, **settings(folder))
    threading.Thread(target=Worker(office.clinic.house, office.clinic.drafter).run, daemon=True).start()
    uvicorn.run(office.app, host="127.0.0.1", port=port, log_level="critical", access_log=False)


class Reader(threading.Thread):
    """A person who does the script, again from where it stands whenever the server is gone."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self.url = url
        self.told: list[tuple[str, str, Any]] = []
        self.error: BaseException | None = None
        self.gone = threading.Event()

    def run(self) -> None:
        try:
            with httpx2.Client(base_url=self.url, timeout=60) as client:
                self.client = client
                self.again(self.sign_in)
                for number in range(1, STUDIES + 1):
                    self.again(lambda number=number: self.read(number))  # type: ignore[misc]
                self.again(self.delivered)
        except BaseException as error:
            self.error = error

    def again(self, step: Any) -> None:
        while not self.gone.is_set():
            try:
                step()
                return
            except (httpx2.TransportError, TryLaterError):
                time.sleep(0.05)

    def ask(self, method: str, path: str, *known: int, **more: Any) -> httpx2.Response:
        answer = self.client.request(method, f"/api{path}", **more)
        if answer.status_code >= 500:
            raise TryLaterError
        assert answer.status_code < 300 or answer.status_code in known, answer.text
        return answer

    def sign_in(self) -> None:
        answer = self.ask("POST", "/session", json={"login": "ana", "password": PASSWORD})
        self.client.headers["X-CSRF-Token"] = answer.json()["csrf"]

    def read(self, number: int) -> None:
        uid = f"{ROOT}.{number}"
        made = self.ask("POST", "/uploads", content=as_bytes(image(1, study=number)), params={"name": "film.dcm"})
        assert made.json()["studies"] == [uid] and not made.json()["refused"]
        self.told.append(("stored", uid, None))
        while True:
            found = self.ask("GET", f"/studies/{uid}", 404)
            if found.status_code == 200 and found.json()["text"] is not None:
                break
            time.sleep(0.1)
        study = found.json()
        self.told.append(("drafted", uid, None))
        if study["text"]["author"] == "(model)":
            saved = self.ask("PUT", f"/studies/{uid}/text", json={
                "sections": {"impression": f"Text of {number}."}, "base": study["text"]["number"],
            }).json()  # fmt: skip
            self.told.append(("edited", uid, saved["number"]))
            study = self.ask("GET", f"/studies/{uid}").json()
        if study["state"] != "final":
            body = {"password": PASSWORD, "text": study["text"]["number"]}
            signed = self.ask("POST", f"/studies/{uid}/sign", json=body).json()
            self.told.append(("signed", uid, signed["digest"]))

    def delivered(self) -> None:
        while self.ask("GET", "/deliveries").json():
            time.sleep(0.2)


class TryLaterError(Exception):
    pass


@pytest.mark.slow
@pytest.mark.timeout(300 + 60 * KILLS)
@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_kill_9_of_the_server_loses_nothing(tmp_path: Path, database_url: str | None, cheap_passwords: None) -> None:
    seed = int(os.environ.get("ARIS_CRASH_SEED", "0")) or random.SystemRandom().randrange(1 << 30)
    draw = random.Random(seed)
    Office(tmp_path, database_url, **settings(tmp_path)).clinic.store.close()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    spawn = multiprocessing.get_context("spawn")
    reader = Reader(f"http://127.0.0.1:{port}")

    def begin() -> Any:
        made = spawn.Process(target=serve, args=(tmp_path, database_url, port), daemon=True)
        made.start()
        return made

    def is_up() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    killed = 0
    server = begin()
    reader.start()
    try:
        while killed < KILLS and reader.is_alive():
            while not is_up() and server.is_alive():
                time.sleep(0.02)
            reader.join(draw.uniform(0.0, 1.2))
            os.kill(server.pid, signal.SIGKILL)
            server.join()
            killed += 1
            server = begin()
        reader.join(200 + 20 * STUDIES)
    finally:
        done = not reader.is_alive()
        reader.gone.set()
        server.kill()
        server.join()
    assert done and reader.error is None, (seed, reader.error)
    print(f"seed {seed}: {killed} kills, {len(reader.told)} steps were acknowledged")
    office = Office(tmp_path, database_url, **settings(tmp_path))
    check(office, reader.told, tmp_path / "out", f"seed {seed}, {killed} kills")


def check(office: Office, told: list[tuple[str, str, Any]], out: Path, how: str) -> None:
    clinic = office.clinic
    assert problems(clinic.store) == [], how
    with clinic.store.sessions.reading() as session:
        assert clinic.house.trail.verify(session) == [], how
        for number in range(1, STUDIES + 1):
            uid = f"{ROOT}.{number}"
            reading = readings.require(session, uid)
            (row,) = reports.all_of(session, reading)
            assert reading.state == "final" and row.content["text"]["impression"] == f"Text of {number}.", how
            assert {words[2] for words in told if words[:2] == ("signed", uid)} <= {row.digest}, how
            kept = {each.number for each in edits.all_of(session, reading)}
            assert {words[2] for words in told if words[:2] == ("edited", uid)} <= kept, how
            (file,) = (out / uid).iterdir()
            assert read_header(file).SOPInstanceUID == row.document["uid"], how
            (document,) = reports.documents(session, row.id, "sr")
            assert file.read_bytes() == document.data, how
    assert clinic.store.counts()["instances"] == STUDIES, how
