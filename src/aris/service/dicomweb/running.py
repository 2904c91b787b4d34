"""A DICOMweb server beside other work of its process: in a thread, from `start` to `stop`."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import uvicorn

from aris.errors import ArisError
from aris.service.dicomweb.app import create_app
from aris.service.dicomweb.settings import DicomwebSettings
from aris.service.http.connections import Connections
from aris.service.http.listening import ListeningServer, protect
from aris.service.http.sockets import listen, url_of

if TYPE_CHECKING:
    from aris.store.store import Added, Store

_START_S = 30.0


class DicomwebServer:
    """DICOMweb over a store.

    Args:
        store: must stay open while the server is up.
        settings: see there.
        received: is called after each object that was kept; see `create_app`.
    """

    def __init__(
        self,
        store: Store,
        settings: DicomwebSettings | None = None,
        received: Callable[[Added, str], None] = lambda *_: None,
    ) -> None:
        self.settings = settings or DicomwebSettings()
        self._config = uvicorn.Config(
            create_app(store, self.settings, received),
            log_config=None,  # ours
            access_log=False,  # its lines have whole paths; ours have none
            server_header=False,
            lifespan="off",
            ws="none",
            timeout_graceful_shutdown=4,
            timeout_keep_alive=30,
        )
        connections = Connections(self.settings.connections)
        self._server = ListeningServer(protect(self._config, connections), connections)
        self._thread: threading.Thread | None = None
        self.url = ""

    def start(self) -> None:
        """Listen, in a thread.

        Raises:
            ArisError: the address cannot be listened at.
        """
        listening = listen(self.settings, "DICOMweb", "--dicomweb")
        self._config.load()
        self._config.ssl = self.settings.tls
        scheme = "http" if self.settings.tls is None else "https"
        self.url = url_of(self.settings.host, listening).replace("http", scheme, 1) + self.settings.prefix
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [listening]}, daemon=True)
        self._thread.start()
        end = time.monotonic() + _START_S
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > end:
                raise ArisError("DICOMweb: the server did not start")
            time.sleep(0.01)

    def stop(self) -> None:
        """Stop listening; requests in progress have a few seconds to end."""
        if self._thread is not None:
            self._server.should_exit = True
            self._thread.join(8)
            self._thread = None

    def __enter__(self) -> DicomwebServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
