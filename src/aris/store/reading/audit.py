"""The audit trail: events in a keyed chain. Change, removal and reordering break it; an exported head shows truncation.

Each event's seal is HMAC-SHA-256, under a key that is not in the database, of the seal before it and of the event. The
first one follows the store's identity, so that a trail cannot be put into another store.
"""

from __future__ import annotations

import hmac
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from aris.errors import StoreError
from aris.private import make_file
from aris.store.columns import canonical
from aris.store.keys import read_key
from aris.store.reading import house
from aris.store.reading.lasting_tables import AuditRow
from aris.store.sessions import Sessions, advisory_lock

SYSTEM = "(system)"


@dataclass(frozen=True)
class Head:
    """The newest event's number and seal; number 0 where there is no event."""

    number: int
    mac: str


class Trail:
    """Writes and checks the trail.

    Args:
        key: of 32 bytes.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def add(
        self, session: Session, actor: str, action: str, subject: str = "", *, outcome: str = "done",
        now: datetime | None = None, **detail: Any,
    ) -> AuditRow:  # fmt: skip
        """Add an event in the transaction of what it tells of.

        Args:
            actor: a login, or `SYSTEM`.
            action: as "sign".
            subject: a Study Instance UID or a login.
            detail: what JSON can hold; no patient's data and no text of a report.
        """
        advisory_lock(session, "audit")
        before = self._last(session)
        row = AuditRow(
            number=before.number + 1, at=(now or datetime.now(UTC)).astimezone(UTC).isoformat(), actor=_plain(actor),
            action=action[:32], subject=_plain(subject), outcome=outcome[:16], detail=detail, mac="",
        )  # fmt: skip
        row.mac = self._seal(before.mac, row)
        session.add(row)
        session.flush()
        return row

    def head(self, session: Session) -> Head:
        """The newest event."""
        return self._last(session)

    def verify(self, session: Session, heads: list[Head] | None = None) -> list[str]:
        """Return what is wrong with the trail, one line each; nothing where it is whole.

        Args:
            heads: that were exported before; the trail must still hold each of them.
        """
        wrong: list[str] = []
        mac, expected = house.identity(session), 0
        wanted = {head.number: head.mac for head in heads or [] if head.number}
        for row in _rows(session):
            expected += 1
            if row.number != expected:
                single = row.number == expected + 1
                wrong.append(f"event {expected}: removed" if single else
                             f"events {expected} to {row.number - 1}: removed")  # fmt: skip
                expected = row.number
            if not hmac.compare_digest(self._seal(mac, row), row.mac):
                wrong.append(f"event {row.number}: changed, moved, or not the one that followed the event before it")
            if row.number in wanted and not hmac.compare_digest(wanted.pop(row.number), row.mac):
                wrong.append(f"event {row.number}: not the one whose seal was exported")
            mac = row.mac
        wrong += [
            f"event {number}: its seal was exported, and it is gone: the trail was cut after event {expected}"
            for number in sorted(wanted)
        ]
        return wrong

    def export(self, session: Session, path: Path) -> Head:
        """Append the newest event's seal to a file that is kept elsewhere; nothing where it stands there last.

        Raises:
            StoreError: the file cannot be written.
        """
        head = self._last(session)
        line = {"store": house.identity(session), "number": head.number, "mac": head.mac,
                "at": datetime.now(UTC).isoformat()}  # fmt: skip
        try:
            if path.exists() and (known := read_heads(path)) and known[-1] == head:
                return head
            make_file(path)
            with path.open("a") as file:
                file.write(json.dumps(line) + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise StoreError(f"{path}: the head of the audit trail cannot be written ({error.strerror})") from None
        return head

    def _last(self, session: Session) -> Head:
        row = session.scalar(select(AuditRow).order_by(AuditRow.number.desc()).limit(1))
        return Head(0, house.identity(session)) if row is None else Head(row.number, row.mac)

    def _seal(self, before: str, row: AuditRow) -> str:
        values = [before, row.number, row.at, row.actor, row.action, row.subject, row.outcome, row.detail]
        return hmac.new(self._key, canonical(values).encode(), "sha256").hexdigest()


def _plain(text: str) -> str:
    """A name as somebody typed it, who may not be known: what no database keeps is made visible."""
    return "".join(each if each.isprintable() else "\ufffd" for each in text)[:64]


def read_heads(path: Path) -> list[Head]:
    """The heads of an exported file.

    Raises:
        StoreError: it cannot be read, or is none.
    """
    try:
        lines = [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
        return [Head(int(line["number"]), str(line["mac"])) for line in lines]
    except OSError as error:
        raise StoreError(f"{path}: cannot be read ({error.strerror})") from None
    except (ValueError, KeyError, TypeError):
        raise StoreError(f"{path}: not heads of an audit trail; give what `aris audit head` wrote") from None


def events(
    session: Session, *, subject: str = "", actor: str = "", action: str = "", limit: int = 100,
    before: int | None = None, after: int | None = None, oldest_first: bool = False,
) -> list[AuditRow]:  # fmt: skip
    """Events, the newest first unless the oldest are asked for.

    Args:
        before, after: numbers that the events' own are smaller and greater than.
    """
    order = AuditRow.number if oldest_first else AuditRow.number.desc()
    query = select(AuditRow).order_by(order).limit(limit)
    for column, value in ((AuditRow.subject, subject), (AuditRow.actor, actor), (AuditRow.action, action)):
        if value:
            query = query.where(column == value)
    if before is not None:
        query = query.where(AuditRow.number < before)
    if after is not None:
        query = query.where(AuditRow.number > after)
    return list(session.scalars(query))


def actions(session: Session) -> list[str]:
    """The actions that events are of, by name."""
    found: list[str] = []
    # From one to the next along the index: a trail has millions of events and a few dozen actions.
    while (more := session.scalar(select(func.min(AuditRow.action)).where(AuditRow.action > (found or [""])[-1]))):
        found.append(more)
    return found


def _rows(session: Session) -> Iterator[AuditRow]:
    after = -(1 << 31)
    while rows := list(
        session.scalars(select(AuditRow).where(AuditRow.number > after).order_by(AuditRow.number).limit(1000))
    ):
        yield from rows
        after = rows[-1].number
        session.expunge_all()


def open_trail(sessions: Sessions, key: Path) -> Trail:
    """The trail of a store. Its key is made with the first event; later a missing key is an error.

    Raises:
        StoreError: the key is missing or is none.
    """
    with sessions.reading() as session:
        fresh = session.scalar(select(AuditRow.number).limit(1)) is None
        known = house.identity(session)
    if not known:
        sessions.write(house.settle_identity)
    return Trail(read_key(key, make=fresh))
