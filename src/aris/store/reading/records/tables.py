"""The tables of records: files, patients, the watch's state, alarms, acts on alarms, switches of rules.

Rows of alarms, acts and switches are never changed or removed: triggers see to it (migration 0008).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Boolean, ForeignKey, Index, Integer, LargeBinary, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from aris.store.columns import Json, Moment
from aris.store.schema import Base


class RecordFileRow(Base):
    """A file of records, as it was last read.

    `source` is a source of the site's settings, or "upload/" and a digest. `print` tells one content from another.
    `content`: of an upload, compressed; None for what lies elsewhere. `problem`: why it could not be read, "" if it
    was.
    """

    __tablename__ = "record_files"
    __table_args__ = (UniqueConstraint("source", "name"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    source: Mapped[str] = mapped_column(String(96))
    name: Mapped[str] = mapped_column(String(1024))
    print: Mapped[str] = mapped_column(String(80))
    size: Mapped[int] = mapped_column(BigInteger)
    content: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)
    problem: Mapped[str] = mapped_column(Text)
    login: Mapped[str] = mapped_column(String(64))
    read_at: Mapped[datetime] = mapped_column(Moment)


class RecordRow(Base):
    """A patient's record.

    `key` is the patient's id in its source, with a mark where two people there have the same one; `patient` the id.
    `searched`: name, numbers and birth date in small letters. `gone`: its files are there no more; its alarms stay.
    """

    __tablename__ = "records"
    __table_args__ = (UniqueConstraint("source", "key"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    source: Mapped[str] = mapped_column(String(96))
    key: Mapped[str] = mapped_column(String(160))
    patient: Mapped[str] = mapped_column(String(128))
    name: Mapped[str] = mapped_column(String(512), index=True)
    birth_date: Mapped[str] = mapped_column(String(10), index=True)
    sex: Mapped[str] = mapped_column(String(16))
    identifiers: Mapped[Any] = mapped_column(Json)
    searched: Mapped[str] = mapped_column(Text)
    entries: Mapped[int] = mapped_column(Integer)
    newest: Mapped[datetime | None] = mapped_column(Moment)
    print: Mapped[str] = mapped_column(String(80))
    gone: Mapped[bool] = mapped_column(Boolean)
    read_at: Mapped[datetime] = mapped_column(Moment)


class RecordPartRow(Base):
    """A file that a record lies in."""

    __tablename__ = "record_parts"
    __table_args__ = (UniqueConstraint("record_pk", "file_pk"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    record_pk: Mapped[int] = mapped_column(ForeignKey("records.id"))
    file_pk: Mapped[int] = mapped_column(ForeignKey("record_files.id"), index=True)


class RecordIdentifierRow(Base):
    """A number of a patient, in small letters, by which a study's patient is found."""

    __tablename__ = "record_identifiers"
    id: Mapped[int] = mapped_column(primary_key=True)
    record_pk: Mapped[int] = mapped_column(ForeignKey("records.id"), index=True)
    value: Mapped[str] = mapped_column(String(256), index=True)


class WatchedRow(Base):
    """The watch's state of a record. `state` is `aris.tasks.monitor.State`; `found` what it last found.

    `number` counts the judgements: one that began from another number than it finds is not kept. `print`: of the record
    that was judged. `due_at`: when time alone may have changed something.
    """

    __tablename__ = "watched_records"
    id: Mapped[int] = mapped_column(primary_key=True)
    record_pk: Mapped[int] = mapped_column(ForeignKey("records.id"), unique=True)
    number: Mapped[int] = mapped_column(Integer)
    print: Mapped[str] = mapped_column(String(80))
    state: Mapped[Any] = mapped_column(Json)
    found: Mapped[Any] = mapped_column(Json)
    judged_at: Mapped[datetime] = mapped_column(Moment)
    due_at: Mapped[datetime] = mapped_column(Moment, index=True)


class AlarmRow(Base):
    """An event of the watch: a flag that is new or worse, or the end of one. `key`, its id there, is here once.

    `episode`: of the flag. `event`: "new", "worse" or "ended". `content`: `aris.tasks.monitor.Alarm` or `Ended`.
    """

    __tablename__ = "alarms"
    __table_args__ = (UniqueConstraint("record_pk", "key"), Index("ix_alarms_episode", "record_pk", "episode"))
    id: Mapped[int] = mapped_column(primary_key=True)
    record_pk: Mapped[int] = mapped_column(ForeignKey("records.id"))
    key: Mapped[str] = mapped_column(String(64))
    episode: Mapped[str] = mapped_column(String(64))
    event: Mapped[str] = mapped_column(String(16))
    rule: Mapped[str] = mapped_column(String(64), index=True)
    severity: Mapped[str] = mapped_column(String(16))
    content: Mapped[Any] = mapped_column(Json)
    raised_at: Mapped[datetime] = mapped_column(Moment)
    told_at: Mapped[datetime] = mapped_column(Moment)


class AlarmActRow(Base):
    """An act of a person on an episode: "acknowledge", "snooze", "close" or "reopen".

    `seen` is the newest event then, `severity` the one that the flag had: whatever is worse is not covered by the act.
    """

    __tablename__ = "alarm_acts"
    __table_args__ = (Index("ix_alarm_acts_episode", "record_pk", "episode"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    record_pk: Mapped[int] = mapped_column(ForeignKey("records.id"))
    episode: Mapped[str] = mapped_column(String(64))
    act: Mapped[str] = mapped_column(String(16))
    seen: Mapped[int] = mapped_column(Integer)
    severity: Mapped[str] = mapped_column(String(16))
    until: Mapped[datetime | None] = mapped_column(Moment)
    why: Mapped[str] = mapped_column(Text)
    login: Mapped[str] = mapped_column(String(64))
    at: Mapped[datetime] = mapped_column(Moment)


class RuleSwitchRow(Base):
    """A rule that was switched off or on; the newest of a rule holds."""

    __tablename__ = "rule_switches"
    id: Mapped[int] = mapped_column(primary_key=True)
    rule: Mapped[str] = mapped_column(String(64), index=True)
    on: Mapped[bool] = mapped_column(Boolean)
    why: Mapped[str] = mapped_column(Text)
    login: Mapped[str] = mapped_column(String(64))
    at: Mapped[datetime] = mapped_column(Moment)
