"""Timeline of one patient: the facts in order of time, and the questions that are asked of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import TypeVar

from aris.records.types import (
    LOINC,
    Allergy,
    Condition,
    Encounter,
    Excluded,
    FamilyHistory,
    Immunization,
    Measurement,
    Medication,
    Note,
    Order,
    Patient,
    Plan,
    Problem,
    Procedure,
    Record,
    Report,
)
from aris.records.when import sort_key

R = TypeVar("R", bound=Record)


@dataclass(frozen=True)
class Timeline:
    """A patient's facts in order of time (those of unknown time first), with what was left out and why.

    Attributes:
        patient: the person.
        records: the facts, sorted by time. None was entered in error, and none belongs to another patient.
        excluded: what was kept out: entered in error, duplicates, superseded versions.
        problems: what could not be read as it should.
        moment: the moment that the timeline is seen from, or `None` for the record as it stands (see `known_at`).
        sources: the files or addresses that it was read from.
    """

    patient: Patient
    records: tuple[Record, ...]
    excluded: tuple[Excluded, ...] = ()
    problems: tuple[Problem, ...] = ()
    moment: datetime | None = None
    sources: tuple[str, ...] = field(default=())

    def of(self, kind: type[R]) -> tuple[R, ...]:
        """Return the facts of one class, such as `Condition`, in order of time."""
        return self._by_kind.get(kind, ())  # type: ignore[return-value]

    @property
    def encounters(self) -> tuple[Encounter, ...]:
        return self.of(Encounter)

    @property
    def conditions(self) -> tuple[Condition, ...]:
        return self.of(Condition)

    @property
    def medications(self) -> tuple[Medication, ...]:
        return self.of(Medication)

    @property
    def allergies(self) -> tuple[Allergy, ...]:
        return self.of(Allergy)

    @property
    def procedures(self) -> tuple[Procedure, ...]:
        return self.of(Procedure)

    @property
    def immunizations(self) -> tuple[Immunization, ...]:
        return self.of(Immunization)

    @property
    def reports(self) -> tuple[Report, ...]:
        return self.of(Report)

    @property
    def notes(self) -> tuple[Note, ...]:
        return self.of(Note)

    @property
    def measurements(self) -> tuple[Measurement, ...]:
        return self.of(Measurement)

    @property
    def orders(self) -> tuple[Order, ...]:
        return self.of(Order)

    @property
    def plans(self) -> tuple[Plan, ...]:
        return self.of(Plan)

    @property
    def family_history(self) -> tuple[FamilyHistory, ...]:
        return self.of(FamilyHistory)

    def find(self, id: str) -> tuple[Record, ...]:
        """Return the facts that the resource `id` states: none, one, or one for each component."""
        return self._by_id.get(id, ())

    def with_code(self, system: str, *codes: str) -> tuple[Record, ...]:
        """Return the facts whose concept has one of `codes` of `system`, in order of time."""
        return tuple(r for r in self.records if r.concept.has(system, *codes))

    def series(self, *codes: str, system: str = LOINC) -> tuple[Measurement, ...]:
        """Return the measurements of any of `codes` in order of time, those without a time first."""
        found = [m for code in codes for m in self._by_code.get((system, code), ())]
        if len(codes) > 1:
            found.sort(key=in_time)
        return tuple(found)

    def latest(self, *codes: str, system: str = LOINC) -> Measurement | None:
        """Return the latest measurement of `codes` that has a time and a value (a number, words or a code)."""
        for measurement in reversed(self.series(*codes, system=system)):
            if measurement.time is not None and has_value(measurement) and measurement.status != "cancelled":
                return measurement
        return None

    def between(self, start: datetime | None = None, end: datetime | None = None) -> tuple[Record, ...]:
        """Return the facts whose time may lie from `start` to `end` (both with time zones, both included)."""
        return tuple(
            r
            for r in self.records
            if r.time is not None
            and (end is None or r.time.start <= end)
            and (start is None or (r.end or r.time).end >= start)
        )

    def known_at(self, moment: datetime) -> Timeline:
        """Return the timeline as the record knew it at `moment`; a moment without a time zone counts as UTC.

        A fact counts from when it was issued, recorded or authored. Of a resource with several versions the latest that
        was known by then counts, even if it was superseded or marked as entered in error later.
        """
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        superseded = {e.record.id for e in self.excluded if e.reason.startswith(("superseded", "entered in error"))}
        kept: list[Record] = []
        versions: dict[str, list[Record]] = defaultdict(list)
        for record in self.records:
            if record.id in superseded:
                versions[record.id].append(record)
            elif record.known_by(moment):
                kept.append(record)
        for entry in self.excluded:
            if entry.reason.startswith(("superseded", "entered in error")):
                versions[entry.record.id].append(entry.record)
        for group in versions.values():
            kept.extend(_version_at(group, moment))
        kept.sort(key=in_time)
        return replace(self, records=tuple(kept), moment=moment)

    @cached_property
    def _by_kind(self) -> dict[type[Record], tuple[Record, ...]]:
        return _grouped((type(r), r) for r in self.records)

    @cached_property
    def _by_id(self) -> dict[str, tuple[Record, ...]]:
        return _grouped((r.id, r) for r in self.records)

    @cached_property
    def _by_code(self) -> dict[tuple[str, str], tuple[Measurement, ...]]:
        pairs = ((m, coding) for m in self.measurements for coding in m.concept.codings)
        return _grouped(((coding.system, coding.code), m) for m, coding in pairs)

    def __iter__(self) -> Iterator[Record]:
        return iter(self.records)

    def __len__(self) -> int:
        return len(self.records)


_RANK = {"registered": -2, "preliminary": -1, "amended": 1, "corrected": 1}


def in_time(record: Record) -> tuple[object, ...]:
    """Return the key that sorts facts by time; of results of the same time the corrected and later issued ones last."""
    if isinstance(record, Measurement):
        return (sort_key(record.time), _RANK.get(record.status, 0), sort_key(record.known))
    return (sort_key(record.time), 0, sort_key(None))


K = TypeVar("K")
V = TypeVar("V")


def _grouped(pairs: Iterable[tuple[K, V]]) -> dict[K, tuple[V, ...]]:
    groups: dict[K, list[V]] = defaultdict(list)
    for key, value in pairs:
        groups[key].append(value)
    return {key: tuple(values) for key, values in groups.items()}


def _version_at(versions: Sequence[Record], moment: datetime) -> list[Record]:
    """The components of the latest version that the server had by `moment`; none where that one is an error."""
    seen = [r for r in versions if (r.updated.by(moment) if r.updated else r.known_by(moment))]
    if not seen:
        return []
    last = in_versions([[each] for each in seen])[-1][0]
    group = [r for r in seen if r.version == last.version and r.updated == last.updated]
    return [] if group[0].status == "entered-in-error" else group


def in_versions(versions: Iterable[list[Record]]) -> list[list[Record]]:
    """Return versions of one resource in order, the one that counts last.

    By their times and numbers where all have them. One with neither (a copy out of an old file) counts as older, unless
    it is entered in error or a correction and the others are not: what was withdrawn is not believed.
    """
    found = list(versions)
    if not all(v[0].updated for v in found) and all(v[0].version for v in found):
        return sorted(found, key=lambda v: (version_key(v[0].version), _weight(v[0])))
    found.sort(key=lambda v: (sort_key(v[0].updated), version_key(v[0].version), _weight(v[0])))
    heaviest = max(_weight(v[0]) for v in found)
    if _weight(found[-1][0]) < heaviest:
        bare = [v for v in found if not v[0].updated and not v[0].version and _weight(v[0]) == heaviest]
        if bare:
            found = [v for v in found if v is not bare[-1]] + [bare[-1]]
    return found


def _weight(record: Record) -> int:
    if record.status == "entered-in-error" or getattr(record, "verification", "") == "entered-in-error":
        return 2
    return int(record.status in ("corrected", "amended"))


def version_key(version: str) -> tuple[int, str]:
    """Return the key that sorts versions: numbers by value, then the rest by their text."""
    return (int(version), "") if version.isascii() and version.isdigit() and len(version) < 19 else (-1, version)


def has_value(measurement: Measurement) -> bool:
    """Return whether a measurement states a value: a number, words or a code."""
    return measurement.value is not None or bool(measurement.said) or measurement.coded is not None
