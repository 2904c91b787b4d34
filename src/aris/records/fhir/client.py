"""HTTP to a FHIR server: patience where it is busy, one line for each error, no host but the one that was named."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from aris.errors import RecordError

if TYPE_CHECKING:
    import httpx2

_BUSY = (408, 425, 429, 500, 502, 503, 504)
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 60.0
_CONNECT_S = 10.0
_LIMIT = 1 << 28  # bytes of one page
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Answer:
    """A server's answer.

    Attributes:
        status: of HTTP.
        body: what it holds.
        location: of what was created, or empty.
    """

    status: int
    body: bytes
    location: str


class FhirClient:
    """Talks to one FHIR server.

    Attributes:
        base: its base URL without a trailing slash.
    """

    def __init__(
        self,
        base: str,
        token: str | None = None,
        *,
        timeout_s: float = 60.0,
        retries: int = 4,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        """Make a client; nothing is sent yet.

        Args:
            base: the base URL ("https://host/fhir").
            token: sent as `Authorization: Bearer TOKEN`, to this host alone; never in a message.
            timeout_s: longest silence of the server.
            retries: how often a request is sent again after 408, 425, 429, 5xx or a broken connection.
            sleep: waits for a number of seconds.

        Raises:
            RecordError: the address is none of HTTP, holds a login, or the token would go over the network unencrypted.
        """
        import httpx2

        parts = urlsplit(base)
        try:
            named = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
        except ValueError:
            named = False
        if not named:
            raise RecordError("the FHIR server's address must begin with http:// or https:// and name a host")
        if parts.username or parts.password:
            raise RecordError("the FHIR server's address holds a login; give a token in ARIS_FHIR_TOKEN instead")
        if token and parts.scheme == "http" and parts.hostname not in _LOOPBACK:
            raise RecordError("a token is not sent over http, where anyone can read it; use the server's https address")
        headers = {"Accept": "application/fhir+json, application/json;q=0.9"}
        if token:
            if not (token.isascii() and token.isprintable()) or " " in token:
                raise RecordError("the FHIR server's token has characters that a header cannot hold; check it")
            headers["Authorization"] = f"Bearer {token}"
        self.base = base.rstrip("/")
        self._origin = _origin(base)
        self._retries, self._sleep = retries, sleep
        self._client = httpx2.Client(
            headers=headers, timeout=httpx2.Timeout(timeout_s, connect=_CONNECT_S), follow_redirects=False
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def __enter__(self) -> FhirClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def absolute(self, link: str, page: str) -> str:
        """Return the address of a next page.

        Raises:
            RecordError: it is on another host than the server's.
        """
        url = urljoin(page, link)
        if _origin(url) != self._origin:
            raise RecordError(
                f"{self.base}: the next page is on another host, and is not read; the record is not whole"
            )
        return url

    def get(self, url: str, what: str, *, missing: bool = False) -> bytes | None:
        """Return the body of an answer with status 200.

        Args:
            url: the address.
            what: what is read, for messages.
            missing: give `None` where the server has no such thing (404, 410).

        Raises:
            RecordError: the server cannot be reached, refuses, or stays busy.
        """
        answer = self._exchange("GET", url, what, None, (404, 410) if missing else ())
        return answer.body if answer.status == 200 else None

    def send(self, method: str, url: str, what: str, resource: bytes | None = None,
             *, allowed: tuple[int, ...] = ()) -> Answer:  # fmt: skip
        """Create, replace or delete a resource, and return the server's answer.

        A request whose answer was lost is sent again: a create may be done twice, and the caller looks for that.

        Args:
            method: POST, PUT or DELETE.
            url: the address.
            what: what is changed, for messages.
            resource: the resource as JSON.
            allowed: statuses beside 2xx that are no error.

        Raises:
            RecordError: the server cannot be reached, refuses, or stays busy.
        """
        return self._exchange(method, url, what, resource, allowed)

    def _exchange(self, method: str, url: str, what: str, content: bytes | None, allowed: tuple[int, ...]) -> Answer:
        import httpx2

        whole = "the record is not whole" if method == "GET" else "it is not known whether it was done"
        headers = {} if content is None else {"Content-Type": "application/fhir+json"}
        good = (200,) if method == "GET" else (200, 201, 202, 204)
        attempt = 0
        while True:
            pause: float
            try:
                with self._client.stream(method, url, content=content, headers=headers) as response:
                    status = response.status_code
                    if status in good:
                        return Answer(status, self._body(response, what), response.headers.get("location", ""))
                    if status in allowed:
                        return Answer(status, b"", "")
                    if status not in _BUSY or attempt >= self._retries:
                        raise self._refusal(status, what)
                    pause = _pause(attempt, response.headers.get("retry-after"))
            except httpx2.ConnectError:
                if attempt >= self._retries:
                    raise RecordError(f"{self.base}: cannot be reached; is the server running there?") from None
                pause = _pause(attempt, None)
            except httpx2.TimeoutException:
                if attempt >= self._retries:
                    raise RecordError(f"{self.base}: no answer in time ({what}); try later") from None
                pause = _pause(attempt, None)
            except httpx2.HTTPError as error:
                if attempt >= self._retries:
                    raise RecordError(
                        f"{self.base}: the connection broke ({what}, {type(error).__name__}); {whole}"
                    ) from None
                pause = _pause(attempt, None)
            except httpx2.InvalidURL:
                raise RecordError(f"{self.base}: the server gave an address that cannot be read ({what})") from None
            attempt += 1
            self._sleep(pause)

    def _body(self, response: httpx2.Response, what: str) -> bytes:
        pieces, size = [], 0
        for piece in response.iter_bytes():
            size += len(piece)
            if size > _LIMIT:
                raise RecordError(f"{self.base}: a page is larger than {_LIMIT >> 20} MiB ({what}); not whole")
            pieces.append(piece)
        return b"".join(pieces)

    def _refusal(self, status: int, what: str) -> RecordError:
        if status in (401, 403):
            return RecordError(f"{self.base}: refused {what} (status {status}); check the token in ARIS_FHIR_TOKEN")
        if status in (404, 410):
            return RecordError(f"{self.base}: has no {what} (status {status}); check the address and the id")
        if 300 <= status < 400:
            return RecordError(f"{self.base}: sends on to another address ({what}, status {status}); give that one")
        if status in _BUSY:
            return RecordError(
                f"{self.base}: busy or failing (status {status}, {what}) after {self._retries + 1} attempts; "
                "the record is not whole; try later"
            )
        return RecordError(f"{self.base}: status {status} for {what}; the record is not whole")


def _origin(url: str) -> tuple[str, str | None, int | None]:
    try:
        parts = urlsplit(url)
        return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return "", None, None


def _pause(attempt: int, retry_after: str | None) -> float:
    """Seconds to wait: what the server says (seconds or a date), else doubling ones; a minute at most."""
    wanted = _FIRST_PAUSE_S * 2.0**attempt
    said = (retry_after or "").strip()
    if said.isdecimal() and len(said) < 9:
        wanted = max(float(said), wanted)
    elif said:
        with suppress(ValueError, TypeError):  # no date either
            wanted = max(parsedate_to_datetime(said).timestamp() - time.time(), wanted)
    return min(wanted, _LONGEST_PAUSE_S)
