"""HTML pages: the text under their headings, and what their meta elements (Highwire, Dublin Core) say of the paper."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from lxml import etree
from lxml.html import HtmlElement, HTMLParser, document_fromstring

from aris.errors import LiteratureError
from aris.literature.papers import Fault, Paper, Section, clean_doi, clean_pmid, clean_year, one_line
from aris.literature.readers.whole import read_whole

_UNREAD = {
    "script", "style", "nav", "header", "footer", "aside", "noscript", "template", "form", "svg", "math", "iframe",
    "object", "button", "select", "head", "figure",
}  # fmt: skip
_BLOCKS = {
    "p", "div", "section", "article", "main", "li", "ul", "ol", "table", "tr", "blockquote", "pre", "dd", "dt",
    "dl", "br",
    "td", "th", "body",
}  # fmt: skip
_HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")


def read(file: IO[bytes], path: Path) -> Iterator[Paper | Fault]:
    """Read a page as one paper."""
    data = read_whole(file, path)
    try:
        # Without an encoding in the page it is UTF-8, which libxml2 would not guess.
        told = b"charset" in data[:4096].lower() or data[:2] in (b"\xff\xfe", b"\xfe\xff")
        parser = HTMLParser(no_network=True, huge_tree=False, encoding=None if told else "utf-8", remove_comments=True)
        page = document_fromstring(data, parser=parser)
    except (etree.LxmlError, ValueError, LookupError, AssertionError):
        raise LiteratureError(f"{path}: the page cannot be read as HTML") from None
    meta = _meta(page)
    sections = tuple(_sections(page))
    if not sections:
        raise LiteratureError(f"{path}: the page holds no text")

    def first(*names: str) -> str:
        return next((meta[name][0] for name in names if meta.get(name)), "")

    title = first("citation_title", "dc.title", "og:title") or one_line(page.findtext(".//title") or "")
    yield Paper(
        title=title or one_line(page.findtext(".//h1") or "") or path.stem,
        sections=sections,
        authors=tuple(_name(each) for each in meta.get("citation_author", meta.get("dc.creator", []))),
        journal=first("citation_journal_abbrev", "citation_journal_title", "dc.source", "og:site_name"),
        year=clean_year(
            first("citation_publication_date", "citation_date", "citation_year", "dc.date", "article:published_time")
        ),
        volume=first("citation_volume"),
        issue=first("citation_issue"),
        pages="-".join(filter(None, (first("citation_firstpage"), first("citation_lastpage")))),
        pmid=clean_pmid(first("citation_pmid")),
        doi=clean_doi(first("citation_doi", "dc.identifier", "prism.doi")),
        url=first("citation_public_url", "og:url")[:500],
        licence=first("dc.rights", "dcterms.license", "citation_license")[:300],
    )


def _meta(page: HtmlElement) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for each in page.iter("meta"):
        name = (each.get("name") or each.get("property") or "").lower()
        if name and (content := one_line(each.get("content") or "")):
            found.setdefault(name, []).append(content)
    return found


def _name(author: str) -> str:
    """ "Family, Given Middle" as "Family GM"; else as it stands."""
    family, comma, given = author.partition(",")
    return f"{family.strip()} {''.join(part[0] for part in given.split())}" if comma and given.strip() else author


def _sections(page: HtmlElement) -> Iterator[Section]:
    name, blocks = "", [""]
    for kind, text in _walk(page):
        if kind == "heading":
            if body := _joined(blocks):
                yield Section(name, body)
            name, blocks = one_line(text), [""]
        elif kind == "break":
            blocks.append("")
        else:
            blocks[-1] += text
    if body := _joined(blocks):
        yield Section(name, body)


def _joined(blocks: list[str]) -> str:
    return "\n".join(line for each in blocks if (line := one_line(each)))


def _walk(page: HtmlElement) -> Iterator[tuple[str, str]]:
    """Texts, headings and ends of blocks in the page's order; without recursion, as pages nest as deep as they like."""
    stack: list[tuple[Any, bool]] = [(page, False)]
    while stack:
        element, left = stack.pop()
        tag = element.tag if isinstance(element.tag, str) else ""
        if left:
            if tag in _BLOCKS:
                yield "break", ""
            if element.tail and element is not page:
                yield "text", element.tail
            continue
        hidden = element.get("hidden") is not None or element.get("aria-hidden") == "true" if tag else True
        if hidden or tag in _UNREAD:
            if element.tail:
                yield "text", element.tail
            continue
        if tag in _HEADINGS:
            yield "heading", "".join(element.itertext())
            if element.tail:
                yield "text", element.tail
            continue
        if tag in _BLOCKS:
            yield "break", ""
        if element.text:
            yield "text", element.text
        stack.append((element, True))
        stack.extend((child, False) for child in reversed(element))
