"""The way in: a file, a folder or a server's address becomes one timeline, or one for each patient."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from aris.errors import RecordError
from aris.records.fhir.assembling import Assembly
from aris.records.fhir.files import parts_in, read_file, record_files
from aris.records.fhir.json_parts import Page, Part, parts_of
from aris.records.timeline import Timeline
from aris.records.types import Problem

_SHOWN = 5  # patients that a refusal names


def read_timeline(source: str | Path, *, patient: str | None = None, token: str | None = None) -> Timeline:
    """Read the record of one patient.

    Args:
        source: a FHIR R4 file (a bundle or a resource as JSON, or NDJSON; also in gzip), a folder of such files, or the
            address of a patient on a FHIR server ("https://host/fhir/Patient/123").
        patient: the id of the patient ("Patient/123" or "123") where the source has several.
        token: the bearer token for a server.

    Raises:
        RecordError: it cannot be read, is not FHIR R4, is one page of more, or has several patients and none was named.
    """
    return one_patient(read_timelines(source, token=token, patient=patient), str(source), patient)


def read_timelines(source: str | Path, *, token: str | None = None, patient: str | None = None) -> list[Timeline]:
    """Read the records of all patients of a source, in the order of their ids; all else as `read_timeline`."""
    if str(source).startswith(("http://", "https://")):
        from aris.records.fhir.server import read_server

        return read_server(str(source), token=token, patient=patient)
    path = Path(source).expanduser()
    return _read(record_files(path), path, str(source))


def read_what_can_be(folder: str | Path) -> tuple[list[Timeline], list[RecordError]]:
    """Read the records of a folder without the files that keep the others from being read.

    Returns:
        (the records, why files were left out): no records where none is left.

    Raises:
        RecordError: the folder is not there or holds no such file.
    """
    path = Path(folder).expanduser()
    files = record_files(path)
    bad: dict[Path, RecordError] = {}
    for file in files:
        try:
            _read([file], path, str(folder))
        except RecordError as error:
            bad[file] = error
    # Pages of one search can be read together alone: of those that fail by themselves as few as it takes are left out.
    for left in [*({each} for each in bad), set(bad)]:
        try:
            return _read([each for each in files if each not in left], path, str(folder)), [bad[each] for each in left]
        except RecordError:
            continue
    return [], list(bad.values())


def _read(files: Sequence[Path], path: Path, source: str) -> list[Timeline]:
    if not files:
        raise RecordError(f"{source}: there is no file in it that can be read")
    assembly = Assembly()
    for file in files:
        shown = source if file == path else str(file.relative_to(path))
        try:
            assembly.add(read_file(file, shown))
        except RecordError as error:
            if len(files) == 1:
                raise
            assembly.add([error])
    assembly.problems += whole(assembly.pages)
    return assembly.timelines((source,))


@dataclass(frozen=True)
class Piece:
    """A file of records, or its bytes.

    Attributes:
        shown: its name in messages and citations.
        at: the path, or the unpacked bytes.
    """

    shown: str
    at: Path | bytes

    def parts(self) -> Iterator[Part | Page | RecordError]:
        """Give its resources.

        Raises:
            RecordError: it cannot be read, or is no FHIR.
        """
        return parts_in(self.at, self.shown) if isinstance(self.at, bytes) else read_file(self.at, self.shown)


def read_pieces(pieces: Sequence[Piece]) -> list[Timeline]:
    """Return the timelines of all patients in some files, which are read whole: one that is damaged is an error.

    Raises:
        RecordError: one cannot be read, is no FHIR R4, or is one page of more.
    """
    assembly = Assembly()
    for piece in pieces:
        assembly.add(piece.parts())
    assembly.problems += whole(assembly.pages)
    return assembly.timelines(tuple(piece.shown for piece in pieces))


def find_resource(pieces: Sequence[Piece], id: str) -> list[tuple[str, bytes]]:
    """Return every version of a resource as it lies in some files: where, and its bytes.

    Raises:
        RecordError: one cannot be read.
    """
    assembly = Assembly()
    for piece in pieces:
        assembly.add(piece.parts())
    wanted = id.partition("#")[0]
    return [(part.where, bytes(part.raw)) for name, part in assembly.named() if name == wanted and not part.deleted]


def timelines_of(resources: Iterable[dict[str, Any]], *, source: str = "") -> list[Timeline]:
    """Return the timelines of resources that are parsed already (bundles among them), one for each patient.

    Raises:
        RecordError: there is no resource, or they are not FHIR R4.
    """
    assembly = Assembly()
    for number, each in enumerate(resources):
        where = f"{source} resource {number + 1}".strip()
        try:
            assembly.add(parts_of(msgspec.json.encode(each), where))
        except (TypeError, ValueError, RecursionError, OverflowError):
            assembly.add([RecordError(f"{where}: it holds something that is no JSON")])
        except RecordError as error:
            assembly.add([error])
    return assembly.timelines((source,) if source else ())


def timeline_of(resources: Iterable[dict[str, Any]], *, source: str = "", patient: str | None = None) -> Timeline:
    """Return the timeline of one patient from resources that are parsed already.

    Raises:
        RecordError: as `timelines_of`; or there are several patients and none was named.
    """
    return one_patient(timelines_of(resources, source=source), source or "the record", patient)


def one_patient(timelines: list[Timeline], shown: str, patient: str | None) -> Timeline:
    """Return the one timeline, or the named patient's.

    Raises:
        RecordError: there are several and none was named, or the named one is not there.
    """
    if patient is not None:
        wanted = patient if patient.startswith("Patient/") else f"Patient/{patient}"
        for each in timelines:
            if each.patient.id == wanted:
                return each
        raise RecordError(f"{shown}: it has no patient of that id; give one of: {_ids(timelines)}")
    if len(timelines) > 1:
        raise RecordError(
            f"{shown}: it has {len(timelines)} patients, and a record is of one; name one of them: {_ids(timelines)}"
        )
    return timelines[0]


def whole(pages: list[Page]) -> list[Problem]:
    """Refuse pages of a search whose next page is not among them; return what else speaks against their being whole.

    Raises:
        RecordError: a page is missing.
    """
    own = {page.own for page in pages if page.own}
    for page in pages:
        if page.next and page.next not in own:
            raise RecordError(
                f"{page.where}: it is one page of a search, and its next page is not here; give all pages in a folder, "
                "or the server's address"
            )
    return [
        Problem(page.where, f"its search counted {page.total}, and {page.matches} are here; the rest may be missing")
        for page in pages
        if page.type == "searchset" and page.total is not None and page.matches < page.total and len(pages) == 1
    ]


def _ids(timelines: list[Timeline]) -> str:
    ids = [each.patient.id or "(no id)" for each in timelines]
    return ", ".join(ids[:_SHOWN]) + (f" and {len(ids) - _SHOWN} more" if len(ids) > _SHOWN else "")
