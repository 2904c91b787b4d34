"""Alarms as people see them: how each stands, what was done about it, and acts on them.

An act covers what was on the screen and nothing worse: a later telling, a flag that is more severe than it was at the
act, or one that holds again after its end was told, opens the alarm again.
"""

from __future__ import annotations

import threading
import weakref
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy.orm import Session

from aris.errors import ArisError, ConflictError, NotFoundError
from aris.flow.house import House
from aris.store.reading.records import alarms, books
from aris.store.reading.records.tables import AlarmActRow, AlarmRow, RecordRow
from aris.store.reading.users import require as require_user
from aris.store.store import Store
from aris.tasks.monitor import Alarm, Ended, Flag
from aris.tasks.monitor.results import rank
from aris.tasks.monitor.rule import Severity

State = Literal["open", "acknowledged", "snoozed", "closed", "ended"]
STATES: tuple[State, ...] = ("open", "acknowledged", "snoozed", "closed", "ended")
ACTS = ("acknowledge", "snooze", "close", "reopen")
_OF_ACT: dict[str, State] = {"acknowledge": "acknowledged", "snooze": "snoozed", "close": "closed", "reopen": "open"}
# What is critical does not sleep longer.
MOST_SNOOZE, MOST_SNOOZE_CRITICAL = timedelta(hours=24), timedelta(hours=1)


class StaleAlarmError(ConflictError):
    """The alarm got worse while it was looked at."""


@dataclass(frozen=True)
class Standing:
    """An alarm as it stands.

    Attributes:
        record: whose it is; episode: its id.
        flag: as it is now where it holds, else as it was told last.
        holds: whether the rule's condition holds at the last judgement.
        state: by the last act that covers it.
        events, acts: oldest first.
        held: by act, whether it covers what is now.
        worse: whether it got worse after the last act.
    """

    record: RecordRow
    episode: str
    flag: Flag
    holds: bool
    state: State
    events: tuple[AlarmRow, ...]
    acts: tuple[AlarmActRow, ...]
    held: bool
    worse: bool
    worst: Severity

    @property
    def seen(self) -> int:
        """The number of the newest telling."""
        return max(each.id for each in self.events if each.event != "ended")

    @property
    def raised(self) -> AlarmRow:
        """The first telling."""
        return next(each for each in self.events if each.event != "ended")

    @property
    def changed(self) -> datetime:
        """The moment when anything last happened to it."""
        return max([each.told_at for each in self.events] + [each.at for each in self.acts])

    @property
    def end(self) -> Ended | None:
        """Its end, where it holds no more and that was told."""
        last = self.events[-1]
        return Ended.model_validate(last.content) if last.event == "ended" and not self.holds else None


def standing(found: alarms.Episode, flags: dict[str, Flag], now: datetime) -> Standing | None:
    """Return the standing of an episode; None for one of which only the end was told, as of a flag by a worse one."""
    told = [each for each in found.events if each.event != "ended"]
    if not told:
        return None
    newest = Alarm.model_validate(told[-1].content).flag
    current = flags.get(found.episode)
    flag = current or newest
    holds = current is not None or found.events[-1].event != "ended"
    severities: list[Severity] = [flag.severity, flag.worst]
    severities += [each.severity for each in told]  # type: ignore[misc]
    worst = max(severities, key=rank)
    act = found.acts[-1] if found.acts else None
    worse = act is not None and act.act != "reopen" and (
        told[-1].id > act.seen or (holds and rank(flag.severity) > rank(act.severity))  # type: ignore[arg-type]
    )
    # What ended after the act and holds once more is new, though it is told as the same episode.
    back = act is not None and holds and any(each.event == "ended" and each.told_at >= act.at for each in found.events)
    held = act is not None and not worse and not back and (act.until is None or act.until > now)
    state: State = "ended" if not holds else _OF_ACT[act.act] if act is not None and held else "open"
    return Standing(found.record, found.episode, flag, holds, state, tuple(found.events), tuple(found.acts), held,
                    worse, worst)  # fmt: skip


def all_standing(
    session: Session, now: datetime, *, record: int | None = None, episode: str | None = None
) -> list[Standing]:
    """Every alarm: the open ones first, the most severe first, the newest first."""
    found = alarms.episodes(session, record_pk=record, episode=episode)
    flags: dict[int, dict[str, Flag]] = {
        number: {each["id"]: Flag.model_validate(each) for each in what.get("flags", ())}
        for number, what in alarms.found_of(session, {each.record.id for each in found}).items()
    }
    made = [standing(each, flags.get(each.record.id, {}), now) for each in found]
    kept = [each for each in made if each is not None]
    return sorted(kept, key=lambda each: (STATES.index(each.state), -rank(each.flag.severity), -each.seen))


