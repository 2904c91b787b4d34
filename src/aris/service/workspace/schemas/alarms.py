"""Alarms of the watch over records, what people did about them, and the rules, as the pages get them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints

from aris.exchange.documents.report import clean
from aris.service.workspace.schemas.common import Sent, Taken
from aris.service.workspace.schemas.patients import AlarmCounts, FlagEvidence, Severity

Act = Literal["acknowledge", "snooze", "close", "reopen"]
AlarmState = Literal["open", "acknowledged", "snoozed", "closed", "ended"]


class AlarmAct(Sent):
    """An act of a person on an alarm. `held`: it holds still; a worsening after it ends it."""

    act: Act
    login: str
    why: str
    until: str | None
    at: str
    held: bool


class AlarmTelling(Sent):
    """An event of an alarm: raised, worse, or ended with its reason."""

    id: int
    event: Literal["new", "worse", "ended"]
    severity: Severity | None
    text: str
    raised: str
    told: str
    reason: str


class Alarm(Sent):
    """An alarm: one condition of one rule, as long as it lasts, with all that was told and done.

    `severity` and `text` are as it stands now, `worst` the worst that was told; `seen` goes back with an act.
    """

    id: str
    patient: int
    name: str
    birth_date: str
    sex: str
    rule: str
    version: int
    title: str
    problem: str
    state: AlarmState
    severity: Severity
    worst: Severity
    text: str
    since: str
    raised: str
    changed: str
    ended: str | None
    ended_reason: str
    evidence: list[FlagEvidence]
    source: str
    url: str
    missing: list[str]
    notes: list[str]
    advice: str
    related: list[str]
    tellings: list[AlarmTelling]
    acts: list[AlarmAct]
    seen: int
    worse_since_act: bool


class Following(Sent):
    """The watch: whether it is on, when records were last judged, and what it cannot do; `late`: it is behind."""

    on: bool
    records: int
    judged_at: str | None
    late: bool
    problems: list[str]


class AlarmsPage(Sent):
    """A page of alarms, the most severe first; `rules`: those that have alarms, for the filter."""

    total: int
    alarms: list[Alarm]
    counts: AlarmCounts
    states: dict[AlarmState, int]
    rules: dict[str, str]
    following: Following
    now: str


class AlarmTotals(Sent):
    """Count of open alarms that nobody has acknowledged, of all patients."""

    counts: AlarmCounts


class AlarmEvent(Sent):
    """A change of a patient's alarms, in the stream of live events; its id is the audit trail's number."""

    patient: int
    action: str
    user: str
    at: str


def _words(text: str) -> str:
    return " ".join(clean(text).split())


class NewAlarmAct(Taken):
    """An act on an alarm. `seen`: the newest telling that was on the screen; what is newer is not acknowledged."""

    act: Act
    seen: Annotated[int, Field(ge=0, lt=1 << 31)]
    why: Annotated[str, StringConstraints(max_length=1000), AfterValidator(_words)] = ""
    minutes: Annotated[int, Field(ge=5, le=24 * 60)] | None = None


class Explained(Sent):
    """A model's wording of an alarm, checked against what the rule found; `text` is "" where it did not hold."""

    text: str
    model: str
    note: str


class RuleLine(Sent):
    """A rule in use, or a version that is not. `tests`: how many lie beside it."""

    id: str
    version: int
    title: str
    problem: str
    author: str
    approved_by: str
    approved_at: str
    source: str
    url: str
    origin: str
    kind: str
    applies: str
    advice: str
    state: Literal["in use", "switched off", "withdrawn", "replaced"]
    note: str
    alarms: int


class RuleChange(Sent):
    """A rule that was switched off or on, by whom, when and why."""

    rule: str
    on: bool
    login: str
    why: str
    at: str


class Rules(Sent):
    """The rules, and who switched what."""

    rules: list[RuleLine]
    changes: list[RuleChange]
    folder: str
    may_switch: bool


class SwitchRule(Taken):
    """A switch of a rule, with the reason."""

    on: bool
    why: Annotated[str, StringConstraints(min_length=1, max_length=1000), AfterValidator(_words)]
