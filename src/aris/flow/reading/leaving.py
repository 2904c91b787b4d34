"""Studies that somebody has open and left: at sign-out at once, and after a while where nothing is heard any more.

Only the mark is taken off: texts are kept with each change, and whoever comes back goes on where he was.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime, timedelta

from sqlalchemy.orm import Session

from aris.flow.house import House
from aris.store.reading import readings
from aris.store.reading.audit import SYSTEM

# Nobody reads one study for so long without a change to it.
LONGEST = timedelta(hours=4)
# Time for whoever opens a study in a terminal, where nobody is signed in.
_UNHEARD = timedelta(minutes=30)


def leave_all(house: House, login: str, now: datetime | None = None) -> int:
    """Put back all studies that a user has open, as at the sign-out. How many there were."""
    moment = now or datetime.now(UTC)

    def work(session: Session) -> int:
        found = readings.open_ones(session, login)
        for reading in found:
            readings.put_back(session, reading)
            house.trail.add(session, login, "close", reading.study_uid, now=moment, by="sign-out")
        return len(found)

    return house.store.sessions.write(work)


def leave_forgotten(house: House, present: Collection[str], now: datetime | None = None) -> int:
    """Put back studies that were opened long ago by users of whom nothing is heard. How many there were.

    Args:
        present: logins of the users who are signed in somewhere.
    """
    moment = now or datetime.now(UTC)

    def work(session: Session) -> int:
        left = 0
        for reading in readings.open_ones(session):
            span = _UNHEARD if reading.opened_by not in present else LONGEST
            if reading.opened_at is not None and moment - reading.opened_at < span:
                continue
            whose = reading.opened_by
            readings.put_back(session, reading)
            house.trail.add(session, SYSTEM, "close", reading.study_uid, now=moment, by="silence", user=whose)
            left += 1
        return left

    return house.store.sessions.write(work)
