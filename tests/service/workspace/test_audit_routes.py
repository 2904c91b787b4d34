"""Users, tokens, preferences, the audit trail and the site, as an admin and each person sees them."""

from __future__ import annotations

from typing import Any

from fhir.resources.R4B.bundle import Bundle
from sqlalchemy import text

from aris.exchange.documents.fhir_audit import _KINDS, audit_bundle
from aris.store.reading import audit, house
from workspace_house import PASSWORD, WorkspaceHouse, code_of

NEW = {"login": "bob", "password": PASSWORD, "role": "viewer", "name": "Roe^Bob"}


def test_an_admin_makes_users_and_changes_them(any_room: WorkspaceHouse) -> None:
    room = any_room
    admin = room.client("adm")
    made = admin.post("/api/users", json=NEW)
    assert made.status_code == 201 and made.json()["login"] == "bob" and "password" not in made.text
    for wrong in ({"login": "bob"}, {"login": "B OB"}, {"login": "kim", "password": "short"},
                  {"login": "kim", "role": "reader"}, {"login": "kim", "role": "root"},
                  {"login": "kim", "name": "a\u0000b"}, {"login": "k\u0000"}):  # fmt: skip
        assert admin.post("/api/users", json=NEW | wrong).status_code == 422, wrong
    both = {"login": "kim", "role": "admin+reader", "organization": "X"}
    assert admin.post("/api/users", json=NEW | both).json()["role"] == "admin+reader"
    assert [each["login"] for each in admin.get("/api/users").json()] == ["adm", "ana", "bob", "kim", "sol", "vic"]
    gone = admin.patch("/api/users/nobody", json={"active": False})
    assert (gone.status_code, code_of(gone)) == (404, "not_found")
    # The last who can look after the house stays; one who is a reader too counts.
    for login in ("kim", "sol"):
        assert admin.patch(f"/api/users/{login}", json={"role": "viewer"}).status_code == 200
    assert admin.patch("/api/users/adm", json={"active": False}).status_code == 422
    noted = [each for each in room.trail() if each["action"] in ("add user", "change user")]
    assert [(each["user"], each["about"]) for each in noted] == [
        ("adm", "sol"), ("adm", "kim"), ("adm", "kim"), ("adm", "bob")
    ]  # fmt: skip
    assert PASSWORD not in str(room.trail())


def test_tokens_are_shown_once_have_scopes_and_end(any_room: WorkspaceHouse) -> None:
    room = any_room
    ana = room.client("ana")
    made = ana.post("/api/tokens", json={"name": " pacs  script ", "scopes": ["write", "read"], "days": 2}).json()
    assert made["token"].startswith("aris_") and made["name"] == "pacs script" and made["scopes"] == ["read", "write"]
    program = room.program(made["token"])
    session = program.get("/api/session").json()
    assert session["user"]["login"] == "ana" and session["csrf"] == ""
    (listed,) = ana.get("/api/tokens").json()
    assert listed["token"] is None and listed["last_used_at"] is not None and made["token"] not in str(listed)
    vic = room.client("vic")
    assert vic.get("/api/tokens").json() == [] and vic.delete(f"/api/tokens/{made['id']}").status_code == 404
    room.later(days=3)
    answer = program.get("/api/session")
    assert (answer.status_code, code_of(answer)) == (401, "invalid_token")
    ana = room.client("ana")
    lasting = ana.post("/api/tokens", json={"name": "x", "scopes": ["read"], "days": None}).json()
    assert lasting["expires_at"] is None
    assert ana.delete(f"/api/tokens/{lasting['id']}").status_code == 204
    assert room.program(lasting["token"]).get("/api/session").status_code == 401
    assert ana.delete(f"/api/tokens/{lasting['id']}").status_code == 404
    for wrong in ({"scopes": []}, {"scopes": ["root"]}, {"days": 0}, {"days": 99999}, {"name": " "},
                  {"name": "a" * 65}):  # fmt: skip
        assert ana.post("/api/tokens", json={"name": "x", "scopes": ["read"]} | wrong).status_code == 422, wrong
    assert [each["action"] for each in room.trail() if "token" in each["action"]] == [
        "revoke token", "add token", "add token"
    ]  # fmt: skip


def test_preferences_are_ones_own_and_bounded(any_room: WorkspaceHouse) -> None:
    ana, vic = any_room.client("ana"), any_room.client("vic")
    assert ana.get("/api/preferences").json() == {}
    value: dict[str, Any] = {"theme": "dark", "macros": [{"name": "ü", "text": "a\u0000"}]}
    assert ana.put("/api/preferences", json=value).json() == value == ana.get("/api/preferences").json()
    assert vic.get("/api/preferences").json() == {}
    for wrong in ({"a": "x" * (64 << 10)}, {"a": [[[[[[[[1]]]]]]]]}):
        answer = ana.put("/api/preferences", json=wrong)
        assert (answer.status_code, code_of(answer)) == (422, "refused")
    assert ana.put("/api/preferences", json=[1]).status_code == 422
    assert ana.get("/api/preferences").json() == value


