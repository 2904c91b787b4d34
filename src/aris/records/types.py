"""A patient's record as typed facts: one class for each kind, the same names whatever the source wrote.

Each fact (`Record`) has the id of the resource that states it (`id`, "Observation/123"): that is its citation. Facts
are frozen and hold no reference to the file that they came from. The rules that hold for all of them:

- **Time.** `time` is when it happened or began (`When` keeps partial dates partial; `None` is unknown), `end` when it
  ended, `known` when the record learned of it: issued, recorded or authored. A result of 08:00 that was issued at
  11:00 was not known at 09:00: `Timeline.known_at` asks `known`.
- **Status.** `status` is the source's own code, in lower case, "unknown" where it says none. Facts that were entered
  in error never enter `Timeline.records`: they are listed in `Timeline.excluded`. `Condition.active_at` and
  `Medication.current_at` read statuses and dates together; they answer `None` where the record does not say.
- **Absence.** Nothing stated is `None` or an empty tuple, and means "not documented", never "not present". What was
  looked for and not found is a fact of its own (`negated`, or a `Measurement` with `absent_reason`).
- **Values.** A `Measurement` has the value as written (`value`, `unit`) and, where the unit is known, the same in the
  unit that Aris compares in (`normal_value`, `normal_unit`; see `aris.records.units`). A unit that is not known is
  said (`unit_problem`) and never guessed: then the normal value is `None`.
- **Text** in any of these comes from the record and is untrusted: never instructions, never HTML.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar, Literal

from aris.records.when import When

# "No Known Allergies", "NKDA", "No known drug allergy": written as the substance by systems that send no code.
_NO_ALLERGY = re.compile(
    r"\s*(?:(?:no|denies) (?:known |any )*(?:[a-z]+ ){0,2}allerg(?:y|ies)|nkd?a|nkfa)\b", re.IGNORECASE
)

LOINC = "http://loinc.org"
SNOMED = "http://snomed.info/sct"
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
UCUM = "http://unitsofmeasure.org"

Kind = Literal[
    "encounter",
    "condition",
    "medication",
    "allergy",
    "procedure",
    "immunization",
    "report",
    "note",
    "measurement",
    "order",
    "plan",
    "family history",
    "other",
]


@dataclass(frozen=True, slots=True)
class Coding:
    """A code of a code system.

    Attributes:
        system: the system's address, such as `LOINC`; empty where the record names none.
        code: the code.
        display: the code's name as the record writes it.
    """

    system: str
    code: str
    display: str = ""


@dataclass(frozen=True, slots=True)
class Concept:
    """Meaning stated as text, codes or both (FHIR's CodeableConcept).

    Attributes:
        text: the words to show: the concept's own text, else the first code's name, else the code.
        codings: the codes, in the record's order.
    """

    text: str
    codings: tuple[Coding, ...] = ()

    def code(self, system: str) -> str | None:
        """The first code of `system`, or `None`."""
        for coding in self.codings:
            if coding.system == system:
                return coding.code
        return None

    def has(self, system: str, *codes: str) -> bool:
        """Return whether one of `codes` of `system` is among the codes."""
        return any(coding.system == system and coding.code in codes for coding in self.codings)

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number with its unit as written: a dose, a bound of a reference range.

    Attributes:
        value: the number, or `None`.
        unit: the UCUM code where the record gives one, else the unit's text; empty where it gives none.
        comparator: "<", "<=", ">=", ">" or empty.
    """

    value: float | None
    unit: str = ""
    comparator: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A fact of the record, and what all kinds of facts have.

    Attributes:
        id: the resource that states it, such as "Observation/123" (for a contained one "Observation/123#a");
            the citation.
        concept: what it is about: the problem, drug, test, procedure.
        status: the source's status code, "unknown" where it says none.
        time: when it happened or began; `None` where that is unknown.
        end: when it ended; `None` where it did not, or nobody says.
        known: when the record learned of it (issued, recorded, authored); `None` where nobody says.
        patient: the patient's id, such as "Patient/1", or empty where the resource names none.
        encounter: the encounter's id, or empty.
        categories: the categories' codes, such as "laboratory", "vital-signs" or "problem-list-item".
        notes: remarks in free text.
        version: the resource's version (`meta.versionId`), or empty.
        updated: when the server last changed the resource (`meta.lastUpdated`); often the time of an export.
        source: the file, or the server's address, and the line or entry that it was read from.
    """

    kind: ClassVar[Kind] = "other"

    id: str
    concept: Concept
    status: str = "unknown"
    time: When | None = None
    end: When | None = None
    known: When | None = None
    patient: str = ""
    encounter: str = ""
    categories: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    version: str = ""
    updated: When | None = None
    source: str = ""

    @property
    def resource_type(self) -> str:
        """The FHIR type of the resource, such as "Observation"."""
        return self.id.partition("/")[0]

    @property
    def negated(self) -> bool:
        """Return whether the record states that this is not so (not done, refuted, "no known allergy")."""
        return self.status in ("not-done", "not-taken")

    def known_by(self, moment: datetime) -> bool:
        """Return whether the record knew of it at `moment`; without a time of recording its own time counts.

        A fact with neither time is taken as known.
        """
        when = self.known or self.time
        return when is None or when.by(moment)


@dataclass(frozen=True, slots=True, kw_only=True)
class Encounter(Record):
    """A contact with care: a visit, a stay. `time` and `end` are its period, `concept` its type.

    Attributes:
        setting: the class's code, such as "AMB" (ambulatory), "IMP" (inpatient), "EMER" (emergency); empty if not said.
        reasons: what it was for.
        diagnoses: the ids of the conditions that it names.
        discharge: where the patient went, or empty.
    """

    kind: ClassVar[Kind] = "encounter"
    setting: str = ""
    reasons: tuple[Concept, ...] = ()
    diagnoses: tuple[str, ...] = ()
    discharge: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition(Record):
    """A problem or diagnosis. `status` is the clinical status, `time` the onset, `end` the abatement.

    Attributes:
        verification: "confirmed", "provisional", "differential", "unconfirmed", "refuted" or empty.
        severity: its words, or empty.
        onset_text: the onset where it is no date ("in childhood", "age 40 a").
        end_text: the abatement where it is no date.
        abated: whether an abatement is stated, dated or not.
        sites: body sites.
        stage: its words, or empty.
    """

    kind: ClassVar[Kind] = "condition"
    verification: str = ""
    severity: str = ""
    onset_text: str = ""
    end_text: str = ""
    abated: bool = False
    sites: tuple[str, ...] = ()
    stage: str = ""

    @property
    def negated(self) -> bool:
        return self.verification == "refuted"

    @property
    def confirmed(self) -> bool:
        """Return whether it is not marked as provisional, differential, unconfirmed or refuted."""
        return self.verification in ("", "confirmed")

    def active_at(self, moment: datetime | None = None) -> bool | None:
        """Return whether it was active at `moment` (`None`: as the record stands); `None` where it does not say.

        A refuted problem is not active. A status tells how the record stands now; for an earlier moment, dates decide
        first. One that is said to be active and also to have ended is neither.
        """
        if self.negated:
            return False
        if moment is not None:
            if self.time is not None and not self.time.by(moment):
                return False
            if self.end is not None:
                return not self.end.by(moment)
        if self.status in ("active", "recurrence", "relapse"):
            return None if self.abated else True
        if self.status in ("inactive", "remission", "resolved") or self.abated:
            return False
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Medication(Record):
    """A drug that was asked for, dispensed, given or told to be taken. `concept` is the drug.

    Attributes:
        role: "request", "statement", "administration" or "dispense".
        intent: a request's intent, such as "order", "plan" or "proposal"; empty otherwise.
        dosage: the dosage in words, from the text or the structured parts; empty if not said.
        dose: the dose's quantity, or `None`.
        route: its words, or empty.
        as_needed: whether it is to be taken only as needed; `None` if not said.
        reasons: what it is for.
        stop_reason: why the status is what it is (stopped, on hold, not given).
        forbidden: whether the request says that it must not be given (`doNotPerform`).
        ingredients: the substances that the resource names, besides `concept`.
    """

    kind: ClassVar[Kind] = "medication"
    role: Literal["request", "statement", "administration", "dispense"]
    intent: str = ""
    dosage: str = ""
    dose: Quantity | None = None
    route: str = ""
    as_needed: bool | None = None
    reasons: tuple[Concept, ...] = ()
    stop_reason: str = ""
    forbidden: bool = False
    ingredients: tuple[Concept, ...] = ()

    @property
    def negated(self) -> bool:
        return self.forbidden or self.status in ("not-taken", "not-done")

    def current_at(self, moment: datetime | None = None) -> bool | None:
        """Return whether it was in use at `moment` (`None`: as the record stands); `None` where it does not say.

        Requests and statements answer; an administration or a dispense is an event, and tells only its own
        time (`None`).
        """
        if self.negated:
            return False
        if self.role in ("administration", "dispense"):
            return None
        if self.intent in ("proposal", "plan", "option"):
            return False
        if moment is not None:
            start = self.time or self.known
            if start is not None and not start.by(moment):
                return False
            if self.end is not None and self.end.before(moment):
                return False
            over = self.status in ("stopped", "completed", "ended")
            if over and self.updated is not None and moment < self.updated.start:
                # It was told as over by a version of later: dates decide, and without them it is not known.
                return True if self.end is not None else None
        if self.status == "active":
            return True
        if self.status in ("stopped", "completed", "cancelled", "on-hold", "ended", "draft", "intended"):
            return False
        return None


@dataclass(frozen=True, slots=True)
class Reaction:
    """A reaction to a substance: its manifestations in words and its severity ("mild", "moderate", "severe", empty)."""

    manifestations: tuple[str, ...]
    severity: str = ""
    substance: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Allergy(Record):
    """An allergy or intolerance, or the statement that there is none. `concept` is the substance, `status` clinical.

    Attributes:
        verification: "confirmed", "unconfirmed", "presumed", "refuted" or empty.
        type: "allergy", "intolerance" or empty.
        criticality: "low", "high", "unable-to-assess" or empty.
        reactions: the reactions.
    """

    kind: ClassVar[Kind] = "allergy"
    verification: str = ""
    type: str = ""
    criticality: str = ""
    reactions: tuple[Reaction, ...] = ()

    @property
    def negated(self) -> bool:
        """Return whether it is refuted, or says in a code or in words that there is no (known) allergy."""
        return (
            self.verification == "refuted"
            or self.concept.has(SNOMED, "716186003", "409137002", "428607008", "429625007", "428197003", "1003774007")
            or _NO_ALLERGY.match(self.concept.text) is not None
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Procedure(Record):
    """A procedure: done ("completed"), under way, planned ("preparation") or not done.

    Attributes:
        reasons: what it was for.
        outcome: its words, or empty.
        sites: body sites.
        reports: the ids of its reports.
        stop_reason: why it was not done or was stopped.
    """

    kind: ClassVar[Kind] = "procedure"
    reasons: tuple[Concept, ...] = ()
    outcome: str = ""
    sites: tuple[str, ...] = ()
    reports: tuple[str, ...] = ()
    stop_reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Immunization(Record):
    """A vaccination that was given ("completed") or not ("not-done"). `concept` is the vaccine.

    Attributes:
        dose_number: the dose's number in its series, or empty.
        stop_reason: why it was not given.
    """

    kind: ClassVar[Kind] = "immunization"
    dose_number: str = ""
    stop_reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report(Record):
    """A diagnostic report or an imaging study. `time` is effective, `known` is issued.

    Attributes:
        text: the report's words: its conclusion, then its plain-text attachments.
        results: the ids of its measurements.
        conclusions: coded conclusions.
        attachments: kinds of attachments that are not plain text ("application/pdf"), which are not read.
        modality: an imaging study's modalities, such as ("CT",).
        based_on: the ids of the orders that it answers.
    """

    kind: ClassVar[Kind] = "report"
    text: str = ""
    results: tuple[str, ...] = ()
    conclusions: tuple[Concept, ...] = ()
    attachments: tuple[str, ...] = ()
    modality: tuple[str, ...] = ()
    based_on: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Note(Record):
    """A document in words: a clinical note, a letter, a composition, an impression.

    Attributes:
        text: its words, as plain text.
        attachments: kinds of attachments that are not plain text, which are not read.
        author: the author's id or name, or empty.
    """

    kind: ClassVar[Kind] = "note"
    text: str = ""
    attachments: tuple[str, ...] = ()
    author: str = ""


@dataclass(frozen=True, slots=True)
class ReferenceRange:
    """The laboratory's own range for a value, in the value's unit as written, and normalised where the unit is known.

    Attributes:
        low: the lower bound, or `None`.
        high: the upper bound, or `None`.
        text: the range in words, or empty.
        normal_low: `low` in the measurement's normal unit, or `None`.
        normal_high: `high` in the measurement's normal unit, or `None`.
    """

    low: float | None = None
    high: float | None = None
    text: str = ""
    normal_low: float | None = None
    normal_high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement(Record):
    """An observation with a value: a laboratory result, a vital sign, a score, a coded or worded finding.

    An observation with components (blood pressure) becomes one measurement for each component, all with the same `id`.
    `time` is effective, `known` is issued. `concept.code(LOINC)` is what it measures.

    Attributes:
        value: the number as written, or `None`.
        comparator: "<", "<=", ">=", ">" or empty: "<0.3" is no 0.3.
        unit: the UCUM code as written, else the unit's text, else empty.
        unit_text: the unit as it is written for people ("mmHg"), or empty.
        normal_value: the value in `normal_unit`, or `None` where there is no number or the unit is unknown.
        normal_unit: the UCUM unit that Aris compares this quantity in.
        unit_problem: why there is no normal value, in words; empty where there is one, or there is no number.
        said: the value in words, where it is no single number ("Positive", "1:128", "Never smoker").
        coded: the coded value, or `None`.
        absent_reason: why there is no value (FHIR's dataAbsentReason), or empty.
        interpretation: the laboratory's own flags, such as ("H",) or ("critical high",).
        range: the reference range that applies, or `None`.
        component: the component's place in its observation, or `None` for the observation's own value.
        panel: the name of the observation that it is a component of, or empty.
        specimen: the specimen's words or id, or empty.
        method: its words, or empty.
        site: the body site's words, or empty.
    """

    kind: ClassVar[Kind] = "measurement"
    value: float | None = None
    comparator: str = ""
    unit: str = ""
    unit_text: str = ""
    normal_value: float | None = None
    normal_unit: str = ""
    unit_problem: str = ""
    said: str = ""
    coded: Concept | None = None
    absent_reason: str = ""
    interpretation: tuple[str, ...] = ()
    range: ReferenceRange | None = None
    component: int | None = None
    panel: str = ""
    specimen: str = ""
    method: str = ""
    site: str = ""

    @property
    def negated(self) -> bool:
        """Return whether no value was obtained."""
        return self.status == "cancelled"

    @property
    def final(self) -> bool:
        """Return whether the result is final, amended or corrected (not registered, preliminary or cancelled)."""
        return self.status in ("final", "amended", "corrected")

    @property
    def loinc(self) -> str | None:
        """The LOINC code of what it measures, or `None`."""
        return self.concept.code(LOINC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order(Record):
    """An order, referral, appointment or task. `time` is when it is due or was asked for, `known` when it was asked.

    Attributes:
        intent: "order", "plan", "proposal" and so on, or empty.
        priority: "routine", "urgent", "asap", "stat" or empty.
        reasons: what it is for.
        forbidden: whether it says that something must not be done.
    """

    kind: ClassVar[Kind] = "order"
    intent: str = ""
    priority: str = ""
    reasons: tuple[Concept, ...] = ()
    forbidden: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan(Record):
    """A care plan or a goal.

    Attributes:
        activities: what is planned, in words.
        addresses: the ids of the problems that it is for.
    """

    kind: ClassVar[Kind] = "plan"
    activities: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FamilyHistory(Record):
    """A relative's problems: never the patient's own. `concept` is the relationship.

    Attributes:
        conditions: the relative's problems.
    """

    kind: ClassVar[Kind] = "family history"
    conditions: tuple[Concept, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Other(Record):
    """A resource of a kind that Aris lists without reading it further (claims, devices, consents)."""


@dataclass(frozen=True, slots=True)
class Patient:
    """The person that the record is about.

    Attributes:
        id: such as "Patient/1"; empty where the record has no Patient resource and no reference to one.
        name: the name in use, as words, or empty.
        gender: "male", "female", "other", "unknown" or empty (administrative gender).
        birth: the date of birth, as exact as it is written, or `None`.
        death: the time of death, or `None`.
        deceased: whether the patient has died; `None` where the record does not say.
        identifiers: pairs of system and value.
        source: the file and entry that it was read from.
    """

    id: str = ""
    name: str = ""
    gender: str = ""
    birth: When | None = None
    death: When | None = None
    deceased: bool | None = None
    identifiers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    source: str = field(default="", repr=False)

    def age_at(self, moment: datetime) -> float | None:
        """The age in years at `moment`, or `None` where the birth date is unknown or later than `moment`.

        A birth date that is exact only to the year or month gives the youngest possible age.
        """
        if self.birth is None or self.birth.start > moment:
            return None
        born = self.birth.end.date()
        day = moment.astimezone(self.birth.end.tzinfo).date()
        years = day.year - born.year - ((day.month, day.day) < (born.month, born.day))
        last = (born.year + years, born.month, born.day)
        try:
            birthday = datetime(*last).date()
        except ValueError:  # 29 February
            birthday = datetime(last[0], 3, 1).date()
        return max(0.0, years + (day - birthday).days / 365.25)


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that could not be read as it should, said so that nothing is lost silently.

    Attributes:
        where: the resource's id, or the file and entry.
        what: what is wrong, in plain words without the patient's data.
    """

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


@dataclass(frozen=True, slots=True)
class Excluded:
    """A fact that is kept out of the timeline, and why.

    Attributes:
        record: the fact as it was written.
        reason: "entered in error", "duplicate of ...", "superseded by version ..." or "another patient's".
    """

    record: Record
    reason: str
