"""Keys, and web pages that would like to use a server without one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from serving import Served, serving, user

from aris.backends import NativeBackend
from imported_late import late

openai = late("openai")

KEY = "a-key-of-the-tests"
PATHS = (("GET", "/v1/models"), ("GET", "/metrics"), ("GET", "/openapi.json"), ("GET", "/nowhere"),
         ("POST", "/v1/chat/completions"), ("POST", "/v1/completions"))  # fmt: skip


@pytest.fixture(scope="module")
def guarded(backend: NativeBackend) -> Iterator[Served]:
    with serving(backend, api_key=KEY) as up:
        yield up


def test_the_right_key_opens(guarded: Served) -> None:
    client = guarded.openai(api_key=KEY)
    assert client.models.list().data[0].id == guarded.name
    made = client.chat.completions.create(model=guarded.name, messages=user("x"), max_tokens=2)  # type: ignore[arg-type]
    assert made.choices


@pytest.mark.parametrize(("method", "path"), PATHS)
@pytest.mark.parametrize("header", [None, "Bearer wrong", f"Basic {KEY}", KEY, "Bearer", f"Bearer {KEY}x", "Bearer ä"])
def test_anything_else_does_not(guarded: Served, method: str, path: str, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header.encode("utf-8")}
    with guarded.http() as http:
        response = http.request(method, path, headers=headers)
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert response.json()["error"]["code"] == "invalid_api_key"
    assert KEY not in response.text


def test_health_needs_no_key(guarded: Served) -> None:
    with guarded.http() as http:
        assert http.get("/healthz").json() == {"status": "ok"}


def test_the_clients_error_is_its_own_class(guarded: Served) -> None:
    with pytest.raises(openai.AuthenticationError):
        guarded.openai(api_key="wrong").models.list()


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://example.org"},
        {"Origin": "http://localhost:1"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Host": "example.org"},
        {"Host": "example.org:8000"},
        {"Host": "127.0.0.1.example.org"},
        {"Host": "localhost.example.org"},
        {"Host": ""},
        {"Host": "[::1].example.org"},
    ],
)
def test_pages_of_elsewhere_are_refused(served: Served, headers: dict[str, str]) -> None:
    with served.http() as http:
        for method, path in (*PATHS, ("GET", "/healthz"), ("OPTIONS", "/v1/chat/completions")):
            response = http.request(method, path, headers=headers)
            assert response.status_code == 403, (path, response.text)
            assert response.json()["error"]["code"] == "forbidden_origin"
            assert not any(name.lower().startswith("access-control") for name in response.headers)


@pytest.mark.parametrize("host", ["localhost", "localhost:8000", "127.0.0.1", "127.1.2.3:9", "[::1]", "[::1]:80"])
def test_names_of_this_machine_are_good(served: Served, host: str) -> None:
    with served.http() as http:
        assert http.get("/v1/models", headers={"Host": host}).status_code == 200
        same = {"Host": host, "Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"}
        own = http.get("/v1/models", headers=same)
        assert own.status_code == 200


def test_with_a_key_the_page_does_not_matter(guarded: Served) -> None:
    """The key is what a page of elsewhere lacks; a server that others reach is called by its own names."""
    headers = {"Authorization": f"Bearer {KEY}", "Host": "aris.example.org", "Origin": "https://example.org"}
    with guarded.http() as http:
        response = http.get("/v1/models", headers=headers)
    assert response.status_code == 200
    assert "access-control-allow-origin" not in response.headers
