"""A patient's record from a live FHIR server: one search for each type of resource, all pages of each."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

from aris.errors import RecordError
from aris.records.fhir.assembling import Assembly
from aris.records.fhir.client import FhirClient
from aris.records.fhir.json_parts import Page, Part, as_resource, as_utf8, parts_of
from aris.records.timeline import Timeline
from aris.records.types import Problem

# What a summary and the rules read, each searched by its `patient` parameter (FHIR R4, search parameters).
TYPES = (
    "Encounter", "Condition", "AllergyIntolerance", "MedicationRequest", "MedicationStatement",
    "MedicationAdministration", "MedicationDispense", "Procedure", "Immunization", "Observation", "DiagnosticReport",
    "ImagingStudy", "DocumentReference", "Composition", "ClinicalImpression", "ServiceRequest", "CarePlan", "Goal",
    "FamilyMemberHistory", "Appointment", "Communication",
)  # fmt: skip
_MEDICATIONS = ("MedicationRequest", "MedicationStatement", "MedicationAdministration", "MedicationDispense")
_COUNT = 200
_PAGES = 10_000
_PATIENT = re.compile(r"(?P<base>https?://.+?)/Patient/(?P<id>[A-Za-z0-9\-.]{1,64})/?")


def read_server(url: str, *, token: str | None = None, patient: str | None = None) -> list[Timeline]:
    """Read a patient's record from a FHIR R4 server.

    Args:
        url: the patient's address ("https://host/fhir/Patient/123"), or the server's with `patient`.
        token: the bearer token.
        patient: the patient's id, where the address does not name it.

    Raises:
        RecordError: the server cannot be reached, refuses, is of another FHIR version, or a page cannot be read: then
            there is no record, not a shorter one.
    """
    base, id_ = named_patient(url, patient)
    with FhirClient(base, token) as client:
        return ServerReading(client, id_).timelines()


def named_patient(url: str, patient: str | None = None) -> tuple[str, str]:
    """Return a server's base address and the id of the patient that an address names.

    Raises:
        RecordError: none is named.
    """
    found = _PATIENT.fullmatch(url)
    if found is not None:
        return found["base"], found["id"]
    id_ = (patient or "").removeprefix("Patient/")
    if not re.fullmatch(r"[A-Za-z0-9\-.]{1,64}", id_):
        raise RecordError("a server's record is one patient's: give the address as https://HOST/fhir/Patient/ID")
    return url.partition("?")[0].rstrip("/"), id_


def offered_types(client: FhirClient) -> frozenset[str] | None:
    """Return the types that a server says it can search; `None` where it does not say.

    Raises:
        RecordError: it cannot be reached, or is of another FHIR version.
    """
    body = client.get(f"{client.base}/metadata", "its capabilities", missing=True)
    if body is None:
        return None
    statement = as_resource(as_utf8(body, "metadata"), f"{client.base}/metadata")
    version = statement.get("fhirVersion")
    if isinstance(version, str) and not version.startswith(("4.0", "4.1", "4.3")):
        raise RecordError(f"{client.base}: this server speaks FHIR {version[:12]}; Aris reads R4 (4.0.1)")
    kinds: set[str] = set()
    for rest in _objects(statement.get("rest")):
        for each in _objects(rest.get("resource")):
            actions = {a.get("code") for a in _objects(each.get("interaction"))}
            if isinstance(each.get("type"), str) and (not actions or "search-type" in actions):
                kinds.add(each["type"])
    return frozenset(kinds) or None


class ServerReading:
    """Reads one patient's record from one server."""

    def __init__(self, client: FhirClient, patient: str) -> None:
        self._client = client
        self._patient = patient
        self._assembly = Assembly()

    def timelines(self) -> list[Timeline]:
        """Read everything; errors as `read_server`."""
        base = self._client.base
        offered = offered_types(self._client)
        self._take(self._json(f"{base}/Patient/{quote(self._patient)}", "patient of that id"), "Patient")
        if [(p.head.resourceType, p.head.id) for p in self._assembly.parts] != [("Patient", self._patient)]:
            raise RecordError(f"{base}: the server's Patient is not the one that was asked for")
        for kind in TYPES:
            if offered is None or kind in offered:
                self._search(kind, sure=offered is not None)
        self._medications()
        found = self._assembly.timelines((base,))
        # The server was asked for one patient; what it gives of others is not this record's.
        own = [each for each in found if each.patient.id == f"Patient/{self._patient}"]
        if not own:
            raise RecordError(
                f"{base}: the server says that another Patient replaced this one; give the address of that one"
            )
        return own

    def _search(self, kind: str, *, sure: bool) -> None:
        given: list[tuple[str, Any]] = [("patient", f"Patient/{self._patient}"), ("_count", _COUNT)]
        if kind in _MEDICATIONS:
            given.append(("_include", f"{kind}:medication"))
        url = f"{self._client.base}/{kind}?{urlencode(given, safe='/:')}"
        seen: set[str] = set()
        matches, total = 0, None
        while url:
            if url in seen or len(seen) >= _PAGES:
                raise RecordError(f"{self._client.base}: the pages of {kind} go in a circle; the record is not whole")
            seen.add(url)
            body = self._client.get(url, f"{kind}, page {len(seen)}", missing=not sure and len(seen) == 1)
            if body is None:
                self._assembly.problems.append(Problem(self._client.base, f"it offers no {kind}"))
                return
            page = self._take(body, f"{kind} page {len(seen)}")
            if page is None:
                raise RecordError(f"{self._client.base}: the answer to a search of {kind} is no Bundle")
            matches += page.matches
            total = page.total if total is None else total
            url = self._client.absolute(page.next, url) if page.next else ""
        if total is not None and matches < total:
            raise RecordError(
                f"{self._client.base}: the server counts {total} of {kind} and gave {matches}; the record is not whole"
            )

    def _medications(self) -> None:
        """Read the Medication resources that are referred to and were not given along."""
        wanted: set[str] = set()
        for part in list(self._assembly.parts):
            if part.head.resourceType in _MEDICATIONS:
                reference = part.decode().get("medicationReference")
                target = reference.get("reference") if isinstance(reference, dict) else None
                if isinstance(target, str) and re.fullmatch(r"Medication/[A-Za-z0-9\-.]{1,64}", target):
                    wanted.add(target)
        have = {f"Medication/{p.head.id}" for p in self._assembly.parts if p.head.resourceType == "Medication"}
        for target in sorted(wanted - have):
            body = self._client.get(f"{self._client.base}/{target}", "a medication", missing=True)
            if body is not None:
                self._take(body, target)

    def _json(self, url: str, what: str) -> bytes:
        body = self._client.get(url, what)
        assert body is not None
        return body

    def _take(self, body: bytes, where: str) -> Page | None:
        """Add what an answer holds; its page, where it is a bundle.

        Raises:
            RecordError: it is damaged: an answer that cannot be read is no shorter record.
        """
        where = f"{self._client.base} {where}"
        first: list[Page] = []

        def watched() -> Iterator[Part | Page | RecordError]:
            for each in parts_of(as_utf8(body, where), where):
                if isinstance(each, RecordError):
                    raise RecordError(f"{each}; the record is not whole")
                if isinstance(each, Page):
                    first.append(each)
                yield each

        self._assembly.add(watched())
        return first[0] if first else None


def _objects(value: Any) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
