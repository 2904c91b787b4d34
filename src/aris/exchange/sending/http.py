"""A client for requests to a service of a site: its certificates, its token, its errors in one line."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from aris.errors import ExchangeError
from aris.regular import read_regular

if TYPE_CHECKING:
    import httpx2

_CONNECT_S, _TIMEOUT_S = 10.0, 60.0


@contextmanager
def client(url: str, token_file: Path | None = None, authority: Path | None = None) -> Iterator[httpx2.Client]:
    """A client of a service; within the block its failures are `ExchangeError`s that name the service, no patient.

    Args:
        token_file: holds a bearer token.
        authority: certificates that the service's must be signed by (PEM), in place of the system's.

    Raises:
        ExchangeError: it cannot be reached or breaks off; or a file cannot be read.
    """
    import httpx2

    headers = {} if token_file is None else {"Authorization": f"Bearer {_token(token_file)}"}
    verify: ssl.SSLContext | bool = True
    if authority is not None:
        try:
            verify = ssl.create_default_context(cafile=str(authority))
        except (OSError, ssl.SSLError):
            raise ExchangeError(f"{authority}: no certificates (PEM)") from None
    try:
        # A token is sent nowhere but where it was meant to go, and no proxy sees a report.
        with httpx2.Client(
            headers=headers, verify=verify, follow_redirects=False, trust_env=False,
            timeout=httpx2.Timeout(_TIMEOUT_S, connect=_CONNECT_S),
        ) as made:  # fmt: skip
            yield made
    except httpx2.TimeoutException:
        raise ExchangeError(f"{url}: no answer in time") from None
    except httpx2.ConnectError:
        raise ExchangeError(f"{url}: cannot be reached; check the address, and whether it is up") from None
    except httpx2.HTTPError as error:
        raise ExchangeError(f"{url}: the connection broke ({type(error).__name__})") from None


def refused(url: str, status: int) -> ExchangeError:
    """Return the error for a status that is no success."""
    if status in (401, 403):
        return ExchangeError(f"{url}: refused with status {status}; check its token_file")
    if 300 <= status < 400:
        return ExchangeError(f"{url}: answers with a redirection (status {status}); give the address that it leads to")
    return ExchangeError(f"{url}: refused with status {status}")


def _token(path: Path) -> str:
    try:
        token = read_regular(path, 8192).decode("ascii").strip()
    except (OSError, ValueError):
        raise ExchangeError(f"{path}: no token can be read from it") from None
    if not token or any(not each.isprintable() or each.isspace() for each in token):
        raise ExchangeError(f"{path}: holds no token on one line")
    return token
