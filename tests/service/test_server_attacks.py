"""Callers who would hold the server: each takes no more than its place, for no longer than it goes on."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
import uvicorn
from serving import Served, serving, wait_for
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route

from aris.backends import NativeBackend
from aris.service.http.connections import Connections
from aris.service.http.json_size import JsonDepthError, JsonSize, JsonSizeError
from aris.service.http.listening import ListeningServer, protect
from aris.service.metrics import Metrics
from aris.service.openai.generation import Dispatcher, Work
from aris.service.server import listen
from aris.service.settings import ConnectionLimits, Limits, Settings

QUICK = ConnectionLimits(connections=4, header_s=0.4, idle_s=0.4, stall_s=0.4, bytes_per_s=1000)


def connected(up: Served) -> socket.socket:
    host, port = up.url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=100)


def head(path: str, length: int, more: str = "") -> bytes:
    return (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n{more}"
        f"Content-Length: {length}\r\n\r\n"
    ).encode()


def status_of(connection: socket.socket) -> int:
    return int(connection.recv(4096).split(b" ")[1])


@contextmanager
def running(app: Any, limits: ConnectionLimits) -> Iterator[str]:
    """Any application behind the listening server."""
    listening = listen(Settings(port=0))
    table = Connections(limits)
    server = ListeningServer(protect(uvicorn.Config(app, log_config=None, lifespan="off", ws="none"), table), table)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    wait_for(lambda: server.started)
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    server.should_exit = server.force_exit = True
    thread.join(100)
    assert not thread.is_alive()


@pytest.mark.parametrize(
    ("path", "more", "status"),
    [
        ("/v1/chat/completions", "", 401),
        ("/v1/chat/completions", "Authorization: Bearer wrong\r\n", 401),
        ("/healthz", "", 401),  # open to readers alone
        ("/healthz", "Authorization: Bearer key\r\n", 405),
        ("/nothing", "Authorization: Bearer key\r\n", 404),
        ("/v1/chat/completions", "Authorization: Bearer key\r\nContent-Encoding: gzip\r\n", 415),
    ],
)
def test_no_body_is_read_of_who_is_refused(backend: NativeBackend, path: str, more: str, status: int) -> None:
    """It was, at /healthz: 66 callers without a key took 4.6 GB, and the caller with one got 429."""
    with serving(backend, api_key="key") as up, closing(connected(up)) as connection:
        connection.sendall(head(path, 60_000_000, more))
        assert status_of(connection) == status  # though nothing of the body has come
        assert up.api.bodies._held == 0


def test_silent_connections_are_ended(backend: NativeBackend) -> None:
    with serving(backend, connections=QUICK) as up:
        for said in (b"", b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-A: "):
            with closing(connected(up)) as connection:
                connection.sendall(said)
                assert connection.recv(100) == b""
        with closing(connected(up)) as connection:  # after an answer, too
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            while not connection.recv(4096).endswith(b'"ok"}'):
                pass
            assert connection.recv(100) == b""


def test_an_idle_connection_makes_room(backend: NativeBackend) -> None:
    """There were 1,024 of them, and then nobody was answered."""
    limits = ConnectionLimits(connections=4, header_s=500, idle_s=500)
    with serving(backend, connections=limits) as up:
        idle = [connected(up) for _ in range(20)]
        with up.http() as http:
            assert http.get("/healthz").status_code == 200
        assert len(up.connections) <= 4
        assert idle[0].recv(100) == b""  # the one that was idle longest
        for each in idle:
            each.close()


def test_where_all_are_busy_one_more_is_told_so(backend: NativeBackend) -> None:
    limits = ConnectionLimits(connections=2, header_s=500)
    with serving(backend, connections=limits, limits=Limits(body_s=500)) as up:
        busy = [connected(up) for _ in range(2)]
        for each in busy:
            each.sendall(head("/v1/chat/completions", 100) + b"{")
        wait_for(lambda: up.api.bodies._held == 2)
        with closing(connected(up)) as connection:
            assert status_of(connection) == 503
        for each in busy:
            each.close()
        wait_for(lambda: len(up.connections) == 0)


def test_a_body_that_trickles_is_cut(backend: NativeBackend) -> None:
    with serving(backend, limits=Limits(body_s=1, body_bytes_per_s=1000)) as up, closing(connected(up)) as connection:
        connection.sendall(head("/v1/chat/completions", 10_000) + b"{")
        done = threading.Event()

        def trickle() -> None:
            while not done.wait(0.05):
                try:
                    connection.sendall(b" ")
                except OSError:
                    return

        thread = threading.Thread(target=trickle)
        thread.start()
        assert status_of(connection) == 408
        done.set()
        thread.join()


def test_uploads_and_responses_that_do_not_go_on_are_cut() -> None:
    """Of any application, as DICOMweb's: a body that is read as it comes, a response that nobody takes."""
    ended: list[str] = []

    async def upload(request: Request) -> PlainTextResponse:
        try:
            async for _ in request.stream():
                pass
        finally:
            ended.append("upload")
        return PlainTextResponse("ok")

    async def download(_: Request) -> StreamingResponse:
        async def pieces() -> AsyncIterator[bytes]:
            try:
                while True:
                    yield b"x" * (1 << 20)
                    await asyncio.sleep(0)
            finally:
                ended.append("download")

        return StreamingResponse(pieces())

    app = Starlette(routes=[Route("/up", upload, methods=["POST"]), Route("/down", download)])
    limits = ConnectionLimits(header_s=500, idle_s=500, stall_s=0.5, bytes_per_s=1000)
    with running(app, limits) as url:
        place = ("127.0.0.1", int(url.rpartition(":")[2]))
        with socket.create_connection(place) as sender, socket.create_connection(place) as taker:
            sender.sendall(head("/up", 10_000) + b"x")
            taker.sendall(b"GET /down HTTP/1.1\r\nHost: x\r\n\r\n")
            wait_for(lambda: sorted(ended) == ["download", "upload"])


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"[" + b"[]," * 600_000 + b"1]", 413),
        (b'{"messages": ' + b"[" * 200, 400),
        (b'{"prompt": [' + b"[]," * 200_000 + b"[]]}", 400),
        (b'{"prompt": [' + b'{"a":1},' * 100_000 + b"1]}", 400),
        (b'{"prompt": "x", "stop": [' + b"1," * 200_000 + b"1]}", 400),
        (b'{"prompt": "x", "logit_bias": {' + b",".join(b'"%d":1' % at for at in range(9000)) + b"}}", 400),
        (b'{"prompt": "x", "seed": ' + b"1" * 5000 + b"}", 400),
        (b'{"prompt": "x", "top_p": NaN}', 400),
        (b"]" * 100_000, 400),
    ],
)
def test_json_is_counted_before_it_is_built(served: Served, body: bytes, status: int) -> None:
    with served.http() as http:
        response = http.post("/v1/completions", content=body, headers={"Content-Type": "application/json"})
    assert response.status_code == status, response.text
    assert len(response.content) < 2000


