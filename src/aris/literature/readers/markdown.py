"""Markdown: the text under its headings; what stands between `---` at its top says who wrote it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import yaml

from aris.errors import LiteratureError
from aris.literature.papers import Fault, Paper, Section, clean_doi, clean_pmid, clean_year, one_line, paragraphs
from aris.literature.readers.whole import read_whole

_FRONT = re.compile(r"\A\ufeff?---[ \t]*\r?\n(.{0,65536}?)\r?\n(?:---|\.\.\.)[ \t]*(?:\r?\n|\Z)", re.DOTALL)
_HEADING = re.compile(r"^ {0,3}#{1,6}[ \t]+(.+?)[ \t#]*$", re.MULTILINE)
_FENCE = re.compile(r"^(```|~~~).*?^\1[ \t]*$", re.DOTALL | re.MULTILINE)
_MARKUP = (
    (re.compile(r"<!--.{0,20000}?-->", re.DOTALL), ""),
    (re.compile(r"!\[([^\]\n]{0,500})\]\([^)\n]{0,2000}\)"), ""),
    (re.compile(r"\[([^\]\n]{1,500})\]\([^)\n]{0,2000}\)"), r"\1"),
    (re.compile(r"</?[a-zA-Z][^<>\n]{0,200}>"), ""),
    (re.compile(r"(\*\*|__)(?=\S)([^\n]{1,2000}?)(?<=\S)\1"), r"\2"),
    (re.compile(r"(?<![\w*])\*(?=\S)([^*\n]{1,2000})(?<=\S)\*(?![\w*])"), r"\1"),
    (re.compile(r"`([^`\n]{1,500})`"), r"\1"),
    (re.compile(r"^ {0,3}(?:[-*+]|\d{1,3}[.)])[ \t]+", re.MULTILINE), "\n"),
    (re.compile(r"^ {0,3}>[ \t]?", re.MULTILINE), ""),
)


def read(file: IO[bytes], path: Path) -> Iterator[Paper | Fault]:
    """Read a page as one paper."""
    try:
        text = read_whole(file, path).decode("utf-8")
    except UnicodeDecodeError:
        raise LiteratureError(f"{path}: not UTF-8 text") from None
    if "\0" in text:
        raise LiteratureError(f"{path}: holds bytes that are no text")
    about: Mapping[str, Any] = {}
    if front := _FRONT.match(text):
        about, text = _front(front[1], path), text[front.end() :]
    sections, heading = _sections(text)
    if not sections:
        raise LiteratureError(f"{path}: the page holds no text")
    yield paper_of(about, sections, title=heading or path.stem)


def paper_of(about: Mapping[str, Any], sections: tuple[Section, ...], *, title: str) -> Paper:
    """A paper from what plain keys say of it, as front matter and JSON Lines have them.

    Args:
        about: title, authors, journal, year or date, volume, issue, pages, pmid, doi, url, licence or license, type or
            types or study_type, retracted; others are not looked at.
        title: where `about` has none.
    """

    def text(*names: str) -> str:
        return next((one_line(str(about[name]))[:2000] for name in names if _plain(about.get(name))), "")

    types = [*_list(about.get("type")), *_list(about.get("types")), *_list(about.get("study_type"))]
    retracted = about.get("retracted")
    return Paper(
        title=text("title") or title,
        sections=sections,
        authors=tuple(_list(about.get("authors") or about.get("author"))),
        journal=text("journal", "source"),
        year=clean_year(text("year", "date", "published")),
        volume=text("volume"),
        issue=text("issue"),
        pages=text("pages"),
        pmid=clean_pmid(text("pmid")),
        doi=clean_doi(text("doi")),
        url=text("url"),
        licence=text("licence", "license"),
        types=tuple(types),
        retraction="retracted" if retracted is True or str(retracted).lower() in ("yes", "true", "1") else "unknown",
    )


def _plain(value: object) -> bool:
    """Tell whether a value is one that can be written out: a list may hold itself."""
    return value is not None and not isinstance(value, (list, dict, bool)) and bool(str(value).strip())


def _list(value: object) -> list[str]:
    if isinstance(value, str):
        return [one_line(each)[:300] for each in re.split(r";|\n", value) if each.strip()]
    if isinstance(value, list):
        return [one_line(str(each))[:300] for each in value[:2000] if _plain(each)]
    return []


def _front(text: str, path: Path) -> Mapping[str, Any]:
    try:
        about = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        raise LiteratureError(f"{path}: what stands between --- at its top is no YAML") from None
    return {str(key).lower(): value for key, value in about.items()} if isinstance(about, dict) else {}


def _sections(text: str) -> tuple[tuple[Section, ...], str]:
    """The sections of a text, and its first heading of the first level."""
    text = _FENCE.sub("", text.replace("\r\n", "\n"))
    marks = list(_HEADING.finditer(text))
    starts = [0, *(each.end() for each in marks)]
    ends = [*(each.start() for each in marks), len(text)]
    names = ["", *(one_line(_bare(each[1])) for each in marks)]
    parts = ((name, paragraphs(_bare(text[start:end]))) for name, start, end in zip(names, starts, ends, strict=True))
    title = next((one_line(_bare(each[1])) for each in marks if not each[0].lstrip().startswith("##")), "")
    return tuple(Section("" if name == title else name, body) for name, body in parts if body), title


def _bare(text: str) -> str:
    for pattern, into in _MARKUP:
        text = pattern.sub(into, text)
    return text
