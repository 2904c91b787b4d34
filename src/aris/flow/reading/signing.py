"""Signing: a reader, who has just shown his password, answers for a text. What was signed is never changed.

A signature covers the text, the images' UIDs, and the draft with its version. In the transaction that keeps it the
report's deliveries are asked for, so that none is lost. An addendum or a correction is a version of its own that names
whom it follows.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from aris.errors import ArisError, ConflictError, StoreError
from aris.exchange.documents.report import (
    DocumentReference,
    Report,
    Signer,
    addend,
    checked,
    clean,
    sign,
)
from aris.exchange.documents.sr import BASIC_TEXT_SR, COMPREHENSIVE_SR, instance_of, needs_tid1500
from aris.flow.house import House
from aris.flow.reading.contents import corrected, unsigned
from aris.store.reading import deliveries, drafts, edits, readings, reports, users
from aris.store.reading.lasting_tables import ReportRow
from aris.store.reading.tables import DraftRow, EditRow, ReadingRow
from aris.store.reading.users import AuthenticationError, User

_DENIED = "the password is not right, or the user is not active or for now locked; nothing was signed"


@dataclass(frozen=True)
class FreshSignIn:
    """Proof of who signs, in place of a password: the user has just signed in anew at the site's OpenID provider.

    Only the server makes one, after it has checked the provider's ID token and its `auth_time`.

    Attributes:
        at: when; lasts: for how long it is a proof.
    """

    login: str
    at: datetime
    lasts: timedelta

    def holds(self, login: str, now: datetime) -> bool:
        """Return whether it proves that this user signs now."""
        return login == self.login and timedelta(0) <= now - self.at <= self.lasts


class StaleTextError(ConflictError):
    """The text that was to be signed is no longer the newest."""


@dataclass(frozen=True)
class Signed:
    """The outcome of a signature.

    Attributes:
        number: of the version.
        state: of the study, from now on.
        digest: what the signature covers, as SHA-256.
        destinations: where it goes.
        warnings: what the reader must know, as that not all images were seen.
    """

    number: int
    state: str
    digest: str
    destinations: tuple[str, ...]
    warnings: tuple[str, ...] = ()


class Desk:
    """The desk at which reports are signed.

    Args:
        clock: tells the time; of the machine by default.
    """

    def __init__(self, house: House, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._house = house
        self._clock = clock

    def sign(
        self, login: str, password: str | FreshSignIn, study: str, number: int, *, correction: bool = False,
        seen: dict[str, Any] | None = None,
    ) -> Signed:  # fmt: skip
        """Sign a text. With two signatures by the site's settings the first makes a preliminary report of it.

        Args:
            password: of the user, asked for now, or the proof that he has just signed in anew.
            number: of the text that the reader has before him.
            correction: the study has a signed report, and this text takes its place.
            seen: what was on the screen: `images`, how many of the study's; kept with the signature.

        Raises:
            AuthenticationError: not the password.
            PermissionDeniedError: the user is no reader.
            StaleTextError: a newer text was kept meanwhile.
            StoreError: no such study or text; or it is signed already, or its first signature is of the same reader.
        """

        def work(session: Session, user: User) -> Signed:
            reading = readings.require(session, study, lock=True)
            text = _text(session, reading, number)
            before = reports.newest(session, reading)
            signed = reading.state in readings.SIGNED
            if signed and not correction:
                raise ConflictError("sign: the report is signed already; add an addendum, or sign a correction")
            if correction and not signed:
                raise ConflictError("sign: there is no signed report to be corrected")
            if signed and before is not None and before.edit_number == number:
                raise ConflictError("sign: this text is signed already")
            two = self._house.settings.second_signature and not signed
            if reading.state == "preliminary" and before is not None:
                if reports.signatures(session, before)[0].login == user.login:
                    raise ConflictError("sign: you gave the first signature; the second must be another reader's")
                two = False
            second = reading.state == "preliminary"
            meaning: reports.Meaning = "preliminary" if two else "verifier" if second else "author"
            moment = self._clock()
            draft = drafts.numbered(session, reading, text.draft_number)
            report = self._report(session, reading, text, draft, _signer(user, moment), before if signed else None)
            kind: reports.Kind = "correction" if signed else "report"
            made = self._keep(session, reading, kind, report, user, meaning, text, draft, seen, moment)
            state: readings.State = "preliminary" if two else "amended" if signed else "final"
            return self._ended(session, reading, made, state, user, seen, moment, deliver=not two)

        return self._as_signer(login, password, study, "sign", work)

    def addend(self, login: str, password: str | FreshSignIn, study: str, text: str) -> Signed:
        """Add a text to a signed report, and sign it.

        Raises:
            AuthenticationError, PermissionDeniedError, StoreError: as `sign`; or there is no signed report, or no text.
        """

        def work(session: Session, user: User) -> Signed:
            reading = readings.require(session, study, lock=True)
            before = reports.newest(session, reading)
            if before is None or reading.state not in readings.SIGNED:
                raise ConflictError("addendum: the report is not signed; edit it and sign it")
            if not clean(text):
                raise StoreError("addendum: the text is empty; write what is to be added")
            moment = self._clock()
            report = addend(checked(**before.report), text, _signer(user, moment), _reference(before))
            draft = drafts.numbered(session, reading, before.draft_number)
            last = edits.numbered(session, reading, before.edit_number)
            assert last is not None
            made = self._keep(session, reading, "addendum", report, user, "author", last, draft, None, moment)
            return self._ended(session, reading, made, "addendum", user, None, moment, deliver=True)

        return self._as_signer(login, password, study, "addendum", work)

    def _as_signer(
        self, login: str, password: str | FreshSignIn, study: str, action: str, work: Callable[..., Signed]
    ) -> Signed:
        """Check the password, then do the work in one transaction; what is denied or refused is audited too."""
        house, sessions = self._house, self._house.store.sessions
        user = self._proved(login, password)
        try:
            if user is None:
                raise AuthenticationError(f"{action}: {_DENIED}")
            user.require("reader")
            signer = user

            def attempt(session: Session) -> Signed:
                return work(session, signer)

            return sessions.write(attempt)
        except ArisError as error:
            outcome = "denied" if isinstance(error, AuthenticationError | users.PermissionDeniedError) else "refused"
            sessions.write(
                lambda session: house.trail.add(session, login, action, study, outcome=outcome, now=self._clock())
            )
            raise

    def _proved(self, login: str, password: str | FreshSignIn) -> User | None:
        """The user, if it is his password or his proof."""
        sessions, now = self._house.store.sessions, self._clock()
        if isinstance(password, str):
            return users.authenticate(sessions, login, password, now)
        if not password.holds(login, now):
            return None
        with sessions.reading() as session, suppress(AuthenticationError):
            return users.require(session, login)
        return None

    def _report(
        self, session: Session, reading: ReadingRow, text: EditRow, draft: DraftRow | None, signer: Signer,
        before: ReportRow | None,
    ) -> Report:  # fmt: skip
        """The report that leaves; see `contents`. A correction takes up the version before it."""
        if before is None:
            return sign(unsigned(session, reading, text, draft), signer)
        return corrected(session, reading, text, checked(**before.report), signer, _reference(before))

    def _keep(
        self, session: Session, reading: ReadingRow, kind: reports.Kind, report: Report, user: User,
        meaning: reports.Meaning, text: EditRow, draft: DraftRow | None, seen: dict[str, Any] | None, moment: datetime,
    ) -> ReportRow:  # fmt: skip
        before = reports.newest(session, reading)
        dumped = report.model_dump(mode="json")
        content = {
            "study": reading.study_uid,
            "kind": kind,
            "follows": "" if before is None else before.digest,
            "text": dumped["sections"],
            "addenda": dumped["addenda"],
            "findings": dumped["findings"],
            "regions": dumped["regions"],
            "measurements": dumped["measurements"],
            "images": sorted(each.uid for each in report.images),
            "edit": text.number,
            # All that leaves, patient and signer too.
            "report": reports.digest_of(dumped),
            "draft": None if draft is None else {
                "number": draft.number, "model": draft.model, "revision": draft.revision,
                "digest": reports.digest_of(draft.report),
            },
        }  # fmt: skip
        made = reports.add(
            session, reading, kind=kind, content=content, report=dumped, document=_document(report),
            edit_number=text.number or 0, draft_number=0 if draft is None else draft.number, now=moment,
        )  # fmt: skip
        reports.sign(session, made, user, meaning, seen or {}, moment)
        return made

    def _ended(
        self, session: Session, reading: ReadingRow, made: ReportRow, state: readings.State, user: User,
        seen: dict[str, Any] | None, moment: datetime, *, deliver: bool,
    ) -> Signed:  # fmt: skip
        reading.state, reading.changed_at = state, moment
        reading.opened_by, reading.opened_at = "", None
        destinations = tuple(each.name for each in self._house.settings.destinations) if deliver else ()
        for each in destinations:
            deliveries.put(session, made, each, moment)
        warnings = []
        shown = (seen or {}).get("images")
        if isinstance(shown, int) and shown < reading.images:
            warnings.append(f"{reading.images - shown} of {reading.images} images were not seen")
        if reading.notice:
            warnings.append(reading.notice)
        if state != "preliminary":
            reading.notice = ""
        self._house.trail.add(
            session, user.login, "addendum" if made.kind == "addendum" else "sign", reading.study_uid, now=moment,
            version=made.number, kind=made.kind, digest=made.digest, state=state, text=made.edit_number,
            seen=shown if isinstance(shown, int) else None,
        )  # fmt: skip
        return Signed(made.number, state, made.digest, destinations, tuple(warnings))


def _text(session: Session, reading: ReadingRow, number: int) -> EditRow:
    if number != reading.text_number:
        newest = edits.current(session, reading)
        by = "" if newest is None else f", by {newest.author}"
        raise StaleTextError(f"sign: the newest text is number {reading.text_number}{by}, not {number}; read that one")
    text = edits.numbered(session, reading, number)
    if text is None or not (text.sections["findings"].strip() or text.sections["impression"].strip()):
        raise StoreError("sign: there is no text; write findings or an impression")
    return text


def _signer(user: User, moment: datetime) -> Signer:
    # In the place's own time, as a document tells it.
    return Signer(name=user.name, organization=user.organization, identifier=user.identifier,
                  signed_at=moment.astimezone())  # fmt: skip


def _document(report: Report) -> dict[str, str]:
    """A reference to the version's DICOM document, which follows from its content: made or not, it is this one."""
    kind = COMPREHENSIVE_SR if needs_tid1500(report) else BASIC_TEXT_SR
    uids = instance_of(report, kind)
    return {"sop_class": kind, "uid": str(uids["sop_instance_uid"]), "series": str(uids["series_instance_uid"]),
            "study": report.study.uid}  # fmt: skip


def _reference(row: ReportRow) -> DocumentReference:
    return DocumentReference(**row.document)

