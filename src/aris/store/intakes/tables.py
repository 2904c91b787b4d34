"""The tables of intakes. Secrets of links are kept as SHA-256 alone; what was answered goes when it may not be kept."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from aris.store.columns import Json, Moment
from aris.store.schema import Base


class IntakeRow(Base):
    """An intake of a patient.

    `link` is the digest of the one-time link, `patient` that of the patient's own secret once the link was used.
    `status`: waiting (for the patient), consent, asking, finished, emergency, unfinished (the time was over, or
    another version of the questions came), declined, expired or revoked.
    `rank` is the level as a number, 0 (routine) to 3 (emergency); `turn` counts changes of `state`, which is the
    conversation while it lasts. `result` is what the clinician reads, made when the questions ended: it does not depend
    on a later version of the symptom base. Both are null (JSON) where nothing may be kept.
    """

    __tablename__ = "intakes"
    __table_args__ = (Index("ix_intakes_list", "status", "rank"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(16), unique=True)
    link: Mapped[str | None] = mapped_column(String(64))
    patient: Mapped[str | None] = mapped_column(String(64))
    patient_id: Mapped[str] = mapped_column(String(256), index=True)
    issuer: Mapped[str] = mapped_column(String(256))
    patient_name: Mapped[str] = mapped_column(String(512))
    birth_date: Mapped[str] = mapped_column(String(8))
    sex: Mapped[str] = mapped_column(String(16))
    note: Mapped[str] = mapped_column(Text)
    made_by: Mapped[str] = mapped_column(String(64))
    made_at: Mapped[datetime] = mapped_column(Moment)
    expires_at: Mapped[datetime] = mapped_column(Moment)
    changed_at: Mapped[datetime] = mapped_column(Moment)
    ended_at: Mapped[datetime | None] = mapped_column(Moment)
    status: Mapped[str] = mapped_column(String(16))
    rank: Mapped[int] = mapped_column(Integer)
    turn: Mapped[int] = mapped_column(Integer)
    asked: Mapped[int] = mapped_column(Integer)
    complaint: Mapped[str] = mapped_column(String(256))
    reason: Mapped[str] = mapped_column(Text)
    state: Mapped[Any] = mapped_column(Json)
    result: Mapped[Any] = mapped_column(Json)


class IntakeMarkRow(Base):
    """A person's mark on an intake: "seen", or "acknowledged" for an emergency, with what was done."""

    __tablename__ = "intake_marks"
    id: Mapped[int] = mapped_column(primary_key=True)
    intake_pk: Mapped[int] = mapped_column(ForeignKey("intakes.id"), index=True)
    kind: Mapped[str] = mapped_column(String(16))
    how: Mapped[str] = mapped_column(String(64))
    note: Mapped[str] = mapped_column(Text)
    login: Mapped[str] = mapped_column(String(64))
    at: Mapped[datetime] = mapped_column(Moment)
