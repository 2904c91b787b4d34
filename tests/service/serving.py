"""A real uvicorn server in a thread, clients for it, and parts of requests."""

from __future__ import annotations

import base64
import faulthandler
import io
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx2
import numpy as np
import PIL.Image

from aris.backends import NativeBackend
from aris.service import Settings
from aris.service.http.connections import Connections
from aris.service.http.sockets import listen
from aris.service.openai.api import Api
from aris.service.server import make_server
from imported_late import late

openai = late("openai")


@dataclass
class Served:
    """A server that is up."""

    url: str
    api: Api
    connections: Connections

    @property
    def name(self) -> str:
        return self.api.name

    def openai(self, **changes: Any) -> openai.OpenAI:
        return openai.OpenAI(**{"base_url": f"{self.url}/v1", "api_key": "none", "max_retries": 0} | changes)

    def http(self, **changes: Any) -> httpx2.Client:
        return httpx2.Client(base_url=self.url, timeout=60, **changes)

    def metric(self, line: str) -> float:
        """The value of one line of /metrics, as in 'aris_answers_total{outcome="stop"}'."""
        text = httpx2.get(f"{self.url}/metrics", timeout=60).text
        return next(float(each.rpartition(" ")[2]) for each in text.splitlines() if each.startswith(line + " "))


@contextmanager
def serving(backend: NativeBackend, **changes: Any) -> Iterator[Served]:
    """Serve a backend on a free port."""
    settings = Settings(**{"port": 0, "drain_s": 1.0} | changes)
    listening = listen(settings)
    server = make_server(backend, settings)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    wait_for(lambda: server.started)
    try:
        yield Served(f"http://127.0.0.1:{listening.getsockname()[1]}", server.config.app.state.api, server.connections)  # type: ignore[union-attr]
    finally:
        server.should_exit = True
        thread.join(200)
        if thread.is_alive():
            faulthandler.dump_traceback()  # of every thread: which one it waits for
        assert not thread.is_alive(), "the server did not stop"


def wait_for(condition: Callable[[], bool], seconds: float = 100.0) -> None:
    """Wait until something holds; fails if it does not."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it never came to hold"
        time.sleep(0.01)


def picture(side: int = 40, *, kind: str = "PNG", seed: int = 0) -> str:
    """A data: URI of a picture with some structure."""
    pixels = np.random.default_rng(seed).integers(0, 255, (side, side), dtype=np.uint8)
    out = io.BytesIO()
    PIL.Image.fromarray(pixels).save(out, kind)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(out.getvalue()).decode()}"


def user(*parts: str | dict[str, Any]) -> list[dict[str, Any]]:
    """A conversation of one turn; a str that is a data: URI is an image."""
    content: list[dict[str, Any]] = []
    for part in parts:
        if isinstance(part, dict):
            content.append(part)
        elif part.startswith("data:"):
            content.append({"type": "image_url", "image_url": {"url": part}})
        else:
            content.append({"type": "text", "text": part})
    return [{"role": "user", "content": content}]
