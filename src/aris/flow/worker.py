"""The worker: takes in, settles, drafts and delivers, until it is told to stop. Several may work on one store."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime

from aris.errors import ArisError
from aris.flow.arrival import collect, settle
from aris.flow.drafting import Drafter, draft_next, worker_name
from aris.flow.house import House
from aris.flow.intake import watch
from aris.flow.listening import Listener
from aris.flow.monitoring.house_watch import HouseWatch
from aris.flow.outgoing.delivery import deliver_next
from aris.flow.reading import archives
from aris.store.reading import deliveries, jobs

log = logging.getLogger("aris.flow")
POLL_S = 1.0
# The audit trail's head is exported so often, where the site's settings say where to.
_HEAD_S = 300.0
# After an error of the database.
_PAUSE_S = 10.0


class Worker:
    """Does a house's work.

    Args:
        drafter: None where studies are not drafted here, or not yet (see `use`).
        told: is called with what was done, as "drafted", in the thread that did it.
        listener: hears of each draft while it is written.
    """

    def __init__(
        self, house: House, drafter: Drafter | None, told: Callable[[str], None] = lambda _: None,
        listener: Listener | None = None,
    ) -> None:  # fmt: skip
        self._house, self._drafter, self._told, self._listener = house, drafter, told, listener
        self._name = worker_name()
        self._stopped = threading.Event()
        self._head_at = 0.0
        self.watch = HouseWatch(house)

    def use(self, drafter: Drafter, listener: Listener | None = None) -> None:
        """Draft from now on, as a model that was loading is there."""
        self._listener, self._drafter = listener, drafter

    def stop(self) -> None:
        """Let `run` end: a draft that is being written is written, and kept."""
        self._stopped.set()
        self.watch.stop()

    def give_back(self) -> int:
        """Let others do at once what this worker is at, as it will not end it. How many pieces of work that were.

        What it still makes of them is not kept.

        Raises:
            ArisError: the store cannot be written.
        """
        now = datetime.now(UTC)
        return self._house.store.sessions.write(
            lambda session: jobs.give_back_all(session, self._name, now)
            + deliveries.give_back_all(session, self._name, now)
        )

    def once(self) -> Counter[str]:
        """Do all that is due now. How often each thing was done.

        Raises:
            ArisError: the store cannot be read or written.
        """
        done: Counter[str] = Counter()
        while True:
            steps = [*self._looked(), self._draft(), self._deliver(), self._ask_archives(), *self._watch_records()]
            found = [each for each in steps if each is not None]
            done.update(found)
            if not found or self._stopped.is_set():
                self._export_head(force=True)
                return done

    def run(self) -> None:
        """Work until `stop`: looking, drafting, delivering, asking archives and watching records, each in a thread."""
        works: list[Callable[[], object]] = [self._looked, self._deliver, self._draft, self._watch_records]
        if self._house.settings.archives:
            works.append(self._ask_archives)
        threads = [threading.Thread(target=self._loop, args=(work,), daemon=True) for work in works]
        for thread in threads:
            thread.start()
        for thread in threads:
            # In pieces: a signal that comes while a thread is waited for is looked at in between.
            while thread.is_alive():
                thread.join(0.5)
        self._export_head(force=True)

    def _loop(self, work: Callable[[], object]) -> None:
        while not self._stopped.is_set():
            pause = POLL_S
            try:
                if work():
                    continue
            except ArisError as error:
                log.error("the flow waits: %s", error)
                pause = _PAUSE_S
            except Exception as error:
                # The type alone: a message may quote what was worked on.
                log.error("the flow waits: a defect (%s)", type(error).__name__)
                pause = _PAUSE_S
            self._stopped.wait(pause)

    def _looked(self) -> list[str]:
        done = ["taken in"] * watch(self._house)
        collect(self._house)
        done += ["settled"] * settle(self._house)
        for each in done:
            self._told(each)
        self._export_head()
        return done

    def _draft(self) -> str | None:
        if self._drafter is None:
            return None
        return self._say(draft_next(self._house, self._drafter, self._name, listener=self._listener))

    def _deliver(self) -> str | None:
        done = deliver_next(self._house, self._name)
        return self._say({"acknowledged": "delivered", "failed": "not delivered"}.get(done or "", done))

    def _ask_archives(self) -> str | None:
        done = archives.look_next(self._house, self._name) or archives.fetch_next(self._house, self._name)
        return self._say({"failed": "earlier studies not found", "lost": None}.get(done or "", done))

    def _watch_records(self) -> list[str]:
        done = self.watch.step()
        for each in done:
            self._told(each)
        return done

    def _say(self, done: str | None) -> str | None:
        if done is not None:
            self._told(done)
        return done

    def _export_head(self, *, force: bool = False) -> None:
        location = self._house.settings.audit_heads
        if location is None or (not force and time.monotonic() - self._head_at < _HEAD_S and self._head_at):
            return
        with self._house.store.sessions.reading() as session:
            self._house.trail.export(session, location)
        self._head_at = time.monotonic()


def status(house: House) -> dict[str, object]:
    """Return how much there is to do, and what is wrong."""
    from sqlalchemy import func, select

    from aris.store.reading import critical
    from aris.store.reading.tables import JobRow, ReadingRow

    with house.store.sessions.reading() as session:
        states = {state: count for state, count in session.execute(
            select(ReadingRow.state, func.count()).group_by(ReadingRow.state)
        )}  # fmt: skip
        work = {state: count for state, count in session.execute(
            select(JobRow.state, func.count()).group_by(JobRow.state)
        )}  # fmt: skip
        failing = [
            {"destination": each.destination, "attempts": each.attempts, "error": each.error,
             "next_at": each.not_before.isoformat()}
            for each in deliveries.failing(session)
        ]  # fmt: skip
        return {
            "at": datetime.now(UTC).isoformat(), "studies": states, "jobs": work,
            "deliveries": deliveries.counts(session), "failing": failing,
            "critical_open": len(critical.open_ones(session)),
        }  # fmt: skip
