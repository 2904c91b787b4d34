"""A site's settings: a YAML file, `site.yaml` in the store's folder by default."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from aris.errors import ArisError, ExchangeError
from aris.exchange.documents.formats import Format
from aris.exchange.node.peers import Peer
from aris.regular import read_regular
from aris.tasks.intake.site import Site

FILE = "site.yaml"


class SettingsError(ArisError):
    """The site's settings are missing or wrong."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Named(_Part):
    """Another system. What goes there or comes from there is known by its `name`: keep it."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")


class FolderDestination(_Named):
    """Files in a folder: `PATH/STUDY-UID/NUMBER.ending`."""

    kind: Literal["folder"]
    path: Path
    formats: tuple[Format, ...] = ("sr", "fhir", "pdf")


class DicomDestination(_Named):
    """C-STORE of the DICOM SR to a node, written AETITLE@HOST:PORT; "sender" is the node that sent the study."""

    kind: Literal["dicom"]
    to: str
    peers: tuple[str, ...] = ()
    ae_title: str = "ARIS"
    formats: tuple[Literal["sr", "gsps", "sc"], ...] = ("sr",)
    tls_cert: Path | None = None
    tls_key: Path | None = None
    tls_ca: Path | None = None

    @field_validator("to")
    @classmethod
    def _is_peer(cls, value: str) -> str:
        return value if value == "sender" else _peer(value)

    @field_validator("peers")
    @classmethod
    def _are_peers(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(map(_peer, values))


class DicomwebDestination(_Named):
    """STOW-RS of the DICOM SR to a DICOMweb service."""

    kind: Literal["dicomweb"]
    url: str = Field(pattern=r"^https?://[^\s]+$")
    token_file: Path | None = None
    tls_ca: Path | None = None
    formats: tuple[Literal["sr", "gsps", "sc"], ...] = ("sr",)


class FhirDestination(_Named):
    """PUT of the report's FHIR resources to a FHIR R4 server."""

    kind: Literal["fhir"]
    url: str = Field(pattern=r"^https?://[^\s]+$")
    token_file: Path | None = None
    tls_ca: Path | None = None


class Hl7Destination(_Named):
    """ORU^R01 over MLLP, to HOST:PORT."""

    kind: Literal["hl7"]
    to: str = Field(pattern=r"^(\[[0-9A-Fa-f:.]+\]|[^:\[\]\s]+):[0-9]{1,5}$")
    encoding: Literal["utf-8", "iso-8859-1", "ascii"] = "utf-8"
    sending: str = "ARIS|ARIS"
    receiving: str = "|"


Destination = Annotated[
    FolderDestination | DicomDestination | DicomwebDestination | FhirDestination | Hl7Destination,
    Field(discriminator="kind"),
]


class DicomArchive(_Named):
    """An archive as a DICOM node, written AETITLE@HOST:PORT, that is asked for earlier studies of a patient.

    `retrieve` is "get" (C-GET: objects come on our own connection) or "move" (C-MOVE to `ae_title`, our own node, whose
    address the archive must know).
    """

    kind: Literal["dicom"]
    at: str
    ae_title: str = "ARIS"
    retrieve: Literal["get", "move"] = "get"
    tls_cert: Path | None = None
    tls_key: Path | None = None
    tls_ca: Path | None = None

    @field_validator("at")
    @classmethod
    def _is_peer(cls, value: str) -> str:
        return _peer(value)


class DicomwebArchive(_Named):
    """An archive as a DICOMweb service (QIDO-RS, WADO-RS) that is asked for earlier studies of a patient."""

    kind: Literal["dicomweb"]
    url: str = Field(pattern=r"^https?://[^\s]+$")
    token_file: Path | None = None
    tls_ca: Path | None = None


Archive = Annotated[DicomArchive | DicomwebArchive, Field(discriminator="kind")]


class _Records(_Named):
    """A source of patients' records.

    Attributes:
        issuers: of the numbers there, by FHIR's `system`: as Issuer of Patient ID (0010,0021) names them in images; ""
            where the house's own numbers have no issuer there. A system that is not named here is its own issuer.
    """

    issuers: dict[str, str] = Field(default_factory=dict)


class FolderRecords(_Records):
    """A folder of FHIR R4 bundles and NDJSON exports, also in gzip, or one such file."""

    kind: Literal["folder"]
    path: Path


class FhirRecords(_Records):
    """A FHIR R4 server; of it the patients with these ids are read, and nobody else."""

    kind: Literal["fhir"]
    url: str = Field(pattern=r"^https?://[^\s?#]+$")
    token_file: Path | None = None
    patients: tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9.-]{1,64}$")], ...] = Field(max_length=10_000)


Records = Annotated[FolderRecords | FhirRecords, Field(discriminator="kind")]


class MonitorSettings(_Part):
    """The watch over the records.

    Attributes:
        follow: whether records are judged by the rules as they grow; without it they are shown alone.
        every_s: seconds between two looks at the sources.
        rules: a folder of the site's own rules.
    """

    follow: bool = True
    every_s: float = Field(default=30.0, ge=1, le=24 * 3600)
    rules: Path | None = None


