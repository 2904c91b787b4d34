"""Sessions: set-up, sign-in and its limits, cookies, forged requests, fixation, both expiries, sign-out everywhere."""

from __future__ import annotations

from datetime import timedelta
from http.cookies import SimpleCookie
from pathlib import Path

import pytest
from sqlalchemy import select, text

from aris.errors import ArisError
from aris.service.workspace.settings import WorkspaceSettings
from aris.store.reading import users
from aris.store.reading.access.tables import WebSessionRow
from workspace_house import PASSWORD, WorkspaceHouse, code_of

SET_UP = {"login": "ana", "password": PASSWORD, "name": "Müller^Ana", "organization": "St. Élan", "identifier": "7"}


def test_the_first_user_is_made_once_with_the_printed_code(
    tmp_path: Path, cheap_passwords: None, database_url: str | None
) -> None:
    room = WorkspaceHouse(tmp_path, database_url, people=False)
    client = room.client()
    assert client.get("/api/session").json()["setup_needed"]
    code = room.workspace.setup_code
    assert code is not None
    wrong = client.post("/api/setup", json={**SET_UP, "code": "2222-2222-2222"})
    assert (wrong.status_code, code_of(wrong)) == (403, "wrong_code")
    short = client.post("/api/setup", json={**SET_UP, "code": code, "password": "short"})
    assert short.status_code == 422 and room.workspace.setup_code == code
    made = client.post("/api/setup", json={**SET_UP, "code": code.lower().replace("-", " ")})
    assert made.status_code == 200
    assert made.json()["user"]["role"] == "admin+reader" and not made.json()["setup_needed"]
    assert client.get("/api/session").json()["user"]["login"] == "ana"
    assert client.get("/api/users").status_code == 200  # admin and reader at once
    assert room.workspace.setup_code is None
    again = room.client().post("/api/setup", json={**SET_UP, "login": "bob", "code": code})
    assert (again.status_code, code_of(again)) == (409, "set_up_already")
    assert [each["action"] for each in room.trail()] == ["sign in", "set up"]


def test_a_code_that_is_guessed_at_is_spent(tmp_path: Path, cheap_passwords: None) -> None:
    room = WorkspaceHouse(tmp_path, people=False)
    client, code = room.client(), room.workspace.setup_code
    for _ in range(20):
        assert client.post("/api/setup", json={**SET_UP, "code": "9999-9999-9999"}).status_code == 403
    spent = client.post("/api/setup", json={**SET_UP, "code": code})
    assert (spent.status_code, code_of(spent)) == (403, "code_spent")
    assert room.workspace.setup_code is None and client.get("/api/session").json()["setup_needed"]


def test_who_is_here_is_told_to_nobody_too(room: WorkspaceHouse) -> None:
    session = room.client().get("/api/session").json()
    assert session["user"] is None and session["csrf"] == "" and not session["setup_needed"]
    assert session["model"] is None and session["oidc"] is None


def test_sign_in_and_out(any_room: WorkspaceHouse) -> None:
    room = any_room
    client = room.client()
    session = room.sign_in(client, "ana")
    assert session["user"] == {
        "login": "ana", "name": "Müller^Ana", "role": "reader", "organization": "St. Élan", "identifier": "",
        "active": True,
    }  # fmt: skip
    assert client.get("/api/session").json()["csrf"] == session["csrf"] != ""
    cookie = dict(client.cookies)
    assert client.delete("/api/session").status_code == 204 and not client.cookies
    assert client.get("/api/session").json()["user"] is None
    client.cookies.update(cookie)  # the secret is worth nothing any more
    assert client.get("/api/session").json()["user"] is None
    assert [(each["action"], each["outcome"]) for each in room.trail()] == [("sign out", "done"), ("sign in", "done")]