@pytest.mark.parametrize("size", [1, 2, 3, 5, 64, 10_000])
def test_values_are_counted_alike_however_a_body_arrives(size: int) -> None:
    text = rb'{"a, [": [1, 2, {"b": "\"[[{{,,\\"}, "\\\"[", ""], "c": [[[]]]}'
    cut = [text[at : at + size] for at in range(0, len(text), size)]

    def look(values: int, depth: int) -> None:
        counter = JsonSize(values, depth)
        for piece in cut:
            counter.feed(piece)

    # 2 objects, 4 lists, 3 members, 5 commas.
    look(14, 4)
    with pytest.raises(JsonSizeError):
        look(13, 4)
    with pytest.raises(JsonDepthError):
        look(14, 3)


def test_work_for_callers_who_left_is_given_up() -> None:
    """What waits its turn never begins, and what has begun is told."""

    async def run() -> None:
        dispatcher = Dispatcher(4, 1, Metrics(dict))
        entered, go, ran, stopped = threading.Semaphore(0), threading.Event(), [], []

        def block(work: Work) -> None:
            work.on_leave(lambda: stopped.append("stopped"))
            entered.release()
            go.wait(100)
            work.going()
            ran.append("went on")

        first = [asyncio.ensure_future(dispatcher.prepare(block)) for _ in range(4)]
        for _ in range(4):
            await asyncio.to_thread(entered.acquire)
        waiting = asyncio.ensure_future(dispatcher.prepare(lambda _: ran.append("began")))
        await asyncio.sleep(0)
        for each in (*first, waiting):
            each.cancel()
        await asyncio.gather(*first, waiting, return_exceptions=True)
        assert stopped == ["stopped"] * 4
        go.set()
        await asyncio.to_thread(dispatcher.close)
        assert ran == []

    asyncio.run(run())


@pytest.mark.parametrize("path", ["/v1/completions", "/v1/chat/completions"])
def test_scores_for_a_caller_who_left_are_given_up(served: Served, path: str) -> None:
    """Scoring of left callers went on, and a trivial request waited for it for 332 s."""
    engine = served.api.backend.engine
    before = engine.stats()["cancelled"]
    text = "lung " * 8000
    body: dict[str, Any] = {"prompt": [text + str(at) for at in range(8)], "max_tokens": 0, "echo": True, "logprobs": 0}
    if "chat" in path:
        body = {"messages": [{"role": "user", "content": text}], "prompt_logprobs": 0, "max_tokens": 40_000,
                "ignore_eos": True}  # fmt: skip
    with served.http(headers={"Connection": "close"}) as http:
        request = http.build_request("POST", path, json=body)
    with closing(connected(served)) as connection:
        connection.sendall(head(path, len(request.content)) + request.content)
        wait_for(lambda: engine.stats()["running"] > 0)
    wait_for(lambda: engine.stats()["running"] == engine.stats()["waiting"] == 0)
    assert engine.stats()["cancelled"] > before
    wait_for(lambda: served.api.dispatcher.active == 0)
