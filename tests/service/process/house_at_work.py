"""A house with a film and two people, and the one process's application over it, for tests."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from aris.flow.house import House, open_house
from aris.flow.settings import SiteSettings
from aris.service.process.gateway import Gateway
from aris.service.process.loading import LoadingModel
from aris.service.process.settings import ProcessSettings
from aris.service.workspace.app import create_workspace
from aris.store.reading import users
from aris.store.reading.access import tokens
from aris.store.store import Store
from dicom_objects import ROOT, as_bytes, image

STUDY = f"{ROOT}.1"
PASSWORD = "correct horse battery staple"


def made_house(folder: Path, **settings: Any) -> House:
    """A house with one film, ana who reads, vic who looks and adm who looks after it."""
    store = Store(folder / "store")
    house = open_house(store, key=folder / "audit.key", settings=SiteSettings.model_validate(settings))
    store.add(as_bytes(image()), source="CT1")
    with store.sessions.writing() as session:
        for login, role in (("ana", "reader"), ("vic", "viewer"), ("adm", "admin")):
            users.add(session, login, PASSWORD, role=role, name=f"Müller^{login.title()}", organization="St. Élan",
                      identifier="", now=datetime.now(UTC))  # fmt: skip
    return house


def token(house: House, login: str, *scopes: str) -> dict[str, str]:
    """The header of a program that acts for a user."""
    with house.store.sessions.writing() as session:
        _, made = tokens.add(session, login, "test", scopes, datetime.now(UTC), 1)  # type: ignore[arg-type]
    return {"Authorization": f"Bearer {made}"}


def application(house: House, model: LoadingModel | None = None, **settings: Any) -> Gateway:
    """The application, in a process that was never started."""
    found = ProcessSettings(node=None, worker=False, **settings)
    return Gateway(create_workspace(house, settings=found.workspace), model or LoadingModel("none", None), found)


def client(app: Gateway, **headers: str) -> TestClient:
    """A browser on this machine; used in a `with` block, the application begins and ends."""
    return TestClient(app, base_url="http://127.0.0.1", headers=headers)


def sign_in(browser: TestClient, login: str) -> None:
    """Sign a browser in; its requests then carry the session and the token against forgery."""
    answer = browser.post("/api/session", json={"login": login, "password": PASSWORD})
    assert answer.status_code == 200, answer.text
    browser.headers["X-CSRF-Token"] = answer.json()["csrf"]
