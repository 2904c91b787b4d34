"""Subscription resources at a FHIR R4 server: made, renewed and taken away for one watch of one patient.

R4's Subscription (https://hl7.org/fhir/R4/subscription.html) has one search each, so each type of resource that the
rules read has one of its own. A server tells neither of deletions nor of what no longer fits the search, may end a
Subscription after errors, and may lose notifications: that is why a poll stands behind them.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlencode

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from aris.errors import ArisError, RecordError
from aris.flow.monitoring.notifications import Secrets
from aris.private import write_private
from aris.records.fhir.client import FhirClient
from aris.records.fhir.server import offered_types

# Types that rules read.
WATCHED = (
    "Observation", "Condition", "AllergyIntolerance", "MedicationRequest", "MedicationStatement",
    "MedicationAdministration", "Procedure", "DiagnosticReport", "DocumentReference", "ServiceRequest", "Encounter",
)  # fmt: skip
LIFETIME = timedelta(days=1)
_DEAD = ("error", "off", "entered-in-error")
_WATCH = {"base", "patient", "address", "payload"}
_GONE = (404, 410)
_FORMAT: Literal["aris-monitor-subscription"] = "aris-monitor-subscription"


class Kept(BaseModel):
    """Secrets and ids of a watch's Subscriptions; the file lies beside the state, for its owner alone.

    Attributes:
        base, patient, address, payload: whom it is for, and the address that the server calls.
        path, token: the secrets.
        ids: of the Subscriptions, by type.
    """

    model_config = ConfigDict(extra="forbid")

    format: Literal["aris-monitor-subscription"] = _FORMAT
    base: str
    patient: str
    address: str
    payload: bool
    path: str
    token: str
    ids: dict[str, str] = Field(default_factory=dict)


class Subscriptions:
    """The Subscriptions of one watch.

    Args:
        client: of the server; it stays the caller's.
        patient: the patient's id there.
        address: under which the server reaches us; the secret path comes after it.
        file: keeps the secrets and the ids, so that a restart goes on with the same ones.
        payload: ask for the resource along with each notification, as some servers want it. It is not read.
        now: the present.

    Raises:
        ArisError: the file cannot be read or written.
    """

    def __init__(
        self, client: FhirClient, patient: str, address: str, file: Path, *, payload: bool = False,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:  # fmt: skip
        self._client = client
        self._file = file
        self._now = now
        self._offered: frozenset[str] | None = None
        self._asked = False
        self.active = False
        self._before = _read(file)
        fresh = Secrets.new()
        self.kept = Kept(
            base=client.base, patient=patient, address=address.rstrip("/"), payload=payload, path=fresh.path,
            token=fresh.token,
        )  # fmt: skip
        if self._before is not None and _same_watch(self._before, self.kept):
            self.kept, self._before = self._before, None

    @property
    def secrets(self) -> Secrets:
        """Secrets that notifications must have."""
        return Secrets(self.kept.path, self.kept.token)

    @property
    def endpoint(self) -> str:
        """The address that the server calls."""
        return f"{self.kept.address}/{self.kept.path}"

    def ensure(self) -> list[str]:
        """See that each type has one Subscription that lives; return what speaks against being told in time.

        Raises:
            RecordError: the server cannot be reached, or refuses.
            ArisError: the file cannot be written.
        """
        self.active = False
        if self._before is not None and self._before.base == self.kept.base:  # of another address or patient
            self._take_away(self._before)
        self._before = None
        self._keep()
        if not self._asked:
            self._offered = offered_types(self._client)
            self._asked = True
        kinds = [each for each in WATCHED if self._offered is None or each in self._offered]
        there = self._there()
        problems: list[str] = []
        waiting = 0
        for kind in kinds:
            of_kind = sorted(there.get(kind, []), key=lambda each: str(each.get("id")))
            for surplus in of_kind[1:]:  # made twice: an answer was lost
                self._delete(str(surplus["id"]))
            found = of_kind[0] if of_kind else None
            try:
                found = self._renewed(kind, found)
            except RecordError as error:
                problems.append(str(error))
                if not self.kept.ids:  # the server has no Subscriptions for us: the other types need not be tried
                    break
                continue
            if found.get("status") in _DEAD:
                problems.append(
                    f"{self.kept.base}: Subscription/{found.get('id')} ({kind}) is {found.get('status')}; its `error` "
                    "at the server may say why; the record is polled"
                )
            waiting += found.get("status") == "requested"
        self._keep()
        self.active = not problems and not waiting
        return problems

    def remove(self) -> int:
        """Take all of this watch's away; return how many.

        Raises:
            RecordError: the server cannot be reached, or refuses: they end by themselves within a day.
            ArisError: the file cannot be written.
        """
        count = self._take_away(self.kept)
        if self._before is not None and self._before.base == self.kept.base:
            count += self._take_away(self._before)
        self.kept = self.kept.model_copy(update={"ids": {}})
        self._keep()
        return count

    def _take_away(self, kept: Kept) -> int:
        ids = set(kept.ids.values())
        ids |= {str(each["id"]) for group in self._search(kept).values() for each in group}
        for id_ in sorted(ids):
            self._delete(id_)
        return len(ids)

    def _there(self) -> dict[str, list[dict[str, Any]]]:
        """The Subscriptions that the server has of this watch, by type."""
        found = self._search(self.kept)
        have = {str(each["id"]) for group in found.values() for each in group}
        for kind, id_ in self.kept.ids.items():
            if id_ not in have:  # a server that cannot search them, or not yet finds it
                body = self._client.get(f"{self.kept.base}/Subscription/{id_}", "a Subscription", missing=True)
                resource = _object(body)
                if resource is not None and _of(resource, self.kept) == kind:
                    found[kind].append(resource)
        return found

    def _search(self, kept: Kept) -> defaultdict[str, list[dict[str, Any]]]:
        """Subscriptions that a search by the secret address finds; a server that cannot search them finds none."""
        found: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        query = urlencode({"url": f"{kept.address}/{kept.path}", "_count": 200})
        try:
            bundle = _object(self._client.get(f"{kept.base}/Subscription?{query}", "Subscriptions", missing=True))
        except RecordError:
            return found
        entries = (bundle or {}).get("entry")
        for entry in entries if isinstance(entries, list) else []:
            resource = entry.get("resource") if isinstance(entry, dict) else None
            if isinstance(resource, dict) and (kind := _of(resource, kept)) is not None:
                found[kind].append(resource)
        return found

    def _renewed(self, kind: str, found: dict[str, Any] | None) -> dict[str, Any]:
        """A Subscription of a type: made where there is none, renewed where it is dead or soon ends."""
        now = self._now()
        resource = self._resource(kind, now + LIFETIME)
        if found is None:
            answer = self._client.send("POST", f"{self.kept.base}/Subscription", f"a Subscription to {kind}",
                                       _bytes(resource))  # fmt: skip
            made = _object(answer.body) or {}
            id_ = made.get("id") if isinstance(made.get("id"), str) else _id_in(answer.location)
            if not id_:
                raise RecordError(f"{self.kept.base}: the server gave a Subscription no id; the record is polled")
            self.kept.ids[kind] = str(id_)
            self._keep()
            return {**resource, **made, "id": id_}
        id_ = str(found["id"])
        self.kept.ids[kind] = id_
        if found.get("status") not in _DEAD and not _ends_before(found, now + LIFETIME / 2):
            return found
        answer = self._client.send("PUT", f"{self.kept.base}/Subscription/{id_}", f"a Subscription to {kind}",
                                   _bytes({**resource, "id": id_}))  # fmt: skip
        return {**resource, **(_object(answer.body) or {}), "id": id_}

    def _resource(self, kind: str, end: datetime) -> dict[str, Any]:
        channel: dict[str, Any] = {
            "type": "rest-hook", "endpoint": self.endpoint, "header": [f"Authorization: Bearer {self.kept.token}"],
        }  # fmt: skip
        if self.kept.payload:
            channel["payload"] = "application/fhir+json"
        return {
            "resourceType": "Subscription", "status": "requested", "end": end.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "reason": "Aris monitor: read the record again when it grows",
            "criteria": _criteria(kind, self.kept.patient), "channel": channel,
        }  # fmt: skip

    def _delete(self, id_: str) -> None:
        self._client.send("DELETE", f"{self.kept.base}/Subscription/{id_}", "a Subscription", allowed=_GONE)

    def _keep(self) -> None:
        try:
            write_private(self._file, self.kept.model_dump_json().encode())
        except OSError as error:
            raise ArisError(f"{self._file}: it cannot be written ({error.strerror or error})") from None


def address_kept(file: Path) -> str | None:
    """Return the address that a watch was notified at; `None` where it never subscribed. Errors as `Subscriptions`."""
    kept = _read(file)
    return None if kept is None else kept.address


def _criteria(kind: str, patient: str) -> str:
    return f"{kind}?patient=Patient/{patient}"


def _of(resource: dict[str, Any], kept: Kept) -> str | None:
    """The type that a Subscription is of, if it is one of this watch's."""
    channel = resource.get("channel")
    ours = isinstance(channel, dict) and channel.get("endpoint") == f"{kept.address}/{kept.path}"
    if resource.get("resourceType") != "Subscription" or not ours or not isinstance(resource.get("id"), str):
        return None
    return next((kind for kind in WATCHED if resource.get("criteria") == _criteria(kind, kept.patient)), None)