def test_a_failed_sign_in_tells_nothing_is_audited_and_locks(room: WorkspaceHouse) -> None:
    client = room.client()
    told = {
        client.post("/api/session", json={"login": login, "password": "wrong"}).text for login in ("ana", "nobody")
    }
    assert len(told) == 1 and "wrong_password" in told.pop()
    noted = {(each["user"], each["outcome"]) for each in room.trail("sign in")}
    assert noted == {("ana", "denied"), ("(unknown)", "denied")}  # it may be a password in the wrong field
    for _ in range(5):
        client.post("/api/session", json={"login": "ana", "password": "wrong"})
    right = client.post("/api/session", json={"login": "ana", "password": PASSWORD})
    assert (right.status_code, code_of(right)) == (401, "wrong_password")
    room.later(minutes=20)
    assert room.sign_in(client, "ana")["user"]["login"] == "ana"


def test_attempts_are_limited_by_address_and_in_all(tmp_path: Path, cheap_passwords: None) -> None:
    room = WorkspaceHouse(tmp_path, sign_ins=3, sign_ins_in_all=100)
    client = room.client()
    answers = [client.post("/api/session", json={"login": "ana", "password": "x"}) for _ in range(4)]
    assert [each.status_code for each in answers] == [401, 401, 401, 429]
    assert code_of(answers[3]) == "too_many_attempts" and int(answers[3].headers["Retry-After"]) > 0
    assert client.post("/api/setup", json={**SET_UP, "code": "x"}).status_code == 429
    assert client.get("/api/session").status_code == 200


def test_the_cookie_on_loopback_and_under_tls(tmp_path: Path, cheap_passwords: None) -> None:
    plain = WorkspaceHouse(tmp_path / "a")
    answer = plain.client().post("/api/session", json={"login": "ana", "password": PASSWORD})
    (morsel,) = SimpleCookie(answer.headers["set-cookie"]).values()
    assert morsel.key == "aris" and morsel["httponly"] and morsel["samesite"] == "strict" and morsel["path"] == "/"
    assert not morsel["secure"] and not morsel["domain"]
    assert "strict-transport-security" not in answer.headers
    secure = WorkspaceHouse(tmp_path / "b", public_url="https://aris.example")
    client = secure.client(base="https://aris.example")
    answer = client.post("/api/session", json={"login": "ana", "password": PASSWORD})
    (morsel,) = SimpleCookie(answer.headers["set-cookie"]).values()
    assert morsel.key == "__Host-aris" and morsel["secure"] and morsel["httponly"] and not morsel["domain"]
    assert morsel["path"] == "/" and morsel["samesite"] == "strict"
    assert answer.headers["strict-transport-security"].startswith("max-age=")
    assert client.get("/api/session").json()["user"]["login"] == "ana"


def test_a_secret_that_somebody_planted_is_never_taken_up(room: WorkspaceHouse) -> None:
    client = room.client()
    client.cookies.set("aris", "planted" * 6, domain="127.0.0.1", path="/")
    room.sign_in(client, "ana")
    first = client.cookies["aris"]
    assert "planted" not in first
    # Signing in anew gives another secret, and the one before is worth nothing.
    room.sign_in(client, "ana")
    assert client.cookies["aris"] != first
    old = room.client()
    old.cookies.set("aris", first)
    assert old.get("/api/session").json()["user"] is None


def test_the_database_holds_no_secret(any_room: WorkspaceHouse) -> None:
    client = any_room.client("ana")
    token = any_room.token("ana", "read")
    with any_room.store.sessions.reading() as session:
        rows = [row for table in ("web_sessions", "api_tokens")
                for row in session.execute(text(f"SELECT * FROM {table}"))]  # fmt: skip
    kept = " ".join(str(value) for row in rows for value in row)
    assert client.cookies["aris"] not in kept and token not in kept and token.removeprefix("aris_") not in kept
    assert str(client.headers["X-CSRF-Token"]) not in kept
    assert len(rows) == 3


def test_unsafe_requests_need_the_sessions_token(room: WorkspaceHouse) -> None:
    client = room.client("ana")
    right = client.headers.pop("X-CSRF-Token")
    for sent in ({}, {"X-CSRF-Token": b""}, {"X-CSRF-Token": b"0" * 64}, {"X-CSRF-Token": b"\xff"}):
        answer = client.put("/api/preferences", json={}, headers=sent)
        assert (answer.status_code, code_of(answer)) == (403, "csrf")
    other = room.client("ana").headers["X-CSRF-Token"]
    assert client.put("/api/preferences", json={}, headers={"X-CSRF-Token": str(other)}).status_code == 403
    assert client.put("/api/preferences", json={}, headers={"X-CSRF-Token": str(right)}).status_code == 200


