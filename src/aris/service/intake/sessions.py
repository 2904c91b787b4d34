"""Intakes in progress, each in a file of a private folder; opened by a link that works once."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from aris.errors import DataError, StoreError
from aris.private import make_folder, write_private
from aris.tasks.intake import IntakeState, resume, start

DAY_S = 86_400.0
_TRIES = 5
_NAME = re.compile(r"[A-Za-z0-9_-]{16}\Z")
_TICKET = re.compile(r"([A-Za-z0-9_-]{16})\.([A-Za-z0-9_-]{20,64})\Z")


class Session(BaseModel):
    """An intake with who may open it.

    Attributes:
        name: of it, which is no secret.
        created, expires: in seconds since 1970.
        link: digest of the one-time link's secret; None once it was used.
        patient: digest of the patient's own secret; None before the link was used.
        state: of the intake.
    """

    model_config = ConfigDict(extra="forbid")
    name: str
    created: float
    expires: float
    link: str | None = None
    patient: str | None = None
    state: IntakeState


class Opened(NamedTuple):
    """A session that was made or opened, with the secret that opens it next."""

    session: Session
    secret: str


class Sessions:
    """Sessions in a folder.

    Args:
        folder: is made if it is not there, for its owner alone.
        lifetime_s: seconds from a link's making to its end, and to the patient's.
        clock: seconds since 1970.

    Raises:
        StoreError: the folder cannot be made.
    """

    def __init__(self, folder: Path, lifetime_s: float = DAY_S, clock: Callable[[], float] = time.time) -> None:
        self._folder, self._lifetime_s, self._clock = folder, lifetime_s, clock
        self._lock = threading.RLock()
        try:
            make_folder(folder)
        except OSError as error:
            raise StoreError(f"{folder}: {error.strerror or error}") from None
        self.tidy()

    def create(self) -> Opened:
        """Make a session; the secret is for its one-time link."""
        with self._lock:
            self.tidy()
            secret, now = secrets.token_urlsafe(32), self._clock()
            session = Session(
                name=secrets.token_urlsafe(12),
                created=now,
                expires=now + self._lifetime_s,
                link=_digest(secret),
                state=start(),
            )
            self._write(session)
            return Opened(session, f"{session.name}.{secret}")

    def usable(self, ticket: str) -> bool:
        """Return whether a link can still be used; asking uses nothing up."""
        return self._by_ticket(ticket, "link") is not None

    def redeem(self, ticket: str) -> Opened | None:
        """Use a link up; None if it is none, was used, or has expired."""
        with self._lock:
            session = self._by_ticket(ticket, "link")
            if session is None:
                return None
            secret = secrets.token_urlsafe(32)
            session.link, session.patient = None, _digest(secret)
            self._write(session)
            return Opened(session, f"{session.name}.{secret}")

    def of_patient(self, ticket: str) -> Session | None:
        """Return the session that a patient's secret opens; None if it is wrong or has expired.

        Raises:
            DataError: another version of Aris has begun it, with questions that this one does not have.
        """
        found = self._by_ticket(ticket, "patient")
        if found is not None and found.state.status in ("consent", "asking"):
            resume(found.state.model_dump_json())
        return found

    def update(self, ticket: str, change: Callable[[IntakeState], IntakeState]) -> Session | None:
        """Change the state of a patient's session; nobody else waits meanwhile.

        A declined one is removed: nothing of it is kept.

        Raises:
            DataError: another version of Aris has begun it; or answers come from several places at once.
        """
        for _ in range(_TRIES):
            session = self.of_patient(ticket)
            if session is None:
                return None
            before, after = session.state, change(session.state)
            with self._lock:
                now = self.of_patient(ticket)
                if now is None:
                    return None
                if now.state != before:
                    continue  # another answer was quicker
                session.state = after
                if after.status == "declined":
                    self.remove(session.name)
                elif after != before:
                    self._write(session)
                return session
        raise DataError("intake: answers come from several places at once; try again")

    def all(self) -> list[Session]:
        """Return every session that is there, the oldest first."""
        found = [self.get(path.stem) for path in self._folder.glob("*.json")]
        return sorted((each for each in found if each is not None), key=lambda each: each.created)

    def get(self, name: str) -> Session | None:
        """Return a session by its name; None if there is none."""
        if not _NAME.match(name):
            return None
        try:
            return Session.model_validate_json((self._folder / f"{name}.json").read_bytes())
        except (OSError, ValidationError):
            return None

    def remove(self, name: str) -> bool:
        """Remove a session; False if there is none."""
        with self._lock:
            if not _NAME.match(name) or self.get(name) is None:
                return False
            (self._folder / f"{name}.json").unlink(missing_ok=True)
            return True

    def tidy(self) -> None:
        """Remove what has expired before it ended. What has ended stays for the clinic until it is removed."""
        with self._lock:
            for session in self.all():
                if session.expires < self._clock() and session.state.status in ("consent", "asking"):
                    self.remove(session.name)

    def _by_ticket(self, ticket: str, kind: str) -> Session | None:
        found = _TICKET.match(ticket)
        session = self.get(found[1]) if found else None
        if found is None or session is None or session.expires < self._clock():
            return None
        wanted = session.link if kind == "link" else session.patient
        return session if wanted is not None and hmac.compare_digest(wanted, _digest(found[2])) else None

    def _write(self, session: Session) -> None:
        try:
            write_private(self._folder / f"{session.name}.json", session.model_dump_json().encode())
        except OSError as error:
            raise StoreError(f"{self._folder}: {error.strerror or error}") from None


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
