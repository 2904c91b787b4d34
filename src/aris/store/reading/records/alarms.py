"""The watch's state of each record, its alarms, people's acts on them, and switches of rules."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from aris.store.reading.records.tables import AlarmActRow, AlarmRow, RecordRow, RuleSwitchRow, WatchedRow


@dataclass(frozen=True)
class NewAlarm:
    """An event to be told; see `AlarmRow`."""

    key: str
    episode: str
    event: str
    rule: str
    severity: str
    content: dict[str, Any]
    raised_at: datetime


@dataclass
class Episode:
    """An episode with all that was told of it and done about it, oldest first."""

    record: RecordRow
    episode: str
    events: list[AlarmRow] = field(default_factory=list)
    acts: list[AlarmActRow] = field(default_factory=list)


def watched(session: Session, record_pk: int, *, lock: bool = False) -> WatchedRow | None:
    """The watch's row of a record, or None."""
    query = select(WatchedRow).where(WatchedRow.record_pk == record_pk)
    return session.scalar(query.with_for_update() if lock else query)


def put_judged(
    session: Session, record: RecordRow, before: int, *, mark: str, state: dict[str, Any], found: dict[str, Any],
    alarms: Sequence[NewAlarm], now: datetime, due_at: datetime,
) -> list[AlarmRow] | None:  # fmt: skip
    """Keep a judgement with the alarms that it raised.

    Args:
        before: the number of the judgement that it began from; 0 for the first.

    Returns:
        the alarms that were not told before; None where another judgement came between, and nothing is kept.
    """
    row = watched(session, record.id, lock=True)
    if (0 if row is None else row.number) != before:
        return None
    if row is None:
        row = WatchedRow(record_pk=record.id, number=0)
        session.add(row)
    row.number, row.print, row.state, row.found, row.judged_at, row.due_at = before + 1, mark, state, found, now, due_at
    known = set(session.scalars(select(AlarmRow.key).where(AlarmRow.record_pk == record.id)))
    made = [
        AlarmRow(record_pk=record.id, key=each.key, episode=each.episode, event=each.event, rule=each.rule,
                 severity=each.severity, content=each.content, raised_at=each.raised_at, told_at=now)
        for each in alarms if each.key not in known
    ]  # fmt: skip
    session.add_all(made)
    session.flush()
    return made


def act(
    session: Session, record: RecordRow, episode: str, what: str, *, seen: int, severity: str, until: datetime | None,
    why: str, login: str, now: datetime,
) -> AlarmActRow:  # fmt: skip
    """Keep an act of a person on an episode."""
    row = AlarmActRow(record_pk=record.id, episode=episode, act=what, seen=seen, severity=severity, until=until,
                      why=why,
                      login=login, at=now)  # fmt: skip
    session.add(row)
    session.flush()
    return row


def episodes(session: Session, *, record_pk: int | None = None, episode: str | None = None) -> list[Episode]:
    """Every episode that was told, with what was done about it; of one record, or one episode alone."""
    query = select(AlarmRow, RecordRow).join(RecordRow, RecordRow.id == AlarmRow.record_pk)
    query = query.where(RecordRow.gone.is_(False))
    acts = select(AlarmActRow)
    if record_pk is not None:
        query, acts = query.where(AlarmRow.record_pk == record_pk), acts.where(AlarmActRow.record_pk == record_pk)
    if episode is not None:
        query, acts = query.where(AlarmRow.episode == episode), acts.where(AlarmActRow.episode == episode)
    found: dict[tuple[int, str], Episode] = {}
    for row, record in session.execute(query.order_by(AlarmRow.id)):
        found.setdefault((row.record_pk, row.episode), Episode(record, row.episode)).events.append(row)
    for each in session.scalars(acts.order_by(AlarmActRow.id)):
        known = found.get((each.record_pk, each.episode))
        if known is not None:
            known.acts.append(each)
    return list(found.values())


def found_of(session: Session, record_pks: Iterable[int]) -> dict[int, dict[str, Any]]:
    """What the watch last found of records, by number."""
    query = select(WatchedRow.record_pk, WatchedRow.found).where(WatchedRow.record_pk.in_(list(record_pks)))
    return {number: found for number, found in session.execute(query)}


def judged(session: Session) -> tuple[int, datetime | None, datetime | None]:
    """(how many records are watched, when one was last judged, the earliest moment at which one is due)."""
    query = select(func.count(), func.max(WatchedRow.judged_at), func.min(WatchedRow.due_at)).join(
        RecordRow, RecordRow.id == WatchedRow.record_pk
    )
    count, last, due = session.execute(query.where(RecordRow.gone.is_(False))).one()
    return count, last, due


def all_due(session: Session, now: datetime) -> None:
    """Have every record judged anew, as after a change of the rules."""
    session.execute(update(WatchedRow).values(due_at=now))


def marks(session: Session) -> tuple[int, int, int, datetime | None]:
    """Something that changes whenever an alarm, an act or a judgement is added."""
    alarm = session.scalar(select(func.max(AlarmRow.id))) or 0
    done = session.scalar(select(func.max(AlarmActRow.id))) or 0
    count, last, _ = judged(session)
    return alarm, done, count, last


def per_rule(session: Session) -> dict[str, int]:
    """How many alarms each rule has raised."""
    query = select(AlarmRow.rule, func.count()).where(AlarmRow.event != "ended").group_by(AlarmRow.rule)
    return {rule: count for rule, count in session.execute(query)}


def switches(session: Session, most: int = 200) -> list[RuleSwitchRow]:
    """Every switch of a rule, the newest first."""
    return list(session.scalars(select(RuleSwitchRow).order_by(RuleSwitchRow.id.desc()).limit(most)))


def switched_off(session: Session) -> dict[str, RuleSwitchRow]:
    """The rules that are switched off now, by id, each with its switch."""
    newest: dict[str, RuleSwitchRow] = {}
    for row in session.scalars(select(RuleSwitchRow).order_by(RuleSwitchRow.id)):
        newest[row.rule] = row
    return {rule: row for rule, row in newest.items() if not row.on}


def switch(session: Session, rule: str, on: bool, why: str, login: str, now: datetime) -> RuleSwitchRow:
    """Switch a rule on or off from now on."""
    row = RuleSwitchRow(rule=rule, on=on, why=why, login=login, at=now)
    session.add(row)
    session.flush()
    return row




def raised_at(session: Session, record_pk: int, keys: Sequence[str]) -> dict[str, datetime]:
    """When known events of a record were raised, by key."""
    query = select(AlarmRow.key, AlarmRow.raised_at).where(AlarmRow.record_pk == record_pk, AlarmRow.key.in_(keys))
    return {key: at for key, at in session.execute(query)}
