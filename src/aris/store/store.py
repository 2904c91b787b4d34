"""The store of studies: an index in a database, and files named by their contents.

An object counts as received when `Store.add` returns: then its file and its row are both on the disk. What comes
before (half a file, a file without a row) is swept away or simply found again when it is sent again.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.orm import Session

from aris.errors import StoreError
from aris.store import search
from aris.store.database import open_database
from aris.store.files import RESERVE_BYTES, FileStore, StoreFullError
from aris.store.moments import plain_day
from aris.store.objects import MismatchError, identity, number, parse, text
from aris.store.schema import CopyRow, InstanceRow, SeriesRow, StudyRow
from aris.store.search import Query


@dataclass(frozen=True)
class Added:
    """What became of an object.

    Attributes:
        uid: its SOP Instance UID.
        digest: of its file.
        outcome: "stored"; "known" (the very same object was here before); or "kept beside" (another content came
            under a UID that is taken: it is kept, and the first one stays the instance).
    """

    uid: str
    digest: str
    outcome: Literal["stored", "known", "kept beside"]


@dataclass(frozen=True)
class Stored:
    """Where an instance is, and who sent it first."""

    uid: str
    sop_class: str
    series: str
    study: str
    transfer_syntax: str
    digest: str
    path: Path
    source: str


class Store:
    """A store in a folder. Threads may share it, and processes may open the same folder.

    Args:
        folder: for files and, by default, the database.
        url: of another database, as SQLAlchemy takes it.
        reserve_bytes: are left free on the disk.

    Raises:
        StoreError: it cannot be opened.
    """

    def __init__(self, folder: str | Path, *, url: str | None = None, reserve_bytes: int = RESERVE_BYTES) -> None:
        folder = Path(folder).expanduser()
        self.folder = folder
        self.files = FileStore(folder / "objects", reserve_bytes)
        self._engine = open_database(url or f"sqlite:///{(folder / 'aris.db').absolute()}")
        # One writer at a time, so that no two of ours run into each other in the database.
        self._writing = threading.Lock()

    def close(self) -> None:
        """Give the database and the folder back."""
        self._engine.dispose()
        self.files.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def add(
        self, data: bytes, *, source: str = "", name: str = "object", expect: tuple[str, str] | None = None
    ) -> Added:
        """Keep an object. When this returns, it is on the disk and indexed.

        Args:
            data: a DICOM file, as `objects.file_bytes` makes it.
            source: who sent it, an AE title.
            name: for errors.
            expect: the SOP Instance and Class UIDs that were announced.

        Raises:
            StoreFullError: no room.
            ObjectError: not a DICOM object, or (MismatchError) not the one that was announced.
            StoreError: it cannot be written.
        """
        dataset = parse(data, name, pixels=False)
        found = identity(dataset, name)
        if expect is not None and expect != (found.uid, found.sop_class):
            raise MismatchError(f"{name}: not the object that was announced; its sender is at fault")
        digest = self.files.add(data)
        for attempt in (1, 2, 3):
            try:
                with self._writing, Session(self._engine) as session:
                    outcome = _index(session, dataset, digest, len(data), source)
                    session.commit()
                return Added(found.uid, digest, outcome)
            except IntegrityError:
                # Another process put the same study, series or object in between.
                if attempt == 3:
                    raise StoreError(f"{name}: cannot be indexed; send it again") from None
            except SQLAlchemyError as error:
                if "full" in str(getattr(error, "orig", "")):
                    raise StoreFullError(f"{self.folder}: the disk is full; make room, then send again") from None
                raise StoreError(f"{self.folder}: the database cannot be written ({type(error).__name__})") from None
        raise AssertionError

    def find(self, uid: str) -> Stored | None:
        """The instance of this SOP Instance UID; None if there is none."""
        with self._reading() as session:
            row = session.scalar(select(InstanceRow).where(InstanceRow.uid == uid))
            return None if row is None else self._stored(row)

    def instances(self, study: str = "", series: str = "", uid: str = "") -> list[Stored]:
        """The instances of a study, of a series, or one; in the order of their arrival."""
        given = {"StudyInstanceUID": study, "SeriesInstanceUID": series, "SOPInstanceUID": uid}
        matches = {key: value for key, value in given.items() if value}
        with self._reading() as session:
            return [self._stored(row) for row in search.run(session, "instances", Query(matches))]

    def search(self, level: str, query: Query) -> list[dict[str, Any]]:
        """What matches at a level: DICOM keywords and values, and of studies and series how much is in them.

        Raises:
            StoreError: the level has no such key.
        """
        with self._reading() as session:
            return [_described(session, level, row) for row in search.run(session, level, query)]

    def read(self, uid: str) -> bytes:
        """An instance's file.

        Raises:
            StoreError: there is none, or it is damaged.
        """
        found = self.find(uid)
        if found is None:
            raise StoreError("no such object in the store")
        return self.files.read(found.digest)

    def senders(self, study: str) -> list[str]:
        """Who sent the study's objects, the first first."""
        with self._reading() as session:
            rows = session.scalars(
                select(CopyRow.source)
                .join(CopyRow.instance)
                .join(InstanceRow.series)
                .join(SeriesRow.study)
                .where(StudyRow.uid == study)
                .order_by(CopyRow.id)
            )
            return list(dict.fromkeys(source for source in rows if source))

    def counts(self) -> dict[str, int]:
        """How many studies, series, instances and copies there are."""
        tables = {"studies": StudyRow, "series": SeriesRow, "instances": InstanceRow, "copies": CopyRow}
        with self._reading() as session:
            return {name: session.scalar(select(func.count()).select_from(row)) or 0 for name, row in tables.items()}

    @contextmanager
    def _reading(self) -> Iterator[Session]:
        try:
            with Session(self._engine) as session:
                yield session
        except SQLAlchemyError as error:
            raise StoreError(f"{self.folder}: the database cannot be read ({type(error).__name__})") from None

    def _stored(self, row: InstanceRow) -> Stored:
        first = min(row.copies, key=lambda copy: copy.id)
        return Stored(
            row.uid, row.sop_class, row.series.uid, row.series.study.uid, row.transfer_syntax, row.digest,
            self.files.path(row.digest), first.source,
        )  # fmt: skip


