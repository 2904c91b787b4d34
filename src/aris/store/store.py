"""The store of studies: an index in a database, and files named by their contents.

An object counts as received when `Store.add` returns: then its file and its row are both on the disk. What comes
before (half a file, a file without a row) is swept away or simply found again when it is sent again.

An object that names another patient than the study or object of its UIDs does is kept apart: no search and no
retrieval of the study gives it out, and a person is told (`Store.apart`). Asked for by all its UIDs it is given out.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import func, select
from sqlalchemy.exc import DatabaseError, IntegrityError, SQLAlchemyError
from sqlalchemy.orm import Session

from aris.errors import StoreError
from aris.imaging.dicom.patients import Patient
from aris.imaging.dicom.quiet import quiet_pydicom
from aris.private import make_file
from aris.regular import Openable
from aris.store import removal, search
from aris.store.database import is_sound, open_database
from aris.store.encryption.keyring import WrappingKey
from aris.store.files import RESERVE_BYTES, FileStore, StoredFile, StoreFullError
from aris.store.moments import plain_day
from aris.store.objects import (
    Identity,
    MismatchError,
    canonical_pieces,
    identity,
    number,
    parse,
    parse_file,
    require_whole,
    text,
)
from aris.store.private import claim, tighten
from aris.store.reading.readings import begin_anew
from aris.store.reading.remote import release_if_sent
from aris.store.resolving import Resolved, give_study
from aris.store.schema import ApartRow, CopyRow, InstanceRow, SeriesRow, StudyRow
from aris.store.search import Query
from aris.store.sessions import Sessions

DATABASE, OBJECTS = "aris.db", "objects"
# Is there once anything was indexed: an index without an entry is lost then, not new.
INDEXED = "indexed"
# Checked at each start up to this size, which takes a second.
_CHECKED_BYTES = 256 << 20

_REBUILD = "`aris node rebuild` makes it anew from them"

Outcome = Literal["stored", "known", "repaired", "kept beside", "kept apart"]


@dataclass(frozen=True)
class Added:
    """Outcome of adding an object.

    Attributes:
        uid: its SOP Instance UID.
        digest: of its file.
        outcome: "stored"; "known" (the very same object was here before); "repaired" (likewise, but its file was
            damaged or gone, and is whole again); "kept beside" (another content came under a UID that is taken: it is
            kept, and the first one stays the instance); or "kept apart" (it names another patient than the study or
            object of its UIDs does).
    """

    uid: str
    digest: str
    outcome: Outcome


@dataclass(frozen=True)
class Stored:
    """Location of an instance, and its first sender."""

    uid: str
    sop_class: str
    series: str
    study: str
    transfer_syntax: str
    digest: str
    file: StoredFile
    source: str


class Store:
    """A store in a folder. Threads may share it, and processes may open the same folder.

    Attributes:
        folder: as it was given.
        files: the objects' files.
        sessions: transactions on the database, for what `aris.store.reading` keeps in it.

    Args:
        folder: for files and, by default, the database.
        url: of another database, as SQLAlchemy takes it.
        reserve_bytes: are left free on the disk.
        wrapping: the key that opens the keyring of encrypted files; `usual_key` by default.

    Raises:
        StoreError: it cannot be opened.
    """

    def __init__(
        self, folder: str | Path, *, url: str | None = None, reserve_bytes: int = RESERVE_BYTES,
        wrapping: WrappingKey | None = None,
    ) -> None:  # fmt: skip
        folder = Path(folder).expanduser()
        self.folder = folder
        try:
            claim(folder, (DATABASE, OBJECTS))
        except OSError as error:
            raise StoreError(f"{folder}: cannot be made ({error.strerror}); choose another folder") from None
        self.files = FileStore(folder / OBJECTS, reserve_bytes, wrapping)
        self._mark = folder / OBJECTS / INDEXED
        database = folder / DATABASE
        try:
            # Before the database is opened: to root SQLite's side files would be the database owner's.
            self.tighten()
            self.files.unlock()
            if url is None:
                self._require_database(database)
        except StoreError:
            self.files.close()
            raise
        try:
            self._engine = open_database(url or f"sqlite:///{database.absolute()}")
        except StoreError:
            self.files.close()
            raise
        self.sessions = Sessions(self._engine, str(folder))
        # One writer at a time, so that no two of ours run into each other in the database.
        self._writing = threading.Lock()
        if url is None:
            self._require_index(database)

    def tighten(self, *, every: bool = False) -> int:
        """See that nobody else may read the store's files: of very many, only some, unless `every`.

        Returns:
            how many were open to others, and are no more.

        Raises:
            StoreError: something in it is another user's.
        """
        try:
            return tighten(self.folder, every=every)
        except OSError as error:
            raise StoreError(f"{self.folder}: cannot be looked through ({error.strerror})") from None

    def _require_database(self, database: Path) -> None:
        """An index that is gone or empty, beside objects, is no new store."""
        lost = not database.exists() or database.stat().st_size == 0
        if lost and self.files.any():
            raise StoreError(f"{self.folder}: the index ({DATABASE}) is lost, the objects are there; {_REBUILD}")

    def _require_index(self, database: Path) -> None:
        try:
            if database.stat().st_size < _CHECKED_BYTES and not is_sound(self._engine):
                raise StoreError(f"{self.folder}: the index ({DATABASE}) is damaged; {_REBUILD}")
            with self._reading() as session:
                known = any(session.scalar(select(row.id).limit(1)) is not None for row in (InstanceRow, ApartRow))
            if not known and self._mark.exists() and self.files.any():
                raise StoreError(f"{self.folder}: the index ({DATABASE}) has been emptied; {_REBUILD}")
        except StoreError:
            self.close()
            raise
        if known:
            self._mark_indexed()

    def _mark_indexed(self) -> None:
        if not self._mark.exists():
            with suppress(OSError):
                make_file(self._mark)

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
        require_whole(io.BytesIO(data), len(data), dataset, name)
        return self._keep(dataset, found, lambda: (data,), source)

    def add_file(self, file: Openable, *, source: str = "", name: str = "object") -> tuple[Identity, Added]:
        """Keep the object of a file, in the one form in which they are kept; no more than a piece of it is in memory.

        Args:
            source, name: as of `add`.

        Raises:
            StoreFullError, ObjectError, StoreError: as `add`.
        """
        dataset = parse_file(file, name)
        found = identity(dataset, name)
        try:
            with io.BufferedReader(file.raw()) as opened:
                require_whole(opened, file.size(), dataset, name)
            return found, self._keep(dataset, found, lambda: canonical_pieces(file, found), source)
        except OSError as error:
            raise StoreError(f"{name}: cannot be read ({error.strerror})") from None

    def _keep(
        self, dataset: Any, found: Identity, pieces: Callable[[], Iterable[bytes]], source: str
    ) -> Added:
        digest, written, size = self.files.keep_pieces(pieces)
        outcome = self.index(dataset, found, digest, size, source)
        return Added(found.uid, digest, "repaired" if written and outcome == "known" else outcome)

    def index(
        self, dataset: Any, found: Identity, digest: str, size: int, source: str, received: datetime | None = None
    ) -> Outcome:
        """Give a file that is there its place in the index.

        Args:
            dataset: its header.
            found: its UIDs.
            size: in bytes.
            received: when; now by default.

        Raises:
            StoreFullError: no room.
            StoreError: it cannot be written.
        """
        for attempt in (1, 2, 3):
            try:
                with self._writing, quiet_pydicom(), Session(self._engine) as session:
                    outcome = _index(session, dataset, found, digest, size, source, received or datetime.now(UTC))
                    session.commit()
                self._mark_indexed()
                return outcome
            except IntegrityError:
                # Another process put the same study, series or object in between.
                if attempt == 3:
                    raise StoreError("object: cannot be indexed; send it again") from None
            except SQLAlchemyError as error:
                if "full" in str(getattr(error, "orig", "")):
                    raise StoreFullError(f"{self.folder}: the disk is full; make room, then send again") from None
                raise self._database_error("written", error) from None
        raise AssertionError

    def find(self, uid: str) -> Stored | None:
        """The instance of this SOP Instance UID; None if there is none."""
        with self._reading() as session:
            row = session.scalar(select(InstanceRow).where(InstanceRow.uid == uid))
            if row is not None:
                return self._stored(row)
            apart = session.scalar(select(ApartRow).where(ApartRow.uid == uid).order_by(ApartRow.id))
            return None if apart is None else self._stored_apart(apart)

    def instances(self, study: str = "", series: str = "", uid: str = "") -> list[Stored]:
        """The instances of a study, of a series, or one; in the order of their arrival. One alone may be kept apart."""
        given = {"StudyInstanceUID": study, "SeriesInstanceUID": series, "SOPInstanceUID": uid}
        matches = {key: value for key, value in given.items() if value}
        with self._reading() as session:
            found = [self._stored(row) for row in search.run(session, "instances", Query(matches))]
            if found or not (study and series and uid):
                return found
            apart = select(ApartRow).where(ApartRow.uid == uid, ApartRow.study == study, ApartRow.series == series)
            return [self._stored_apart(row) for row in session.scalars(apart.order_by(ApartRow.id).limit(1))]

    def apart(self) -> list[dict[str, Any]]:
        """List objects kept apart, by study and patient: as `search` gives studies, with `KeptApart` (always True).

        An object is there because it names another patient than its study does; the study's own row names the other.
        """
        with self._reading() as session:
            groups: dict[tuple[str, Patient], dict[str, Any]] = {}
            for row in session.scalars(select(ApartRow).order_by(ApartRow.id)):
                patient = Patient(row.patient_id, row.issuer, row.patient_name, row.birth_date, row.sex)
                group = groups.setdefault((row.study, patient), {
                    "StudyInstanceUID": row.study, "StudyDate": row.study_date, "PatientID": row.patient_id,
                    "PatientName": row.patient_name, "PatientBirthDate": row.birth_date, "PatientSex": row.sex,
                    "ModalitiesInStudy": [], "NumberOfStudyRelatedInstances": 0, "KeptApart": True,
                })  # fmt: skip
                group["NumberOfStudyRelatedInstances"] += 1
                if row.modality not in ("", *group["ModalitiesInStudy"]):
                    group["ModalitiesInStudy"].append(row.modality)
            return list(groups.values())

    def resolve(self, study: str, patient_id: str, patient_name: str | None = None) -> Resolved:
        """Say whose a study is of which objects are kept apart: theirs become the study, the others are kept apart.

        No object is changed or removed, and the same with the other patient turns it back. What was drafted or written
        of the study was of the other patient: it is kept, its reading begins anew, and a reader is told.

        Args:
            study: Study Instance UID.
            patient_id: of a patient of whom objects are kept apart there.
            patient_name: as `apart` gives it, where several have the Patient ID.

        Raises:
            StoreError: nothing is kept apart for such a patient there, several are meant, or an object is damaged; then
                nothing has changed.
        """
        try:
            with self._writing, quiet_pydicom(), Session(self._engine) as session:

                def index(digest: str, size: int, source: str, received: datetime, owner: Patient | None) -> str:
                    if not self.files.is_whole(digest):
                        raise StoreError(f"object {digest}: damaged; restore it from a backup or have it sent again")
                    dataset = parse_file(self.files.file(digest), "object")
                    found = identity(dataset, "object")
                    if owner is not None:
                        return _apart(session, dataset, found, digest, size, source, received, owner)
                    return _index(session, dataset, found, digest, size, source, received)

                done = give_study(session, study, patient_id, patient_name, index)
                begin_anew(session, study, datetime.now(UTC))
                session.commit()
                return done
        except SQLAlchemyError as error:
            raise self._database_error("written", error) from None

    def remove(self, studies: Collection[str]) -> list[str]:
        """Remove samples with their files; see `removal`. The UIDs of those that were there.

        Raises:
            StoreError: the database cannot be written.
        """
        try:
            with self._writing, Session(self._engine) as session:
                removed, digests = removal.remove(session, studies, datetime.now(UTC))
                session.commit()
        except SQLAlchemyError as error:
            raise self._database_error("written", error) from None
        for digest in digests:
            self.files.remove(digest)
        return removed

    def search(self, level: str, query: Query) -> list[dict[str, Any]]:
        """Search a level by DICOM keywords and values; studies and series come with their counts.

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
        """List the senders of the study's objects, the first first."""
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

    @property
    def database(self) -> str:
        """The database's address, without its password and its options, which may hold one."""
        return self._engine.url.set(query={}).render_as_string(hide_password=True)

    def counts(self) -> dict[str, int]:
        """Count the studies, series, instances and copies."""
        tables = {"studies": StudyRow, "series": SeriesRow, "instances": InstanceRow, "copies": CopyRow}
        with self._reading() as session:
            return {name: session.scalar(select(func.count()).select_from(row)) or 0 for name, row in tables.items()}

    @contextmanager
    def _reading(self) -> Iterator[Session]:
        try:
            with Session(self._engine) as session:
                yield session
        except SQLAlchemyError as error:
            raise self._database_error("read", error) from None

    def _database_error(self, done: str, error: SQLAlchemyError) -> StoreError:
        damaged = type(error) is DatabaseError and self._engine.dialect.name == "sqlite"
        hint = f"; {_REBUILD}" if damaged else ""
        return StoreError(f"{self.folder}: the database cannot be {done} ({type(error).__name__}){hint}")

    def _stored_apart(self, row: ApartRow) -> Stored:
        return Stored(
            row.uid, row.sop_class, row.series, row.study, row.transfer_syntax, row.digest,
            self.files.file(row.digest), row.source,
        )  # fmt: skip

    def _stored(self, row: InstanceRow) -> Stored:
        first = min(row.copies, key=lambda copy: copy.id)
        return Stored(
            row.uid, row.sop_class, row.series.uid, row.series.study.uid, row.transfer_syntax, row.digest,
            self.files.file(row.digest), first.source,
        )  # fmt: skip


