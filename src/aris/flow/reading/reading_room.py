"""The reading room: open, edit, sign, add, and tell of critical results. Every act is checked, kept and audited."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from sqlalchemy.orm import Session

from aris.errors import ConflictError, NotFoundError, StoreError
from aris.exchange.documents.report import Report, clean
from aris.flow.house import House
from aris.flow.subjects import drafts_of_others, of_another, of_others, report_of, study_row
from aris.store.reading import critical, drafts, edits, measurements, readings, reports, users, verdicts
from aris.store.reading.lasting_tables import AttemptRow, CriticalRow, ReportRow, SignatureRow
from aris.store.reading.tables import DraftRow, EditRow, MeasurementRow, OrderRow, ReadingRow, VerdictRow
from aris.store.reading.users import PermissionDeniedError, User
from aris.store.schema import StudyRow
from aris.tasks import Sections

T = TypeVar("T")


@dataclass(frozen=True)
class Opened:
    """A study as a reader sees it.

    Attributes:
        reading, study, order: where it stands, what it is, who asked.
        text: the newest; None where there is none.
        drafts: every one, the first first; beside: texts that came second.
        opened_by: somebody else who has it open; "" if nobody.
    """

    reading: ReadingRow
    study: StudyRow
    order: OrderRow | None
    text: EditRow | None
    drafts: list[DraftRow]
    beside: list[EditRow]
    reports: list[tuple[ReportRow, list[SignatureRow]]]
    critical: list[tuple[CriticalRow, list[AttemptRow]]]
    measurements: list[MeasurementRow]
    verdicts: list[VerdictRow]
    opened_by: str = ""

    @property
    def draft(self) -> Report | None:
        """The newest draft of a model of this patient, where the study was given from one to another."""
        found = [report_of(each) for each in self.drafts if each.origin == drafts.MODEL]
        own = [each for each in found if not of_another(each, self.study)]
        return own[-1] if own else None

    @property
    def sections(self) -> Sections:
        """The newest text's."""
        return Sections() if self.text is None else Sections(**self.text.sections)


@dataclass(frozen=True)
class Saved:
    """The outcome of keeping a text.

    Attributes:
        number: its own; None where another reader's text came first, and this one is kept beside.
        newest: the newest text's number and author; they are of this one where it was in time.
    """

    number: int | None
    newest: int
    author: str


