"""Leases of jobs, held while the work goes on."""

from __future__ import annotations

import logging
import threading
from datetime import UTC, datetime

from aris.errors import ArisError
from aris.flow.house import House
from aris.store.reading import jobs

log = logging.getLogger("aris.flow")


class Heartbeat:
    """Renews a job's lease in a thread, until the block ends."""

    def __init__(self, house: House, job_id: int, owner: str) -> None:
        self._house, self._job_id, self._owner = house, job_id, owner
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(30)

    def _beat(self) -> None:
        lease = self._house.settings.lease
        while not self._ended.wait(lease.total_seconds() / 3):
            try:
                self._house.store.sessions.write(
                    lambda session: jobs.renew(session, self._job_id, self._owner, lease, datetime.now(UTC))
                )
            except jobs.LeaseLostError:
                return
            except ArisError as error:  # the database is away for a moment; the next beat may reach it
                log.warning("a lease could not be renewed: %s", error)
