"""Observations of the plain form that most results have, read several times as fast; all others go the general way.

In a long record the same code, category, range and unit stand in thousands of results. Here they are kept as bytes,
and each distinct combination is read once, by the general reader (`observations`), as a pattern for the others.
Whatever has an element that is not named here, is of an unexpected type, or has something wrong with it goes the
general way itself, so that both give the same facts and the same problems.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw

from aris.records.fhir.resources.fields import Fields, one_line
from aris.records.fhir.resources.observations import observation
from aris.records.types import LOINC, Measurement
from aris.records.units import normalise
from aris.records.when import When, parse_when

_NONE = Raw()


class _Meta(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    versionId: str = ""  # noqa: N815
    lastUpdated: str = ""  # noqa: N815
    profile: Raw = _NONE
    tag: Raw = _NONE
    source: Raw = _NONE
    security: Raw = _NONE


class _Quantity(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    value: float
    unit: str = ""
    system: str = ""
    code: str = ""


class _Plain(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    resourceType: str  # noqa: N815
    code: Raw
    valueQuantity: _Quantity  # noqa: N815
    effectiveDateTime: str  # noqa: N815
    status: str
    subject: Raw
    id: Raw = _NONE
    meta: _Meta | None = None
    issued: str = ""
    encounter: Raw = _NONE
    category: Raw = _NONE
    interpretation: Raw = _NONE
    referenceRange: Raw = _NONE  # noqa: N815
    specimen: Raw = _NONE
    # Elements that are not read.
    identifier: Raw = _NONE
    text: Raw = _NONE
    performer: Raw = _NONE
    extension: Raw = _NONE
    implicitRules: Raw = _NONE  # noqa: N815
    language: Raw = _NONE


_DECODER = msgspec.json.Decoder(_Plain)
_ANY = msgspec.json.Decoder()


class PlainObservations:
    """Reads plain observations by the patterns that it has met."""

    def __init__(self, fields: Fields) -> None:
        """Make the reader.

        Args:
            fields: reads the parts of patterns, and lists problems.
        """
        self._f = fields
        self._patterns: dict[tuple[Any, ...], Measurement | None] = {}
        self._encounters: dict[bytes, str | None] = {}

    def read(self, raw: Raw | bytes, id_: str, source: str) -> Measurement | None:
        """Read a resource, or return `None` where it must go the general way.

        Args:
            raw: its bytes.
            id_: its id, such as "Observation/1".
            source: as in `Record`.
        """
        try:
            o = _DECODER.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        q, meta = o.valueQuantity, o.meta
        pattern = self._pattern(o, q, raw, id_)
        if pattern is None:
            return None
        encounter = self._encounter(bytes(o.encounter)) if len(o.encounter) else ""
        time, known, updated = parse_when(o.effectiveDateTime), _when(o.issued), _when(meta.lastUpdated if meta else "")
        wrong = time is None or (o.issued and known is None) or (meta and meta.lastUpdated and updated is None)
        if wrong or encounter is None or q.value in (float("inf"), float("-inf")):
            return None
        p = pattern
        normal = normalise(p.concept.code(LOINC), q.value, p.unit)
        return Measurement(
            id=id_, concept=p.concept, status=p.status, time=time, known=known, patient=p.patient, encounter=encounter,
            categories=p.categories, version=one_line(meta.versionId) if meta else "", updated=updated, source=source,
            value=q.value, unit=p.unit, unit_text=p.unit_text, normal_value=normal.value, normal_unit=normal.unit,
            unit_problem=normal.problem, interpretation=p.interpretation, range=p.range, specimen=p.specimen,
        )  # fmt: skip

    def _pattern(self, o: _Plain, q: _Quantity, raw: Raw | bytes, id_: str) -> Measurement | None:
        """The fact with the same code, category, subject, range and unit; `None` where it has a problem."""
        key = (
            bytes(o.code), bytes(o.category), bytes(o.subject), bytes(o.interpretation), bytes(o.referenceRange),
            bytes(o.specimen), o.status, q.unit, q.system, q.code,
        )  # fmt: skip
        if key in self._patterns:
            return self._patterns[key]
        if b'"age"' in key[4] or b'"appliesTo"' in key[4]:  # whether it fits depends on the patient's age then
            self._patterns[key] = None
            return None
        before = len(self._f.problems)
        self._f.id = id_
        found = list(observation(self._f, _ANY.decode(raw)))
        good = len(self._f.problems) == before and len(found) == 1 and isinstance(found[0], Measurement)
        del self._f.problems[before:]  # the general way lists them
        self._patterns[key] = found[0] if good and isinstance(found[0], Measurement) else None
        return self._patterns[key]

    def _encounter(self, raw: bytes) -> str | None:
        if raw not in self._encounters:
            before = len(self._f.problems)
            found = self._f.refer(_ANY.decode(raw), "encounter")
            good = len(self._f.problems) == before
            del self._f.problems[before:]
            own = found if found.startswith("Encounter/") else ""
            self._encounters[raw] = own if good else None
        return self._encounters[raw]


def _when(text: str) -> When | None:
    return parse_when(text) if text else None
