"""A report to a FHIR R4 server: each resource by PUT under an id that is always the same, so that it is held once.

The server must let clients choose ids (`CapabilityStatement.rest.resource.updateCreate`). A study's DiagnosticReport
has one id for all its versions: an addendum or a correction is its next version there, as FHIR has it. Patient,
ImagingStudy and Device have ids that follow from their identifiers; all else has ids that follow from the content.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aris.errors import ExchangeError
from aris.exchange.documents.codes import uid_of
from aris.exchange.sending.http import client, refused

Resource = dict[str, Any]
_FHIR_JSON = "application/fhir+json"
# Known by an identifier of their own, whatever version of whatever report names them.
_LASTING = ("Patient", "ImagingStudy", "Device")


def put_bundle(
    data: bytes, study: str, url: str, *, token_file: Path | None = None, authority: Path | None = None
) -> str:
    """Put the resources of a report's bundle.

    Args:
        data: the bundle, as `document(report, "fhir")` makes it.
        study: Study Instance UID.
        url: the server's base.

    Returns:
        the id of the DiagnosticReport.

    Raises:
        ExchangeError: the server cannot be reached, or does not take one of them.
    """
    made = resources(json.loads(data), study)
    base = url.rstrip("/")
    with client(url, token_file, authority) as http:
        for each in made:
            address = f"{base}/{each['resourceType']}/{each['id']}"
            content = json.dumps(each, ensure_ascii=False).encode()
            response = http.put(address, content=content, headers={"Content-Type": _FHIR_JSON, "Accept": _FHIR_JSON})
            if response.status_code not in (200, 201):
                kind = each["resourceType"]
                if response.status_code in (400, 404, 405, 409, 412, 422):
                    raise ExchangeError(
                        f"{url}: does not take a {kind} (status {response.status_code}); it must let clients choose ids"
                    )
                raise refused(url, response.status_code)
    return next(each["id"] for each in made if each["resourceType"] == "DiagnosticReport")


def resources(bundle: Resource, study: str) -> list[Resource]:
    """The resources of a report's bundle as a server takes them, each after those that it refers to."""
    entries = [each["resource"] for each in bundle["entry"]]
    ids = {f"urn:uuid:{each['id']}": (each["resourceType"], _id(each, study)) for each in entries}
    made: dict[str, Resource] = {}
    for each in entries:
        kind, identifier = ids[f"urn:uuid:{each['id']}"]
        # Two of the same id are the same: a study that the report names twice.
        made[f"{kind}/{identifier}"] = {**_referring(each, ids), "id": identifier}
    return list(_ordered(made))


def _id(resource: Resource, study: str) -> str:
    kind = resource["resourceType"]
    if kind == "DiagnosticReport":
        return _uuid("report", study)
    known = resource.get("identifier") or []
    if kind in _LASTING and known:
        return _uuid(kind, known[0])
    return str(resource["id"])


def _uuid(*content: object) -> str:
    return str(uuid.UUID(int=int(uid_of("fhir server", *content).removeprefix("2.25."))))


def _referring(value: Any, ids: dict[str, tuple[str, str]]) -> Any:
    if isinstance(value, dict):
        made = {key: _referring(each, ids) for key, each in value.items()}
        if isinstance(target := value.get("reference"), str) and target in ids:
            made["reference"] = "/".join(ids[target])
        return made
    return [_referring(each, ids) for each in value] if isinstance(value, list) else value


def _targets(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(target := value.get("reference"), str):
            yield target
        for each in value.values():
            yield from _targets(each)
    elif isinstance(value, list):
        for each in value:
            yield from _targets(each)


def _ordered(made: dict[str, Resource]) -> Iterator[Resource]:
    """Depth first; a report's resources refer to each other in no circle."""
    done: set[str] = set()

    def visit(key: str) -> Iterator[Resource]:
        if key in done or key not in made:
            return
        done.add(key)
        for target in _targets(made[key]):
            yield from visit(target)
        yield made[key]

    for key in made:
        yield from visit(key)
