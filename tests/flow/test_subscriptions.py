"""Subscriptions: a FHIR server wakes the watch; what it does not tell the poll finds; each alarm is told once."""

from __future__ import annotations

import json
import os
import queue
import random
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from aris.errors import ArisError, RecordError
from aris.flow.monitoring import Event, Follower, Source, newest_moment
from aris.flow.monitoring.notifications import Bell
from aris.flow.monitoring.subscribed import Listener, Subscribed
from aris.flow.monitoring.subscriptions import LIFETIME, WATCHED, Subscriptions
from aris.records.fhir.client import FhirClient
from fhir_made import NOW, observation, patient
from fhir_server import TYPES, FhirServer, call

HOUR = timedelta(hours=1)
COURSE = [
    observation("potassium", 6.7, NOW),
    observation("sodium", 118, NOW + 1 * HOUR),
    observation("lactate", 4.5, NOW + 2 * HOUR),
    observation("haemoglobin", 6.4, NOW + 3 * HOUR),
    observation("inr", 9.0, NOW + 4 * HOUR),
    observation("glucose", 40, NOW + 5 * HOUR),
]
CALM = observation("potassium", 4.1, NOW - HOUR)  # the watch begins with it: `newest_moment` needs something
RULES = {"potassium", "sodium", "lactate", "haemoglobin", "inr", "glucose"}
# Types of the little server that rules read.
KINDS = {each for each in WATCHED if each in TYPES}


@contextmanager
def subscriptions(server: FhirServer, folder: Path, address: str = "http://127.0.0.1:9/n", **more) -> Iterator:
    with FhirClient(server.base, retries=0) as client:
        yield Subscriptions(client, "p1", address, folder / "kept.json", **more)


def kinds(server: FhirServer) -> Counter[str]:
    return Counter(each["criteria"].partition("?")[0] for each in server.subscriptions)


class Watch:
    """A watch in a thread, woken by a server; what it tells is in `told`."""

    def __init__(self, server: FhirServer, folder: Path, *, every_s: float = 600.0, payload: bool = False) -> None:
        self.told: queue.Queue[Event] = queue.Queue()
        self.troubles: list[str] = []
        self._client = FhirClient(server.base, retries=0)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        address = f"http://127.0.0.1:{port}/n"
        self.subscriptions = Subscriptions(self._client, "p1", address, folder / "kept.json", payload=payload)
        self.woken = Subscribed(self.subscriptions, every_s, least_s=0.0)
        self.listener = Listener("127.0.0.1", port, self.subscriptions.secrets, self.woken.bell.ring)
        self.follower = Follower(Source(f"{server.base}/Patient/p1"), folder / "state.json", clock=newest_moment)
        self._stop = threading.Event()
        self._thread = threading.Thread(
            target=self.follower.run,
            args=(every_s, self.told.put, lambda error: self.troubles.append(str(error)), self._stop, self.woken),
        )
        self._thread.start()

    def alarm(self) -> str:
        """The rule of the next alarm."""
        while True:
            event = self.told.get(timeout=60)
            if event.alarm is not None:
                return event.alarm.flag.rule

    def close(self) -> None:
        self._stop.set()
        self.woken.bell.ring()
        self._thread.join(60)
        self.listener.close()
        self.follower.close()
        self._client.close()


def journal(folder: Path) -> list[Event]:
    lines = (folder / "state.json.alarms.jsonl").read_text().splitlines()
    events = [Event.model_validate_json(line) for line in lines if "told" not in json.loads(line)]
    return [each for each in events if each.event == "alarm"]