class OidcSettings(_Part):
    """An OpenID provider at which users sign in; each must be a user of the house already.

    Attributes:
        name: on the button.
        issuer: its address, as its tokens name it: https, or http on this machine.
        client_id: of this house there; client_secret_file: none for a public client.
        login_claim: the claim that names the login at the first sign-in; later the subject alone counts.
        role_claim: the claim whose values `roles` maps to roles, at each sign-in; without `roles` they stay.
        tls_ca: of the provider's certificate, in place of the system's.
    """

    name: str = Field(default="single sign-on", min_length=1, max_length=64)
    issuer: str = Field(pattern=r"^(https://[^\s?#]+|http://(localhost|127\.0\.0\.1|\[::1\])(:[0-9]+)?(/[^\s?#]*)?)$")
    client_id: str = Field(min_length=1, max_length=256)
    client_secret_file: Path | None = None
    scopes: tuple[str, ...] = ("openid", "profile")
    login_claim: str = "preferred_username"
    role_claim: str = "groups"
    roles: dict[str, Literal["admin", "reader", "viewer", "admin+reader"]] = Field(default_factory=dict)
    tls_ca: Path | None = None


class WebSettings(_Part):
    """The workspace's server.

    Attributes:
        public_url: its address in the browser, as https://aris.example; needed behind a reverse proxy and for OIDC.
        hosts: further names that browsers may call it by.
        idle_minutes: after which a session that is not used ends; session_hours: used or not.
        proof_seconds: for which a new sign-in at the OpenID provider counts as proof for a signature.
        oidc: the provider; passwords alone without one.
    """

    public_url: str = ""
    hosts: tuple[str, ...] = ()
    idle_minutes: float = Field(default=30.0, ge=1, le=24 * 60)
    session_hours: float = Field(default=12.0, gt=0, le=7 * 24)
    proof_seconds: float = Field(default=60.0, ge=10, le=600)
    oidc: OidcSettings | None = None


class IntakeSettings(Site):
    """The intake: what patients are told (see `Site`), and how `aris serve` asks them.

    Attributes:
        page: serve the patients' page at /intake.
        link_hours: for which a link holds, and the patient's phone can go on.
        model_chooses: let the loaded model choose the next question; else the fixed order, which needs no model.
    """

    page: bool = True
    link_hours: float = Field(default=24.0, ge=0.25, le=30 * 24)
    model_chooses: bool = False


class SiteSettings(_Part):
    """A site's settings.

    Attributes:
        quiet_s: seconds without a new image after which a study is whole.
        first_come_minutes: after so long no study of the same urgency goes before one for its findings.
        second_signature: a report is final when a second reader has signed it too.
        lease_s: seconds after which a worker that says nothing is taken for dead.
        watch: folders whose DICOM files are taken in.
        audit_heads: a file to which the audit trail's newest seal is added, regularly: on another disk if you can.
        destinations: where signed reports go.
        archives: where earlier studies of a patient are looked for.
        fetch_priors: so many of a patient's latest earlier studies are fetched from there unasked; only those that are
            surely his.
        workspace: the server of the pages.
        records: where patients' records come from, besides what readers upload.
        monitor: the watch over them.
        intake: questions to patients before a visit.
    """

    quiet_s: float = Field(default=30.0, ge=0)
    first_come_minutes: float = Field(default=240.0, gt=0)
    second_signature: bool = False
    lease_s: float = Field(default=120.0, ge=1)
    watch: tuple[Path, ...] = ()
    audit_heads: Path | None = None
    destinations: tuple[Destination, ...] = ()
    archives: tuple[Archive, ...] = ()
    fetch_priors: int = Field(default=0, ge=0, le=20)
    workspace: WebSettings = Field(default_factory=WebSettings)
    records: tuple[Records, ...] = ()
    monitor: MonitorSettings = Field(default_factory=MonitorSettings)
    intake: IntakeSettings = Field(default_factory=IntakeSettings)

    @model_validator(mode="after")
    def _names_differ(self) -> SiteSettings:
        names = [each.name for each in self.destinations]
        if len(set(names)) < len(names):
            raise ValueError("two destinations have the same name")
        archives = [each.name for each in self.archives]
        if len(set(archives)) < len(archives):
            raise ValueError("two archives have the same name")
        records = [each.name for each in self.records]
        if len(set(records)) < len(records) or "uploads" in records:
            raise ValueError("two sources of records have the same name, or one is called uploads")
        return self

    @property
    def quiet(self) -> timedelta:
        return timedelta(seconds=self.quiet_s)

    @property
    def first_come(self) -> timedelta:
        return timedelta(minutes=self.first_come_minutes)

    @property
    def lease(self) -> timedelta:
        return timedelta(seconds=self.lease_s)


def read_settings(path: Path, *, needed: bool = False) -> SiteSettings:
    """A site's settings; the defaults where there is no file, unless it is needed.

    Raises:
        SettingsError: it cannot be read, or says what is not known or cannot be.
    """
    if not path.exists() and not needed:
        return SiteSettings()
    try:
        values = yaml.safe_load(read_regular(path))
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read ({error.strerror})") from None
    except (yaml.YAMLError, UnicodeDecodeError):
        raise SettingsError(f"{path}: not YAML") from None
    try:
        return _anchored(SiteSettings.model_validate({} if values is None else values), path.absolute().parent)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise SettingsError(f"{path}: {where or 'settings'}: {first['msg']}; see docs/reading.md") from None


Part = TypeVar("Part", bound=BaseModel)


def _anchored(part: Part, base: Path) -> Part:
    """The settings with their paths made absolute: a relative one begins where the settings' file is."""

    def anchor(value: Any) -> Any:
        if isinstance(value, Path):
            return base / value.expanduser()
        if isinstance(value, tuple):
            return tuple(anchor(each) for each in value)
        return _anchored(value, base) if isinstance(value, BaseModel) else value

    return part.model_copy(update={name: anchor(getattr(part, name)) for name in type(part).model_fields})


def _peer(value: str) -> str:
    try:
        return str(Peer.parse(value))
    except ExchangeError as error:
        raise ValueError(str(error)) from None
