"""JATS (ANSI/NISO Z39.96), the XML of full texts as PubMed Central and publishers give them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from aris.literature.papers import Fault, Paper, Retraction, Section, clean_doi, clean_pmid, clean_year
from aris.literature.readers.xml import elements, local, text_of

_PARAGRAPHS = (
    "p",
    "list",
    "disp-quote",
    "boxed-text",
    "table-wrap",
    "fig",
    "def-list",
    "statement",
    "supplementary-material",
)
_LINK = "{http://www.w3.org/1999/xlink}href"
_NOTHING_SAID = frozenset({"table", "graphic", "media", "alternatives", "ref-list", "fn", "label"})


def read(file: IO[bytes], path: Path) -> Iterator[Paper | Fault]:
    """Read the articles of a JATS file; one, or a set of them."""
    for number, element in enumerate(elements(file, path, ("article",)), 1):
        _strip_namespaces(element)
        paper = _paper(element)
        yield paper if paper.title or paper.sections else Fault(f"{path}: article {number} has neither title nor text")


def _strip_namespaces(element: Any) -> None:
    for each in element.iter():
        if isinstance(each.tag, str):
            each.tag = local(each)


def _paper(article: Any) -> Paper:
    meta = article.find("front/article-meta")
    journal = article.find("front/journal-meta")
    kind = article.get("article-type", "")
    if meta is None:
        return Paper("", tuple(_sections(article)))
    title = text_of(meta.find("title-group/article-title"), frozenset({"xref", "fn"}))
    related = meta.findall("related-article")
    retraction: Retraction = "unknown"
    kinds = {each.get("related-article-type", "") for each in related}
    marked = re.match(r"(?:retracted|withdrawn)(?: article)?\s*:", title, re.IGNORECASE)
    if kind == "retracted-article" or kinds & {"retraction-forward", "retraction-in"} or marked:
        retraction = "retracted"
    elif kinds & {"expression-of-concern-forward", "expression-of-concern-in"}:
        retraction = "concern"
    ids = {each.get("pub-id-type", ""): text_of(each) for each in meta.findall("article-id")}
    first, last = text_of(meta.find("fpage")), text_of(meta.find("lpage"))
    return Paper(
        title=title,
        sections=tuple(_sections(article)),
        authors=tuple(_authors(meta)),
        journal=_journal(journal),
        year=_year(meta),
        volume=text_of(meta.find("volume")),
        issue=text_of(meta.find("issue")),
        pages=f"{first}-{last}" if first and last and first != last else first or text_of(meta.find("elocation-id")),
        pmid=clean_pmid(ids.get("pmid")),
        doi=clean_doi(ids.get("doi")),
        licence=_licence(meta),
        types=(kind,) if kind else (),
        retraction=retraction,
        retracts=tuple(_of(each) for each in related if each.get("related-article-type") == "retracted-article")
        if kind in ("retraction", "")
        else (),
    )


def _of(related: Any) -> tuple[str | None, str | None]:
    target = related.get(_LINK) or related.get("href") or text_of(related)
    pmid = clean_pmid(target) if related.get("ext-link-type") in ("pmid", "pubmed") else None
    return pmid, clean_doi(target)


def _sections(article: Any) -> Iterator[Section]:
    for abstract in article.findall("front/article-meta/abstract"):
        if abstract.get("abstract-type") not in ("graphical", "toc", "teaser"):
            yield from _inside(abstract, "Abstract", "Abstract")
    body = article.find("body")
    if body is not None:
        yield from _inside(body, "", "")


def _inside(element: Any, name: str, top: str) -> Iterator[Section]:
    """The element's own paragraphs, then its sections."""
    own: list[str] = []
    own.extend(
        text for child in element if local(child) in _PARAGRAPHS and (text := text_of(child, _NOTHING_SAID))
    )
    if own:
        yield Section(name, "\n".join(own))
    for child in element:
        if local(child) == "sec":
            own_name = text_of(child.find("title")).rstrip(":.") or name
            full = f"{top}: {own_name}" if top and own_name != top else own_name
            yield from _inside(child, full, full)


def _authors(meta: Any) -> Iterator[str]:
    for each in meta.iterfind("contrib-group/contrib"):
        if each.get("contrib-type", "author") != "author":
            continue
        name = each.find("name") if each.find("name") is not None else each.find("name-alternatives/name")
        if name is not None:
            given = text_of(name.find("given-names"))
            initials = "".join(part[0] for part in re.split(r"[\s.-]+", given) if part)
            yield f"{text_of(name.find('surname'))} {initials}".strip()
        elif group := text_of(each.find("collab"), frozenset({"contrib-group"})):
            yield group


def _journal(journal: Any | None) -> str:
    if journal is None:
        return ""
    short = journal.find("journal-id[@journal-id-type='iso-abbrev']")
    return text_of(short) or text_of(journal.find(".//journal-title"))


def _year(meta: Any) -> int | None:
    years = [year for each in meta.findall("pub-date") if (year := clean_year(text_of(each.find("year"))))]
    return min(years) if years else None


def _licence(meta: Any) -> str:
    licence = meta.find("permissions/license")
    if licence is None:
        return text_of(meta.find("permissions/copyright-statement"))[:300]
    reference = licence.find("license_ref")
    address = licence.get(_LINK) or licence.get("href") or text_of(reference)
    return address or licence.get("license-type") or text_of(licence)[:300]
