"""Resources become timelines, one for each patient: references resolved, versions and duplicates sorted out."""

from __future__ import annotations

import gc
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from aris.errors import RecordError
from aris.records.fhir.json_parts import Page, Part
from aris.records.fhir.resources.converters import ADMINISTRATIVE, SUPPORTING, listed, readers
from aris.records.fhir.resources.fields import Fields, Resource, good_id, one_line
from aris.records.fhir.resources.people import patient, same_person
from aris.records.fhir.resources.plain_observations import PlainObservations
from aris.records.fhir.resources.versions import R4_TYPES, other_version
from aris.records.timeline import Timeline, in_time, in_versions
from aris.records.types import (
    Allergy,
    Condition,
    Excluded,
    Immunization,
    Measurement,
    Patient,
    Problem,
    Record,
)
from aris.records.when import sort_key

_HEADLINE = 3  # other versions' signs that are named in a refusal


class Assembly:
    """Collects the resources of one record, whatever files or pages they lie in."""

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self.pages: list[Page] = []
        self.problems: list[Problem] = []
        self._ids: list[str] = []  # of each part
        self._urls: dict[str, str] = {}
        self._known: dict[str, int] = {}  # id -> the latest part with it
        self._numbers: dict[str, int] = defaultdict(int)
        self._identifiers: dict[str, str] = {}

    def add(self, found: Iterable[Part | Page | RecordError]) -> None:
        """Take what a file or page holds."""
        for each in found:
            if isinstance(each, Page):
                self.pages.append(each)
            elif isinstance(each, RecordError):
                where, _, what = str(each).partition(": ")
                self.problems.append(Problem(where, what or "it cannot be read"))
            else:
                self._add(each)

    def _add(self, part: Part) -> None:
        kind, given = str(part.head.resourceType), part.head.id
        if isinstance(given, str) and given:
            id_ = good_id(given)
            if id_ != given:
                self.problems.append(Problem(f"{kind}/{id_}", "its id has characters that FHIR does not allow"))
        else:
            tail = part.url.rpartition("/")[2] if "/" in part.url else part.url.rpartition(":")[2]
            id_ = good_id(tail)
            if not id_:
                self._numbers[kind] += 1
                id_ = f"unnamed-{self._numbers[kind]}"
                if kind not in ADMINISTRATIVE:
                    self.problems.append(Problem(f"{kind}/{id_}", "it has no id; it was given one here"))
        name = f"{kind}/{id_}"
        self._known[name] = len(self.parts)
        if part.url:
            self._urls[_without_version(part.url)] = name
        self.parts.append(part)
        self._ids.append(name)

    def named(self) -> Iterable[tuple[str, Part]]:
        """Every resource with the id that it is cited by."""
        return zip(self._ids, self.parts, strict=True)

    def resolve(self, reference: str) -> str:
        """The id that a reference leads to: by full URL, by "Type/id", by the end of a URL, by an identifier."""
        target = _without_version(reference)
        found = self._urls.get(target)
        if found is not None:
            return found
        if target in self._known:
            return target
        if "?identifier=" in target:
            return self._identifiers.get(target.rpartition("identifier=")[2], target)
        pieces = target.split("/")
        if len(pieces) > 2 and f"{pieces[-2]}/{pieces[-1]}" in self._known:
            return f"{pieces[-2]}/{pieces[-1]}"
        if len(pieces) > 2 and pieces[-2].isalpha():
            return f"{pieces[-2]}/{pieces[-1]}"
        return target

    def timelines(self, sources: tuple[str, ...]) -> list[Timeline]:
        """Convert what was collected; a timeline for each patient, in the order of their ids.

        Raises:
            RecordError: there is no resource, or most of them are of another FHIR version.
        """
        if not self.parts:
            if self.problems:
                first, more = self.problems[0], len(self.problems) - 1
                raise RecordError(f"{first}" + (f" (and {more} more problems)" if more else ""))
            raise RecordError(f"{_named(sources)}: there is no FHIR resource in it")
        # Nothing here is a cycle, and the collector would look at every fact again and again: a third of the time.
        collecting = gc.isenabled()
        gc.disable()
        try:
            return self._timelines(sources)
        finally:
            if collecting:
                gc.enable()

    def _timelines(self, sources: tuple[str, ...]) -> list[Timeline]:
        fields = Fields(self.resolve, self.problems)
        patients, same = self._patients(fields)
        fields.people = patients
        records, outcomes, strange = self._convert(fields)
        if strange and len(strange) >= len(records):
            signs = "; ".join(list(dict.fromkeys(strange))[:_HEADLINE])
            raise RecordError(f"{_named(sources)}: this is not FHIR R4 ({signs}); convert it to R4 first")
        self.problems.extend(outcomes)
        return self._by_patient(records, patients, same, sources)

    def _patients(self, f: Fields) -> tuple[dict[str, Patient], dict[str, str]]:
        """(the patients by id, for each id the id of the person that it is)."""
        patients: dict[str, Patient] = {}
        same: dict[str, str] = {}
        read: list[tuple[str, Resource]] = []
        for number, part in enumerate(self.parts):
            if part.head.resourceType != "Patient" or part.deleted or self._known[self._ids[number]] != number:
                continue
            f.id = self._ids[number]
            try:
                r = part.decode()
            except RecordError as error:
                f.odd(str(error).partition(": ")[2])
                continue
            patients[f.id] = found = patient(f, r, part.where)
            for system, value in found.identifiers:
                self._identifiers[f"{system}|{value}"] = f.id
            read.append((f.id, r))
        for id_, r in read:
            f.id = id_
            for other in same_person(f, r):
                ends = sorted((_root(same, id_), _root(same, other)))
                # The record in use stays: the one that is not replaced.
                replaced = any(f.text(each, "type") == "replaced-by" for each in f.objects(r, "link"))
                keep = _root(same, other) if replaced else _root(same, id_)
                for end in ends:
                    if end != keep:
                        same[end] = keep
        return patients, same

    def _convert(self, f: Fields) -> tuple[list[Record], list[Problem], list[str]]:
        """(all facts, what the server said of its own answer, the signs of other FHIR versions)."""
        supporting: dict[str, Resource | None] = {}

        def look_up(id_: str) -> Resource | None:
            if "#" in id_:
                return f.contained.get(id_.partition("#")[2])
            if id_ not in supporting:
                number = self._known.get(id_)
                wanted = number is not None and self.parts[number].head.resourceType in SUPPORTING
                try:
                    supporting[id_] = self.parts[number].decode() if wanted and number is not None else None
                except RecordError:
                    supporting[id_] = None
            return supporting[id_]

        by_type = readers(look_up)
        plain = PlainObservations(f)
        records: list[Record] = []
        outcomes: list[Problem] = []
        strange: list[str] = []
        for part, id_ in zip(self.parts, self._ids, strict=True):
            kind = str(part.head.resourceType)
            if (kind in ADMINISTRATIVE and kind != "OperationOutcome") or part.deleted:
                continue
            if kind == "Observation" and (quick := plain.read(part.raw, id_, part.where)) is not None:
                records.append(quick)
                continue
            f.id = id_
            read = by_type.get(kind)
            try:
                r = part.decode() if read or kind == "OperationOutcome" else part.decode_listed()
            except RecordError as error:
                f.odd(str(error).partition(": ")[2])
                continue
            if kind == "OperationOutcome":
                outcomes += _outcome(f, r, part.where)
                continue
            sign = other_version(r)
            if sign:
                strange.append(sign)
                f.odd(f"it is not FHIR R4 ({sign}); it was not read")
                continue
            if kind not in R4_TYPES:
                f.odd("it is no resource type of FHIR R4; it was not read")
                continue
            if read is None:
                records += (_sourced(each, part.where) for each in listed(f, r))
                continue
            inner = r.get("contained")
            f.contained = _contained(inner) if isinstance(inner, list) else {}
            records += (_sourced(each, part.where) for each in read(f, r))
            for name, each in f.contained.items():
                inner_kind = each.get("resourceType")
                if inner_kind in by_type:
                    f.id = f"{id_}#{name}"
                    records += (_sourced(e, part.where) for e in by_type[str(inner_kind)](f, each))
            f.contained = {}
        return records, outcomes, strange

    def _by_patient(
        self, records: list[Record], patients: dict[str, Patient], same: dict[str, str], sources: tuple[str, ...]
    ) -> list[Timeline]:
        deleted = {id_ for part, id_ in zip(self.parts, self._ids, strict=True) if part.deleted}
        people = {_root(same, id_) for id_ in patients}
        groups: dict[str, list[Record]] = defaultdict(list)
        nobody: list[Record] = []
        for record in records:
            owner = _root(same, record.patient)
            if owner.startswith("Patient/") or (owner.startswith(("urn:", "http")) and owner):
                groups[owner].append(record)
            elif not owner:
                nobody.append(record)
            elif "identifier=" in owner:
                why = "it names its patient by an identifier that is not here; left out"
                self.problems.append(Problem(record.id, why))
            else:
                kind = one_line(owner.partition("/")[0])[:40]
                self.problems.append(Problem(record.id, f"it is about no patient ({kind}); left out"))
        owners = sorted(people | set(groups))
        if not owners:
            owners = [""]
        if nobody and len(owners) == 1:
            groups[owners[0]] += nobody
            if owners != [""]:
                self.problems += [Problem(r.id, "it names no patient; taken as this record's") for r in nobody]
        elif nobody:
            self.problems += [Problem(r.id, "it names no patient, and several are here; left out") for r in nobody]
        known = {_root(same, id_): replace(found, id=_root(same, id_)) for id_, found in patients.items()}
        known |= patients  # of a person whose record in use is not here, the replaced one says who it is
        return [
            _timeline(known.get(o, Patient(id=o)), groups[o], deleted, tuple(self.problems), sources) for o in owners
        ]


