"""A caller that leaves frees its sequence, whatever it was waiting for."""

from __future__ import annotations

import json
import socket
from concurrent.futures import ThreadPoolExecutor

import pytest
from serving import Served, user, wait_for

CLIENTS = 200


def leave_in_mid_stream(served: Served, number: int) -> None:
    """Ask, read a little of the stream (or nothing of it), and hang up."""
    host, port = served.url.removeprefix("http://").split(":")
    body = json.dumps(
        {"messages": user(f"Client {number}"), "stream": number % 4 != 3, "max_tokens": 40_000, "temperature": 0}
    ).encode()
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.sendall(
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            b"Content-Length: " + str(len(body)).encode() + b"\r\n\r\n" + body
        )
        if number % 4 == 0:  # some text has come
            got = b""
            while got.count(b"data: ") < 3:
                piece = connection.recv(4096)
                assert piece, got
                got += piece
            assert got.startswith(b"HTTP/1.1 200"), got
        elif number % 4 == 1:  # the headers have
            assert connection.recv(15).startswith(b"HTTP/1.1 200")
        # 2 leaves before anything came; 3 never asked for a stream


@pytest.mark.timeout(240)
def test_200_clients_leave_nothing_behind(served: Served) -> None:
    before = served.metric('aris_answers_total{outcome="aborted"}')
    with ThreadPoolExecutor(32) as pool:
        list(pool.map(lambda number: leave_in_mid_stream(served, number), range(CLIENTS)))
    wait_for(lambda: served.api.dispatcher.active == 0)
    facts = served.api.engine_facts()
    assert facts["running"] == 0 and facts["waiting"] == 0
    assert served.metric('aris_answers_total{outcome="aborted"}') > before
    wait_for(lambda: not served.api.dispatcher._generations)  # forgotten a moment after the last is counted off
    # And the next caller is served.
    client = served.openai()
    made = client.chat.completions.create(model=served.name, messages=user("x"), max_tokens=3)  # type: ignore[arg-type]
    assert made.choices[0].finish_reason


def test_closing_the_official_clients_stream_stops_it(served: Served) -> None:
    wait_for(lambda: served.api.dispatcher.active == 0)  # what other tests left is being freed
    stream = served.openai().chat.completions.create(
        model=served.name, messages=user("x"), max_tokens=40_000, temperature=0, stream=True, n=3  # type: ignore[arg-type]
    )
    next(iter(stream))
    assert served.api.dispatcher.active == 3
    stream.close()
    wait_for(lambda: served.api.dispatcher.active == 0)
