"""Attempts to come in, kept in memory: the one-time code of the first set-up, and counts of sign-ins."""

from __future__ import annotations

import hmac
import secrets
import threading

from sqlalchemy import select

from aris.service.workspace.errors import RefusedError
from aris.service.workspace.settings import WorkspaceSettings
from aris.service.workspace.throttle import Throttle
from aris.store.reading.lasting_tables import UserRow
from aris.store.sessions import Sessions

# Letters and digits that nobody takes for one another; 12 of them are 58 bits.
_ALPHABET = "23456789ABCDEFGHJKMNPQRSTVWXYZ"
_WRONG_CODES = 20


class Attempts:
    """See the module.

    Args:
        settings: of the server.
    """

    def __init__(self, settings: WorkspaceSettings) -> None:
        self.sign_ins = Throttle(settings.sign_ins, settings.sign_ins_in_all)
        self._code = "-".join("".join(secrets.choice(_ALPHABET) for _ in range(4)) for _ in range(3))
        self._wrong = 0
        self._set_up = False
        self._lock = threading.Lock()

    def setup_needed(self, sessions: Sessions) -> bool:
        """Return whether the house has no user yet."""
        if not self._set_up:
            with sessions.reading() as session:
                self._set_up = session.scalar(select(UserRow.id).limit(1)) is not None
        return not self._set_up

    def setup_code(self, sessions: Sessions) -> str | None:
        """The one-time code, while it is needed and was not guessed at too often."""
        return self._code if self.setup_needed(sessions) and self._wrong < _WRONG_CODES else None

    def check_code(self, code: str) -> None:
        """Check the code of the first set-up.

        Raises:
            RefusedError: 403, it is wrong, or was guessed at too often: the server must be started anew.
        """
        with self._lock:
            if self._wrong >= _WRONG_CODES:
                raise RefusedError(403, "code_spent", "too many wrong codes; start the server anew for another")
            sent = "".join(code.upper().split()).replace("-", "").encode("utf-8", "replace")
            if not hmac.compare_digest(sent, self._code.replace("-", "").encode()):
                self._wrong += 1
                raise RefusedError(403, "wrong_code", "this is not the code that the server printed")
