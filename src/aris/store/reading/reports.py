"""Signed reports, their signatures and documents. Rows are added, never changed: the database refuses it too."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from aris.store.columns import canonical
from aris.store.reading.lasting_tables import DocumentRow, ReportRow, SignatureRow
from aris.store.reading.tables import ReadingRow
from aris.store.reading.users import User

Kind = Literal["report", "correction", "addendum"]
Meaning = Literal["author", "preliminary", "verifier"]


def digest_of(content: dict[str, Any]) -> str:
    """The SHA-256 of what a signature covers, in hexadecimal."""
    return hashlib.sha256(canonical(content).encode()).hexdigest()


def add(
    session: Session, reading: ReadingRow, *, kind: Kind, content: dict[str, Any], report: dict[str, Any],
    document: dict[str, str], edit_number: int, draft_number: int, now: datetime,
) -> ReportRow:  # fmt: skip
    """Keep a version that is being signed; it follows the newest one.

    Args:
        reading: locked.
        content: what the signature covers.
        report: as `exchange.documents.report.Report` dumps itself.
        document: a reference to its DICOM document.
    """
    before = newest(session, reading)
    row = ReportRow(
        reading_pk=reading.id, number=1 if before is None else before.number + 1, kind=kind,
        follows=None if before is None else before.id, edit_number=edit_number, draft_number=draft_number,
        content=content, digest=digest_of(content), report=report, document=document, created_at=now,
    )  # fmt: skip
    session.add(row)
    session.flush()
    return row


def sign(
    session: Session, report: ReportRow, user: User, meaning: Meaning, seen: dict[str, Any], now: datetime
) -> None:
    """Put a user's signature under a version.

    Args:
        seen: what of the images was on the screen, as the reader's program tells it.
    """
    session.add(
        SignatureRow(
            report_pk=report.id, login=user.login, name=user.name, identifier=user.identifier,
            organization=user.organization, meaning=meaning, digest=report.digest, seen=seen, signed_at=now,
        )
    )  # fmt: skip
    session.flush()


def newest(session: Session, reading: ReadingRow) -> ReportRow | None:
    """The newest signed version; None if there is none."""
    return session.scalar(
        select(ReportRow).where(ReportRow.reading_pk == reading.id).order_by(ReportRow.number.desc()).limit(1)
    )


def all_of(session: Session, reading: ReadingRow) -> list[ReportRow]:
    """Every signed version, the first first."""
    return list(
        session.scalars(select(ReportRow).where(ReportRow.reading_pk == reading.id).order_by(ReportRow.number))
    )


def with_signatures(session: Session, reading: ReadingRow) -> list[tuple[ReportRow, list[SignatureRow]]]:
    """Every signed version with the signatures under it, the first first."""
    versions = all_of(session, reading)
    under: dict[int, list[SignatureRow]] = {each.id: [] for each in versions}
    if versions:
        query = select(SignatureRow).where(SignatureRow.report_pk.in_(under)).order_by(SignatureRow.id)
        for row in session.scalars(query):
            under[row.report_pk].append(row)
    return [(each, under[each.id]) for each in versions]


def signatures(session: Session, report: ReportRow) -> list[SignatureRow]:
    """Return the signatures under a version, the first first."""
    query = select(SignatureRow).where(SignatureRow.report_pk == report.id).order_by(SignatureRow.id)
    return list(session.scalars(query))


def is_sound(session: Session, report: ReportRow) -> bool:
    """Return whether a version and its signatures are what they were: the digests hold, and somebody signed it."""
    found = signatures(session, report)
    # Documents are made of `report`: it must be what was signed too.
    leaves = report.content.get("report")
    return (
        bool(found)
        and digest_of(report.content) == report.digest
        and all(each.digest == report.digest for each in found)
        and (leaves is None or leaves == digest_of(report.report))
    )


def put_documents(
    session: Session, report: ReportRow, form: str, made: dict[str, bytes], uid: str, now: datetime
) -> None:
    """Keep a version's documents of a form, unless they are there."""
    if documents(session, report.id, form):
        return
    for name, data in made.items():
        session.add(DocumentRow(report_pk=report.id, form=form, name=name, uid=uid, data=data, created_at=now))
    session.flush()


def documents(session: Session, report_pk: int, form: str) -> list[DocumentRow]:
    """A version's documents of a form."""
    query = select(DocumentRow).where(DocumentRow.report_pk == report_pk, DocumentRow.form == form)
    return list(session.scalars(query.order_by(DocumentRow.id)))


def is_own_document(session: Session, uid: str) -> bool:
    """Return whether a DICOM object is a document of ours, as one that comes back from an archive."""
    return bool(session.scalar(select(func.count()).select_from(DocumentRow).where(DocumentRow.uid == uid)))
