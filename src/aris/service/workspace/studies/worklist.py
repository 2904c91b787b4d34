"""The worklist: a page of studies, by priority or as a reader sorts them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response

from aris.exchange.documents.report import clean
from aris.flow.reading.worklist import Entry as Line
from aris.flow.reading.worklist import worklist as list_studies
from aris.imaging.dicom.patients import Patient
from aris.service.workspace.context import Caller, Workspace, allow, here
from aris.service.workspace.intake.shown import badges
from aris.service.workspace.schemas.common import answered
from aris.service.workspace.schemas.worklist import Entry, State, WorklistPage
from aris.store.reading import critical, readings
from aris.store.reading.listing import ListQuery
from aris.store.reading.readings import OPEN

router = APIRouter(prefix="/api", tags=["worklist"])
Looker = Annotated[Caller, allow("reader", "viewer", scope="read")]
Here = Annotated[Workspace, here]
Sort = Literal["priority", "arrived", "patient", "date", "modality", "state"]


def lines_of(workspace: Workspace, entries: Sequence[Line]) -> list[Entry]:
    """Lines of the worklist as the pages get them, in the list's answer and in live events."""
    patients = [Patient(each.patient_id, "", each.patient_name, each.birth_date, each.sex) for each in entries]
    with workspace.house.store.sessions.reading() as session:
        asked = badges(workspace, session, patients)
        told = critical.open_counts(session, {each.study for each in entries})
    return [
        Entry(**each.as_json(), intake=own, critical=told.get(each.study, 0))
        for each, own in zip(entries, asked, strict=True)
    ]


@router.get("/worklist", response_model=WorklistPage)
def worklist(
    caller: Looker,
    workspace: Here,
    state: Annotated[list[State] | None, Query(max_length=len(readings.STATES))] = None,
    text: Annotated[str, Query(max_length=200)] = "",
    modality: Annotated[str, Query(max_length=16)] = "",
    sort: Sort = "priority",
    reverse: bool = False,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    offset: Annotated[int, Query(ge=0, lt=1 << 31)] = 0,
) -> Response:
    """List studies. Without a state all that somebody still has to read. The list is no view of a study: no audit."""
    # In the order of `OPEN` they are those that bring signed studies with a notice too.
    states = OPEN if not state or set(state) == set(OPEN) else tuple(dict.fromkeys(state))
    query = ListQuery(states, clean(text), clean(modality), sort, reverse, limit, offset)
    now = workspace.now()
    page = list_studies(workspace.house, query, now)
    with workspace.house.store.sessions.reading() as session:
        kinds = readings.kinds(session)
    return answered(WorklistPage(
        total=page.total, entries=lines_of(workspace, page.entries), counts=page.counts,
        modalities=kinds, now=now.isoformat(),
    ))  # fmt: skip
