"""The tables. The migrations in `migrations/` make them; a test holds the two together."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Text,
    UniqueConstraint,
    event,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

# Constraints have names, so that later migrations can change them in every database.
_NAMES = {
    "ix": "ix_%(column_0_label)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=_NAMES)


def folded(text: str) -> str:
    """Return a text as searches and sorts compare it: without a difference of capitals, in any script."""
    return text.lower()


def words_of(patient_name: str, patient_id: str, accession: str, description: str) -> str:
    """Return what a search of the worklist looks into, folded; no word of a search reaches from one into the next."""
    return folded("\n".join((patient_name, patient_id, accession, description)))


def _key_of(column: str) -> Any:
    return lambda context: folded(context.get_current_parameters()[column])


def _words(context: Any) -> str:
    given = context.get_current_parameters()
    return words_of(given["patient_name"], given["patient_id"], given["accession"], given["description"])


class StudyRow(Base):
    """A study, with its patient as the first of its objects named him.

    `name_key`, `id_key` and `words` are folded copies for searches and sorts. SQLite folds no letters but ASCII's, and
    a function of Python's in a query is called for each row under Python's lock.
    """

    __tablename__ = "studies"
    id: Mapped[int] = mapped_column(primary_key=True)
    uid: Mapped[str] = mapped_column(String(64), unique=True)
    study_id: Mapped[str] = mapped_column(String(64))
    accession: Mapped[str] = mapped_column(String(64), index=True)
    date: Mapped[str] = mapped_column(String(8), index=True)
    time: Mapped[str] = mapped_column(String(16))
    description: Mapped[str] = mapped_column(String(256))
    referrer: Mapped[str] = mapped_column(String(512))
    patient_id: Mapped[str] = mapped_column(String(256), index=True)
    patient_name: Mapped[str] = mapped_column(String(512), index=True)
    birth_date: Mapped[str] = mapped_column(String(8), index=True)
    sex: Mapped[str] = mapped_column(String(16))
    issuer: Mapped[str] = mapped_column(String(256), server_default="")
    received_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    name_key: Mapped[str] = mapped_column(String(1024), default=_key_of("patient_name"), server_default="", index=True)
    id_key: Mapped[str] = mapped_column(String(512), default=_key_of("patient_id"), server_default="", index=True)
    words: Mapped[str] = mapped_column(Text, default=_words, server_default="")
    series: Mapped[list[SeriesRow]] = relationship(back_populates="study")


@event.listens_for(StudyRow, "before_update")
def _fold_again(_mapper: Any, _connection: Any, row: StudyRow) -> None:
    row.name_key, row.id_key = folded(row.patient_name), folded(row.patient_id)
    row.words = words_of(row.patient_name, row.patient_id, row.accession, row.description)


class SeriesRow(Base):
    """A series. Its UID may, by some sender's fault, occur in two studies."""

    __tablename__ = "series"
    __table_args__ = (UniqueConstraint("study_pk", "uid"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    study_pk: Mapped[int] = mapped_column(ForeignKey("studies.id"))
    uid: Mapped[str] = mapped_column(String(64), index=True)
    modality: Mapped[str] = mapped_column(String(16), index=True)
    number: Mapped[str] = mapped_column(String(16))
    description: Mapped[str] = mapped_column(String(256))
    body_part: Mapped[str] = mapped_column(String(64))
    study: Mapped[StudyRow] = relationship(back_populates="series")
    instances: Mapped[list[InstanceRow]] = relationship(back_populates="series")


class InstanceRow(Base):
    """An object, as it was first received."""

    __tablename__ = "instances"
    id: Mapped[int] = mapped_column(primary_key=True)
    series_pk: Mapped[int] = mapped_column(ForeignKey("series.id"), index=True)
    uid: Mapped[str] = mapped_column(String(64), unique=True)
    sop_class: Mapped[str] = mapped_column(String(64))
    number: Mapped[str] = mapped_column(String(16))
    rows: Mapped[int | None] = mapped_column(Integer)
    columns: Mapped[int | None] = mapped_column(Integer)
    bits_allocated: Mapped[int | None] = mapped_column(Integer)
    frames: Mapped[int | None] = mapped_column(Integer)
    transfer_syntax: Mapped[str] = mapped_column(String(64))
    digest: Mapped[str] = mapped_column(String(64))
    size: Mapped[int] = mapped_column(BigInteger)
    series: Mapped[SeriesRow] = relationship(back_populates="instances")
    copies: Mapped[list[CopyRow]] = relationship(back_populates="instance")


class CopyRow(Base):
    """Each content that was received under an instance's UID, and from whom; the first one is the instance."""

    __tablename__ = "copies"
    __table_args__ = (UniqueConstraint("instance_pk", "digest"), Index("ix_copies_source", "source"))
    id: Mapped[int] = mapped_column(primary_key=True)
    instance_pk: Mapped[int] = mapped_column(ForeignKey("instances.id"))
    digest: Mapped[str] = mapped_column(String(64))
    size: Mapped[int] = mapped_column(BigInteger)
    transfer_syntax: Mapped[str] = mapped_column(String(64))
    source: Mapped[str] = mapped_column(String(64))
    received_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    instance: Mapped[InstanceRow] = relationship(back_populates="copies")


class ApartRow(Base):
    """An object that names another patient than the study or the object of its UIDs does. A person decides on it."""

    __tablename__ = "apart"
    __table_args__ = (UniqueConstraint("uid", "digest"), Index("ix_apart_study", "study"))
    id: Mapped[int] = mapped_column(primary_key=True)
    uid: Mapped[str] = mapped_column(String(64))
    sop_class: Mapped[str] = mapped_column(String(64))
    series: Mapped[str] = mapped_column(String(64))
    study: Mapped[str] = mapped_column(String(64))
    transfer_syntax: Mapped[str] = mapped_column(String(64))
    modality: Mapped[str] = mapped_column(String(16))
    study_date: Mapped[str] = mapped_column(String(8))
    digest: Mapped[str] = mapped_column(String(64))
    size: Mapped[int] = mapped_column(BigInteger)
    patient_id: Mapped[str] = mapped_column(String(256))
    issuer: Mapped[str] = mapped_column(String(256))
    patient_name: Mapped[str] = mapped_column(String(512))
    birth_date: Mapped[str] = mapped_column(String(8))
    sex: Mapped[str] = mapped_column(String(16))
    source: Mapped[str] = mapped_column(String(64))
    received_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
