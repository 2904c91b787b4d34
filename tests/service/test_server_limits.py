"""What is too much is refused, with the status that says so, and costs little."""

from __future__ import annotations

import base64
import json
import socket
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from serving import Served, picture, serving, user, wait_for

import aris
from aris.backends import NativeBackend
from aris.engine import EngineLimits
from aris.errors import ArisError
from aris.service import Limits, Settings
from imported_late import late

openai = late("openai")

TIGHT = Limits(
    body_bytes=20_000, body_s=3.0, images=2, image_pixels=5_000, output_tokens=2000, choices=3, sequences=4,
    schema_bytes=500,
)  # fmt: skip


@pytest.fixture(scope="module")
def tight(backend: NativeBackend) -> Iterator[Served]:
    with serving(backend, limits=TIGHT) as up:
        yield up


def error_of(served: Served, **changes: Any) -> tuple[int, dict[str, Any]]:
    body = {"messages": user("x"), "max_tokens": 3} | changes
    with served.http() as http:
        response = http.post("/v1/chat/completions", json=body)
    return response.status_code, response.json().get("error", {})


def test_bodies(tight: Served) -> None:
    assert error_of(tight, messages=user("x" * 25_000))[0] == 413
    with tight.http() as http:
        # Without a declared length it is counted as it comes.
        chunked = http.post(
            "/v1/chat/completions",
            content=(b" " * 5_000 for _ in range(6)),
            headers={"Content-Type": "application/json"},
        )
        assert chunked.status_code == 413 and chunked.json()["error"]["code"] == "request_too_large"
        assert http.get("/healthz").json() == {"status": "ok"}


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "gzip, identity"])
def test_a_compressed_body_is_refused_as_such(tight: Served, encoding: str) -> None:
    packed = zlib.compress(json.dumps({"messages": user("x")}).encode())
    headers = {"Content-Type": "application/json", "Content-Encoding": encoding}
    with tight.http() as http:
        answer = http.post("/v1/chat/completions", content=packed, headers=headers)
    assert answer.status_code == 415 and answer.json()["error"]["param"] == "Content-Encoding"


def test_a_body_that_does_not_come(tight: Served) -> None:
    host, port = tight.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            b"Content-Length: 100\r\n\r\n{"
        )
        connection.settimeout(100)
        assert connection.recv(4096).startswith(b"HTTP/1.1 408")


def test_only_json(tight: Served) -> None:
    with tight.http() as http:
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
            response = http.post("/v1/chat/completions", content=b"{}", headers={"Content-Type": kind})
            assert response.status_code == 415
        good = {"Content-Type": "application/json; charset=utf-8"}
        for content in (b"", b"{", b'{"a": NaN}', b"\xff\xfe", b"[" * 15_000, b'"\\ud800"'):
            response = http.post("/v1/chat/completions", content=content, headers=good)
            assert response.status_code == 400, content[:10]
            assert response.json()["error"]["type"] == "invalid_request_error"


def test_images(tight: Served) -> None:
    small = picture(40)
    assert error_of(tight, messages=user(small, small, "x"))[0] == 200
    status, error = error_of(tight, messages=user(small, small, small, "x"))
    assert (status, error["code"]) == (413, "request_too_large") and "2 images" in error["message"]
    status, error = error_of(tight, messages=user(picture(80), "x"))
    assert status == 413 and "5,000 pixels" in error["message"]
    # Together, too.
    assert error_of(tight, messages=user(picture(60), picture(60), "x"))[0] == 413


def png_of(width: int, height: int) -> str:
    """A PNG that is all header."""
    chunk = b"IHDR" + width.to_bytes(4, "big") + height.to_bytes(4, "big") + b"\x08\x00\x00\x00\x00"
    whole = b"\x89PNG\r\n\x1a\n" + b"\x00\x00\x00\r" + chunk + zlib.crc32(chunk).to_bytes(4, "big")
    whole += b"\0\0\0\0IDAT" + zlib.crc32(b"IDAT").to_bytes(4, "big")
    return "data:image/png;base64," + base64.b64encode(whole).decode()