def _ends_before(resource: dict[str, Any], moment: datetime) -> bool:
    """Tell whether it ends before a moment; one without an end does not."""
    end = resource.get("end")
    if not isinstance(end, str):
        return False
    try:
        found = datetime.fromisoformat(end)
    except ValueError:
        return True
    return (found if found.tzinfo is not None else found.replace(tzinfo=UTC)) < moment


def _same_watch(one: Kept, other: Kept) -> bool:
    return one.model_dump(include=_WATCH) == other.model_dump(include=_WATCH)


def _id_in(location: str) -> str:
    """The id in the address of what was created ("https://host/fhir/Subscription/12/_history/1")."""
    steps = location.partition("/_history")[0].rstrip("/").split("/")
    return steps[-1] if len(steps) > 1 and steps[-2] == "Subscription" else ""


def _object(body: bytes | None) -> dict[str, Any] | None:
    try:
        found = json.loads(body or b"null")
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _bytes(resource: dict[str, Any]) -> bytes:
    return json.dumps(resource).encode()


def _read(file: Path) -> Kept | None:
    try:
        return Kept.model_validate_json(file.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ArisError(f"{file}: it cannot be read ({error.strerror or error})") from None
    except ValidationError:
        raise ArisError(
            f"{file}: it is damaged, or not of aris monitor; take it away (Subscriptions of it end within a day)"
        ) from None
