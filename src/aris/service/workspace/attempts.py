"""Attempts to come in: the one-time code of the first set-up, and counts of sign-ins.

They are in the database: all processes of a store share them.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable
from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from aris.service.workspace.errors import RefusedError
from aris.service.workspace.settings import WorkspaceSettings
from aris.service.workspace.throttle import Throttle, network_of, too_many
from aris.store.reading import house
from aris.store.reading.access import buckets
from aris.store.reading.lasting_tables import UserRow
from aris.store.sessions import Sessions, advisory_lock

# Letters and digits that nobody takes for one another; 12 of them are 58 bits.
_ALPHABET = "23456789ABCDEFGHJKMNPQRSTVWXYZ"
_WRONG_CODES = 20
_CODE, _WRONG = "set-up code", "set-up codes that were wrong"


class Attempts:
    """See the module.

    Args:
        settings: of the server.
        sessions: of the store.
        clock: tells the time.
    """

    def __init__(
        self, settings: WorkspaceSettings, sessions: Sessions, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._sessions, self._clock = sessions, clock
        self._each, self._in_all = settings.sign_ins, settings.sign_ins_in_all
        # First this process's own: a flood of attempts writes nothing.
        self._own = Throttle(self._each, self._in_all)
        self._begun = self._set_up = False

    def take(self, address: str) -> None:
        """Count an attempt to sign in.

        Raises:
            RefusedError: 429, there were too many of this address, or in all.
        """
        self._own.take(address)
        wanted = {"sign in": self._in_all, f"sign in {network_of(address)}": self._each}
        wait = self._sessions.write(lambda session: buckets.take(session, wanted, self._clock()))
        if wait:
            raise too_many(wait)

    def setup_needed(self) -> bool:
        """Return whether the house has no user yet."""
        if not self._set_up:
            with self._sessions.reading() as session:
                self._set_up = session.scalar(select(UserRow.id).limit(1)) is not None
        return not self._set_up

    def setup_code(self) -> str | None:
        """The one-time code, while it is needed and was not guessed at too often; the same in all processes."""
        if not self.setup_needed():
            return None
        if not self._begun:  # a server that is started anew gives another one for a code that is spent
            self._sessions.write(_draw)
            self._begun = True
        with self._sessions.reading() as session:
            return None if _spent(session) else house.get(session, _CODE) or None

    def check_code(self, code: str) -> None:
        """Check the code of the first set-up.

        Raises:
            RefusedError: 403, it is wrong, or was guessed at too often: the server must be started anew.
        """
        sent = "".join(code.upper().split()).replace("-", "").encode("utf-8", "replace")

        def work(session: Session) -> str:
            advisory_lock(session, "set-up")
            if _spent(session):
                return "spent"
            known = house.get(session, _CODE).replace("-", "").encode()
            if known and hmac.compare_digest(sent, known):
                return ""
            house.put(session, _WRONG, str(int(house.get(session, _WRONG, "0")) + 1))
            return "wrong"

        found = self._sessions.write(work)
        if found == "spent":
            raise RefusedError(403, "code_spent", "too many wrong codes; start the server anew for another")
        if found:
            raise RefusedError(403, "wrong_code", "this is not the code that the server printed")


def forget_code(session: Session) -> None:
    """Forget the code: there is a user now."""
    house.put(session, _CODE, "")


def _draw(session: Session) -> None:
    advisory_lock(session, "set-up")
    if not house.get(session, _CODE) or _spent(session):
        house.put(session, _CODE, "-".join("".join(secrets.choice(_ALPHABET) for _ in range(4)) for _ in range(3)))
        house.put(session, _WRONG, "0")


def _spent(session: Session) -> bool:
    return int(house.get(session, _WRONG, "0")) >= _WRONG_CODES
