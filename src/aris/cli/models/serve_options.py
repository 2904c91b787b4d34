"""Groups of options of `aris serve`: its parts, its limits, and CDS Hooks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aris.errors import ArisError, ExchangeError

if TYPE_CHECKING:
    from aris.exchange.node.server import NodeSettings
    from aris.flow.settings import SiteSettings
    from aris.service import CdsHooksSettings, Limits
    from aris.service.workspace.settings import WorkspaceSettings

_PARTS, _SECURITY, _DICOM = "Parts", "Security", "DICOM node"
_LIMITS, _CDS = "Limits", "CDS Hooks"


@dataclass(frozen=True)
class PartOptions:
    """Options of what runs beside the workspace."""

    no_node: Annotated[bool, typer.Option("--no-node", help="Run no DICOM node here.", rich_help_panel=_PARTS)] = False
    no_dicomweb: Annotated[
        bool, typer.Option("--no-dicomweb", help="Answer no DICOMweb here.", rich_help_panel=_PARTS)
    ] = False
    no_intake: Annotated[
        bool,
        typer.Option("--no-intake", help="Serve no page of intake for patients here.", rich_help_panel=_PARTS),
    ] = False
    no_worker: Annotated[
        bool,
        typer.Option(
            "--no-worker",
            help="Take in, draft and deliver nothing by itself, as where `aris flow run` does it.",
            rich_help_panel=_PARTS,
        ),
    ] = False
    no_model: Annotated[
        bool,
        typer.Option(
            "--no-model", help="Load no model: the workspace still reads and signs.", rich_help_panel=_PARTS
        ),
    ] = False
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Open no browser, as on a desktop.", rich_help_panel=_PARTS)
    ] = False
    calibration: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A site's own, made by aris calibrate.", rich_help_panel=_PARTS),
    ] = None


@dataclass(frozen=True)
class SecurityOptions:
    """Options of who can reach the server, and how."""

    tls_cert: Annotated[
        Path | None, typer.Option(help="Our certificate (PEM); turns TLS on.", rich_help_panel=_SECURITY)
    ] = None
    tls_key: Annotated[Path | None, typer.Option(help="Its key (PEM).", rich_help_panel=_SECURITY)] = None
    insecure_plain_http: Annotated[
        bool,
        typer.Option(
            "--insecure-plain-http",
            help="Be reached from other machines without TLS: passwords and patients' data cross the network in the "
            "clear.",
            rich_help_panel=_SECURITY,
        ),
    ] = False
    public_url: Annotated[
        str,
        typer.Option(
            metavar="URL",
            help="The address in browsers, as https://aris.example, behind a proxy that has TLS.",
            rich_help_panel=_SECURITY,
        ),
    ] = ""
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="A further name that browsers may call; may be repeated.", rich_help_panel=_SECURITY
        ),
    ] = None
    web_origin: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ORIGIN",
            help="A viewer's pages that may call DICOMweb from a browser; may be repeated.",
            rich_help_panel=_SECURITY,
        ),
    ] = None

    def workspace(self, host: str, site: SiteSettings) -> WorkspaceSettings:
        """Return the workspace's settings: the site's, and before them what the options say.

        Raises:
            ArisError: an address that others can reach has no TLS.
        """
        from aris.service.workspace.settings import WorkspaceSettings

        said: dict[str, object] = {"public_url": self.public_url} if self.public_url else {}
        return WorkspaceSettings.of_site(
            site, host=host, tls=self.tls_cert is not None, plain=self.insecure_plain_http,
            hosts=(*site.workspace.hosts, *(self.allow_host or ())), **said,
        )  # fmt: skip


@dataclass(frozen=True)
class NodeOptions:
    """Options of the DICOM node."""

    ae_title: Annotated[
        str, typer.Option(envvar="ARIS_AE_TITLE", help="Our own AE title.", rich_help_panel=_DICOM)
    ] = "ARIS"
    dicom_host: Annotated[
        str,
        typer.Option(
            help="Address that the node listens at; one that others can reach needs --allow or --dicom-ca.",
            rich_help_panel=_DICOM,
        ),
    ] = "127.0.0.1"
    dicom_port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of the node; 0 takes a free one.", rich_help_panel=_DICOM)
    ] = 11112
    allow: Annotated[
        list[str] | None,
        typer.Option(
            metavar="AETITLE", help="AE title that may send; may be repeated. All, if none is given.",
            rich_help_panel=_DICOM,
        ),
    ] = None  # fmt: skip
    dicom_tls: Annotated[
        bool,
        typer.Option(
            "--dicom-tls", help="Take objects by TLS alone, with --tls-cert and --tls-key.", rich_help_panel=_DICOM
        ),
    ] = False
    dicom_ca: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Certificates that senders' must be signed by (PEM); with --dicom-tls.",
            rich_help_panel=_DICOM,
        ),
    ] = None  # fmt: skip

    def settings(self, certificate: Path | None, key: Path | None) -> NodeSettings:
        """Return the node's settings.

        Raises:
            ExchangeError: others can reach it and anybody may send, or a certificate is missing or wrong.
        """
        from aris.exchange.node.server import NodeSettings
        from aris.exchange.node.tls import server_context
        from aris.service.settings import is_loopback

        if self.dicom_ca is not None and not self.dicom_tls:
            raise ExchangeError("serve: --dicom-ca is for TLS; give --dicom-tls too")
        if self.dicom_tls and certificate is None:
            raise ExchangeError("serve: --dicom-tls needs the server's certificate; give --tls-cert and --tls-key")
        if not is_loopback(self.dicom_host) and not self.allow and self.dicom_ca is None:
            raise ExchangeError(
                f"serve: the DICOM node at {self.dicom_host} can be reached from other machines; name who may send "
                "with --allow or --dicom-ca, or leave --dicom-host out"
            )
        tls = server_context(certificate, key, self.dicom_ca) if self.dicom_tls else None
        return NodeSettings(
            ae_title=self.ae_title, host=self.dicom_host, port=self.dicom_port, allowed=tuple(self.allow or ()),
            tls=tls,
        )  # fmt: skip


@dataclass(frozen=True)
class LimitOptions:
    """Options of what one request may ask of the model."""

    max_sequences: Annotated[
        int,
        typer.Option(min=1, help="Answers in progress or waiting; more get status 429.", rich_help_panel=_LIMITS),
    ] = 256
    max_output_tokens: Annotated[
        int, typer.Option(min=1, help="Tokens of one answer.", rich_help_panel=_LIMITS)
    ] = 4096
    max_choices: Annotated[int, typer.Option(min=1, help="Answers of one request.", rich_help_panel=_LIMITS)] = 16
    max_images: Annotated[int, typer.Option(min=1, help="Images of one request.", rich_help_panel=_LIMITS)] = 100
    max_image_megapixels: Annotated[
        int, typer.Option(min=1, help="Pixels of all images of one request, in millions.", rich_help_panel=_LIMITS)
    ] = 100
    max_body_mb: Annotated[
        int, typer.Option(min=1, help="Size of a request's body, in MiB.", rich_help_panel=_LIMITS)
    ] = 64

    def limits(self) -> Limits:
        """Return the limits."""
        from aris.service import Limits

        return Limits(
            body_bytes=self.max_body_mb << 20, images=self.max_images,
            image_pixels=self.max_image_megapixels * 1_000_000, output_tokens=self.max_output_tokens,
            choices=self.max_choices, sequences=self.max_sequences,
        )  # fmt: skip


@dataclass(frozen=True)
class CdsOptions:
    """Options of CDS Hooks."""

    cds_hooks: Annotated[
        bool, typer.Option("--cds-hooks", help="Serve CDS Hooks 2.0 at /cds-services too.", rich_help_panel=_CDS)
    ] = False
    cds_fhir_server: Annotated[
        list[str] | None,
        typer.Option(
            metavar="URL",
            help="Base address of a FHIR server that missing data may be read from; may be repeated.",
            rich_help_panel=_CDS,
        ),
    ] = None
    cds_client: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ISSUER=FILE",
            help="A client that signs its calls, and the file of its public keys (JWKS); may be repeated. With any, "
            "all must sign.",
            rich_help_panel=_CDS,
        ),
    ] = None
    cds_base_url: Annotated[
        str, typer.Option(metavar="URL", help="Address that clients call, for their JWTs.", rich_help_panel=_CDS)
    ] = ""
    cds_rules: Annotated[
        Path | None, typer.Option(metavar="DIR", help="A site's own rules.", rich_help_panel=_CDS)
    ] = None
    cds_feedback: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Append what became of cards here.", rich_help_panel=_CDS)
    ] = None
    cds_origin: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ORIGIN", help="A web page's origin that may call; may be repeated.", rich_help_panel=_CDS
        ),
    ] = None

    def settings(self) -> CdsHooksSettings | None:
        """Return the settings of CDS Hooks; None where they are not asked for."""
        from aris.service import CdsHooksSettings

        if not self.cds_hooks:
            return None
        return CdsHooksSettings(
            fhir_servers=tuple(self.cds_fhir_server or ()),
            clients=_clients(self.cds_client),
            base_url=self.cds_base_url,
            rules=self.cds_rules,
            feedback=self.cds_feedback,
            origins=tuple(self.cds_origin or ()),
        )


def _clients(values: list[str] | None) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for value in values or ():
        issuer, _, file = value.rpartition("=")
        if not issuer or not file or issuer in found:
            raise typer.BadParameter(f"{value!r}: give ISSUER=FILE, each issuer once", param_hint="--cds-client")
        found[issuer] = Path(file)
    return found


# Import names of what the workspace needs beside the base, which the extra `workspace` brings.
_NEEDED = {
    "sqlalchemy": "SQLAlchemy", "alembic": "alembic", "argon2": "argon2-cffi", "pynetdicom": "pynetdicom",
    "highdicom": "highdicom", "fpdf": "fpdf2",
}  # fmt: skip


def require_workspace() -> None:
    """Raise `ArisError` where what the workspace needs is not installed, and name it."""
    from importlib.util import find_spec

    missing = [name for module, name in _NEEDED.items() if find_spec(module) is None]
    if missing:
        raise ArisError(
            f"serve: the workspace needs {', '.join(missing)}; pip install 'aris-medgemma[workspace]', or serve the "
            "model's API alone with --api-only"
        )
