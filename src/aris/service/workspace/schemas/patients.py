"""Patients' records as the pages get them: the list, a record's header, its timeline, trends, summary and answers."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from aris.service.workspace.schemas.common import Sent, Taken

Severity = Literal["info", "warning", "critical"]
Kind = Literal[
    "encounter", "condition", "medication", "allergy", "procedure", "immunization", "report", "note", "measurement",
    "order", "plan", "family history", "other",
]  # fmt: skip
Form = Literal["summary", "ipass", "discharge", "referral"]


class Identifier(Sent):
    """A patient's number, and who issued it ("" where nobody says)."""

    value: str
    issuer: str


class AlarmCounts(Sent):
    """Count of open alarms that nobody has acknowledged, by severity; `handled`: acknowledged, snoozed or closed."""

    critical: int = 0
    warning: int = 0
    info: int = 0
    handled: int = 0


class PatientEntry(Sent):
    """A record in the list. `newest`: when it last learned something; `source`: where it comes from."""

    id: int
    name: str
    birth_date: str
    sex: str
    identifiers: list[Identifier]
    source: str
    uploaded: bool
    entries: int
    newest: str | None
    alarms: AlarmCounts


class RecordSource(Sent):
    """A source of records and how it stands: `state` "reading", "ready" or "failed" with `problem`."""

    name: str
    kind: Literal["folder", "fhir", "uploads"]
    state: Literal["waiting", "reading", "ready", "failed"]
    records: int
    files: int
    read: int
    problem: str
    at: str | None


class PatientsPage(Sent):
    """A page of the patients; `sources` says what is still being read."""

    total: int
    entries: list[PatientEntry]
    sources: list[RecordSource]
    following: bool
    now: str


class UploadedRecord(Sent):
    """The outcome of an upload of a record: the patients in it, and what could not be read."""

    patients: list[PatientEntry]
    known: bool
    problems: list[str]


class Cited(Sent):
    """A statement laid out by rule, with the resources that it rests on."""

    text: str
    cites: list[str]


class MedicationLine(Sent):
    """A drug: `state` "current", "stopped", "on hold" or "other"; `change`: what changed lately, "" for nothing."""

    text: str
    cites: list[str]
    state: Literal["current", "stopped", "on hold", "other"]
    change: str


class EncounterLine(Sent):
    """A contact with care."""

    id: str
    title: str
    setting: str
    status: str
    start: str
    end: str
    reasons: str


class PatientStudy(Sent):
    """An imaging study in the store that is, or may be, of this patient; `why` not surely."""

    study: str
    date: str
    description: str
    modalities: list[str]
    state: str
    certain: bool
    why: str


class Reading(Sent):
    """Progress of reading a record: its size in bytes, for how long, and at what."""

    bytes: int
    seconds: float
    stage: str


class PatientRecord(Sent):
    """A record's head. While it is being read `state` is "reading", and only what the list knows is there.

    `as_of`: when it last learned something; `age`: in years then or at death, "" where unknown; `stale`: it learned
    nothing for a month; `summary_by`: the model that words summaries, "" where none does, with `summary_note` why not.
    """

    id: int
    state: Literal["reading", "ready", "failed"]
    reading: Reading | None
    problem: str
    name: str
    birth_date: str
    sex: str
    age: str
    died: str
    identifiers: list[Identifier]
    source: str
    uploaded: bool
    as_of: str | None
    stale: bool
    entries: int
    allergies: list[Cited]
    allergies_stated: bool
    problems: list[Cited]
    medications: list[MedicationLine]
    encounters: list[EncounterLine]
    encounters_total: int
    studies: list[PatientStudy]
    others: list[PatientEntry]
    excluded: list[str]
    reading_problems: list[str]
    alarms: AlarmCounts
    summary_by: str
    summary_note: str


class TimelineEntry(Sent):
    """An entry of the timeline. `start` and `end` are instants for the axis, `time` as the record writes it.

    `flagged`: the severity of a flag that rests on it, "" for none; `abnormal`: the laboratory says so.
    """

    id: str
    kind: Kind
    title: str
    detail: str
    status: str
    time: str
    precision: str
    start: str | None
    end: str | None
    known: str
    negated: bool
    abnormal: bool


class TimelineBar(Sent):
    """Count of a kind's entries in a span of the axis: the `slot`th of `slots`."""

    kind: Kind
    slot: int
    count: int