def _timeline(
    person: Patient, records: list[Record], deleted: set[str], problems: tuple[Problem, ...], sources: tuple[str, ...]
) -> Timeline:
    kept, excluded, more = _latest_versions(records)
    good: list[Record] = []
    seen: dict[tuple[object, ...], str] = {}
    panels: dict[str, list[object]] = defaultdict(list)
    for record in kept:
        if isinstance(record, Measurement) and record.component is not None:
            panels[record.id].append(_component(record))
    # Of two copies the one that was known first is kept: earlier moments know of it.
    for record in sorted(kept, key=_first_known):
        if record.id in deleted:
            excluded.append(Excluded(record, "deleted on the server"))
        elif record.status == "entered-in-error" or getattr(record, "verification", "") == "entered-in-error":
            excluded.append(Excluded(record, "entered in error"))
        elif (key := _content(record, panels)) is not None and seen.setdefault(key, record.id) != record.id:
            excluded.append(Excluded(record, f"duplicate of {seen[key]}"))
        else:
            good.append(record)
    good.sort(key=in_time)
    return Timeline(person, tuple(good), tuple(excluded), (*problems, *more), sources=sources)


def _latest_versions(records: list[Record]) -> tuple[list[Record], list[Excluded], list[Problem]]:
    """(the facts of the latest version of each resource, the others, what was contradictory)."""
    by_id: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        by_id[record.id].append(record)
    kept: list[Record] = []
    excluded: list[Excluded] = []
    problems: list[Problem] = []
    for id_, group in by_id.items():
        if len(group) == 1:
            kept += group
            continue
        versions: dict[tuple[str, str, str], list[Record]] = defaultdict(list)
        for each in group:
            versions[(each.version, each.updated.text if each.updated else "", each.source)].append(each)
        if len(versions) == 1:
            kept += group
            continue
        order = in_versions(versions.values())
        last = order[-1]
        marked = [v for v in order if v[0].updated or v[0].version]
        if 0 < len(marked) < len(order):
            counts = "the one without counts" if last not in marked else "one with it counts"
            problems.append(Problem(id_, f"it is here with and without a version or its time; {counts}"))
        kept += last
        for older in order[:-1]:
            if [replace(r, source="") for r in older] == [replace(r, source="") for r in last]:
                excluded += [Excluded(r, f"duplicate of {id_}") for r in older]
                continue
            excluded += [Excluded(r, f"superseded by {_version(last[0])}") for r in older]
            if (older[0].version, older[0].updated) == (last[0].version, last[0].updated):
                problems.append(Problem(id_, "it is here twice with different contents; the one read last counts"))
    return kept, excluded, problems