@pytest.mark.parametrize(
    ("uri", "status", "names"),
    [
        ("http://127.0.0.1/x.png", 400, "not fetched"),
        ("https://example.org/x.png", 400, "not fetched"),
        ("file:///etc/passwd", 400, "not fetched"),
        ("/etc/passwd", 400, "data:"),
        ("", 400, "data:"),
        ("data:image/png,abc", 400, "base64"),
        ("data:image/png;base64,", 400, "empty"),
        ("data:image/png;base64,%%%", 400, "damaged"),
        ("data:image/png;base64,ä", 400, "damaged"),
        ("data:image/png;base64," + base64.b64encode(b"GIF89a").decode(), 400, "GIF"),
        ("data:image/png;base64," + base64.b64encode(b"hello there").decode(), 400, "text"),
        (picture()[:-40] + "=" * (len(picture()[:-40].partition(",")[2]) % 4), 400, "damaged"),
        (png_of(60_000, 60_000), 413, "pixels"),
        (png_of(3, 3), 400, "damaged"),
    ],
)  # fmt: skip
def test_what_is_no_image(tight: Served, uri: str, status: int, names: str) -> None:
    image = {"type": "image_url", "image_url": {"url": uri}}
    found, error = error_of(tight, messages=user(image, "x"))
    assert (found, names in error["message"]) == (status, True), error
    assert error["message"].startswith("messages.0.content.0.image_url")


def test_tokens_and_choices(tight: Served) -> None:
    assert error_of(tight, max_tokens=2001)[0] == 400
    assert error_of(tight, n=4)[0] == 400
    with tight.http() as http:
        # Where the request sets no length the server's holds.
        made = http.post(
            "/v1/chat/completions", json={"messages": user("x"), "temperature": 0, "stop": ["\N{SNOWMAN}"]}
        ).json()
    assert made["usage"]["completion_tokens"] <= 2000


def test_a_schema_has_a_size(tight: Served) -> None:
    schema = {"type": "object", "properties": {f"p{i}": {"type": "string"} for i in range(50)}}
    status, _ = error_of(
        tight, response_format={"type": "json_schema", "json_schema": {"name": "big", "schema": schema}}
    )
    assert status == 413


def test_busy_is_a_429_that_says_when_to_come_back(tight: Served) -> None:
    client = tight.openai()
    streams = [
        client.chat.completions.create(
            model=tight.name, messages=user("x"), max_tokens=2000, temperature=0, stream=True  # type: ignore[arg-type]
        )
        for _ in range(4)
    ]  # fmt: skip
    with pytest.raises(openai.RateLimitError) as caught:
        client.chat.completions.create(model=tight.name, messages=user("x"), max_tokens=3)  # type: ignore[arg-type]
    assert int(caught.value.response.headers["Retry-After"]) >= 1
    assert caught.value.code == "engine_busy"
    for stream in streams:
        stream.close()
    wait_for(lambda: tight.api.dispatcher.active == 0)
    assert error_of(tight)[0] == 200


def test_memory_of_all_images_together_has_a_limit(backend: NativeBackend) -> None:
    """One request alone is answered whatever it takes; another one beside it is refused until it has ended."""
    with serving(backend, limits=Limits(image_bytes=1)) as up:
        client = up.openai()
        assert error_of(up, messages=user(picture(), "x"))[0] == 200
        stream = client.chat.completions.create(
            model=up.name, messages=user(picture(), "x"), max_tokens=2000, temperature=0, stream=True  # type: ignore[arg-type]
        )
        next(iter(stream))
        status, error = error_of(up, messages=user(picture(seed=1), "x"))
        assert (status, error["code"]) == (429, "engine_busy")
        assert error_of(up)[0] == 200
        assert up.api.dispatcher.active == 1  # nothing of what was refused goes on
        stream.close()
        wait_for(lambda: error_of(up, messages=user(picture(seed=1), "x"))[0] == 200)
        assert up.api.backend.engine.stats()["waiting"] == 0


