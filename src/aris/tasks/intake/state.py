"""The state of an intake: everything between two answers, as plain data that can be written and read back."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from aris.tasks.intake.base import QuestionType

Level = Literal["routine", "soon", "urgent", "emergency"]
LEVELS: tuple[Level, ...] = ("routine", "soon", "urgent", "emergency")
Presence = Literal["present", "absent", "unknown"]
Status = Literal["consent", "asking", "finished", "emergency", "declined"]
STATE_VERSION = 1
MAX_QUESTIONS = 20


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Option(_Model):
    """A choice of a question: its code and its words."""

    code: str
    text: str


class Question(_Model):
    """A question as it is put to the patient.

    Attributes:
        id: which item it asks for; "red_flags.2" is the second checklist of that item.
        text: in plain words.
        type: of answer.
        options: of a choice or a checklist.
        hint: shown under it.
        number: which it is, from 1.
        limit: how many there can be at most.
        note: shown before it: why it is asked again.
    """

    id: str
    text: str
    type: QuestionType | Literal["consent"]
    options: list[Option] = Field(default_factory=list)
    hint: str = ""
    number: int
    limit: int = MAX_QUESTIONS
    note: str = ""


class Answer(_Model):
    """A question that was answered, or given up.

    Attributes:
        question: its id.
        asked: its words.
        type: of answer.
        options: codes that could be chosen.
        said: the answer in the patient's words.
        codes: chosen options.
        number: an age in days, a severity, or a duration in hours.
        known: False if the patient did not know, or two answers did not fit.
        chosen_by: who chose the question: the order of the base, or the model.
    """

    question: str
    asked: str
    type: str
    options: list[str] = Field(default_factory=list)
    said: str
    codes: list[str] = Field(default_factory=list)
    number: float | None = None
    known: bool = True
    chosen_by: Literal["order", "model"] = "order"


class Fact(_Model):
    """A finding with what is known of it.

    Attributes:
        presence: present, absent, or asked and not known.
        question: whose answer said so.
        quote: the words that named it, "" where it was chosen from a list.
        denied: it was denied in another answer; it stays present all the same.
    """

    presence: Presence
    question: str
    quote: str = ""
    denied: bool = False


class Reason(_Model):
    """A reason for a level.

    Attributes:
        rule: id of the rule, or "complaint", "model".
        level: that it gives here.
        text: in a clinician's words.
        findings: that made it apply.
        source: name of where the rule comes from.
        reviewed: whether that source could be read.
        possible: the rule would give more if what is not known were present.
        advice: which fixed text goes with it.
    """

    rule: str
    level: Level
    text: str
    findings: list[str] = Field(default_factory=list)
    source: str = ""
    reviewed: bool = False
    possible: bool = False
    advice: str = "emergency"


class Risk(_Model):
    """A triage level, Aris's own (not ESI, not Manchester), with the reasons for it, the gravest first."""

    level: Level = "routine"
    reasons: list[Reason] = Field(default_factory=list)

    def raised(self, other: Risk) -> Risk:
        """Both together: the graver level, and all reasons once."""
        level = max(self.level, other.level, key=LEVELS.index)
        reasons = {(each.rule, each.level): each for each in [*self.reasons, *other.reasons]}
        ordered = sorted(reasons.values(), key=lambda each: -LEVELS.index(each.level))
        return Risk(level=level, reasons=ordered)


class IntakeState(_Model):
    """An intake between two answers.

    Attributes:
        version: of this form.
        base_version: of the symptom base and the rules.
        status: where it stands.
        complaint: name of the complaint that the base takes it for.
        ages: of the patient in days, as answered and as named in the text.
        answered_age: whether the age was given as an answer; None before it was asked.
        pregnancy: "pregnant", "postpartum", "neither" or "unknown"; None before it was asked.
        carer: whether a carer answers; None before it was asked.
        facts: findings by name.
        answers: in the order they were given.
        pending: the question that waits for an answer.
        pending_findings: of a checklist that waits.
        pending_by: who chose it.
        again: why it is asked again: the name of a fixed text; "" if it is asked for the first time.
        asked: how many questions were put, repeats among them.
        risk: so far. It never falls.
        model: name of the model that chose questions, None if none did.
    """

    version: int = STATE_VERSION
    base_version: str
    status: Status = "consent"
    complaint: str = ""
    ages: list[float] = Field(default_factory=list)
    answered_age: bool | None = None
    pregnancy: str | None = None
    carer: bool | None = None
    facts: dict[str, Fact] = Field(default_factory=dict)
    answers: list[Answer] = Field(default_factory=list)
    pending: str = "consent"
    pending_findings: list[str] = Field(default_factory=list)
    pending_by: Literal["order", "model"] = "order"
    again: str = ""
    asked: int = 0
    risk: Risk = Field(default_factory=Risk)
    model: str | None = None

    def answer(self, item: str) -> Answer | None:
        """The last answer to a question; None if it was not asked."""
        return next((each for each in reversed(self.answers) if each.question == item), None)

    def present(self) -> set[str]:
        """The findings that are present."""
        return {name for name, fact in self.facts.items() if fact.presence == "present"}
