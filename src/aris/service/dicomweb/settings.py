"""Settings of a DICOMweb server: its address, its callers, and its limits."""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass, field

from aris.errors import ArisError
from aris.service.settings import ConnectionLimits, require_key

PREFIX = "/dicomweb"


@dataclass(frozen=True)
class DicomwebLimits:
    """Limits of a DICOMweb server. All are at least 1.

    Attributes:
        object_bytes: of one object; a larger one fails, the others of its request do not.
        request_bytes: of one store request; more is refused (413).
        held_bytes: of objects on their way over all requests; beyond, a request is told to come again (503).
        uploads: store requests at once; more are told to come again (503).
        requests: of all kinds at once; more are told to come again (503).
        silence_s: seconds that a body may pause (408), and that a caller may take for a piece of an answer; after as
            many a body must have come with 1 KiB a second.
        parts: of one store request (413).
    """

    object_bytes: int = 2 << 30
    request_bytes: int = 32 << 30
    held_bytes: int = 4 << 30
    uploads: int = 8
    requests: int = 64
    silence_s: float = 60.0
    parts: int = 20_000

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value <= 0:
                raise ArisError(f"limit {name}: {value} is less than 1; give 1 or more")


@dataclass(frozen=True)
class DicomwebSettings:
    """Settings of a DICOMweb server.

    Attributes:
        host: an address or "localhost". Without a key it must be this machine's own (loopback).
        port: 0 takes a free one.
        api_key: what callers send as `Authorization: Bearer KEY`; None asks for none. Never in a representation.
        origins: of web pages (viewers) that may call from a browser, as "https://viewer.example".
        tls: the server's side; None for none.
        limits: of requests.
        connections: bounds on connections.
        prefix: of the addresses, as "/dicomweb".

    Raises:
        ArisError: an address that others can reach has no key, the key cannot be sent in a header, or an origin is
            none.
    """

    host: str = "127.0.0.1"
    port: int = 8042
    api_key: str | None = field(default=None, repr=False)
    origins: tuple[str, ...] = ()
    tls: ssl.SSLContext | None = None
    limits: DicomwebLimits = field(default_factory=DicomwebLimits)
    connections: ConnectionLimits = field(default_factory=ConnectionLimits)
    prefix: str = PREFIX

    def __post_init__(self) -> None:
        require_key("DICOMweb", self.host, self.api_key)
        for origin in self.origins:
            if not re.fullmatch(r"https?://[^/\s*]+", origin):
                raise ArisError(
                    f"DICOMweb: {origin!r} is no origin; write it as https://viewer.example, without a path"
                )
