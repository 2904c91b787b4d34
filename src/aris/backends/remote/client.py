"""HTTP to an OpenAI-compatible endpoint: one line for each thing that can go wrong, and patience where it is busy."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from aris.errors import ModelError, PromptError

if TYPE_CHECKING:
    import httpx2

_BUSY = (429, 503)
_CONNECT_S = 10.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 20.0
_LINE_END = re.compile(rb"\r\n|\n|\r")


class RemoteClient:
    """Sends requests to one endpoint. Safe for several threads.

    Attributes:
        url: the base URL, without a trailing slash and without what it may hold of a login.
    """

    def __init__(self, url: str, api_key: str | None, *, timeout_s: float, retries: int) -> None:
        """Make a client of an endpoint.

        Args:
            url: base URL of the API.
            api_key: for the Authorization header.
            timeout_s: longest silence.
            retries: after 429, 503 and refused connections.

        Raises:
            ModelError: the URL is not one of HTTP, or the key cannot be sent.
        """
        import httpx2

        try:
            parsed = httpx2.URL(url.strip())
        except httpx2.InvalidURL:
            raise ModelError("backend: the URL cannot be read; give one such as http://127.0.0.1:8000/v1") from None
        if parsed.scheme not in ("http", "https") or not parsed.host:
            raise ModelError("backend: the URL must begin with http:// or https:// and name a host")
        if parsed.userinfo:
            raise ModelError("backend: the URL holds a login; give the key in ARIS_BACKEND_API_KEY instead")
        if parsed.path in ("", "/"):
            parsed = parsed.copy_with(path="/v1")
        self.url = str(parsed).rstrip("/")
        headers = {}
        if api_key:
            if not (api_key.isascii() and api_key.isprintable()):
                raise ModelError("backend: the key has characters that a header cannot hold; check it")
            headers["Authorization"] = f"Bearer {api_key}"
        self._retries = retries
        self._client = httpx2.Client(
            headers=headers,
            timeout=httpx2.Timeout(timeout_s, connect=_CONNECT_S),
            follow_redirects=False,  # a key is sent nowhere but where it was meant to go
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def models(self) -> list[dict[str, Any]]:
        """The endpoint's models.

        Raises:
            ModelError: it cannot be reached, refuses, or does not speak this API.
        """
        with self._request("GET", "/models", None) as response:
            try:
                data = json.loads(response.read())["data"]
                return [dict(card) for card in data if isinstance(card["id"], str)]
            except (ValueError, KeyError, TypeError, RecursionError):
                raise ModelError(f"{self.url}: this is no OpenAI-compatible API; check the URL") from None

    def answer(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """The response to a request that is not streamed.

        Raises:
            PromptError, ModelError: as `events`.
        """
        with self._request("POST", path, body) as response:
            try:
                found = json.loads(response.read())
            except (ValueError, RecursionError):
                raise ModelError(f"{self.url}: the answer is not JSON") from None
            return found if isinstance(found, dict) else {}

    def events(self, path: str, body: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """The events of a streamed response, up to [DONE], which not all servers send, or to its end.

        Closing the iterator closes the connection.

        Raises:
            PromptError: the endpoint finds the request wrong (400, 413, 422).
            ModelError: it cannot be reached, is busy for too long, or fails.
        """
        with self._request("POST", path, body) as response:
            for line in _lines(response.iter_bytes()):
                if not line.startswith("data:"):
                    continue  # comments that keep the connection alive, event names
                data = line[5:].strip()
                if data == "[DONE]":
                    return
                try:
                    event = json.loads(data)
                except (ValueError, RecursionError):
                    raise ModelError(f"{self.url}: an event of the stream is not JSON") from None
                if not isinstance(event, dict):
                    raise ModelError(f"{self.url}: an event of the stream is no object")
                if event.get("error"):
                    raise ModelError(f"{self.url}: {_message(event)}")
                yield event

    @contextmanager
    def _request(self, method: str, path: str, body: Mapping[str, Any] | None) -> Iterator[httpx2.Response]:
        """A response with status 200, after as many attempts as it takes; errors of reading it are in one line too."""
        import httpx2

        attempt = 0
        while True:
            try:
                with self._client.stream(method, self.url + path, json=body) as response:
                    if response.status_code == 200:
                        yield response
                        return
                    response.read()
                    if response.status_code not in _BUSY or attempt >= self._retries:
                        raise self._refusal(response)
                    pause = _pause(attempt, response.headers.get("retry-after"))
            except httpx2.ConnectError:
                # Sent to nobody, so it may be sent again: a server that restarts is back in a moment.
                if attempt >= min(self._retries, 1):
                    raise ModelError(f"{self.url}: cannot be reached; is the server running there?") from None
                pause = _pause(attempt, None)
            except httpx2.TimeoutException:
                raise ModelError(f"{self.url}: no answer in time; the server is overloaded or gone") from None
            except httpx2.HTTPError as error:
                raise ModelError(f"{self.url}: the connection broke ({type(error).__name__}); try again") from None
            attempt += 1
            time.sleep(pause)

    def _refusal(self, response: httpx2.Response) -> ModelError | PromptError:
        status = response.status_code
        try:
            said = _message(json.loads(response.content))
        except (ValueError, RecursionError):
            said = "no reason was given"
        if status in (401, 403):
            return ModelError(f"{self.url}: refused with status {status}; set ARIS_BACKEND_API_KEY to its key")
        if status in (400, 413, 422):
            return PromptError(f"{self.url}: {said}")
        if status == 404:
            return ModelError(f"{self.url}: not found ({said}); check the URL and the model's name")
        if status in _BUSY:
            return ModelError(f"{self.url}: busy (status {status}) after {self._retries + 1} attempts; try later")
        return ModelError(f"{self.url}: status {status}: {said}")


def _lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """Lines of an event stream.

    Only CR and LF end one (WHATWG HTML, 9.2.5): JSON may hold a U+2028 or U+0085 as it is, which would end one in a
    text.
    """
    rest = b""
    for chunk in chunks:
        *lines, rest = _LINE_END.split(rest + chunk)
        yield from (line.decode("utf-8", "replace") for line in lines)
    if rest:
        yield rest.decode("utf-8", "replace")


def _message(body: Any) -> str:
    """The message of an error body, in whichever of the usual forms, as one line of limited length."""
    found = body.get("error", body) if isinstance(body, Mapping) else body
    if isinstance(found, Mapping):
        found = found.get("message") or found.get("detail") or "no reason was given"
    text = " ".join(str(found).split())
    return "".join(c for c in text if c.isprintable())[:300]


def _pause(attempt: int, retry_after: str | None) -> float:
    """Seconds to wait: what the server says, else doubling ones."""
    wanted = _FIRST_PAUSE_S * 2**attempt
    if retry_after is not None and retry_after.strip().isdecimal():
        wanted = max(float(retry_after), _FIRST_PAUSE_S)
    return min(wanted, _LONGEST_PAUSE_S)
