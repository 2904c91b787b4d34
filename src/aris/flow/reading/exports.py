"""Documents that a person takes out: of a signed version, or of the text as it stands, marked as a draft. Audited."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy.orm import Session

from aris.errors import ConflictError, NotFoundError
from aris.exchange.documents.formats import Format, document
from aris.exchange.documents.report import Report
from aris.flow.house import House
from aris.flow.outgoing.delivery import documents_of
from aris.flow.reading.contents import unsigned
from aris.store.reading import drafts, edits, readings, reports, users
from aris.store.reading.lasting_tables import ReportRow


class PreliminaryError(ConflictError):
    """A version that waits for the second signature is no document yet."""


def signed_document(house: House, login: str, study: str, number: int, form: Format) -> tuple[str, bytes]:
    """Take a signed version out, as its destinations get it.

    Returns:
        the file name's ending, without a leading dot, and the contents.

    Raises:
        NotFoundError: no such study or version.
        PreliminaryError: it waits for the second signature.
        ArisError: it cannot be made.
    """

    def work(session: Session) -> ReportRow:
        users.require(session, login)
        reading = readings.require(session, study)
        found = [each for each in reports.all_of(session, reading) if each.number == number]
        if not found:
            raise NotFoundError("report: there is no signed version of this number")
        if is_preliminary(session, found[0]):
            raise PreliminaryError("report: it waits for the second signature; preview it until then")
        house.trail.add(session, login, "export", study, now=datetime.now(UTC), format=form, version=number)
        return found[0]

    made = documents_of(house, house.store.sessions.write(work), form)
    return next(iter(made.items()))


def is_preliminary(session: Session, report: ReportRow) -> bool:
    """Return whether a version has the first of two signatures alone."""
    return all(each.meaning == "preliminary" for each in reports.signatures(session, report))


def preview(house: House, login: str, study: str, form: Format) -> tuple[str, bytes]:
    """Make a document of the newest text, with a draft's mark: nobody has signed it.

    Returns:
        as `signed_document`.

    Raises:
        NotFoundError: no such study.
        ConflictError: there is no text yet.
        ArisError: it cannot be made.
    """

    def work(session: Session) -> Report:
        users.require(session, login)
        reading = readings.require(session, study)
        text = edits.current(session, reading)
        if text is None:
            raise ConflictError("preview: there is no text yet")
        made = unsigned(session, reading, text, drafts.numbered(session, reading, text.draft_number))
        house.trail.add(session, login, "preview", study, now=datetime.now(UTC), format=form, text=text.number)
        return made

    return next(iter(document(house.store.sessions.write(work), form).items()))
