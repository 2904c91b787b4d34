"""Archives elsewhere: a patient's earlier studies are looked for when a study has settled, and fetched to compare with.

What an archive has is compared by Patient ID, issuer and birth date like what is here (`priors`). Fetched before anyone
asks is only what is surely the same patient's and earlier, and only so many as the site says; all else on demand.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Literal

from sqlalchemy.orm import Session

from aris.errors import ArisError, ConflictError, NotFoundError, StoreError
from aris.exchange.archives import dicomweb, dimse
from aris.exchange.archives.found import FoundStudy
from aris.exchange.node.peers import Peer
from aris.exchange.node.tls import client_context
from aris.flow.arrival import PRIORS
from aris.flow.house import House
from aris.flow.intake import add_bytes
from aris.flow.leases import Heartbeat
from aris.flow.reading.priors import same_patient
from aris.flow.settings import Archive, DicomArchive
from aris.flow.subjects import study_row
from aris.imaging.dicom.patients import Patient
from aris.store.reading import jobs, readings, remote, users
from aris.store.reading.audit import SYSTEM
from aris.store.reading.orders import patient_of
from aris.store.reading.remote import RemoteStudy
from aris.store.reading.tables import FetchedStudyRow, JobRow

log = logging.getLogger("aris.flow")
FETCH = "fetch"
_ATTEMPTS = 5

Done = Literal["priors found", "prior fetched", "known", "failed", "lost"]


def look_next(house: House, owner: str, now: datetime | None = None) -> Done | None:
    """Do the next search for a study's earlier ones; None if there is none to do."""
    job = _claim(house, PRIORS, owner, now)
    if job is None:
        return None
    try:
        with Heartbeat(house, job.id, owner):
            found = look(house, job.study_uid)
    except ArisError as error:
        return _failed(house, job, owner, str(error), now)
    moment = now or datetime.now(UTC)

    def end(session: Session) -> None:
        jobs.finish(session, job.id, owner, moment)
        for each in _wanted(session, house, job.study_uid, found):
            _ask(session, house, SYSTEM, each, moment)

    return _ended(house, end, "priors found")


def look(house: House, study: str, login: str = SYSTEM) -> list[RemoteStudy]:
    """Ask every archive of the site for other studies of a study's patient, and keep what they have.

    The audit trail says who asked, and which archives were told whom it is about.

    Args:
        login: on whose word.

    Raises:
        StoreError: there is no such study.
        ExchangeError: an archive cannot be asked; what others have is kept.
    """
    with house.store.sessions.reading() as session:
        row = study_row(session, study)
        if row is None:
            raise NotFoundError("no such study in the store")
        patient = patient_of(row)
    made: list[RemoteStudy] = []
    wrong: ArisError | None = None
    for archive in house.settings.archives:
        try:
            found = [_remote(archive.name, each) for each in _find(archive, patient) if each.uid != study]
        except ArisError as error:
            log.warning("earlier studies: %s", error)
            wrong = error
            continue
        own = [each for each in found if same_patient(patient, each.patient)[0] is not None]
        moment = datetime.now(UTC)

        def keep(
            session: Session, name: str = archive.name, own: list[RemoteStudy] = own, at: datetime = moment
        ) -> None:
            remote.put_all(session, study, name, own, at)

        house.store.sessions.write(keep)
        made += own
    asked = [each.name for each in house.settings.archives]
    if asked:
        outcome = "done" if wrong is None else "failed"
        house.store.sessions.write(
            lambda session: house.trail.add(
                session, login, "find priors", study, outcome=outcome, archives=asked, found=len(made)
            )
        )
    if wrong is not None:
        raise wrong
    return made


def ask_for(house: House, login: str, study: str, prior: str) -> None:
    """Have an earlier study fetched, on a reader's or viewer's word. It comes in the background.

    Args:
        study: to be compared with it.
        prior: Study Instance UID of one that an archive has of the patient.

    Raises:
        StoreError: no such user or study, or no archive has it.
    """
    now = datetime.now(UTC)

    def work(session: Session) -> None:
        users.require(session, login)
        found = next((each for each in remote.of(session, study) if each.uid == prior), None)
        if found is None:
            raise NotFoundError("prior: no archive has such a study of this patient; look again")
        if study_row(session, prior) is not None and remote.fetched(session, prior) is None:
            raise ConflictError("prior: the study is here already")
        _ask(session, house, login, found, now)
        house.trail.add(session, login, "fetch", study, now=now, prior=prior, archive=found.archive)

    house.store.sessions.write(work)


