"""Patient resources as patients, and which of them are one person."""

from __future__ import annotations

from collections.abc import Iterable

from aris.records.fhir.resources.fields import Fields, Resource
from aris.records.types import Patient


def patient(f: Fields, r: Resource, source: str) -> Patient:
    """Read a Patient."""
    dead = r.get("deceasedBoolean")
    death = f.when(r, "deceasedDateTime")
    identifiers = tuple(
        (f.text(each, "system"), value) for each in f.objects(r, "identifier") if (value := f.text(each, "value"))
    )
    return Patient(
        id=f.id,
        name=_name(f, list(f.objects(r, "name"))),
        gender=f.text(r, "gender").lower(),
        birth=f.when(r, "birthDate"),
        death=death,
        deceased=True if death is not None else dead if isinstance(dead, bool) else None,
        identifiers=identifiers,
        source=source,
    )


def same_person(f: Fields, r: Resource) -> Iterable[str]:
    """The ids of Patient resources that this one replaces, or that replace it (`Patient.link`)."""
    for each in f.objects(r, "link"):
        if f.text(each, "type") in ("replaced-by", "replaces"):
            other = f.reference(each, "other")
            if other:
                yield other


def _name(f: Fields, names: list[Resource]) -> str:
    order = {"official": 0, "usual": 1, "": 2}
    best = sorted(names, key=lambda n: order.get(f.text(n, "use"), 3))
    for name in best:
        given = name.get("given")
        parts = [str(g) for g in given if isinstance(g, str)] if isinstance(given, list) else []
        words = f.text(name, "text") or " ".join([*parts, f.text(name, "family")]).strip()
        if words:
            return " ".join(words.split())
    return ""
