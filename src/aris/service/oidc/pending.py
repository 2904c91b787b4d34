"""Sign-ins that are under way at a provider, in memory: each for ten minutes, for one browser, once."""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

LASTS_S = 600
_MOST = 10_000


@dataclass(frozen=True)
class Pending:
    """A sign-in under way.

    Attributes:
        next: where the browser goes after it, a path of ours.
        session: number of the web session that it is to prove; None where it begins one.
        login: whose that session is.
        began: in seconds since 1970.
    """

    next: str
    redirect_uri: str
    session: int | None = None
    login: str = ""
    began: float = 0.0
    state: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    nonce: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48), repr=False)


class PendingSignIns:
    """Sign-ins under way, by the secret that the browser's cookie has."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kept: OrderedDict[str, tuple[float, Pending]] = OrderedDict()
        self._lock = threading.Lock()

    def put(self, pending: Pending) -> str:
        """Keep one; return the secret."""
        secret = secrets.token_urlsafe(32)
        with self._lock:
            self._kept[_digest(secret)] = (self._clock() + LASTS_S, pending)
            while len(self._kept) > _MOST or next(iter(self._kept.values()))[0] < self._clock():
                self._kept.popitem(last=False)
        return secret

    def take(self, secret: str) -> Pending | None:
        """Give one out, once; None if it is over or there was none."""
        with self._lock:
            found = self._kept.pop(_digest(secret), None)
        return None if found is None or found[0] < self._clock() else found[1]


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
