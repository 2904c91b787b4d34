"""Studies as the pages get them, from what the reading room gives."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from aris.flow.draft_details import confidence_of, operating_points, warnings_of
from aris.flow.priority import reason_in_words
from aris.flow.reading.priors import Prior as EarlierStudy
from aris.flow.reading.reading_room import Opened
from aris.flow.reading.worklist import URGENCIES
from aris.flow.subjects import of_another, report_of
from aris.service.workspace.schemas import studies as shown
from aris.store.reading import critical, drafts, readings
from aris.store.reading.lasting_tables import DeliveryRow, ReportRow, SignatureRow
from aris.store.reading.tables import DraftRow, EditRow


def study_of(
    opened: Opened, *, login: str, reads: bool, series: list[shown.SeriesInfo], priors: list[shown.Prior],
    deliveries: Mapping[int, list[DeliveryRow]], drafting: str | None,
    now: datetime, age: str, archives: list[str],
) -> shown.Study:  # fmt: skip
    """The study as its page shows it.

    Args:
        login, reads: the user, and whether he is a reader.
        deliveries: by the version's key in the database.
        drafting: how far its newest job is.
        age: as DICOM's AS.
        archives: names of those of the site.
    """
    reading, row, order = opened.reading, opened.study, opened.order
    return shown.Study(
        study=row.uid,
        state=reading.state,  # type: ignore[arg-type]
        urgency=URGENCIES[reading.urgency],  # type: ignore[arg-type]
        concern=reading.concern,
        assessed=reading.assessed,
        reason=reason_in_words(reading.urgency, reading.reason, reading.arrived_at, reading.due_at, now,
                               waits=reading.state in readings.OPEN),
        notice=reading.notice,
        opened_by=reading.opened_by,
        patient=shown.Patient(
            identifier=row.patient_id, issuer=row.issuer, name=row.patient_name, birth_date=row.birth_date,
            sex=row.sex, age=age,
        ),
        about=shown.About(
            accession=row.accession, date=row.date, time=row.time, description=row.description,
            referrer=row.referrer, identifier=row.study_id,
        ),
        order=None if order is None else shown.Order(
            procedure=order.procedure, reason=order.reason, urgency=order.urgency,  # type: ignore[arg-type]
            referrer=order.referrer, placer=order.placer,
        ),
        text=None if opened.text is None else text_of(opened.text),
        beside=[text_of(each) for each in opened.beside],
        drafts=[draft_of(each) for each in opened.drafts],
        reports=[_report(each, signed, deliveries.get(each.id, [])) for each, signed in opened.reports],
        critical=[
            shown.CriticalResult(
                id=found.id, finding=found.finding, raised_by=found.raised_by, at=found.raised_at.isoformat(),
                open=critical.is_open(tried),
                attempts=[
                    shown.Attempt(whom=each.whom, how=each.how, outcome=each.outcome, note=each.note, login=each.login,
                                  at=each.at.isoformat())
                    for each in tried
                ],
            )
            for found, tried in opened.critical
        ],
        measurements=[measured_of(each) for each in opened.measurements],
        verdicts=[
            shown.Verdict(
                draft=each.draft_number, kind=each.kind, about=each.about,  # type: ignore[arg-type]
                verdict=each.verdict, said=each.said, login=each.login,  # type: ignore[arg-type]
            )
            for each in opened.verdicts
        ],
        series=series,
        priors=priors,
        archives=archives,
        drafting=drafting,  # type: ignore[arg-type]
        may=_may(opened, login, reads),
    )  # fmt: skip


def text_of(row: EditRow) -> shown.Text:
    """A version of the text."""
    return shown.Text(
        number=row.number, base=row.base, author=row.author, draft=row.draft_number,
        sections=shown.Sections(**row.sections), at=row.created_at.isoformat(),
    )  # fmt: skip


def measured_of(row: Any) -> shown.Measured:
    """A measurement."""
    return shown.Measured(
        id=row.id, image=row.image, frame=row.frame, name=row.name, value=row.value, unit=row.unit,
        calibration=row.calibration, points=[(each[0], each[1]) for each in row.points], login=row.login,
        at=row.created_at.isoformat(),
    )  # fmt: skip


def draft_of(row: DraftRow) -> shown.DraftVersion:
    """A draft: a model's, or another program's report."""
    common: dict[str, Any] = {
        "number": row.number, "origin": row.origin, "model": row.model, "revision": row.revision,
        "at": row.created_at.isoformat(), "applied": row.applied, "priority": row.priority,
    }  # fmt: skip
    if row.origin != drafts.MODEL:
        said = row.report
        lines = [(name, text) for name, text in said["lines"]]
        flat = "\n".join(f"{name}: {text}" if name else text for name, text in lines)
        return shown.DraftVersion(
            **common, caution="", sections=shown.Sections(findings=flat), findings=[], warnings=[], regions=[],
            confidence=[], outside=shown.Outside(title=said["title"], maker=said["maker"], verified=said["verified"],
                                  complete=said["complete"], lines=lines),
        )  # fmt: skip
    report = report_of(row)
    points = operating_points(row.details)
    return shown.DraftVersion(
        **common, caution=report.caution, sections=shown.Sections(**report.sections.model_dump()),
        findings=[
            shown.ScoredFinding(name=each.name, probability=each.probability, present=each.present, note=each.note,
                                operating_point=points.get(each.name))
            for each in report.findings
        ],
        warnings=[
            shown.DraftWarning(text=each.text, sentence=each.sentence) for each in warnings_of(report, row.details)
        ],
        regions=[
            shown.Region(label=each.label, box=each.box, image=each.image, frame=each.frame,
                         probability=each.probability, note=each.note)
            for each in report.regions
        ],
        outside=None, confidence=[shown.SentenceConfidence(**each) for each in confidence_of(row.details)],
    )  # fmt: skip


def _report(row: ReportRow, signed: list[SignatureRow], sent: list[DeliveryRow]) -> shown.SignedReport:
    report = report_of(row)
    first = all(each.meaning == "preliminary" for each in signed)
    mark = f"PRELIMINARY, waits for the second signature. {report.mark}" if first else report.mark
    return shown.SignedReport(
        number=row.number, kind=row.kind, status="preliminary" if first else report.status,  # type: ignore[arg-type]
        mark=mark, sections=shown.Sections(**report.sections.model_dump()), addenda=list(report.addenda),
        digest=row.digest, at=row.created_at.isoformat(),
        signatures=[
            shown.Signature(login=each.login, name=each.name, meaning=each.meaning, at=each.signed_at.isoformat())
            for each in signed
        ],
        deliveries=[
            shown.ReportDelivery(destination=each.destination, state=each.state, attempts=each.attempts,
                                 error=each.error, at=(each.acknowledged_at or each.not_before).isoformat())
            for each in sent
        ],
    )  # fmt: skip


def prior_of(found: EarlierStudy, impression: str) -> shown.Prior:
    """An earlier study. Of one that is only possible no text is shown."""
    certain = found.identity == "same"
    return shown.Prior(
        study=found.study, date=found.date, description=found.description, modalities=list(found.modalities),
        certain=certain, why=found.reason, state=found.state or "arrived",  # type: ignore[arg-type]
        impression=impression if certain else "", archive=found.archive, fetching=found.fetching, error=found.error,
    )  # fmt: skip


def _may(opened: Opened, login: str, reads: bool) -> shown.May:
    reading = opened.reading
    signed = reading.state in readings.SIGNED
    text = opened.text
    written = text is not None and bool(text.sections["findings"].strip() or text.sections["impression"].strip())
    first = opened.reports[-1][1] if opened.reports and reading.state == "preliminary" else []
    own_first = any(each.login == login for each in first)
    same = not opened.reports or not of_another(report_of(opened.reports[-1][0]), opened.study)
    return shown.May(
        edit=reads and not signed, sign=reads and not signed and written and not own_first,
        addend=reads and signed, correct=reads and signed and same,
    )  # fmt: skip


