"""Drafting: a worker takes a job with a lease, has a study drafted, and ends the job as it keeps the draft.

Whoever lost the lease keeps nothing, so that nothing is drafted twice; whoever is killed is replaced.
"""

from __future__ import annotations

import logging
import secrets
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Literal, Protocol

from sqlalchemy.orm import Session

from aris.errors import ArisError, ConflictError
from aris.exchange.documents.formats import model_identity
from aris.exchange.documents.report import Report, report_of
from aris.flow.arrival import DRAFT, digest_of, settle_now
from aris.flow.draft_details import details_of
from aris.flow.house import House
from aris.flow.leases import Heartbeat
from aris.flow.listening import Hearing, Listener
from aris.flow.priority import NOT_DRAFTED, Concern, concern_of
from aris.flow.reading.priors import latest_sure
from aris.flow.subjects import drafts_of_others, study_row, subject
from aris.imaging.dicom.patients import Patient as HeaderPatient
from aris.imaging.sources import FileSource
from aris.store.files import unnamed
from aris.store.reading import critical, drafts, edits, jobs, readings
from aris.store.reading.audit import SYSTEM
from aris.store.reading.orders import patient_of
from aris.store.reading.tables import JobRow, OrderRow, ReadingRow
from aris.store.schema import StudyRow
from aris.tasks import Draft, ScoredFinding, Sections
from aris.tasks.draft import NO_PRIOR, NOT_STATED

log = logging.getLogger("aris.flow")
RULES = "(rules)"
LATE_CRITICAL = "a draft that came after the signature is critical"
# A study that cannot be read is not read better the fourth time.
_ATTEMPTS = 3
# One that ends the process of whoever takes it (no memory, a crash in native code) would do so for ever.
_CLAIMS = 10


class Drafter(Protocol):
    """A callable that drafts studies.

    Attributes:
        name, revision: of the model.
        operating_points: optional: of findings by name, the probability from which on each counts as present.
    """

    name: str
    revision: str

    def __call__(self, files: Sequence[FileSource], hearing: Hearing | None = None) -> Draft:
        """Draft the report of a study's files.

        Args:
            hearing: is told while it is written; not given where nobody listens.

        Raises:
            ArisError: it cannot be done.
        """
        ...


Done = Literal["drafted", "known", "failed", "lost"]
Busy = Literal["elsewhere", "done", "given up"]


def worker_name() -> str:
    """A name that no other worker has."""
    return f"{socket.gethostname()[:40]}:{secrets.token_hex(8)}"


def draft_next(
    house: House, drafter: Drafter, owner: str, now: datetime | None = None, listener: Listener | None = None
) -> Done | None:
    """Do the next job of drafting; None if there is none.

    Args:
        listener: hears of it while it is written.

    Returns:
        what became of it: "drafted"; "known" (the same was there); "failed" (it is tried again later, or given up and
        said so); "lost" (another worker took it over, and what was made here is not kept).
    """
    sessions, lease = house.store.sessions, house.settings.lease
    job = sessions.write(lambda session: jobs.claim(session, DRAFT, owner, lease, now or datetime.now(UTC)))
    return None if job is None else _do(house, drafter, job, owner, now, listener)


def draft_now(
    house: House, drafter: Drafter, study: str, owner: str, listener: Listener | None = None, *, again: bool = False,
    now: datetime | None = None,
) -> Done | Busy:  # fmt: skip
    """Draft one study ahead of all others, with the images that are there: a reader waits for it.

    Args:
        listener: hears of it while it is written.
        again: also where it was given up after too many failures.

    Returns:
        as `draft_next`; or, with nothing done, "elsewhere" (another worker is at it), "done" or "given up".

    Raises:
        StoreError: no such study in the worklist.
    """
    moment = now or datetime.now(UTC)
    settle_now(house, {study}, moment)

    def claim(session: Session) -> tuple[JobRow | None, Busy]:
        reading = readings.require(session, study, lock=True)
        if reading.state in readings.SIGNED:
            return None, "done"  # nobody waits for a draft any longer
        job = jobs.of_study(session, DRAFT, study, lock=True)
        if job is None:
            return None, "done"  # it settled with images that it was drafted with
        if again:
            jobs.renew_failed(job, moment)
        if jobs.take(job, owner, house.settings.lease, moment):
            return job, "elsewhere"
        ended: dict[str, Busy] = {"done": "done", "failed": "given up"}
        return None, ended.get(job.state, "elsewhere")

    job, busy = house.store.sessions.write(claim)
    return busy if job is None else _do(house, drafter, job, owner, now, listener)


