"""The intake page as a server, until it is told to stop."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import uvicorn

from aris.backends import Backend
from aris.errors import ArisError
from aris.service.http.connections import Connections
from aris.service.http.listening import ListeningServer, protect
from aris.service.http.logs import configure_logs
from aris.service.http.sockets import listen, url_of
from aris.service.intake.app import create_app
from aris.service.intake.sessions import Sessions
from aris.service.settings import Settings
from aris.tasks.intake import Site


def address(text: str) -> tuple[str, int]:
    """Return host and port of "HOST:PORT".

    Raises:
        ArisError: it is none.
    """
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise ArisError(f"{text!r:.60}: no address; give HOST:PORT, as 127.0.0.1:8700")
    return host, int(port)


def serve_intake(
    folder: Path,
    site: Site,
    at: str,
    api_key: str,
    model: Backend | None = None,
    started: Callable[[str], None] = lambda _: None,
) -> None:
    """Serve the intake page until SIGINT or SIGTERM.

    Args:
        folder: of the sessions.
        site: its settings.
        at: "HOST:PORT"; port 0 takes a free one.
        api_key: opens the clinic's side.
        model: chooses questions; None goes by the fixed order.
        started: is called once with the server's URL.

    Raises:
        ArisError: the address cannot be listened at, or the key cannot be sent in a header.
        StoreError: the folder cannot be made.
    """
    host, port = address(at)
    settings = Settings(host=host, port=port, api_key=api_key)
    app = create_app(Sessions(folder), site, api_key, model)
    configure_logs()
    listening = listen(settings, "intake", "--listen")
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,  # its lines have whole paths, and a link's path is a secret
        server_header=False,
        lifespan="off",
        ws="none",
        timeout_graceful_shutdown=4,
    )
    connections = Connections(settings.connections)
    server = ListeningServer(protect(config, connections), connections)
    started(url_of(host, listening))
    server.run(sockets=[listening])
