"""PDF: the text layer, a section a page.

The file is taken apart in a process of its own, with a limit on its memory and its time: what a stranger's file makes a
library do is then no business of ours.
"""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from aris.errors import LiteratureError
from aris.literature.papers import Fault, Paper, Section, clean_doi, clean_year, one_line
from aris.literature.readers.whole import read_whole

_CHILD = Path(__file__).with_name("pdf_child.py")
_SECONDS = 180
# A file's own date is that of a print, and no year of publication.
_DATED = re.compile(r"(?:published|accepted|©|\(c\)|copyright)[^.;]{0,60}?\b((?:19|20)\d\d)\b", re.IGNORECASE)
_UNNAMED = re.compile(r"^(?:untitled|microsoft word|.*\.(?:docx?|pdf|tex|indd|qxd)$|\W*$)", re.IGNORECASE)
# What a comment, a reply, a letter or a notice says of itself in its head.
_HEAD = 1500
_OF_ANOTHER = re.compile(
    r"^\W*(?:(?:the|author'?s?'?)\s+)?(?:comment(?:ary|s)?|reply|rebuttal|letter|erratum|corrigendum|correction|addendum|"
    r"retraction(?:\s+note)?|expression of concern|editorial)\s*(?:to|on|for|of|about|regarding|concerning|:)"
    r"|^\W*re:\s|^\W*response to (?:the )?(?:letter|comment|editor|author|article|paper|doi|reviewer)"
    r"|\bletter to the editor\b|\bthis (?:comment|letter|reply|erratum|correction|notice) (?:refers|relates|concerns)\b"
    r"|^\W*(?:correspondence|erratum|corrigendum)\b",
    re.IGNORECASE | re.MULTILINE,
)
_CITES = re.compile(
    r"\b(?:comment(?:s|ing)? on|repl(?:y|ies) to|response to|refers to|original (?:article|paper|publication)|corrects|"
    r"see also|related article)\b[^.]{0,120}\b10\.\d{4,9}/",
    re.IGNORECASE,
)


def read(file: IO[bytes], path: Path) -> Iterator[Paper | Fault]:
    """Read a file as one paper.

    Raises:
        LiteratureError: it is damaged, encrypted, too large, or has no text layer.
    """
    if importlib.util.find_spec("pypdf") is None:
        raise ModuleNotFoundError("No module named 'pypdf'", name="pypdf")
    data = read_whole(file, path)
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-X", "utf8", str(_CHILD)],
            input=data,
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise LiteratureError(f"{path}: the PDF takes longer than {_SECONDS} s to read; print it anew") from None
    try:
        told = json.loads(done.stdout)
    except ValueError:
        raise LiteratureError(f"{path}: the PDF needs more memory than it is given, or is damaged") from None
    if "error" in told:
        raise LiteratureError(f"{path}: {told['error']}")
    pages = [page_text(each) for each in told["pages"]]
    sections = tuple(Section("", text, number) for number, text in enumerate(pages, 1) if text)
    if not sections:
        raise LiteratureError(f"{path}: the PDF has no text layer (a scan?); run OCR over it first")
    title = one_line(told["title"])[:500]
    head = " ".join(pages[:2])
    yield Paper(
        title=path.stem if not title or _UNNAMED.match(title) else title,
        sections=sections,
        authors=tuple(one_line(each)[:200] for each in re.split(r";|, (?=\w+ \w)", told["author"]) if each.strip()),
        doi=clean_doi(told["doi"]) or _doi(pages[0]),
        year=_year(head[:6000]),
        retraction="retracted" if re.match(r"\W*retracted(?: article)?\b", head, re.IGNORECASE) else "unknown",
    )


def _doi(page: str) -> str | None:
    """The DOI that a first page names, if it names one alone: of several, which is the paper's own cannot be told.

    On a page that speaks of another paper, a comment, a reply or a correction, the one DOI may be that paper's.
    """
    if _OF_ANOTHER.search(page[:_HEAD]) or _CITES.search(page):
        return None
    found = {doi for each in re.findall(r"\b10\.\d{4,9}/\S+", page) if (doi := clean_doi(each))}
    return found.pop() if len(found) == 1 else None


def _year(head: str) -> int | None:
    match = _DATED.search(head)
    return clean_year(match[1]) if match else None


def page_text(text: str) -> str:
    """A page's text in paragraphs: lines joined, words that were parted at a line's end made whole."""
    text = re.sub(r"(?<=[a-z])[-\u00ad\u2010]\n(?=[a-z])", "", text.replace("\r\n", "\n").replace("\u00ad\n", ""))
    return "\n".join(line for each in re.split(r"\n[ \t]*\n", text) if (line := one_line(each)))
