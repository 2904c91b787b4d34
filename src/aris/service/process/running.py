"""The one process: begins its parts, and ends all of them within ten seconds of a signal.

What is acknowledged is on the disk at any moment, so that the end may cut everything short: uploads and associations
that were not answered are sent again by whoever sends, and drafts that are not ready go back to the queue.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import uvicorn

from aris.errors import ArisError, ExchangeError
from aris.flow import demo
from aris.flow.house import House
from aris.flow.worker import Worker
from aris.service.http.connections import Connections
from aris.service.http.listening import protect
from aris.service.http.logs import configure_logs
from aris.service.http.signals import Server
from aris.service.http.sockets import listen, url_of
from aris.service.process.gateway import Gateway
from aris.service.process.loading import LoadingModel
from aris.service.process.settings import DICOMWEB, INTAKE, ProcessSettings
from aris.service.process.warming import load_documents_later
from aris.service.workspace.app import create_workspace
from aris.service.workspace.context import Workspace
from aris.service.workspace.studies.events import end_live

if TYPE_CHECKING:
    from aris.backends import NativeBackend
    from aris.exchange.node.server import Node
    from aris.flow.drafting import Drafter
    from aris.service.resident import ResidentServer
    from aris.service.workspace.drafts.live import LiveDrafts
    from aris.store.store import Added

log = logging.getLogger("aris.serve")
# After a signal: service managers kill after ten seconds. Answers and drafts have so long to end by themselves.
_END_S, _DRAIN_S, _DRAFT_S = 9.0, 3, 4.0
INTERRUPTED = 130
MODEL_API = "Model API"


@dataclass(frozen=True)
class Started:
    """The running parts, for whoever started them.

    Attributes:
        url: of the workspace.
        setup_code: of the first set-up; None where there is a user.
        services: name, address and state of each part.
    """

    url: str
    setup_code: str | None
    services: list[dict[str, str]] = field(default_factory=list)


class Process:
    """All parts over a house.

    Args:
        house: stays the caller's, and must be open until `run` has returned.
        model: that drafts and answers; it is loaded while the rest works already.
        drafter: makes the drafter of the loaded model.
        terms: what the user's own commands must agree to, to use the model as if they had loaded it; None serves none.
    """

    def __init__(
        self,
        house: House,
        model: LoadingModel,
        settings: ProcessSettings,
        drafter: Callable[[NativeBackend], Drafter],
        terms: dict[str, Any] | None = None,
    ) -> None:
        self._house, self._model, self._settings = house, model, settings
        self._drafter, self._terms = drafter, terms
        self._worker = Worker(house, None) if settings.worker else None
        self._node: Node | None = None
        self._live: LiveDrafts | None = None
        self._resident: ResidentServer | None = None
        self._working: threading.Thread | None = None
        self._finished = False
        self._workspace: Workspace | None = None
        self._ended = threading.Event()

    def run(self, started: Callable[[Started], None] = lambda _: None) -> int | None:
        """Work until SIGINT or SIGTERM. Call it in the main thread.

        Args:
            started: is called once, when all can be reached; the model may still be loading.

        Returns:
            The signal that ended it.

        Raises:
            ArisError: an address cannot be listened at.
        """
        configure_logs()
        listening = listen(_Address(self._settings.host, self._settings.port), "serve")
        with contextlib.ExitStack() as parts:
            parts.callback(listening.close)
            self._start_node()
            parts.callback(self._stop_node)
            pages = create_workspace(self._house, settings=self._settings.workspace)
            workspace: Workspace = pages.state.workspace
            self._workspace = workspace
            scheme = "http" if self._settings.tls is None else "https"
            url = url_of(self._settings.host, listening).replace("http", scheme, 1)
            workspace.services = services = self._services(url)
            workspace.demo_available = demo.available()
            self._follow(workspace)
            gateway = Gateway(pages, self._model, self._settings, self._received, self._finish)
            server = self._server(gateway)
            self._start_worker()
            parts.callback(load_documents_later().cancel)
            started(Started(url, workspace.setup_code, services))
            try:
                server.run(sockets=[listening])
            finally:
                self._finish()
            if not server.started and server.stopped_by is None:
                raise ArisError("serve: the server could not start; its log says why")
        if self._resident is not None:
            self._resident.close()
        self._ended.set()
        return server.stopped_by

    def _start_node(self) -> None:
        if self._settings.node is None:
            return
        from aris.exchange.node.server import Node

        node = Node(self._house.store, self._settings.node, self._received)
        try:
            node.start()
        except ExchangeError as error:
            raise ExchangeError(f"{error} with --dicom-port, or leave the node out with --no-node") from None
        self._node = node

    def _stop_node(self) -> None:
        if self._node is not None:
            self._node.stop()

    def _received(self, added: Added, source: str) -> None:
        # Nothing that tells a patient: logs are read by many.
        log.info("an object came: %s", added.outcome)

    def _services(self, url: str) -> list[dict[str, str]]:
        settings = self._settings
        made = [{"name": "Workspace", "address": url, "state": "running"}]
        if self._node is not None and settings.node is not None:
            where = f"{settings.node.ae_title}@{settings.node.host}:{self._node.port}"
            made.append({"name": "DICOM node", "address": where, "state": "running"})
        if settings.dicomweb:
            made.append({"name": "DICOMweb", "address": f"{url}{DICOMWEB}", "state": "running"})
        if settings.intake and self._house.settings.intake.page:
            made.append({"name": "Intake for patients", "address": f"{url}{INTAKE}", "state": "running"})
        if self._worker is not None:
            made.append({"name": "Worker", "address": "", "state": "running"})
        if self._model.state != "none":
            made.append({"name": MODEL_API, "address": f"{url}/v1", "state": self._model.state})
        return made

    def _follow(self, workspace: Workspace) -> None:
        """Give the loaded model to all that use it, and tell the workspace where it stands."""
        workspace.loading = "loading" if self._model.state == "loading" else ""

        def ready(backend: NativeBackend) -> None:
            from aris.backends.memory import share_arenas
            from aris.service.workspace.drafts.live import LiveDrafts

            share_arenas()
            # First what may fail: a model without its drafts is given to nobody. Pages ask for drafts as soon as they
            # see one.
            self._live = live = LiveDrafts(self._house, self._drafter(backend))
            workspace.drafts = live
            workspace.model, workspace.loading = backend, ""
            if self._worker is not None:
                self._worker.use(live.drafter, live)
            if self._terms is not None:
                from aris.service.resident import ResidentServer

                self._resident = ResidentServer(backend, self._terms)
                self._resident.start()
            _put_state(workspace, "running")
            log.info("the model is loaded: %s", backend.name)

        def failed(_: str) -> None:
            workspace.loading = "failed"
            _put_state(workspace, "failed")

        self._model.when_ready(ready)
        self._model.when_failed(failed)

    def _server(self, gateway: Gateway) -> Server:
        connections = Connections(self._settings.connections)
        config = uvicorn.Config(
            gateway,
            log_config=None,  # ours
            access_log=False,  # its lines have whole paths; ours have none
            server_header=False,
            lifespan="on",
            ws="none",
            timeout_graceful_shutdown=_DRAIN_S,
            timeout_keep_alive=max(1, round(self._settings.connections.idle_s)),
        )
        protect(config, connections)
        config.load()
        config.ssl = self._settings.tls
        server = Server(config, connections)
        server.on_stop = self._stop
        return server

    def _start_worker(self) -> None:
        if self._worker is not None:
            self._working = threading.Thread(target=self._worker.run, name="aris-worker", daemon=True)
            self._working.start()

    def _stop(self, number: int) -> None:
        """The first signal: nothing new is begun, and the end is due."""
        if self._worker is not None:
            self._worker.stop()
        if self._live is not None:
            self._live.close()
        if self._workspace is not None:
            # Pages that listen would hold the end up until the drain's time is over. In the loop, which runs here.
            with contextlib.suppress(RuntimeError):
                asyncio.get_running_loop().call_soon_threadsafe(end_live, self._workspace)
        threading.Thread(target=self._stop_node, daemon=True).start()
        threading.Thread(target=self._end_in_time, args=(number,), daemon=True).start()

    def _finish(self) -> None:
        """Before the model's engine ends, which would make failures of drafts that only need to be begun again."""
        if self._finished:
            return
        self._finished = True
        if self._live is not None:
            self._live.close()
        if self._worker is not None and self._working is not None:
            self._worker.stop()
            self._working.join(_DRAFT_S)
        self._give_back()

    def _give_back(self) -> None:
        """Leave to whoever comes next what is still being drafted or delivered."""
        try:
            count = 0 if self._worker is None else self._worker.give_back()
            count += 0 if self._live is None else self._live.give_back()
            if count:
                log.info("%d pieces of work went back to the queue", count)
        except ArisError as error:
            log.error("what was being done waits until its lease has run out: %s", error)

    def _end_in_time(self, number: int) -> None:
        """Whatever hangs then: what was acknowledged is on the disk."""
        if self._ended.wait(_END_S):
            return
        log.warning("stopped: not all had ended in time; what was acknowledged is stored")
        giving = threading.Thread(target=self._give_back, daemon=True)
        giving.start()
        giving.join(0.5)
        os._exit(INTERRUPTED if number == signal.SIGINT else 0)


def _put_state(workspace: Workspace, state: str) -> None:
    for each in workspace.services:
        if each["name"] == MODEL_API:
            each["state"] = state


@dataclass(frozen=True)
class _Address:
    host: str
    port: int
