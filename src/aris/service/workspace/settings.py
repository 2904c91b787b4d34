"""Settings of the workspace's server: its address, whom it answers, and how long sessions last."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from aris.errors import ArisError
from aris.flow.settings import SiteSettings
from aris.service.settings import is_loopback


@dataclass(frozen=True)
class WorkspaceSettings:
    """Settings of a server of the workspace.

    Attributes:
        host: the address that it listens at.
        tls: whether it speaks TLS itself.
        plain: answer other machines without TLS nevertheless, as on a network that nobody else is on.
        public_url: the address in the browser, as "https://aris.example"; needed behind a reverse proxy and for OIDC.
        hosts: further names that browsers may call it by; loopback and IP addresses need none.
        idle: after which a session that is not used ends.
        lasts: after which a session ends, used or not.
        proof: for which a new sign-in at the OpenID provider counts as proof for a signature.
        sign_ins: attempts a minute that one address may make, which many may share; sign_ins_in_all: all together.

    Raises:
        ArisError: an address is none, or others could read what is sent (see `require_safe_binding`).
    """

    host: str = "127.0.0.1"
    tls: bool = False
    plain: bool = False
    public_url: str = ""
    hosts: tuple[str, ...] = ()
    idle: timedelta = timedelta(minutes=30)
    lasts: timedelta = timedelta(hours=12)
    proof: timedelta = timedelta(seconds=60)
    sign_ins: int = 60
    sign_ins_in_all: int = 300

    def __post_init__(self) -> None:
        if self.public_url:
            found = urlsplit(self.public_url)
            plain = found.scheme in ("http", "https") and found.hostname and not found.username
            if not plain or found.path not in ("", "/") or found.query or found.fragment:
                raise ArisError(f"workspace: {self.public_url!r:.200} is no address; write https://aris.example")
        require_safe_binding(self.host, tls=self.tls, plain=self.plain)

    @classmethod
    def of_site(cls, site: SiteSettings, **more: Any) -> WorkspaceSettings:
        """The settings of a server by the site's file, with what the command line says before it; see `with_site`."""
        return cls(**more).with_site(site)

    def with_site(self, site: SiteSettings) -> WorkspaceSettings:
        """Return these settings, filled up from the site's file: what was given here goes before it."""
        web = site.workspace
        values: dict[str, Any] = {
            "public_url": web.public_url, "hosts": web.hosts, "idle": timedelta(minutes=web.idle_minutes),
            "lasts": timedelta(hours=web.session_hours), "proof": timedelta(seconds=web.proof_seconds),
        }  # fmt: skip
        left = {each.name: values[each.name] for each in fields(self)
                if each.name in values and getattr(self, each.name) == each.default}  # fmt: skip
        return replace(self, **left)

    @property
    def secure(self) -> bool:
        """Return whether browsers reach it by TLS, its own or a reverse proxy's."""
        return self.tls or self.public_url.lower().startswith("https://")

    @property
    def origin(self) -> str:
        """The origin of `public_url`; "" where there is none."""
        return self.public_url.rstrip("/").lower()

    @property
    def names(self) -> frozenset[str]:
        """Names, in small letters, that browsers may call the server by."""
        public = urlsplit(self.public_url).hostname or ""
        return frozenset(each.lower() for each in (*self.hosts, public, self.host) if each)


def require_safe_binding(host: str, *, tls: bool, plain: bool) -> None:
    """Raise `ArisError` where other machines could reach the address without TLS and nobody has said that they may."""
    if not (is_loopback(host) or tls or plain):
        raise ArisError(
            f"serve: {host} can be reached from other machines, and passwords and images would go over the network "
            "unencrypted; give --tls-cert and --tls-key, or put a reverse proxy with TLS before 127.0.0.1, or say "
            "--insecure-plain-http if nobody else is on that network"
        )
