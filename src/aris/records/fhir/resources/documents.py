"""Reports, imaging studies, notes, orders and plans."""

from __future__ import annotations

from collections.abc import Iterator

from aris.records.fhir.resources.common import common, subject_of
from aris.records.fhir.resources.fields import Fields, Resource, clean, one_line, plain_text
from aris.records.types import Concept, Note, Order, Other, Plan, Record, Report


def report(f: Fields, r: Resource) -> Iterator[Record]:
    """Read a DiagnosticReport."""
    start, end = f.span(r, "effective")
    words, kinds = _attachments(f, list(f.objects(r, "presentedForm")))
    conclusion = r.get("conclusion")
    if conclusion is not None and not isinstance(conclusion, str):
        f.odd("conclusion is no text; it was not read")
        conclusion = None
    yield Report(
        **common(f, r, f.concept(r, "code"), time=start, end=end, known=f.when(r, "issued")),
        text="\n\n".join(t for t in (clean(conclusion or ""), *words) if t),
        results=f.references(r, "result"),
        conclusions=f.concepts(r, "conclusionCode"),
        attachments=kinds,
        based_on=f.references(r, "basedOn"),
    )


def imaging_study(f: Fields, r: Resource) -> Iterator[Record]:
    """Read an ImagingStudy, as a report without words."""
    codes = f.concepts(r, "procedureCode")
    modalities = {f.text(each, "code") for each in f.objects(r, "modality")}
    sites = set()
    for series in f.objects(r, "series"):
        modalities.add(f.text(f.object(series, "modality"), "code"))
        site = f.as_concept(f.object(series, "bodySite"), "bodySite")
        sites.add(site.text if site else "")
    kinds = tuple(sorted(m for m in modalities if m))
    where = ", ".join(sorted(s for s in sites if s))
    description = f.text(r, "description")
    made = f"Imaging study {'/'.join(kinds)} {where}".strip()
    name = codes[0] if codes else Concept(description or " ".join(made.split()))
    given = common(f, r, name, time=f.when(r, "started"))
    yield Report(**given, modality=kinds, based_on=f.references(r, "basedOn"))


def document(f: Fields, r: Resource) -> Iterator[Record]:
    """Read a DocumentReference."""
    attachments = [f.object(each, "attachment") for each in f.objects(r, "content")]
    words, kinds = _attachments(f, attachments)
    context = f.object(r, "context")
    start, end = f.period(context, "period")
    title = next((t for each in attachments if (t := f.text(each, "title"))), "") or f.text(r, "description")
    name = f.concept(r, "type") or Concept(title or "Document")
    made = f.when(r, "date")
    given = common(f, r, name, time=start or made, end=end, known=made)
    written = f.text(r, "docStatus").lower()
    if written == "entered-in-error" or (written == "preliminary" and given["status"] == "current"):
        given["status"] = written  # the reference is current; the document that it leads to is not, or not finished
    around = f.references(context, "encounter")
    given["encounter"] = next((e for e in around if e.startswith("Encounter/")), "")
    yield Note(
        **given, text="\n\n".join(w for w in words if w), attachments=kinds, author=_author(f, r)
    )


def composition(f: Fields, r: Resource) -> Iterator[Record]:
    """Read a Composition: the words of its sections, each under its title."""
    lines = list(_sections(f, r, 0))
    date = f.when(r, "date")
    title = f.text(r, "title")
    name = f.concept(r, "type") or Concept(title or "Document")
    yield Note(**common(f, r, name, time=date, known=date), text=clean("\n".join(lines)), author=_author(f, r))


def impression(f: Fields, r: Resource) -> Iterator[Record]:
    """Read a ClinicalImpression."""
    start, end = f.span(r, "effective")
    words = [f.text(r, "description"), f.text(r, "summary")]
    for each in f.objects(r, "finding"):
        found = f.concept(each, "itemCodeableConcept")
        words.append(f"Finding: {found.text}" if found else "")
    name = f.concept(r, "code") or Concept("Clinical impression")
    yield Note(
        **common(f, r, name, time=start, end=end, known=f.when(r, "date")), text="\n".join(w for w in words if w)
    )


def communication(f: Fields, r: Resource) -> Iterator[Record]:
    """Read a Communication: its texts."""
    words = [clean(each["contentString"]) for each in f.objects(r, "payload") if _is_text(each, "contentString")]
    sent = f.when(r, "sent")
    name = f.concept(r, "topic") or Concept("Communication")
    yield Note(**common(f, r, name, time=sent, known=sent or f.when(r, "received")), text="\n".join(words))


