"""Pairs of drafts and their signed versions, de-identified, as `aris tune corrections` reads them.

Only a sure case becomes a pair: one radiograph, one draft, one signed text that differs from it. Names and numbers that
the store knows of the patient, the order and the signers are taken out of both texts, then dates, and whatever looks
like a number, an address or a titled name. A person must look at the result before it leaves the house.
"""

from __future__ import annotations

import hmac
import io
import json
import re
import secrets
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from aris.checkpoints.registry import find
from aris.errors import ArisError, ExchangeError
from aris.exchange.documents.report import Report, checked
from aris.exchange.raster_images import SECONDARY_CAPTURE
from aris.flow.house import House
from aris.imaging import read_film
from aris.private import make_folder, write_private
from aris.prompting import Image
from aris.store.reading import drafts, readings, reports
from aris.store.reading.audit import SYSTEM
from aris.store.reading.lasting_tables import ReportRow
from aris.store.reading.tables import OrderRow, ReadingRow
from aris.tasks.cases import film_case
from aris.tasks.draft_prompts import draft_messages
from aris.tasks.results import Sections

if TYPE_CHECKING:
    from aris.backends import Backend
    from aris.imaging import Film

ROWS, IMAGES = "pairs.jsonl", "images"
_WORDS = {True: "present", False: "not seen", None: "uncertain"}
_MONTH = r"(?:Jan|Feb|M[aä]r|Apr|Ma[iy]|Jun|Jul|Aug|Sep|O[ck]t|Nov|De[cz])[a-zäöü]*\.?"
_DATES = re.compile(
    rf"\b(?:\d{{4}}[-/.]\d{{1,2}}[-/.]\d{{1,2}}|\d{{1,2}}[-/.]\d{{1,2}}[-/.](?:\d{{4}}|\d{{2}})"
    rf"|\d{{1,2}}\.?\s+{_MONTH}\s+\d{{2,4}}|{_MONTH}\s+\d{{1,2}},?\s+\d{{4}}|\d{{1,2}}/(?:19|20)\d{{2}}|(?:19|20)\d{{6}})\b",
    re.IGNORECASE,
)
_CONTACTS = re.compile(r"\b(?:https?://\S+|www\.\S+|[\w.+-]+@[\w-]+\.[\w.-]+)", re.IGNORECASE)
# Telephone numbers and the like, of six digits at least: "12 - 15 mm" stays.
_NUMBERS = re.compile(r"(?<![\w.,])\+?(?:\d[ /()-]{0,3}){6,}(?!\w)|\b(?=\w*\d)(?=\w*[A-Za-z])\w{6,}\b|\b\d{5,}\b")
_TITLED = re.compile(
    r"\b(?:Drs?|Prof|Mrs|Mr|Ms|Miss|Herrn?|Frau|Monsieur|Madame|Sr|Sra|Dott)\b\.?(?:\s+(?:Dr|med|Prof)\b\.?)*"
    r"(?:\s+(?:von|van|de|der|den|di|la|le)\b)*(?:\s+[A-ZÄÖÜÉÈ][\w'’-]+){1,3}"
)
_OLD = re.compile(r"\b(?:9\d|1[01]\d)(?=[\s-]*(?:years?|yrs?|y/?o|jahre?|-jährig|jährig))", re.IGNORECASE)


@dataclass
class Pairs:
    """The outcome of an export: pairs that were written, and readings that made none, by reason."""

    written: int = 0
    skipped: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class _Model:
    """As much of a backend as wording a prompt needs."""

    spec: Any


def export_pairs(
    house: House, out: Path, *, model: str = "", uploaded: bool = False, now: datetime | None = None
) -> Pairs:
    """Write a pair for each signed study whose text a reader changed, and the images that it is about.

    Args:
        out: a folder that is not there, or empty.
        model: of whose drafts; all by default.
        uploaded: take uploaded images too: a person has looked at each of them, and nothing in their pixels names
            anybody. Whatever a device sends says so itself.

    Raises:
        ExchangeError: the folder holds something, or cannot be written.
        StoreError: the store cannot be read.
    """
    try:
        if out.exists() and any(out.iterdir()):
            raise ExchangeError(f"{out}: holds something; choose a folder that is empty or not there")
        make_folder(out)
        make_folder(out / IMAGES)
        made = Pairs()
        # Drawn for this export and forgotten: patients stay apart for the split, and cannot be looked up.
        key = secrets.token_bytes(32)
        lines = []
        for row in _rows(house, key, out / IMAGES, model, made, uploaded=uploaded):
            lines.append(json.dumps(row, ensure_ascii=False) + "\n")
            made.written += 1
        write_private(out / ROWS, "".join(lines).encode())
    except OSError as error:
        raise ExchangeError(f"{out}: cannot be written ({error.strerror})") from None
    moment = now or datetime.now(UTC)
    house.store.sessions.write(
        lambda session: house.trail.add(session, SYSTEM, "export pairs", now=moment, pairs=made.written)
    )
    return made


