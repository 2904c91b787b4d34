"""Rules: what a YAML file of a rule may say, and nothing else."""

from __future__ import annotations

import hashlib
import re
from datetime import date as Day
from datetime import timedelta
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from aris.tasks.monitor.facts import EGFR
from aris.tasks.monitor.substances import classes
from aris.tasks.monitor.vocabulary import vocabulary

Severity = Literal["info", "warning", "critical"]
SEVERITIES: tuple[Severity, ...] = ("info", "warning", "critical")
_DURATION = re.compile(r"(\d+(?:\.\d+)?) ?(min|h|d|w|y)")
_SPANS = {"min": 1 / 1440, "h": 1 / 24, "d": 1.0, "w": 7.0, "y": 365.25}


def duration(value: Any) -> Any:
    """Read a duration such as "30min", "48h", "7d", "12w" or "1y"."""
    if isinstance(value, timedelta):
        return value
    found = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError("write a duration as a number and min, h, d, w or y: 48h, 7d")
    return timedelta(days=float(found[1]) * _SPANS[found[2]])


def _measurement(value: Any) -> Any:
    if value != EGFR and value not in vocabulary().measurements:
        raise ValueError(f"{value!r:.40} is no measurement; there are {', '.join((EGFR, *vocabulary().measurements))}")
    return value


def _drugs(value: Any) -> Any:
    if value not in vocabulary().drugs:
        raise ValueError(f"{value!r:.40} is no class of drugs; there are {', '.join(vocabulary().drugs)}")
    return value


def _procedures(value: Any) -> Any:
    if value not in vocabulary().procedures:
        raise ValueError(f"{value!r:.40} is no class of procedures; there are {', '.join(vocabulary().procedures)}")
    return value


def _problems(value: Any) -> Any:
    if value not in vocabulary().problems:
        raise ValueError(f"{value!r:.40} is no class of problems; there are {', '.join(vocabulary().problems)}")
    return value


def _substances(value: Any) -> Any:
    if value not in classes():
        raise ValueError(f"{value!r:.40} is no class of substances; there are {', '.join(classes())}")
    return value


Duration = Annotated[timedelta, BeforeValidator(duration)]
MeasurementName = Annotated[str, BeforeValidator(_measurement)]
DrugClass = Annotated[str, BeforeValidator(_drugs)]
ProcedureClass = Annotated[str, BeforeValidator(_procedures)]
SubstanceClass = Annotated[str, BeforeValidator(_substances)]
ProblemClass = Annotated[str, BeforeValidator(_problems)]
Words = Annotated[str, Field(min_length=1, max_length=400)]


class Part(BaseModel):
    """Base of what rules are made of."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Limit(Part):
    """A limit: exactly one of four."""

    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    below: float | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(each is not None for each in (self.at_least, self.above, self.at_most, self.below)) != 1:
            raise ValueError("give exactly one of at_least, above, at_most, below")
        return self

    @property
    def words(self) -> str:
        """The limit as a reader says it."""
        for word, value in (("at least", self.at_least), ("above", self.above), ("at most", self.at_most)):
            if value is not None:
                return f"{word} {value:g}"
        return f"below {self.below:g}"


class Level(Limit):
    """A limit, and how severe it is to pass it."""

    severity: Severity


class Limits(Part):
    """The newest result of a quantity against limits; the most severe level that is passed counts."""

    kind: Literal["limits"]
    of: MeasurementName
    look_back: Duration
    levels: tuple[Level, ...] = Field(min_length=1)


class ChangeLevel(Part):
    """A size of change, and how severe it is: all that is given must hold.

    Attributes:
        by: in the quantity's unit.
        percent: of the earlier value.
        reaching: a limit that the newest value must have passed too.
    """

    severity: Severity
    by: float | None = Field(None, gt=0)
    percent: float | None = Field(None, gt=0)
    reaching: Limit | None = None

    @model_validator(mode="after")
    def _some(self) -> Self:
        if self.by is None and self.percent is None:
            raise ValueError("give by, percent, or both")
        return self


class Change(Part):
    """A delta check: the newest result against the patient's own earlier ones."""

    kind: Literal["change"]
    of: MeasurementName
    look_back: Duration
    within: Duration
    direction: Literal["rise", "fall", "either"]
    levels: tuple[ChangeLevel, ...] = Field(min_length=1)


class ScoreLevel(Part):
    """Points, and how severe they are."""

    severity: Severity
    at_least: float


