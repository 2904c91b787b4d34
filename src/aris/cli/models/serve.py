"""`aris serve`: the workspace and all that belongs to it in one process, or a model behind OpenAI's API alone."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Annotated

import typer

from aris.cli.groups import with_groups
from aris.cli.models.browser import open_workspace
from aris.cli.models.serve_options import (
    CdsOptions,
    LimitOptions,
    NodeOptions,
    PartOptions,
    SecurityOptions,
    require_workspace,
)
from aris.cli.options import shared as o
from aris.cli.outcome import INTERRUPTED, leave_at_once
from aris.cli.reading.house import HouseOptions
from aris.cli.session import Session
from aris.cli.terminal import note

if TYPE_CHECKING:
    from aris.backends import NativeBackend
    from aris.flow.drafting import Drafter
    from aris.service import Settings
    from aris.service.process.running import Started

_SERVER = "Server"


@with_groups
def serve(
    parts: PartOptions,
    where: HouseOptions,
    security: SecurityOptions,
    node: NodeOptions,
    limits: LimitOptions,
    cds: CdsOptions,
    api_only: Annotated[
        bool, typer.Option("--api-only", help="Serve OpenAI's API alone: no workspace, no store.")
    ] = False,
    host: Annotated[
        str,
        typer.Option(
            help="Address to listen at. One that others can reach needs TLS; with --api-only, a key.",
            rich_help_panel=_SERVER,
        ),
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
        typer.Option(
            min=0, help="With --api-only: time that answers get to end when it is stopped.", rich_help_panel=_SERVER
        ),
    ] = 10.0,
    model: o.ModelOption = "aris-nano",
    mmproj: o.MmprojOption = None,
    adapter: o.AdaptersOption = None,
    quantize: o.QuantizeOption = None,
    dtype: o.DtypeOption = "auto",
    device: o.DeviceOption = "auto",
) -> None:
    """Serve the workspace in the browser, with all that belongs to it, in one process.

    That is: the pages; a DICOM node and DICOMweb, which take studies in; a worker that drafts what arrives and delivers
    what is signed; and OpenAI's API at /v1. Each can be left out, or run apart. The pages are there at once, the model
    when it is loaded. On the first run the first account is made with a code that is printed here.

    With --api-only: a model behind OpenAI's API alone (/v1/chat/completions, /v1/completions, /v1/models, /healthz,
    /metrics). On this machine alone, as by default, no key is needed.

    Ctrl-C or SIGTERM stops it, within ten seconds; a second one stops it at once.

    Examples:

        aris serve

        aris serve --host 0.0.0.0 --tls-cert aris.pem --tls-key aris.key

        ARIS_API_KEY=... aris serve --api-only --host 0.0.0.0 \\
            --model medgemma-1.5-4b-it

        aris serve --api-only --adapter tiles=runs/tiles/adapter \\
            --adapter records=runs/records/adapter
    """
    from aris.service import Settings

    if api_only and parts.no_model:
        raise typer.BadParameter("there is nothing to serve then", param_hint="--no-model")
    if not api_only:
        require_workspace()
    # Before the model is loaded: a wrong setting costs no waiting.
    settings = Settings(
        host=host if api_only else "127.0.0.1",
        port=port,
        api_key=api_key,
        model_name=served_model_name,
        limits=limits.limits(),
        drain_s=drain_seconds,
        cds_hooks=cds.settings(),
    )
    folder, named = o.named_adapters(adapter)
    session = Session(
        model, dtype=dtype, device=device, adapter=folder, adapters=named, quantize=quantize, mmproj=mmproj, here=True
    )
    if api_only:
        _serve_api(session, settings)
    else:
        _serve_all(session, settings, parts, where, security, node, host, port)


def _serve_api(session: Session, settings: Settings) -> None:
    from aris.backends import NativeBackend
    from aris.service import serve as run

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


def _serve_all(
    session: Session, api: Settings, parts: PartOptions, where: HouseOptions, security: SecurityOptions,
    node: NodeOptions, host: str, port: int,
) -> None:  # fmt: skip
    from aris.exchange.node.tls import server_context
    from aris.service.process.loading import LoadingModel
    from aris.service.process.running import Process
    from aris.service.process.settings import ProcessSettings

    tls = server_context(security.tls_cert, security.tls_key, None)
    dicom = None if parts.no_node else node.settings(security.tls_cert, security.tls_key)
    with where.house() as house:
        settings = ProcessSettings(
            workspace=security.workspace(host, house.settings),
            port=port,
            tls=tls,
            api=api,
            node=dicom,
            dicomweb=not parts.no_dicomweb,
            intake=not parts.no_intake,
            origins=tuple(security.web_origin or ()),
            worker=not parts.no_worker,
        )
        if opened := house.store.tighten(every=True):
            note(f"! {opened} files of the store were open to other users of this machine, and are no more")

        def load() -> NativeBackend:
            from aris.backends import NativeBackend

            backend = session.load()
            assert isinstance(backend, NativeBackend)  # a session without a backend's URL loads one
            if session.caution:
                note(f"! {session.caution}")
            return backend

        def drafter(backend: NativeBackend) -> Drafter:
            from aris.flow.drafter import ModelDrafter

            return ModelDrafter(backend, session.calibration(parts.calibration))

        loading = LoadingModel(str(session.name), None if parts.no_model else load)
        process = Process(house, loading, settings, drafter, None if parts.no_model else session.wanted.terms())
        by = process.run(lambda started: _tell(started, loading.name, parts, house.store.folder))
    # A draft that was given back may still be computed in its thread; nobody waits for it.
    leave_at_once(INTERRUPTED if by == signal.SIGINT else 0)


def _tell(started: Started, model: str, parts: PartOptions, store: object) -> None:
    from aris.workspace import MISSING, pages

    if started.setup_code is None:
        note(f"the workspace is at {started.url}")
    else:
        note(f"the workspace is at {started.url}/setup#{started.setup_code}")
        note("nobody has an account yet: make the first one there; the code in the address works once")
    if pages() is None:
        note(f"! {MISSING}")
    for each in started.services[1:]:
        if each["address"]:
            note(f"{each['name']}: {each['address']}")
    note(f"studies are kept in {store}")
    if parts.no_model:
        note("no model: the workspace reads and signs, and drafts nothing")
    else:
        note(f"{model} is loading; the pages are there already")
    note("stop with Ctrl+C")
    if not parts.no_browser and pages() is not None:
        open_workspace(started.url, started.setup_code)