def _rows(
    house: House, key: bytes, images: Path, model: str, made: Pairs, *, uploaded: bool
) -> Iterable[dict[str, Any]]:
    with house.store.sessions.reading() as session:
        signed = list(session.scalars(
            select(ReadingRow).where(ReadingRow.state.in_(readings.SIGNED)).order_by(ReadingRow.id)
        ))  # fmt: skip
        for number, reading in enumerate(signed, 1):
            found = _row(session, house, reading, key, images / f"{number:06}.png", model, uploaded=uploaded)
            if isinstance(found, str):
                made.skipped[found] += 1
            else:
                yield found


def _row(
    session: Session, house: House, reading: ReadingRow, key: bytes, image: Path, model: str, *, uploaded: bool
) -> dict[str, Any] | str:
    """The pair of a reading, or why there is none."""
    versions = [each for each in reports.all_of(session, reading) if each.kind != "addendum"]
    draft = drafts.numbered(session, reading, versions[-1].draft_number)
    if draft is None:
        return "no draft was signed"
    if model and draft.model != model:
        return "another model's draft"
    written, signed = checked(**draft.report), checked(**versions[-1].report)
    remove = _known(session, reading, versions, written, signed)
    chosen, rejected = (scrubbed(_text(each.sections), remove) for each in (signed, written))
    if not all(each.partition("IMPRESSION:")[2].strip() for each in (chosen, rejected)):
        return "a text without an impression"
    if chosen == rejected:
        return "signed as it was drafted"
    if len(written.images) != 1:
        return "more than one image"
    try:
        (source,) = [each for each in house.store.instances(study=reading.study_uid)
                     if each.uid == written.images[0].uid]  # fmt: skip
        film = read_film(source.file)
    except (ArisError, ValueError):
        return "no radiograph"
    if film.burned_in_annotation:
        return "text in its pixels"
    if source.sop_class == SECONDARY_CAPTURE and film.burned_in_annotation is None and not uploaded:
        return "an uploaded image that nobody has looked at for names in its pixels"
    write_private(image, _png(film))
    person = written.patient
    group = hmac.new(key, f"{person.issuer}\0{person.identifier or reading.study_uid}".encode(), "sha256").hexdigest()
    return {
        "prompt": _prompt(draft.model, film, written, f"{IMAGES}/{image.name}"),
        "chosen": chosen, "rejected": rejected, "group": group[:24], "task": "draft",
    }  # fmt: skip


def _prompt(model: str, film: Film, draft: Report, image: str) -> list[dict[str, Any]]:
    """The prompt that the draft was the answer to."""
    words = [(each.name, _WORDS[each.present]) for each in draft.findings if each.assessed and find(model) is not None]
    asked: Backend = _Model(find(model))  # type: ignore[assignment]
    return [
        {"role": message.role, "content": [
            {"type": "image", "path": image} if isinstance(part, Image) else {"type": "text", "text": part.text}
            for part in message.content
        ]}
        for message in draft_messages(asked, film_case(film), words)
    ]  # fmt: skip


def _text(sections: Sections) -> str:
    """A report as a model writes it."""
    return f"FINDINGS: {sections.findings.strip()}\nIMPRESSION: {sections.impression.strip()}"


def _png(film: Film) -> bytes:
    import PIL.Image

    out = io.BytesIO()
    PIL.Image.fromarray(film.pixels).save(out, "PNG")
    return out.getvalue()


def _known(
    session: Session, reading: ReadingRow, versions: list[ReportRow], written: Report, signed: Report
) -> list[str]:
    """Words and numbers that the store knows of the patient, the study, the order and those who signed."""
    known: list[str] = []
    names: list[str] = []
    for each in (written, signed):
        known += [each.patient.identifier, each.patient.issuer, each.study.accession, each.study.identifier]
        names += [each.patient.name, each.study.referrer]
    for version in versions:
        for mark in reports.signatures(session, version):
            names.append(mark.name)
            known += [mark.login, mark.identifier, mark.organization]
    if reading.order_pk is not None and (order := session.get(OrderRow, reading.order_pk)) is not None:
        names += [order.patient_name, order.referrer]
        known += [order.placer, order.filler, order.accession, order.patient_id]
    known += [part for name in names for part in re.split(r"[\^=\s,]+", name)]
    # A single letter would take half of a text with it.
    return sorted({each.strip() for each in known if len(each.strip()) >= 2}, key=len, reverse=True)


def scrubbed(text: str, known: list[str]) -> str:
    """A text without what names a person: the known words, then dates, addresses, long numbers and titled names."""
    for word in known:
        mark = "[number]" if any(each.isdigit() for each in word) else "[name]"
        text = re.sub(rf"(?<!\w){re.escape(word)}(?!\w)", mark, text, flags=re.IGNORECASE)
    text = _CONTACTS.sub("[contact]", text)
    text = _DATES.sub("[date]", text)
    text = _TITLED.sub("[name]", text)
    text = _NUMBERS.sub("[number]", text)
    return _OLD.sub("90", text)


