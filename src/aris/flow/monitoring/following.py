"""Following records: a folder, a file or a FHIR server is read again and again, and judged as it grows."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from aris.errors import ArisError, RecordError
from aris.flow.monitoring.journal import Event, Journal
from aris.flow.monitoring.keeping import Keeper, Kept
from aris.records import Timeline, read_timelines, read_what_can_be
from aris.tasks.monitor import Episode, Monitored, RuleSet, State, monitor

if TYPE_CHECKING:
    from aris.flow.monitoring.subscribed import Subscribed

_Print = tuple[tuple[str, int, int], ...]


class Source:
    """A file, a folder, or a patient's address on a FHIR server.

    Attributes:
        left_out: of a folder, why files of it could not be read; the others were.

    Args:
        address: the path or the address.
        patient: one patient of it.
        token: the bearer token of the server.
    """

    def __init__(self, address: str, *, patient: str | None = None, token: str | None = None) -> None:
        self.address = address
        self._patient = patient
        self._token = token
        self._print: _Print | None = None
        self._read: list[Timeline] = []
        self.left_out: list[RecordError] = []

    @property
    def is_server(self) -> bool:
        """Tell whether it is a FHIR server."""
        return self.address.startswith(("http://", "https://"))

    def timelines(self) -> list[Timeline]:
        """Read the records; files that did not change are not read again.

        Raises:
            RecordError: they cannot be read.
        """
        print_ = None if self.is_server else self._fingerprint()
        if print_ is None or print_ != self._print:
            read = self._all()
            if self._patient is not None:
                wanted = self._patient if "/" in self._patient else f"Patient/{self._patient}"
                read = [each for each in read if each.patient.id == wanted]
                if not read:
                    raise RecordError(f"{self.address}: it has no patient of that id")
            self._read, self._print = read, print_
        return self._read

    def _all(self) -> list[Timeline]:
        """Read all; a file of a folder that cannot be read keeps nobody else's record from being judged."""
        self.left_out = []
        try:
            return read_timelines(self.address, token=self._token, patient=self._patient)
        except RecordError:
            if self.is_server or not Path(self.address).expanduser().is_dir():
                raise
            found, self.left_out = read_what_can_be(self.address)
            if not found:
                raise
            return found

    def _fingerprint(self) -> _Print:
        path = Path(self.address).expanduser()
        files = [path] if path.is_file() else sorted(each for each in path.rglob("*") if each.is_file())
        found = []
        for each in files:
            try:
                stat = each.stat()
            except OSError:  # gone meanwhile
                continue
            found.append((str(each), stat.st_mtime_ns, stat.st_size))
        return tuple(found)


