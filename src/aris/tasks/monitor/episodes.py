"""Episodes: which conditions are new, worse, the same as before, or over. Each is told once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from aris.tasks.monitor.checks import Found, Lacking, Outcome
from aris.tasks.monitor.results import Alarm, Ended, Episode, Flag, rank
from aris.tasks.monitor.rule import Rule

# What was critical and is so again is told again sooner.
_QUIET_CRITICAL = timedelta(hours=4)


@dataclass
class Episodes:
    """The episodes of one patient, as they go on from moment to moment.

    Attributes:
        patient: the patient's id.
        open: by rule; those that ended lately too.
        alarms, ended: what was told so far.
        raised: how often a rule's condition held on new evidence, told or not.
    """

    patient: str
    open: dict[str, Episode] = field(default_factory=dict)
    alarms: list[Alarm] = field(default_factory=list)
    ended: list[Ended] = field(default_factory=list)
    raised: dict[str, int] = field(default_factory=dict)
    episodes: dict[str, int] = field(default_factory=dict)

    def go_on(
        self,
        moment: datetime,
        outcomes: Mapping[str, tuple[Rule, Outcome]],
        *,
        standing: Iterable[str] | None = None,
        fresh: frozenset[str] | None = None,
    ) -> None:
        """Take what the rules found at a moment.

        Args:
            moment: not before the last one, unless `fresh` is given.
            outcomes: by rule.
            standing: ids of all resources that stand; an episode that rested on others is withdrawn.
            fresh: the moment lies before what was judged already, as results came late: only what rests on one of
                these resources is taken, and nothing ends.
        """
        new: list[tuple[Rule, Found, str]] = []
        stands = None if standing is None else frozenset(standing)
        for name, (rule, outcome) in outcomes.items():
            if isinstance(outcome, Found):
                if fresh is not None and not any(each.id in fresh for each in outcome.evidence):
                    continue
                reason = self._held(rule, outcome, moment, late=fresh is not None)
                if reason:
                    new.append((rule, outcome, reason))
            elif fresh is None and name in self.open and self.open[name].ended is None:
                self._over(name, rule, outcome, moment, stands)
        self._tell(new, moment)

    def flag(self, rule: Rule, found: Found) -> Flag:
        """A condition that holds, as the reader gets it."""
        episode = self.open[rule.id]
        return Flag(
            id=episode.flag, patient=self.patient, rule=rule.id, version=rule.version, title=rule.title,
            problem=rule.problem, severity=found.severity, worst=episode.worst, text=found.text, since=episode.since,
            resources=tuple(dict.fromkeys(each.id for each in found.evidence)), evidence=found.evidence,
            source=rule.source.text, url=rule.source.url, missing=found.missing, notes=found.notes, advice=rule.advice,
        )  # fmt: skip

    def stop(self, name: str, moment: datetime) -> None:
        """End the episode of a rule that is not in use any more."""
        episode = self.open.pop(name)
        if episode.ended is None:
            self.ended.append(
                Ended(id=episode.flag, rule=name, title=episode.title, at=moment, reason="not applicable")
            )

    def _held(self, rule: Rule, found: Found, moment: datetime, *, late: bool) -> str:
        """Note that a condition holds; why it is to be told ("new", "worse", "again", "other"), or ""."""
        ids = tuple(dict.fromkeys(each.id for each in found.evidence))
        episode = self.open.get(rule.id)
        if episode is None or episode.evidence != ids or episode.ended is not None:
            self.raised[rule.id] = self.raised.get(rule.id, 0) + 1
        quiet = min(rule.quiet, _QUIET_CRITICAL) if found.severity == "critical" else rule.quiet
        if episode is None or (episode.ended is not None and moment - episode.ended > quiet):
            self.episodes[rule.id] = self.episodes.get(rule.id, 0) + 1
            self.open[rule.id] = Episode(
                flag=self._name(rule, found), since=found.since, worst=found.severity,
                grade=found.grade, evidence=ids, last=moment, title=rule.title, problem=rule.problem,
                aspects=tuple(sorted(found.aspects)),
            )  # fmt: skip
            return "new"
        worse = rank(found.severity) > rank(episode.worst) or found.grade > episode.grade
        below = rank(found.severity) < rank(episode.worst)
        # It was better for as long as parts two episodes, and is as bad as before again.
        again = not late and not below and episode.eased is not None and moment - episode.eased > quiet
        # A late result of before its end says nothing of what came after.
        over = late and episode.ended is not None and moment <= episode.ended
        other = not found.aspects.issubset(episode.aspects)
        kept = episode.worst if rank(episode.worst) >= rank(found.severity) else found.severity
        self.open[rule.id] = episode.model_copy(
            update={
                "worst": kept, "grade": max(episode.grade, found.grade), "ended": episode.ended if over else None,
                "evidence": episode.evidence if late else ids, "last": max(episode.last, moment),
                "since": min(episode.since, found.since), "problem": rule.problem, "title": rule.title,
                "eased": episode.eased if late else (episode.eased or moment) if below else None,
                "aspects": tuple(sorted(found.aspects.union(episode.aspects if late else ()))),
            }
        )  # fmt: skip
        return "worse" if worse else "again" if again else "other" if other else ""

    def _name(self, rule: Rule, found: Found) -> str:
        """The id of a new episode: another one than the last, though both began with the same fact."""
        name, last = _digest(self.patient, rule.id, found.since.isoformat()), self.open.get(rule.id)
        return _digest(name, str(last.ended)) if last is not None and last.flag == name else name

    def _over(self, name: str, rule: Rule, outcome: Outcome, moment: datetime, stands: frozenset[str] | None) -> None:
        episode = self.open[name]
        if stands is not None and not stands.issuperset(episode.evidence):
            reason = "withdrawn"
        elif isinstance(outcome, Lacking):
            reason = "not applicable" if outcome.kind == "outside" else "lapsed"
        else:
            reason = "resolved"
        self.open[name] = episode.model_copy(update={"ended": moment})
        self.ended.append(
            Ended(id=episode.flag, rule=name, title=rule.title, at=moment, reason=reason)  # type: ignore[arg-type]
        )

    def _tell(self, new: list[tuple[Rule, Found, str]], moment: datetime) -> None:
        """Tell what is new or worse: of one problem the most severe, and only where nothing as severe was told."""
        new.sort(key=lambda each: (-rank(each[1].severity), -each[1].grade, each[0].id))
        told: set[str] = set()
        names = {rule.id for rule, _, _ in new}
        for rule, found, reason in new:
            others = {
                name: each for name, each in self.open.items()
                if name != rule.id and each.problem == rule.problem and each.ended is None
            }  # fmt: skip
            # One that was as bad days ago and is better now stands for nothing that is bad now.
            standing = any(
                rank(each.worst) >= rank(found.severity)
                and (each.eased is None or moment - each.eased <= _QUIET_CRITICAL)
                for name, each in others.items() if name not in names
            )  # fmt: skip
            if rule.problem in told or (standing and not found.grade):
                continue
            told.add(rule.problem)
            flag = self.flag(rule, found)
            more = flag.resources if reason in ("again", "other") else ()
            self.alarms.append(
                Alarm(
                    id=_digest(flag.id, found.severity, str(found.grade), *more), raised=moment, flag=flag,
                    reason="worse" if reason in ("worse", "again") else "new",
                    related=tuple(each.flag for each in others.values()),
                )
            )  # fmt: skip


def _digest(*parts: str) -> str:
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:16]