class Scored(Part):
    """A clinical score.

    Attributes:
        red: the severity of a single parameter with three points (NEWS2).
        with_infection: only where the record names an infection, cultures or antimicrobials are not looked at.
    """

    kind: Literal["score"]
    score: Literal["NEWS2", "qSOFA", "SIRS", "shock index", "KDIGO"]
    look_back: Duration
    levels: tuple[ScoreLevel, ...] = Field(min_length=1)
    red: Severity | None = None
    with_infection: bool = False


class Percentile(Part):
    """A troponin above the laboratory's own upper reference limit (the 99th percentile).

    Attributes:
        severity: above the limit.
        changing: the severity where the value also changes by `percent` within `within`.
    """

    kind: Literal["percentile"]
    of: tuple[MeasurementName, ...] = Field(min_length=1)
    look_back: Duration
    severity: Severity
    changing: Severity
    percent: float = Field(gt=0)
    within: Duration


class Ranges(Part):
    """Any result outside the laboratory's own range, or that it marked itself.

    Attributes:
        severity: outside the range, or marked abnormal.
        critical: the severity of what the laboratory marked critical.
        except_for: quantities that have rules of their own.
    """

    kind: Literal["ranges"]
    look_back: Duration
    severity: Severity
    critical: Severity
    except_for: tuple[MeasurementName, ...] = ()


class Slope(Part):
    """The yearly change of eGFR: Theil-Sen, judged by the end of its interval that is nearer to no change."""

    kind: Literal["slope"]
    of: Literal["egfr"]
    look_back: Duration
    least_results: int = Field(ge=3)
    span: Duration
    faster_than: float = Field(gt=0)
    severity: Severity


class Overdue(Part):
    """A test that should have been done by now.

    Attributes:
        after: a result that asks for another one within `within`, or
        problem, drug: what asks for one each `within`.
        test: the quantity that must be measured.
        look_back: how far back the result that asks is looked for.
    """

    kind: Literal["overdue"]
    test: MeasurementName
    within: Duration
    look_back: Duration
    after: Limit | None = None
    problem: ProblemClass | None = None
    drug: DrugClass | None = None
    severity: Severity

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(each is not None for each in (self.after, self.problem, self.drug)) != 1:
            raise ValueError("give exactly one of after, problem, drug")
        return self


class Result(Limit):
    """A condition on the newest result of a quantity."""

    of: MeasurementName
    look_back: Duration


class Falling(Part):
    """A condition on a fall: by percent, within a span, of a quantity, to a limit where one is given."""

    of: MeasurementName
    percent: float = Field(gt=0)
    within: Duration
    reaching: Limit | None = None


class Together(Part):
    """A dangerous combination: a result or a fall (any of them), with a drug or a plan (any of them).

    Attributes:
        results, falling: what is measured.
        drugs, planned: what is given or planned.
        severity: of all.
    """

    kind: Literal["together"]
    results: tuple[Result, ...] = ()
    falling: tuple[Falling, ...] = ()
    drugs: tuple[DrugClass, ...] = ()
    planned: tuple[ProcedureClass, ...] = ()
    severity: Severity

    @model_validator(mode="after")
    def _both(self) -> Self:
        if not (self.results or self.falling):
            raise ValueError("give results or falling")
        if not (self.drugs or self.planned):
            raise ValueError("give drugs or planned")
        return self


class DrugPair(Part):
    """Two classes of drugs that are in use together."""

    kind: Literal["drug pair"]
    first: DrugClass
    second: DrugClass
    severity: Severity


class DrugAllergy(Part):
    """A drug in use, or being ordered, against a documented allergy to it or to its class.

    Attributes:
        severity: of an allergy.
        low: of an intolerance.
        planned: what is given with a class of procedures, as a class of `substances.yaml`.
    """

    kind: Literal["drug allergy"]
    severity: Severity
    low: Severity
    planned: dict[ProcedureClass, SubstanceClass] = Field(default_factory=dict)


class ReportFollowUp(Part):
    """A finding in a report, and nothing after it that looks like its follow-up.

    Attributes:
        find: words of the finding, that the report affirms of this patient and of now.
        followed_by: a class of procedures that counts as its follow-up.
        within: how long the follow-up may take; from then on the flag stands.
        look_back: how old the report may be.
        elsewhere: words that put the finding where the rule does not look ("thyroid"), in its sentence or the report's
            title, unless
        site: one of these words stands there too ("lung").
    """

    kind: Literal["report follow-up"]
    find: tuple[Words, ...] = Field(min_length=1)
    followed_by: ProcedureClass | None = None
    elsewhere: tuple[Words, ...] = ()
    site: tuple[Words, ...] = ()
    within: Duration
    look_back: Duration
    severity: Severity