class TimelinePage(Sent):
    """Entries within a span, the newest first, with counts along the axis.

    `first` and `last`: of the whole record. `undated`: entries whose time nobody states; they are in every span.
    """

    total: int
    entries: list[TimelineEntry]
    kinds: dict[str, int]
    first: str | None
    last: str | None
    start: str | None
    end: str | None
    slots: int
    bars: list[TimelineBar]
    undated: int


class TrendPoint(Sent):
    """A result on the axis, in the series' unit.

    `shown`: as the record writes it; `low` and `high`: the range that it was given with; `flag`: the laboratory's.
    """

    id: str
    at: str
    value: float
    shown: str
    comparator: str
    low: float | None
    high: float | None
    flag: str
    status: str
    flagged: str


class Unplotted(Sent):
    """A result that cannot stand on the axis, and why: words, no value, an unknown unit, no time."""

    id: str
    at: str
    shown: str
    why: str


class TrendSeries(Sent):
    """The results of one quantity. `unit_note`: what was converted, or cannot be; `band`: the newest result's range.

    `more`: older results that are not sent.
    """

    key: str
    name: str
    unit: str
    unit_note: str
    points: list[TrendPoint]
    unplotted: list[Unplotted]
    more: int
    band_low: float | None
    band_high: float | None
    band_text: str
    slope: str


class TrendChoice(Sent):
    """A quantity that there are results of, with its newest; `abnormal` or `flagged`: what to look at first."""

    key: str
    name: str
    count: int
    plotted: int
    newest: str
    at: str
    abnormal: bool
    flagged: str


class Trends(Sent):
    """The quantities of a record, the most important first, and the series that were asked for."""

    choices: list[TrendChoice]
    series: list[TrendSeries]


class FlagEvidence(Sent):
    """A fact that a flag rests on."""

    id: str
    name: str
    shown: str
    at: str | None


class RecordFlag(Sent):
    """A rule's condition that holds."""

    episode: str
    rule: str
    version: int
    title: str
    problem: str
    severity: Severity
    text: str
    since: str
    evidence: list[FlagEvidence]
    source: str
    url: str
    missing: list[str]
    notes: list[str]
    advice: str


class NotJudged(Sent):
    """A rule that could not be judged, and why."""

    rule: str
    title: str
    kind: Literal["outside", "missing", "unread"]
    reason: str


class RecordFlags(Sent):
    """All that the rules find at a moment, and what they could not judge."""

    at: str
    flags: list[RecordFlag]
    not_assessed: list[NotJudged]
    problems: list[str]
    disclaimer: str


class StatedLine(Sent):
    """A statement of a summary or an answer; `by` "model" where a model worded it and the check held."""

    text: str
    cites: list[str]
    by: Literal["rule", "model"]


class SummarySection(Sent):
    """A section; `note`: why it is laid out by rule though a model was asked."""

    title: str
    statements: list[StatedLine]
    by: Literal["rule", "model"]
    note: str


class StruckLine(Sent):
    """A model's statement that was not shown among the others, and what the check found."""

    section: str
    text: str
    cites: list[str]
    reason: str


class LeftOut(Sent):
    """Something that counts and that no statement cites."""

    kind: str
    text: str
    cites: list[str]


class RecordSummary(Sent):
    """A draft summary: a person must check it and sign."""

    model: str
    form: Form
    as_of: str
    sections: list[SummarySection]
    omissions: list[LeftOut]
    struck: list[StruckLine]
    excluded: list[str]
    problems: list[str]
    warnings: list[str]
    caution: str


class AskRecord(Taken):
    """A question about a record."""

    question: str = Field(min_length=1, max_length=2000)


class RecordAnswered(Sent):
    """An answer with its citations; `found` False: the record holds nothing on it."""

    question: str
    found: bool
    statements: list[StatedLine]
    facts: list[StatedLine]
    struck: list[StruckLine]
    warnings: list[str]
    model: str
    caution: str


class SourceResource(Sent):
    """A resource as it lies in its source: read-only JSON. `cut`: it is longer than what is sent."""

    id: str
    where: str
    text: str
    cut: bool
    facts: list[Annotated[list[str], Field(min_length=2, max_length=2)]]


class StudyRecord(Sent):
    """A record that is, or may be, of a study's patient."""

    id: int
    name: str
    birth_date: str
    source: str
    certain: bool
    why: str
    alarms: AlarmCounts
