"""The authorisation matrix: each role at each route, made from the server's own routes and held against its schema."""

from __future__ import annotations

import re

import pytest
from fastapi import APIRouter, FastAPI
from fastapi.testclient import TestClient
from starlette.requests import Request

from aris.service.workspace.context import SINGLE_ROLES, Rule, require_rules, rules
from aris.service.workspace.errors import RefusedError
from aris.store.reading.access.tokens import SCOPES
from cheap_passwords import make_cheap
from workspace_house import BASE, ROLES, WorkspaceHouse, code_of

UNSAFE = ("POST", "PUT", "PATCH", "DELETE")
# Everybody may call these, and nothing else; a route that is to be added here needs a reason.
OPEN = {
    ("GET", "/api/session"), ("POST", "/api/session"), ("POST", "/api/setup"), ("GET", "/api/session/oidc"),
    ("GET", "/api/session/oidc/callback"),
}  # fmt: skip
# All that a viewer may change is his own.
OF_A_VIEWER = {
    ("DELETE", "/api/session"), ("PUT", "/api/session/password"), ("POST", "/api/tokens"),
    ("DELETE", "/api/tokens/{number}"), ("PUT", "/api/preferences"),
}  # fmt: skip
# No token ever may: who signs, and who may come in, is a person's matter.
OF_PERSONS = ("sign", "addendum", "users", "tokens", "preferences", "session", "setup")


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> WorkspaceHouse:
    with pytest.MonkeyPatch.context() as patch:
        make_cheap(patch)
        return WorkspaceHouse(tmp_path_factory.mktemp("rules"))


@pytest.fixture(scope="module")
def routes(house: WorkspaceHouse) -> list[tuple[str, str, Rule]]:
    """Method, path and rule of each route."""
    return [(method, route.path, held[0]) for route, held in rules(house.app) for method in sorted(route.methods or ())]


def at(path: str) -> str:
    """The path with something in the place of each parameter."""
    return re.sub(r"\{[^}]*\}", "1", path)


def test_each_route_of_the_schema_has_exactly_one_rule(
    house: WorkspaceHouse, routes: list[tuple[str, str, Rule]]
) -> None:
    described = {
        (method.upper(), path) for path, methods in house.app.openapi()["paths"].items() for method in methods
    }
    found = {(method, re.sub(r":path\}", "}", path)) for method, path, _ in routes}
    assert described <= found and {("POST", "/api/users"), ("GET", "/api/audit/export")} <= described
    assert all(len(held) == 1 for _, held in rules(house.app))
    require_rules(house.app)


def test_a_route_without_a_rule_keeps_the_server_from_starting() -> None:
    router = APIRouter(prefix="/api")

    @router.get("/forgotten")
    def forgotten() -> None: ...

    app = FastAPI()
    app.include_router(router)
    with pytest.raises(RuntimeError, match="GET /api/forgotten"):
        require_rules(app)


def test_what_is_open_and_what_a_viewer_may_change_is_on_a_short_list(routes: list[tuple[str, str, Rule]]) -> None:
    assert {(method, path) for method, path, rule in routes if rule.open} == OPEN
    changing = {(method, path) for method, path, rule in routes
                if method in UNSAFE and not rule.open and "viewer" in rule.roles}  # fmt: skip
    assert changing == OF_A_VIEWER
    for method, path, rule in routes:
        parts = path.split("/")
        if not rule.open and any(each in parts for each in OF_PERSONS):
            assert rule.scope is None, (method, path)


def test_nobody_gets_in_without_signing_in(house: WorkspaceHouse, routes: list[tuple[str, str, Rule]]) -> None:
    client = house.client()
    for method, path, rule in routes:
        if not rule.open:
            answer = client.request(method, at(path))
            assert (answer.status_code, code_of(answer)) == (401, "not_signed_in"), (method, path)