class NoteContradiction(Part):
    """A note that says otherwise than the lists: of allergies, or of drugs."""

    kind: Literal["note contradiction"]
    of: Literal["allergies", "medications"]
    look_back: Duration
    severity: Severity


Check = Annotated[
    Limits | Change | Scored | Percentile | Ranges | Slope | Overdue | Together | DrugPair | DrugAllergy
    | ReportFollowUp | NoteContradiction,
    Field(discriminator="kind"),
]  # fmt: skip


class Applies(Part):
    """For whom a rule is; outside it is not assessable, and says so.

    Attributes:
        from_age, below_age: years. With either, an unknown age is outside.
        sex: "female" or "male".
        pregnancy, dialysis: False leaves out patients who are pregnant, or on dialysis for good.
    """

    from_age: float | None = None
    below_age: float | None = None
    sex: Literal["female", "male"] | None = None
    pregnancy: bool = True
    dialysis: bool = True


class Source(Part):
    """The publication that a rule follows."""

    text: Words
    url: str = ""


class Approval(Part):
    """Approval of a rule: by whom, and since when."""

    by: Words
    date: Day


class Withdrawal(Part):
    """Reason why a version is not used any more; an earlier one, or none, is used instead."""

    by: Words
    date: Day
    reason: Words


class Rule(Part):
    """A rule.

    Attributes:
        id: lower case, with hyphens.
        version: from 1; a change of the content takes a new one.
        title: what a flag is called.
        problem: flags of one problem are grouped into one alarm.
        author, approved: who wrote it, and who answers for it. A rule that is not approved is refused.
        withdrawn: it is not used (rollback).
        source: the publication.
        applies: for whom.
        quiet: how long after its end the same flag counts as the same episode, and is not raised anew.
        check: what is looked at.
        advice: a short sentence for the reader, by the author; no order.
    """

    id: str = Field(pattern=r"^[a-z][a-z0-9-]{1,60}$")
    version: int = Field(ge=1)
    title: Words
    problem: str = Field(pattern=r"^[a-z][a-z0-9 -]{1,40}$")
    author: Words
    approved: Approval
    withdrawn: Withdrawal | None = None
    source: Source
    applies: Applies = Applies()
    quiet: Duration = timedelta(hours=12)
    check: Check
    advice: Annotated[str, Field(max_length=400)] = ""

    @cached_property
    def looks_at(self) -> frozenset[str]:
        """The quantities and kinds of records whose change can change its outcome."""
        always = ("condition", "procedure") if self.check.kind == "score" else ()
        return frozenset((*always, *_looks_at(self.check)))

    @cached_property
    def digest(self) -> str:
        """The SHA-256 of what it says."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


_VITALS = ("respiratory_rate", "spo2", "systolic", "pulse", "temperature", "fio2", "oxygen_flow", "oxygen",
           "consciousness", "gcs", "gcs_eye", "gcs_verbal", "gcs_motor", "order")  # fmt: skip
_OF_SCORES = {
    "NEWS2": _VITALS,
    "qSOFA": ("respiratory_rate", "systolic", "consciousness", "gcs", "gcs_eye", "gcs_verbal", "gcs_motor"),
    "SIRS": ("temperature", "pulse", "respiratory_rate", "pco2", "leukocytes", "bands"),
    "shock index": ("pulse", "systolic"),
    "KDIGO": ("creatinine", "urine", "urine_day", "weight", "height"),
}


def _looks_at(check: Check) -> tuple[str, ...]:
    match check:
        case Scored():
            return _OF_SCORES[check.score]
        case Percentile():
            return check.of
        case Overdue():
            return (*_measured(check.test), "condition", "medication")
        case Together():
            of = (*(each.of for each in check.results), *(each.of for each in check.falling))
            return (*(name for each in of for name in _measured(each)), "medication", "order", "procedure")
        case Ranges():
            return ("measurement",)
        case DrugPair():
            return ("medication",)
        case DrugAllergy():
            return ("medication", "allergy", *(("order", "procedure") if check.planned else ()))
        case ReportFollowUp():
            return ("report", "order", "procedure")
        case NoteContradiction():
            return ("note", "medication", "allergy")
        case Limits() | Change() | Slope():
            return _measured(check.of)


def _measured(name: str) -> tuple[str, ...]:
    return {EGFR: ("egfr_reported", "creatinine"), "map": ("map", "systolic")}.get(name, (name,))