@pytest.mark.parametrize("payload", [False, True])
def test_a_notification_is_followed_by_a_reading(tmp_path: Path, payload: bool) -> None:
    """The poll would come in ten minutes."""
    with FhirServer(patient(), COURSE[0]) as server:
        watch = Watch(server, tmp_path, payload=payload)
        try:
            assert watch.alarm() == "potassium"
            server.put(COURSE[1])
            assert watch.alarm() == "sodium"
            server.copies = 3  # more than once is no harm
            server.put(COURSE[2])
            assert watch.alarm() == "lactate"
            assert watch.subscriptions.active
        finally:
            watch.close()
        assert set(server.answers) == {200} and len(server.answers) == 4
        assert not watch.troubles
    kept = Counter(each.alarm.flag.rule for each in journal(tmp_path))
    assert kept == {"potassium": 1, "sodium": 1, "lactate": 1}


def test_dropped_notifications_are_made_good_by_the_poll(tmp_path: Path) -> None:
    with FhirServer(patient(), CALM) as server:
        server.drop = lambda _: True
        watch = Watch(server, tmp_path, every_s=0.1)
        try:
            while not (tmp_path / "state.json").exists():
                time.sleep(0.05)
            for number, each in enumerate(COURSE):
                server.put(each)
                if number % 3 == 2:  # sometimes several between two readings
                    while watch.alarm() != each["code"]["coding"][0]["display"]:
                        pass
        finally:
            watch.close()
        assert not server.answers
    kept = Counter(each.alarm.flag.rule for each in journal(tmp_path))
    assert kept == dict.fromkeys(RULES, 1)


def test_a_notification_that_says_more_than_the_server_is_not_believed(tmp_path: Path) -> None:
    with FhirServer(patient(), observation("potassium", 4.2, NOW)) as server:
        watch = Watch(server, tmp_path, payload=True)
        try:
            while not server.subscriptions:
                time.sleep(0.05)
            secrets = watch.subscriptions.secrets
            forged = json.dumps(observation("potassium", 8.9, NOW + HOUR)).encode()
            there = f"http://127.0.0.1:{watch.listener.port}/n/{secrets.path}/Observation/x"
            assert call("PUT", there, forged, {"Authorization": f"Bearer {secrets.token}"}) == 200
            server.put(COURSE[1])
            assert watch.alarm() == "sodium"
        finally:
            watch.close()
    assert [each.alarm.flag.rule for each in journal(tmp_path)] == ["sodium"]


def test_who_lacks_a_secret_wakes_nobody(tmp_path: Path) -> None:
    rung: list[int] = []
    with FhirServer(patient()) as server, subscriptions(server, tmp_path) as ours:
        secrets = ours.secrets
        listener = Listener("127.0.0.1", 0, secrets, lambda: rung.append(1))
        try:
            place = f"http://127.0.0.1:{listener.port}"
            good = {"Authorization": f"Bearer {secrets.token}"}
            for method, path, headers in (
                ("POST", f"/n/{secrets.path}", {}), ("POST", f"/n/{secrets.path}", {"Authorization": "Bearer x"}),
                ("POST", f"/n/{secrets.path}", {"Authorization": f"Basic {secrets.token}"}), ("POST", "/n/", good),
                ("POST", f"/n/{secrets.path}x", good), ("POST", f"/{'a/' * 2000}{secrets.path}", good),
                ("GET", f"/n/{secrets.path}", good), ("OPTIONS", f"/n/{secrets.path}", good),
                ("POST", f"/n/{secrets.path}", {"Authorization": "Bearer \xe9"}),
            ):  # fmt: skip
                assert call(method, place + path, b"" if method == "POST" else None, headers) == 404
            assert not rung
            assert call("POST", f"{place}/behind/a/proxy/{secrets.path}", b"", good) == 200
            assert len(rung) == 1
        finally:
            listener.close()


def test_notifications_are_bounded_in_size_and_rate(tmp_path: Path) -> None:
    rung: list[int] = []
    with FhirServer(patient()) as server, subscriptions(server, tmp_path) as ours:
        secrets = ours.secrets
        listener = Listener("127.0.0.1", 0, secrets, lambda: rung.append(1))
        try:
            place = f"http://127.0.0.1:{listener.port}/{secrets.path}"
            good = {"Authorization": f"Bearer {secrets.token}"}
            assert call("PUT", place, b"x" * (4 << 20), good) == 200
            assert call("PUT", place, b"x" * (5 << 20), good) in (413, 0)  # 0: its sender was cut off
            assert len(rung) == 2  # it asks for a reading all the same
            listener.notifications._left = -600.0
            assert call("POST", place, b"", good) == 429
            assert len(rung) == 2
        finally:
            listener.close()


