"""Deliveries: each signed version to each destination, tried until it is acknowledged, in the order of signing."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import and_, func, or_, select
from sqlalchemy.orm import Session, aliased

from aris.store.reading.jobs import LeaseLostError, pause
from aris.store.reading.lasting_tables import DeliveryRow, ReportRow


def put(session: Session, report: ReportRow, destination: str, now: datetime) -> None:
    """Ask for a version to be delivered, in the transaction that signs it; once for each destination."""
    known = select(DeliveryRow.id).where(DeliveryRow.report_pk == report.id, DeliveryRow.destination == destination)
    if session.scalar(known) is None:
        session.add(
            DeliveryRow(
                report_pk=report.id, reading_pk=report.reading_pk, destination=destination, state="waiting", owner="",
                lease_until=None, not_before=now, attempts=0, error="", created_at=now, acknowledged_at=None,
            )
        )  # fmt: skip
        session.flush()


def claim(
    session: Session, owner: str, lease: timedelta, now: datetime, destinations: tuple[str, ...]
) -> DeliveryRow | None:
    """Take the next delivery to one of the destinations; None if none is due.

    A version waits until the one before it is acknowledged there: no older version arrives after a newer one.
    """
    before = aliased(DeliveryRow)
    earlier = (
        select(before.id)
        .where(
            before.reading_pk == DeliveryRow.reading_pk, before.destination == DeliveryRow.destination,
            before.id < DeliveryRow.id, before.state != "acknowledged",
        )
        .exists()
    )  # fmt: skip
    free = or_(
        DeliveryRow.state == "waiting", and_(DeliveryRow.state == "running", DeliveryRow.lease_until < now)
    )
    query = (
        select(DeliveryRow)
        .where(free, DeliveryRow.not_before <= now, DeliveryRow.destination.in_(destinations), ~earlier)
        .order_by(DeliveryRow.not_before, DeliveryRow.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    row = session.scalar(query)
    if row is not None:
        row.state, row.owner, row.lease_until = "running", owner, now + lease
        row.attempts += 1
    return row


def _held(session: Session, delivery_id: int, owner: str) -> DeliveryRow:
    row = session.scalar(select(DeliveryRow).where(DeliveryRow.id == delivery_id).with_for_update())
    if row is None or row.state != "running" or row.owner != owner:
        raise LeaseLostError("delivery: another worker has taken it over")
    return row


def acknowledge(session: Session, delivery_id: int, owner: str, now: datetime) -> None:
    """Note that the destination has it.

    Raises:
        LeaseLostError: another one holds it.
    """
    row = _held(session, delivery_id, owner)
    row.state, row.acknowledged_at, row.lease_until, row.error = "acknowledged", now, None, ""


def retry(session: Session, delivery_id: int, owner: str, reason: str, now: datetime) -> datetime:
    """Note that an attempt failed, and when the next one is due: never is one given up.

    Raises:
        LeaseLostError: another one holds it.
    """
    row = _held(session, delivery_id, owner)
    row.state, row.owner, row.lease_until, row.error = "waiting", "", None, reason[:500]
    row.not_before = now + pause(row.attempts)
    return row.not_before


def give_back_all(session: Session, owner: str, now: datetime) -> int:
    """Let others try at once whatever one is trying. How many deliveries that were."""
    query = select(DeliveryRow).where(DeliveryRow.state == "running", DeliveryRow.owner == owner).with_for_update()
    held = list(session.scalars(query))
    for row in held:
        row.state, row.owner, row.lease_until, row.not_before = "waiting", "", None, now
    return len(held)


def hasten(session: Session, now: datetime) -> int:
    """Make all that wait due now, as after a destination was mended. How many there are."""
    query = select(DeliveryRow).where(DeliveryRow.state == "waiting", DeliveryRow.not_before > now)
    rows = list(session.scalars(query))
    for row in rows:
        row.not_before = now
    return len(rows)


def of_reports(session: Session, report_pks: list[int]) -> list[DeliveryRow]:
    """The deliveries of versions."""
    if not report_pks:
        return []
    query = select(DeliveryRow).where(DeliveryRow.report_pk.in_(report_pks)).order_by(DeliveryRow.id)
    return list(session.scalars(query))


def counts(session: Session) -> dict[str, int]:
    """Count deliveries in each state."""
    return {state: count for state, count in session.execute(
        select(DeliveryRow.state, func.count()).group_by(DeliveryRow.state)
    )}  # fmt: skip


def failing(session: Session) -> list[DeliveryRow]:
    """Return the deliveries whose last attempt failed."""
    query = select(DeliveryRow).where(DeliveryRow.state == "waiting", DeliveryRow.error != "")
    return list(session.scalars(query.order_by(DeliveryRow.id)))
