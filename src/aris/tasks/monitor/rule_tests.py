"""Tests that lie beside rules: small records, and what the rule must say of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from aris.records import (
    LOINC,
    SNOMED,
    Allergy,
    Coding,
    Concept,
    Condition,
    Measurement,
    Medication,
    Note,
    Order,
    Patient,
    Procedure,
    Record,
    ReferenceRange,
    Report,
    Timeline,
    When,
    parse_when,
)
from aris.records.units import normalise
from aris.tasks.monitor.checks import Found, Lacking, judge
from aris.tasks.monitor.facts import Facts
from aris.tasks.monitor.loading import RuleError, RuleSet, line_of, read_yaml, tests_beside
from aris.tasks.monitor.rule import Duration
from aris.tasks.monitor.vocabulary import vocabulary

NOW = datetime(2024, 6, 1, 12, tzinfo=UTC)
Expected = Literal["nothing", "info", "warning", "critical", "not assessed"]
_KINDS = ("problem", "drug", "order", "procedure", "report", "note", "allergy")


def _text(value: Any) -> Any:
    return {"text": value} if isinstance(value, str) else value


class _Coded(BaseModel):
    model_config = ConfigDict(extra="forbid")

    text: str = ""
    snomed: str = ""


class Given(BaseModel):
    """A fact of a test: `{potassium: 6.5, ago: 1h}`, `{drug: ..., status: stopped}`, `{report: ..., ago: 1d}`.

    Attributes:
        ago: how long before the moment that is judged.
        unit: of the value; the vocabulary's by default.
        low, high: the laboratory's range, in that unit. mark: its flag, as "HH".
    """

    model_config = ConfigDict(extra="forbid")

    kind: str
    what: Annotated[_Coded, BeforeValidator(_text)] = _Coded()
    value: float | None = None
    ago: Duration = timedelta(0)
    unit: str | None = None
    comparator: str = ""
    low: float | None = None
    high: float | None = None
    mark: str = ""
    status: str = ""

    @model_validator(mode="before")
    @classmethod
    def _named(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            raise ValueError("write a fact as {potassium: 6.5, ago: 1h}")
        names = [key for key in value if key in vocabulary().measurements or key in _KINDS]
        if len(names) != 1:
            raise ValueError(f"name one measurement, or one of {', '.join(_KINDS)}")
        rest = {key: each for key, each in value.items() if key != names[0]}
        return {**rest, "kind": names[0], "what" if names[0] in _KINDS else "value": value[names[0]]}

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.kind not in _KINDS and self.value is None:
            raise ValueError("a measurement needs a number")
        return self


class Person(BaseModel):
    """The patient of a test."""

    model_config = ConfigDict(extra="forbid")

    age: float = 60
    sex: str = "female"


class RuleTest(BaseModel):
    """A record, and what the rule must say."""

    model_config = ConfigDict(extra="forbid")

    name: str
    patient: Person = Person()
    given: list[Given]
    expect: Expected


class _Tests(BaseModel):
    tests: list[RuleTest] = Field(min_length=1)


@dataclass(frozen=True)
class Tried:
    """A test that was run: the rule, the test's name, what was expected and what came."""

    rule: str
    name: str
    expected: str
    came: str

    @property
    def passed(self) -> bool:
        """Tell whether the rule said what it must."""
        return self.expected == self.came


def try_rules(rules: RuleSet, folder: str | Path | None = None) -> list[Tried]:
    """Run the tests beside rules.

    Args:
        rules: those in use.
        folder: a site's; those that ship with Aris by default.

    Raises:
        RuleError: a file of tests says what a test cannot; names the file, the line and the field.
    """
    tried = []
    for where, text in tests_beside(folder):
        name = Path(where).name.removesuffix(".tests.yaml")
        data, lines = read_yaml(text, where)
        try:
            tests = _Tests.model_validate({"tests": data}).tests
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            path = tuple(first["loc"][1:])
            message = str(first["msg"]).removeprefix("Value error, ")
            field = ".".join(map(str, path))
            raise RuleError(f"{where}:{line_of(lines, path)}: {field}: {message}") from None
        if name not in rules.rules:
            raise RuleError(f"{where}:1: there is no rule {name:.60} in use for these tests")
        tried += [Tried(name, test.name, test.expect, _said(rules, name, test)) for test in tests]
    return tried


def timeline_of_test(test: RuleTest) -> Timeline:
    """Return the record of a test as a timeline."""
    born = date(NOW.year - int(test.patient.age), 1, 1).isoformat()
    records = [_record(each, number) for number, each in enumerate(test.given)]
    records.sort(key=lambda each: datetime.min.replace(tzinfo=UTC) if each.time is None else each.time.start)
    return Timeline(Patient(id="Patient/test", gender=test.patient.sex, birth=parse_when(born)), tuple(records))


def _said(rules: RuleSet, name: str, test: RuleTest) -> str:
    outcome = judge(rules.rules[name], Facts(timeline_of_test(test)).at(NOW))
    if isinstance(outcome, Found):
        return outcome.severity
    return "not assessed" if isinstance(outcome, Lacking) else "nothing"


def _record(given: Given, number: int) -> Record:
    when = parse_when((NOW - given.ago).strftime("%Y-%m-%dT%H:%M:%SZ"))
    codings: Sequence[Coding] = [Coding(SNOMED, given.what.snomed)] if given.what.snomed else []
    concept = Concept(given.what.text or given.what.snomed, tuple(codings))
    common: dict[str, Any] = {"time": when, "known": when, "concept": concept}
    match given.kind:
        case "problem":
            return Condition(id=f"Condition/{number}", status=given.status or "active", **common)
        case "drug":
            return Medication(
                id=f"MedicationRequest/{number}",
                status=given.status or "active",
                role="request",
                intent="order",
                **common,
            )
        case "order":
            return Order(id=f"ServiceRequest/{number}", status=given.status or "active", **common)
        case "procedure":
            return Procedure(id=f"Procedure/{number}", status=given.status or "completed", **common)
        case "allergy":
            return Allergy(id=f"AllergyIntolerance/{number}", status=given.status or "active", **common)
        case "report":
            return Report(id=f"DiagnosticReport/{number}", status="final", text=given.what.text, **common)
        case "note":
            return Note(id=f"DocumentReference/{number}", status="current", text=given.what.text, **common)
    return _measurement(given, number, when)


def _measurement(given: Given, number: int, when: When | None) -> Measurement:
    entry = vocabulary().measurements[given.kind]
    code, unit = entry.loinc[0], given.unit or entry.unit
    assert given.value is not None  # checked above
    normal = normalise(code, given.value, unit)

    def bound(value: float | None) -> float | None:
        return None if value is None else normalise(code, value, unit).value

    limits = None
    if given.low is not None or given.high is not None:
        limits = ReferenceRange(given.low, given.high, "", bound(given.low), bound(given.high))
    return Measurement(
        id=f"Observation/{number}", concept=Concept(entry.title, (Coding(LOINC, code),)),
        status=given.status or "final",
        time=when, known=when, value=given.value, unit=unit, comparator=given.comparator, normal_value=normal.value,
        normal_unit=normal.unit, unit_problem=normal.problem, range=limits,
        interpretation=(given.mark,) if given.mark else (),
    )  # fmt: skip
