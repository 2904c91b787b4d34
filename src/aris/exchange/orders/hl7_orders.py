"""Imaging orders of HL7 v2: ORM^O01 and OMI^O23, as IHE's Scheduled Workflow has them."""

from __future__ import annotations

import re
from typing import Any, Literal

from aris.exchange.orders.hl7_text import Hl7Error, repetitions, segments, value
from aris.imaging.dicom.patients import Patient
from aris.store.reading.orders import Order, Urgency

_TAKEN = (("ORM", "O01"), ("OMI", "O23"))
# HL7 table 0119: an order is taken back.
_CANCELLED = ("CA", "DC", "OC", "CR", "DR", "OD")
# Codes that are no order of ours to keep: acknowledgements and numbers asked for.
_NO_ORDERS = ("SN", "NA", "OK", "UA", "UC", "UD", "UF", "UH", "UM", "UN", "UR", "UX", "DE", "LI")
_URGENT = ("A", "ASAP", "U", "URGENT", "T", "P", "HIGH", "EM", "EL")


def orders_of(message: Any) -> list[Order]:
    """The orders of a message.

    Raises:
        Hl7Error: it is of another type, or has no order with a number.
    """
    header = segments(message, "MSH")[0]
    kind = (value(message, header, 9, 1), value(message, header, 9, 2))
    if kind not in _TAKEN:
        raise Hl7Error(f"HL7: {'^'.join(kind)!r:.20} is not taken here; ORM^O01 and OMI^O23 are")
    people = segments(message, "PID")
    patient = _patient(message, people[0]) if people else Patient()
    uid = next((value(message, each, 1) for each in segments(message, "ZDS")), "")
    made: list[Order] = []
    for group in _groups(message):
        order = _order(message, group, patient, uid)
        if order is not None:
            if not order.key:
                raise Hl7Error("HL7: an order has no number (ORC-2, ORC-3, OBR-18 or IPC-1)")
            made.append(order)
    if not made:
        raise Hl7Error("HL7: the message has no order (ORC, OBR)")
    return made


def _groups(message: Any) -> list[dict[str, Any]]:
    """Each ORC with what follows it up to the next; OBRs without an ORC of their own share the one before."""
    groups: list[dict[str, Any]] = []
    for segment in message:
        name = str(segment[0])
        if name == "ORC" or (name == "OBR" and (not groups or "OBR" in groups[-1])):
            before = groups[-1].get("ORC") if groups and name == "OBR" else None
            groups.append({} if before is None else {"ORC": before})
        if groups and name in ("ORC", "OBR", "TQ1", "IPC"):
            groups[-1].setdefault(name, segment)
    return groups


def _order(message: Any, group: dict[str, Any], patient: Patient, uid: str) -> Order | None:
    def field(name: str, number: int, component: int = 1, sub: int = 1) -> str:
        return value(message, group[name], number, component, sub=sub) if name in group else ""

    control = field("ORC", 1).upper()
    if control in _NO_ORDERS:
        return None
    placer, filler = field("ORC", 2) or field("OBR", 2), field("ORC", 3) or field("OBR", 3)
    words = (field("TQ1", 9), field("ORC", 7, 6), field("OBR", 5), field("OBR", 27, 6))
    cancelled = control in _CANCELLED or field("ORC", 5).upper() == "CA"
    scheduled = field("TQ1", 7) or field("OBR", 36) or field("ORC", 7, 4)
    person = "ORC" if field("ORC", 12) or field("ORC", 12, 2) else "OBR"
    at = 12 if person == "ORC" else 16
    return Order(
        placer=placer,
        filler=filler,
        # IHE RAD TF-2 4.4 has it in OBR-18; without it the filler's number is what systems use.
        accession=field("IPC", 1) or field("OBR", 18) or filler or placer,
        study_uid=field("IPC", 3) or uid,
        patient=patient,
        urgency=_urgency(words),
        procedure=field("OBR", 4, 2) or field("OBR", 44, 2) or field("OBR", 4),
        reason=field("OBR", 31, 2) or field("OBR", 31) or field("OBR", 13),
        referrer=_name([field(person, at, part) for part in (2, 3, 4, 5, 6)]),
        scheduled=re.sub(r"[^0-9].*", "", scheduled)[:14],
        source="hl7",
        status="cancelled" if cancelled else "active",
    )


def _urgency(words: tuple[str, ...]) -> Urgency | Literal[""]:
    """The most urgent of what a message says in its several places; "" where it says nothing."""
    said = {word.strip().upper() for word in words} - {""}
    if not said:
        return ""
    if said & {"S", "STAT"} or any(word.startswith("TS") for word in said):
        return "stat"
    return "urgent" if said & set(_URGENT) else "routine"


def _patient(message: Any, segment: Any) -> Patient:
    """PID: the identifier of a hospital (type MR, PI or PT) before the others."""
    chosen = 1
    for number in range(repetitions(segment, 3), 0, -1):
        if value(message, segment, 3, 5, repetition=number).upper() in ("MR", "PI", "PT"):
            chosen = number
    name = [value(message, segment, 5, part) for part in (1, 2, 3, 4, 5)]
    sex = value(message, segment, 8).upper()
    born = value(message, segment, 7)[:8]
    return Patient(
        identifier=value(message, segment, 3, 1, repetition=chosen),
        issuer=value(message, segment, 3, 4, repetition=chosen),
        name=_name(name),
        birth_date=born if re.fullmatch("[0-9]{8}", born) else "",
        sex=sex if sex in ("M", "F", "O") else "",
    )


def _name(parts: list[str]) -> str:
    """HL7's family, given, middle, suffix, prefix as a DICOM person name, whose prefix comes before the suffix."""
    family, given, middle, suffix, prefix = parts
    parts = [family, given, middle, prefix, suffix]
    return "^".join(part.replace("^", " ").replace("=", " ").replace("\\", "/") for part in parts).rstrip("^")
