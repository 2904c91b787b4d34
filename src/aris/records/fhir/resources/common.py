"""Elements that all kinds of facts have in common, read from a resource."""

from __future__ import annotations

from typing import Any

from aris.records.fhir.resources.fields import Fields, Resource
from aris.records.types import Concept
from aris.records.when import When


def common(
    f: Fields,
    r: Resource,
    concept: Concept | None,
    *,
    time: When | None = None,
    end: When | None = None,
    known: When | None = None,
    status: str | None = None,
) -> dict[str, Any]:
    """The arguments of `Record`: its id, times, status, patient, encounter, categories and remarks."""
    meta = r["meta"] if isinstance(r.get("meta"), dict) else {}
    subject = "subject" if "subject" in r else "patient" if "patient" in r else "for" if "for" in r else "subject"
    around = "encounter" if "encounter" in r else "context"
    category = r.get("category")
    if category is None:
        categories: tuple[str, ...] = ()
    elif isinstance(category, list) and category and isinstance(category[0], str):
        categories = tuple(c for c in category if isinstance(c, str))
    elif isinstance(category, dict):
        categories = f.codes({"category": [category]}, "category")
    else:
        categories = f.codes(r, "category")
    return {
        "id": f.id,
        "concept": concept or NAMELESS,
        "status": f.status(r) if status is None else status,
        "time": time,
        "end": end,
        "known": known,
        "patient": subject_of(f, r, subject),
        "encounter": _encounter(f.reference(r, around)),
        "categories": categories,
        "notes": f.remarks(r),
        "version": f.text(meta, "versionId"),
        "updated": f.when(meta, "lastUpdated"),
    }


NAMELESS = Concept("not named")


def subject_of(f: Fields, r: Resource, name: str) -> str:
    """The id of whom a resource is about; "" where it names nobody."""
    value = r.get(name)
    if isinstance(value, list):  # Appointment and others
        value = value[0] if value else None
    return "" if value is None else f.refer(value, name)


def _encounter(id: str) -> str:
    return id if id.startswith("Encounter/") else ""
