"""`aris serve`: a model behind OpenAI's API."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Annotated

import typer

from aris.cli.options import shared as o
from aris.cli.outcome import INTERRUPTED
from aris.cli.session import Session
from aris.cli.terminal import note

_SERVER = "Server"
_LIMITS = "Limits"
_CDS = "CDS Hooks"


def serve(
    api_only: Annotated[
        bool, typer.Option("--api-only", help="Serve the API without the workspace's pages.", rich_help_panel=_SERVER)
    ] = False,
    host: Annotated[
        str,
        typer.Option(help="Address to listen at; one that others can reach needs a key.", rich_help_panel=_SERVER),
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen at; 0 takes a free one.", rich_help_panel=_SERVER)
    ] = 8000,
    api_key: o.ApiKeyOption = None,
    served_model_name: Annotated[
        str | None,
        typer.Option(help="Name by which callers ask for the model; its own by default.", rich_help_panel=_SERVER),
    ] = None,
    drain_seconds: Annotated[
        float,
        typer.Option(min=0, help="Time that answers get to end when the server is stopped.", rich_help_panel=_SERVER),
    ] = 10.0,
    max_sequences: Annotated[
        int,
        typer.Option(min=1, help="Answers in progress or waiting; more get status 429.", rich_help_panel=_LIMITS),
    ] = 256,
    max_output_tokens: Annotated[
        int, typer.Option(min=1, help="Tokens of one answer.", rich_help_panel=_LIMITS)
    ] = 4096,
    max_choices: Annotated[int, typer.Option(min=1, help="Answers of one request.", rich_help_panel=_LIMITS)] = 16,
    max_images: Annotated[int, typer.Option(min=1, help="Images of one request.", rich_help_panel=_LIMITS)] = 100,
    max_image_megapixels: Annotated[
        int, typer.Option(min=1, help="Pixels of all images of one request, in millions.", rich_help_panel=_LIMITS)
    ] = 100,
    max_body_mb: Annotated[
        int, typer.Option(min=1, help="Size of a request's body, in MiB.", rich_help_panel=_LIMITS)
    ] = 64,
    cds_hooks: Annotated[
        bool, typer.Option("--cds-hooks", help="Serve CDS Hooks 2.0 at /cds-services too.", rich_help_panel=_CDS)
    ] = False,
    cds_fhir_server: Annotated[
        list[str] | None,
        typer.Option(
            metavar="URL",
            help="Base address of a FHIR server that missing data may be read from; may be repeated.",
            rich_help_panel=_CDS,
        ),
    ] = None,
    cds_client: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ISSUER=FILE",
            help="A client that signs its calls, and the file of its public keys (JWKS); may be repeated. With any, "
            "all must sign.",
            rich_help_panel=_CDS,
        ),
    ] = None,
    cds_base_url: Annotated[
        str, typer.Option(metavar="URL", help="Address that clients call, for their JWTs.", rich_help_panel=_CDS)
    ] = "",
    cds_rules: Annotated[
        Path | None, typer.Option(metavar="DIR", help="A site's own rules.", rich_help_panel=_CDS)
    ] = None,
    cds_feedback: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Append what became of cards here.", rich_help_panel=_CDS)
    ] = None,
    cds_origin: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ORIGIN", help="A web page's origin that may call; may be repeated.", rich_help_panel=_CDS
        ),
    ] = None,
    model: o.ModelOption = "aris-nano",
    mmproj: o.MmprojOption = None,
    adapter: o.AdaptersOption = None,
    quantize: o.QuantizeOption = None,
    dtype: o.DtypeOption = "auto",
    device: o.DeviceOption = "auto",
) -> None:
    """Serve a model behind OpenAI's API: /v1/chat/completions, /v1/completions, /v1/models, /healthz, /metrics.

    On this machine alone, as by default, no key is needed.

    Ctrl-C or SIGTERM stops it when the answers in progress have ended; a second one stops it at once.

    Examples:

        aris serve --api-only

        ARIS_API_KEY=... aris serve --api-only --host 0.0.0.0 \\
            --model medgemma-1.5-4b-it

        aris serve --api-only --adapter tiles=runs/tiles/adapter \\
            --adapter records=runs/records/adapter
    """
    if not api_only:
        raise typer.BadParameter("this version has no workspace yet; serve the API alone", param_hint="--api-only")
    from aris.backends import NativeBackend
    from aris.service import CdsHooksSettings, Limits, Settings
    from aris.service import serve as run

    # Before the model is loaded: a wrong setting costs no waiting.
    settings = Settings(
        host=host,
        port=port,
        api_key=api_key,
        model_name=served_model_name,
        limits=Limits(
            body_bytes=max_body_mb << 20,
            images=max_images,
            image_pixels=max_image_megapixels * 1_000_000,
            output_tokens=max_output_tokens,
            choices=max_choices,
            sequences=max_sequences,
        ),
        drain_s=drain_seconds,
        cds_hooks=None
        if not cds_hooks
        else CdsHooksSettings(
            fhir_servers=tuple(cds_fhir_server or ()),
            clients=_clients(cds_client),
            base_url=cds_base_url,
            rules=cds_rules,
            feedback=cds_feedback,
            origins=tuple(cds_origin or ()),
        ),
    )
    folder, named = o.named_adapters(adapter)
    session = Session(
        model, dtype=dtype, device=device, adapter=folder, adapters=named, quantize=quantize, mmproj=mmproj, here=True
    )
    terms = session.wanted.terms()  # before the files are read: what changes meanwhile is another model
    backend = session.backend
    assert isinstance(backend, NativeBackend)  # a session without a backend's URL loads one

    def started(url: str, name: str) -> None:
        note(f"{name} is served at {url}/v1 (OpenAI's API; also {url}/healthz and /metrics)")
        for each in backend.adapters:
            note(f"{each} is {name} with an adapter; callers ask for it as the model")
        if settings.cds_hooks is not None:
            note(f"CDS Hooks are served at {url}/cds-services")
        note("callers need the key" if settings.api_key else "no key is needed; only this machine can reach it")
        note(f"! {session.caution}")
        note("Ctrl-C stops it")

    if run(backend, settings, started, terms) == signal.SIGINT:
        raise typer.Exit(INTERRUPTED)


def _clients(values: list[str] | None) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for value in values or ():
        issuer, _, file = value.rpartition("=")
        if not issuer or not file or issuer in found:
            raise typer.BadParameter(f"{value!r}: give ISSUER=FILE, each issuer once", param_hint="--cds-client")
        found[issuer] = Path(file)
    return found
