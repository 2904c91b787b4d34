"""Report templates in IHE's form (Management of Radiology Report Templates: HTML 5), taken over as plain text.

Of the HTML nothing is kept but words: scripts, styles, images and links are left out, and fields become what they hold
by default, or a place in square brackets for the reader to fill.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser

from aris.errors import ArisError
from aris.exchange.documents.report import clean
from aris.tasks import Sections

_LONGEST, _MOST_OPTIONS = 20_000, 40
_SECTIONS = {
    "examination": ("examination", "exam", "procedure", "procedure information", "study"),
    "indication": ("indication", "indications", "clinical information", "clinical history", "history", "reason"),
    "technique": ("technique", "imaging technique", "procedure description", "protocol"),
    "comparison": ("comparison", "comparisons", "prior studies"),
    "findings": ("findings", "finding", "observations", "report"),
    "impression": ("impression", "impressions", "conclusion", "conclusions", "summary", "assessment"),
}
_NAMES = {word: name for name, words in _SECTIONS.items() for word in words}
# What these hold is no text.
# Nothing of these stands within a field of a form.
_ENDS = ("section", "header", "p", "div", "table", "tr", "td", "th", "ul", "ol", "li", "h1", "h2", "h3", "h4", "h5",
         "h6", "body", "html")  # fmt: skip
_DROPPED = ("script", "style", "template", "noscript", "object", "iframe", "svg", "math", "head", "button", "datalist")
_LINES = ("p", "div", "br", "li", "tr", "section", "h1", "h2", "h3", "h4", "h5", "h6", "header", "table", "ul", "ol")
_VOID = ("input", "br", "img", "meta", "link", "hr", "area", "base", "col", "embed", "source", "track", "wbr", "param")
_MODALITIES = {"CT": "CT", "MR": "MR", "MRI": "MR", "XR": "DX", "CR": "DX", "DX": "DX", "US": "US", "MG": "MG",
               "PET": "PT", "PT": "PT", "NM": "NM", "RF": "RF"}  # fmt: skip


class TemplateError(ArisError):
    """A template that cannot be taken over."""


@dataclass(frozen=True)
class PlainTemplate:
    """A template as it is kept: text by section. `modality` is DICOM's code, "" where the template tells none."""

    name: str
    modality: str
    sections: dict[str, str]


def read_mrrt(data: bytes) -> PlainTemplate:
    """Read an MRRT template.

    Raises:
        TemplateError: it is not text, no HTML, or has no section with any.
    """
    try:
        source = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise TemplateError("template: it is not in UTF-8; save it so, as MRRT asks") from None
    reader = _Reader()
    try:
        reader.feed(source)
        reader.close()
    except (AssertionError, ValueError):  # markup that the parser gives up on
        raise TemplateError("template: the HTML is damaged") from None
    sections = {name: text for name in Sections.model_fields if (text := reader.section(name))}
    if not sections:
        raise TemplateError("template: no section with text in it; give an MRRT template (HTML with sections)")
    name = _line(reader.title) or "Template"
    return PlainTemplate(name[:128], _modality(f"{name} {reader.about}"), sections)


@dataclass
class _Select:
    options: list[str] = field(default_factory=list)
    chosen: str | None = None
    open: bool = False
    words: list[str] = field(default_factory=list)
    selected: bool = False


