"""The tables of work in progress: orders, readings, drafts, edits, verdicts, measurements, jobs, archives' studies.

Rows of drafts, edits and verdicts are never changed or removed: triggers see to it (migration 0003).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Boolean, Float, ForeignKey, Index, Integer, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from aris.store.columns import Json, Moment
from aris.store.schema import Base


class OrderRow(Base):
    """An order: what a clinician asked for, as a worklist or an HL7 message tells it.

    `key` is what an update of the same order is known by. `urgency` is "stat", "urgent" or "routine".
    """

    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(String(256), unique=True)
    placer: Mapped[str] = mapped_column(String(64))
    filler: Mapped[str] = mapped_column(String(64))
    accession: Mapped[str] = mapped_column(String(64), index=True)
    study_uid: Mapped[str] = mapped_column(String(64), index=True)
    patient_id: Mapped[str] = mapped_column(String(256), index=True)
    issuer: Mapped[str] = mapped_column(String(256))
    patient_name: Mapped[str] = mapped_column(String(512))
    birth_date: Mapped[str] = mapped_column(String(8))
    sex: Mapped[str] = mapped_column(String(16))
    urgency: Mapped[str] = mapped_column(String(16))
    procedure: Mapped[str] = mapped_column(String(256))
    reason: Mapped[str] = mapped_column(Text)
    referrer: Mapped[str] = mapped_column(String(512))
    scheduled: Mapped[str] = mapped_column(String(32))
    source: Mapped[str] = mapped_column(String(16))
    status: Mapped[str] = mapped_column(String(16))
    received_at: Mapped[datetime] = mapped_column(Moment)
    changed_at: Mapped[datetime] = mapped_column(Moment)


class ReadingRow(Base):
    """The state of a study's reading.

    `state`: arrived, settled, drafted, opened, preliminary, final, amended or addendum. `images_digest` is of the
    images that it last settled with. `text_number` is the newest edit's; 0 where there is no text. `due_at`: from then
    on no concern of other studies goes before it. `notice`: what a reader must be told, as images after the signature.
    """

    __tablename__ = "readings"
    __table_args__ = (
        Index("ix_readings_list", "urgency", "concern", "arrived_at"),
        Index("ix_readings_counted", "state", sqlite_where=text("images > 0"), postgresql_where=text("images > 0")),
        Index("ix_readings_noticed", "state", sqlite_where=text("notice != ''"), postgresql_where=text("notice != ''")),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    study_uid: Mapped[str] = mapped_column(String(64), unique=True)
    state: Mapped[str] = mapped_column(String(16), index=True)
    order_pk: Mapped[int | None] = mapped_column(ForeignKey("orders.id"), index=True)
    images: Mapped[int] = mapped_column(Integer)
    images_digest: Mapped[str] = mapped_column(String(64))
    arrived_at: Mapped[datetime] = mapped_column(Moment)
    last_object_at: Mapped[datetime] = mapped_column(Moment, index=True)
    settled_at: Mapped[datetime | None] = mapped_column(Moment)
    urgency: Mapped[int] = mapped_column(Integer)
    concern: Mapped[int] = mapped_column(Integer)
    assessed: Mapped[bool] = mapped_column(Boolean)
    reason: Mapped[str] = mapped_column(Text)
    due_at: Mapped[datetime] = mapped_column(Moment)
    text_number: Mapped[int] = mapped_column(Integer)
    opened_by: Mapped[str] = mapped_column(String(64))
    opened_at: Mapped[datetime | None] = mapped_column(Moment)
    notice: Mapped[str] = mapped_column(Text)
    changed_at: Mapped[datetime] = mapped_column(Moment)


class DraftRow(Base):
    """A draft: of the model, or a report from outside. All are kept.

    `applied`: whether it became the text to be edited; one that came after a person's text did not. `details`: what a
    report does not hold, as how sure the model was of each sentence; {} in drafts of before migration 0005.
    """

    __tablename__ = "drafts"
    __table_args__ = (
        UniqueConstraint("reading_pk", "number"),
        # A second worker that drafted the same images with the same weights has nothing to add.
        UniqueConstraint(
            "reading_pk", "origin", "model", "revision", "images_digest", "source", name="uq_drafts_drafted_once"
        ),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    reading_pk: Mapped[int] = mapped_column(ForeignKey("readings.id"))
    number: Mapped[int] = mapped_column(Integer)
    origin: Mapped[str] = mapped_column(String(16))
    model: Mapped[str] = mapped_column(String(256))
    revision: Mapped[str] = mapped_column(String(128))
    images_digest: Mapped[str] = mapped_column(String(64))
    source: Mapped[str] = mapped_column(String(64))
    priority: Mapped[str] = mapped_column(String(16))
    applied: Mapped[bool] = mapped_column(Boolean)
    report: Mapped[Any] = mapped_column(Json)
    created_at: Mapped[datetime] = mapped_column(Moment)
    details: Mapped[Any] = mapped_column(Json, default=dict, server_default="{}")


class EditRow(Base):
    """A version of a reading's text. One whose base was no longer the newest has no number: it is kept beside."""

    __tablename__ = "edits"
    __table_args__ = (UniqueConstraint("reading_pk", "number"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    reading_pk: Mapped[int] = mapped_column(ForeignKey("readings.id"), index=True)
    number: Mapped[int | None] = mapped_column(Integer)
    base: Mapped[int] = mapped_column(Integer)
    author: Mapped[str] = mapped_column(String(64))
    draft_number: Mapped[int] = mapped_column(Integer)
    sections: Mapped[Any] = mapped_column(Json)
    created_at: Mapped[datetime] = mapped_column(Moment)


class VerdictRow(Base):
    """A reader's verdict on a finding or a sentence of a draft; the last one of its subject holds."""

    __tablename__ = "verdicts"
    id: Mapped[int] = mapped_column(primary_key=True)
    reading_pk: Mapped[int] = mapped_column(ForeignKey("readings.id"), index=True)
    draft_number: Mapped[int] = mapped_column(Integer)
    model: Mapped[str] = mapped_column(String(256), index=True)
    revision: Mapped[str] = mapped_column(String(128))
    kind: Mapped[str] = mapped_column(String(16))
    about: Mapped[str] = mapped_column(Text)
    verdict: Mapped[str] = mapped_column(String(16))
    said: Mapped[str] = mapped_column(Text)
    login: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(Moment)


class MeasurementRow(Base):
    """A reader's measurement on an image. `calibration` is "calibrated", "at detector" or "pixels only"."""

    __tablename__ = "measurements"
    id: Mapped[int] = mapped_column(primary_key=True)
    reading_pk: Mapped[int] = mapped_column(ForeignKey("readings.id"), index=True)
    image: Mapped[str] = mapped_column(String(64))
    frame: Mapped[int | None] = mapped_column(Integer)
    name: Mapped[str] = mapped_column(String(128))
    value: Mapped[float] = mapped_column(Float)
    unit: Mapped[str] = mapped_column(String(16))
    calibration: Mapped[str] = mapped_column(String(16))
    points: Mapped[Any] = mapped_column(Json)
    login: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(Moment)
    removed_at: Mapped[datetime | None] = mapped_column(Moment)


class JobRow(Base):
    """Work to be done once: whoever holds its lease does it, and another one when the lease has run out."""

    __tablename__ = "jobs"
    __table_args__ = (Index("ix_jobs_next", "state", "not_before"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    key: Mapped[str] = mapped_column(String(256), unique=True)
    study_uid: Mapped[str] = mapped_column(String(64), index=True)
    urgency: Mapped[int] = mapped_column(Integer)
    state: Mapped[str] = mapped_column(String(16))
    owner: Mapped[str] = mapped_column(String(64))
    lease_until: Mapped[datetime | None] = mapped_column(Moment)
    not_before: Mapped[datetime] = mapped_column(Moment)
    attempts: Mapped[int] = mapped_column(Integer)
    error: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(Moment)
    ended_at: Mapped[datetime | None] = mapped_column(Moment)


class RemoteStudyRow(Base):
    """A study that an archive elsewhere has of the patient of one of ours, as the archive describes it."""

    __tablename__ = "remote_studies"
    __table_args__ = (UniqueConstraint("of_study", "study_uid", "archive"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    of_study: Mapped[str] = mapped_column(String(64), index=True)
    study_uid: Mapped[str] = mapped_column(String(64))
    archive: Mapped[str] = mapped_column(String(64))
    patient_id: Mapped[str] = mapped_column(String(256))
    issuer: Mapped[str] = mapped_column(String(256))
    patient_name: Mapped[str] = mapped_column(String(512))
    birth_date: Mapped[str] = mapped_column(String(8))
    sex: Mapped[str] = mapped_column(String(16))
    date: Mapped[str] = mapped_column(String(8))
    description: Mapped[str] = mapped_column(String(256))
    modalities: Mapped[Any] = mapped_column(Json)
    instances: Mapped[int | None] = mapped_column(Integer)
    found_at: Mapped[datetime] = mapped_column(Moment)


class FetchedStudyRow(Base):
    """A study that was fetched from an archive to compare with: nobody has to read it, so it begins no reading.

    `state`: "asked" (it is on its way), "fetched", "failed", or "released": it came by another way too, so it is to be
    read like all others. `source` is who sends it when it was asked for.
    """

    __tablename__ = "fetched_studies"
    id: Mapped[int] = mapped_column(primary_key=True)
    study_uid: Mapped[str] = mapped_column(String(64), unique=True)
    archive: Mapped[str] = mapped_column(String(64))
    source: Mapped[str] = mapped_column(String(64))
    state: Mapped[str] = mapped_column(String(16))
    error: Mapped[str] = mapped_column(Text)
    login: Mapped[str] = mapped_column(String(64))
    asked_at: Mapped[datetime] = mapped_column(Moment)
    changed_at: Mapped[datetime] = mapped_column(Moment)


class TemplateRow(Base):
    """A site's own report template: text by section. `normal`: of the one-key path for an examination without findings.

    `modality` is DICOM's code, "" for all.
    """

    __tablename__ = "report_templates"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(128))
    modality: Mapped[str] = mapped_column(String(16))
    normal: Mapped[bool] = mapped_column(Boolean)
    sections: Mapped[Any] = mapped_column(Json)
    login: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(Moment)


class MacroRow(Base):
    """A site's macro: a name that stands for a text."""

    __tablename__ = "macros"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    text: Mapped[str] = mapped_column(Text)
    login: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(Moment)