def _version(record: Record) -> str:
    if record.version:
        return f"version {record.version}"
    return f"a version of {record.updated.day}" if record.updated else "a later copy"


def _first_known(record: Record) -> tuple[object, ...]:
    return sort_key(record.known)


def _component(record: Measurement) -> tuple[object, ...]:
    codes = tuple((c.system, c.code) for c in record.concept.codings) or record.concept.text
    return codes, record.value, record.comparator, record.unit, record.said, record.absent_reason


def _content(record: Record, panels: Mapping[str, Sequence[object]]) -> tuple[object, ...] | None:
    """Return the content that makes two facts the same; `None` where repeating is no duplicate.

    A component is a copy only where its whole observation is: 120/80 is no copy of 160/80.
    """
    codes = tuple((c.system, c.code) for c in record.concept.codings) or record.concept.text
    if isinstance(record, Measurement):
        if record.time is None or (record.value is None and not record.said):
            return None
        return (
            "measurement", codes, record.time.start, record.value, record.comparator, record.unit, record.said,
            record.status, record.specimen, record.method, record.site, record.component, record.panel,
            record.id.partition("/")[2] if record.component is not None and not record.panel else "",
            () if record.component is None else tuple(panels.get(record.id, ())),
        )  # fmt: skip
    if isinstance(record, Immunization):
        return None if record.time is None else ("immunization", codes, record.time.start, record.status)
    if isinstance(record, Condition):
        return (
            None
            if record.time is None
            else ("condition", codes, record.time.text, record.end, record.status, record.verification, record.sites)
        )
    if isinstance(record, Allergy):
        return ("allergy", codes, record.status, record.verification, record.criticality, record.reactions, record.time)
    return None


def _contained(inner: list[object]) -> dict[str, Resource]:
    return {
        good_id(each["id"]): each for each in inner if isinstance(each, dict) and isinstance(each.get("id"), str)
    }


def _sourced(record: Record, where: str) -> Record:
    object.__setattr__(record, "source", where)  # it was just made, and nobody else has it yet
    return record


def _outcome(f: Fields, r: Resource, where: str) -> list[Problem]:
    """Return the errors and warnings that a server gave with its answer."""
    found = []
    for each in f.objects(r, "issue"):
        if f.text(each, "severity") in ("error", "fatal", "warning"):
            code = f.text(each, "code") or "unknown"
            found.append(Problem(where, f"the server said: {f.text(each, 'severity')} ({code[:60]})"))
    return found


def _root(same: dict[str, str], id_: str) -> str:
    seen = set()
    while id_ in same and id_ not in seen:
        seen.add(id_)
        id_ = same[id_]
    return id_


def _without_version(reference: str) -> str:
    return reference.partition("/_history/")[0].rstrip("/")


def _named(sources: tuple[str, ...]) -> str:
    return sources[0] if len(sources) == 1 else f"{len(sources)} files" if sources else "the record"
