"""Live drafts, by the real nano: what is written is heard by all, whoever began it, comes late or leaves."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
from PIL import Image

import aris
from aris.errors import ModelError, StoreError
from aris.flow.arrival import DRAFT, collect, settle_now
from aris.flow.draft_details import confidence_of, operating_points, warnings_of
from aris.flow.drafter import ModelDrafter
from aris.flow.drafting import draft_next, draft_now
from aris.flow.listening import Hearing
from aris.flow.worker import Worker
from aris.service.workspace.drafts.calling import Calls
from aris.service.workspace.drafts.evidence import OTHER_MODEL
from aris.service.workspace.drafts.live import LiveDrafts, Written
from aris.store.reading import drafts, jobs, readings
from aris.store.reading.tables import JobRow
from aris.tasks import Draft, ScoredFinding, Sections
from aris.tasks.calibration.answers import Calibration
from cheap_passwords import make_cheap
from dicom_objects import ROOT, as_bytes, image
from workspace_house import WorkspaceHouse

SAMPLES = Path(__file__).resolve().parents[4] / "samples"
Events = list[tuple[str, dict[str, Any]]]


@pytest.fixture(scope="module")
def nano() -> Any:
    return aris.load("aris-nano")


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory, nano: Any) -> Iterator[WorkspaceHouse]:
    with pytest.MonkeyPatch.context() as patch:
        make_cheap(patch)
        made = WorkspaceHouse(tmp_path_factory.mktemp("drafts"))
    live = LiveDrafts(made.house, ModelDrafter(nano))
    made.workspace.drafts, made.workspace.model = live, nano
    yield made
    live.close()


def child_film(study: int, **changes: Any) -> bytes:
    pixels = np.asarray(Image.open(SAMPLES / "child-pneumonia.jpg").convert("L"))
    facts = {
        "Rows": pixels.shape[0], "Columns": pixels.shape[1], "BitsAllocated": 8, "BitsStored": 8, "HighBit": 7,
        "PixelData": pixels.tobytes(), "PatientAge": "004Y", "ViewPosition": "AP", "PatientBirthDate": "20220101",
    }  # fmt: skip
    return as_bytes(image(1, study=study, **(facts | changes)))


def received(room: WorkspaceHouse, study: int, **changes: Any) -> str:
    room.store.add(child_film(study, **changes))
    return f"{ROOT}.{study}"


def followed(client: Any, study: str, query: str = "") -> Events:
    """The events of a draft, to its end."""
    answer = client.get(f"/api/studies/{study}/draft{query}")
    assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/event-stream")
    found: Events = []
    for block in answer.text.split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line and not line.startswith(":"))
        if "event" in lines:
            found.append((lines["event"], json.loads(lines["data"])))
    return found


def text_of(events: Events) -> dict[str, str]:
    made: dict[str, str] = {}
    for name, data in events:
        if name == "section":
            made[data["section"]] = ""
        elif name == "piece":
            made[data["section"]] += data["text"]
    return made


def heard(written: Written) -> Events:
    """Every event, as a screen hears them."""

    async def listen() -> Events:
        return [event async for event in written.events()]

    return asyncio.run(asyncio.wait_for(listen(), 120))


def test_an_opened_film_is_drafted_and_its_text_is_the_one_that_is_kept(room: WorkspaceHouse) -> None:
    ana = room.client("ana")
    study = received(room, 1)
    events = followed(ana, study)
    assert events[0][0] == "findings" and events[-1] == ("done", {"draft": 1, "text": 1})
    (pneumonia,) = [each for each in events[0][1]["findings"] if each["name"] == "pneumonia"]
    assert 0 <= pneumonia["probability"] <= 1 and 0 < pneumonia["operating_point"] < 1
    with room.store.sessions.reading() as session:
        reading = readings.require(session, study)
        row = drafts.newest(session, reading)
        assert row is not None and reading.state == "drafted"
        kept = {name: text for name, text in row.report["sections"].items() if text}
        details = row.details
    told = text_of(events)
    assert {name: text for name, text in told.items() if text} == kept and "findings" in kept
    assert details["images"] == [f"{ROOT}.1.1.1"] and details["words"]["pneumonia"]
    assert operating_points(details)["pneumonia"] == pneumonia["operating_point"]
    assert confidence_of(details) and details["text"].strip()
    # Again: nothing is drafted twice, and the end is told at once.
    assert followed(ana, study) == [("done", {"draft": 1, "text": 1})]
    assert room.client("vic").get(f"/api/studies/{study}/draft").status_code == 200
    assert room.client("adm").get(f"/api/studies/{study}/draft").status_code == 403
    assert ana.get("/api/studies/1.2.3/draft").status_code == 404


def test_an_opening_begins_the_draft_before_the_page_asks_for_it(room: WorkspaceHouse) -> None:
    ana, study = room.client("ana"), received(room, 30)
    collect(room.house)
    assert ana.get(f"/api/studies/{study}").status_code == 200
    assert room.workspace.drafts.state(study) is None, "a look begins nothing"
    opened = ana.post(f"/api/studies/{study}/open")
    assert opened.status_code == 200 and opened.json()["drafting"] in ("waiting", "running")
    events = followed(ana, study)
    assert events[0][0] == "findings" and events[-1][0] == "done", "whoever comes later hears all of it"
    assert [each["about"] for each in room.trail("draft")].count(study) == 1
    assert ana.post(f"/api/studies/{study}/open").status_code == 200
    assert room.workspace.drafts.state(study) is None and len(room.workspace.drafts._written) == 0


def test_a_film_out_of_scope_has_its_reason_and_no_text(room: WorkspaceHouse) -> None:
    events = followed(room.client("ana"), received(room, 2, PatientAge="060Y"))
    assert [name for name, _ in events] == ["findings", "done"] and events[0][1]["findings"][0]["probability"] is None
    assert any("age" in each for each in events[0][1]["warnings"])


def test_two_listeners_hear_the_same_and_one_that_leaves_ends_nothing(room: WorkspaceHouse) -> None:
    live: LiveDrafts = room.workspace.drafts
    states: list[str] = []
    end = live.watch(lambda _, state: states.append(state))
    study = received(room, 3)
    first = live.ask(study)
    assert live.ask(study) is first and live.state(study) in ("waiting", "running")

    async def leave() -> None:
        async for _ in first.events():
            return

    asyncio.run(asyncio.wait_for(leave(), 120))
    one, late = heard(first), heard(first)
    assert text_of(one) == text_of(late) and one[-1] == late[-1] == ("done", {"draft": 1, "text": 1})
    assert len(late) < 20  # pieces of a section come joined to who is late
    end()
    assert states == ["waiting", "running", "done"] and live.state(study) is None


class Failing:
    name, revision = "aris-nano", "failing"

    def __init__(self) -> None:
        self.well = False

    def __call__(self, files: Sequence[Path], hearing: Hearing | None = None) -> Draft:
        if not self.well:
            raise ModelError("/store/drafting-0123456789abcdef/000000.dcm: out of memory")
        return Draft(model=self.name, file="", sections=Sections(impression="Clear."), findings=())


def test_what_the_worker_drafts_is_heard_too(room: WorkspaceHouse) -> None:
    study = received(room, 4)
    settle_now(room.house, {study})
    begun, go_on = threading.Event(), threading.Event()

    class Held(Failing):
        operating_points: ClassVar = {"pneumonia": 0.4}

        def __call__(self, files: Sequence[Path], hearing: Hearing | None = None) -> Draft:
            begun.set()
            assert go_on.wait(60) and hearing is not None
            hearing.found([ScoredFinding(name="pneumonia", probability=0.9, present=True)], ["a warning"])
            hearing.wrote("indication", "Not stated.", True)
            hearing.wrote("impression", "Clear", True)
            hearing.wrote("impression", "ing.", False)
            return Draft(model=self.name, file="", sections=Sections(impression="Clearing."), findings=())

    held = Held()
    live = LiveDrafts(room.house, held)
    worker = Worker(room.house, held, listener=live)
    working = threading.Thread(target=worker._draft)
    working.start()
    assert begun.wait(60)
    written = live.ask(study)  # the worker holds it: it is not drafted again
    go_on.set()
    events = heard(written)
    working.join(60)
    assert events[0][0] == "findings" and events[-1] == ("done", {"draft": 1, "text": 1})
    assert events[0][1]["findings"][0]["operating_point"] == 0.4 and text_of(events)["impression"] == "Clearing."
    with room.store.sessions.reading() as session:
        assert len(drafts.all_of(session, readings.require(session, study))) == 1


def test_a_failed_draft_is_said_and_tried_again_when_a_reader_asks(room: WorkspaceHouse) -> None:
    failing = Failing()
    live = LiveDrafts(room.house, failing)
    study = received(room, 5)
    for _ in range(3):
        name, data = heard(live.ask(study))[-1]
        assert name == "failed" and "out of memory" in data["message"] and "drafting-" not in data["message"]
    assert heard(live.ask(study))[-1][0] == "failed"  # given up, and not begun again by looking
    failing.well = True
    assert heard(live.ask(study))[-1][0] == "failed"
    assert heard(live.ask(study, again=True))[-1] == ("done", {"draft": 1, "text": 1})


def test_what_a_killed_worker_held_is_drafted_when_its_lease_has_run_out(room: WorkspaceHouse) -> None:
    well = Failing()
    well.well = True
    live = LiveDrafts(room.house, well)
    study = received(room, 6)
    settle_now(room.house, {study})
    long_ago = datetime.now(UTC) - timedelta(hours=1)
    with room.store.sessions.writing() as session:
        job = jobs.of_study(session, DRAFT, study, lock=True)
        assert job is not None and jobs.take(job, "killed", timedelta(seconds=1), long_ago)
    assert heard(live.ask(study))[-1] == ("done", {"draft": 1, "text": 1})
    with room.store.sessions.reading() as session:
        held = jobs.of_study(session, DRAFT, study)
        assert isinstance(held, JobRow) and held.state == "done" and held.owner != "killed"


def test_a_study_that_another_process_drafts_is_waited_for(room: WorkspaceHouse) -> None:
    live: LiveDrafts = room.workspace.drafts
    study = received(room, 7)
    settle_now(room.house, {study})

    class Elsewhere(Failing):
        def __call__(self, files: Sequence[Path], hearing: Hearing | None = None) -> Draft:
            nonlocal written
            assert draft_now(room.house, self, study, "us") == "elsewhere"
            written = live.ask(study)
            return Draft(model=self.name, file="", sections=Sections(impression="Clear."), findings=())

    written: Written | None = None
    # Another process tells our listeners nothing.
    assert draft_next(room.house, Elsewhere(), "another process") == "drafted"
    assert written is not None and heard(written) == [("done", {"draft": 1, "text": 1})]


def test_without_a_model_what_there_is_is_told(room: WorkspaceHouse, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        make_cheap(patch)
        bare = WorkspaceHouse(tmp_path)
    study = received(bare, 1)
    (event,) = followed(bare.client("ana"), study)
    assert event[0] == "failed" and "not been drafted" in event[1]["message"]


def test_a_study_opened_while_the_model_is_loaded_is_drafted_when_it_is_there(
    room: WorkspaceHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    drafter = Failing()
    drafter.well = True
    live = LiveDrafts(room.house, drafter)
    study = received(room, 10)  # nothing has settled or drafted it
    looks = []

    async def pause(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 3:
            room.workspace.drafts, room.workspace.loading = live, ""

    monkeypatch.setattr(room.workspace, "drafts", None)
    monkeypatch.setattr(room.workspace, "loading", "loading")
    monkeypatch.setattr("aris.service.workspace.drafts.stream.asyncio", SimpleNamespace(
        sleep=pause, to_thread=asyncio.to_thread
    ))  # fmt: skip
    events = followed(room.client("ana"), study)
    assert len(looks) == 3 and events == [("done", {"draft": 1, "text": 1})]


def test_without_a_model_here_a_worker_elsewhere_is_waited_for(
    room: WorkspaceHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = received(room, 11)
    settle_now(room.house, {study})
    monkeypatch.setattr(room.workspace, "drafts", None)
    got: list[Events] = []

    class Elsewhere(Failing):
        def __call__(self, files: Sequence[Path], hearing: Hearing | None = None) -> Draft:
            listening.start()
            assert waited.wait(60)
            return Draft(model=self.name, file="", sections=Sections(impression="Clear."), findings=())

    async def pause(seconds: float) -> None:
        waited.set()
        await asyncio.sleep(0.01)

    waited = threading.Event()
    client = room.client("ana")
    listening = threading.Thread(target=lambda: got.append(followed(client, study)))
    monkeypatch.setattr("aris.service.workspace.drafts.stream.asyncio", SimpleNamespace(
        sleep=pause, to_thread=asyncio.to_thread
    ))  # fmt: skip
    assert draft_next(room.house, Elsewhere(), "another process") == "drafted"
    listening.join(60)
    assert got == [[("done", {"draft": 1, "text": 1})]]


def test_a_viewer_begins_no_draft(room: WorkspaceHouse) -> None:
    study = received(room, 8)
    (event,) = followed(room.client("vic"), study)
    assert event[0] == "failed" and room.workspace.drafts.state(study) is None


def test_warnings_stand_beside_their_sentences(room: WorkspaceHouse) -> None:
    from aris.exchange.documents.report import checked
    from aris.flow.draft_details import details_of
    from aris.tasks.checks import Facts, check_draft

    sections = Sections(findings="Clear lungs. The opacity is 5 mm wide.", impression="Unchanged from the prior study.")
    failed = check_draft(sections, Facts())
    made = Draft(model="aris-nano", file="", sections=sections, findings=(), checks=failed,
                 warnings=tuple(each.message for each in failed))  # fmt: skip
    report = checked(model={"name": "aris-nano", "software": "x"}, created=datetime.now(UTC), sections=sections,
                     warnings=made.warnings)  # fmt: skip
    told = {each.sentence for each in warnings_of(report, details_of(made, {}))}
    assert {"The opacity is 5 mm wide.", "Unchanged from the prior study."} <= told
    assert {each.sentence for each in warnings_of(report, {})} == {""}  # a draft of before


def test_a_draft_whose_end_cannot_be_read_does_not_stay_open(
    room: WorkspaceHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any) -> Any:
        raise StoreError("database: locked")

    live = LiveDrafts(room.house, Failing())
    live.begun("1.2.3")
    written = live.ask("1.2.3")
    with monkeypatch.context() as patch:
        patch.setattr("aris.service.workspace.drafts.live._numbers", away)
        live.ended("1.2.3", "drafted")
    assert heard(written)[-1][0] == "failed" and live.state("1.2.3") is None


def test_a_draft_that_another_worker_took_over_is_not_told_as_done(room: WorkspaceHouse) -> None:
    study = received(room, 9)
    settle_now(room.house, {study})
    live = LiveDrafts(room.house, Failing())
    with room.store.sessions.writing() as session:
        job = jobs.of_study(session, DRAFT, study, lock=True)
        assert job is not None and jobs.take(job, "another", timedelta(minutes=1), datetime.now(UTC))
    live.begun(study)
    written = live.ask(study)
    live.ended(study, "lost")
    assert heard(written)[-1][0] == "failed"


def test_evidence_is_of_the_model_that_drafted(room: WorkspaceHouse) -> None:
    class Other(Failing):
        name, revision = "medgemma-4b-it", "1"

        def __call__(self, files: Sequence[Path], hearing: Hearing | None = None) -> Draft:
            return Draft(model=self.name, file="", sections=Sections(impression="Clear."), text="Clear.", findings=())

    ana, study = room.client("ana"), received(room, 20)
    assert draft_now(room.house, Other(), study, "us") == "drafted"
    for asked in ({"finding": "pneumonia"}, {"sentence": "Clear."}):
        told = ana.get(f"/api/studies/{study}/evidence", params=asked).json()
        assert (told["assessed"], told["note"], told["map"]) == (False, OTHER_MODEL, None)


def test_a_section_is_written_anew_by_the_site_s_calibration(
    room: WorkspaceHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[Any] = []

    def stream(*_: Any, **given: Any) -> Any:
        used.append(given["calibration"])
        raise ModelError("enough")

    live: LiveDrafts = room.workspace.drafts
    calibration = Calibration({}, None)
    monkeypatch.setattr(live.drafter, "calibration", calibration)
    monkeypatch.setattr("aris.service.workspace.drafts.asking.DraftStream", stream)
    ana = room.client("ana")
    assert ana.post(f"/api/studies/{received(room, 11)}/sections/findings/regenerate", json={}).status_code >= 400
    assert used == [calibration]


def test_many_questions_leave_the_threads_of_the_event_loop_free() -> None:
    calls, go_on = Calls(at_once=1, waiting=40), threading.Event()

    class Here:
        async def is_disconnected(self) -> bool:
            return False

    async def ask() -> None:
        waiting = [asyncio.create_task(calls.run(Here(), lambda _: go_on.wait(60))) for _ in range(40)]  # type: ignore[arg-type]
        await asyncio.sleep(0)
        try:
            await asyncio.wait_for(asyncio.to_thread(lambda: None), 20)
        finally:
            go_on.set()
        assert all(await asyncio.gather(*waiting))

    asyncio.run(ask())
