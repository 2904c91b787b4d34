"""Live drafts: what models write of this house's studies, told to every screen that listens while it is written.

A study that a reader opens and nobody has drafted is drafted at once, ahead of all others and beside what is being
written: through the jobs and leases of the flow, so that nothing is drafted twice and nothing is lost. Whoever comes
late gets what was written so far; whoever leaves ends nothing.
"""

from __future__ import annotations

import asyncio
import logging
import re
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from aris.errors import ArisError
from aris.flow.arrival import DRAFT
from aris.flow.drafting import Drafter, draft_now, worker_name
from aris.flow.house import House
from aris.flow.listening import Hearing
from aris.store.reading import drafts, jobs, readings
from aris.store.reading.tables import JobRow
from aris.tasks import ScoredFinding

log = logging.getLogger("aris.workspace")
Event = tuple[str, dict[str, Any]]
# Drafts of readers that are written side by side: the engine computes them together. The others wait in their order.
_AT_ONCE = 3
# Studies that readers wait for at once.
_MOST = 64
_LOOK_S = 1.0
_BUSY = "as many drafts are waited for as there is room for; try again in a moment"
_STOPPED = "the server was stopped while it drafted; the draft is made when it is up again"
_NOT_YET = "the study has not been drafted yet"
_TAKEN_OVER = "another worker drafts the study anew; open it again in a moment"
_UNKNOWN = "the draft has ended, and the database cannot be read now; open the study again in a moment"
# A folder of ours, which says nothing to a reader.
_FOLDERS = re.compile(r"(?:\S*/)?drafting-[0-9a-f]+/?")


class Written:
    """A draft while it is written: its events so far, for any number of listeners.

    Attributes:
        study: Study Instance UID.
        state: "waiting", "running", "done" or "failed".
    """

    def __init__(self, study: str) -> None:
        self.study = study
        self.state = "waiting"
        self._events: list[Event] = []
        self._lock = threading.Lock()
        self._listening: dict[asyncio.Event, asyncio.AbstractEventLoop] = {}

    @property
    def over(self) -> bool:
        """Return whether nothing more comes."""
        return self.state in ("done", "failed")

    def add(self, name: str, data: dict[str, Any], state: str = "running") -> None:
        """Add an event, from any thread."""
        with self._lock:
            if self.over:
                return
            self._events.append((name, data))
            self.state = state
            for event, loop in list(self._listening.items()):
                try:
                    loop.call_soon_threadsafe(event.set)
                except RuntimeError:  # its loop has ended
                    del self._listening[event]

    def since(self, at: int) -> tuple[list[Event], int, bool]:
        """Events from the `at`th on, pieces of one section joined; where to go on, and whether that was all."""
        with self._lock:
            new, over = self._events[at:], self.over
        joined: list[Event] = []
        for name, data in new:
            if name == "piece" and joined and joined[-1][0] == "piece" and joined[-1][1]["section"] == data["section"]:
                joined[-1] = (name, {**data, "text": joined[-1][1]["text"] + data["text"]})
            else:
                joined.append((name, data))
        return joined, at + len(new), over

    async def events(self) -> AsyncIterator[Event]:
        """Every event, from the first on, as it comes; ends with the draft."""
        more = asyncio.Event()
        with self._lock:
            self._listening[more] = asyncio.get_running_loop()
        try:
            at, over = 0, False
            while not over:
                more.clear()
                new, at, over = self.since(at)
                for event in new:
                    yield event
                if not over:
                    await more.wait()
        finally:
            with self._lock:
                self._listening.pop(more, None)


class _Hearing:
    """Hears one draft for a `Written`."""

    def __init__(self, written: Written, operating_points: dict[str, float]) -> None:
        self._written, self._points = written, operating_points

    def found(self, findings: Sequence[ScoredFinding], warnings: Sequence[str]) -> None:
        told = [{**each.model_dump(), "operating_point": self._points.get(each.name)} for each in findings]
        self._written.add("findings", {"findings": told, "warnings": list(warnings)})

    def wrote(self, section: str, text: str, anew: bool) -> None:
        if anew:
            self._written.add("section", {"section": section})
        self._written.add("piece", {"section": section, "text": text})