def test_subscriptions_are_made_once_found_again_and_taken_away(tmp_path: Path) -> None:
    with FhirServer(patient()) as server:
        with subscriptions(server, tmp_path) as ours:
            assert ours.ensure() == [] and ours.active
            made = server.subscriptions
            assert kinds(server) == dict.fromkeys(KINDS, 1)
            for each in made:
                assert each["criteria"].endswith("?patient=Patient/p1") and "payload" not in each["channel"]
                assert datetime.fromisoformat(each["end"]) > datetime.now(UTC) + LIFETIME / 2
            assert ours.secrets.path in made[0]["channel"]["endpoint"]
            assert made[0]["channel"]["header"] == [f"Authorization: Bearer {ours.secrets.token}"]
        assert (tmp_path / "kept.json").stat().st_mode & 0o077 == 0
        with subscriptions(server, tmp_path) as again:
            again.ensure()
            assert server.subscriptions == made
            assert again.remove() == len(KINDS)
        assert not server.subscriptions


@pytest.mark.parametrize("searches", [True, False])
def test_a_kill_between_making_and_noting_leaves_one_of_each(tmp_path: Path, searches: bool) -> None:
    with FhirServer(patient()) as server:
        server.searches = searches
        with subscriptions(server, tmp_path) as ours:
            ours.ensure()
            if searches:  # the note of the ids is lost; the secrets were on the disk before anything was made
                ours.kept.ids.clear()
                ours._keep()
        with subscriptions(server, tmp_path) as again:
            again.ensure()
            assert kinds(server) == dict.fromkeys(KINDS, 1)
            again.remove()
        assert not server.subscriptions


def test_what_was_made_twice_is_one_again(tmp_path: Path) -> None:
    with FhirServer(patient()) as server, subscriptions(server, tmp_path) as ours:
        ours.ensure()
        copy = dict(server.subscriptions[0], id="twice")
        server.resources["Subscription", "twice"] = copy
        ours.ensure()
        assert kinds(server) == dict.fromkeys(KINDS, 1)


def test_subscriptions_are_renewed_before_they_end_and_revived(tmp_path: Path) -> None:
    moment = [datetime.now(UTC)]
    with FhirServer(patient()) as server, subscriptions(server, tmp_path, now=lambda: moment[0]) as ours:
        ours.ensure()
        first = {each["id"]: each["end"] for each in server.subscriptions}
        moment[0] += LIFETIME * 0.6
        ours.ensure()
        assert {each["id"] for each in server.subscriptions} == set(first)
        assert all(each["end"] > first[each["id"]] for each in server.subscriptions)
        server.subscriptions[0]["status"] = "error"  # as after an endpoint that did not answer for long
        server.subscriptions[1]["status"] = "off"
        assert ours.ensure() == [] and ours.active
        assert {each["status"] for each in server.subscriptions} == {"active"}
        gone = server.subscriptions[0]
        del server.resources["Subscription", gone["id"]]
        ours.ensure()
        assert kinds(server) == dict.fromkeys(KINDS, 1)


def test_another_address_takes_the_old_ones_away(tmp_path: Path) -> None:
    with FhirServer(patient()) as server:
        with subscriptions(server, tmp_path) as ours:
            ours.ensure()
            old = ours.secrets
        with subscriptions(server, tmp_path, "http://127.0.0.1:9/other") as moved:
            moved.ensure()
            assert moved.secrets != old
        assert kinds(server) == dict.fromkeys(KINDS, 1)
        assert all("/other/" in each["channel"]["endpoint"] for each in server.subscriptions)