def _do(
    house: House, drafter: Drafter, job: JobRow, owner: str, now: datetime | None, listener: Listener | None
) -> Done:
    hearing = None
    outcome: Done | Literal["given back"] = "given back"
    reason = ""
    try:
        if listener is not None:
            hearing = _Telling(listener.begun(job.study_uid), house, job.study_uid)
        outcome, reason = _draft(house, drafter, job, owner, now, hearing)
        return outcome
    finally:
        if listener is not None:
            listener.ended(job.study_uid, outcome, reason)


def _draft(
    house: House, drafter: Drafter, job: JobRow, owner: str, now: datetime | None, hearing: Hearing | None
) -> tuple[Done, str]:
    sessions = house.store.sessions
    if job.attempts > _CLAIMS:
        return _failed(house, job, owner, "its worker ended each time", now)
    with sessions.reading() as session:
        row = study_row(session, job.study_uid)
        whose = HeaderPatient() if row is None else patient_of(row)
        images = readings.image_uids(session, job.study_uid)
    wanted = set(images)
    files = unnamed(each.file for each in house.store.instances(study=job.study_uid) if each.uid in wanted)
    beating = Heartbeat(house, job.id, owner)
    try:
        with beating:
            draft = drafter(files) if hearing is None else drafter(files, hearing)
    except ArisError as error:
        return _failed(house, job, owner, str(error), now)
    except Exception as error:
        # The type alone: a message may quote the file.
        return _failed(house, job, owner, f"a defect ({type(error).__name__})", now)
    except BaseException:  # told to stop: another one may do it at once
        with suppress(ArisError):
            sessions.write(lambda session: jobs.give_back(session, job.id, owner, datetime.now(UTC)))
        raise
    try:
        kept = sessions.write(lambda session: _keep(session, house, drafter, draft, job, owner, images, whose, now))
    except jobs.LeaseLostError:
        log.warning("a draft was made twice and kept once: its lease had run out")
        return "lost", ""
    except ArisError as error:
        return _failed(house, job, owner, str(error), now)
    except Exception as error:
        return _failed(house, job, owner, f"a defect ({type(error).__name__})", now)
    return ("drafted" if kept else "known"), ""


class _Telling:
    """Tells a hearing of a draft in the words in which it is kept; a listener's fault ends no draft."""

    def __init__(self, hearing: Hearing, house: House, study: str) -> None:
        self._hearing, self._house, self._study = hearing, house, study

    def found(self, findings: Sequence[ScoredFinding], warnings: Sequence[str]) -> None:
        with suppress(Exception):
            self._hearing.found(findings, warnings)

    def wrote(self, section: str, text: str, anew: bool) -> None:
        with suppress(Exception):
            if (section in ("indication", "examination") and text in ("", NOT_STATED)) or text == NO_PRIOR:
                with self._house.store.sessions.reading() as session:
                    reading = readings.require(session, self._study)
                    said = _known_here(session, reading, Sections(**{section: text}))
                    text = getattr(said, section)
            self._hearing.wrote(section, text, anew)