class _Reader(HTMLParser):
    """Collects the words of each section."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.title = self.about = ""
        self._in_title = False
        self._dropped: list[str] = []
        self._header = 0
        self._open: list[tuple[str, str]] = []
        self._depth: list[str] = []
        self._parts: dict[str, list[str]] = {}
        self._select: _Select | None = None
        self._area: list[str] | None = None

    def section(self, name: str) -> str:
        """A section's text."""
        text = "".join(self._parts.get(name, ()))
        lines = [" ".join(line.split()) for line in text.splitlines()]
        return clean(re.sub(r"\n{3,}", "\n\n", "\n".join(lines)))[:_LONGEST]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "meta":
            if given.get("name", "").lower() == "dcterms.title":
                self.title = given.get("content", "") or self.title
            if given.get("name", "").lower() in ("dcterms.subject", "dcterms.description"):
                self.about += f" {given.get('content', '')}"
            return
        if tag == "title":
            self._in_title = True
            return
        # A head that is never closed must not swallow the body, nor a button or a list the next section.
        if tag == "body" or (tag in _ENDS and set(self._dropped) <= {"button", "datalist"}):
            self._dropped.clear()
        if tag in _ENDS or (tag in ("select", "textarea", "input")):
            self._end_fields()
        if self._dropped or tag in _DROPPED:
            if tag not in _VOID:
                self._dropped.append(tag)
            return
        if tag in _LINES:
            self._add("\n")
        if tag == "section":
            self._begin(given.get("data-section-name") or given.get("id") or "")
        elif tag == "header":
            self._header += 1
        elif tag == "input":
            self._input(given)
        elif tag == "select":
            self._select = _Select()
        elif tag == "option" and self._select is not None:
            self._end_option()
            self._select.open, self._select.words, self._select.selected = True, [], "selected" in given
        elif tag == "textarea":
            self._area = []

    def handle_endtag(self, tag: str) -> None:
        if tag == "title":
            self._in_title = False
        if tag in _ENDS:
            self._end_fields()
            if set(self._dropped) <= {"button", "datalist"}:
                self._dropped.clear()
        if self._dropped:
            if tag in self._dropped:
                while self._dropped.pop() != tag:
                    pass
            return
        if tag == "section" and self._open:
            self._open.pop()
        elif tag == "header":
            self._header = max(0, self._header - 1)
        elif tag == "select" and self._select is not None:
            self._end_select()
        elif tag == "textarea":
            self._end_area()
        if tag in _LINES:
            self._add("\n")
        elif tag in ("td", "th"):
            self._add(" ")

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self.title = self.title or data
            return
        if self._dropped:
            return
        if self._select is not None:
            if self._select.open:
                self._select.words.append(data)
            return
        if self._area is not None:
            self._area.append(data)
            return
        if not self._header:
            # White space of the source is none of the text.
            self._add(re.sub(r"\s+", " ", data))

    def _begin(self, name: str) -> None:
        word = _line(re.sub(r"[_:]+", " ", name)).lower()
        known = _NAMES.get(word)
        above = self._open[-1][0] if self._open else ""
        # A section of another name is a part of the one that it stands in, under its own heading.
        self._open.append((known or above or "findings", word))
        if known is None and word:
            self._add(f"\n{_line(name)}:\n")

    def _input(self, given: dict[str, str]) -> None:
        kind, value = given.get("type", "text").lower(), _line(given.get("value", ""))
        if kind in ("checkbox", "radio"):
            if "checked" in given and value:
                self._add(f"{value} ")
        elif kind in ("text", "number", "date", "time", ""):
            self._add(value or "[ ]")

    def _end_option(self) -> None:
        select = self._select
        if select is not None and select.open:
            text = _line("".join(select.words))
            if text and len(select.options) < _MOST_OPTIONS:
                select.options.append(text)
            if select.selected and text:
                select.chosen = text
            select.open = False

    def _end_area(self) -> None:
        if self._area is not None:
            text, self._area = "".join(self._area).strip(), None
            self._add(text or "[ ]")

    def _end_fields(self) -> None:
        """End what was never closed: none of these lies in a select or a textarea."""
        self._end_area()
        if self._select is not None:
            self._end_select()

    def _end_select(self) -> None:
        self._end_option()
        select, self._select = self._select, None
        if select is not None and select.options:
            self._add(select.chosen or f"[{' / '.join(select.options)}]")

    def _add(self, text: str) -> None:
        if self._open and self._select is None:
            parts = self._parts.setdefault(self._open[-1][0], [])
            if sum(map(len, parts[-50:])) < 4 * _LONGEST:
                parts.append(text)


def _line(text: str) -> str:
    return " ".join(clean(text).split())


def _modality(text: str) -> str:
    words = re.findall(r"[A-Z]{2,3}", text.upper().replace("X-RAY", "XR"))
    whole = set(re.findall(r"\b[A-Z]{2,3}\b", text.replace("X-ray", "XR")))
    return next((_MODALITIES[word] for word in words if word in whole and word in _MODALITIES), "")
