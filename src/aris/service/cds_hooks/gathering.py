"""The data of a call: what the client sent, and what is missing read from its FHIR server, if that is allowed."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx2

from aris.service.cds_hooks.problems import HookError
from aris.service.cds_hooks.requests import HookRequest
from aris.service.cds_hooks.services import Service
from aris.service.settings import CdsHooksSettings

_MOST_PAGES = 50
_ACCEPT = "application/fhir+json"


class Gathering:
    """Completes the data of calls.

    Args:
        settings: the servers that may be read, and how much.
        transport: of the client; the network by default.
    """

    def __init__(self, settings: CdsHooksSettings, transport: httpx2.AsyncBaseTransport | None = None) -> None:
        self._settings = settings
        self._transport = transport
        self._allowed = tuple(each.rstrip("/") for each in settings.fhir_servers)

    async def resources(self, service: Service, request: HookRequest) -> list[dict[str, Any]]:
        """All resources of a call, drafts apart.

        A key that is there counts, also with null: the client looked, and there is nothing. A key that is not there,
        an OperationOutcome in its place, and a searchset that goes on elsewhere are read from the server.

        Raises:
            HookError: 412, needed data is neither there nor can be read.
        """
        found: list[dict[str, Any]] = []
        missing: dict[str, str] = {}
        paths = service.paths(request.context.patient)
        for key, path in paths.items():
            if key not in request.prefetch or not _answers(request.prefetch[key], path):
                missing[key] = path
            elif (sent := request.prefetch[key]) is not None:
                found.append(sent)
        # What came under other keys is the client's data of this patient all the same.
        others = [each for key, each in request.prefetch.items() if key not in paths and each is not None]
        found += [each for each in others if not _is_outcome(each)]
        if "patient" in missing and any(_is_patient(each, request.context.patient) for each in others):
            del missing["patient"]
        if missing:
            found += await self._read(missing, request)
        return found

    async def _read(self, missing: dict[str, str], request: HookRequest) -> list[dict[str, Any]]:
        named = ", ".join(missing)
        base = self._base(request.fhir_server)
        if base is None:
            why = "no fhirServer is given" if request.fhir_server is None else "that fhirServer is not allowed here"
            raise HookError(412, f"prefetch lacks {named}, and {why}")
        headers = {"Accept": _ACCEPT}
        if request.authorization is not None:
            headers["Authorization"] = f"Bearer {request.authorization.access_token}"
        try:
            async with (
                asyncio.timeout(self._settings.fetch_s),
                httpx2.AsyncClient(headers=headers, transport=self._transport, follow_redirects=False) as client,
            ):
                pages = await asyncio.gather(*(self._all(client, base, path) for path in missing.values()))
        except (TimeoutError, httpx2.HTTPError, httpx2.InvalidURL, ValueError, UnicodeError):
            raise HookError(412, f"prefetch lacks {named}, and the fhirServer did not give it") from None
        return [page for each in pages for page in each]

    async def _all(self, client: httpx2.AsyncClient, base: str, path: str) -> list[dict[str, Any]]:
        """A resource, or a search with all its pages.

        Raises:
            ValueError: the server refuses, or what it gives is not what was asked for, or not all of it.
        """
        address: str | None = f"{base}/{path}"
        pages: list[dict[str, Any]] = []
        while address is not None:
            if len(pages) >= _MOST_PAGES:
                raise ValueError("too many pages")
            page = await self._one(client, address)
            if not _fits(page, path):
                raise ValueError("another resource")
            pages.append(page)
            link = _next(page)
            address = None if link is None else urljoin(address, link)
            if address is not None and not _within(address, base):
                raise ValueError("the next page is elsewhere")
        return pages

    async def _one(self, client: httpx2.AsyncClient, address: str) -> dict[str, Any]:
        data = bytearray()
        async with client.stream("GET", address) as answer:
            if answer.status_code != 200:
                raise ValueError("refused")
            async for piece in answer.aiter_bytes():
                data += piece
                if len(data) > self._settings.fetch_bytes:
                    raise ValueError("too large")
        page = json.loads(data)
        if not isinstance(page, dict):
            raise ValueError("no resource")
        return page

    def _base(self, server: str | None) -> str | None:
        """The allowed base address that a client's server is, or lies under."""
        if server is None or "?" in server or "#" in server:  # what follows would be no path
            return None
        wanted = server.rstrip("/")
        return wanted if any(_within(wanted, base) for base in self._allowed) else None


def _within(address: str, base: str) -> bool:
    """Tell whether an address is of the same scheme, host and port as a base, and lies under its path."""
    try:
        one, other = urlsplit(address), urlsplit(base)
        same = (one.scheme, one.hostname, _port(one)) == (other.scheme, other.hostname, _port(other))
    except ValueError:
        return False
    steps = f"{one.path}/".lower().replace("%2e", ".")
    plain = not (one.username or one.password) and "\\" not in address and "/../" not in steps
    path = other.path.rstrip("/")
    return same and plain and (one.path == path or one.path.startswith(f"{path}/"))


def _port(parts: Any) -> int:
    return parts.port or {"https": 443, "http": 80}.get(parts.scheme, 0)


def _answers(sent: dict[str, Any] | None, path: str) -> bool:
    """Tell whether what a client sent for a template answers it."""
    if sent is None:
        return "?" in path  # nothing was found; a patient that is not found is no answer
    return _fits(sent, path) and _next(sent) is None


def _fits(sent: dict[str, Any], path: str) -> bool:
    kind = sent.get("resourceType")
    return kind == "Bundle" if "?" in path else kind == path.partition("/")[0]


def _next(page: dict[str, Any]) -> str | None:
    links = page.get("link")
    for each in links if isinstance(links, list) else ():
        if isinstance(each, dict) and each.get("relation") == "next" and isinstance(each.get("url"), str):
            return str(each["url"])
    return None


def _is_outcome(sent: dict[str, Any]) -> bool:
    return sent.get("resourceType") == "OperationOutcome"


def _is_patient(sent: dict[str, Any], id: str) -> bool:
    return sent.get("resourceType") == "Patient" and sent.get("id") == id
