"""A study as a terminal or a program sees it: where it stands, its draft, its texts, its signatures."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from aris.cli.terminal import heading, one_line, plain, probability, write

if TYPE_CHECKING:
    from aris.flow.reading.priors import Prior
    from aris.flow.reading.reading_room import Opened


def as_json(opened: Opened) -> dict[str, Any]:
    """All of it, as JSON takes it."""
    reading, study, draft = opened.reading, opened.study, opened.draft
    return {
        "study": study.uid,
        "state": reading.state,
        "reason": reading.reason,
        "notice": reading.notice or None,
        "images": reading.images,
        "opened_by": reading.opened_by or None,
        "patient": {"id": study.patient_id, "issuer": study.issuer, "name": study.patient_name,
                    "birth_date": study.birth_date, "sex": study.sex},
        "accession": study.accession,
        "order": None if opened.order is None else {
            "urgency": opened.order.urgency, "reason": opened.order.reason, "procedure": opened.order.procedure,
        },
        "text": reading.text_number,
        "author": None if opened.text is None else opened.text.author,
        "sections": opened.sections.model_dump(),
        "beside": [{"author": each.author, "base": each.base, "at": each.created_at.isoformat(),
                    "sections": each.sections} for each in opened.beside],
        "draft": None if draft is None else draft.model_dump(mode="json"),
        "drafts": [{"number": each.number, "origin": each.origin, "model": each.model, "revision": each.revision,
                    "applied": each.applied, "at": each.created_at.isoformat()} for each in opened.drafts],
        "outside": [{"document": each.source, **each.report} for each in opened.drafts if each.origin == "outside"],
        "measurements": [{"number": each.id, "name": each.name, "value": each.value, "unit": each.unit,
                          "calibration": each.calibration} for each in opened.measurements],
        "critical": [{"number": row.id, "finding": row.finding, "raised_by": row.raised_by,
                      "open": _open(tried), "attempts": [
                          {"whom": each.whom, "how": each.how, "outcome": each.outcome, "note": each.note,
                           "by": each.login, "at": each.at.isoformat()} for each in tried]}
                     for row, tried in opened.critical],
        "verdicts": [{"kind": each.kind, "about": each.about, "verdict": each.verdict, "said": each.said,
                      "by": each.login} for each in opened.verdicts],
        "reports": [{"version": row.number, "kind": row.kind, "sha256": row.digest, "document": row.document,
                     "signatures": [{"user": each.login, "name": each.name, "meaning": each.meaning,
                                     "at": each.signed_at.isoformat()} for each in signed]}
                    for row, signed in opened.reports],
    }  # fmt: skip


def show(opened: Opened) -> None:
    """Write it on the terminal."""
    reading, study, draft = opened.reading, opened.study, opened.draft
    heading(_state(opened))
    for line in (draft.caution if draft is not None else "", reading.notice):
        if line:
            heading(line)
    write(f"{one_line(study.patient_name)}  {one_line(study.patient_id)}  born {one_line(study.birth_date) or '?'}  "
          f"{one_line(study.sex)}\n{one_line(study.date)}  {one_line(study.description)}  {reading.images} images\n"
          f"{one_line(study.uid)}\n")  # fmt: skip
    if opened.order is not None:
        write(f"order: {opened.order.urgency}  {one_line(opened.order.reason)}\n")
    if opened.opened_by:
        write(f"! {one_line(opened.opened_by)} has it open\n")
    write("\n")
    for name, text in opened.sections.model_dump().items():
        if text:
            write(f"{name.upper()}\n{plain(text)}\n\n")
    if draft is not None:
        write("DRAFTED BY THE MODEL\n")
        for finding in draft.findings:
            number = "" if finding.probability is None else f" {probability(finding.probability)}"
            called = {True: "present", False: "not seen", None: "no call"}[finding.present]
            state = called if finding.assessed else "not assessed"
            write(f"{one_line(finding.name)}{number}: {state}\n")
        for warning in draft.warnings:
            write(f"! {one_line(warning)}\n")
        write("\n")
        _show_later(opened)
    for each in opened.drafts:
        if each.origin == "outside":
            said = "verified" if each.report["verified"] else "not verified"
            write(f"FROM OUTSIDE: {one_line(each.report['title'])}, {one_line(each.report['maker'])} ({said})\n")
            for name, text in each.report["lines"]:
                write(f"    {one_line(name)}: {one_line(text)}\n")
            write("\n")
    for length in opened.measurements:
        write(f"measured: {one_line(length.name)} {length.value:g} {one_line(length.unit)} ({length.calibration})\n")
    for row, tried in opened.critical:
        write(f"CRITICAL {row.id}: {one_line(row.finding)}: {'OPEN' if _open(tried) else 'done'}\n")
        for tell in tried:
            write(f"    {_when(tell.at)}  {one_line(tell.outcome)}  {one_line(tell.whom)}  {one_line(tell.how)}  "
                  f"by {one_line(tell.login)}  {one_line(tell.note)}\n")  # fmt: skip
    for beside in opened.beside:
        write(f"! a text of {one_line(beside.author)} ({_when(beside.created_at)}) was second and is kept beside:\n")
        for name, text in beside.sections.items():
            if text:
                write(f"    {name}: {one_line(text)}\n")
    for report, signed in opened.reports:
        for mine in signed:
            write(f"version {report.number} ({report.kind}) signed {_when(mine.signed_at)} by {one_line(mine.name)} "
                  f"as {mine.meaning}  sha256 {report.digest[:16]}\n")  # fmt: skip


def _show_later(opened: Opened) -> None:
    """Write the text of a model's newest draft, where it came too late to become the text."""
    late, draft = [each for each in opened.drafts if each.origin == "model"][-1], opened.draft
    if draft is None or late.applied:
        return
    write(f"! draft {late.number} came later and is not in the text:\n")
    for name, text in (("findings", draft.sections.findings), ("impression", draft.sections.impression)):
        if text:
            write(f"    {name}: {one_line(text)}\n")
    write("\n")


def show_priors(earlier: list[Prior]) -> None:
    """Write other studies of the patient; those that may be another's say why."""
    for each in earlier:
        sure = "prior" if each.identity == "same" else f"POSSIBLE PRIOR ({each.reason})"
        coming = {"asked": ", on its way", "failed": f", did not come: {one_line(each.error)}"}.get(each.fetching, "")
        where = f"  in {one_line(each.archive)}{coming}" if each.archive else ""
        write(f"{sure}: {one_line(each.date) or '--------'}  {one_line('/'.join(each.modalities))}  "
              f"{one_line(each.description)}  {one_line(each.study)}{where}\n")  # fmt: skip


def _state(opened: Opened) -> str:
    reading = opened.reading
    if reading.state in ("final", "amended", "addendum"):
        return f"SIGNED: {reading.state}"
    whose = "" if opened.text is None else f" of {opened.text.author}"
    return f"DRAFT — not signed ({reading.state}; text {reading.text_number}{whose})"


def _open(tried: Any) -> bool:
    from aris.store.reading.critical import is_open

    return is_open(tried)


def _when(moment: datetime) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M}"
