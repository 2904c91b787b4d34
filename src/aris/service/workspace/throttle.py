"""Limits of attempts: so many a minute from one address, so many from all."""

from __future__ import annotations

import ipaddress
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from aris.service.workspace.errors import RefusedError

_MINUTE = 60.0
_ADDRESSES = 10_000


class Throttle:
    """Counts attempts in buckets that fill up again in a minute.

    Args:
        each: attempts a minute of one address; in_all: of all addresses.
        clock: tells seconds.
    """

    def __init__(self, each: int, in_all: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._each, self._in_all, self._clock = float(each), float(in_all), clock
        self._all = (self._in_all, clock())
        self._addresses: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, address: str) -> None:
        """Count an attempt.

        Raises:
            RefusedError: 429, there were too many.
        """
        key, now = network_of(address), self._clock()
        with self._lock:
            own = _filled(self._addresses.pop(key, (self._each, now)), self._each, now)
            all_of_them = _filled(self._all, self._in_all, now)
            refused = own < 1.0 or all_of_them < 1.0
            rate = (self._each if own < 1.0 else self._in_all) / _MINUTE
            wait = (1.0 - min(own, all_of_them)) / rate
            if not refused:
                own, all_of_them = own - 1.0, all_of_them - 1.0
            self._addresses[key], self._all = (own, now), (all_of_them, now)
            while len(self._addresses) > _ADDRESSES:
                self._addresses.popitem(last=False)
        if refused:
            raise too_many(wait)


def too_many(wait: float) -> RefusedError:
    """The refusal of an attempt, with the seconds to wait."""
    told = {"Retry-After": str(max(1, round(wait)))}
    return RefusedError(429, "too_many_attempts", "too many attempts; wait a minute", told)


def _filled(bucket: tuple[float, float], most: float, now: float) -> float:
    left, at = bucket
    return min(most, left + max(0.0, now - at) * most / _MINUTE)


def network_of(address: str) -> str:
    """The address; of IPv6 the /64 that one customer has."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address[:64]
    if found.version == 6 and found.ipv4_mapped is None:
        return str(ipaddress.ip_network((found, 64), strict=False))
    return str(found)
