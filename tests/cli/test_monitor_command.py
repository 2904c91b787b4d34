"""`aris monitor` from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aris.flow.monitoring.subscriptions import Subscriptions
from aris.records.fhir.client import FhirClient
from fhir_made import NOW, before, bundle, observation, patient
from fhir_server import FhirServer


@pytest.fixture
def record(tmp_path: Path) -> Path:
    path = tmp_path / "record.json"
    path.write_text(json.dumps(bundle(
        patient(), observation("potassium", 4.4, before(hours=20)),
        observation("potassium", 6.8, before(hours=1), id="k9"),
    )))  # fmt: skip
    return path


def test_it_judges_a_record_as_of_a_moment(aris, record: Path) -> None:
    ran = aris("monitor", record, "--at", "2024-06-01T12:00Z", "--json")
    assert ran.exit_code == 0
    (said,) = [json.loads(line) for line in ran.stdout.splitlines()]
    (flag,) = [each for each in said["flags"] if each["rule"] == "potassium"]
    assert flag["severity"] == "critical" and flag["resources"] == ["Observation/k9"] and "state" not in said
    assert said["not_assessed"] and "no diagnosis" in said["disclaimer"]
    words = aris("monitor", record, "--at", "newest")
    assert "[critical] Potassium: potassium 6.8 mmol/L" in words.stdout and "Observation/k9" in words.stdout
    assert "UK Kidney Association" in words.stdout and "not assessed, for want of data" in words.stdout


def test_an_old_record_judged_now_says_how_to_judge_it_then(aris, record: Path) -> None:
    ran = aris("monitor", record)
    assert ran.exit_code == 0 and "--at newest" in ran.stderr and "[critical]" not in ran.stdout


def test_replay_tells_the_alarms_of_the_whole_record(aris, record: Path) -> None:
    ran = aris("monitor", record, "--replay", "--json")
    (said,) = [json.loads(line) for line in ran.stdout.splitlines()]
    assert said["alarm"]["flag"]["rule"] == "potassium"


def test_a_state_tells_each_alarm_once(aris, record: Path, tmp_path: Path) -> None:
    state = tmp_path / "kept" / "state.json"
    first = aris("monitor", record, "--at", "newest", "--state", state, "--json")
    assert [json.loads(line)["event"] for line in first.stdout.splitlines()] == ["alarm"]
    assert aris("monitor", record, "--at", "newest", "--state", state, "--json").stdout == ""
    assert state.stat().st_mode & 0o077 == 0
    assert state.with_name("state.json.alarms.jsonl").stat().st_mode & 0o077 == 0


def test_it_lists_and_tests_the_rules(aris, tmp_path: Path) -> None:
    ran = aris("monitor", "--check-rules", "--json")
    listed = [json.loads(line) for line in ran.stdout.splitlines()]
    assert ran.exit_code == 0 and len(listed) > 30 and all(each["tests"] and not each["failed"] for each in listed)
    bad = tmp_path / "own.yaml"
    bad.write_text("id: own\nversion: 1\ntitle: Own\n")
    refused = aris("monitor", "--check-rules", "--rules", tmp_path)
    assert refused.exit_code == 1 and refused.stderr.startswith(f"error: {bad}:1: problem: field required")
    good = (
        "id: own\nversion: 1\ntitle: Own\nproblem: own\nauthor: A\napproved: {by: B, date: 2026-01-01}\n"
        "source: {text: ours}\n"
        "check: {kind: limits, of: sodium, look_back: 24h, levels: [{severity: info, below: 130}]}\n"
    )
    bad.write_text(good)
    (tmp_path / "own.tests.yaml").write_text("- {name: wrong, given: [{sodium: 140, ago: 1h}], expect: info}\n")
    failed = aris("monitor", "--check-rules", "--rules", tmp_path)
    assert failed.exit_code == 1 and "test 'wrong': expected info, came nothing" in failed.stderr


@pytest.mark.parametrize(
    "args",
    [(), ("x", "--every", "5"), ("x", "--at", "tomorrow"), ("x", "--at", "0001-01-01"), ("x", "--follow", "--replay"),
     ("x", "--follow", "--explain")],
)  # fmt: skip
def test_misuse_is_2(aris, args: tuple[str, ...]) -> None:
    assert aris("monitor", *args).exit_code == 2


@pytest.mark.parametrize("text", [None, "", "{", '{"resourceType": "Patient", "id": 5}', "[1]"])
def test_what_is_no_record_is_one_line(aris, tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "x.json"
    if text is not None:
        path.write_text(text)
    ran = aris("monitor", path)
    assert ran.exit_code in (0, 1) and "Traceback" not in ran.output
    if ran.exit_code:
        assert ran.stderr.startswith("error: ") and len(ran.stderr.strip().splitlines()) == 1


def test_a_hostile_record_reaches_the_terminal_as_text(aris, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    evil = observation("potassium", 6.8, before(hours=1), id="k")
    evil["valueQuantity"]["unit"] = "mmol/L\x1b[2J\u202e"
    path.write_text(json.dumps(bundle(patient(), evil)))
    ran = aris("monitor", path, "--at", NOW.isoformat())
    assert "\x1b" not in ran.stdout and "\u202e" not in ran.stdout and "[critical] Potassium" in ran.stdout


def test_a_words_only_model_adds_a_sentence(aris, record: Path, scripted) -> None:
    scripted(pieces=["Potassium was 6.8 mmol/L, at or above 6.5."])
    ran = aris("monitor", record, "--at", "newest", "--explain", "--json")
    (flag,) = [each for each in json.loads(ran.stdout)["flags"] if each["rule"] == "potassium"]
    assert flag["explanation"] == "Potassium was 6.8 mmol/L, at or above 6.5."
    scripted(pieces=["This is normal."])
    ran = aris("monitor", record, "--at", "newest", "--explain", "--json")
    assert [each["severity"] for each in json.loads(ran.stdout)["flags"] if each["rule"] == "potassium"] == ["critical"]


def test_subscriptions_are_refused_where_they_cannot_be(aris, record: Path, tmp_path: Path) -> None:
    server, there, state = "https://ehr.example/fhir/Patient/1", "https://aris.example/n", tmp_path / "state.json"
    for options in (
        (record, "--follow", "--subscribe", there),
        (server, "--subscribe", there),
        (server, "--follow", "--subscribe", "aris.example"),
        (server, "--follow", "--subscribe", "http://aris.example/n"),
        (server, "--follow", "--subscribe", there, "--listen", "0.0.0.0:0"),
        (server, "--follow", "--subscribe", there, "--listen", "here"),
        (server, "--follow", "--subscribe", there, "--keep-subscriptions"),
        (server, "--payload"),
        (server, "--unsubscribe"),
        (server, "--follow", "--unsubscribe", "--state", state),
    ):
        assert aris("monitor", *options).exit_code == 2, options
    assert not state.exists()


def test_subscriptions_of_a_watch_that_was_killed_are_taken_away(aris, tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    with FhirServer(patient()) as server:
        place = f"{server.base}/Patient/p1"
        with FhirClient(server.base) as client:
            Subscriptions(client, "p1", "http://127.0.0.1:9", tmp_path / "state.json.subscription.json").ensure()
        assert server.subscriptions
        ran = aris("monitor", place, "--unsubscribe", "--state", state, "--json")
        assert ran.exit_code == 0 and json.loads(ran.stdout)["removed"] >= 3
        assert not server.subscriptions
        unknown = aris("monitor", place, "--unsubscribe", "--state", tmp_path / "other.json")
        assert unknown.exit_code == 1 and "no Subscriptions" in unknown.stderr