class LiveDrafts:
    """The drafts that are written in this process, and those that readers wait for.

    It is the `Listener` of the house's worker too (`flow.worker.Worker(..., listener=...)`), whose drafts are heard
    here like those that readers ask for.

    Args:
        house: see there.
        drafter: drafts; it must stay usable until `close`.
    """

    def __init__(self, house: House, drafter: Drafter) -> None:
        self.house, self.drafter = house, drafter
        self._owner = worker_name()
        self._points = dict(getattr(drafter, "operating_points", None) or {})
        self._lock = threading.Lock()
        self._written: dict[str, Written] = {}
        self._room = threading.Semaphore(_AT_ONCE)
        self._closed = threading.Event()
        self._watching: list[Callable[[str, str], None]] = []

    def watch(self, told: Callable[[str, str], None]) -> Callable[[], None]:
        """Have each study's state told ("waiting", "running", "done", "failed"), from any thread.

        Returns:
            what ends it.
        """
        with self._lock:
            self._watching.append(told)

        def end() -> None:
            with self._lock:
                if told in self._watching:
                    self._watching.remove(told)

        return end

    def state(self, study: str) -> str | None:
        """The state of a study that is being drafted or waited for here; None if it is neither."""
        with self._lock:
            found = self._written.get(study)
        return None if found is None else found.state

    # ---- the flow's side
    def begun(self, study: str) -> Hearing:
        """Hear that a study's draft is begun; see `flow.listening`."""
        written = self._of(study)
        if written.state == "waiting":
            written.state = "running"
            self._tell(study, "running")
        return _Hearing(written, self._points)

    def ended(self, study: str, outcome: str, reason: str = "") -> None:
        """Hear how it ended; see `flow.listening`."""
        written = self._of(study)
        if outcome in ("drafted", "known", "lost"):
            self._finish(written, *self._how_it_ended(study, outcome))
        else:
            said = _STOPPED if outcome == "given back" else f"the study could not be drafted: {_shown(reason)}"
            self._finish(written, "failed", {"message": said})

    def _how_it_ended(self, study: str, outcome: str) -> tuple[str, dict[str, Any]]:
        # Whatever the database does: a draft that stayed "running" here would never be told, nor drafted again.
        try:
            if outcome == "lost":
                with self.house.store.sessions.reading() as session:
                    job = jobs.of_study(session, DRAFT, study)
                if job is None or job.state != "done":
                    return "failed", {"message": _STOPPED if self._closed.is_set() else _TAKEN_OVER}
            return "done", _numbers(self.house, study)
        except Exception as error:
            log.error("the end of a draft could not be read (%s)", type(error).__name__)
            return "failed", {"message": _UNKNOWN}

    # ---- the readers' side
    def ask(self, study: str, *, again: bool = False, start: bool = True) -> Written:
        """A study's draft, drafted now if nobody has.

        Args:
            again: also where it was given up.
            start: False only listens: to what is being written, or to what there is.
        """
        with self._lock:
            found = self._written.get(study)
            if found is not None:
                return found
            written = Written(study)
            refused = _STOPPED if self._closed.is_set() else _BUSY if len(self._written) >= _MOST else ""
            if start and not refused:
                self._written[study] = written
        if not start:
            return what_there_is(self.house, study)
        if refused:
            written.add("failed", {"message": refused}, "failed")
            return written
        self._tell(study, "waiting")
        threading.Thread(target=self._run, args=(written, again), daemon=True).start()
        return written

    def close(self) -> None:
        """Begin nothing more; what is being written is written, and kept."""
        self._closed.set()

    def give_back(self) -> int:
        """Let others draft at once what is being drafted for readers here, as it will not end. How many studies.

        Raises:
            ArisError: the store cannot be written.
        """
        now = datetime.now(UTC)
        return self.house.store.sessions.write(lambda session: jobs.give_back_all(session, self._owner, now))

    def _run(self, written: Written, again: bool) -> None:
        study = written.study
        try:
            while True:
                with self._room:
                    if self._closed.is_set():
                        self._finish(written, "failed", {"message": _STOPPED})
                        return
                    done = draft_now(self.house, self.drafter, study, self._owner, self, again=again)
                again = False
                if done == "elsewhere":
                    if self._wait(written):
                        return
                    continue
                if done == "done":
                    self._finish(written, "done", _numbers(self.house, study))
                elif done == "given up":
                    self._finish(written, "failed", {"message": self._why(study)})
                return
        except ArisError as error:
            self._finish(written, "failed", {"message": _shown(str(error))})
        except BaseException as error:
            # The type alone: a message may quote what was worked on.
            log.error("a draft that was asked for ended with a defect (%s)", type(error).__name__)
            self._finish(written, "failed", {"message": f"the study could not be drafted: {type(error).__name__}"})
            raise

    def _wait(self, written: Written) -> bool:
        """Wait while another worker drafts. Whether all is told: False where nobody holds the study any longer."""
        while not self._closed.wait(_LOOK_S):
            if written.over:
                return True
            if not drafted_elsewhere(self.house, written.study):
                return False
        return False

    def _of(self, study: str) -> Written:
        with self._lock:
            return self._written.setdefault(study, Written(study))

    def _finish(self, written: Written, state: str, data: dict[str, Any]) -> None:
        # First it is no longer found, so that whoever asks from now on asks anew.
        with self._lock:
            if self._written.get(written.study) is written:
                del self._written[written.study]
        if not written.over:
            written.add(state, data, state)
            self._tell(written.study, state)

    def _why(self, study: str) -> str:
        with self.house.store.sessions.reading() as session:
            job = jobs.of_study(session, DRAFT, study)
        return f"the study could not be drafted: {_shown('' if job is None else job.error)}"

    def _tell(self, study: str, state: str) -> None:
        with self._lock:
            watching = list(self._watching)
        for told in watching:
            try:
                told(study, state)
            except Exception as error:  # a screen's fault ends no draft
                log.error("a listener to drafts failed (%s)", type(error).__name__)


def drafted_elsewhere(house: House, study: str) -> bool:
    """Return whether a worker holds the study's job of drafting now."""
    with house.store.sessions.reading() as session:
        job = jobs.of_study(session, DRAFT, study)
        return job is not None and job.state == "running" and not _lapsed(job)


def what_there_is(house: House, study: str) -> Written:
    """A draft that nobody writes now: done, or not begun."""
    written, numbers = Written(study), _numbers(house, study)
    if numbers["draft"]:
        written.add("done", numbers, "done")
    else:
        written.add("failed", {"message": _NOT_YET}, "failed")
    return written


def _numbers(house: House, study: str) -> dict[str, Any]:
    """The newest draft's and the newest text's number; null where there is none."""
    with house.store.sessions.reading() as session:
        reading = readings.find(session, study)
        newest = None if reading is None else drafts.newest(session, reading)
        text = 0 if reading is None else reading.text_number
    return {"draft": None if newest is None else newest.number, "text": text or None}


def _shown(reason: str) -> str:
    return _FOLDERS.sub("", reason).strip() or "for an unknown reason"


def _lapsed(job: JobRow) -> bool:
    return job.lease_until is not None and job.lease_until < datetime.now(UTC)
