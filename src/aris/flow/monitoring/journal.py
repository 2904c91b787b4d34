"""The journal of a watch: one line for each event, appended, never changed; each event is in it once."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from aris.errors import ArisError
from aris.tasks.monitor import Alarm, Ended


class Event(BaseModel):
    """An alarm, or the end of a flag.

    Attributes:
        id: of the event; an alarm's own, with its moment where an alarm of long ago has the same one.
        event: which of the two.
        patient: the patient's id.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    event: Literal["alarm", "ended"]
    patient: str
    alarm: Alarm | None = None
    ended: Ended | None = None


class JournalError(ArisError):
    """The journal cannot be read or written."""


class Journal:
    """A file of events, one JSON object a line, and marks of those that were told.

    Args:
        path: of the file; it is made where it is not there. A last line that was cut off is taken away.

    Raises:
        JournalError: it cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._events: dict[str, Event] = {}
        self._told: set[str] = set()
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            self._load()
        except OSError as error:
            raise JournalError(f"{path}: the journal cannot be used ({error.strerror or error})") from None

    def add(self, event: Event) -> None:
        """Append an event, unless it is there; it is on the disk when this returns.

        Raises:
            JournalError: it cannot be written.
        """
        if event.id not in self._events:
            self._append(event.model_dump_json(exclude_none=True))
            self._events[event.id] = event

    def find(self, id: str) -> Event | None:
        """The event of an id, or None."""
        return self._events.get(id)

    def untold(self) -> Iterator[Event]:
        """The events that are not marked as told, in order."""
        return (event for id, event in list(self._events.items()) if id not in self._told)

    def mark_told(self, event: Event) -> None:
        """Note that an event was told; without the note it is told again after a restart.

        Raises:
            JournalError: it cannot be written.
        """
        self._append(json.dumps({"told": event.id}))
        self._told.add(event.id)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def _append(self, line: str) -> None:
        data = line.encode() + b"\n"
        try:
            if os.write(self._file, data) != len(data):
                raise JournalError(f"{self.path}: the disk is full; the journal is not complete")
            os.fsync(self._file)
        except OSError as error:
            raise JournalError(f"{self.path}: the journal cannot be written ({error.strerror or error})") from None

    def _load(self) -> None:
        data = self.path.read_bytes()
        whole = data.rfind(b"\n") + 1
        if whole != len(data):
            os.ftruncate(self._file, whole)
        for number, line in enumerate(data[:whole].splitlines(), 1):
            try:
                said = json.loads(line)
                if "told" in said:
                    self._told.add(str(said["told"]))
                else:
                    event = Event.model_validate(said)
                    self._events[event.id] = event
            except (ValueError, TypeError):
                raise JournalError(f"{self.path}:{number}: no line of a journal; name another state") from None
