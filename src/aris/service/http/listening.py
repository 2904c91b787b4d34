"""uvicorn's server on sockets of ours, whose connections are bounded (see `connections`)."""

from __future__ import annotations

import asyncio
import socket
import sys
from typing import Any

import uvicorn

from aris.service.http.connections import Acceptor, Connections

_STARTUP_FAILURE = 3  # uvicorn's exit status


def protect(config: uvicorn.Config, connections: Connections) -> uvicorn.Config:
    """Have a server's connections be of a table."""
    config.http = connections.protocol  # type: ignore[assignment]
    return config


class ListeningServer(uvicorn.Server):
    """uvicorn's server with a bounded acceptance of connections.

    Args:
        config: of the server.
        connections: of the server; must be those that `config` was protected with.
    """

    def __init__(self, config: uvicorn.Config, connections: Connections) -> None:
        super().__init__(config)
        self.connections = connections

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await self.lifespan.startup()
        if self.lifespan.should_exit:
            sys.exit(_STARTUP_FAILURE)
        self.connections.fit_open_files()

        def connection() -> asyncio.Protocol:
            return self.connections.protocol(
                config=self.config, server_state=self.server_state, app_state=self.lifespan.state
            )

        acceptors: list[Any] = [
            Acceptor(each, connection, self.connections, self.config.ssl) for each in sockets or ()
        ]
        self.servers = acceptors
        self.started = True
