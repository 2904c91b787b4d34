"""The readers of all resource types, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from aris.records.fhir.resources import clinical, documents, medications, observations
from aris.records.fhir.resources.fields import Fields, Resource
from aris.records.types import Record

Reader = Callable[[Fields, Resource], Iterator[Record]]

_READERS: dict[str, Reader] = {
    "Encounter": clinical.encounter,
    "Condition": clinical.condition,
    "AllergyIntolerance": clinical.allergy,
    "Procedure": clinical.procedure,
    "Immunization": clinical.immunization,
    "FamilyMemberHistory": clinical.family_history,
    "Observation": observations.observation,
    "DiagnosticReport": documents.report,
    "ImagingStudy": documents.imaging_study,
    "DocumentReference": documents.document,
    "Composition": documents.composition,
    "ClinicalImpression": documents.impression,
    "Communication": documents.communication,
    "ServiceRequest": documents.order,
    "DeviceRequest": documents.order,
    "Appointment": documents.appointment,
    "Task": documents.task,
    "CarePlan": documents.care_plan,
    "Goal": documents.goal,
}
# Read only where another resource refers to them.
SUPPORTING = frozenset(("Medication", "Substance"))
# About nobody: never facts of a record.
ADMINISTRATIVE = frozenset((
    "Patient", "Practitioner", "PractitionerRole", "Organization", "Location", "HealthcareService", "Endpoint",
    "RelatedPerson", "Person", "Group", "Device", "Specimen", "Binary", "Provenance", "AuditEvent", "Medication",
    "Substance", "OperationOutcome",
))  # fmt: skip


def readers(look_up: medications.Lookup) -> dict[str, Reader]:
    """Return the reader of each type that is read further; all others are only listed (`documents.other`)."""
    return {**_READERS, **medications.readers(look_up)}


listed = documents.other
