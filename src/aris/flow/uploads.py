"""A file that somebody uploads: DICOM, a zip archive of it, or a raster image, which becomes DICOM.

What is refused is said by name and reason, and stops nothing but a full disk. An object that names another patient than
its study does is kept apart, and said too.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Literal

from aris.errors import ArisError, ImageError
from aris.exchange.raster_images import RasterFacts, is_raster, secondary_capture
from aris.flow.house import House
from aris.flow.intake import add_bytes
from aris.imaging.dicom.quiet import quiet_pydicom
from aris.imaging.sources import MAX_FILE_BYTES, Skipped, in_zip
from aris.regular import read_regular
from aris.store.files import StoreFullError
from aris.store.store import Added

if TYPE_CHECKING:
    from pydicom.uid import UID

SOURCE = "UPLOAD"
# The group of pixel data, and the length of an element that ends by a delimiter (PS3.5 7.1).
_PIXELS, _UNDEFINED = 0x7FE0, 0xFFFFFFFF
_ZIP = b"PK\x03\x04"
# Of more files only so many are named.
_MOST_NAMED = 200
_APART = {
    "kept apart": "kept apart: it names another patient than its study or object does; an admin says whose it is",
    "kept beside": "kept beside: another object with its UID was here before",
}


@dataclass
class Outcome:
    """The outcome of an upload.

    Attributes:
        studies: Study Instance UIDs of what was kept or known, in the order of the files.
        added, known: how many objects.
        refused: names and reasons of what was not taken, or not as one would expect.
    """

    studies: list[str] = field(default_factory=list)
    added: int = 0
    known: int = 0
    refused: list[tuple[str, str]] = field(default_factory=list)

    def refuse(self, name: str, reason: str) -> None:
        """Say why a file was not taken."""
        if len(self.refused) < _MOST_NAMED:
            self.refused.append((name, reason))
        elif len(self.refused) == _MOST_NAMED:
            self.refused.append(("…", "more files were refused"))


def take_upload(house: House, login: str, path: Path, name: str, facts: RasterFacts) -> Outcome:
    """Keep a file that was uploaded, and all that is in it. Audited for each study.

    Args:
        login: who uploads it.
        path: where it lies for now.
        name: as its owner called it.
        facts: for raster images.

    Raises:
        StoreFullError: no room; what was kept before stays.
    """
    made = Outcome()
    counts: dict[str, int] = {}
    try:
        for label, data in _contents(path, name, made):
            _take(house, data, label, facts, made, counts)
    finally:
        moment = datetime.now(UTC)
        for study, count in (counts or {"": 0}).items():
            more = {"objects": count, "refused": len(made.refused)}
            outcome = "done" if study else "refused"
            house.store.sessions.write(
                lambda session, study=study, more=more, outcome=outcome: house.trail.add(  # type: ignore[misc]
                    session, login, "upload", study, outcome=outcome, now=moment, **more
                )
            )
    return made


def _contents(path: Path, name: str, made: Outcome) -> Iterator[tuple[str, bytes]]:
    """The files of an upload: itself, or the members of an archive."""
    with path.open("rb") as file:
        head = file.read(len(_ZIP))
    if head != _ZIP:
        if path.stat().st_size > MAX_FILE_BYTES:
            made.refuse(name, "larger than 1 GB; split it")
            return
        yield name, read_regular(path)
        return
    try:
        for each in in_zip(path):
            if isinstance(each, Skipped):
                made.refuse(_member(each.source, path), each.reason)
                continue
            source, data = each
            if PurePosixPath(source.member or "").name.upper() != "DICOMDIR":
                yield source.member or name, data
    except ImageError as error:
        made.refuse(name, str(error).partition(": ")[2] or str(error))


def _take(
    house: House, data: bytes, name: str, facts: RasterFacts, made: Outcome, counts: dict[str, int]
) -> None:
    try:
        if is_raster(data):
            data = secondary_capture(data, facts, name)
        elif _cut_off(data):
            made.refuse(name, "its end is missing; copy or export it again")
            return
        study, added = add_bytes(house.store, data, SOURCE, name)
    except StoreFullError:
        raise
    except ArisError as error:
        made.refuse(name, str(error).removeprefix(f"{name}: "))
        return
    if study not in made.studies and added.outcome != "kept apart":
        made.studies.append(study)
    counts[study] = counts.get(study, 0) + 1
    _count(added, name, made)


def _cut_off(data: bytes) -> bool:
    """Return whether a file ends before the pixels that it announces.

    Kept, half an image would stand in the way of the whole one, which has the same UID.
    """
    from pydicom import dcmread

    file = io.BytesIO(data)
    try:
        with quiet_pydicom():
            header = dcmread(file, stop_before_pixels=True)
            syntax = header.file_meta.TransferSyntaxUID
    except Exception:  # pydicom raises many kinds on damaged files; these are refused where they are added
        return False
    start = file.tell()
    if syntax.is_deflated or int.from_bytes(data[start : start + 2], _order(syntax)) != _PIXELS:
        return False
    at = start + (4 if syntax.is_implicit_VR else 8)
    length = int.from_bytes(data[at : at + 4], _order(syntax))
    return length != _UNDEFINED and at + 4 + length > len(data)


def _order(syntax: UID) -> Literal["little", "big"]:
    return "little" if syntax.is_little_endian else "big"


def _count(added: Added, name: str, made: Outcome) -> None:
    if added.outcome in _APART:
        made.refuse(name, _APART[added.outcome])
    elif added.outcome == "known":
        made.known += 1
    else:
        made.added += 1


def _member(source: str, path: Path) -> str:
    """A member's name without that of the archive, which lies under a name of ours."""
    return source.removeprefix(f"{path}:")