def test_pages_of_other_origins_cannot_sign_anybody_in(room: WorkspaceHouse) -> None:
    body = {"login": "ana", "password": PASSWORD}
    for headers in (
        {"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"}, {"Origin": "http://127.0.0.1:9000"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
    ):  # fmt: skip
        answer = room.client().post("/api/session", json=body, headers=headers)
        assert (answer.status_code, code_of(answer)) == (403, "forbidden_origin"), headers
        assert "set-cookie" not in answer.headers
    own = {"Origin": "http://127.0.0.1:8000", "Sec-Fetch-Site": "same-origin"}
    assert room.client().post("/api/session", json=body, headers=own).status_code == 200
    # A link from elsewhere leads to a page; what is asked by a script elsewhere is refused.
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert room.client().get("/api/session", headers=link).status_code == 200
    assert room.client().get("/api/session", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403


def test_a_form_or_plain_text_is_no_json(room: WorkspaceHouse) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", None):
        headers = {} if kind is None else {"Content-Type": kind}
        body = b'{"login":"ana","password":"' + PASSWORD.encode() + b'"}'
        assert room.client().post("/api/session", content=body, headers=headers).status_code == 422


def test_names_that_were_pointed_here_are_refused(tmp_path: Path, cheap_passwords: None) -> None:
    room = WorkspaceHouse(tmp_path, hosts=("aris.clinic",), public_url="http://reading.example")
    for host, status in (
        ("127.0.0.1:8000", 200), ("localhost", 200), ("[::1]:8000", 200), ("192.168.1.5", 200), ("ARIS.clinic", 200),
        ("reading.example", 200), ("evil.example", 403), ("127.0.0.1.evil.example", 403), ("aris.clinic.evil", 403),
        ("", 403), ("a b", 403),
    ):  # fmt: skip
        for path in ("/api/session", "/"):
            answer = room.client().get(path, headers={"Host": host})
            assert (answer.status_code == 403) == (status == 403), (host, path)


def test_bodies_are_bounded_before_anything_is_read(room: WorkspaceHouse) -> None:
    client = room.client()
    json = {"Content-Type": "application/json"}
    large = client.post("/api/session", content=b'{"login":"' + b"a" * (1 << 20) + b'"}', headers=json)
    assert (large.status_code, code_of(large)) == (413, "too_large")
    pieces = client.post("/api/session", content=iter([b"a" * 600_000] * 2), headers=json)
    assert pieces.status_code == 413
    for body in (b"[" * 1000, b'{"login": NaN}', b'{"login": "\\ud800", "password": "x"}', b"{", b"\xff"):
        assert client.post("/api/session", content=body, headers=json).status_code == 400, body
    assert client.post("/api/session", json={"login": "ana", "password": "x" * 5000}).status_code == 422
    assert client.post("/api/session", json={"login": "ana", "password": "x", "more": 1}).status_code == 422


def test_a_session_ends_when_it_is_idle_and_in_any_case(
    tmp_path: Path, cheap_passwords: None, database_url: str | None
) -> None:
    room = WorkspaceHouse(tmp_path, database_url, lasts=timedelta(hours=2))
    idle, used = room.client("ana"), room.client("vic")
    for _ in range(3):
        room.later(minutes=25)
        assert used.get("/api/session").json()["user"] is not None
    answer = idle.get("/api/tokens")
    assert (answer.status_code, code_of(answer)) == (401, "not_signed_in")
    room.later(minutes=31)
    assert used.get("/api/session").json()["user"] is None
    room.sign_in(used, "vic")
    for _ in range(5):  # in use all the time
        room.later(minutes=29)
        if used.get("/api/session").json()["user"] is None:
            break
    else:
        raise AssertionError("a session lasts for ever")
    room.sign_in(used, "vic")  # what is over is cleared away
    with room.store.sessions.reading() as session:
        assert all(row.expires_at > room.now for row in session.scalars(select(WebSessionRow)))


def test_a_new_password_signs_out_everywhere_else(any_room: WorkspaceHouse) -> None:
    room = any_room
    here, there, vic = room.client("ana"), room.client("ana"), room.client("vic")
    wrong = here.put("/api/session/password", json={"current": "wrong", "password": "a new sentence for ana"})
    assert (wrong.status_code, code_of(wrong)) == (401, "wrong_password")
    short = here.put("/api/session/password", json={"current": PASSWORD, "password": "short"})
    assert short.status_code == 422 and there.get("/api/session").json()["user"] is not None
    before = here.cookies["aris"]
    right = here.put("/api/session/password", json={"current": PASSWORD, "password": "a new sentence for ana"})
    assert right.status_code == 200 and here.cookies["aris"] != before
    assert here.get("/api/session").json()["user"]["login"] == "ana"
    assert there.get("/api/session").json()["user"] is None
    assert vic.get("/api/session").json()["user"] is not None
    room.sign_in(there, "ana", "a new sentence for ana")


def test_what_an_admin_changes_signs_the_user_out(any_room: WorkspaceHouse) -> None:
    room = any_room
    admin = room.client("adm")
    for login, change in (
        ("ana", {"password": "another long sentence"}), ("vic", {"role": "reader"}), ("sol", {"active": False})
    ):  # fmt: skip
        client, token = room.client(login), room.token(login, "read")
        assert admin.patch(f"/api/users/{login}", json=change).status_code == 200
        assert client.get("/api/session").json()["user"] is None, change
        assert (room.program(token).get("/api/session").status_code == 401) == ("active" in change)
    admin.patch("/api/users/sol", json={"active": True})  # the token stays revoked
    assert room.program(token).get("/api/session").status_code == 401


def test_what_is_changed_in_a_terminal_signs_the_user_out_too(room: WorkspaceHouse) -> None:
    ana = room.client("ana")
    room.later(seconds=1)
    with room.store.sessions.writing() as session:
        users.change(session, "ana", room.now, password="another long sentence")
    assert ana.get("/api/session").json()["user"] is None


def test_studies_are_left_at_the_last_sign_out(room: WorkspaceHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    from aris.service.workspace.access import session as routes

    left: list[str] = []
    monkeypatch.setattr(routes, "leave_all", lambda house, login, now: left.append(login))
    one, two = room.client("ana"), room.client("ana")
    assert one.delete("/api/session").status_code == 204 and left == []
    assert two.delete("/api/session").status_code == 204 and left == ["ana"]


def test_the_server_refuses_to_be_reached_by_others_without_tls() -> None:
    for host in ("0.0.0.0", "::", "192.168.1.2", "aris.clinic", ""):
        with pytest.raises(ArisError, match="unencrypted"):
            WorkspaceSettings(host=host)
        assert WorkspaceSettings(host=host, plain=True).secure is False
        assert WorkspaceSettings(host=host, tls=True).secure
    for host in ("127.0.0.1", "localhost", "::1", "127.0.0.9"):
        assert WorkspaceSettings(host=host).secure is False
    for url in ("aris.example", "ftp://aris.example", "https://a.example/path", "https://u:p@a.example"):
        with pytest.raises(ArisError, match="no address"):
            WorkspaceSettings(public_url=url)


def test_the_sites_file_fills_up_what_the_command_line_leaves(tmp_path: Path, cheap_passwords: None) -> None:
    web = {"idle_minutes": 5, "session_hours": 1, "public_url": "https://aris.example", "hosts": ["a.example"]}
    room = WorkspaceHouse(tmp_path, site={"workspace": web}, lasts=timedelta(hours=3))
    assert room.settings.idle == timedelta(minutes=5) and room.settings.lasts == timedelta(hours=3)
    assert room.settings.secure and room.settings.names == {"aris.example", "a.example", "127.0.0.1"}
    client = room.client("ana", base="https://a.example")
    room.later(minutes=6)
    assert client.get("/api/session").json()["user"] is None
    said = WorkspaceSettings.of_site(room.site, hosts=("b.example",), public_url="")
    assert said.hosts == ("b.example",) and said.public_url == "https://aris.example"
