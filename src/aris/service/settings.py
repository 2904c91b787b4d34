"""Settings of a server: its limits, and the callers that it answers."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from aris.errors import ArisError

DEFAULT_PORT = 8000


@dataclass(frozen=True)
class ConnectionLimits:
    """Bounds on a server's connections. All are more than 0.

    Attributes:
        connections: at once; one more takes the place of the one that has been idle longest, or is refused (503). The
            system's limit on open files may allow fewer.
        header_s: seconds in which a request's headers must be there, and a TLS handshake done.
        idle_s: seconds that a connection may wait for its next request.
        stall_s: seconds over which the pace of a body or a response is measured.
        bytes_per_s: the least pace of both.
    """

    connections: int = 1000
    header_s: float = 15.0
    idle_s: float = 30.0
    stall_s: float = 30.0
    bytes_per_s: int = 1024

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value <= 0:
                raise ArisError(f"limit {name}: {value} is not more than 0; give more")


@dataclass(frozen=True)
class Limits:
    """Limits of one request, and of the work in progress. All are at least 1.

    Attributes:
        body_bytes: of a request's body.
        body_s: seconds that a request's body has to arrive, beside those that it needs at `body_bytes_per_s`.
        body_bytes_per_s: the slowest that a body may arrive.
        json_values: lists, objects, elements and members in a body; a prompt of token ids has one for each.
        json_depth: of lists and objects in each other.
        images: in one request; MedGemma reads CT volumes of up to 85 slices.
        image_pixels: width times height, summed over a request's images; from their headers, before they are decoded.
        output_tokens: of one answer, also where the request sets no limit.
        choices: answers in one request, over all its prompts (`n`, and several prompts of a completion).
        sequences: answers in progress or waiting; beyond them requests get status 429.
        bodies_bytes: of all requests' bodies that are held at once, which they are until their prompts are made;
            beyond them requests get status 429.
        image_bytes: of the images of all answers in progress, as the tower reads them (896 pixels: 9.6 MB each and
            for each crop); likewise. One request alone may take more of both.
        schema_bytes: of a JSON schema, a regular expression or a list of choices.
    """

    body_bytes: int = 64 << 20
    body_s: float = 30.0
    body_bytes_per_s: int = 64 << 10
    json_values: int = 500_000
    json_depth: int = 100
    images: int = 100
    image_pixels: int = 100_000_000
    output_tokens: int = 4096
    choices: int = 16
    sequences: int = 256
    bodies_bytes: int = 1 << 30
    image_bytes: int = 8 << 30
    schema_bytes: int = 64 << 10

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value < 1:
                raise ArisError(f"limit {name}: {value} is less than 1; give 1 or more")


@dataclass(frozen=True)
class CdsHooksSettings:
    """Settings of the CDS Hooks service.

    Attributes:
        fhir_servers: base addresses of FHIR servers that missing data may be read from ("https://ehr.example/fhir").
            A request that names another one is never followed. http is allowed on this machine alone.
        clients: by issuer (`iss`), a file of its public keys (JWKS). With any, each call needs a signed JWT.
        base_url: the address that clients call, as "https://aris.example"; a JWT's audience begins with it. Needed
            with `clients`.
        rules: a folder of a site's own rules.
        feedback: a file that feedback is appended to; None keeps none (it is answered all the same).
        workspace_url: the patient's page, with {patient} for the id, that cards link to; None links to none.
        fetch_s: seconds that reading missing data may take in all.
        fetch_bytes: of one answer of a FHIR server.
        origins: of web pages (EHRs in a browser) that may call, as "https://ehr.example".

    Raises:
        ArisError: an address is none, or clients come without a base address.
    """

    fhir_servers: tuple[str, ...] = ()
    clients: Mapping[str, Path] = field(default_factory=dict)
    base_url: str = ""
    rules: Path | None = None
    feedback: Path | None = None
    workspace_url: str | None = None
    fetch_s: float = 5.0
    fetch_bytes: int = 20 << 20
    origins: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for server in self.fhir_servers:
            found = urlsplit(server)
            if found.scheme != "https" and not (found.scheme == "http" and is_loopback(found.hostname or "")):
                raise ArisError(f"CDS Hooks: {server!r:.200} is no https address of a FHIR server")
            if not found.hostname or found.username or found.query or found.fragment:
                raise ArisError(f"CDS Hooks: {server!r:.200}: give a base address alone, as https://ehr.example/fhir")
        if self.clients and not self.base_url.startswith(("https://", "http://")):
            raise ArisError("CDS Hooks: clients that sign need the address that they call; give base_url")
        for origin in self.origins:
            if not re.fullmatch(r"https?://[^/\s*]+", origin):
                raise ArisError(f"CDS Hooks: {origin!r:.200} is no origin; write it as https://ehr.example")


@dataclass(frozen=True)
class Settings:
    """Settings of a server: its address, and its demands on callers.

    Attributes:
        host: an address or "localhost". Without a key it must be this machine's own (loopback).
        port: 0 takes a free one.
        api_key: what callers send as `Authorization: Bearer KEY`; None asks for none. Never in a representation.
        model_name: by which callers name the model; None takes the backend's.
        limits: of requests.
        connections: bounds on connections.
        drain_s: seconds that answers in progress are given to end when the server is told to stop.
        cds_hooks: serve CDS Hooks beside the model; None does not.

    Raises:
        ArisError: an address that others can reach has no key, or the key cannot be sent in a header.
    """

    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    api_key: str | None = field(default=None, repr=False)
    model_name: str | None = None
    limits: Limits = field(default_factory=Limits)
    connections: ConnectionLimits = field(default_factory=ConnectionLimits)
    drain_s: float = 10.0
    cds_hooks: CdsHooksSettings | None = None

    def __post_init__(self) -> None:
        require_key("serve", self.host, self.api_key)


def require_key(server: str, host: str, key: str | None) -> None:
    """Raise `ArisError` where an address that others can reach has no key, or a key cannot be sent in a header."""
    if key is None and not is_loopback(host):
        raise ArisError(
            f"{server}: {host} can be reached from other machines, which needs a key; set ARIS_API_KEY, or leave "
            "--host out"
        )
    if key is not None and not (key and key.isascii() and key.isprintable() and " " not in key):
        raise ArisError(f"{server}: the key must be printable ASCII without spaces, and not empty")


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach the address."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
