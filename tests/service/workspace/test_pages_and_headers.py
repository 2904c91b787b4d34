"""The pages and the headers of every answer: policy, nonce, caches, no way out of the folder, nothing built."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from cheap_passwords import make_cheap
from workspace_house import WorkspaceHouse, code_of

INDEX = '<!doctype html><html><head lang="en"><title>Aris</title></head><body><div id="root"></div></body></html>'


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> WorkspaceHouse:
    folder = tmp_path_factory.mktemp("pages")
    pages = folder / "static"
    (pages / "assets").mkdir(parents=True)
    (pages / "index.html").write_text(INDEX)
    (pages / "assets" / "index-3fa9c1.js").write_text("export {}")
    (pages / "assets" / "codec-77.wasm").write_bytes(b"\0asm")
    (pages / "favicon.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    (pages / ".hidden").write_text("secret")
    (folder / "outside.txt").write_text("secret")
    (pages / "leads-out").symlink_to(folder / "outside.txt")
    with pytest.MonkeyPatch.context() as patch:
        make_cheap(patch)
        return WorkspaceHouse(folder, pages=pages)


def test_every_path_that_is_no_file_is_the_one_page(house: WorkspaceHouse) -> None:
    client = house.client()
    for path in ("/", "/index.html", "/study/1.2.3", "/signin?next=/x", "/apis", "/a/b/c.html"):
        answer = client.get(path)
        assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/html")
        assert '<div id="root">' in answer.text and answer.headers["cache-control"] == "no-store"
    assert client.head("/").status_code == 200 and client.head("/").content == b""
    assert client.post("/").status_code == 405


def test_styles_carry_a_nonce_that_is_new_each_time(house: WorkspaceHouse) -> None:
    seen = set()
    for _ in range(3):
        answer = house.client().get("/")
        (nonce,) = re.findall(r'<meta name="csp-nonce" content="([\w-]{20,})">', answer.text)
        policy = answer.headers["content-security-policy"]
        assert f"style-src 'self' 'nonce-{nonce}'" in policy
        seen.add(nonce)
    assert len(seen) == 3


def test_a_page_that_has_its_own_place_for_the_nonce(house: WorkspaceHouse) -> None:
    from aris.service.workspace.pages import _with_nonce

    made = _with_nonce(b'<head><meta property="csp-nonce" nonce="__CSP_NONCE__"></head>', "abc")
    assert made == b'<head><meta property="csp-nonce" nonce="abc"></head>'


def test_scripts_and_data_come_from_here_alone(house: WorkspaceHouse) -> None:
    said = house.client().get("/").headers["content-security-policy"]
    policy = dict(part.strip().partition(" ")[::2] for part in said.split(";"))
    assert policy["default-src"] == "'none'" and policy["script-src"] == "'self' 'wasm-unsafe-eval'"
    assert policy["connect-src"] == "'self'" and policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert "unsafe-inline" not in str(policy) and "*" not in str(policy) and "http" not in str(policy)


def test_headers_stand_on_every_answer(house: WorkspaceHouse) -> None:
    client = house.client()
    for path, status in (
        ("/", 200), ("/assets/index-3fa9c1.js", 200), ("/assets/none.js", 404), ("/api/session", 200),
        ("/api/users", 401), ("/api/none", 404),
    ):  # fmt: skip
        answer = client.get(path)
        assert answer.status_code == status
        check_headers(answer.headers)
    check_headers(client.get("/", headers={"Host": "evil.example"}).headers)
    check_headers(client.post("/api/session", content=b"{", headers={"Content-Type": "application/json"}).headers)
    check_headers(client.post("/api/session", content=b"a" * (2 << 20)).headers)
    assert "default-src 'none'" in client.get("/api/session").headers["content-security-policy"]


def check_headers(headers: Mapping[str, str]) -> None:
    held = dict(headers.items())
    assert held["x-content-type-options"] == "nosniff" and held["referrer-policy"] == "no-referrer"
    assert "frame-ancestors 'none'" in held["content-security-policy"] and held["x-frame-options"] == "DENY"
    assert held["cross-origin-opener-policy"] == held["cross-origin-resource-policy"] == "same-origin"
    assert "camera=()" in held["permissions-policy"] and "server" not in held
    assert held["cache-control"] in ("no-store", "public, max-age=31536000, immutable")


def test_files_have_their_kinds_and_only_those_with_a_digest_are_kept(house: WorkspaceHouse) -> None:
    client = house.client()
    for path, kind, kept in (
        ("/assets/index-3fa9c1.js", "text/javascript", True), ("/assets/codec-77.wasm", "application/wasm", True),
        ("/favicon.svg", "image/svg+xml", False),
    ):  # fmt: skip
        answer = client.get(path)
        assert answer.headers["content-type"].startswith(kind)
        assert ("immutable" in answer.headers["cache-control"]) == kept
    assert code_of(client.get("/assets/index-0.js")) == "not_found"  # not the page: a browser would run it as a script


@pytest.mark.parametrize("path", [
    "/../outside.txt", "/..%2foutside.txt", "/%2e%2e/outside.txt", "/assets/../../outside.txt", "/..%5coutside.txt",
    "/assets/%2e%2e/%2e%2e/outside.txt", "//outside.txt", "/%2foutside.txt", "/leads-out", "/.hidden",
    "/assets/..%00/x", "/%00", "/....//outside.txt",
])  # fmt: skip
def test_no_path_leads_out_of_the_folder(house: WorkspaceHouse, path: str) -> None:
    import httpx2

    client = house.client()
    request = client.build_request("GET", "http://127.0.0.1:8000/")
    request.url = httpx2.URL("http://127.0.0.1:8000").copy_with(raw_path=path.encode())
    answer = client.send(request)
    assert "secret" not in answer.text and answer.status_code in (200, 400, 404)
    assert answer.status_code >= 400 or '<div id="root">' in answer.text


def test_pages_that_are_not_built_are_said_to_be_so(tmp_path: Path, cheap_passwords: None) -> None:
    from fastapi import FastAPI
    from fastapi.testclient import TestClient

    from aris.service.workspace.pages import pages_router

    app = FastAPI()
    app.include_router(pages_router(None))
    answer = TestClient(app).get("/study/1")
    assert answer.status_code == 503 and "npm run build" in answer.text and answer.text.count("\n") == 1