def test_the_trail_is_paged_filtered_and_checked(any_room: WorkspaceHouse) -> None:
    room = any_room
    admin = room.client("adm")
    for number in range(5):
        admin.post("/api/users", json=NEW | {"login": f"bob{number}"})
    first = admin.get("/api/audit?limit=3").json()
    assert [each["number"] for each in first["events"]] == [6, 5, 4] and first["next"] == 4
    rest = admin.get(f"/api/audit?limit=3&before={first['next']}").json()
    assert [each["number"] for each in rest["events"]] == [3, 2, 1] and rest["next"] is None
    assert first["actions"] == ["add user", "sign in"]
    assert {each["study"] for each in admin.get("/api/audit?action=add user").json()["events"]} == {
        f"bob{number}" for number in range(5)
    }  # fmt: skip
    assert len(admin.get("/api/audit?study=bob3").json()["events"]) == 1
    assert admin.get("/api/audit?user=ana").json()["events"] == []
    for path in ("/api/audit?user=%00", "/api/users/%00"):
        assert admin.get(path).status_code == 400
    assert admin.post("/api/session", json={"login": "a\u0000", "password": "x"}).status_code == 422
    assert admin.get("/api/audit?limit=0").status_code == 422 and admin.get("/api/audit?before=x").status_code == 422
    assert admin.post("/api/audit/verify").json() == {"ok": True, "events": 6, "problems": [], "heads": 0}
    with room.store.sessions.writing() as session:  # as somebody with the database in his hands
        if room.store.sessions.dialect == "sqlite":
            session.execute(text("DROP TRIGGER audit_no_update"))
        else:
            session.execute(text("ALTER TABLE audit DISABLE TRIGGER USER"))
        session.execute(text("UPDATE audit SET actor = 'vic' WHERE number = 3"))
    found = admin.post("/api/audit/verify").json()
    assert not found["ok"] and "event 3" in found["problems"][0]
    assert room.trail("verify audit")[0]["outcome"] == "failed"


def test_the_trail_leaves_as_valid_fhir(any_room: WorkspaceHouse) -> None:
    room = any_room
    study = "1.2.840.1"
    with room.store.sessions.writing() as session:
        for action in (*_KINDS, "something new"):
            room.house.trail.add(session, "ana", action, study, images=3, ok=True, why=["a", "b"], empty="", none=None)
        room.house.trail.add(session, audit.SYSTEM, "draft", study, outcome="failed")
        room.house.trail.add(session, "<script>\u0000", "sign in", "<script>", outcome="denied")
    answer = room.program(room.token("adm", "audit")).get("/api/audit/export")
    assert answer.headers["content-type"] == "application/fhir+json"
    assert "attachment" in answer.headers["content-disposition"]
    bundle = Bundle.model_validate_json(answer.text)
    events = [each.resource for each in bundle.entry]
    assert {each.get_resource_type() for each in events} == {"AuditEvent"}
    by_action = {each.subtype[-1].display: each for each in events}
    signed = by_action["sign"]
    assert signed.outcome == "0" and signed.action == "C" and signed.agent[0].who.identifier.value == "ana"
    assert signed.entity[0].what.identifier.value == f"urn:oid:{study}"
    assert by_action["draft"].agent[0].requestor is False and by_action["draft"].outcome == "8"
    assert any(each.code == "110122" for each in by_action["sign in"].subtype)
    assert room.trail()[0] == {"user": "adm", "action": "export audit", "about": "", "outcome": "done",
                               "events": len(events), "after": 0}  # fmt: skip
    again = room.program(room.token("adm", "audit")).get("/api/audit/export?limit=2").json()
    assert [each["fullUrl"] for each in again["entry"]] == [each.fullUrl for each in bundle.entry[:2]]
    following = room.program(room.token("adm", "audit")).get(again["link"][0]["url"]).json()
    assert following["entry"][0]["fullUrl"] == bundle.entry[2].fullUrl


def test_a_bundle_of_nothing_is_valid(room: WorkspaceHouse) -> None:
    with room.store.sessions.reading() as session:
        made = audit_bundle([], house.identity(session), room.now)
    assert Bundle.model_validate(made).entry is None


def test_the_site_is_shown_without_secrets(any_room: WorkspaceHouse) -> None:
    any_room.workspace.services.append({"name": "DICOM", "address": "ARIS@127.0.0.1:11112", "state": "running"})
    answer = any_room.client("adm").get("/api/site").json()
    assert answer["file"].endswith("site.yaml") and answer["settings"]["quiet_s"] == 30
    assert answer["services"][0]["name"] == "DICOM" and answer["settings"]["workspace"]["oidc"] is None
    assert answer["database"].startswith(any_room.store.sessions.dialect) and "?" not in answer["database"]


SCRIPT = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"


def test_script_in_a_text_comes_back_as_json_alone(room: WorkspaceHouse) -> None:
    client = room.client("sol")
    user = NEW | {"name": SCRIPT, "organization": SCRIPT, "identifier": SCRIPT[:60]}
    assert client.post("/api/users", json=user).status_code == 201
    assert client.post("/api/tokens", json={"name": SCRIPT, "scopes": ["read"]}).status_code == 201
    assert client.put("/api/preferences", json={"macros": [{"name": SCRIPT, "text": SCRIPT}]}).status_code == 200
    client.post("/api/session", json={"login": SCRIPT[:60], "password": SCRIPT})
    planted = 0
    for path in ("/api/users", "/api/tokens", "/api/preferences", "/api/audit", "/api/audit/export", "/api/session",
                 "/api/site", f"/api/{SCRIPT}", f"/api/users/{SCRIPT}", f"/api/audit?user={SCRIPT}",
                 f"/api/audit?limit={SCRIPT}"):  # fmt: skip
        answer = client.get(path)
        assert answer.headers["content-type"].partition(";")[0] in ("application/json", "application/fhir+json"), path
        assert answer.headers["x-content-type-options"] == "nosniff"
        planted += "alert(1)" in answer.text
    assert planted >= 3  # users, tokens, preferences: it was really there
