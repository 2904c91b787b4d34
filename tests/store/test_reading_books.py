"""The reading room's books: what is signed stays, texts are never lost, jobs are done once; in both databases."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from filled import NOW, PASSWORD, SIGNED, STUDY, fill
from sqlalchemy import create_engine, delete, func, select, text, update

from aris.errors import StoreError
from aris.imaging.dicom.patients import Patient
from aris.store.checking import problems
from aris.store.database import downgrade, open_database, upgrade
from aris.store.reading import (
    critical,
    deliveries,
    drafts,
    edits,
    jobs,
    orders,
    reading_tables,
    readings,
    reports,
    users,
    verdicts,
)
from aris.store.reading.lasting_tables import ReportRow
from aris.store.rebuild import rebuild
from aris.store.schema import Base
from aris.store.sessions import Sessions
from aris.store.store import Store
from dicom_objects import ROOT, as_bytes, image


@pytest.fixture
def store(tmp_path: Path, database_url: str | None) -> Store:
    return Store(tmp_path / "store", url=database_url)


def counts(sessions: Sessions, tables: list[str]) -> dict[str, int]:
    with sessions.reading() as session:
        return {name: session.scalar(select(func.count()).select_from(Base.metadata.tables[name])) for name in tables}


def test_migrations_go_up_and_down_on_a_filled_database(tmp_path: Path, database_url: str | None) -> None:
    with Store(tmp_path / "store", url=database_url) as store:
        fill(store, tmp_path / "key")
        filled = counts(store.sessions, reading_tables())
        assert min(filled.values()) > 0
        before = store.counts()
    url = database_url or f"sqlite:///{tmp_path / 'store' / 'aris.db'}"
    engine = open_database(url)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
    upgrade(engine)  # once more changes nothing
    assert counts(Sessions(engine), reading_tables()) == filled
    downgrade(engine, "0002")
    with engine.connect() as connection:  # nothing of it is left, and nothing else was touched
        assert connection.scalar(text("SELECT count(*) FROM instances")) == before["instances"]
        left = MigrationContext.configure(connection)
        assert {each[1].name for each in compare_metadata(left, Base.metadata) if each[0] == "add_table"} == set(
            reading_tables()
        )
    downgrade(engine, "0001")
    downgrade(engine, "base")
    upgrade(engine)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
    engine.dispose()


def test_what_lasts_is_refused_to_be_changed_by_the_database_itself(store: Store, tmp_path: Path) -> None:
    fill(store, tmp_path / "key")
    lasting = ("reports", "signatures", "documents", "drafts", "edits", "verdicts", "critical_results",
               "critical_attempts", "audit", "alarms", "alarm_acts", "rule_switches")  # fmt: skip
    for name in lasting:
        table = Base.metadata.tables[name]
        column = next(each for each in table.c if not each.primary_key and not each.foreign_keys)
        for statement in (update(table).values({column: column}), delete(table)):
            with pytest.raises(StoreError, match="never changed or removed"), store.sessions.writing() as session:
                session.execute(statement)
    assert problems(store) == []
    with store.sessions.writing() as session:  # what is no record of a person's act may be changed
        session.execute(text("UPDATE jobs SET state = 'done'"))


def test_two_readers_never_lose_a_text(store: Store, tmp_path: Path) -> None:
    fill(store, tmp_path / "key")

    def save(author: str) -> int | None:
        def work(session: object) -> int | None:
            reading = readings.require(session, STUDY, lock=True)  # type: ignore[arg-type]
            row = edits.add(session, reading, {"impression": author}, base=1, author=author, draft_number=1, now=NOW)  # type: ignore[arg-type]
            return row.number

        return store.sessions.write(work)

    with ThreadPoolExecutor(8) as pool:
        numbers = list(pool.map(save, [f"reader{n}" for n in range(8)]))
    assert sorted(numbers, key=str) == [2] + [None] * 7
    with store.sessions.reading() as session:
        reading = readings.require(session, STUDY)
        assert reading.text_number == 2
        kept = {each.sections["impression"] for each in edits.all_of(session, reading)}
        assert kept == {"Kein Erguss.", *(f"reader{n}" for n in range(8))}
        assert len(edits.kept_beside(session, reading)) == 7


def test_a_job_is_held_by_one_and_taken_over_when_its_lease_has_run_out(store: Store) -> None:
    lease = timedelta(seconds=60)
    with store.sessions.writing() as session:
        for number, urgency in enumerate((0, 2, 0), 1):
            assert jobs.put(session, "draft", f"j{number}", f"1.{number}", urgency, NOW + timedelta(seconds=number))
        assert not jobs.put(session, "draft", "j1", "1.1", 0, NOW)
    later = NOW + timedelta(seconds=10)

    def take(owner: str) -> str | None:
        with store.sessions.writing() as session:
            job = jobs.claim(session, "draft", owner, lease, later)
            return None if job is None else job.key

    with ThreadPoolExecutor(6) as pool:
        taken = list(pool.map(take, "abcdef"))
    assert sorted(taken, key=str) == [*["None"] * 0, *sorted(["j1", "j2", "j3"]), None, None, None] or set(taken) == {
        "j1", "j2", "j3", None
    }  # fmt: skip
    assert taken.count(None) == 3
    with store.sessions.writing() as session:
        again = jobs.claim(session, "draft", "x", lease, later + lease + timedelta(seconds=1))
        assert again is not None and again.key == "j2" and again.attempts == 2  # the most urgent first
        first = "abcdef"[taken.index("j2")]
        with pytest.raises(jobs.LeaseLostError):
            jobs.finish(session, again.id, first, later)
        jobs.finish(session, again.id, "x", later)
        with pytest.raises(jobs.LeaseLostError):
            jobs.finish(session, again.id, "x", later)


def test_a_job_that_fails_is_tried_again_later_each_time(store: Store) -> None:
    now = NOW
    with store.sessions.writing() as session:
        jobs.put(session, "draft", "j", "1.1", 0, now)
        waits = []
        for _ in range(4):
            job = jobs.claim(session, "draft", "w", timedelta(seconds=60), now)
            assert job is not None
            assert jobs.fail(session, job.id, "w", "no model", now) == "waiting"
            assert jobs.claim(session, "draft", "w", timedelta(seconds=60), now) is None
            waits.append((job.not_before - now).total_seconds())
            now = job.not_before
        assert waits == [5, 10, 20, 40]
        job = jobs.claim(session, "draft", "w", timedelta(seconds=60), now)
        assert job is not None and jobs.fail(session, job.id, "w", "no model", now) == "failed"


def test_a_newer_version_waits_for_the_older_one_at_the_same_destination(store: Store, tmp_path: Path) -> None:
    fill(store, tmp_path / "key")
    lease = timedelta(seconds=60)
    with store.sessions.writing() as session:
        reading = readings.require(session, STUDY)
        second = reports.add(session, reading, kind="addendum", content=SIGNED, report={}, document={}, edit_number=1,
                             draft_number=1, now=NOW)  # fmt: skip
        assert second.number == 2 and second.follows == reports.all_of(session, reading)[0].id
        deliveries.put(session, second, "pacs", NOW)
        deliveries.put(session, second, "pacs", NOW)
        first = deliveries.claim(session, "w", lease, NOW, ("pacs",))
        assert first is not None and deliveries.claim(session, "v", lease, NOW, ("pacs",)) is None
        due = deliveries.retry(session, first.id, "w", "cannot be reached", NOW)
        assert deliveries.claim(session, "w", lease, NOW, ("pacs",)) is None  # neither the first nor the second
        assert [each.error for each in deliveries.failing(session)] == ["cannot be reached"]
        again = deliveries.claim(session, "w", lease, due, ("pacs",))
        assert again is not None and again.id == first.id
        deliveries.acknowledge(session, again.id, "w", due)
        newer = deliveries.claim(session, "w", lease, due, ("pacs",))
        assert newer is not None and newer.report_pk == second.id
        assert deliveries.claim(session, "w", lease, due, ("elsewhere",)) is None


def test_a_draft_of_the_same_images_and_weights_is_kept_once(store: Store, tmp_path: Path) -> None:
    fill(store, tmp_path / "key")
    with store.sessions.writing() as session:
        reading = readings.require(session, STUDY)
        same = {"model": "aris-nano", "revision": "1", "images_digest": "d", "applied": True, "now": NOW}
        assert drafts.add(session, reading, {"other": 1}, **same) is None  # type: ignore[arg-type]
        other = drafts.add(session, reading, {"other": 1}, **(same | {"images_digest": "e"}))  # type: ignore[arg-type]
        assert other is not None and other.number == 2


def test_passwords(store: Store) -> None:
    now = NOW
    with store.sessions.writing() as session:
        users.add(session, "ana", PASSWORD, role="reader", name="Müller^Ana", organization="St. Élan", now=now)
        row = users.find(session, "ana")
        assert row is not None and row.password.startswith("$argon2id$") and PASSWORD not in row.password
    found = users.authenticate(store.sessions, "ana", PASSWORD, now)
    assert found is not None and found.name == "Müller^Ana"
    for wrong in ("", PASSWORD + " ", "x" * 10_000, "\0", "wrong once more"):
        assert users.authenticate(store.sessions, "ana", wrong, now) is None
    assert users.authenticate(store.sessions, "nobody", PASSWORD, now) is None
    # Five in a row: now the right one is not looked at either, for a while.
    assert users.authenticate(store.sessions, "ana", PASSWORD, now) is None
    assert users.authenticate(store.sessions, "ana", PASSWORD, now + timedelta(seconds=31)) is not None
    store.sessions.write(lambda session: users.change(session, "ana", now, active=False))
    assert users.authenticate(store.sessions, "ana", PASSWORD, now + timedelta(hours=1)) is None
    for login, password, role, name in (
        ("Ana!", PASSWORD, "admin", ""), ("bob", "short", "admin", ""), ("bob", PASSWORD, "root", ""),
        ("bob", PASSWORD, "reader", ""),
    ):  # fmt: skip
        with pytest.raises(StoreError), store.sessions.writing() as session:
            users.add(session, login, password, role=role, name=name, now=now)


def test_the_last_admin_stays(store: Store) -> None:
    with store.sessions.writing() as session:
        users.add(session, "root", PASSWORD, role="admin", now=NOW)
    for change in ({"role": "viewer"}, {"active": False}):
        with pytest.raises(StoreError, match="last admin"), store.sessions.writing() as session:
            users.change(session, "root", NOW, **change)  # type: ignore[arg-type]
    with store.sessions.reading() as session:
        assert users.require(session, "root").role == "admin"


def test_an_order_is_of_its_own_patient_only(store: Store) -> None:
    store.add(as_bytes(image(1)))
    mine = Patient("P1", name="Müller^Ana1", birth_date="19800101", sex="F")
    with store.sessions.writing() as session:
        study = readings_study(session)
        orders.put(session, orders.Order(accession="A1", patient=Patient("P9", name="Roe^Jane")), NOW)
        assert orders.for_study(session, study) is None
        orders.put(session, orders.Order(accession="A1", patient=mine, urgency="urgent"), NOW)
        found = orders.for_study(session, study)
        assert found is not None and found.urgency == "urgent"
        orders.put(session, orders.Order(accession="A1", patient=mine, urgency="stat"), NOW)
        again = orders.for_study(session, study)
        assert again is not None and again.id == found.id and again.urgency == "stat"  # an update, no second order
        orders.put(session, orders.Order(accession="A1", patient=mine, status="cancelled"), NOW)
        assert orders.for_study(session, study) is None


def readings_study(session: object) -> object:
    from aris.store.schema import StudyRow

    return session.scalar(select(StudyRow).where(StudyRow.uid == STUDY))  # type: ignore[attr-defined]


def test_a_critical_result_is_open_until_it_was_read_back(store: Store, tmp_path: Path) -> None:
    fill(store, tmp_path / "key")
    with store.sessions.writing() as session:
        reading = readings.require(session, STUDY)
        row = critical.raise_one(session, reading, "Pneumothorax ", "ana", NOW)  # the same one, in other letters
        assert [(each.id, uid) for each, uid in critical.open_ones(session)] == [(row.id, STUDY)]
        for outcome in ("message left", "told", "not reached"):
            critical.attempt(session, row, whom="Dr. Roe", how="pager", outcome=outcome, login="ana", now=NOW)
            assert critical.open_ones(session)
        for bad in (
            {"whom": "", "how": "pager", "outcome": "read back"}, {"whom": "x", "how": "y", "outcome": "done"},
            {"whom": "", "how": "", "outcome": "withdrawn"},
        ):  # fmt: skip
            with pytest.raises(StoreError):
                critical.attempt(session, row, login="ana", now=NOW, **bad)
        critical.attempt(session, row, whom="Dr. Roe", how="telephone", outcome="read back", login="ana", now=NOW)
        assert not critical.open_ones(session) and len(critical.attempts(session, row)) == 5


def test_agreement_counts_the_last_verdict_on_each_subject(store: Store, tmp_path: Path) -> None:
    fill(store, tmp_path / "key")
    with store.sessions.writing() as session:
        reading = readings.require(session, STUDY)
        draft = drafts.newest(session, reading)
        assert draft is not None
        for about, verdict in (("Effusion.", "rejected"), ("Effusion.", "accepted"), ("No fracture.", "added"),
                               ("Clear lungs.", "unchanged"), ("Normal heart.", "unchanged")):  # fmt: skip
            verdicts.add(session, reading, draft, kind="sentence", about=about, verdict=verdict, login="ana", now=NOW)
        (row,) = verdicts.agreement(session)
    assert row == {"model": "aris-nano", "revision": "1", "month": "2026-11", "kind": "sentence", "accepted": 1,
                   "edited": 0, "rejected": 0, "added": 1, "unchanged": 2, "judged": 1, "agreed": 1.0}  # fmt: skip
    with store.sessions.writing() as session, pytest.raises(StoreError, match="only a sentence"):
        verdicts.add(session, reading, draft, kind="finding", about="x", verdict="unchanged", login="ana", now=NOW)


def test_rebuilding_the_index_takes_over_what_was_signed(tmp_path: Path) -> None:
    with Store(tmp_path / "store") as store:
        fill(store, tmp_path / "key")
        before = counts(store.sessions, reading_tables())
    made = rebuild(tmp_path / "store")
    assert (made.indexed, made.lost, made.carried) == (2, [], sum(before.values()))
    with Store(tmp_path / "store") as store:
        assert counts(store.sessions, reading_tables()) == before and problems(store) == []
        with store.sessions.reading() as session:
            (report,) = reports.all_of(session, readings.require(session, STUDY))
            assert report.content == SIGNED
        with pytest.raises(StoreError, match="never changed"), store.sessions.writing() as session:
            session.execute(delete(ReportRow))


def test_a_report_that_was_changed_below_the_database_is_found(tmp_path: Path) -> None:
    with Store(tmp_path / "store") as store:
        fill(store, tmp_path / "key")
        assert problems(store) == []
        (data,) = store.files.digests() if store.counts()["instances"] == 3 else [next(store.files.digests())]
        store.files.path(data).unlink()
    engine = create_engine(f"sqlite:///{tmp_path / 'store' / 'aris.db'}")
    with engine.begin() as connection:
        connection.execute(text("DROP TRIGGER reports_no_update"))
        connection.execute(text("UPDATE reports SET content = replace(content, 'Kein ', 'Ein ')"))
    engine.dispose()
    with Store(tmp_path / "store") as store:
        found = problems(store)
    assert len(found) == 2 and "gone" in found[0] and f"report 1 of study {ROOT}.1: not what was signed" in found[1]


def test_a_reader_has_what_a_signature_needs(store: Store) -> None:
    with store.sessions.writing() as session:
        users.add(session, "vic", PASSWORD, role="viewer", now=NOW)
    with pytest.raises(StoreError, match="organization"), store.sessions.writing() as session:
        users.change(session, "vic", NOW, role="reader")


def test_after_a_rebuild_all_arrivals_are_looked_through_again(tmp_path: Path) -> None:
    from aris.store.reading import house

    with Store(tmp_path / "store") as store:
        store.add(as_bytes(image(1)))
        store.sessions.write(lambda session: house.put(session, house.ARRIVALS, "2"))  # a copy was taken out meanwhile
        store.files.add(as_bytes(image(2, study=2)))  # as a crash before its row leaves it
    assert rebuild(tmp_path / "store").indexed == 2
    with Store(tmp_path / "store") as store, store.sessions.reading() as session:
        assert house.get(session, house.ARRIVALS) == ""
