"""Serving a model: sockets, signals, and an end that lets answers in progress end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import uvicorn

from aris.backends import NativeBackend
from aris.backends.memory import share_arenas
from aris.service.app import create_app
from aris.service.http.connections import Connections
from aris.service.http.listening import protect
from aris.service.http.logs import configure_logs
from aris.service.http.signals import Server
from aris.service.http.sockets import listen, url_of
from aris.service.openai.api import served_name
from aris.service.resident import ResidentServer
from aris.service.settings import Settings


def serve(
    backend: NativeBackend,
    settings: Settings,
    started: Callable[[str, str], None] = lambda *_: None,
    terms: dict[str, Any] | None = None,
) -> int | None:
    """Serve a model until SIGINT or SIGTERM. Call it in the main thread.

    Args:
        backend: the model.
        settings: where, for whom, and how much.
        started: is called once with the server's URL and the model's name there, when it can be reached.
        terms: what the user's own commands must agree to, to use the model as if they had loaded it
            (`backends.resident.address.Wanted.terms`); None serves no commands.

    Returns:
        The signal that ended it.

    Raises:
        ArisError: the address cannot be listened at.
    """
    configure_logs()
    share_arenas()
    backend.tokenizer.prepare()
    listening = listen(settings)
    server = make_server(backend, settings)
    started(url_of(settings.host, listening), settings.model_name or served_name(backend))
    resident = ResidentServer(backend, terms)
    resident.start()
    try:
        server.run(sockets=[listening])
    finally:
        resident.close()
    return server.stopped_by


def make_server(backend: NativeBackend, settings: Settings) -> Server:
    """The server of a model, which runs on sockets that are given to it."""
    connections = Connections(settings.connections)
    return Server(config(backend, settings, connections), connections)


def config(
    backend: NativeBackend, settings: Settings, connections: Connections | None = None
) -> uvicorn.Config:
    """Return uvicorn's configuration."""
    made = uvicorn.Config(
        create_app(backend, settings),
        log_config=None,  # ours
        access_log=False,  # its lines have whole paths; ours have none (see access_log)
        server_header=False,
        lifespan="on",
        ws="none",
        timeout_graceful_shutdown=max(1, round(settings.drain_s)),
        timeout_keep_alive=max(1, round(settings.connections.idle_s)),
    )
    return protect(made, connections or Connections(settings.connections))