class ReadingRoom:
    """Acts of persons on studies.

    Args:
        house: see there.
        clock: tells the time; of the machine by default.
    """

    def __init__(self, house: House, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._house = house
        self._clock = clock

    def look(self, login: str, study: str) -> Opened:
        """Show a study without opening it for reading. Audited as a view.

        Raises:
            StoreError: no such study or user.
        """

        def work(session: Session, _: User) -> Opened:
            return self._opened(session, readings.require(session, study), login)

        return self._do(login, "view", study, work)

    def open(self, login: str, study: str) -> Opened:
        """Open a study to read it; who else has it open is told, and not put out.

        Raises:
            PermissionDeniedError: the user is no reader.
            StoreError: no such study or user.
        """

        def work(session: Session, user: User) -> Opened:
            user.require("reader")
            reading = readings.require(session, study, lock=True)
            opened = self._opened(session, reading, login)
            if reading.state in ("arrived", "settled", "drafted"):
                reading.state = "opened"
            if reading.state in ("opened", "preliminary") and not opened.opened_by:
                reading.opened_by, reading.opened_at = login, self._clock()
            return opened

        return self._do(login, "open", study, work)

    def close(self, login: str, study: str) -> None:
        """Put a study back: it is nobody's, and stands where it stood if nobody has written.

        Raises:
            StoreError: no such study or user.
        """

        def work(session: Session, user: User) -> None:
            user.require("reader")
            reading = readings.require(session, study, lock=True)
            if reading.opened_by in (login, ""):
                readings.put_back(session, reading)

        self._do(login, "close", study, work)

    def texts(self, login: str, study: str) -> list[EditRow]:
        """Return every text of a study, the newest first; those that were kept beside have no number.

        Raises:
            StoreError: no such study or user.
        """

        def work(session: Session, _: User) -> list[EditRow]:
            return edits.all_of(session, readings.require(session, study))[::-1]

        return self._do(login, "view", study, work, lambda _: {"what": "texts"})

    def acknowledge(self, login: str, study: str) -> None:
        """Note that a reader has seen the notice on a signed study, which then leaves the list.

        Raises:
            PermissionDeniedError: the user is no reader.
            ConflictError: there is none, or the study is not signed: its notice goes with the signature.
            StoreError: no such study or user.
        """

        def work(session: Session, user: User) -> str:
            user.require("reader")
            reading = readings.require(session, study, lock=True)
            notice = reading.notice
            if not notice or reading.state not in readings.SIGNED:
                raise ConflictError("notice: there is none on a signed report of this study")
            reading.notice, reading.changed_at = "", self._clock()
            return notice

        self._do(login, "acknowledge", study, work, lambda notice: {"notice": notice})

    def edit(self, login: str, study: str, sections: Sections | Mapping[str, str], base: int) -> Saved:
        """Keep a text. Where another one was kept since `base`, both are kept, and this one is told to be second.

        Args:
            sections: of a whole report, or only those that change.
            base: the number of the text that was changed; 0 where there was none.

        Raises:
            PermissionDeniedError: the user is no reader.
            StoreError: no such study, section or base.
        """

        def work(session: Session, user: User) -> Saved:
            user.require("reader")
            reading = readings.require(session, study, lock=True)
            before = edits.numbered(session, reading, base)
            if before is None and base != 0:
                raise StoreError("edit: there is no text of that number; open the study again")
            whole = _whole(before, sections)
            now = self._clock()
            newest = before if base == reading.text_number else edits.current(session, reading)
            if newest is not None and newest.sections == whole:
                return Saved(newest.number, reading.text_number, newest.author)
            # Of no draft, before there is one, though one may stand there by now.
            number = before.draft_number if before is not None else 0
            row = edits.add(session, reading, whole, base=base, author=login, draft_number=number, now=now)
            if reading.state in ("arrived", "settled", "drafted"):
                reading.state = "opened"
            if reading.opened_by == login or (not reading.opened_by and reading.state == "opened"):
                reading.opened_by, reading.opened_at = login, now
            reading.changed_at = now
            author = login if row.number is not None or newest is None else newest.author
            return Saved(row.number, reading.text_number, author)

        return self._do(login, "edit", study, work, lambda saved: {"text": saved.number, "base": base})

    def measure(self, login: str, study: str, **values: Any) -> MeasurementRow:
        """Keep a measurement; see `measurements.add`. What is signed later has it.

        Raises:
            PermissionDeniedError: the user is no reader.
            StoreError: no such study, or an image of another one.
        """

        def work(session: Session, user: User) -> MeasurementRow:
            user.require("reader")
            reading = readings.require(session, study, lock=True)
            if values.get("image") not in readings.image_uids(session, study):
                raise StoreError("measurement: the image is not one of this study")
            return measurements.add(session, reading, login=login, now=self._clock(), **values)

        return self._do(login, "measure", study, work, lambda row: {"measurement": row.id})

    def remove_measurement(self, login: str, study: str, number: int) -> None:
        """Take a measurement out; see `measure`."""

        def work(session: Session, user: User) -> None:
            user.require("reader")
            measurements.remove(session, readings.require(session, study, lock=True), number, self._clock())

        self._do(login, "unmeasure", study, work, lambda _: {"measurement": number})

    def judge(
        self, login: str, study: str, *, kind: str, about: str, verdict: str, said: str = "", draft: int | None = None
    ) -> VerdictRow:  # fmt: skip
        """Keep a verdict on a finding or a sentence of a model's draft; see `verdicts.add`.

        Args:
            draft: the number of the draft that was read; the newest by default.

        Raises:
            PermissionDeniedError: the user is no reader.
            StoreError: no such study or finding, or no draft of this patient.
        """

        def work(session: Session, user: User) -> VerdictRow:
            user.require("reader")
            reading = readings.require(session, study, lock=True)
            read = drafts.newest(session, reading) if draft is None else drafts.numbered(session, reading, draft)
            row = study_row(session, study)
            if read is None or read.origin != drafts.MODEL or row is None:
                raise ConflictError("verdict: there is no such draft of this study")
            if read.number in drafts_of_others(session, reading, row):
                raise ConflictError("verdict: the draft is of another patient; open the study again")
            names = {each["name"] for each in read.report["findings"]}
            if kind == "finding" and verdict != "added" and about not in names:
                raise StoreError(f"verdict: the draft has no such finding; it has {', '.join(sorted(names)) or 'none'}")
            return verdicts.add(session, reading, read, kind=kind, about=clean(about), verdict=verdict,
                                said=clean(said), login=login, now=self._clock())  # fmt: skip

        return self._do(login, "judge", study, work, lambda row: {
            "kind": row.kind, "verdict": row.verdict, "draft": row.draft_number
        })  # fmt: skip

    def raise_critical(self, login: str, study: str, finding: str) -> CriticalRow:
        """Say that a study has a critical result.

        Raises:
            PermissionDeniedError: the user is no reader.
            StoreError: no such study, or no words.
        """

        def work(session: Session, user: User) -> CriticalRow:
            user.require("reader")
            if not clean(finding):
                raise StoreError("critical result: say what it is")
            reading = readings.require(session, study, lock=True)
            return critical.raise_one(session, reading, clean(finding), login, self._clock())

        return self._do(login, "critical", study, work, lambda row: {"critical": row.id})

    def tell(self, login: str, study: str, number: int, *, whom: str, how: str, outcome: str, note: str = "") -> bool:
        """Note an attempt to tell somebody of a critical result; see `critical.attempt`. Whether it is still open.

        Raises:
            PermissionDeniedError: the user is no reader.
            StoreError: no such study or result, or nothing that can be noted.
        """

        def work(session: Session, user: User) -> bool:
            user.require("reader")
            reading = readings.require(session, study, lock=True)
            row = session.get(CriticalRow, number)
            if row is None or row.reading_pk != reading.id:
                raise NotFoundError("critical result: there is none of this number in this study")
            critical.attempt(session, row, whom=clean(whom), how=clean(how), outcome=outcome,
                             note=clean(note), login=login, now=self._clock())  # fmt: skip
            return critical.is_open(critical.attempts(session, row))

        return self._do(login, "tell", study, work, lambda _: {"critical": number, "outcome": outcome})

    def _do(
        self, login: str, action: str, study: str, work: Callable[[Session, User], T],
        detail: Callable[[T], dict[str, Any]] = lambda _: {},
    ) -> T:  # fmt: skip
        """Do work for a user in one transaction with its audit event; what is denied is audited too."""

        def attempt(session: Session) -> T:
            user = users.require(session, login)
            done = work(session, user)
            self._house.trail.add(session, login, action, study, now=self._clock(), **detail(done))
            return done

        try:
            return self._house.store.sessions.write(attempt)
        except (PermissionDeniedError, users.AuthenticationError):
            self._house.store.sessions.write(
                lambda session: self._house.trail.add(session, login, action, study, outcome="denied")
            )
            raise

    def _opened(self, session: Session, reading: ReadingRow, login: str) -> Opened:
        row = study_row(session, reading.study_uid)
        if row is None:
            raise StoreError("the study is not in the index; `aris node rebuild` makes it anew")
        drafted = drafts.all_of(session, reading)
        others = of_others(drafted, row)
        return Opened(
            reading=reading,
            study=row,
            order=None if reading.order_pk is None else session.get(OrderRow, reading.order_pk),
            text=edits.current(session, reading),
            drafts=drafted,
            beside=edits.kept_beside(session, reading),
            reports=reports.with_signatures(session, reading),
            critical=critical.of(session, reading),
            measurements=measurements.standing(session, reading),
            verdicts=[each for each in verdicts.holding(session, reading) if each.draft_number not in others],
            opened_by=reading.opened_by if reading.opened_by != login else "",
        )


def _whole(before: EditRow | None, sections: Sections | Mapping[str, str]) -> dict[str, str]:
    """Sections as they are kept: text that every document can hold."""
    values = sections.model_dump() if isinstance(sections, Sections) else dict(sections)
    known: Sequence[str] = tuple(Sections.model_fields)
    for name, text in values.items():
        if name not in known or not isinstance(text, str):
            raise StoreError(f"edit: no section {name!r:.40}; {', '.join(known)}")
    base = {} if before is None else before.sections
    return {name: clean(values.get(name, base.get(name, ""))) for name in known}
