"""A reading room on the screen for tests: a clinic's house behind the workspace's real application, and its people."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient

from aris.service.workspace.app import create_workspace

sys.path.insert(0, str(Path(__file__).parents[3] / "flow"))
from clinic import PASSWORD, Clinic

ADDRESS = "http://127.0.0.1"


class Person:
    """A browser in which somebody is signed in."""

    def __init__(self, app: Any, login: str) -> None:
        self.login = login
        self.client = TestClient(app, base_url=ADDRESS)
        answer = self.client.post("/api/session", json={"login": login, "password": PASSWORD})
        assert answer.status_code == 200, answer.text
        self.csrf = {"X-CSRF-Token": answer.json()["csrf"]}

    def __call__(self, method: str, path: str, status: int = 200, **more: Any) -> Any:
        """Ask, and return the answer's JSON; of other content the response itself."""
        headers = self.csrf | more.pop("headers", {})
        answer = self.client.request(method, f"/api{path}", headers=headers, **more)
        assert answer.status_code == status, f"{method} {path}: {answer.status_code} {answer.text}"
        kind = answer.headers.get("content-type", "")
        return answer.json() if answer.content and kind.partition(";")[0] == "application/json" else answer

    def study(self, uid: str, path: str = "", method: str = "GET", status: int = 200, **more: Any) -> Any:
        return self(method, f"/studies/{uid}{path}", status, **more)


class Office:
    """A clinic with its workspace."""

    def __init__(self, folder: Path, url: str | None = None, **settings: Any) -> None:
        self.clinic = Clinic(folder, url, **settings)
        self.app = create_workspace(self.clinic.house)
        self._people: dict[str, Person] = {}

    def __getattr__(self, login: str) -> Person:
        if login.startswith("_") or login not in ("ana", "bob", "vic", "adm"):
            raise AttributeError(login)
        if login not in self._people:
            self._people[login] = Person(self.app, login)
        return self._people[login]
