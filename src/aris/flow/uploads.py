"""A file that somebody uploads: DICOM, a zip archive of it, or a raster image, which becomes DICOM.

What is refused is said by name and reason, and stops nothing but a full disk. An object that names another patient than
its study does is kept apart, and said too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from aris.errors import ArisError, ImageError, is_full_disk
from aris.exchange.raster_images import RasterFacts, is_raster, secondary_capture
from aris.flow.house import House
from aris.flow.intake import add_bytes
from aris.imaging.sources import MAX_FILE_BYTES, FileInMemory, FileSource, Skipped, unpacked
from aris.store.encryption.spool import Spool
from aris.store.files import StoreFullError
from aris.store.store import Added

SOURCE = "UPLOAD"
# Members of an archive that are larger are unpacked into a file; and bytes of the largest picture.
_IN_MEMORY, _MOST_RASTER, _HEAD = 16 << 20, 256 << 20, 4096
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


def take_upload(house: House, login: str, file: FileSource, name: str, facts: RasterFacts) -> Outcome:
    """Keep a file that was uploaded, and all that is in it. Audited for each study.

    Large members of an archive are unpacked beside it, encrypted where the store is, and go as soon as they are kept.

    Args:
        login: who uploads it.
        file: as it lies for now, in a folder of its own.
        name: as its owner called it.
        facts: for raster images.

    Raises:
        StoreFullError: no room; what was kept before stays.
    """
    made = Outcome()
    counts: dict[str, int] = {}
    try:
        for label, source in _contents(house, file, name, made):
            _take(house, source, label, facts, made, counts)
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


def _contents(house: House, file: FileSource, name: str, made: Outcome) -> Iterator[tuple[str, FileSource]]:
    """The files of an upload: itself, or the members of an archive."""
    with file.open() as opened:
        head = opened.read(len(_ZIP))
    if head != _ZIP:
        if file.size() > MAX_FILE_BYTES:
            made.refuse(name, "larger than 1 GB; split it")
            return
        yield name, file
        return
    encrypted = house.store.files.keyring.current() is not None
    beside = file.path.with_name(f"{file.path.name}-member")

    def into(size: int) -> FileInMemory | Spool:
        if size <= _IN_MEMORY:
            return FileInMemory()
        beside.unlink(missing_ok=True)
        house.store.files.require_room(size)
        return Spool(beside, encrypted=encrypted)

    try:
        for each in unpacked(file, into):
            if isinstance(each, Skipped):
                made.refuse(_member(each.source, file.path), each.reason)
                continue
            source, member = each
            if PurePosixPath(source.member or "").name.upper() != "DICOMDIR":
                yield source.member or name, member
    except OSError as error:
        if not is_full_disk(error):
            raise
        raise StoreFullError("the disk is full; make room, then send the file again") from None
    except ImageError as error:
        made.refuse(name, str(error).partition(": ")[2] or str(error))
    finally:
        beside.unlink(missing_ok=True)


def _take(
    house: House, file: FileSource, name: str, facts: RasterFacts, made: Outcome, counts: dict[str, int]
) -> None:
    try:
        with file.open() as opened:
            head = opened.read(_HEAD)
        if not is_raster(head):
            found, added = house.store.add_file(file, source=SOURCE, name=name)
            study = found.study
        elif file.size() > _MOST_RASTER:
            made.refuse(name, f"a picture of more than {_MOST_RASTER >> 20} MB; make it smaller")
            return
        else:
            study, added = add_bytes(house.store, secondary_capture(file.read(), facts, name), SOURCE, name)
    except StoreFullError:
        raise
    except ArisError as error:
        made.refuse(name, str(error).removeprefix(f"{name}: "))
        return
    if study not in made.studies and added.outcome != "kept apart":
        made.studies.append(study)
    counts[study] = counts.get(study, 0) + 1
    _count(added, name, made)


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
