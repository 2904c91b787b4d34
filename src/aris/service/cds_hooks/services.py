"""The services that are offered, and the data that each needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aris.tasks.monitor import Rule

_PATIENT = "{{context.patientId}}"
# CDS Hooks 2.0, "Prefetch query restrictions": reads, and searches by reference, token, _count and _sort.
_DATA = {
    "patient": f"Patient/{_PATIENT}",
    "conditions": f"Condition?patient={_PATIENT}",
    "observations": f"Observation?patient={_PATIENT}&_sort=-date&_count=500",
    "medications": f"MedicationRequest?patient={_PATIENT}&status=active",
    "allergies": f"AllergyIntolerance?patient={_PATIENT}",
}
_MORE = {
    "procedures": f"Procedure?patient={_PATIENT}",
    "orders": f"ServiceRequest?patient={_PATIENT}&status=active",
    "reports": f"DiagnosticReport?patient={_PATIENT}&_sort=-date&_count=100",
}
_ORDER_CHECKS = ("together", "drug pair", "drug allergy")


@dataclass(frozen=True)
class Service:
    """A service.

    Attributes:
        id, hook, title, description: as they are offered.
        prefetch: templates by key.
        of_orders: only flags that rest on an order that is being written become cards.
    """

    id: str
    hook: str
    title: str
    description: str
    prefetch: dict[str, str]
    of_orders: bool

    def offered(self) -> dict[str, Any]:
        """The service as discovery gives it."""
        return {
            "hook": self.hook, "id": self.id, "title": self.title, "description": self.description,
            "prefetch": self.prefetch,
            "usageRequirements": "Needs the FHIR R4 resources of its prefetch templates, by prefetch or by fhirServer.",
        }  # fmt: skip

    def uses(self, rule: Rule) -> bool:
        """Tell whether a rule is judged by this service."""
        return not self.of_orders or rule.check.kind in _ORDER_CHECKS

    def paths(self, patient: str) -> dict[str, str]:
        """The relative addresses of its data, for a patient."""
        return {key: template.replace(_PATIENT, patient) for key, template in self.prefetch.items()}


SERVICES = {
    each.id: each
    for each in (
        Service(
            "aris-patient-view", "patient-view", "Aris: risks in the record",
            "Early warning, kidney injury, laboratory alarms, drugs and overdue follow-up, by sourced rules.",
            {**_DATA, **_MORE}, of_orders=False,
        ),
        Service(
            "aris-order-select", "order-select", "Aris: risks of a selected order",
            "The selected orders against kidney function, potassium, other drugs and allergies, by sourced rules.",
            _DATA, of_orders=True,
        ),
        Service(
            "aris-order-sign", "order-sign", "Aris: risks of orders before they are signed",
            "The orders against kidney function, potassium, other drugs and allergies, by rules with their sources.",
            _DATA, of_orders=True,
        ),
    )
}  # fmt: skip
