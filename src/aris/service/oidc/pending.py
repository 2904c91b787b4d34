"""Sign-ins that are under way at a provider: each for ten minutes, for one browser, once.

What a provider and we say to one another of it (state, nonce, PKCE's verifier) follows from a secret that the browser
alone has: who reads the database finishes no sign-in. Any process of the store may finish what another one began.
"""

from __future__ import annotations

import base64
import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from aris.store.reading.access import pending as kept_sign_ins
from aris.store.sessions import Sessions

LASTS_S = 600
_LASTS = timedelta(seconds=LASTS_S)


@dataclass(frozen=True)
class Pending:
    """A sign-in under way.

    Attributes:
        next: where the browser goes after it, a path of ours.
        session: number of the web session that it is to prove; None where it begins one.
        login: whose that session is.
        began: in seconds since 1970.
        secret: the browser's.
    """

    next: str
    redirect_uri: str
    session: int | None = None
    login: str = ""
    began: float = 0.0
    secret: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)

    @property
    def state(self) -> str:
        """The state that the provider sends back."""
        return self._derived("state")

    @property
    def nonce(self) -> str:
        """The nonce that the provider's token holds."""
        return self._derived("nonce")

    @property
    def verifier(self) -> str:
        """The verifier of PKCE (RFC 7636)."""
        return self._derived("verifier")

    def _derived(self, what: str) -> str:
        made = hmac.digest(self.secret.encode(), f"aris oidc {what}".encode(), "sha256")
        return base64.urlsafe_b64encode(made).rstrip(b"=").decode()


class PendingSignIns:
    """Sign-ins under way, by the secret that the browser's cookie has.

    Args:
        sessions: of the store.
        clock: tells the time.
    """

    def __init__(self, sessions: Sessions, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._sessions, self._clock = sessions, clock

    def put(self, pending: Pending) -> str:
        """Keep one; return the secret."""
        began = datetime.fromtimestamp(pending.began, UTC) if pending.began else self._clock()
        kept = kept_sign_ins.Kept(pending.next, pending.redirect_uri, pending.session, pending.login, began)
        self._sessions.write(lambda session: kept_sign_ins.put(session, pending.secret, kept, _LASTS))
        return pending.secret

    def take(self, secret: str) -> Pending | None:
        """Give one out, once; None if it is over or there was none."""
        if not secret:
            return None
        now = self._clock()
        kept = self._sessions.write(lambda session: kept_sign_ins.take(session, secret, now, _LASTS))
        if kept is None:
            return None
        return Pending(kept.next, kept.redirect_uri, kept.session, kept.login, kept.began.timestamp(), secret)
