"""Readers' measurements, kept at once; a removed one stays, marked."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, get_args

from sqlalchemy import select
from sqlalchemy.orm import Session

from aris.errors import NotFoundError, StoreError
from aris.store.reading.tables import MeasurementRow, ReadingRow

Calibration = Literal["calibrated", "at detector", "pixels only"]
CALIBRATIONS: tuple[Calibration, ...] = get_args(Calibration)


def add(
    session: Session, reading: ReadingRow, *, image: str, frame: int | None = None, name: str, value: float, unit: str,
    calibration: str, points: Sequence[Sequence[float]] = (), login: str, now: datetime,
) -> MeasurementRow:  # fmt: skip
    """Keep a measurement.

    Args:
        unit: a UCUM code.
        points: columns and rows in pixels of the stored image.

    Raises:
        StoreError: it does not say how far it is calibrated.
    """
    if calibration not in CALIBRATIONS:
        raise StoreError(f"measurement: say of it {', '.join(CALIBRATIONS)}")
    row = MeasurementRow(
        reading_pk=reading.id, image=image, frame=frame, name=name[:128], value=value, unit=unit,
        calibration=calibration, points=[list(each) for each in points], login=login, created_at=now, removed_at=None,
    )  # fmt: skip
    session.add(row)
    session.flush()
    return row


def standing(session: Session, reading: ReadingRow) -> list[MeasurementRow]:
    """Return the measurements that were not removed."""
    query = select(MeasurementRow).where(
        MeasurementRow.reading_pk == reading.id, MeasurementRow.removed_at.is_(None)
    )
    return list(session.scalars(query.order_by(MeasurementRow.id)))


def remove(session: Session, reading: ReadingRow, number: int, now: datetime) -> None:
    """Take a measurement out.

    Raises:
        NotFoundError: there is none.
    """
    row = session.get(MeasurementRow, number)
    if row is None or row.reading_pk != reading.id or row.removed_at is not None:
        raise NotFoundError("measurement: there is none of this number in this study")
    row.removed_at = now
