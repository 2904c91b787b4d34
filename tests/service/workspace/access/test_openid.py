"""Sign-in at a real little OpenID provider: what holds, what does not, and signing in anew as proof for a signature."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, select

from aris.errors import ArisError
from aris.flow.reading.signing import Desk, FreshSignIn
from aris.flow.settings import OidcSettings
from aris.service.oidc.pending import Pending, PendingSignIns
from aris.service.oidc.provider import Provider
from aris.service.workspace.access.proving import proof_of
from aris.service.workspace.context import Caller
from aris.service.workspace.errors import RefusedError
from aris.store.reading import users
from aris.store.reading.access import identities, web_sessions
from aris.store.reading.access.tables import PendingSignInRow
from aris.store.store import Store
from oidc_provider import CLIENT, SECRET, OidcProvider
from workspace_house import PASSWORD, WorkspaceHouse, code_of


@pytest.fixture
def provider() -> Iterator[OidcProvider]:
    with OidcProvider.running() as made:
        yield made


def house(tmp_path: Path, provider: OidcProvider, **more: Any) -> WorkspaceHouse:
    secret = tmp_path / "secret"
    secret.write_text(SECRET + "\n")
    oidc = {"name": "St. Élan", "issuer": provider.issuer, "client_id": CLIENT, "client_secret_file": str(secret)}
    return WorkspaceHouse(tmp_path, site={"workspace": {"oidc": oidc | more}})


@pytest.fixture
def room(tmp_path: Path, cheap_passwords: None, provider: OidcProvider) -> WorkspaceHouse:
    return house(tmp_path, provider)


def goes(client: TestClient, provider: OidcProvider, query: str = "", **claims: Any) -> str:
    """Sign in at the provider; return the address of the page that the browser ends at."""
    sent = client.get(f"/api/session/oidc{query}", follow_redirects=False)
    assert sent.status_code == 303, sent.text
    back = provider.signs_in(sent.headers["location"], **claims)
    # From the provider's site: the session's cookie, which is SameSite=Strict, does not come along.
    strict = client.cookies.get("aris")
    if strict:
        client.cookies.delete("aris")
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    came = client.get("/api/session/oidc/callback", params=back, headers=headers, follow_redirects=False)
    if strict and "aris" not in client.cookies:
        client.cookies.set("aris", strict, domain="127.0.0.1", path="/")
    assert came.status_code == 303 and "never shown" not in str(came.headers)
    return str(came.headers["location"])


def test_a_person_signs_in_at_the_provider(room: WorkspaceHouse, provider: OidcProvider) -> None:
    client = room.client()
    assert client.get("/api/session").json()["oidc"] == {"name": "St. Élan"}
    assert goes(client, provider, "?next=/study/1.2.3?x=1") == "/study/1.2.3?x=1"
    session = client.get("/api/session").json()
    assert session["user"]["login"] == "ana" and session["method"] == "oidc" and session["csrf"]
    assert not [name for name in client.cookies if "oidc" in name]
    assert [(each["action"], each["user"]) for each in room.trail()] == [("sign in", "ana"), ("link identity", "ana")]
    # From now on the subject counts, not the name, which may be given to somebody else.
    assert goes(room.client(), provider, preferred_username="somebody") == "/"
    taken = goes(room.client(), provider, sub="subject-eve", preferred_username="ana")
    assert taken == "/signin?problem=oidc_unknown_user"
    assert room.trail("sign in")[0]["outcome"] == "denied"


@pytest.mark.parametrize(
    "next", ["//evil.example", "https://evil.example", "/\\evil.example", "/api/users", "/%0d%0aSet-Cookie:x", "x", ""]
)
def test_it_leads_to_a_page_of_ours_alone(next: str) -> None:
    from urllib.parse import unquote

    from aris.service.workspace.access.openid import _own

    assert _own(unquote(next)) == "/"


def test_tokens_that_do_not_hold_sign_nobody_in(room: WorkspaceHouse, provider: OidcProvider) -> None:
    import time

    now = int(time.time())
    faults: list[tuple[dict[str, Any], str]] = [
        ({"nonce": "another"}, "own"), ({"nonce": None}, "own"), ({"aud": "another client"}, "own"),
        ({"aud": [CLIENT, "another"]}, "own"), ({"aud": [CLIENT, "another"], "azp": "another"}, "own"),
        ({"iss": "https://evil.example"}, "own"), ({"iss": None}, "own"), ({"exp": now - 120}, "own"),
        ({"exp": None}, "own"), ({"iat": now + 3600}, "own"), ({"sub": None}, "own"), ({"sub": ""}, "own"),
        ({"sub": ["a"]}, "own"), ({"at_hash": "wrong"}, "own"), ({}, "none"), ({}, "foreign"), ({}, "shared"),
    ]  # fmt: skip
    for fault, signing in faults:
        provider.fault, provider.signing = fault, signing
        client = room.client()
        assert goes(client, provider) == "/signin?problem=oidc_failed", (fault, signing)
        assert client.get("/api/session").json()["user"] is None
    assert [each["outcome"] for each in room.trail("sign in")] == ["denied"] * len(faults)
    provider.fault, provider.signing = {}, "own"
    assert goes(room.client(), provider) == "/"


def test_new_keys_of_the_provider_are_taken_up(
    room: WorkspaceHouse, provider: OidcProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    from aris.service.oidc import provider as module

    assert goes(room.client(), provider) == "/"
    provider.rotate()
    assert goes(room.client(), provider) == "/signin?problem=oidc_failed"  # not asked for again so soon
    monkeypatch.setattr(module, "_AGAIN_S", 0.0)
    assert goes(room.client(), provider) == "/"


def test_the_answer_belongs_to_the_browser_that_asked_once(room: WorkspaceHouse, provider: OidcProvider) -> None:
    client, other = room.client(), room.client()
    sent = client.get("/api/session/oidc", follow_redirects=False)
    (cookie,) = [each for each in client.cookies.jar if each.name == "aris-oidc"]
    assert (cookie.path == "/api/session/oidc" and "Lax" in str(cookie._rest)) or "lax" in str(cookie._rest)
    back = provider.signs_in(sent.headers["location"])
    callback = "/api/session/oidc/callback"
    for browser, params in ((other, back), (client, back | {"state": "wrong"}), (client, back)):
        came = browser.get(callback, params=params, follow_redirects=False)
        assert came.headers["location"].startswith("/signin?problem=oidc_expired")
        assert browser.get("/api/session").json()["user"] is None
    sent = client.get("/api/session/oidc", follow_redirects=False)
    back = provider.signs_in(sent.headers["location"]) | {"iss": "https://evil.example"}
    came = client.get(callback, params=back, follow_redirects=False)
    assert came.headers["location"] == "/signin?problem=oidc_failed"
    sent = client.get("/api/session/oidc", follow_redirects=False)
    state = provider.signs_in(sent.headers["location"])["state"]
    came = client.get(callback, params={"error": "access_denied", "state": state}, follow_redirects=False)
    assert came.headers["location"] == "/signin?problem=oidc_denied"


def test_a_provider_that_is_down_or_another_one_keeps_nobody_from_signing_in_with_a_password(
    room: WorkspaceHouse, provider: OidcProvider
) -> None:
    provider.down = True
    client = room.client()
    sent = client.get("/api/session/oidc?next=/a", follow_redirects=False)
    assert sent.headers["location"] == "/signin?problem=oidc_unavailable&next=%2Fa"
    provider.down = False
    provider.issuer += "/other"
    assert client.get("/api/session/oidc", follow_redirects=False).headers["location"].endswith("oidc_unavailable")
    room.sign_in(client, "ana")


def test_only_users_of_the_house_come_in(room: WorkspaceHouse, provider: OidcProvider) -> None:
    for claims in ({"preferred_username": "nobody"}, {"preferred_username": 7}, {"preferred_username": ""}):
        assert goes(room.client(), provider, sub=str(claims), **claims).endswith("oidc_unknown_user")
    with room.store.sessions.writing() as session:
        users.change(session, "vic", room.now, active=False)
    assert goes(room.client(), provider, sub="v", preferred_username="vic").endswith("oidc_unknown_user")


def test_roles_are_those_that_the_site_maps(tmp_path: Path, cheap_passwords: None, provider: OidcProvider) -> None:
    room = house(tmp_path, provider, login_claim="email", roles={"radiology": "reader", "it": "admin", "all": "viewer"})
    with room.store.sessions.writing() as session:
        users.add(session, "roe@aris.example", PASSWORD, role="viewer", name="Roe^R", organization="X", now=room.now)
    person = {"sub": "roe", "email": "Roe@aris.example"}
    assert goes(room.client(), provider, **person, groups=["all"]).endswith("oidc_unknown_user")  # not verified
    for groups, role in ((["all", "radiology"], "reader"), (["it", "radiology"], "admin+reader"), ("all", "viewer")):
        client = room.client()
        assert goes(client, provider, **person, email_verified=True, groups=groups) == "/"
        assert client.get("/api/session").json()["user"]["role"] == role
    assert goes(room.client(), provider, **person, groups=["cleaning"]).endswith("oidc_unknown_user")


def test_a_sign_in_anew_is_proof_for_one_signature(room: WorkspaceHouse, provider: OidcProvider) -> None:
    client = room.client()
    goes(client, provider)
    assert goes(client, provider, "?prove=1&next=/study/1") == "/study/1"
    asked = provider.asked[-1]
    assert asked["prompt"] == "login" and asked["max_age"] == "0"
    assert client.get("/api/session").json()["proved_until"] is not None
    assert room.trail()[0]["action"] == "sign in anew"
    caller = caller_of(room, client)
    with pytest.raises(KeyError), proof_of(room.workspace, caller, ""):
        raise KeyError  # nothing was signed
    with proof_of(room.workspace, caller, "") as proof:
        assert isinstance(proof, FreshSignIn) and proof.holds("ana", room.now)
        assert Desk(room.house, lambda: room.now)._proved("ana", proof) is not None
        assert Desk(room.house, lambda: room.now)._proved("sol", proof) is None
        late = Desk(room.house, lambda: room.now + timedelta(seconds=61))
        assert late._proved("ana", proof) is None
    with pytest.raises(RefusedError, match=r"anew at St\. Élan"), proof_of(room.workspace, caller, ""):
        pass
    goes(client, provider, "?prove=1")
    room.later(seconds=61)
    with pytest.raises(RefusedError, match="anew"), proof_of(room.workspace, caller_of(room, client), ""):
        pass
    with proof_of(room.workspace, caller, "typed") as proof:
        assert proof == "typed"


def test_what_is_no_proof(room: WorkspaceHouse, provider: OidcProvider) -> None:
    import time

    client = room.client()
    answer = client.get("/api/session/oidc?prove=1", follow_redirects=False)
    assert (answer.status_code, code_of(answer)) == (401, "not_signed_in")
    goes(client, provider)
    stale = (int(time.time()) - 3600, None, "now", True, int(time.time()) + 3600)
    for auth_time in stale:
        provider.fault = {"auth_time": auth_time}
        came = goes(client, provider, "?prove=1&next=/study/1?a=b")
        assert came in ("/study/1?a=b&problem=oidc_stale", "/study/1?a=b&problem=oidc_failed"), auth_time
    provider.fault = {}
    other = goes(client, provider, "?prove=1&next=/x", sub="s", preferred_username="sol")
    assert other == "/x?problem=oidc_other_user"
    assert client.get("/api/session").json()["proved_until"] is None
    with pytest.raises(RefusedError), proof_of(room.workspace, caller_of(room, client), ""):
        pass
    # A session that has ended meanwhile is not proved.
    with room.store.sessions.writing() as session:
        number = caller_of(room, client).session.number  # type: ignore[union-attr]
        web_sessions.end(session, number)
        assert not web_sessions.prove(session, number, "ana", room.now)
        assert identities.loosen(session, "ana") == 1


def test_settings_of_a_provider_are_checked(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="issuer"):
        OidcSettings(issuer="http://login.example", client_id="x")
    with pytest.raises(ArisError, match="cannot be read"):
        Provider(OidcSettings(issuer="https://login.example", client_id="x", client_secret_file=tmp_path / "none"))
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(ArisError, match="empty"):
        Provider(OidcSettings(issuer="https://login.example", client_id="x", client_secret_file=tmp_path / "empty"))


def test_sign_ins_under_way_end_and_are_taken_once_by_any_process(tmp_path: Path, database_url: str | None) -> None:
    now = datetime(2026, 11, 30, tzinfo=UTC)
    with Store(tmp_path / "store", url=database_url) as store, Store(tmp_path / "store", url=database_url) as other:
        kept, at_another = (PendingSignIns(each.sessions, lambda: now) for each in (store, other))
        begun = Pending("/study/1", "http://x", 7, "ana", now.timestamp())
        assert kept.put(begun) == begun.secret
        assert at_another.take(begun.secret) == begun and kept.take(begun.secret) is None
        assert len({begun.state, begun.nonce, begun.verifier, begun.secret}) == 4 and len(begun.verifier) == 43
        with store.sessions.reading() as session:
            assert session.scalar(select(func.count()).select_from(PendingSignInRow)) == 0
        secret = kept.put(Pending("/", "http://x"))
        now += timedelta(seconds=601)
        assert kept.take(secret) is None and kept.take("") is None
    for hidden in (begun.secret, begun.nonce, begun.verifier):
        assert hidden not in repr(begun)


def caller_of(room: WorkspaceHouse, client: TestClient) -> Caller:
    """The caller as a route would see him."""
    with room.store.sessions.reading() as session:
        found = web_sessions.find(session, str(client.cookies["aris"]), room.now, room.settings.idle)
    assert found is not None
    return Caller(found.user, session=found)
