"""Sockets that a server listens on."""

from __future__ import annotations

import socket
from typing import Protocol

from aris.errors import ArisError


class Address(Protocol):
    """Address that a server listens on."""

    @property
    def host(self) -> str: ...

    @property
    def port(self) -> int: ...


def listen(settings: Address, name: str = "serve", option: str = "--port") -> socket.socket:
    """A socket that listens where the settings say.

    Args:
        name: of the server, for the error.
        option: that sets its port.

    Raises:
        ArisError: it cannot.
    """
    host = settings.host.strip("[]")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(2048)
    except OSError as error:
        reason = error.strerror or "the address cannot be used"
        where = f"{name}: {host} port {settings.port}"
        raise ArisError(f"{where}: {reason}; choose another with --host or {option}") from None
    return listening


def url_of(host: str, listening: socket.socket) -> str:
    """The URL of a listening socket, as a client on this machine or a name of it would use it."""
    name = f"[{host}]" if ":" in host and not host.startswith("[") else host
    return f"http://{name}:{listening.getsockname()[1]}"
