"""Alarms: raised once, handled by people, open again when they get worse; rules that are switched."""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from sqlalchemy import select

from aris.errors import RecordError
from aris.flow.monitoring.alarms import counts, current, switch_rule
from aris.flow.monitoring.house_watch import HouseWatch
from aris.flow.records import taking
from aris.flow.records.library import library_of
from aris.store.reading.records.tables import AlarmRow, RecordFileRow
from workspace_house import WorkspaceHouse, code_of


class Ward:
    """A folder with one patient whose potassium is written as a test goes on, and the watch over it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "records"
        self.path.mkdir()
        self.results: list[dict[str, Any]] = []
        site = {"records": [{"name": "ward", "kind": "folder", "path": str(self.path)}]}
        self.room = WorkspaceHouse(folder, site=site)
        self.now = datetime.now(UTC).replace(microsecond=0)
        self.watch = HouseWatch(self.room.house, clock=lambda: self.now)
        self.room.workspace.clock = lambda: self.now

    def later(self, **span: float) -> None:
        self.now += timedelta(**span)

    def result(self, value: float, id: str = "") -> None:
        at = self.now.isoformat()
        made = {
            "resourceType": "Observation", "id": id or f"k{len(self.results)}", "status": "final",
            "subject": {"reference": "Patient/p"}, "effectiveDateTime": at, "issued": at,
            "code": {"coding": [{"system": "http://loinc.org", "code": "2823-3"}]},
            "valueQuantity": {"value": value, "unit": "mmol/L"},
        }  # fmt: skip
        self.results = [each for each in self.results if each["id"] != made["id"]] + [made]
        person = {"resourceType": "Patient", "id": "p", "birthDate": "1960-02-03", "name": [{"text": "Roe, Jane"}]}
        entries = [{"resource": each} for each in (person, *self.results)]
        text = json.dumps({"resourceType": "Bundle", "type": "collection", "entry": entries})
        (self.path / "p.json").write_text(text + " " * len(self.results))

    def look(self) -> None:
        self.watch.wake()
        while self.watch.step():
            pass

    def told(self) -> list[tuple[str, str, str]]:
        with self.room.store.sessions.reading() as session:
            rows = session.scalars(select(AlarmRow).order_by(AlarmRow.id))
            return [(row.rule, row.event, row.severity) for row in rows if row.rule == "potassium"]


@pytest.fixture
def ward(tmp_path: Path, cheap_passwords: None) -> Ward:
    return Ward(tmp_path)


def alarm_of(ward: Ward, state: str = "open") -> dict[str, Any]:
    found = ward.room.client("ana").get("/api/alarms", params={"rule": "potassium", "state": state}).json()["alarms"]
    return dict(found[0])


def act(ward: Ward, alarm: dict[str, Any], what: str, **more: Any) -> Any:
    body = {"act": what, "seen": alarm["seen"], "why": "repeated"} | more
    return ward.room.client("ana").post(f"/api/alarms/{alarm['id']}/acts", json=body)


def test_an_alarm_is_raised_once_whoever_watches_and_however_often(ward: Ward) -> None:
    ward.result(6.1)
    ward.look()
    assert ward.told() == [("potassium", "new", "warning")]
    ward.later(minutes=20)
    ward.look()
    HouseWatch(ward.room.house, clock=lambda: ward.now).step()  # as after a restart
    assert ward.told() == [("potassium", "new", "warning")]
    assert [each["about"] for each in ward.room.trail("alarm")] == ["record 1"]
    alarm = alarm_of(ward)
    assert (alarm["state"], alarm["severity"], alarm["evidence"][0]["id"]) == ("open", "warning", "Observation/k0")
    assert ward.room.client("vic").get("/api/alarms/totals").json()["counts"]["warning"] == 1


def test_two_judgements_that_began_from_the_same_state_are_one(ward: Ward) -> None:
    ward.result(6.1)
    ward.watch._sources.look()
    from aris.flow.monitoring import house_watch

    with ward.room.store.sessions.reading() as session:
        row = house_watch.books.find(session, 1)
    assert row is not None
    rules = house_watch.rules_in_use(ward.room.house)
    library_of(ward.room.house).timeline(1)
    real = house_watch.alarms.put_judged

    def behind(session: Any, record: Any, before: int, **more: Any) -> Any:
        if before == 0:  # another process was quicker
            real(session, record, before, **more)
        return real(session, record, before, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(house_watch.alarms, "put_judged", behind)
        assert ward.watch.judge(row, rules) is None
    assert ward.told() == [("potassium", "new", "warning")]


def test_an_acknowledgement_never_hides_a_worsening(ward: Ward) -> None:
    ward.result(6.1)
    ward.look()
    alarm = alarm_of(ward)
    assert act(ward, alarm, "acknowledge").json()["state"] == "acknowledged"
    assert counts(current(ward.room.house, ward.now)) == {"critical": 0, "warning": 0, "info": 0, "handled": 1}
    ward.later(hours=1)
    ward.result(6.9)
    ward.look()
    worse = alarm_of(ward)
    assert worse["id"] == alarm["id"] and worse["worse_since_act"] and worse["severity"] == "critical"
    assert [each["event"] for each in worse["tellings"]] == ["new", "worse"]
    assert [each["held"] for each in worse["acts"]] == [False]
    # Who looked at it before it got worse acknowledges nothing.
    stale = act(ward, alarm, "acknowledge")
    assert (stale.status_code, code_of(stale)) == (409, "stale_alarm")
    assert act(ward, worse, "acknowledge").json()["state"] == "acknowledged"


def test_a_flag_that_is_as_bad_again_after_it_was_handled_when_it_was_better_is_open(ward: Ward) -> None:
    ward.result(6.9)
    ward.look()
    ward.later(minutes=30)
    ward.result(6.1)
    ward.look()
    eased = alarm_of(ward)
    assert (eased["severity"], eased["worst"]) == ("warning", "critical")
    act(ward, eased, "acknowledge")
    ward.later(minutes=30)
    ward.result(6.8)  # within the rule's quiet time: it is not told anew
    ward.look()
    assert alarm_of(ward)["worse_since_act"] and alarm_of(ward)["severity"] == "critical"


def test_what_comes_back_after_its_end_is_open_though_it_was_handled(ward: Ward) -> None:
    ward.result(6.9)
    ward.look()
    assert act(ward, alarm_of(ward), "acknowledge").json()["state"] == "acknowledged"
    for value, state in ((4.1, "ended"), (6.9, "open")):
        ward.later(minutes=20)
        ward.result(value)
        ward.look()
        again = alarm_of(ward, state)
        assert again["state"] == state
    ward.later(minutes=5)
    assert act(ward, again, "acknowledge").json()["state"] == "acknowledged"


def test_a_record_that_could_not_be_read_once_is_tried_again(ward: Ward) -> None:
    ward.result(6.9)
    for error in (RecordError("the server answered 503"), ValueError("a defect")):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ward.watch, "judge", Mock(side_effect=error))
            ward.look()
            ward.watch.step()
            assert ward.watch.judge.call_count == 1  # type: ignore[attr-defined]
        ward.later(minutes=3)
    assert ward.told() == []
    ward.look()
    assert ward.told() == [("potassium", "new", "critical")]


@pytest.mark.skipif(sys.platform == "darwin", reason="file names are UTF-8 there")
def test_a_file_whose_name_is_no_text_stops_nobody_else(ward: Ward) -> None:
    (ward.path / os.fsdecode(b"M\xfcller.json")).write_text("{}")
    ward.result(6.9)
    ward.look()
    assert ward.told() == [("potassium", "new", "critical")]
    with ward.room.store.sessions.reading() as session:
        problems = [each.problem for each in session.scalars(select(RecordFileRow)) if each.problem]
    assert len(problems) == 1 and "UTF-8" in problems[0]


def test_a_defect_at_one_file_stops_nobody_else(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    (ward.path / "a.json").write_text("{}")
    real = taking.read_pieces

    def broken(pieces: Any) -> Any:
        if pieces[0].shown == "a.json":
            raise ValueError("a defect")
        return real(pieces)

    monkeypatch.setattr(taking, "read_pieces", broken)
    ward.result(6.9)
    ward.look()
    assert ward.told() == [("potassium", "new", "critical")]


def test_flags_of_an_old_record_follow_the_rules_in_use(ward: Ward) -> None:
    ward.result(6.9)
    ward.look()
    ward.later(days=60)
    path = "/api/patients/1/flags"
    assert "potassium" in [each["rule"] for each in ward.room.client("ana").get(path).json()["flags"]]
    switch_rule(ward.room.house, "adm", "potassium", False, "not here", ward.now)
    assert "potassium" not in [each["rule"] for each in ward.room.client("ana").get(path).json()["flags"]]


def test_a_snooze_ends_by_itself_and_a_critical_one_is_short(ward: Ward) -> None:
    ward.result(6.9)
    ward.look()
    alarm = alarm_of(ward)
    assert act(ward, alarm, "snooze", minutes=240).status_code == 422
    assert act(ward, alarm, "snooze", minutes=30, why="").status_code == 422
    assert act(ward, alarm, "snooze", minutes=30).json()["state"] == "snoozed"
    ward.later(minutes=31)
    assert alarm_of(ward)["id"] == alarm["id"]
    assert act(ward, alarm, "acknowledge").json()["state"] == "acknowledged"
    assert act(ward, alarm, "close").json()["state"] == "closed"
    assert act(ward, alarm, "reopen").json()["state"] == "open"
    assert [each["action"] for each in ward.room.trail() if each["action"].endswith("alarm")][:3] == [
        "reopen alarm", "close alarm", "acknowledge alarm"
    ]  # fmt: skip


def test_a_corrected_result_ends_its_alarm_and_the_history_stays(ward: Ward) -> None:
    ward.result(6.9, "k")
    ward.look()
    ward.later(minutes=5)
    ward.result(4.2, "k")
    ward.look()
    ended = alarm_of(ward, "ended")
    assert ended["ended_reason"] in ("withdrawn", "resolved") and len(ended["tellings"]) == 2
    assert ward.room.client("ana").get("/api/alarms", params={"rule": "potassium"}).json()["total"] == 0


def test_who_may_do_what(ward: Ward) -> None:
    ward.result(6.9)
    ward.look()
    alarm = alarm_of(ward)
    viewer, admin = ward.room.client("vic"), ward.room.client("adm")
    body = {"act": "acknowledge", "seen": alarm["seen"], "why": ""}
    assert viewer.post(f"/api/alarms/{alarm['id']}/acts", json=body).status_code == 403
    assert admin.get("/api/alarms").status_code == 403 and admin.get("/api/patients").status_code == 403
    assert ward.room.client("ana").post("/api/alarms/none/acts", json=body).status_code == 404
    assert act(ward, alarm, "silence").status_code == 422


def test_a_rule_that_is_switched_off_raises_nothing_and_says_who_did_it(ward: Ward) -> None:
    ward.result(6.9)
    ward.look()
    admin, reader = ward.room.client("adm"), ward.room.client("ana")
    assert reader.put("/api/rules/potassium", json={"on": False, "why": "test"}).status_code == 403
    assert admin.put("/api/rules/potassium", json={"on": False, "why": " "}).status_code == 422
    assert admin.put("/api/rules/none", json={"on": False, "why": "test"}).status_code == 404
    said = admin.put("/api/rules/potassium", json={"on": False, "why": "a new analyser"}).json()
    line = next(each for each in said["rules"] if each["id"] == "potassium")
    assert (line["state"], line["note"]) == ("switched off", "adm: a new analyser") and said["may_switch"]
    ward.look()
    assert alarm_of(ward, "ended")["ended_reason"] == "not applicable"
    assert ward.room.trail("switch rule")[0]["user"] == "adm"
    admin.put("/api/rules/potassium", json={"on": True, "why": "it is calibrated"})
    ward.later(minutes=1)
    ward.look()
    assert alarm_of(ward)["severity"] == "critical"
    assert not reader.get("/api/rules").json()["may_switch"]