@pytest.mark.parametrize("login", list(ROLES))
def test_each_role_gets_as_far_as_its_rule(
    house: WorkspaceHouse, routes: list[tuple[str, str, Rule]], login: str
) -> None:
    client = house.client(login)
    held = set(ROLES[login].split("+"))
    denied = 0
    for method, path, rule in routes:
        if rule.open:
            continue
        if held & set(rule.roles):
            # By the rule itself: what the route then does is its own test's.
            caller = rule(request_of(client, method, path))
            assert caller is not None and caller.login == login
        else:
            answer = client.request(method, at(path))
            assert (answer.status_code, code_of(answer)) == (403, "forbidden"), (method, path)
            denied += 1
    assert denied or "admin" in held


def test_a_session_without_its_csrf_token_changes_nothing(
    house: WorkspaceHouse, routes: list[tuple[str, str, Rule]]
) -> None:
    client = house.client("sol")
    del client.headers["X-CSRF-Token"]
    for method, path, rule in routes:
        if method in UNSAFE and not rule.open:
            answer = client.request(method, at(path))
            assert (answer.status_code, code_of(answer)) == (403, "csrf"), (method, path)
    assert client.get("/api/session").json()["user"]["login"] == "sol"


@pytest.mark.parametrize("scope", SCOPES)
def test_a_token_gets_as_far_as_its_scope(
    house: WorkspaceHouse, routes: list[tuple[str, str, Rule]], scope: str
) -> None:
    client = house.program(house.token("sol", scope))
    for method, path, rule in routes:
        if rule.open:
            continue
        if rule.scope == scope:
            caller = rule(request_of(client, method, path))
            assert caller is not None and caller.scopes == {scope} and caller.token is not None
        else:
            answer = client.request(method, at(path))
            expected = "person_needed" if rule.scope is None else "scope"
            assert (answer.status_code, code_of(answer)) == (403, expected), (method, path)


def test_a_token_does_no_more_than_its_users_role(
    house: WorkspaceHouse, routes: list[tuple[str, str, Rule]]
) -> None:
    client = house.program(house.token("vic", *SCOPES))
    for method, path, rule in routes:
        if rule.scope is not None and "viewer" not in rule.roles:
            answer = client.request(method, at(path))
            assert (answer.status_code, code_of(answer)) == (403, "forbidden"), (method, path)


@pytest.mark.parametrize("key", ["Bearer aris_", "Bearer aris_wrong", "Basic YTpi", "Bearer", "", "aris_x", "Bearer x"])
def test_a_wrong_token_is_nobody_even_beside_a_cookie(house: WorkspaceHouse, key: str) -> None:
    client = house.client("sol")
    for path in ("/api/session", "/api/users"):
        answer = client.get(path, headers={"Authorization": key})
        assert (answer.status_code, code_of(answer)) == (401, "invalid_token")


def test_a_rule_is_checked_when_it_is_written() -> None:
    from aris.service.workspace.context import allow

    for roles, scope in (((), "read"), (("reeder",), "read"), (("reader",), "everything")):
        with pytest.raises(ValueError, match="no such rule"):
            allow(*roles, scope=scope)
    assert set(SINGLE_ROLES) == {part for role in ROLES.values() for part in role.split("+")}


def test_what_is_no_route_is_not_found(house: WorkspaceHouse) -> None:
    for method in ("GET", "POST", "DELETE"):
        answer = house.client().request(method, "/api/nothing/of/this")
        assert (answer.status_code, code_of(answer)) == (404, "not_found")
    # A path that is known, by another method, is no page either.
    assert house.client().request("PATCH", "/api/session").status_code in (404, 405)


def request_of(client: TestClient, method: str, path: str) -> Request:
    """A request as the server would see it."""
    built = client.build_request(method, f"{BASE}{at(path)}")
    headers = [(name.lower().encode(), value.encode()) for name, value in built.headers.items()]
    return Request({"type": "http", "method": method, "path": at(path), "headers": headers, "query_string": b"",
                    "app": client.app, "state": {}})  # fmt: skip


def test_the_helper_sees_what_the_server_sees(house: WorkspaceHouse) -> None:
    with pytest.raises(RefusedError):
        Rule(("admin",), None)(request_of(house.client(), "GET", "/api/users"))
