"""The Modality Worklist of another system, queried (C-FIND; PS3.4 annex K)."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from typing import Any

from aris.errors import ExchangeError
from aris.exchange.node.peers import Peer, new_entity
from aris.imaging.dicom.patients import Patient
from aris.imaging.dicom.quiet import quiet_pydicom
from aris.imaging.dicom.values import text
from aris.store.reading.orders import Order, Urgency

_WORKLIST = "1.2.840.10008.5.1.4.31"
# Requested Procedure Priority (0040,1003).
_PRIORITIES: dict[str, Urgency] = {"STAT": "stat", "HIGH": "urgent"}
_MOST = 10_000


def query_worklist(
    peer: Peer, *, date: str = "", modality: str = "", station: str = "", ae_title: str = "ARIS",
    tls: ssl.SSLContext | None = None, timeout_s: float = 30.0,
) -> list[Order]:  # fmt: skip
    """The orders that a worklist has.

    Args:
        date: of the scheduled step, YYYYMMDD or a range; "" for all.
        modality, station: of the scheduled step; station is an AE title.

    Raises:
        ExchangeError: it cannot be reached, or refuses.
    """
    entity = new_entity(ae_title, timeout_s)
    entity.add_requested_context(_WORKLIST)
    arguments = {"tls_args": (tls, peer.host)} if tls is not None else {}
    association = entity.associate(peer.host, peer.port, ae_title=peer.ae_title, **arguments)
    if not association.is_established:
        raise ExchangeError(f"{peer}: the worklist cannot be reached, or refuses us; check host, port and AE titles")
    made: list[Order] = []
    try:
        with quiet_pydicom():
            for status, found in association.send_c_find(_query(date, modality, station), _WORKLIST):
                code = status.get("Status") if status else None
                if code in (0xFF00, 0xFF01) and found is not None:
                    made += _orders(found)
                    if len(made) > _MOST:
                        raise ExchangeError(f"{peer}: more than {_MOST:,} orders; ask for a date or a modality")
                elif code != 0x0000:
                    said = "no answer" if code is None else f"status {code:04X}"
                    raise ExchangeError(f"{peer}: the worklist cannot be queried ({said})")
    finally:
        if association.is_established:
            association.release()
    return [order for order in made if order.key]


def _query(date: str, modality: str, station: str) -> Any:
    from pydicom import Dataset

    step, asked = Dataset(), Dataset()
    step.Modality, step.ScheduledStationAETitle = modality, station
    step.ScheduledProcedureStepStartDate, step.ScheduledProcedureStepStartTime = date, ""
    step.ScheduledProcedureStepDescription = step.ScheduledProcedureStepID = ""
    asked.ScheduledProcedureStepSequence = [step]
    asked.SpecificCharacterSet = "ISO_IR 192"
    for keyword in (
        "AccessionNumber", "ReferringPhysicianName", "PatientName", "PatientID", "IssuerOfPatientID",
        "PatientBirthDate", "PatientSex", "StudyInstanceUID", "RequestedProcedureDescription", "RequestedProcedureID",
        "RequestedProcedurePriority", "ReasonForTheRequestedProcedure", "PlacerOrderNumberImagingServiceRequest",
        "FillerOrderNumberImagingServiceRequest",
    ):  # fmt: skip
        setattr(asked, keyword, "")
    return asked


def _orders(found: Any) -> Iterator[Order]:
    """An order, once however many steps it has."""
    if getattr(found, "SpecificCharacterSet", None):
        found.decode()
    steps = found.get("ScheduledProcedureStepSequence") or [None]
    first = steps[0]

    def of_step(keyword: str) -> str:
        return "" if first is None else text(first, keyword, 64)

    priority = text(found, "RequestedProcedurePriority", 16).upper()
    yield Order(
        placer=text(found, "PlacerOrderNumberImagingServiceRequest", 64),
        filler=text(found, "FillerOrderNumberImagingServiceRequest", 64),
        accession=text(found, "AccessionNumber", 64),
        study_uid=text(found, "StudyInstanceUID", 64),
        patient=Patient.of(found),
        urgency=_PRIORITIES.get(priority, "routine" if priority else ""),
        procedure=text(found, "RequestedProcedureDescription", 256)
        or of_step("ScheduledProcedureStepDescription"),
        reason=text(found, "ReasonForTheRequestedProcedure", 1024),
        referrer=text(found, "ReferringPhysicianName", 512),
        scheduled=of_step("ScheduledProcedureStepStartDate")
        + of_step("ScheduledProcedureStepStartTime").partition(".")[0],
        source="worklist",
    )
