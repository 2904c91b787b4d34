"""Sources of records: a folder's files, and a FHIR server's patients."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from aris.errors import RecordError
from aris.flow.settings import FhirRecords, FolderRecords
from aris.records import Timeline, read_timelines
from aris.records.fhir import record_files
from aris.regular import read_regular


@dataclass(frozen=True)
class Location:
    """A source as it is reached.

    Attributes:
        path: of a folder or file; None for a server.
        url: of a server; "" for a folder.
    """

    name: str
    path: Path | None = None
    url: str = ""
    token_file: Path | None = None

    @property
    def is_server(self) -> bool:
        """Return whether it is a FHIR server."""
        return self.path is None

    def path_of(self, name: str) -> Path:
        """The path of one of its files."""
        assert self.path is not None
        return self.path if self.path.is_file() else self.path / name

    def files(self) -> Iterator[tuple[str, Path, str, int]]:
        """Give its files: name, path, a mark that changes with the content, and size.

        Raises:
            RecordError: there are none, or the folder cannot be read.
        """
        assert self.path is not None
        for path in record_files(self.path):
            try:
                stat = path.stat()
            except OSError:  # gone meanwhile
                continue
            name = path.name if path == self.path else str(path.relative_to(self.path))
            yield name, path, f"{stat.st_mtime_ns}:{stat.st_size}", stat.st_size

    def token(self) -> str | None:
        """The bearer token of a server.

        Raises:
            RecordError: its file cannot be read.
        """
        if self.token_file is None:
            return None
        try:
            return read_regular(self.token_file).decode().strip()
        except (OSError, UnicodeDecodeError):
            raise RecordError(f"{self.name}: the token's file cannot be read") from None


def locate(source: FolderRecords | FhirRecords) -> Location:
    """Return a source of the settings as it is reached."""
    if isinstance(source, FolderRecords):
        return Location(source.name, path=source.path)
    return Location(source.name, url=source.url.rstrip("/"), token_file=source.token_file)


def read_on_server(
    there: Location, patient: str, *, wanted: str = "", found: list[tuple[str, bytes]] | None = None
) -> list[Timeline]:
    """Read a patient's record from a server, now.

    Args:
        patient: the id, with or without "Patient/".
        wanted: a resource that is to be had as it came; found: takes where it lay and its bytes.

    Raises:
        RecordError: as `aris.records.read_timelines`.
    """
    id = patient.removeprefix("Patient/")
    if wanted and found is not None:
        from aris.records.fhir.client import FhirClient

        kind, _, number = wanted.partition("#")[0].partition("/")
        if not (
            kind.isalpha() and kind.isascii() and number and all(each.isalnum() or each in "-." for each in number)
        ):
            return []
        with FhirClient(there.url, there.token()) as client:
            body = client.get(f"{there.url}/{kind}/{number}", "a resource", missing=True)
        if body is not None:
            found.append((f"{there.name} {kind}/{number}", body))
        return []
    return read_timelines(there.url, token=there.token(), patient=id)


def content_mark(timeline: Timeline) -> str:
    """Return a mark of what a record says, for a source that has no other."""
    made = hashlib.sha256(repr(timeline.patient).encode())
    for record in timeline.records:
        made.update(repr(record).encode())
    return made.hexdigest()
