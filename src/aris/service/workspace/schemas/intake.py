"""Intakes as the pages get them: lines of the list, results as the clinician reads them, and what is sent back."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StringConstraints

from aris.exchange.documents.report import clean
from aris.service.workspace.schemas.common import Sent, Taken

Level = Literal["routine", "soon", "urgent", "emergency"]
Status = Literal[
    "waiting", "consent", "asking", "finished", "emergency", "unfinished", "declined", "expired", "revoked"
]
View = Literal["to see", "running", "seen", "without answers"]
How = Literal["patient called", "ambulance called", "patient is here", "handed over", "other"]


def _line(text: str) -> str:
    return " ".join(clean(text).split())


def _name(length: int) -> Any:
    return Annotated[str, StringConstraints(max_length=length), AfterValidator(_line)]


Birth = Annotated[str, StringConstraints(pattern=r"^([0-9]{8})?$")]


class IntakePatient(Sent):
    """The patient as the clinic named him; `name` as DICOM has it, the date as 20260131."""

    identifier: str
    issuer: str
    name: str
    birth_date: str
    sex: str


class IntakeMark(Sent):
    """A person's mark: "seen", or "acknowledged" with what was done."""

    kind: Literal["seen", "acknowledged"]
    login: str
    at: str
    how: str
    note: str


class IntakeLine(Sent):
    """A line of the list. `expires_at` of the link and of the phone that used it; `asked` questions so far."""

    name: str
    patient: IntakePatient
    note: str
    status: Status
    level: Level
    complaint: str
    reason: str
    made_by: str
    made_at: str
    expires_at: str
    ended_at: str | None
    asked: int
    link_used: bool
    marks: list[IntakeMark]


class IntakeList(Sent):
    """Intakes by level, then by waiting. `counts` of each view, `page` whether this server asks patients itself."""

    intakes: list[IntakeLine]
    total: int
    counts: dict[View, int]
    page: bool
    address: str
    now: str


class IntakeReason(Sent):
    """A rule that gave a level; `possible`: it would give more if what is not known were so."""

    text: str
    level: Level
    rule: str
    source: str
    reviewed: bool
    possible: bool


class IntakeFinding(Sent):
    """A finding; `quote` in the patient's words, "" where it was chosen from a list; `denied` in another answer."""

    label: str
    quote: str
    denied: bool


class IntakeSaid(Sent):
    """An item of the history with its answer."""

    label: str
    value: str


class IntakeSummary(Sent):
    """The pre-visit summary in the clinician's order, red flags first. All provisional."""

    answered_by: str
    age: str
    sex: str
    pregnancy: str
    complaint: str
    chief_complaint: str
    reasons: list[IntakeReason]
    red_flags: list[IntakeFinding]
    history: list[IntakeSaid]
    positives: list[IntakeFinding]
    negatives: list[IntakeFinding]
    not_known: list[IntakeFinding]
    past_history: list[IntakeFinding]
    medications: str
    allergies: str
    other: str
    not_asked: list[str]
    questions: int
    model: str
    caution: str


class IntakeTurn(Sent):
    """A question with its answer: what was said, and which options that was read as."""

    asked: str
    said: str
    chosen: list[str]
    known: bool
    chosen_by: str


class Intake(Sent):
    """An intake as a clinician reads it. `summary` is null before there is one, and of one by another version."""

    line: IntakeLine
    summary: IntakeSummary | None
    transcript: list[IntakeTurn]
    text: str
    has_fhir: bool


class IntakeLink(Sent):
    """A one-time link, told once: `path` under the server's address; `url` where that is known."""

    line: IntakeLine
    path: str
    url: str


class IntakeBadge(Sent):
    """An intake beside a study: the newest of its patient. `certain`: a name or birth date agrees, not the ID alone."""

    name: str
    at: str
    level: Level
    status: Status
    complaint: str
    seen: bool
    certain: bool


class NewIntake(Taken):
    """A patient to be asked. `note` on language or help; `hours` until the link ends, the site's setting by default."""

    identifier: _name(256) = ""  # type: ignore[valid-type]
    issuer: _name(256) = ""  # type: ignore[valid-type]
    name: _name(512) = ""  # type: ignore[valid-type]
    birth_date: Birth = ""
    sex: Literal["", "F", "M", "O"] = ""
    note: _name(500) = ""  # type: ignore[valid-type]
    hours: Annotated[float, Field(ge=0.25, le=720, allow_inf_nan=False)] | None = None


class RenewIntake(Taken):
    """A new link for an intake that runs."""

    hours: Annotated[float, Field(ge=0.25, le=720, allow_inf_nan=False)] | None = None


class Acknowledge(Taken):
    """Acknowledgement of an emergency: what was done."""

    how: How
    note: Annotated[str, StringConstraints(max_length=2000), AfterValidator(clean)] = ""
