"""From a call's data to its cards: the record, the orders that are being written, the rules."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from aris.errors import RecordError
from aris.records import Timeline
from aris.records.fhir import timelines_of
from aris.service.cds_hooks.cards import card_of
from aris.service.cds_hooks.problems import HookError
from aris.service.cds_hooks.requests import HookRequest
from aris.service.cds_hooks.services import Service
from aris.tasks.monitor import Flag, RuleSet, flags_now

_MOST_CARDS = 20
_ENDS = ("cancelled", "stopped", "revoked", "completed", "entered-in-error")
_OF_THE_TIME = ("dispenseRequest", "dosageInstruction", "meta", "occurrenceDateTime", "occurrencePeriod")


def cards(
    service: Service, request: HookRequest, resources: list[dict[str, Any]], rules: RuleSet, workspace_url: str | None,
    now: datetime | None = None,
) -> list[tuple[dict[str, Any], Flag]]:  # fmt: skip
    """Return the cards of a call, each with its flag, the most severe first.

    Raises:
        HookError: 400, the resources are not FHIR R4, or another patient's.
    """
    now = now or datetime.now(UTC)
    drafts = _drafts(service, request, now)
    record = _record([*resources, *_substances(request), *drafts], request.context.patient)
    used = RuleSet({rule.id: rule for rule in rules if service.uses(rule)})
    flags: Iterable[Flag] = flags_now(record, now, used)
    ids = [f"{each['resourceType']}/{each['id']}" for each in drafts]
    if service.of_orders:
        # The orders that are selected, beside the record and beside the others that are being written.
        ids = _selected(service, request, ids)
        flags = [each for each in flags if any(id in ids for id in each.resources)]
    return [(card_of(flag, request.instance, ids, workspace_url), flag) for flag in list(flags)[:_MOST_CARDS]]


def _record(resources: list[dict[str, Any]], patient: str) -> Timeline:
    persons = {each.get("id") for each in _all(resources) if each.get("resourceType") == "Patient"}
    if persons and patient not in persons:
        raise HookError(400, "prefetch holds another patient than the context names")
    try:
        found = timelines_of(resources, source="the request")
    except RecordError as error:
        raise HookError(400, str(error)) from None
    for each in found:
        if each.patient.id == f"Patient/{patient}":
            return each
    if len(found) == 1 and not found[0].patient.id:
        return found[0]
    raise HookError(400, "prefetch holds another patient than the context names")


def _all(resources: list[dict[str, Any]]) -> Iterable[dict[str, Any]]:
    for each in resources:
        if each.get("resourceType") == "Bundle":
            entries = each.get("entry")
            for entry in entries if isinstance(entries, list) else ():
                if isinstance(entry, dict) and isinstance(entry.get("resource"), dict):
                    yield entry["resource"]
        else:
            yield each


def _selected(service: Service, request: HookRequest, ids: list[str]) -> list[str]:
    """The ids of the orders that a call is about; of all, where it selects none of them."""
    selected = {each.rpartition("/")[2] for each in request.context.selections}
    chosen = [id for id in ids if id.rpartition("/")[2] in selected]
    return chosen if chosen and service.hook == "order-select" else ids


def _substances(request: HookRequest) -> list[dict[str, Any]]:
    """The drugs that draft orders refer to, where the client sends them beside the orders."""
    drafts = request.context.draft_orders
    return [] if drafts is None else [each for each in _all([drafts]) if each.get("resourceType") == "Medication"]


def _drafts(service: Service, request: HookRequest, now: datetime) -> list[dict[str, Any]]:
    """The orders that are being written, as if they stood from now on."""
    if not service.of_orders or request.context.draft_orders is None:
        return []
    found = []
    for number, order in enumerate(_all([request.context.draft_orders]), 1):
        kind = order.get("resourceType")
        if not isinstance(kind, str) or kind not in ("MedicationRequest", "ServiceRequest"):
            continue
        if order.get("status") in _ENDS:  # it is being stopped, not begun
            continue
        id = order.get("id") if isinstance(order.get("id"), str) else f"draft-{number}"
        moment = now.isoformat(timespec="seconds")
        # A draft's own dates may lie ahead, or be left from a copied order.
        kept = {key: value for key, value in order.items() if key not in _OF_THE_TIME}
        found.append(
            {**kept, "id": id, "status": "active", "intent": "order", "authoredOn": moment,
             "subject": {"reference": f"Patient/{request.context.patient}"}}
        )  # fmt: skip
    return found