class _Kept:
    """Alarms of a house as they stood, for whoever asks again before anything changes."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.key: object = None
        self.found: list[Standing] = []


_KEPT: weakref.WeakKeyDictionary[Store, _Kept] = weakref.WeakKeyDictionary()


def current(house: House, now: datetime) -> list[Standing]:
    """All alarms as `all_standing`, looked up anew only where something has changed; a snooze ends within a minute."""
    kept = _KEPT.setdefault(house.store, _Kept())
    with kept.lock:
        with house.store.sessions.reading() as session:
            key = (*alarms.marks(session), now.replace(second=0, microsecond=0))
            if key != kept.key:
                kept.found, kept.key = all_standing(session, now), key
        return kept.found


def counts(found: list[Standing]) -> dict[str, int]:
    """Count those that are open, by severity, and those that are handled and hold still."""
    made: Counter[str] = Counter({"critical": 0, "warning": 0, "info": 0, "handled": 0})
    for each in found:
        if each.state == "open":
            made[each.flag.severity] += 1
        elif each.state != "ended":
            made["handled"] += 1
    return dict(made)


def counts_by_record(house: House, now: datetime) -> dict[int, dict[str, int]]:
    """The counts of each record that has alarms."""
    by: dict[int, list[Standing]] = {}
    for each in current(house, now):
        by.setdefault(each.record.id, []).append(each)
    return {number: counts(found) for number, found in by.items()}


def find(house: House, episode: str, now: datetime) -> Standing:
    """An alarm.

    Raises:
        NotFoundError: there is no such alarm.
    """
    with house.store.sessions.reading() as session:
        found = all_standing(session, now, episode=episode)
    if not found:
        raise NotFoundError("there is no such alarm")
    return found[0]


def act(
    house: House,
    login: str,
    episode: str,
    what: str,
    *,
    seen: int,
    why: str = "",
    minutes: int | None = None,
    now: datetime,
) -> Standing:
    """Acknowledge, snooze, close or reopen an alarm. Nothing is removed: the act stands beside it.

    Args:
        seen: the newest telling that the person saw.
        why: needed to snooze and to close.
        minutes: to snooze.

    Raises:
        NotFoundError: there is no such alarm.
        PermissionDeniedError: the user is no reader.
        StaleAlarmError: something was told since.
        ArisError: the act cannot be.
    """

    def work(session: Session) -> None:
        require_user(session, login).require("reader")
        found = all_standing(session, now, episode=episode)
        if not found:
            raise NotFoundError("there is no such alarm")
        alarm = found[0]
        if seen < alarm.seen:
            raise StaleAlarmError("the alarm got worse meanwhile, or came anew; look at it again")
        until = _until(alarm, what, why, minutes, now)
        row = books.find(session, alarm.record.id)
        assert row is not None  # `all_standing` has it
        alarms.act(session, row, episode, what, seen=alarm.seen, severity=alarm.flag.severity, until=until, why=why,
                   login=login, now=now)  # fmt: skip
        # Why is a person's text and may name the patient: it stands with the alarm.
        house.trail.add(session, login, f"{what} alarm", f"record {row.id}", now=now, alarm=episode)

    house.store.sessions.write(work)
    return find(house, episode, now)


def _until(alarm: Standing, what: str, why: str, minutes: int | None, now: datetime) -> datetime | None:
    if what not in ACTS:
        raise ArisError(f"there is no such act on an alarm; it is one of {', '.join(ACTS)}")
    if what in ("snooze", "close") and not why.strip():
        raise ArisError(f"say why, to {what} an alarm")
    if what == "snooze":
        most = MOST_SNOOZE_CRITICAL if alarm.flag.severity == "critical" else MOST_SNOOZE
        if minutes is None or timedelta(minutes=minutes) > most:
            raise ArisError(
                f"an alarm that is {alarm.flag.severity} is snoozed for {most // timedelta(minutes=1)} minutes at most"
            )
        return now + timedelta(minutes=minutes)
    if what == "close" and alarm.holds and alarm.flag.severity == "critical" and not alarm.acts:
        raise ArisError("acknowledge a critical alarm that holds still before you close it")
    return None


def switch_rule(house: House, login: str, rule: str, on: bool, why: str, now: datetime) -> None:
    """Switch a rule off or on; every record is judged anew.

    Raises:
        PermissionDeniedError: the user is no administrator.
    """

    def work(session: Session) -> None:
        require_user(session, login).require("admin")
        alarms.switch(session, rule, on, why, login, now)
        alarms.all_due(session, now)
        house.trail.add(session, login, "switch rule", rule, now=now, on=on)

    house.store.sessions.write(work)
