"""The tables of what must last: users, signed reports, signatures, documents, deliveries, critical results, audit.

Rows of reports, signatures, documents, critical results, their attempts and audit events are never changed or removed:
triggers see to it (migration 0003).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Boolean, ForeignKey, Index, Integer, LargeBinary, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from aris.store.columns import Json, Moment
from aris.store.schema import Base


class HouseRow(Base):
    """A value of the whole store, as its identity."""

    __tablename__ = "house"
    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    value: Mapped[str] = mapped_column(Text)


class UserRow(Base):
    """A person who may sign in. `name` is a DICOM person name; `role` admin, reader or viewer."""

    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    login: Mapped[str] = mapped_column(String(64), unique=True)
    name: Mapped[str] = mapped_column(String(256))
    identifier: Mapped[str] = mapped_column(String(64))
    organization: Mapped[str] = mapped_column(String(256))
    role: Mapped[str] = mapped_column(String(16))
    password: Mapped[str] = mapped_column(Text)
    active: Mapped[bool] = mapped_column(Boolean)
    failures: Mapped[int] = mapped_column(Integer)
    locked_until: Mapped[datetime | None] = mapped_column(Moment)
    created_at: Mapped[datetime] = mapped_column(Moment)
    changed_at: Mapped[datetime] = mapped_column(Moment)


class ReportRow(Base):
    """A signed version of a report.

    `kind`: "report", "correction" or "addendum"; `follows` is the version before it. `content` is what the signature
    covers: text, image UIDs, draft and its version; `digest` its SHA-256. `document` names the DICOM document of this
    version, for what follows it.
    """

    __tablename__ = "reports"
    __table_args__ = (UniqueConstraint("reading_pk", "number"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    reading_pk: Mapped[int] = mapped_column(ForeignKey("readings.id"))
    number: Mapped[int] = mapped_column(Integer)
    kind: Mapped[str] = mapped_column(String(16))
    follows: Mapped[int | None] = mapped_column(ForeignKey("reports.id"))
    edit_number: Mapped[int] = mapped_column(Integer)
    draft_number: Mapped[int] = mapped_column(Integer)
    content: Mapped[Any] = mapped_column(Json)
    digest: Mapped[str] = mapped_column(String(64))
    report: Mapped[Any] = mapped_column(Json)
    document: Mapped[Any] = mapped_column(Json)
    created_at: Mapped[datetime] = mapped_column(Moment)


class SignatureRow(Base):
    """A signature under a version: whose, when, and with which meaning: "author", "preliminary" or "verifier"."""

    __tablename__ = "signatures"
    __table_args__ = (UniqueConstraint("report_pk", "login"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    report_pk: Mapped[int] = mapped_column(ForeignKey("reports.id"))
    login: Mapped[str] = mapped_column(String(64))
    name: Mapped[str] = mapped_column(String(256))
    identifier: Mapped[str] = mapped_column(String(64))
    organization: Mapped[str] = mapped_column(String(256))
    meaning: Mapped[str] = mapped_column(String(16))
    digest: Mapped[str] = mapped_column(String(64))
    seen: Mapped[Any] = mapped_column(Json)
    signed_at: Mapped[datetime] = mapped_column(Moment)


class DocumentRow(Base):
    """A signed version as a file of a format, made once and sent as often as it takes."""

    __tablename__ = "documents"
    __table_args__ = (UniqueConstraint("report_pk", "form", "name"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    report_pk: Mapped[int] = mapped_column(ForeignKey("reports.id"))
    form: Mapped[str] = mapped_column(String(16))
    name: Mapped[str] = mapped_column(String(128))
    uid: Mapped[str] = mapped_column(String(128), index=True)
    data: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(Moment)


class DeliveryRow(Base):
    """A signed version on its way to one destination, until it is acknowledged."""

    __tablename__ = "deliveries"
    __table_args__ = (UniqueConstraint("report_pk", "destination"), Index("ix_deliveries_next", "state", "not_before"))
    id: Mapped[int] = mapped_column(primary_key=True)
    report_pk: Mapped[int] = mapped_column(ForeignKey("reports.id"))
    reading_pk: Mapped[int] = mapped_column(ForeignKey("readings.id"), index=True)
    destination: Mapped[str] = mapped_column(String(64))
    state: Mapped[str] = mapped_column(String(16))
    owner: Mapped[str] = mapped_column(String(64))
    lease_until: Mapped[datetime | None] = mapped_column(Moment)
    not_before: Mapped[datetime] = mapped_column(Moment)
    attempts: Mapped[int] = mapped_column(Integer)
    error: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(Moment)
    acknowledged_at: Mapped[datetime | None] = mapped_column(Moment)


class CriticalRow(Base):
    """A critical result, raised by the rules or by a person."""

    __tablename__ = "critical_results"
    __table_args__ = (UniqueConstraint("reading_pk", "key"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    reading_pk: Mapped[int] = mapped_column(ForeignKey("readings.id"))
    key: Mapped[str] = mapped_column(String(64))
    finding: Mapped[str] = mapped_column(Text)
    raised_by: Mapped[str] = mapped_column(String(64))
    raised_at: Mapped[datetime] = mapped_column(Moment)


class AttemptRow(Base):
    """An attempt to tell somebody of a critical result.

    `outcome`: "read back" (the only one that ends it), "told", "message left", "not reached", or "withdrawn" (a person
    says with a reason that it is none).
    """

    __tablename__ = "critical_attempts"
    id: Mapped[int] = mapped_column(primary_key=True)
    critical_pk: Mapped[int] = mapped_column(ForeignKey("critical_results.id"), index=True)
    whom: Mapped[str] = mapped_column(String(256))
    how: Mapped[str] = mapped_column(String(64))
    outcome: Mapped[str] = mapped_column(String(16))
    note: Mapped[str] = mapped_column(Text)
    login: Mapped[str] = mapped_column(String(64))
    at: Mapped[datetime] = mapped_column(Moment)


class AuditRow(Base):
    """An audit event. `mac` is keyed and covers this event and all before it; `at` is text, as the mac covers it."""

    __tablename__ = "audit"
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    at: Mapped[str] = mapped_column(String(40))
    actor: Mapped[str] = mapped_column(String(64))
    action: Mapped[str] = mapped_column(String(32), index=True)
    subject: Mapped[str] = mapped_column(String(64), index=True)
    outcome: Mapped[str] = mapped_column(String(16))
    detail: Mapped[Any] = mapped_column(Json)
    mac: Mapped[str] = mapped_column(String(64))