def _keep(
    session: Session, house: House, drafter: Drafter, draft: Draft, job: JobRow, owner: str, images: list[str],
    whose: HeaderPatient, now: datetime | None,
) -> bool:  # fmt: skip
    """Keep a draft of images; `whose` they were when it was begun."""
    moment = now or datetime.now(UTC)
    jobs.finish(session, job.id, owner, moment)
    reading = readings.require(session, job.study_uid, lock=True)
    study = study_row(session, job.study_uid)
    if study is None or patient_of(study).conflicts(whose):
        raise ConflictError("draft: the study was given to another patient meanwhile")
    report = _report(session, drafter, draft, reading)
    # Nobody's text is replaced, and no signed report: a draft that comes late is kept, no more.
    free = reading.state not in (*readings.SIGNED, "preliminary") and not edits.touched(session, reading)
    row = drafts.add(
        session, reading, report.model_dump(mode="json"), model=drafter.name, revision=drafter.revision,
        images_digest=_digest(session, reading, study, images), priority=draft.priority, applied=free,
        details=details_of(draft, _operating_points(drafter)), now=moment,
    )  # fmt: skip
    if row is None:
        return False
    if free:
        edits.add(
            session, reading, report.sections.model_dump(), base=reading.text_number, author=edits.MODEL,
            draft_number=row.number, now=moment,
        )  # fmt: skip
        if reading.state in ("arrived", "settled"):
            reading.state = "drafted"
    _weigh(reading, concern_of(draft), moment)
    if draft.priority == "critical":
        critical.raise_one(session, reading, _critical_words(draft), RULES, moment)
        if reading.state in readings.SIGNED and not reading.notice:
            reading.notice = LATE_CRITICAL
    house.trail.add(
        session, SYSTEM, "draft", reading.study_uid, now=moment, draft=row.number, model=drafter.name,
        revision=drafter.revision, applied=free,
    )  # fmt: skip
    return True


def _digest(session: Session, reading: ReadingRow, study: StudyRow, images: list[str]) -> str:
    """The digest of what was drafted: another one than that of the same images when they were another patient's."""
    others = drafts_of_others(session, reading, study)
    return digest_of([*images, f"after draft {others[-1]}, of another patient"] if others else images)


def _weigh(reading: ReadingRow, concern: Concern, now: datetime) -> None:
    """A later draft never lowers what an earlier one raised."""
    if concern.level > reading.concern or (concern.level == reading.concern and not reading.assessed):
        reading.concern, reading.reason = concern.level, concern.reason
    reading.assessed = reading.assessed or concern.assessed
    reading.changed_at = now


def _critical_words(draft: Draft) -> str:
    over = [each.name for each in draft.findings if each.present]
    return ", ".join(over) if over else "critical: the draft's text states it"


def _report(session: Session, drafter: Drafter, draft: Draft, reading: ReadingRow) -> Report:
    study = study_row(session, reading.study_uid)
    assert study is not None
    draft = draft.model_copy(update={"sections": _known_here(session, reading, draft.sections)})
    patient, about, images = subject(session, study)
    return report_of(
        draft, model=model_identity(drafter.name, drafter.revision or None), patient=patient, study=about, images=images
    )


def _operating_points(drafter: Drafter) -> Mapping[str, float]:
    return getattr(drafter, "operating_points", None) or {}


def _known_here(session: Session, reading: ReadingRow, sections: Sections) -> Sections:
    """The sections, with what the order and the store say where the images say nothing.

    A draft is of the study's own images: where a sure prior is in the store it says that this one was not compared.
    """
    order = None if reading.order_pk is None else session.get(OrderRow, reading.order_pk)
    said = {}
    if order is not None:
        if order.reason and sections.indication in ("", NOT_STATED):
            said["indication"] = order.reason
        if order.procedure and sections.examination in ("", NOT_STATED):
            said["examination"] = order.procedure
    study = study_row(session, reading.study_uid)
    if sections.comparison == NO_PRIOR and study is not None and (prior := latest_sure(session, study)) is not None:
        day = f"{prior.date[:4]}-{prior.date[4:6]}-{prior.date[6:]}"
        kinds = f" ({', '.join(prior.modalities)})" if prior.modalities else ""
        said["comparison"] = f"A prior of {day}{kinds} exists; it was not compared."
    return sections.model_copy(update=said)


def _failed(house: House, job: JobRow, owner: str, reason: str, now: datetime | None) -> tuple[Done, str]:
    moment = now or datetime.now(UTC)

    def work(session: Session) -> str:
        state = jobs.fail(session, job.id, owner, reason, moment, most=_ATTEMPTS)
        if state == "failed":
            reading = readings.require(session, job.study_uid, lock=True)
            if not reading.assessed:
                _weigh(reading, Concern(NOT_DRAFTED.level, False, "not drafted: its place is its order's"), moment)
            house.trail.add(session, SYSTEM, "draft", job.study_uid, outcome="failed", now=moment)
        return state

    try:
        state = house.store.sessions.write(work)
    except jobs.LeaseLostError:
        return "lost", ""
    log.error("a study could not be drafted (attempt %d, %s)", job.attempts, state)
    return "failed", reason