def _index(
    session: Session, dataset: Any, digest: str, size: int, source: str
) -> Literal["stored", "known", "kept beside"]:
    found = identity(dataset, "object")
    now = datetime.now(UTC)
    instance = session.scalar(select(InstanceRow).where(InstanceRow.uid == found.uid))
    outcome: Literal["stored", "known", "kept beside"]
    if instance is not None:
        if any(copy.digest == digest for copy in instance.copies):
            return "known"
        outcome = "kept beside"
    else:
        outcome = "stored"
        instance = InstanceRow(
            series=_series(session, dataset, found.study, found.series, now),
            uid=found.uid,
            sop_class=found.sop_class,
            number=text(dataset, "InstanceNumber", 16),
            rows=number(dataset, "Rows"),
            columns=number(dataset, "Columns"),
            bits_allocated=number(dataset, "BitsAllocated"),
            frames=number(dataset, "NumberOfFrames"),
            transfer_syntax=found.transfer_syntax,
            digest=digest,
            size=size,
        )
        session.add(instance)
    session.add(
        CopyRow(
            instance=instance, digest=digest, size=size, transfer_syntax=found.transfer_syntax,
            source=source[:64], received_at=now,
        )
    )  # fmt: skip
    return outcome


def _series(session: Session, dataset: Any, study_uid: str, series_uid: str, now: datetime) -> SeriesRow:
    study = session.scalar(select(StudyRow).where(StudyRow.uid == study_uid))
    if study is None:
        study = StudyRow(
            uid=study_uid,
            study_id=text(dataset, "StudyID", 64),
            accession=text(dataset, "AccessionNumber", 64),
            date=plain_day(text(dataset, "StudyDate", 10))[:8],
            time=text(dataset, "StudyTime", 16),
            description=text(dataset, "StudyDescription", 256),
            referrer=text(dataset, "ReferringPhysicianName", 512),
            patient_id=text(dataset, "PatientID", 256),
            patient_name=text(dataset, "PatientName", 512),
            birth_date=plain_day(text(dataset, "PatientBirthDate", 10))[:8],
            sex=text(dataset, "PatientSex", 16),
            received_at=now,
        )
        session.add(study)
        session.flush()
    known = select(SeriesRow).where(SeriesRow.study_pk == study.id, SeriesRow.uid == series_uid)
    series = session.scalar(known)
    if series is None:
        series = SeriesRow(
            study=study,
            uid=series_uid,
            modality=text(dataset, "Modality", 16),
            number=text(dataset, "SeriesNumber", 16),
            description=text(dataset, "SeriesDescription", 256),
            body_part=text(dataset, "BodyPartExamined", 64),
        )
        session.add(series)
    return series


def _described(session: Session, level: str, row: Any) -> dict[str, Any]:
    instance = row if level == "instances" else None
    series = row if level == "series" else instance.series if instance is not None else None
    study = row if level == "studies" else series.study if series is not None else None
    assert study is not None
    made: dict[str, Any] = {
        "StudyInstanceUID": study.uid,
        "StudyID": study.study_id,
        "AccessionNumber": study.accession,
        "StudyDate": study.date,
        "StudyTime": study.time,
        "StudyDescription": study.description,
        "ReferringPhysicianName": study.referrer,
        "PatientID": study.patient_id,
        "PatientName": study.patient_name,
        "PatientBirthDate": study.birth_date,
        "PatientSex": study.sex,
    }
    if level == "studies":
        inside = select(func.count()).select_from(InstanceRow).join(InstanceRow.series)
        modalities = select(SeriesRow.modality).where(SeriesRow.study_pk == study.id).distinct()
        count = select(func.count()).select_from(SeriesRow).where(SeriesRow.study_pk == study.id)
        made |= {
            "ModalitiesInStudy": sorted(each for each in session.scalars(modalities) if each),
            "NumberOfStudyRelatedSeries": session.scalar(count),
            "NumberOfStudyRelatedInstances": session.scalar(inside.where(SeriesRow.study_pk == study.id)),
        }
    if series is not None:
        made |= {
            "SeriesInstanceUID": series.uid,
            "Modality": series.modality,
            "SeriesNumber": series.number,
            "SeriesDescription": series.description,
            "BodyPartExamined": series.body_part,
        }
    if level == "series":
        inside = select(func.count()).select_from(InstanceRow).where(InstanceRow.series_pk == row.id)
        made["NumberOfSeriesRelatedInstances"] = session.scalar(inside)
    if instance is not None:
        made |= {
            "SOPInstanceUID": instance.uid,
            "SOPClassUID": instance.sop_class,
            "InstanceNumber": instance.number,
            "Rows": instance.rows,
            "Columns": instance.columns,
            "BitsAllocated": instance.bits_allocated,
            "NumberOfFrames": instance.frames,
            "AvailableTransferSyntaxUID": instance.transfer_syntax,
        }
    return made
