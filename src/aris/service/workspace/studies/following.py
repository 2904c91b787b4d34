"""Consequences of reading: deliveries that are open, readers' agreement with the models, and what the flow does."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from sqlalchemy import select

from aris.flow.worker import status
from aris.service.workspace.context import Caller, Workspace, allow, here
from aris.service.workspace.schemas.worklist import Agreement, Delivery, FlowStatus
from aris.store.reading import verdicts
from aris.store.reading.lasting_tables import DeliveryRow, ReportRow
from aris.store.reading.tables import ReadingRow

router = APIRouter(prefix="/api", tags=["following"])
Anyone = Annotated[Caller, allow("admin", "reader", "viewer", scope="read")]
Here = Annotated[Workspace, here]
_MOST = 1000


@router.get("/deliveries")
def deliveries(caller: Anyone, workspace: Here) -> list[Delivery]:
    """Deliveries that no destination has acknowledged yet, the oldest first."""
    query = (
        select(DeliveryRow, ReportRow.number, ReadingRow.study_uid)
        .join(ReportRow, ReportRow.id == DeliveryRow.report_pk)
        .join(ReadingRow, ReadingRow.id == DeliveryRow.reading_pk)
        .where(DeliveryRow.state != "acknowledged")
        .order_by(DeliveryRow.id)
        .limit(_MOST)
    )
    with workspace.house.store.sessions.reading() as session:
        return [
            Delivery(study=study, version=number, destination=row.destination, state=row.state, attempts=row.attempts,
                     error=row.error, at=row.not_before.isoformat())
            for row, number, study in session.execute(query)
        ]  # fmt: skip


@router.get("/agreement")
def agreement(caller: Anyone, workspace: Here) -> list[Agreement]:
    """Verdicts of readers on the models' drafts, by model and month."""
    with workspace.house.store.sessions.reading() as session:
        return [Agreement(**each) for each in verdicts.agreement(session)]


@router.get("/flow")
def flow(caller: Anyone, workspace: Here) -> FlowStatus:
    """Return how much there is to do, and what fails."""
    return FlowStatus.model_validate(status(workspace.house))