def order(f: Fields, r: Resource) -> Iterator[Record]:
    """Read a ServiceRequest or DeviceRequest."""
    start, end = f.span(r, "occurrence")
    asked = f.when(r, "authoredOn")
    code = "code" if r.get("resourceType") == "ServiceRequest" else "codeCodeableConcept"
    yield Order(
        **common(f, r, f.concept(r, code), time=start or asked, end=end, known=asked),
        intent=f.text(r, "intent"),
        priority=f.text(r, "priority"),
        reasons=f.concepts(r, "reasonCode"),
        forbidden=r.get("doNotPerform") is True,
    )


def appointment(f: Fields, r: Resource) -> Iterator[Record]:
    """Read an Appointment."""
    kinds = f.concepts(r, "serviceType") or f.concepts(r, "specialty")
    name = Concept(f.text(r, "description")) if r.get("description") else kinds[0] if kinds else Concept("Appointment")
    given = common(f, r, name, time=f.when(r, "start"), end=f.when(r, "end"), known=f.when(r, "created"))
    people = (f.reference(each, "actor") for each in f.objects(r, "participant"))
    given["patient"] = next((p for p in people if p.startswith("Patient/")), given["patient"])
    yield Order(**given, reasons=f.concepts(r, "reasonCode"))


def task(f: Fields, r: Resource) -> Iterator[Record]:
    """Read a Task."""
    start, end = f.period(r, "executionPeriod")
    name = f.concept(r, "code") or Concept(f.text(r, "description") or "Task")
    given = common(f, r, name, time=start, end=end, known=f.when(r, "authoredOn"))
    yield Order(**given, intent=f.text(r, "intent"), priority=f.text(r, "priority"))


def care_plan(f: Fields, r: Resource) -> Iterator[Record]:
    """Read a CarePlan."""
    start, end = f.period(r, "period")
    kinds = f.concepts(r, "category")
    title = f.text(r, "title") or f.text(r, "description")
    name = kinds[0] if kinds else Concept(title or "Care plan")
    activities = []
    for each in f.objects(r, "activity"):
        detail = f.object(each, "detail")
        what = f.concept(detail, "code")
        state = f.text(detail, "status")
        words = what.text if what else f.text(detail, "description")
        activities.append(f"{words} ({state})" if words and state else words)
    yield Plan(
        **common(f, r, name, time=start, end=end, known=f.when(r, "created")),
        activities=tuple(a for a in activities if a),
        addresses=f.references(r, "addresses"),
    )


def goal(f: Fields, r: Resource) -> Iterator[Record]:
    """Read a Goal."""
    given = common(
        f, r, f.concept(r, "description"), time=f.when(r, "startDate"), known=f.when(r, "statusDate"),
        status=f.status(r, "lifecycleStatus"),
    )  # fmt: skip
    yield Plan(**given, addresses=f.references(r, "addresses"))


# Where the time of a resource stands that Aris lists without reading it.
_DATES = ("date", "created", "authoredOn", "authored", "recordedDate", "issued", "sent", "recorded", "started")


def other(f: Fields, r: Resource) -> Iterator[Record]:
    """List a resource of a kind that is not read further, if it is about a patient."""
    for name in ("subject", "patient", "beneficiary", "for", "individual"):
        if subject_of(f, r, name):
            break
    else:
        return
    time = next((w for name in _DATES if isinstance(r.get(name), str) and (w := f.when(r, name))), None)
    code = r.get("code")
    name_ = f.concept(r, "code") if isinstance(code, dict) else None
    status = r.get("status")
    given = common(
        f, {**r, "category": None}, name_ or Concept(str(r.get("resourceType"))), time=time,
        status=one_line(status).lower() if isinstance(status, str) else "unknown",
    )  # fmt: skip
    given["patient"] = subject_of(f, r, name)
    yield Other(**given)


def _attachments(f: Fields, attachments: list[Resource]) -> tuple[list[str], tuple[str, ...]]:
    """(the texts, the kinds of what is not read) of attachments."""
    read = [f.attachment(each) for each in attachments if each]
    return [text for text, _ in read if text], tuple(kind for _, kind in read if kind)


def _sections(f: Fields, r: Resource, depth: int) -> Iterator[str]:
    for each in f.objects(r, "section") if depth < 8 else ():
        title = f.text(each, "title")
        if title:
            yield f"{title}:"
        div = f.object(each, "text").get("div")
        if isinstance(div, str):
            yield plain_text(div)
        empty = f.concept(each, "emptyReason")
        if empty is not None:
            yield f"(empty: {empty.text})"
        yield from _sections(f, each, depth + 1)


def _author(f: Fields, r: Resource) -> str:
    found = next(iter(f.objects(r, "author")), None) if "author" in r else None
    return f.name_of({"author": found}, "author") if found else ""


def _is_text(r: Resource, name: str) -> bool:
    return isinstance(r.get(name), str)
