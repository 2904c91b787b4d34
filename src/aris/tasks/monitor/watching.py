"""Monitoring: a timeline, a moment and a state go in; flags, alarms and the next state come out."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta

from aris.errors import ArisError
from aris.records import Record, Timeline
from aris.tasks.monitor.checks import Found, Lacking, Outcome, judge
from aris.tasks.monitor.checks.outcome import clean
from aris.tasks.monitor.episodes import Episodes
from aris.tasks.monitor.facts import Facts
from aris.tasks.monitor.loading import RuleSet, shipped_rules
from aris.tasks.monitor.results import (
    Alarm,
    Ended,
    Episode,
    Flag,
    Group,
    Monitored,
    NotAssessed,
    RuleChange,
    State,
    UsedRule,
    rank,
)
from aris.tasks.monitor.rule import Rule

# Results that came since the last run are judged at the moments at which they were known, so far back.
HORIZON = timedelta(days=8)
_MOST_STEPS = 2000
_MOST_AUDIT = 1000
_KEPT_ENDED = timedelta(days=30)


class MonitorError(ArisError):
    """A timeline cannot be monitored with this state or at this moment."""


def monitor(
    timeline: Timeline, now: datetime | None = None, state: State | None = None, rules: RuleSet | None = None
) -> Monitored:
    """Judge a patient's record by the rules.

    It is pure: nothing is kept but what is returned. No model is asked, so no model can lower an alarm.

    Args:
        timeline: the whole record, each time.
        now: the moment to judge, with a time zone; the present by default. What the record learned later is not seen.
        state: of the last run. With it, results that came since are judged at each moment at which one was known, so
            that one that passed between two runs is told too; and what was told is not told again.
        rules: those that ship with Aris by default.

    Raises:
        MonitorError: the state is another patient's, or of a later moment than `now`.
    """
    moment = datetime.now(UTC) if now is None else now if now.tzinfo is not None else now.replace(tzinfo=UTC)
    rules = shipped_rules() if rules is None else rules
    patient = timeline.patient.id
    if state is not None and state.patient and patient and state.patient != patient:
        raise MonitorError("monitor: the state is of another patient; give each patient a state of its own")
    if state is not None and state.as_of is not None and state.as_of > moment:
        raise MonitorError("monitor: the state is of a later moment than the one to judge")
    facts = Facts(timeline)
    before = State(patient=patient) if state is None else state
    episodes = Episodes(patient, dict(before.episodes))
    in_use = {rule.id: UsedRule(version=rule.version, digest=rule.digest) for rule in rules}
    for name in [each for each in episodes.open if each not in in_use]:
        episodes.stop(name, moment)
    recent = _fingerprints(timeline, moment - HORIZON)
    skipped = 0
    if before.as_of is not None:
        skipped = _catch_up(facts, rules, episodes, before, recent, moment)
    outcomes = _judge_all(rules, facts, moment)
    episodes.go_on(moment, outcomes, standing=_standing(facts, moment))
    flags = _flags(episodes, outcomes)
    return Monitored(
        patient=patient, now=moment, flags=flags, groups=_groups(flags), alarms=tuple(episodes.alarms),
        ended=tuple(episodes.ended), not_assessed=_not_assessed(outcomes.values()),
        problems=_problems(facts, moment, skipped),
        state=State(
            patient=patient, as_of=moment,
            begun=before.begun, episodes=_kept(episodes, moment, rules), seen=tuple(recent), rules=in_use,
            audit=(*before.audit, *_changes(before, in_use, moment))[-_MOST_AUDIT:],
        ),
    )  # fmt: skip


def flags_now(timeline: Timeline, now: datetime, rules: RuleSet) -> tuple[Flag, ...]:
    """Judge a record by the rules at one moment, without a state: the flags alone, the most severe first."""
    facts = Facts(timeline)
    episodes = Episodes(timeline.patient.id)
    outcomes = _judge_all(rules, facts, now)
    episodes.go_on(now, outcomes)
    return _flags(episodes, outcomes)


def _catch_up(
    facts: Facts, rules: RuleSet, episodes: Episodes, before: State, recent: Mapping[str, Record], now: datetime
) -> int:
    """Judge each moment since the last run at which a result was known; those that came late, at theirs."""
    seen = frozenset(before.seen)
    unseen = [record for mark, record in recent.items() if mark not in seen]
    fresh = frozenset(record.id for record in unseen)
    known = {moment for record in unseen if (moment := known_from(record)) is not None and moment < now}
    moments = sorted(moment for moment in known if before.begun is None or moment > before.begun)
    skipped = max(0, len(moments) - _MOST_STEPS)
    for moment in moments[skipped:]:
        late = before.as_of is not None and moment <= before.as_of
        outcomes = _judge_all(rules, facts, moment)
        episodes.go_on(
            moment, outcomes, fresh=fresh if late else None, standing=None if late else _standing(facts, moment)
        )
    return skipped


@dataclass(frozen=True)
class Replayed:
    """A record as it would have been monitored while it grew.

    Attributes:
        alarms: in order of time, with grouping.
        ended: flags that ended.
        raised: by rule, how often its condition held on new evidence: alarms without any grouping.
        episodes: by rule, how often it began: alarms with each rule's repeats grouped.
        moments: how many were judged.
        start, end: of what was replayed.
    """

    alarms: tuple[Alarm, ...]
    ended: tuple[Ended, ...]
    raised: dict[str, int]
    episodes: dict[str, int]
    moments: int
    start: datetime | None
    end: datetime | None


def replay(
    timeline: Timeline, *, start: datetime | None = None, end: datetime | None = None, rules: RuleSet | None = None,
    every: timedelta = timedelta(hours=6),
) -> Replayed:  # fmt: skip
    """Judge a record at each moment at which it learned something, as if it had been watched.

    Args:
        timeline: the whole record.
        start, end: the span; all of the record by default.
        rules: those that ship with Aris by default.
        every: besides, all rules are judged at least so often, for what time alone brings (overdue tests, results
            that grow too old); in between only those whose facts have changed.
    """
    rules = shipped_rules() if rules is None else rules
    facts = Facts(timeline)
    episodes = Episodes(timeline.patient.id)
    moments = [each for each in facts.moments if (start is None or each >= start) and (end is None or each <= end)]
    whole: datetime | None = None
    wants = {rule.id: rule.looks_at for rule in rules}
    for moment in moments:
        due = whole is None or moment - whole >= every
        changed = facts.changes[moment]
        chosen = [rule for rule in rules if due or wants[rule.id] & changed]
        if due:
            whole = moment
        if chosen:
            standing = _standing(facts, moment) if facts.has_versions else None
            episodes.go_on(moment, _judge_all(chosen, facts, moment), standing=standing)
    return Replayed(
        tuple(episodes.alarms), tuple(episodes.ended), episodes.raised, episodes.episodes, len(moments),
        moments[0] if moments else None, moments[-1] if moments else None,
    )  # fmt: skip


def known_from(record: Record) -> datetime | None:
    """Return from when the record knew a fact, its version's own time where it is a later version; None if unknown."""
    when = record.known or record.time
    return None if when is None else when.start


