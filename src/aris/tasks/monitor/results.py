"""Results of monitoring: flags with their evidence, what could not be assessed, and the state between two runs."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from aris.tasks.monitor.rule import SEVERITIES, Severity

DISCLAIMER = "A rule found this in the record. It is no diagnosis: a clinician decides what it means."


class _Result(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Evidence(_Result):
    """A fact that a flag rests on.

    Attributes:
        id: the resource, as "Observation/123".
        name: of the quantity or the kind of fact.
        shown: what it says, as written.
        at: when; None where the record does not say.
    """

    id: str
    name: str
    shown: str
    at: datetime | None = None


class Flag(_Result):
    """A rule's condition that holds now.

    Attributes:
        id: of the episode; the same as long as it lasts, whoever runs the rules on the same record.
        patient: the patient's id.
        rule, version, title, problem: of the rule.
        severity: now; `worst` is the episode's worst.
        text: what was found, by the rule, with its values.
        since: when it began, by the record's times.
        resources: ids of all resources that it rests on.
        evidence: the same with their values.
        source, url: the publication that the rule follows.
        missing: parameters that were not documented; the true state may be worse.
        notes: what a reader must know, as that a baseline is presumed.
        advice: by the rule's author.
        explanation: a model's wording of `text`, checked against it; "" where there is none.
    """

    id: str
    patient: str
    rule: str
    version: int
    title: str
    problem: str
    severity: Severity
    worst: Severity
    text: str
    since: datetime
    resources: tuple[str, ...]
    evidence: tuple[Evidence, ...]
    source: str
    url: str = ""
    missing: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    advice: str = ""
    explanation: str = ""


class Alarm(_Result):
    """A flag that is told: it is new, or has something new, or is worse than it was. Each is told once.

    Attributes:
        id: of this telling; the same whoever runs the rules on the same record.
        raised: when the record could first have told it.
        reason: "new" or "worse".
        flag: as it was then.
        related: other flags of the same problem that stand at the time, which are not told again by themselves.
    """

    id: str
    raised: datetime
    reason: Literal["new", "worse"]
    flag: Flag
    related: tuple[str, ...] = ()


class Ended(_Result):
    """A flag that holds no more.

    Attributes:
        id: of the episode.
        at: when.
        reason: "resolved": newer results are within the rule's limits; "lapsed": no newer result within its look-back;
            "withdrawn": a result that it rested on was corrected or entered in error; "not applicable": the rule is not
            for this patient any more, or not in use.
    """

    id: str
    rule: str
    title: str
    at: datetime
    reason: Literal["resolved", "lapsed", "withdrawn", "not applicable"]


class NotAssessed(_Result):
    """A rule that could not be judged, and why: never the same as "nothing found".

    Attributes:
        kind: "outside": the rule is not for this patient; "missing": the record lacks what it needs; "unread": what
            there is cannot be compared, as for an unknown unit.
    """

    rule: str
    title: str
    kind: Literal["outside", "missing", "unread"]
    reason: str


class Group(_Result):
    """Flags of one problem, the most severe first."""

    problem: str
    severity: Severity
    flags: tuple[str, ...]


class Episode(_Result):
    """A flag as the state keeps it.

    Attributes:
        flag: the flag's id.
        since: see `Flag`.
        worst, grade: the worst severity that was told, and the worst stage.
        evidence: ids that it rested on when last seen.
        last: when it held last.
        ended: when it ended; None while it holds.
        eased: since when it is less severe than its worst; None while it is at its worst.
        aspects: what of the rule's condition held when last seen, as marks and ids.
    """

    flag: str
    since: datetime
    worst: Severity
    grade: float = 0.0
    evidence: tuple[str, ...]
    last: datetime
    ended: datetime | None = None
    eased: datetime | None = None
    aspects: tuple[str, ...] = ()
    title: str = ""
    problem: str = ""


class UsedRule(_Result):
    """A version of a rule, and the digest of what it says."""

    version: int
    digest: str


class RuleChange(_Result):
    """An entry of the audit: which version of a rule was used before and after a moment; None is not in use."""

    at: datetime
    rule: str
    before: UsedRule | None
    after: UsedRule | None


class State(_Result):
    """State of a patient between two runs. It holds ids and times, no values.

    Attributes:
        patient: the patient's id.
        as_of: the moment of the last run.
        begun: when the watch began, for a patient who came to it later: results that were known before are judged
            only as they stand, not one by one.
        episodes: by rule.
        seen: fingerprints of the versions of resources that were looked at, as far back as a replay can reach.
        rules: the rules in use at the last run.
        audit: changes of rules, oldest first.
    """

    patient: str = ""
    as_of: datetime | None = None
    begun: datetime | None = None
    episodes: dict[str, Episode] = Field(default_factory=dict)
    seen: tuple[str, ...] = ()
    rules: dict[str, UsedRule] = Field(default_factory=dict)
    audit: tuple[RuleChange, ...] = ()


class Monitored(_Result):
    """The result of a run.

    Attributes:
        patient: the patient's id.
        now: the moment that was judged.
        flags: all that hold now, the most severe first.
        groups: the same by problem.
        alarms: what is told in this run: new or worse flags, in order of time.
        ended: flags that ended in this run.
        not_assessed: rules that could not be judged.
        problems: what of the record could not be watched.
        state: for the next run.
        disclaimer: for whoever shows the result.
    """

    patient: str
    now: datetime
    flags: tuple[Flag, ...]
    groups: tuple[Group, ...]
    alarms: tuple[Alarm, ...]
    ended: tuple[Ended, ...]
    not_assessed: tuple[NotAssessed, ...]
    problems: tuple[str, ...]
    state: State = Field(repr=False)
    disclaimer: str = DISCLAIMER


def rank(severity: Severity) -> int:
    """Return the place of a severity: higher is worse."""
    return SEVERITIES.index(severity)
