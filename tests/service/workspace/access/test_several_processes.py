"""Two servers on one store are one house: what one of them counts, begins or does the other one knows."""

from __future__ import annotations

from pathlib import Path

from workspace_house import PASSWORD, WorkspaceHouse, code_of

SET_UP = {"login": "ana", "password": PASSWORD, "name": "Müller^Ana", "organization": "St. Élan", "identifier": "7"}


def another(first: WorkspaceHouse, **settings: int) -> WorkspaceHouse:
    """A second server on the store of the first, as another process has it."""
    made = WorkspaceHouse(first.folder, first.database_url, people=False, **settings)
    made.now = first.now
    return made


def test_the_set_up_code_is_one_and_is_spent_for_all(
    tmp_path: Path, database_url: str | None, cheap_passwords: None
) -> None:
    one = WorkspaceHouse(tmp_path, database_url, people=False)
    two = another(one)
    code = one.workspace.setup_code
    assert code is not None and two.workspace.setup_code == code
    for server in (one, two) * 10:
        assert server.client().post("/api/setup", json={**SET_UP, "code": "9999-9999-9999"}).status_code == 403
    spent = two.client().post("/api/setup", json={**SET_UP, "code": code})
    assert code_of(spent) == "code_spent" and one.workspace.setup_code is None
    three = another(one)  # a server that is started anew
    fresh = three.workspace.setup_code
    assert fresh not in (None, code)
    assert one.client().post("/api/setup", json={**SET_UP, "code": fresh}).status_code == 200
    assert [each.workspace.setup_code for each in (one, two, three)] == [None, None, None]
    again = two.client().post("/api/setup", json={**SET_UP, "login": "bob", "code": fresh})
    assert code_of(again) == "set_up_already"
    for each in (one, two, three):
        each.store.close()


def test_attempts_are_counted_together(tmp_path: Path, database_url: str | None, cheap_passwords: None) -> None:
    one = WorkspaceHouse(tmp_path, database_url, sign_ins=6, sign_ins_in_all=100)
    two = another(one, sign_ins=6, sign_ins_in_all=100)
    body = {"login": "nobody", "password": "wrong wrong wrong"}
    for server in (one, two) * 3:
        assert server.client().post("/api/session", json=body).status_code == 401
    for server in (one, two):
        refused = server.client().post("/api/session", json=body)
        assert (refused.status_code, code_of(refused)) == (429, "too_many_attempts")
        assert int(refused.headers["Retry-After"]) >= 1
    one.store.close()
    two.store.close()


def test_a_session_of_one_is_known_to_the_other_and_ends_for_both(
    tmp_path: Path, database_url: str | None, cheap_passwords: None
) -> None:
    one = WorkspaceHouse(tmp_path, database_url)
    two = another(one)
    browser, other = one.client("ana"), two.client()
    other.cookies = browser.cookies
    assert other.get("/api/session").json()["user"]["login"] == "ana"
    assert browser.delete("/api/session").status_code == 204
    assert other.get("/api/session").json()["user"] is None
    one.store.close()
    two.store.close()


def test_a_lock_after_wrong_passwords_holds_at_both(
    tmp_path: Path, database_url: str | None, cheap_passwords: None
) -> None:
    one = WorkspaceHouse(tmp_path, database_url)
    two = another(one)
    for server in (one, two) * 3:
        server.client().post("/api/session", json={"login": "ana", "password": "wrong password"})
    for server in (one, two):
        refused = server.client().post("/api/session", json={"login": "ana", "password": PASSWORD})
        assert refused.status_code == 401
    one.store.close()
    two.store.close()

