"""Settings of the one process: where it listens, and which of its parts run."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from aris.exchange.node.server import NodeSettings
from aris.service.settings import ConnectionLimits, Settings, is_loopback
from aris.service.workspace.settings import WorkspaceSettings

DICOMWEB = "/dicom-web"
INTAKE = "/intake"


@dataclass(frozen=True)
class ProcessSettings:
    """Settings of the one process.

    Attributes:
        workspace: of the pages, with the address of them and of the APIs and DICOMweb beside them.
        port: 0 takes a free one.
        tls: the server's side; None for none.
        api: of OpenAI's API: its key, its limits. Its address is not looked at.
        node: of the DICOM node; None runs none.
        dicomweb: answer DICOMweb.
        origins: of web pages (viewers) that may call DICOMweb from a browser, with a token.
        intake: serve the patients' page, unless the site's settings say that there is none.
        worker: take in watched folders, draft what is whole and deliver what is signed.
        connections: bounds on connections.
    """

    workspace: WorkspaceSettings = field(default_factory=WorkspaceSettings)
    port: int = 8000
    tls: ssl.SSLContext | None = None
    api: Settings = field(default_factory=Settings)
    node: NodeSettings | None = field(default_factory=NodeSettings)
    dicomweb: bool = True
    origins: tuple[str, ...] = ()
    intake: bool = True
    worker: bool = True
    connections: ConnectionLimits = field(default_factory=ConnectionLimits)

    @property
    def host(self) -> str:
        """The address that it listens at."""
        return self.workspace.host

    @property
    def local(self) -> bool:
        """Return whether only this machine can reach it; a reverse proxy passes on what comes from others."""
        public = urlsplit(self.workspace.public_url).hostname
        return is_loopback(self.host) and (public is None or is_loopback(public))
