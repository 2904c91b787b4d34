"""The state of a watch on disk: whole or as it was before, whatever ends the process."""

from __future__ import annotations

import fcntl
import os
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from aris.errors import ArisError
from aris.flow.monitoring.journal import Event
from aris.private import make_folder, sync_folder, write_private
from aris.tasks.monitor import State

_FORMAT: Literal["aris-monitor-state"] = "aris-monitor-state"


class StateError(ArisError):
    """The state of a watch cannot be read, written or used."""


class Kept(BaseModel):
    """Content of a state's file.

    Attributes:
        begun: the moment of the first reading.
        patients: the state of each patient, by id.
        outbox: events that the state knows of, and the journal may not have yet.
    """

    model_config = ConfigDict(extra="forbid")

    format: Literal["aris-monitor-state"] = _FORMAT
    version: Literal[1] = 1
    begun: datetime | None = None
    patients: dict[str, State] = Field(default_factory=dict)
    outbox: list[Event] = Field(default_factory=list)


class Keeper:
    """A state's file, which one process at a time uses.

    Args:
        path: of the file; it is made where it is not there.

    Raises:
        StateError: another process uses it, or it is damaged, or no state.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            make_folder(path.parent)
            self._lock = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StateError(f"{path}: the state cannot be kept there ({error.strerror or error})") from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            raise StateError(f"{path}: another aris monitor uses this state; give each its own") from None
        try:
            self.kept = self._read()
        except BaseException:
            os.close(self._lock)
            raise

    def save(self, kept: Kept) -> None:
        """Put a state in place of the one before, at once and whole.

        Raises:
            StateError: it cannot be written; the one before is still there.
        """
        try:
            write_private(self.path, kept.model_dump_json().encode())
            sync_folder(self.path.parent)
        except OSError as error:
            raise StateError(f"{self.path}: the state cannot be written ({error.strerror or error})") from None
        self.kept = kept

    def close(self) -> None:
        """Let another process use it."""
        os.close(self._lock)

    def __enter__(self) -> Keeper:
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self.close()

    def _read(self) -> Kept:
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return Kept()
        except OSError as error:
            raise StateError(f"{self.path}: the state cannot be read ({error.strerror or error})") from None
        try:
            return Kept.model_validate_json(data)
        except ValidationError:
            raise StateError(
                f"{self.path}: no state of aris monitor, or a damaged one; name another file (alarms that were told "
                "may then be told again)"
            ) from None
