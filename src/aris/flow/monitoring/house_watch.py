"""The watch over a house's records: what is new is judged by the rules, and each alarm is kept once.

The state of a record and the alarms that a judgement raised are written in one transaction, which begins from the
judgement before: whatever ends the process, and however many processes watch, no alarm is told twice and none is lost.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from sqlalchemy.orm import Session

from aris.errors import ArisError, NotFoundError, RecordError, StoreError
from aris.flow.house import House
from aris.flow.records.library import library_of
from aris.flow.records.taking import Sources
from aris.store.reading import house as values
from aris.store.reading.audit import SYSTEM
from aris.store.reading.records import alarms, books
from aris.store.reading.records.tables import AlarmRow, RecordRow
from aris.tasks.monitor import Monitored, RuleSet, State, load_rules, monitor

log = logging.getLogger("aris.flow")
# What time alone brings (results that grow too old, tests that are overdue) is looked for so often: in records that
# have something open or learned something lately, and in the others.
AGAIN, SELDOM, LATELY = timedelta(minutes=15), timedelta(hours=24), timedelta(days=7)
_AT_ONCE = 8
_PAUSE, _LONGEST_PAUSE = timedelta(minutes=1), timedelta(minutes=15)
_LEASE, _RULES = "records watch", "records rules"


class HouseWatch:
    """Looks at the sources and judges what is due, a few records at each step.

    Args:
        clock: tells the time.
    """

    def __init__(self, house: House, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._house, self._clock = house, clock
        self._name = secrets.token_hex(8)
        self._stopped = threading.Event()
        self._sources = Sources(house, self._stopped.is_set)
        self._looked_at: float | None = None
        # By record: its print, when it is tried again, and the pause before that.
        self._broken: dict[int, tuple[str, datetime, timedelta]] = {}
        self._rules = ""

    def stop(self) -> None:
        """Leave off soon."""
        self._stopped.set()

    def wake(self) -> None:
        """Look at the sources at the next step, as after a notification."""
        self._looked_at = None

    def step(self) -> list[str]:
        """Do a little of what is due; what was done, as "record read", "record judged", "alarm".

        Raises:
            ArisError: the store cannot be written, or the site's rules are wrong.
        """
        settings = self._house.settings
        done: list[str] = []
        if settings.records and self._is_time(settings.monitor.every_s) and self._holds_lease(settings.monitor.every_s):
            done += ["record read"] * self._look()
        if settings.monitor.follow:
            done += self._judge_due()
        return done

    def _look(self) -> int:
        try:
            changed = self._sources.look()
        except ArisError:
            raise
        except Exception as error:  # what breaks the look keeps nobody from being judged
            # The type alone: a message may quote what was read.
            log.error("the sources of records cannot be looked at: a defect (%s)", type(error).__name__)
            changed = 0
        self._looked_at = time.monotonic()
        return changed

    def _is_time(self, every_s: float) -> bool:
        return self._looked_at is None or time.monotonic() - self._looked_at >= every_s

    def _holds_lease(self, every_s: float) -> bool:
        """Return whether this process reads the sources now: others leave it the work."""
        now = self._clock()
        until = (now + timedelta(seconds=max(90.0, 3 * every_s))).isoformat()

        def work(session: Session) -> bool:
            owner, _, ends = values.get(session, _LEASE, "").partition(" ")
            if owner and owner != self._name and ends > now.isoformat():
                return False
            values.put(session, _LEASE, f"{self._name} {until}")
            return True

        return self._house.store.sessions.write(work)

    def _judge_due(self) -> list[str]:
        with self._house.store.sessions.reading() as session:
            due = [row for row in books.due(session, self._clock(), _AT_ONCE + len(self._broken))
                   if not self._waits(row)]  # fmt: skip
        if not due:
            return []
        rules = rules_in_use(self._house)
        self._note_rules(rules)
        done: list[str] = []
        for row in due[:_AT_ONCE]:
            if self._stopped.is_set():
                break
            try:
                raised = self.judge(row, rules)
            except NotFoundError:
                continue
            except StoreError:
                raise
            except RecordError:  # it is said on the page; the others go on
                self._try_later(row)
                continue
            except Exception as error:
                # The type alone: a message may quote the record.
                log.error("record %d cannot be judged: a defect (%s)", row.id, type(error).__name__)
                self._try_later(row)
                continue
            self._broken.pop(row.id, None)
            if raised is not None:
                done += ["record judged"] + ["alarm"] * sum(each.event != "ended" for each in raised)
        return done

    def _waits(self, row: RecordRow) -> bool:
        mark, again, _ = self._broken.get(row.id, ("", self._clock(), _PAUSE))
        return mark == row.print and self._clock() < again

    def _try_later(self, row: RecordRow) -> None:
        """Leave a record that cannot be judged for a while: what broke it may be over then."""
        mark, _, pause = self._broken.get(row.id, ("", None, _PAUSE))
        pause = min(2 * pause, _LONGEST_PAUSE) if mark == row.print else _PAUSE
        self._broken[row.id] = row.print, self._clock() + pause, pause

    def judge(self, row: RecordRow, rules: RuleSet) -> list[AlarmRow] | None:
        """Judge a record now; the events that were not told before, None where another process was first.

        Raises:
            RecordError: it cannot be read.
            StoreError: the store cannot be written.
        """
        timeline = library_of(self._house).timeline(row.id).timeline
        with self._house.store.sessions.reading() as session:
            before = alarms.watched(session, row.id)
        state = None if before is None else State.model_validate(before.state)
        number = 0 if before is None else before.number
        now = self._clock()
        moment = now if state is None or state.as_of is None else max(now, state.as_of)
        result = monitor(timeline, now=moment, state=state, rules=rules)
        lately = row.newest is not None and now - row.newest <= LATELY
        due = now + (AGAIN if lately or result.flags else SELDOM)

        def work(session: Session) -> list[AlarmRow] | None:
            fresh = books.find(session, row.id)
            if fresh is None:
                return None
            made = alarms.put_judged(
                session, fresh, number, mark=row.print, state=result.state.model_dump(mode="json"),
                found=_found(result),
                alarms=_events(session, fresh, result), now=now, due_at=due,
            )  # fmt: skip
            if made:
                raised = sum(each.event != "ended" for each in made)
                # Which rule and how severe is the patient's matter, and in the alarm itself.
                self._house.trail.add(
                    session, SYSTEM, "alarm" if raised else "alarm ended", f"record {row.id}", now=now, raised=raised,
                    ended=len(made) - raised,
                )  # fmt: skip
            return made

        return self._house.store.sessions.write(work)

    def _note_rules(self, rules: RuleSet) -> None:
        """Have every record judged anew where the rules are others than at the last judgement of any process."""
        mark = hashlib.sha256("".join(sorted(rule.digest for rule in rules)).encode()).hexdigest()
        if mark == self._rules:
            return

        def work(session: Session) -> None:
            if (known := values.get(session, _RULES, "")) != mark:
                values.put(session, _RULES, mark)
                if known:
                    alarms.all_due(session, self._clock())
                    self._house.trail.add(session, SYSTEM, "rules changed", now=self._clock(), rules=len(rules))

        self._house.store.sessions.write(work)
        self._rules = mark


def _found(result: Monitored) -> dict[str, object]:
    return {
        "at": result.now.isoformat(), "flags": [each.model_dump(mode="json") for each in result.flags],
        "not_assessed": [each.model_dump(mode="json") for each in result.not_assessed],
        "problems": list(result.problems),
    }  # fmt: skip


def _events(session: Session, row: RecordRow, result: Monitored) -> list[alarms.NewAlarm]:
    """The events of a judgement; one that began with the same fact as an old one has a key of its own."""
    known = alarms.raised_at(session, row.id, [each.id for each in result.alarms])
    made = []
    for each in result.alarms:
        again = each.id in known and known[each.id] != each.raised
        key = f"{each.id}-{each.raised:%Y%m%dT%H%M%S}" if again else each.id
        made.append(alarms.NewAlarm(key, each.flag.id, each.reason, each.flag.rule, each.flag.severity,
                                    each.model_dump(mode="json"), each.raised))  # fmt: skip
    return made + [
        alarms.NewAlarm(f"{end.id}-{end.at:%Y%m%dT%H%M%S}", end.id, "ended", end.rule, "", end.model_dump(mode="json"),
                        end.at)
        for end in result.ended
    ]  # fmt: skip


def rules_in_use(house: House) -> RuleSet:
    """The rules in use: those that ship, the site's own, without those that are switched off.

    Raises:
        RuleError: the site's are wrong.
    """
    found = load_rules(house.settings.monitor.rules)
    with house.store.sessions.reading() as session:
        off = alarms.switched_off(session)
    kept = {name: rule for name, rule in found.rules.items() if name not in off}
    return RuleSet(kept, found.others, found.origins)


def watch_problem(house: House) -> str:
    """Return why the watch cannot judge at all, in one line; "" where it can."""
    try:
        load_rules(house.settings.monitor.rules)
    except ArisError as error:
        return str(error)
    return ""
