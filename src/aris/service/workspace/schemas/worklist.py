"""The worklist, uploads, live events and deliveries as the pages get them."""

from __future__ import annotations

from typing import Literal

from aris.service.workspace.schemas.common import Sent
from aris.service.workspace.schemas.intake import IntakeBadge

State = Literal["arrived", "settled", "drafted", "opened", "preliminary", "final", "amended", "addendum"]
Urgency = Literal["routine", "urgent", "stat"]
Work = Literal["waiting", "running", "done", "failed"]


class Entry(Sent):
    """A line of the worklist; `age` as DICOM's AS (057Y), "" where it is not known.

    `critical` counts the critical results that nobody has read back yet.
    """

    study: str
    state: State
    urgency: Urgency
    concern: int
    assessed: bool
    reason: str
    patient_id: str
    patient_name: str
    birth_date: str
    sex: str
    age: str
    accession: str
    date: str
    time: str
    description: str
    modalities: list[str]
    images: int
    arrived_at: str
    opened_by: str
    notice: str
    intake: IntakeBadge | None = None
    critical: int = 0


class WorklistPage(Sent):
    """A page of the worklist; `counts` and `modalities` are of all studies."""

    total: int
    entries: list[Entry]
    counts: dict[State, int]
    modalities: list[str]
    now: str


class Refused(Sent):
    """A file that was not taken, and why."""

    name: str
    reason: str


class Uploaded(Sent):
    """The outcome of an upload."""

    studies: list[str]
    added: int
    known: int
    refused: list[Refused]


class StudyEvent(Sent):
    """An act of somebody on a study; its id in the stream is the audit trail's number."""

    study: str
    action: str
    user: str
    at: str


class IntakeEvent(Sent):
    """Something that happened to an intake; `level` of one that has ended, else ""."""

    intake: str
    action: str
    level: str
    user: str
    at: str


class Rows(Sent):
    """Lines of the worklist as they are after somebody's acts, so that pages need not ask for the list again.

    `entries` has no study that is in no list. `moved` are those that may stand at another place, or in another list,
    than before: a page that has none of them must ask. `many`: too many at once to be told; pages ask for the list.
    """

    entries: list[Entry]
    moved: list[str]
    counts: dict[State, int]
    many: bool = False


class Drafting(Sent):
    """Progress of the draft of a study."""

    study: str
    state: Work
    text: str | None = None


class Delivery(Sent):
    """A signed version on its way. `at`: when it was acknowledged, or when it is tried next."""

    study: str
    version: int
    destination: str
    state: str
    attempts: int
    error: str
    at: str | None


class Agreement(Sent):
    """Readers' verdicts on a model's drafts in a month; `agreed` is the share of accepted ones among the judged."""

    model: str
    revision: str
    month: str
    kind: str
    accepted: int
    edited: int
    rejected: int
    added: int
    unchanged: int
    judged: int
    agreed: float | None


class FailingDelivery(Sent):
    """A delivery whose last attempt failed."""

    destination: str
    attempts: int
    error: str
    next_at: str


class FlowStatus(Sent):
    """Count of what there is to do, and what fails."""

    at: str
    studies: dict[str, int]
    jobs: dict[str, int]
    deliveries: dict[str, int]
    failing: list[FailingDelivery]
    critical_open: int
