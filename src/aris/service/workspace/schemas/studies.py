"""A study as the pages get it: its patient, texts, drafts, signed reports, and what was noted."""

from __future__ import annotations

from typing import Literal

from aris.service.workspace.schemas.common import Sent
from aris.service.workspace.schemas.worklist import State, Urgency, Work


class Sections(Sent):
    """The sections of a report, in its order."""

    examination: str = ""
    indication: str = ""
    technique: str = ""
    comparison: str = ""
    findings: str = ""
    impression: str = ""


class Patient(Sent):
    """Patient of a study as its headers name him."""

    identifier: str
    issuer: str
    name: str
    birth_date: str
    sex: str
    age: str


class About(Sent):
    """The examination."""

    accession: str
    date: str
    time: str
    description: str
    referrer: str
    identifier: str


class Order(Sent):
    """The order that a study answers."""

    procedure: str
    reason: str
    urgency: Urgency
    referrer: str
    placer: str


class Text(Sent):
    """A version of the text. `number` is None for one that came second and is kept beside."""

    number: int | None
    base: int
    author: str
    draft: int
    sections: Sections
    at: str


class DraftWarning(Sent):
    """Warning of a draft. `sentence`: which it is about, "" if it is about the whole."""

    text: str
    sentence: str


class ScoredFinding(Sent):
    """A scored finding. `operating_point`: the probability from which on it counts as present, where it is known."""

    name: str
    probability: float | None
    present: bool | None
    note: str
    operating_point: float | None


class Region(Sent):
    """A box: left, top, right, bottom in pixels of the stored image."""

    label: str
    box: tuple[float, float, float, float]
    image: str
    frame: int | None
    probability: float | None
    note: str


class Outside(Sent):
    """Another program's structured report, as lines of a name and a text."""

    title: str
    maker: str
    verified: bool
    complete: bool
    lines: list[tuple[str, str]]


class SentenceConfidence(Sent):
    """Confidence of the model in the words of a sentence; `marked` where it is low."""

    section: str
    text: str
    mean_probability: float
    marked: bool


class DraftVersion(Sent):
    """A draft. Of one from outside `outside` has the content."""

    number: int
    origin: Literal["model", "outside"]
    model: str
    revision: str
    caution: str
    at: str
    applied: bool
    priority: Literal["routine", "urgent", "critical"]
    sections: Sections
    findings: list[ScoredFinding]
    warnings: list[DraftWarning]
    regions: list[Region]
    outside: Outside | None
    confidence: list[SentenceConfidence]


class Signature(Sent):
    """A signature under a version."""

    login: str
    name: str
    meaning: str
    at: str


class ReportDelivery(Sent):
    """A version's way to a destination. `at`: when it was acknowledged, or when it is tried next."""

    destination: str
    state: str
    attempts: int
    error: str
    at: str | None


class SignedReport(Sent):
    """A signed version. `status` is "preliminary" while the second signature is missing."""

    number: int
    kind: Literal["report", "correction", "addendum"]
    status: str
    mark: str
    sections: Sections
    addenda: list[str]
    digest: str
    at: str
    signatures: list[Signature]
    deliveries: list[ReportDelivery]


class Attempt(Sent):
    """An attempt to tell somebody of a critical result."""

    whom: str
    how: str
    outcome: str
    note: str
    login: str
    at: str


class CriticalResult(Sent):
    """A critical result with the attempts to tell of it."""

    id: int
    finding: str
    raised_by: str
    at: str
    open: bool
    attempts: list[Attempt]


class Measured(Sent):
    """A measurement that stands."""

    id: int
    image: str
    frame: int | None
    name: str
    value: float
    unit: str
    calibration: Literal["calibrated", "at detector", "pixels only"]
    points: list[tuple[float, float]]
    login: str
    at: str


class Verdict(Sent):
    """The verdict that holds on a finding or a sentence."""

    draft: int
    kind: Literal["finding", "sentence"]
    about: str
    verdict: Literal["accepted", "edited", "rejected", "added", "unchanged"]
    said: str
    login: str


class SeriesInfo(Sent):
    """A series: how many images it has, how many frames they have, and how many objects in all."""

    uid: str
    modality: str
    number: str
    description: str
    body_part: str
    images: int
    frames: int
    objects: int


class Prior(Sent):
    """Another study that is, or may be, of the same patient; `why` not surely.

    `archive`: where it must be fetched from, "" for one that is here; `fetching`: "asked", with the `error` of an
    attempt that failed and is made again, or "failed" with the last `error`.
    """

    study: str
    date: str
    description: str
    modalities: list[str]
    certain: bool
    why: str
    state: State
    impression: str
    archive: str
    fetching: str
    error: str


class May(Sent):
    """Acts that the signed-in user may do now."""

    edit: bool
    sign: bool
    addend: bool
    correct: bool


class Study(Sent):
    """All that stands of a study."""

    study: str
    state: State
    urgency: Urgency
    concern: int
    assessed: bool
    reason: str
    notice: str
    opened_by: str
    patient: Patient
    about: About
    order: Order | None
    text: Text | None
    beside: list[Text]
    drafts: list[DraftVersion]
    reports: list[SignedReport]
    critical: list[CriticalResult]
    measurements: list[Measured]
    verdicts: list[Verdict]
    series: list[SeriesInfo]
    priors: list[Prior]
    archives: list[str]
    drafting: Work | None
    may: May
