"""A store with at least one row in every table, for tests of what becomes of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from aris.imaging.dicom.patients import Patient
from aris.store.intakes import intakes
from aris.store.reading import (
    audit,
    critical,
    deliveries,
    drafts,
    edits,
    jobs,
    macros,
    measurements,
    orders,
    readings,
    remote,
    reports,
    templates,
    users,
    verdicts,
)
from aris.store.reading.access import (
    buckets,
    identities,
    pending,
    preferences,
    saved_answers,
    tokens,
    web_sessions,
)
from aris.store.reading.records import alarms, books
from aris.store.store import Store
from dicom_objects import ROOT, as_bytes, image

NOW = datetime(2026, 11, 30, 8, 0, tzinfo=UTC)
STUDY = f"{ROOT}.1"
PASSWORD = "correct horse battery staple"
SIGNED = {"sections": {"impression": "Kein Pneumothorax – Ü. 右\u0000"}, "images": [f"{ROOT}.1.1.1"], "draft": 1}


def fill(store: Store, key: Path) -> audit.Trail:
    """Put one of everything into a store."""
    store.add(as_bytes(image(1)), source="CT1")
    store.add(as_bytes(image(2, PatientID="another")), source="CT1")  # kept apart
    trail = audit.open_trail(store.sessions, key)
    with store.sessions.writing() as session:
        user = users.add(
            session, "ana", PASSWORD, role="reader", name="Müller^Ana", organization="St. Élan", now=NOW
        )
        order = orders.put(
            session,
            orders.Order(accession="A1", patient=Patient("P1", name="Müller^Ana1"), urgency="stat", reason="Sturz"),
            NOW,
        )
        reading = readings.put_arrival(session, STUDY, NOW, NOW, NOW, 1)
        reading.order_pk = order.id
        jobs.put(session, "draft", f"draft:{STUDY}", STUDY, 2, NOW)
        draft = drafts.add(
            session, reading, {"sections": {"impression": "Effusion."}}, model="aris-nano", revision="1",
            images_digest="d", applied=True, now=NOW,
        )  # fmt: skip
        assert draft is not None
        edits.add(session, reading, {"impression": "Kein Erguss."}, base=0, author="ana", draft_number=1, now=NOW)
        verdicts.add(session, reading, draft, kind="sentence", about="Effusion.", verdict="edited", said="Kein Erguss.",
                     login="ana", now=NOW)  # fmt: skip
        measurements.add(session, reading, image=f"{ROOT}.1.1.1", name="width", value=12.5, unit="mm",
                         calibration="at detector", points=[(1, 2), (3, 4)], login="ana", now=NOW)  # fmt: skip
        patient = Patient("P1", name="Müller^Ana1")
        elsewhere = remote.RemoteStudy("1.2.3.4", "pacs", patient, "20250101", "Thorax", ("DX",))
        remote.put_all(session, STUDY, "pacs", [elsewhere], NOW)
        remote.ask(session, "1.2.3.4", "pacs", "PACS", "ana", NOW)
        report = reports.add(session, reading, kind="report", content=SIGNED, report={"status": "signed"},
                             document={"uid": "1.2.3"}, edit_number=1, draft_number=1, now=NOW)  # fmt: skip
        reports.sign(session, report, user, "author", {"images": 1}, NOW)
        reports.put_documents(session, report, "sr", {"sr.dcm": b"\x00\xffDICM"}, "1.2.3", NOW)
        deliveries.put(session, report, "pacs", NOW)
        found = critical.raise_one(session, reading, "pneumothorax", "(rules)", NOW)
        critical.attempt(session, found, whom="Dr. Roe", how="telephone", outcome="not reached", login="ana", now=NOW)
        web_sessions.begin(session, "ana", "password", NOW, timedelta(hours=12))
        tokens.add(session, "ana", "viewer", ["read"], NOW, 30)
        buckets.take(session, {"sign in": 60}, NOW)
        pending.put(session, "secret", pending.Kept("/", "http://127.0.0.1/x", None, "", NOW), timedelta(minutes=10))
        identities.link(session, "ana", "https://login.example", "subject-1", NOW)
        preferences.put(session, "ana", {"theme": "dark", "macros": [{"name": "n", "text": "Ü\u0000"}]}, NOW)
        templates.add(session, name="Thorax – Ü", modality="DX", sections={"findings": "Frei."}, normal=True,
                      login="ana", now=NOW)  # fmt: skip
        macros.put(session, "nbl", "Nebenbefundlich:", "ana", NOW)
        record_file = books.put_file(session, "upload/1", "record.json", "mark", 12, NOW, content=b"\x00\xff",
                                     login="ana")  # fmt: skip
        person = books.Person("Patient/1", "Ana Müller", "1961-02-27", "female", (("P1", "urn:clinic"),), 3, NOW)
        record = books.put_people(session, record_file, [("Patient/1", person)], NOW)[0]
        told = alarms.NewAlarm("a1", "e1", "new", "potassium", "critical", {"id": "a1"}, NOW)
        alarms.put_judged(session, record, 0, mark="m", state={}, found={}, alarms=[told], now=NOW, due_at=NOW)
        alarms.act(session, record, "e1", "acknowledge", seen=1, severity="critical", until=None, why="Ü", login="ana",
                   now=NOW)  # fmt: skip
        alarms.switch(session, "potassium", False, "Probe", "ana", NOW)
        intake, _ = intakes.add(
            session, intakes.Who("P1", "", "Müller^Ana1", "19700101", "F"), note="speaks Ü\u0131", login="ana", now=NOW,
            lasts=timedelta(days=1),
        )  # fmt: skip
        intakes.mark(session, intake, intakes.SEEN, "ana", NOW)
        saved_answers.keep(session, "ana", "default", "Ü?\0", {"sentences": ["Ü\0"]}, NOW)
        for action in ("open", "edit", "sign"):
            trail.add(session, "ana", action, STUDY, now=NOW, number=1)
    return trail