def test_a_server_without_subscriptions_is_polled_and_it_is_said_once(tmp_path: Path) -> None:
    with FhirServer(patient(), COURSE[0]) as server:
        server.subscribes = False
        watch = Watch(server, tmp_path, every_s=0.05)
        try:
            assert watch.alarm() == "potassium"
            server.put(COURSE[1])
            assert watch.alarm() == "sodium"
        finally:
            watch.close()
        assert len(watch.troubles) == 1 and "Subscription" in watch.troubles[0]


def test_what_is_not_active_yet_is_not_relied_on(tmp_path: Path) -> None:
    with FhirServer(patient()) as server, subscriptions(server, tmp_path) as ours:
        server.activates = False
        assert ours.ensure() == [] and not ours.active
        for each in server.subscriptions:
            each["status"] = "active"
        assert ours.ensure() == [] and ours.active
        server.down = True
        with pytest.raises(RecordError):
            ours.ensure()
        assert not ours.active


def test_a_damaged_file_of_secrets_is_refused(tmp_path: Path) -> None:
    (tmp_path / "kept.json").write_text("{")
    with FhirServer(patient()) as server, pytest.raises(ArisError, match="damaged"), subscriptions(server, tmp_path):
        pass


def test_a_ring_during_a_reading_is_heard_after_it() -> None:
    bell, stop = Bell(least_s=0.0), threading.Event()
    bell.ring()
    bell.ring()
    assert bell.wait(60, stop)  # many rings, one reading
    assert not bell.wait(0.0, stop)
    bell.ring()  # while it is read
    assert bell.wait(60, stop)
    stop.set()
    assert not bell.wait(60, stop)


@pytest.mark.slow
def test_the_command_killed_again_and_again_with_dropped_notifications(tmp_path: Path) -> None:
    """kill -9 of `aris monitor --follow --subscribe`; ARIS_KILLS=20 for the long form."""
    kills = int(os.environ.get("ARIS_KILLS", "3"))
    chance = random.Random(11)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with FhirServer(patient(), CALM) as server:
        server.drop = lambda _: chance.random() < 0.4
        server.copies = 2
        state, out = tmp_path / "state.json", tmp_path / "out.jsonl"
        command = [
            sys.executable, "-m", "aris.cli", "monitor", f"{server.base}/Patient/p1", "--follow", "--every", "1s",
            "--state", str(state), "--at", "newest", "--json", "--subscribe", f"http://127.0.0.1:{port}/n",
            "--listen", f"127.0.0.1:{port}",
        ]  # fmt: skip
        waiting = list(COURSE)
        for number in range(kills):
            with out.open("ab") as stdout:
                running = subprocess.Popen(command, stdout=stdout, stderr=subprocess.DEVNULL)
                while not state.exists() and running.poll() is None:
                    time.sleep(0.1)
                time.sleep(chance.uniform(0.0, 3.0))  # no assertion waits on it
                for _ in range(max(1, len(COURSE) // kills)):
                    if waiting and number >= kills - len(COURSE):
                        server.put(waiting.pop(0))
                time.sleep(chance.uniform(0.0, 1.0))
                running.kill()
                running.wait()
        server.put(*waiting)
        with out.open("ab") as stdout:
            running = subprocess.Popen(command, stdout=stdout, stderr=subprocess.PIPE)
            until = time.monotonic() + 90
            while {each.alarm.flag.rule for each in journal(tmp_path)} < RULES and time.monotonic() < until:
                time.sleep(0.1)
            running.terminate()
            said = running.communicate()[1]
        assert running.returncode == 0, said
        assert not server.subscriptions  # taken away at an orderly end
        assert Counter(each.alarm.flag.rule for each in journal(tmp_path)) == dict.fromkeys(RULES, 1)
        told = Counter(json.loads(line)["id"] for line in out.read_text().splitlines() if line.endswith("}"))
        assert set(told) >= {each.id for each in journal(tmp_path)}
