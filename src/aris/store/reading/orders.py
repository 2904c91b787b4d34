"""Orders: kept as they come, matched to studies, never to those of another patient."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, get_args

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from aris.imaging.dicom.patients import Patient
from aris.store.reading.tables import OrderRow, ReadingRow
from aris.store.schema import StudyRow

Urgency = Literal["routine", "urgent", "stat"]
URGENCIES: tuple[Urgency, ...] = get_args(Urgency)


@dataclass(frozen=True)
class Order:
    """An order as a worklist or a message tells it; "" where it says nothing.

    Attributes:
        placer, filler: order numbers.
        accession, study_uid: by which a study is known to be its own.
        patient: whose.
        urgency: "routine", "urgent" or "stat"; "" lowers nothing that was said of the same order before.
        procedure, reason, referrer, scheduled: what, why, for whom, when (DICOM date and time).
        source: "worklist" or "hl7".
        status: "active" or "cancelled".
    """

    placer: str = ""
    filler: str = ""
    accession: str = ""
    study_uid: str = ""
    patient: Patient = field(default_factory=Patient)
    urgency: Urgency | Literal[""] = ""
    procedure: str = ""
    reason: str = ""
    referrer: str = ""
    scheduled: str = ""
    source: str = "worklist"
    status: str = "active"

    @property
    def key(self) -> str:
        """Key by which an update of the same order is known: the first of its numbers that it has, with its patient."""
        for name in ("accession", "placer", "filler", "study_uid"):
            if value := getattr(self, name):
                return f"{name}:{value}:{self.patient.issuer}:{self.patient.identifier}"[:256]
        return ""


def put(session: Session, order: Order, now: datetime) -> OrderRow:
    """Keep an order; one that is known is brought up to date."""
    row = session.scalar(select(OrderRow).where(OrderRow.key == order.key).with_for_update())
    if row is None:
        row = OrderRow(key=order.key, received_at=now, urgency="routine")
        session.add(row)
    row.placer, row.filler, row.accession = order.placer[:64], order.filler[:64], order.accession[:64]
    row.study_uid, row.status, row.source = order.study_uid[:64], order.status, order.source
    row.urgency = order.urgency or row.urgency
    patient = order.patient
    row.patient_id, row.issuer, row.patient_name = patient.identifier[:256], patient.issuer[:256], patient.name[:512]
    row.birth_date, row.sex = patient.birth_date[:8], patient.sex[:16]
    row.procedure, row.reason, row.referrer = order.procedure[:256], order.reason, order.referrer[:512]
    row.scheduled, row.changed_at = order.scheduled[:32], now
    session.flush()
    return row


def patient_of(row: OrderRow | StudyRow) -> Patient:
    """Return the patient of an order or a study."""
    return Patient(row.patient_id, row.issuer, row.patient_name, row.birth_date, row.sex)


def for_study(session: Session, study: StudyRow) -> OrderRow | None:
    """The active order of a study: of its UID or accession number, and of no other patient.

    Of several the most urgent: the same order may have come by two ways, of which one says less.
    """
    ways = [OrderRow.study_uid == study.uid]
    if study.accession:
        ways.append(OrderRow.accession == study.accession)
    found = session.scalars(
        select(OrderRow).where(or_(*ways), OrderRow.status == "active").order_by(OrderRow.changed_at.desc())
    )
    patient = patient_of(study)
    # One that names nobody may be anybody's: an accession number alone does not say whose it is.
    fitting = [
        row for row in found
        if not patient_of(row).conflicts(patient)
        and (row.study_uid == study.uid or row.patient_id.strip() or row.patient_name.strip())
    ]  # fmt: skip
    if any(row.study_uid == study.uid for row in fitting):
        fitting = [row for row in fitting if row.study_uid in ("", study.uid)]
    return max(fitting, key=lambda row: (_rank(row), row.study_uid == study.uid), default=None)


def _rank(row: OrderRow) -> int:
    return [str(each) for each in URGENCIES].index(row.urgency) if row.urgency in URGENCIES else 0


def studies_of(session: Session, order: OrderRow) -> list[tuple[ReadingRow, StudyRow]]:
    """Readings that an order may be of."""
    ways = [StudyRow.uid == order.study_uid] if order.study_uid else []
    if order.accession:
        ways.append(StudyRow.accession == order.accession)
    if not ways:
        return []
    query = select(ReadingRow, StudyRow).join(StudyRow, StudyRow.uid == ReadingRow.study_uid).where(or_(*ways))
    return [(reading, study) for reading, study in session.execute(query)]


def all_of(session: Session, limit: int = 100) -> list[OrderRow]:
    """Orders, the last changed first."""
    return list(session.scalars(select(OrderRow).order_by(OrderRow.changed_at.desc()).limit(limit)))
