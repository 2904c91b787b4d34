"""A small clinic for tests of the flow: a store with films, a recorded drafter, readers, and a clock that is set."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from aris.flow.arrival import collect, settle
from aris.flow.drafting import draft_next
from aris.flow.house import House, open_house
from aris.flow.reading.reading_room import ReadingRoom
from aris.flow.reading.signing import Desk
from aris.flow.settings import SiteSettings
from aris.imaging.sources import FileSource
from aris.store.reading import users
from aris.store.store import Store
from aris.tasks import Draft, ScoredFinding, Sections
from dicom_objects import ROOT, as_bytes, image

STUDY = f"{ROOT}.1"
PASSWORD = "correct horse battery staple"
MODEL = "aris-nano"


def recorded(**changes: Any) -> Draft:
    """A draft as a model would give one."""
    values: dict[str, Any] = {
        "model": MODEL,
        "file": "film.dcm",
        "sections": Sections(
            examination="Chest", indication="Not stated.", technique="PA", comparison="No prior image was given.",
            findings="Opacity in the right lower zone. No pneumothorax.", impression="Pneumonia is likely.",
        ),
        "findings": (ScoredFinding(name="pneumonia", probability=0.93, present=True),),
        "warnings": ("the view is not stated",),
        "priority": "urgent",
    }  # fmt: skip
    return Draft(**(values | changes))


class RecordedDrafter:
    """Gives the same draft for each study, and notes what it was asked."""

    name, revision = MODEL, "r1"

    def __init__(self, draft: Draft | None = None) -> None:
        self.draft = draft or recorded()
        self.asked: list[int] = []

    def __call__(self, files: Sequence[FileSource]) -> Draft:
        assert all(each.read()[128:132] == b"DICM" for each in files)
        self.asked.append(len(files))
        return self.draft


class Clinic:
    """A house, its people and its time."""

    def __init__(self, folder: Path, url: str | None = None, **settings: Any) -> None:
        self.store = Store(folder / "store", url=url)
        values = {"quiet_s": 30, "destinations": [{"kind": "folder", "name": "out", "path": folder / "out"}]} | settings
        self.house: House = open_house(
            self.store, key=folder / "keys" / "audit.key", settings=SiteSettings.model_validate(values)
        )
        self.now = datetime.now(UTC)
        self.drafter = RecordedDrafter()
        self.room = ReadingRoom(self.house, lambda: self.now)
        self.desk = Desk(self.house, lambda: self.now)
        with self.store.sessions.writing() as session:
            for login, role in (("ana", "reader"), ("bob", "reader"), ("vic", "viewer"), ("adm", "admin")):
                if users.find(session, login) is None:
                    name = f"Müller^{login.title()}"
                    users.add(session, login, PASSWORD, role=role, name=name, organization="St. Élan",
                              identifier=f"id-{login}", now=self.now)  # fmt: skip

    def later(self, **span: float) -> None:
        self.now += timedelta(**span)

    def receive(self, number: int = 1, **changes: Any) -> str:
        study = changes.get("study", 1)
        self.store.add(as_bytes(image(number, **changes)), source="CT1")
        self.now = max(self.now, datetime.now(UTC))
        return f"{ROOT}.{study}"

    def settle(self) -> int:
        """Let a minute pass without an image."""
        collect(self.house)
        self.later(minutes=1)
        return settle(self.house, self.now)

    def draft(self, owner: str = "worker") -> str | None:
        return draft_next(self.house, self.drafter, owner, self.now)

    def drafted(self, **changes: Any) -> str:
        """A study that was received and drafted."""
        study = self.receive(**changes)
        assert self.settle() == 1 and self.draft() == "drafted"
        return study

    def sign(self, study: str, login: str = "ana", number: int | None = None, **more: Any) -> Any:
        if number is None:
            number = self.room.look(login, study).reading.text_number
        return self.desk.sign(login, PASSWORD, study, number, **more)
