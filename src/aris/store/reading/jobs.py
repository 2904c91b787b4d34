"""Jobs with leases: each is done once, by whoever holds it, and taken up by another when its holder is gone."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import and_, or_, select
from sqlalchemy.orm import Session

from aris.errors import StoreError
from aris.store.reading.tables import JobRow

FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=5), timedelta(hours=1)


class LeaseLostError(StoreError):
    """Another one has taken the job over: what was made of it must not be kept."""


def pause(attempts: int) -> timedelta:
    """Return the wait after so many failed attempts: 5 seconds, then twice as long each time, at most an hour."""
    return min(FIRST_PAUSE * 2 ** min(attempts - 1, 20), LONGEST_PAUSE)


def put(session: Session, kind: str, key: str, study_uid: str, urgency: int, now: datetime) -> bool:
    """Ask for a job, unless one of the same key was asked for before. Whether it is new."""
    if session.scalar(select(JobRow.id).where(JobRow.key == key)) is not None:
        return False
    session.add(
        JobRow(
            kind=kind, key=key, study_uid=study_uid, urgency=urgency, state="waiting", owner="", lease_until=None,
            not_before=now, attempts=0, error="", created_at=now, ended_at=None,
        )
    )  # fmt: skip
    session.flush()
    return True


def hasten(session: Session, study_uid: str, urgency: int) -> None:
    """Give a study's waiting jobs another urgency, as an order that came after its images has it."""
    query = select(JobRow).where(JobRow.study_uid == study_uid, JobRow.state == "waiting").with_for_update()
    for job in session.scalars(query):
        job.urgency = urgency


def claim(session: Session, kind: str, owner: str, lease: timedelta, now: datetime) -> JobRow | None:
    """Take the next job: the most urgent, then the one that waits longest; None if there is nothing to do."""
    free = or_(JobRow.state == "waiting", and_(JobRow.state == "running", JobRow.lease_until < now))
    query = (
        select(JobRow)
        .where(JobRow.kind == kind, free, JobRow.not_before <= now)
        .order_by(JobRow.urgency.desc(), JobRow.created_at, JobRow.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    job = session.scalar(query)
    if job is not None:
        job.state, job.owner, job.lease_until = "running", owner, now + lease
        job.attempts += 1
    return job


def of_study(session: Session, kind: str, study_uid: str, *, lock: bool = False) -> JobRow | None:
    """The newest job of a kind for a study; None if there was none.

    Args:
        lock: keep others from changing it until the transaction ends.
    """
    query = select(JobRow).where(JobRow.kind == kind, JobRow.study_uid == study_uid).order_by(JobRow.id.desc()).limit(1)
    return session.scalar(query.with_for_update() if lock else query)


def take(job: JobRow, owner: str, lease: timedelta, now: datetime) -> bool:
    """Take one job out of its turn, as a person who waits for it asks. Whether it was free.

    Args:
        job: locked. One that waits for its next attempt is free too; one that has ended is not.
    """
    over = job.lease_until is not None and job.lease_until < now
    if not (job.state == "waiting" or (job.state == "running" and over)):
        return False
    job.state, job.owner, job.lease_until = "running", owner, now + lease
    job.attempts += 1
    return True


def renew_failed(job: JobRow, now: datetime) -> None:
    """Let a job that was given up be tried again, as a person asks. Its attempts are counted anew."""
    if job.state == "failed":
        job.state, job.attempts, job.not_before, job.ended_at, job.error = "waiting", 0, now, None, ""


def _held(session: Session, job_id: int, owner: str) -> JobRow:
    job = session.scalar(select(JobRow).where(JobRow.id == job_id).with_for_update())
    if job is None or job.state != "running" or job.owner != owner:
        raise LeaseLostError("job: another worker has taken it over")
    return job


def renew(session: Session, job_id: int, owner: str, lease: timedelta, now: datetime) -> None:
    """Hold a job for longer.

    Raises:
        LeaseLostError: another one holds it, or it has ended.
    """
    _held(session, job_id, owner).lease_until = now + lease


def finish(session: Session, job_id: int, owner: str, now: datetime) -> None:
    """End a job, in the transaction that keeps what was made.

    Raises:
        LeaseLostError: another one holds it, or it has ended.
    """
    job = _held(session, job_id, owner)
    job.state, job.ended_at, job.lease_until, job.error = "done", now, None, ""


def fail(session: Session, job_id: int, owner: str, reason: str, now: datetime, *, most: int = 5) -> str:
    """Note that an attempt failed: it is tried again later, `most` times in all. The job's new state.

    Raises:
        LeaseLostError: another one holds it, or it has ended.
    """
    job = _held(session, job_id, owner)
    job.error, job.owner, job.lease_until = reason[:500], "", None
    if job.attempts >= most:
        job.state, job.ended_at = "failed", now
    else:
        job.state, job.not_before = "waiting", now + pause(job.attempts)
    return job.state


def give_back(session: Session, job_id: int, owner: str, now: datetime) -> None:
    """Let another one do it at once, as a worker that is told to stop does."""
    job = _held(session, job_id, owner)
    job.state, job.owner, job.lease_until, job.not_before = "waiting", "", None, now
    job.attempts -= 1


def give_back_all(session: Session, owner: str, now: datetime) -> int:
    """Let others do at once whatever one holds. How many jobs that were."""
    query = select(JobRow).where(JobRow.state == "running", JobRow.owner == owner).with_for_update()
    held = list(session.scalars(query))
    for job in held:
        give_back(session, job.id, owner, now)
    return len(held)