def _judge_all(rules: Iterable[Rule], facts: Facts, moment: datetime) -> dict[str, tuple[Rule, Outcome]]:
    view = facts.at(moment)
    return {rule.id: (rule, judge(rule, view)) for rule in rules}


def _flags(episodes: Episodes, outcomes: Mapping[str, tuple[Rule, Outcome]]) -> tuple[Flag, ...]:
    flags = [episodes.flag(rule, found) for rule, found in outcomes.values() if isinstance(found, Found)]
    return tuple(sorted(flags, key=lambda flag: (-rank(flag.severity), flag.since, flag.rule)))


def _standing(facts: Facts, moment: datetime) -> frozenset[str]:
    return facts.ids_at(moment)


def _fingerprints(timeline: Timeline, after: datetime) -> dict[str, Record]:
    """Marks of the versions of records that were known after a moment."""
    found: dict[str, Record] = {}
    for record in timeline.records:
        known = known_from(record)
        changed = record.updated.start if record.updated is not None else known
        if (known is not None and known >= after) or (changed is not None and changed >= after):
            found[_mark(record)] = record
    return found


def _mark(record: Record) -> str:
    said = "\x1f".join(
        f"{each.name}={getattr(record, each.name)!r}" for each in fields(record) if each.name not in _NO_CONTENT
    )
    return hashlib.sha256(said.encode()).hexdigest()[:16]


_NO_CONTENT = frozenset(("source", "updated", "version"))


def _groups(flags: Iterable[Flag]) -> tuple[Group, ...]:
    by: dict[str, list[Flag]] = {}
    for flag in flags:  # the most severe first
        by.setdefault(flag.problem, []).append(flag)
    return tuple(
        Group(problem=name, severity=each[0].severity, flags=tuple(flag.id for flag in each))
        for name, each in by.items()
    )


def _not_assessed(outcomes: Iterable[tuple[Rule, Outcome]]) -> tuple[NotAssessed, ...]:
    return tuple(
        NotAssessed(rule=rule.id, title=rule.title, kind=outcome.kind, reason=outcome.reason)
        for rule, outcome in outcomes if isinstance(outcome, Lacking)
    )  # fmt: skip


def _problems(facts: Facts, moment: datetime, skipped: int) -> tuple[str, ...]:
    said = [
        f"{clean(each.id)}: {each.name} {clean(each.shown)} is implausible and not judged; check the sample or entry"
        for each in facts.implausible(moment, moment - HORIZON)
    ]
    said += [f"{clean(id)}: {clean(why)}; not judged" for id, why in facts.unread[:50]]
    if len(facts.unread) > 50:
        said.append(f"{len(facts.unread) - 50} more results are not judged for the like")
    if facts.measurements_without_loinc:
        said.append(f"{facts.measurements_without_loinc} results have no LOINC code and are not watched")
    if skipped:
        said.append(f"{skipped} earlier moments since the last run were not judged one by one; the newest were")
    return tuple(said)


def _kept(episodes: Episodes, moment: datetime, rules: RuleSet) -> dict[str, Episode]:
    quiet = {rule.id: rule.quiet for rule in rules}
    return {
        name: each for name, each in episodes.open.items()
        if each.ended is None or moment - each.ended <= max(_KEPT_ENDED, quiet.get(name, _KEPT_ENDED))
    }  # fmt: skip


def _changes(before: State, in_use: Mapping[str, UsedRule], moment: datetime) -> list[RuleChange]:
    names = sorted({*before.rules, *in_use})
    if not before.rules:  # the first run: all are new, and none was changed
        return []
    return [
        RuleChange(at=moment, rule=name, before=before.rules.get(name), after=in_use.get(name))
        for name in names if before.rules.get(name) != in_use.get(name)
    ]  # fmt: skip
