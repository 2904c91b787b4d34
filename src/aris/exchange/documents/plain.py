"""The report as plain text: for people, for e-mail, for the text field of another document."""

from __future__ import annotations

import re

from aris.exchange.documents.report import Report, readable
from aris.tasks.results import Finding, Measurement, Sections

_OWN = re.compile(
    r"\s*(?:(?:EXAMINATION|INDICATION|TECHNIQUE|COMPARISON|FINDINGS|IMPRESSION|SCORED FINDINGS|REGIONS|MEASUREMENTS"
    r"|ADDENDUM|WARNINGS)\s*$|DRAFT\b|SIGNED\b|ADDENDED\b|CORRECTED\b|PRIORITY\b|!|Drafted by\b|Signed by\b"
    r"|A model wrote this draft)",
    re.IGNORECASE,
)
CAUTION = "A model wrote this draft. A clinician must check every word against the images before any use."


def plain_text(report: Report) -> str:
    """Lines of text; the first ones say whether it is a draft and never for patient care, and so do the last."""
    lines = [*heading(report), ""]
    lines += _about(report)
    for name in Sections.model_fields:
        if text := getattr(report.sections, name):
            lines += [name.upper(), quoted(text), ""]
    if report.findings:
        lines += ["SCORED FINDINGS", *(finding_line(each) for each in report.findings), ""]
    if report.regions:
        lines.append("REGIONS")
        for region in report.regions:
            left, top, right, bottom = (f"{value:g}" for value in region.box)
            frame = "" if region.frame is None else f", frame {region.frame}"
            number = "" if region.probability is None else f", probability {probability(region.probability)}"
            note = f" ({region.note})" if region.note else ""
            lines.append(f"{region.label}: columns {left} to {right}, rows {top} to {bottom}{frame}{number}{note}")
            lines += [f"  {measurement_line(each)}" for each in region.measurements]
        lines.append("")
    if report.measurements:
        lines += ["MEASUREMENTS", *(measurement_line(each) for each in report.measurements), ""]
    for text in report.addenda:
        lines += ["ADDENDUM", quoted(text), ""]
    if report.warnings or report.forced:
        forced = ["written outside the model's declared scope: this is no evidence"] if report.forced else []
        lines += ["WARNINGS", *(f"! {text}" for text in (*forced, *report.warnings)), ""]
    lines += _origin(report)
    if report.is_draft:
        lines += ["", CAUTION, *heading(report)[::-1]]
    elif report.caution:
        lines += ["", report.caution]
    return "\n".join(lines) + "\n"


def heading(report: Report) -> list[str]:
    """Return the heading of every rendering: the mark, and the caution of a model that is not for patients."""
    return [report.mark, *([report.caution] if report.caution else [])]


def quoted(text: str) -> str:
    """A section's text; lines of it that look like the document's own headings or marks are set off by ">"."""
    return "\n".join(f"> {line}" if _OWN.match(line) else line for line in text.splitlines())


def finding_line(finding: Finding) -> str:
    """A scored finding in one line."""
    note = f" ({finding.note})" if finding.note else ""
    if not finding.assessed:
        # The note of a task's result opens with the same words.
        why = finding.note.removeprefix("not assessed").lstrip(": ")
        return f"{finding.name}: not assessed" + (f": {why}" if why else "")
    state = {True: "present", False: "not seen", None: "no call"}[finding.present]
    number = "" if finding.probability is None else f", probability {probability(finding.probability)}"
    return f"{finding.name}: {state}{number}{note}"


def measurement_line(each: Measurement) -> str:
    """A measurement in one line."""
    unit = "" if each.unit == "1" else f" {each.unit}"
    return f"{each.name}: {each.value:g}{unit}{f' ({each.note})' if each.note else ''}"


def probability(value: float) -> str:
    """In two places, never rounded to certainty."""
    return ">0.99" if value > 0.99 else "<0.01" if value < 0.01 else f"{value:.2f}"


def _about(report: Report) -> list[str]:
    patient, study = report.patient, report.study
    rows = [
        ("Patient", ", ".join(each for each in (readable(patient.name), patient.identifier) if each)),
        ("Born", "-".join(_split(patient.birth_date)) + (f", sex {patient.sex}" if patient.sex else "")),
        ("Study", " ".join(each for each in (study.description, "-".join(_split(study.date))) if each)),
        ("Accession", study.accession),
        ("Referred by", readable(study.referrer)),
    ]
    lines = [f"{name}: {value}" for name, value in rows if value.strip(", ")]
    return [*lines, ""] if lines else []


def _origin(report: Report) -> list[str]:
    model = report.model
    parts = [model.name]
    parts += [f"revision {model.revision}"] if model.revision else []
    parts += [f"prompts {model.prompt_version}"] if model.prompt_version else []
    lines = [f"Drafted by {', '.join(parts)} with {model.software}; {report.created:%Y-%m-%d %H:%M:%S %Z}"]
    if not report.complete:
        lines.append("The draft's text was cut before its end")
    return lines


def _split(date: str) -> list[str]:
    return [date[:4], date[4:6], date[6:]] if date else []
