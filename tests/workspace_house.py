"""A house with people and a server of the workspace, for tests: a clock that is set, and clients that are signed in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient

from aris.flow.house import House, open_house
from aris.flow.settings import SiteSettings
from aris.service.workspace.app import create_workspace
from aris.service.workspace.context import Workspace
from aris.service.workspace.settings import WorkspaceSettings
from aris.store.reading import users
from aris.store.store import Store

PASSWORD = "correct horse battery staple"
ROLES = {"adm": "admin", "ana": "reader", "vic": "viewer", "sol": "admin+reader"}
BASE = "http://127.0.0.1:8000"


class WorkspaceHouse:
    """A house and its workspace.

    Args:
        people: whether there are users, one of each role: adm, ana, vic, sol.
    """

    def __init__(
        self, folder: Path, url: str | None = None, *, people: bool = True, pages: Path | None = None,
        site: dict[str, Any] | None = None, **settings: Any,
    ) -> None:  # fmt: skip
        self.folder, self.database_url = folder, url
        self.store = Store(folder / "store", url=url)
        self.site = SiteSettings.model_validate(site or {})
        self.house: House = open_house(self.store, key=folder / "keys" / "audit.key", settings=self.site)
        self.now = datetime.now(UTC)
        many = {"sign_ins": 10_000, "sign_ins_in_all": 10_000}
        self.app = create_workspace(self.house, settings=WorkspaceSettings(**(many | settings)), folder=pages)
        self.workspace: Workspace = self.app.state.workspace
        self.settings = self.workspace.settings
        self.workspace.clock = lambda: self.now
        if people:
            with self.store.sessions.writing() as session:
                for login, role in ROLES.items():
                    users.add(session, login, PASSWORD, role=role, name=f"Müller^{login.title()}",
                              organization="St. Élan", now=self.now)  # fmt: skip

    def later(self, **span: float) -> None:
        self.now += timedelta(**span)

    def client(self, login: str = "", base: str = BASE, **headers: str) -> TestClient:
        """A browser, signed in if a login is given; it sends the session's X-CSRF-Token by itself."""
        made = TestClient(self.app, base_url=base, headers=headers)
        if login:
            self.sign_in(made, login)
        return made

    def sign_in(self, client: TestClient, login: str, password: str = PASSWORD) -> dict[str, Any]:
        answer = client.post("/api/session", json={"login": login, "password": password})
        assert answer.status_code == 200, answer.text
        client.headers["X-CSRF-Token"] = answer.json()["csrf"]
        return dict(answer.json())

    def token(self, login: str, *scopes: str, **more: Any) -> str:
        """A new token of a user."""
        answer = self.client(login).post("/api/tokens", json={"name": "program", "scopes": list(scopes), **more})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["token"])

    def program(self, token: str) -> TestClient:
        """A program that sends a token."""
        return TestClient(self.app, base_url=BASE, headers={"Authorization": f"Bearer {token}"})

    def trail(self, action: str = "") -> list[dict[str, Any]]:
        """The audit trail's events, the newest first."""
        from aris.store.reading.audit import events

        with self.store.sessions.reading() as session:
            return [{"user": row.actor, "action": row.action, "about": row.subject, "outcome": row.outcome,
                     **row.detail} for row in events(session, action=action, limit=500)]  # fmt: skip


def code_of(answer: Any) -> str:
    """The code of an error; fails where the body is not the one that all errors have."""
    body = answer.json()
    assert set(body) == {"error"} and set(body["error"]) == {"code", "message"}, body
    return str(body["error"]["code"])
