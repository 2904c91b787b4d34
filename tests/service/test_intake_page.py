"""The intake page: one-time links, consent, resuming, expiry, the clinic's side, and what a browser is told."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from aris.service.intake.app import create_app
from aris.service.intake.sessions import Sessions
from aris.tasks.intake import Site

KEY = {"Authorization": "Bearer clinic-key"}


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "intakes"


@pytest.fixture
def client(folder: Path, clock: Clock) -> Iterator[TestClient]:
    app = create_app(Sessions(folder, clock=clock), Site(emergency_number="144"), "clinic-key")
    with TestClient(app, follow_redirects=True) as made:
        yield made


def begun(client: TestClient) -> str:
    made = client.post("/intake/sessions", headers=KEY)
    assert made.status_code == 201
    assert client.post(made.json()["link"]).status_code == 200
    return str(made.json()["id"])


def hidden(page: str) -> dict[str, str]:
    return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page))


def say(client: TestClient, text: str) -> str:
    page = client.get("/intake").text
    return client.post("/intake", data=hidden(page) | {"answer": text}).text


def test_a_link_works_once_and_opening_it_uses_nothing_up(client: TestClient) -> None:
    link = client.post("/intake/sessions", headers=KEY).json()["link"]
    assert client.get(link).status_code == client.get(link).status_code == 200
    assert "software, not a person" in client.post(link).text
    assert client.post(link).status_code == client.get("/intake").status_code == 200  # the patient's own phone goes on
    client.cookies.clear()
    assert client.get(link).status_code == client.post(link).status_code == 410  # another one does not


def test_an_answer_that_would_keep_all_others_waiting_is_refused(client: TestClient) -> None:
    begun(client)
    asked = client.get("/intake/question").json()["question"]
    given = {"question": asked["id"], "number": asked["number"], "answer": "no chest pain, " * 5000}
    assert client.post("/intake/answer", json=given).status_code == 413
    assert client.get("/intake/question").json()["question"] == asked


def test_what_has_expired_is_removed_without_a_new_link(client: TestClient, folder: Path, clock: Clock) -> None:
    begun(client)
    say(client, "yes")
    clock.now += 2 * 86_400
    assert client.get("/intake/sessions", headers=KEY).json() == {"sessions": []} and not list(folder.glob("*.json"))


def test_without_a_link_nothing_is_open(client: TestClient) -> None:
    assert client.get("/intake").status_code == 410
    assert client.get("/intake/question").status_code == 410
    for ticket in ("x", "a" * 16 + "." + "b" * 40, "../../etc/passwd", "%2e%2e.aaa"):
        assert client.post(f"/intake/start/{ticket}").status_code in (404, 410)


def test_the_clinics_side_needs_its_key(client: TestClient) -> None:
    name = begun(client)
    for method, path in (
        ("POST", ""),
        ("GET", ""),
        ("GET", f"/{name}"),
        ("GET", f"/{name}/fhir"),
        ("DELETE", f"/{name}"),
    ):
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic clinic-key"}):
            assert client.request(method, f"/intake/sessions{path}", headers=headers).status_code == 401


def test_a_visit_from_link_to_summary(client: TestClient) -> None:
    name = begun(client)
    say(client, "1")
    say(client, "1")
    say(client, "54")
    assert (
        'role="alert"' in say(client, "crushing chest pain <b>now</b>") and "Call 144 now" in client.get("/intake").text
    )
    found = client.get(f"/intake/sessions/{name}", headers=KEY).json()
    assert found["level"] == "emergency" and found["summary"]["chief_complaint"] == "crushing chest pain <b>now</b>"
    assert "<b>" not in client.get("/intake").text
    document = client.get(f"/intake/sessions/{name}/fhir", headers=KEY)
    assert document.headers["content-type"].startswith("application/fhir+json")
    assert document.json()["resourceType"] == "Bundle"
    assert client.delete(f"/intake/sessions/{name}", headers=KEY).status_code == 204
    assert client.get("/intake").status_code == 410


def test_declined_keeps_nothing(client: TestClient, folder: Path) -> None:
    begun(client)
    assert "nothing was kept" in say(client, "2")
    assert not list(folder.iterdir()) and client.get("/intake").status_code == 410


def test_it_goes_on_after_a_restart_at_the_same_question(client: TestClient, folder: Path, clock: Clock) -> None:
    begun(client)
    say(client, "1")
    before = client.get("/intake/question").json()
    again = TestClient(create_app(Sessions(folder, clock=clock), Site(), "clinic-key"), cookies=dict(client.cookies))
    assert again.get("/intake/question").json() == before


def test_an_answer_that_is_sent_twice_counts_once(client: TestClient) -> None:
    begun(client)
    say(client, "1")
    old = hidden(client.get("/intake").text) | {"answer": "1"}
    client.post("/intake", data=old)
    asked = client.get("/intake/question").json()["question"]
    client.post("/intake", data=old)
    assert client.get("/intake/question").json()["question"] == asked


def test_sessions_expire(client: TestClient, clock: Clock, folder: Path) -> None:
    begun(client)
    link = client.post("/intake/sessions", headers=KEY).json()["link"]
    clock.now += 86_401
    assert client.get("/intake").status_code == client.get(link).status_code == 410
    client.post("/intake/sessions", headers=KEY)  # tidies up
    assert len(list(folder.iterdir())) == 1


def test_secrets_are_not_in_the_files(client: TestClient, folder: Path) -> None:
    link = client.post("/intake/sessions", headers=KEY).json()["link"]
    client.post(link)
    kept = "".join(path.read_text() for path in folder.iterdir())
    assert link.rpartition(".")[2] not in kept and client.cookies["aris_intake"].rpartition(".")[2] not in kept


def test_json_for_programs(client: TestClient) -> None:
    begun(client)
    asked = client.get("/intake/question").json()
    assert asked["status"] == "consent" and asked["question"]["type"] == "consent"
    sent = {"question": "consent", "number": 0, "answer": "yes"}
    assert client.post("/intake/answer", json=sent).json()["question"]["id"] == "who"
    assert (
        client.post("/intake/answer", json={"question": "consent", "number": 0, "answer": "no"}).json()["status"]
        == "asking"
    )
    assert client.post("/intake/answer", content=b"[1").status_code == 400
    assert client.post("/intake/answer", content=b"x" * 200_000).status_code == 413


@pytest.mark.parametrize("headers", [{"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}])
def test_other_pages_cannot_answer(client: TestClient, headers: dict[str, str]) -> None:
    begun(client)
    page = client.get("/intake").text
    assert client.post("/intake", data=hidden(page) | {"answer": "1"}, headers=headers).status_code == 403
    assert client.get("/intake/question").json()["status"] == "consent"


class Outline(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def test_each_page_has_labels_a_language_and_a_strict_policy(client: TestClient) -> None:
    begun(client)
    for said in ("1", "1", "40", "itchy elbow", "0", "0", "1", "3", "3", "3 days"):
        response = client.get("/intake")
        policy = response.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and "script-src" not in policy
        assert response.headers["cache-control"] == "no-store" and response.headers["referrer-policy"] == "no-referrer"
        outline = Outline()
        outline.feed(response.text)
        names = [tag for tag, _ in outline.tags]
        assert dict(outline.tags)["html"]["lang"] == "en" and names.count("main") == 1 and "title" in names
        assert not {"script", "img", "iframe", "style"} & set(names)
        assert not any(key.startswith("on") or key == "style" for _, given in outline.tags for key in given)
        labelled = {given.get("for") for tag, given in outline.tags if tag == "label"}
        for tag, given in outline.tags:
            if tag == "textarea" or given.get("type") == "text":
                assert given["id"] in labelled
        assert ("legend" in names) == ("fieldset" in names)
        assert len(response.content) < 8_000  # for slow networks
        say(client, said)
    cookie = client.post(client.post("/intake/sessions", headers=KEY).json()["link"], follow_redirects=False)
    told = cookie.headers["set-cookie"].lower()
    assert "httponly" in told and "samesite=strict" in told and "path=/intake" in told