class Follower:
    """A watch that keeps its state.

    The state and the events that it makes are put on the disk in one step; then the events go to the journal, each
    once; then they are told. Whatever ends the process between, the next start goes on from there: an event is in the
    journal once, and is told at least once, and again only where the process ended between telling and noting it.

    Args:
        source: of the records.
        state: the state's file; the journal lies beside it, as FILE.alarms.jsonl.
        rules: those that ship with Aris by default.
        clock: gives the moment to judge, from the records.

    Raises:
        ArisError: the state or the journal cannot be used.
    """

    def __init__(
        self,
        source: Source,
        state: Path,
        rules: RuleSet | None = None,
        clock: Callable[[list[Timeline]], datetime] = lambda _: datetime.now(UTC),
    ) -> None:
        self._source = source
        self._rules = rules
        self._clock = clock
        self._keeper = Keeper(state)
        try:
            self.journal = Journal(state.with_name(state.name + ".alarms.jsonl"))
        except BaseException:
            self._keeper.close()
            raise
        self.last: list[Monitored] = []

    def step(self) -> Iterator[Event]:
        """Judge the records once, and give each event that was not told; it is noted as told when the next is asked.

        Raises:
            RecordError: the records cannot be read now; what is in the journal was given before.
            ArisError: the state or the journal cannot be written.
        """
        self._deliver(self._keeper.kept.outbox)
        yield from self._tell()
        timelines = self._source.timelines()
        now = self._clock(timelines)
        before = self._keeper.kept
        patients = dict(before.patients)
        events: list[Event] = []
        results: list[Monitored] = []
        changed = False
        for timeline in timelines:
            id = timeline.patient.id
            known = patients.get(id)
            if known is None and before.begun is not None:  # came to the watch later
                start = min(before.begun, now)
                known = State(patient=id, as_of=start, begun=start)
            moment = now if known is None or known.as_of is None else max(now, known.as_of)
            result = monitor(timeline, now=moment, state=known, rules=self._rules)
            results.append(result)
            events += [self._named(each) for each in _events(result)]
            changed = changed or id not in patients or known is None or not _same(known, result.state)
            patients[id] = result.state
        self.last = results
        if changed or events:
            self._keeper.save(Kept(begun=before.begun or now, patients=patients, outbox=events))
            self._deliver(events)
        yield from self._tell()

    def run(self, every_s: float, tell: Callable[[Event], None], trouble: Callable[[ArisError], None],
            stop: threading.Event | None = None, woken: Subscribed | None = None) -> None:  # fmt: skip
        """Judge again and again until `stop` is set.

        Args:
            every_s: seconds between two readings.
            tell: is called with each event.
            trouble: is called where the records cannot be read; the watch goes on.
            stop: ends it.
            woken: what wakes it between two readings, and sets their pace instead of `every_s`.

        Raises:
            ArisError: the state or the journal cannot be written.
        """
        stop = stop or threading.Event()
        told: set[str] = set()
        while not stop.is_set():
            if woken is not None:  # before the reading: what comes after it is told of
                woken.look(trouble)
            try:
                for event in self.step():
                    tell(event)
                said = self._source.left_out
                for error in said:
                    if str(error) not in told:
                        trouble(error)
                told = {str(error) for error in said}
            except RecordError as error:
                trouble(error)
            if woken is None:
                stop.wait(every_s)
            else:
                woken.wait(stop)

    def close(self) -> None:
        """Let another process use the state."""
        self.journal.close()
        self._keeper.close()

    def _named(self, event: Event) -> Event:
        """An event under an id of its own: what began with the same fact as something of long ago is told too."""
        known = self.journal.find(event.id)
        if known is None or known.alarm is None or event.alarm is None or known.alarm.raised == event.alarm.raised:
            return event
        return event.model_copy(update={"id": f"{event.id}-{event.alarm.raised:%Y%m%dT%H%M%S}"})

    def _deliver(self, events: list[Event]) -> None:
        for event in events:
            self.journal.add(event)

    def _tell(self) -> Iterator[Event]:
        for event in self.journal.untold():
            yield event
            self.journal.mark_told(event)


def newest_moment(timelines: list[Timeline]) -> datetime:
    """Return the latest moment at which any of the records learned something; the present where none says.

    It lets a record of the past be watched by its own time. What lies ahead of the present counts as the present.
    """
    now = datetime.now(UTC)
    moments = (
        when.start
        for timeline in timelines for record in timeline.records
        if (when := record.known or record.time) is not None and when.start <= now
    )  # fmt: skip
    return max(moments, default=now)


def _events(result: Monitored) -> list[Event]:
    events = [Event(id=each.id, event="alarm", patient=result.patient, alarm=each) for each in result.alarms]
    return events + [
        Event(id=f"{each.id}-{each.at:%Y%m%dT%H%M%S}", event="ended", patient=result.patient, ended=each)
        for each in result.ended
    ]


def _same(before: State, after: State) -> bool:
    """Tell whether two states differ in the moment of the run alone."""
    quiet: dict[str, object] = {"as_of": None, "episodes": {}}
    if before.model_copy(update=quiet) != after.model_copy(update=quiet):
        return False
    return {name: _lasting(each) for name, each in before.episodes.items()} == {
        name: _lasting(each) for name, each in after.episodes.items()
    }


def _lasting(episode: Episode) -> Episode:
    return episode.model_copy(update={"last": datetime.min})