def _index(
    session: Session, dataset: Any, found: Identity, digest: str, size: int, source: str, now: datetime
) -> Outcome:
    patient = Patient.of(dataset)
    instance = session.scalar(select(InstanceRow).where(InstanceRow.uid == found.uid))
    outcome: Outcome = "stored" if instance is None else "kept beside"
    if instance is not None:
        if any(copy.digest == digest for copy in instance.copies):
            release_if_sent(session, found.study, source)
            return "known"
        study: StudyRow | None = instance.series.study
    else:
        study = session.scalar(select(StudyRow).where(StudyRow.uid == found.study))
    if study is not None:
        named = Patient(study.patient_id, study.issuer, study.patient_name, study.birth_date, study.sex)
        if named.conflicts(patient):
            return _apart(session, dataset, found, digest, size, source, now, patient)
        if instance is None:
            _name(study, named.completed(patient))
    if instance is None:
        instance = InstanceRow(
            series=_series(
                session, dataset, study or _study(session, dataset, found.study, patient, now), found.series
            ),
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


def _apart(
    session: Session, dataset: Any, found: Identity, digest: str, size: int, source: str, now: datetime,
    patient: Patient,
) -> Outcome:  # fmt: skip
    known = select(ApartRow.id).where(ApartRow.uid == found.uid, ApartRow.digest == digest)
    if session.scalar(known) is None:
        session.add(
            ApartRow(
                uid=found.uid, sop_class=found.sop_class, series=found.series, study=found.study,
                transfer_syntax=found.transfer_syntax, modality=text(dataset, "Modality", 16),
                study_date=plain_day(text(dataset, "StudyDate", 10))[:8], digest=digest, size=size,
                patient_id=patient.identifier, issuer=patient.issuer, patient_name=patient.name,
                birth_date=patient.birth_date, sex=patient.sex, source=source[:64], received_at=now,
            )
        )  # fmt: skip
    return "kept apart"


def _name(study: StudyRow, patient: Patient) -> None:
    """A study is of the patient whom its objects name together: one may leave out what the next says."""
    study.patient_id, study.issuer, study.patient_name = patient.identifier, patient.issuer, patient.name
    study.birth_date, study.sex = patient.birth_date, patient.sex


def _study(session: Session, dataset: Any, uid: str, patient: Patient, now: datetime) -> StudyRow:
    study = StudyRow(
        uid=uid,
        study_id=text(dataset, "StudyID", 64),
        accession=text(dataset, "AccessionNumber", 64),
        date=plain_day(text(dataset, "StudyDate", 10))[:8],
        time=text(dataset, "StudyTime", 16),
        description=text(dataset, "StudyDescription", 256),
        referrer=text(dataset, "ReferringPhysicianName", 512),
        received_at=now,
    )
    _name(study, patient)
    session.add(study)
    session.flush()
    return study


def _series(session: Session, dataset: Any, study: StudyRow, series_uid: str) -> SeriesRow:
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
