"""Following: over kills, restarts, dropped and damaged files each alarm is in the journal once, and none is missed."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from aris.errors import ArisError
from aris.flow.monitoring import Event, Follower, Journal, Source, newest_moment
from aris.records import timeline_of
from aris.tasks.monitor import replay
from fhir_made import NOW, bundle, observation, patient

HOUR = timedelta(hours=1)
# A course over a day: each value above a limit is an alarm of its own problem.
COURSE = [
    [observation("potassium", 6.7, NOW)],
    [observation("sodium", 118, NOW + 1 * HOUR)],
    [observation("lactate", 4.5, NOW + 2 * HOUR), observation("potassium", 4.9, NOW + 2 * HOUR)],
    [observation("haemoglobin", 6.4, NOW + 3 * HOUR)],
    [observation("inr", 9.0, NOW + 4 * HOUR)],
    [observation("glucose", 40, NOW + 5 * HOUR), observation("sodium", 137, NOW + 5 * HOUR)],
    [observation("potassium", 2.2, NOW + 26 * HOUR)],
]
EXPECTED = {"potassium", "sodium", "lactate", "haemoglobin", "inr", "glucose"}


def write(folder: Path, number: int, resources: list[dict]) -> None:
    """Put a file in place at once, as a careful sender does."""
    half = folder / f".{number}.part"
    half.write_text(json.dumps(bundle(patient(), *resources)))
    half.replace(folder / f"{number:03}.json")


def follower(folder: Path, state: Path) -> Follower:
    return Follower(Source(str(folder)), state, clock=newest_moment)


def alarms(state: Path) -> list[Event]:
    lines = state.with_name(state.name + ".alarms.jsonl").read_text().splitlines()
    events = [Event.model_validate_json(line) for line in lines if "told" not in json.loads(line)]
    return [each for each in events if each.event == "alarm"]


def fold(told: Path, folder: Path, state: Path, die_at: int) -> int:
    """Follow once in a forked process, which kills itself before its n-th act on the disk; its exit status."""
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1]
    try:
        count = 0

        def deadly(real: Callable) -> Callable:
            def act(*args, **keywords):
                nonlocal count
                count += 1
                if count == die_at:
                    os.kill(os.getpid(), signal.SIGKILL)
                return real(*args, **keywords)

            return act

        os.write, os.fsync, Path.replace = deadly(os.write), deadly(os.fsync), deadly(Path.replace)  # type: ignore
        one = follower(folder, state)
        with told.open("a") as out:
            for event in one.step():
                out.write(event.id + "\n")
                out.flush()
        os._exit(0)
    except BaseException:
        os._exit(7)


def test_killed_before_each_act_on_the_disk_each_alarm_is_kept_once_and_none_is_missed(tmp_path: Path) -> None:
    folder, state, told = tmp_path / "in", tmp_path / "state.json", tmp_path / "told"
    folder.mkdir()
    replay(timeline_of([patient(), *COURSE[0]]))  # what is loaded once is there for all the forked
    killed = 0
    for number, resources in enumerate(COURSE):
        write(folder, number, resources)
        # Each restart gets a little further; the last one through.
        for die_at in (1, 2, 3, 4, 5, 7, 9):
            status = fold(told, folder, state, die_at)
            assert status in (0, signal.SIGKILL)
            killed += status == signal.SIGKILL
        assert fold(told, folder, state, 0) == 0
    assert killed >= 20
    kept = Counter(each.id for each in alarms(state))
    assert set(kept.values()) == {1}
    assert {each.alarm.flag.rule for each in alarms(state)} >= EXPECTED
    assert set(told.read_text().split()) >= set(kept)  # told at least once
    everything = timeline_of([patient(), *(each for part in COURSE for each in part)])
    wanted = Counter((a.flag.rule, a.flag.severity, a.flag.since) for a in replay(everything, start=NOW).alarms)
    assert Counter((a.alarm.flag.rule, a.alarm.flag.severity, a.alarm.flag.since) for a in alarms(state)) == wanted


def test_notifications_that_were_dropped_are_caught_up(tmp_path: Path) -> None:
    folder, state = tmp_path / "in", tmp_path / "state.json"
    folder.mkdir()
    write(folder, 0, COURSE[0])
    one = follower(folder, state)
    list(one.step())
    # All the others come while nobody looks.
    for number, resources in enumerate(COURSE[1:], 1):
        write(folder, number, resources)
    list(one.step())
    one.close()
    found = [(each.alarm.flag.rule, each.alarm.flag.severity) for each in alarms(state)]
    assert {rule for rule, _ in found} >= EXPECTED and found.count(("potassium", "critical")) == 2


def test_a_patient_who_comes_later_is_watched_from_when_the_watch_began(tmp_path: Path) -> None:
    folder, state = tmp_path / "in", tmp_path / "state.json"
    folder.mkdir()
    write(folder, 0, [observation("sodium", 140, NOW)])
    one = follower(folder, state)
    list(one.step())
    other = [
        observation("potassium", 6.9, NOW - 5 * HOUR, of="p2"),  # before the watch: history
        observation("potassium", 4.1, NOW - 4 * HOUR, of="p2"),
        observation("potassium", 2.0, NOW + 1 * HOUR, of="p2"),  # and over before anybody looked
        observation("potassium", 4.0, NOW + 2 * HOUR, of="p2"),
    ]
    (folder / "p2.json").write_text(json.dumps(bundle(patient("p2"), *other)))
    told = [each.alarm for each in one.step() if each.event == "alarm"]
    assert [(each.flag.patient, each.flag.rule) for each in told] == [("Patient/p2", "potassium")]
    assert "2 mmol/L" in told[0].flag.text
    one.close()


def test_a_torn_line_of_the_journal_is_taken_away(tmp_path: Path) -> None:
    folder, state = tmp_path / "in", tmp_path / "state.json"
    folder.mkdir()
    write(folder, 0, COURSE[0])
    one = follower(folder, state)
    list(one.step())
    one.close()
    journal = state.with_name(state.name + ".alarms.jsonl")
    whole = journal.read_bytes()
    journal.write_bytes(whole + b'{"id": "abc", "ev')
    Journal(journal).close()
    assert journal.read_bytes() == whole


def test_two_watches_do_not_share_a_state_and_a_damaged_one_is_refused(tmp_path: Path) -> None:
    folder, state = tmp_path / "in", tmp_path / "state.json"
    folder.mkdir()
    write(folder, 0, COURSE[0])
    one = follower(folder, state)
    with pytest.raises(ArisError, match="another aris monitor"):
        follower(folder, state)
    one.close()
    state.write_text('{"format": "something"}')
    with pytest.raises(ArisError, match="no state of aris monitor"):
        follower(folder, state)


def test_a_half_written_file_is_read_when_it_is_whole(tmp_path: Path) -> None:
    folder, state = tmp_path / "in", tmp_path / "state.json"
    folder.mkdir()
    write(folder, 0, [observation("sodium", 140, NOW)])
    one = follower(folder, state)
    list(one.step())
    text = json.dumps(bundle(patient(), *COURSE[0]))
    (folder / "late.json").write_text(text[: len(text) // 2])
    assert not [each for each in one.step() if each.event == "alarm"]
    (folder / "late.json").write_text(text)
    assert [each.alarm.flag.rule for each in one.step() if each.event == "alarm"] == ["potassium"]
    one.close()


def test_a_source_that_fails_does_not_end_the_watch(tmp_path: Path) -> None:
    state, stop, said = tmp_path / "state.json", threading.Event(), []

    def trouble(error: ArisError) -> None:
        said.append(str(error))
        stop.set()

    one = follower(tmp_path / "none", state)
    one.run(0.01, lambda event: None, trouble, stop)
    one.close()
    assert "no such file" in said[0]


class _Fhir(BaseHTTPRequestHandler):
    """A FHIR server of one patient, whose observations grow."""

    observations: list[dict] = []  # noqa: RUF012

    def do_GET(self) -> None:
        kind = self.path.partition("?")[0].strip("/").split("/")[-2:]
        if self.path.startswith("/Patient/"):
            body = patient()
        else:
            found = self.observations if kind[-1] == "Observation" else []
            body = {"resourceType": "Bundle", "type": "searchset", "total": len(found),
                    "entry": [{"resource": each, "search": {"mode": "match"}} for each in found]}  # fmt: skip
        data = json.dumps(body).encode()
        self.send_response(404 if kind[-1] == "metadata" else 200)
        self.send_header("Content-Type", "application/fhir+json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


def test_a_fhir_server_is_followed(tmp_path: Path) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Fhir)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        _Fhir.observations = [observation("potassium", 4.5, NOW)]
        place = f"http://127.0.0.1:{server.server_address[1]}/Patient/p1"
        one = Follower(Source(place), tmp_path / "state.json", clock=newest_moment)
        assert not [each for each in one.step() if each.event == "alarm"]
        _Fhir.observations = [*_Fhir.observations, observation("potassium", 6.8, NOW + HOUR)]
        assert [each.alarm.flag.rule for each in one.step() if each.event == "alarm"] == ["potassium"]
        assert not list(one.step())
        one.close()
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.slow
def test_the_command_killed_twenty_times_tells_each_alarm(tmp_path: Path) -> None:
    """kill -9 at random moments of `aris monitor --follow`, while files arrive."""
    folder, state, out = tmp_path / "in", tmp_path / "state.json", tmp_path / "out.jsonl"
    folder.mkdir()
    chance = random.Random(7)
    write(folder, 0, COURSE[0])
    command = [sys.executable, "-m", "aris.cli", "monitor", str(folder), "--follow", "--every", "0.05s",
               "--state", str(state), "--at", "newest", "--json"]  # fmt: skip
    arrived = 1
    with out.open("ab") as stdout:  # the first one gets as far as to begin
        running = subprocess.Popen(command, stdout=stdout, stderr=subprocess.DEVNULL)
        while not state.exists() and running.poll() is None:
            time.sleep(0.1)
        running.kill()
        running.wait()
    for _ in range(20):
        with out.open("ab") as stdout:
            running = subprocess.Popen(command, stdout=stdout, stderr=subprocess.DEVNULL)
            if arrived < len(COURSE):
                write(folder, arrived, COURSE[arrived])
                arrived += 1
            time.sleep(chance.uniform(0.2, 2.5))  # no assertion waits on it
            running.kill()
            running.wait()
    one = follower(folder, state)
    list(one.step())
    one.close()
    kept = Counter(each.id for each in alarms(state))
    assert set(kept.values()) == {1} and {each.alarm.flag.rule for each in alarms(state)} >= EXPECTED


def test_what_begins_with_the_same_fact_as_an_alarm_of_long_ago_is_told_too(tmp_path: Path) -> None:
    folder, state = tmp_path / "in", tmp_path / "state.json"
    folder.mkdir()
    high = observation("potassium", 6.9, NOW, id="k")
    low = observation("potassium", 4.1, NOW, id="k", status="corrected", version="2", updated=NOW + HOUR)
    back = observation("potassium", 6.9, NOW, id="k", status="corrected", version="3", updated=NOW + 8 * HOUR)
    moment = [NOW + HOUR / 2]
    one = Follower(Source(str(folder)), state, clock=lambda _: moment[0])
    told = []
    for number, (resource, hours) in enumerate(((high, 0.5), (low, 2), (back, 9))):
        moment[0] = NOW + hours * HOUR
        (folder / "p1.json").write_text(json.dumps(bundle(patient(), resource)) + " " * number)
        told += [each for each in one.step() if each.event == "alarm" and each.alarm.flag.rule == "potassium"]
    one.close()
    assert len(told) == 2
    assert told[0].id != told[1].id


@pytest.mark.parametrize(
    "damaged",
    [
        {"resourceType": "Bundle", "type": "searchset", "link": [{"relation": "next", "url": "http://h/next"}],
         "entry": [{"resource": observation("sodium", 140, NOW, of="p3")}]},
        {"resourceType": "MedicationOrder", "id": "m", "patient": {"reference": "Patient/p3"}},
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_read_keeps_nobody_else_from_being_judged(tmp_path: Path, damaged: dict) -> None:
    folder, state, stop, said = tmp_path / "in", tmp_path / "state.json", threading.Event(), []
    folder.mkdir()
    write(folder, 0, COURSE[0])
    (folder / "bad.json").write_text(json.dumps(damaged))
    (folder / "other.json").write_text(json.dumps(bundle(patient("p2"), observation("sodium", 118, NOW, of="p2"))))
    one, told, rounds = follower(folder, state), [], []

    def trouble(error: ArisError) -> None:
        said.append(str(error))

    class Stop(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            rounds.append(timeout)
            if len(rounds) == 3:
                self.set()
            return True

    stop = Stop()
    one.run(0.0, told.append, trouble, stop)
    one.close()
    assert {each.alarm.flag.rule for each in told if each.alarm} == {"potassium", "sodium"}
    assert len(said) <= 1 and all("bad.json" in each for each in said)  # once, not at each reading


def test_pages_of_one_search_are_read_beside_a_damaged_file(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()

    def page(own: str, following: str, *resources: dict) -> str:
        links = [{"relation": "self", "url": own}]
        links += [{"relation": "next", "url": following}] if following else []
        return json.dumps({"resourceType": "Bundle", "type": "searchset", "link": links,
                           "entry": [{"resource": each} for each in resources]})  # fmt: skip

    (folder / "1.json").write_text(page("http://h/1", "http://h/2", patient(), observation("sodium", 140, NOW)))
    (folder / "2.json").write_text(page("http://h/2", "", observation("potassium", 6.9, NOW)))
    (folder / "9.json").write_text(page("http://h/8", "http://h/9", observation("sodium", 118, NOW + HOUR)))
    source = Source(str(folder))
    (found,) = source.timelines()
    assert len(found.measurements) == 2
    assert len(source.left_out) == 1 and "9.json" in str(source.left_out[0])
