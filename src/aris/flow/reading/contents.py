"""Contents of a report from what stands of a study: the reader's text and measurements, and the draft under them."""

from __future__ import annotations

from sqlalchemy.orm import Session

from aris.errors import ConflictError, StoreError
from aris.exchange.documents.formats import SOFTWARE
from aris.exchange.documents.report import (
    DocumentReference,
    ImageReference,
    ModelIdentity,
    Report,
    Signer,
    checked,
    correct,
    fields_of,
    local_now,
)
from aris.flow.subjects import drafts_of_others, of_another, study_row, subject
from aris.store.reading import measurements, verdicts
from aris.store.reading.tables import DraftRow, EditRow, ReadingRow
from aris.store.schema import StudyRow
from aris.tasks import Measurement, Sections

NO_MODEL = ModelIdentity(name="no model", software=SOFTWARE)
_LIMITS = {"at detector": "at the detector plane, uncalibrated", "pixels only": "in pixels, uncalibrated"}


def unsigned(session: Session, reading: ReadingRow, text: EditRow, draft: DraftRow | None) -> Report:
    """The report as it would leave now, still a draft: findings that the reader rejected are not in it.

    Raises:
        ConflictError: the draft is of another patient than the study is now.
        StoreError: the study is not in the index.
    """
    row = _row(session, reading)
    patient, study, images = subject(session, row)
    values: dict[str, object] = {"model": NO_MODEL, "created": local_now()}
    if draft is not None:
        of_draft = checked(**draft.report)
        _require_same(of_draft, row, "draft under this text")
        rejected = _rejected(session, reading, row)
        values = {
            "model": of_draft.model, "caution": of_draft.caution, "created": of_draft.created,
            "forced": of_draft.forced,
            "findings": tuple(each for each in of_draft.findings if each.name not in rejected),
            "regions": tuple(each for each in of_draft.regions if each.label not in rejected),
        }  # fmt: skip
    # The draft's warnings were for the reader, who answers for the text.
    return checked(
        **values, sections=Sections(**text.sections), measurements=_measured(session, reading, images),
        patient=patient, study=study, images=images,
    )  # fmt: skip


def corrected(
    session: Session, reading: ReadingRow, text: EditRow, earlier: Report, signer: Signer, reference: DocumentReference
) -> Report:
    """A signed report with another text, and with the images, measurements and verdicts of now.

    Raises:
        ConflictError: the signed report is of another patient than the study is now.
        StoreError: the study is not in the index.
    """
    row = _row(session, reading)
    _require_same(earlier, row, "signed report")
    _, _, images = subject(session, row)
    rejected = _rejected(session, reading, row)
    values = fields_of(correct(earlier, Sections(**text.sections), signer, reference))
    return checked(**values | {
        "images": images, "measurements": _measured(session, reading, images),
        "findings": tuple(each for each in earlier.findings if each.name not in rejected),
        "regions": tuple(each for each in earlier.regions if each.label not in rejected),
    })  # fmt: skip


def _row(session: Session, reading: ReadingRow) -> StudyRow:
    row = study_row(session, reading.study_uid)
    if row is None:
        raise StoreError("sign: the study is not in the index; `aris node rebuild` makes it anew")
    return row


def _rejected(session: Session, reading: ReadingRow, row: StudyRow) -> set[str]:
    """Findings that the reader rejected, of whichever draft of this patient it was: they leave with none of them."""
    others = drafts_of_others(session, reading, row)
    last = sorted(verdicts.holding(session, reading), key=lambda each: each.id)
    said = {each.about: each.verdict for each in last if each.kind == "finding" and each.draft_number not in others}
    return {name for name, verdict in said.items() if verdict == "rejected"}


def _measured(
    session: Session, reading: ReadingRow, images: tuple[ImageReference, ...]
) -> tuple[Measurement, ...]:
    shown = {each.uid for each in images}
    return tuple(
        Measurement(name=each.name, value=each.value, unit=each.unit, note=_LIMITS.get(each.calibration, ""))
        for each in measurements.standing(session, reading) if each.image in shown
    )  # fmt: skip


def _require_same(earlier: Report, row: StudyRow, what: str) -> None:
    """A study may have been given to another patient meanwhile (`Store.resolve`)."""
    if of_another(earlier, row):
        raise ConflictError(f"sign: the {what} is of another patient than the study is now; nothing was signed")