def fetch_next(house: House, owner: str, now: datetime | None = None) -> Done | None:
    """Fetch the next study that was asked for; None if there is none."""
    job = _claim(house, FETCH, owner, now)
    if job is None:
        return None
    with house.store.sessions.reading() as session:
        row = remote.fetched(session, job.study_uid)
    if row is None or row.state == remote.RELEASED:
        # It came by another way meanwhile, and is a study of the house: there is nothing to fetch any more.
        return _ended(house, lambda session: jobs.finish(session, job.id, owner, now or datetime.now(UTC)), "known")
    name = row.archive
    archive = next((each for each in house.settings.archives if each.name == name), None)
    try:
        if archive is None:
            raise StoreError(f"prior: the site has no archive {name!r:.70} any more")
        with Heartbeat(house, job.id, owner):
            count = _fetch(house, archive, job.study_uid)
    except ArisError as error:
        return _failed(house, job, owner, str(error), now)
    moment = now or datetime.now(UTC)

    def end(session: Session) -> None:
        jobs.finish(session, job.id, owner, moment)
        mine = remote.fetched(session, job.study_uid, lock=True)
        if mine is not None and mine.state == remote.ASKED:
            others = remote.senders(session, job.study_uid) - {mine.source}
            # The clock of what came, not of this machine alone: what comes later came by another way.
            mine.state, mine.changed_at = remote.RELEASED if others else remote.FETCHED, _now_or_later(session, mine)
        house.trail.add(session, SYSTEM, "fetched", job.study_uid, now=moment, archive=name, objects=count)

    return _ended(house, end, "prior fetched")


def _now_or_later(session: Session, row: FetchedStudyRow) -> datetime:
    span = readings.span(session, row.study_uid)
    last = datetime.now(UTC) if span is None else span[1]
    return max(datetime.now(UTC), last if last.tzinfo is not None else last.replace(tzinfo=UTC))


def _wanted(session: Session, house: House, study: str, found: list[RemoteStudy]) -> list[RemoteStudy]:
    """The latest earlier ones that are surely the patient's and not here, as many as the site fetches unasked."""
    row = study_row(session, study)
    if row is None or not row.date:
        return []
    own = patient_of(row)
    earlier = [each for each in found if each.date and each.date < row.date]
    sure = [each for each in earlier if same_patient(own, each.patient)[0] == "same"]
    sure.sort(key=lambda each: each.date, reverse=True)
    return [each for each in sure[: house.settings.fetch_priors] if study_row(session, each.uid) is None]


def _ask(session: Session, house: House, login: str, found: RemoteStudy, now: datetime) -> None:
    archive = next((each for each in house.settings.archives if each.name == found.archive), None)
    if archive is None:
        raise StoreError(f"prior: the site has no archive {found.archive!r:.70} any more")
    row = remote.ask(session, found.uid, archive.name, _source(archive), login, now)
    if row.state == remote.ASKED:
        jobs.put(session, FETCH, f"fetch:{found.uid}:{now.isoformat()}", found.uid, 1, now)


def _source(archive: Archive) -> str:
    """The name under which its objects come."""
    return Peer.parse(archive.at).ae_title.strip() if isinstance(archive, DicomArchive) else archive.name


def _find(archive: Archive, patient: Patient) -> list[FoundStudy]:
    if isinstance(archive, DicomArchive):
        tls = client_context(archive.tls_cert, archive.tls_key, archive.tls_ca)
        return dimse.find_studies(Peer.parse(archive.at), patient, ae_title=archive.ae_title, tls=tls)
    return dicomweb.find_studies(archive.url, patient, token_file=archive.token_file, authority=archive.tls_ca)


def _fetch(house: House, archive: Archive, study: str) -> int:
    source = _source(archive)

    def keep(data: bytes) -> None:
        add_bytes(house.store, data, source, "object")

    if not isinstance(archive, DicomArchive):
        return dicomweb.retrieve_study(
            archive.url, study, keep, token_file=archive.token_file, authority=archive.tls_ca
        )  # fmt: skip
    peer = Peer.parse(archive.at)
    tls = client_context(archive.tls_cert, archive.tls_key, archive.tls_ca)
    if archive.retrieve == "move":
        return dimse.move_study(peer, study, archive.ae_title, ae_title=archive.ae_title, tls=tls)
    return dimse.get_study(peer, study, keep, ae_title=archive.ae_title, tls=tls)


def _remote(archive: str, found: FoundStudy) -> RemoteStudy:
    return RemoteStudy(found.uid, archive, found.patient, found.date, found.description, found.modalities,
                       found.instances)  # fmt: skip


def _claim(house: House, kind: str, owner: str, now: datetime | None) -> JobRow | None:
    lease = house.settings.lease
    return house.store.sessions.write(lambda session: jobs.claim(session, kind, owner, lease, now or datetime.now(UTC)))


def _failed(house: House, job: JobRow, owner: str, reason: str, now: datetime | None) -> Done:
    moment = now or datetime.now(UTC)

    def work(session: Session) -> None:
        state = jobs.fail(session, job.id, owner, reason, moment, most=_ATTEMPTS)
        row = remote.fetched(session, job.study_uid, lock=True) if job.kind == FETCH else None
        if row is not None and row.state == remote.ASKED:
            # Until the last attempt it is on its way, with what held it up.
            row.state, row.error = (remote.FAILED if state == "failed" else remote.ASKED), reason[:500]
            row.changed_at = moment
            house.trail.add(
                session, SYSTEM, "fetched", job.study_uid, outcome="failed", now=moment, archive=row.archive
            )

    return _ended(house, work, "failed")


def _ended(house: House, work: object, done: Done) -> Done:
    try:
        house.store.sessions.write(work)  # type: ignore[arg-type]
    except jobs.LeaseLostError:
        return "lost"
    return done