def test_bodies_have_a_limit_together_and_are_let_go_when_they_are_read(backend: NativeBackend) -> None:
    with serving(backend, limits=Limits(bodies_bytes=1)) as up:
        host, port = up.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as half:
            half.sendall(HEAD.replace(b"LENGTH", b"100") + b"{" + b" " * 50)
            wait_for(lambda: error_of(up)[0] == 429)
        wait_for(lambda: error_of(up)[0] == 200)
        client = up.openai()
        stream = client.chat.completions.create(
            model=up.name, messages=user("x"), max_tokens=2000, temperature=0, stream=True  # type: ignore[arg-type]
        )
        next(iter(stream))
        assert error_of(up)[0] == 200  # the body of an answer in progress is not held
        stream.close()


HEAD = (
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    b"Content-Length: LENGTH\r\n\r\n"
)


def test_a_text_far_too_long_is_refused_before_it_is_cut_into_tokens(
    backend: NativeBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which takes a minute and gigabytes for as much as a body may hold."""
    with serving(backend) as up, up.http() as http:
        encode, longest = backend.tokenizer.encode, backend.tokenizer.longest_token
        seen: list[int] = []

        def watched(text: str, add_bos: bool = False) -> list[int]:
            seen.append(len(text))
            return encode(text, add_bos)

        monkeypatch.setattr(backend.tokenizer, "encode", watched)
        text = "lung " * (backend.engine.max_tokens * longest // 5 + 1)
        status, error = error_of(up, messages=user(text))
        assert (status, error["code"]) == (400, "context_length_exceeded")
        legacy = http.post("/v1/completions", json={"prompt": text, "max_tokens": 1})
        assert (legacy.status_code, legacy.json()["error"]["code"]) == (400, "context_length_exceeded")
        assert max(seen, default=0) < len(text)
        assert error_of(up, messages=user("x" + " " * len(text)))[0] == 200  # white space at the ends is no part of it


def test_the_models_card_tells_what_this_machine_reads(endless_folder: Path) -> None:
    small = aris.load(endless_folder, device="cpu", dtype="float32", limits=EngineLimits(max_tokens=300))
    with serving(small) as up, up.http() as http:
        assert http.get("/v1/models").json()["data"][0]["max_model_len"] == 300
        status, error = error_of(up, messages=user("x" * 400))
        assert (status, error["code"]) == (400, "context_length_exceeded")


def test_settings_are_checked() -> None:
    with pytest.raises(ArisError, match="sequences"):
        Limits(sequences=0)
    with pytest.raises(ArisError, match="needs a key"):
        Settings(host="0.0.0.0")
    with pytest.raises(ArisError, match="needs a key"):
        Settings(host="aris.example.org")
    for key in ("", "a b", "ä", "a\n"):
        with pytest.raises(ArisError, match="key"):
            Settings(host="0.0.0.0", api_key=key)
    assert "secret" not in repr(Settings(api_key="secret"))
    for host in ("127.0.0.1", "127.8.9.1", "::1", "[::1]", "localhost"):
        Settings(host=host)


def test_deep_and_odd_json_is_no_defect(served: Served) -> None:
    deep: Any = "x"
    for _ in range(900):
        deep = [deep]
    with served.http() as http:
        for body in ({"messages": deep}, {"messages": [{"role": "user", "content": deep}]}, {"metadata": deep}, [], 5):
            response = http.post("/v1/chat/completions", content=json.dumps(body).encode(),
                                 headers={"Content-Type": "application/json"})  # fmt: skip
            assert response.status_code == 400, body


def test_a_slow_reader_does_not_stop_others(served: Served) -> None:
    client = served.openai()
    slow = client.chat.completions.create(
        model=served.name, messages=user("x"), max_tokens=3000, temperature=0, stream=True  # type: ignore[arg-type]
    )
    next(iter(slow))
    time.sleep(0.2)  # reads nothing meanwhile
    with served.http() as http:
        assert http.get("/healthz").status_code == 200
    slow.close()
    wait_for(lambda: served.api.dispatcher.active == 0)
