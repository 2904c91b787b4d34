"""MEDLINE text, as PubMed saves it (`.nbib`): a tag of up to four letters, a hyphen, a value that may go on below."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from aris.errors import LiteratureError
from aris.literature.papers import Fault, Paper, Retraction, Section, clean_doi, clean_pmid, clean_year, one_line

_LINE = re.compile(r"^([A-Z][A-Z0-9]{0,3}) *- ?(.*)$")
_MOST_LINE = 4 << 20
# Headings of structured abstracts, which MEDLINE text runs into one paragraph.
_HEADING = re.compile(r"(?:^|(?<=[.?!)\]] ))([A-Z][A-Z &/,'()-]{3,60}): (?=\S)")


def read(file: IO[bytes], path: Path) -> Iterator[Paper | Fault]:
    """Read the records of a MEDLINE file."""
    record: dict[str, list[str]] = {}
    tag, number = "", 0
    while line := file.readline(_MOST_LINE + 1):
        number += 1
        if len(line) > _MOST_LINE:
            raise LiteratureError(
                f"{path}: line {number} is longer than {_MOST_LINE >> 20} MiB; this is no MEDLINE file"
            )
        text = line.decode("utf-8", "replace").rstrip("\r\n").lstrip("\ufeff")
        match = _LINE.match(text)
        if match and (match[1] != "PMID" or "PMID" not in record):
            tag = match[1]
            record.setdefault(tag, []).append(match[2])
        elif match or not text.strip():
            if record:
                yield _paper(record, path)
            record, tag = ({"PMID": [match[2]]}, "PMID") if match else ({}, "")
        elif tag and text.startswith("  "):
            record[tag][-1] += " " + text.strip()
        else:
            raise LiteratureError(f"{path}: line {number} is no line of a MEDLINE record")
    if record:
        yield _paper(record, path)


def sections(abstract: str) -> tuple[Section, ...]:
    """An abstract's sections by their headings in capitals."""
    marks = list(_HEADING.finditer(abstract))
    starts = [0, *(each.end() for each in marks)]
    ends = [*(each.start() for each in marks), len(abstract)]
    names = ["Abstract", *(each[1].strip().capitalize() for each in marks)]
    parts = ((name, one_line(abstract[start:end])) for name, start, end in zip(names, starts, ends, strict=True))
    return tuple(Section(name, text) for name, text in parts if text)


def _paper(record: dict[str, list[str]], path: Path) -> Paper | Fault:
    def first(*tags: str) -> str:
        return next((one_line(record[tag][0]) for tag in tags if record.get(tag)), "")

    title, abstract = first("TI", "TT", "BTI"), first("AB", "OAB")
    if not title and not abstract:
        return Fault(f"{path}: a record has neither title nor abstract")
    ids = [*record.get("LID", []), *record.get("AID", [])]
    types = tuple(one_line(each) for each in record.get("PT", []))
    retraction: Retraction = "unknown"
    if "RIN" in record or "Retracted Publication" in types:
        retraction = "retracted"
    elif ("EIN" in record and any("concern" in each.lower() for each in record["EIN"])) or "ECI" in record:
        retraction = "concern"
    return Paper(
        title=title,
        sections=sections(abstract),
        authors=tuple(one_line(each) for each in record.get("AU", []) + record.get("CN", [])),
        journal=first("TA", "JT"),
        year=clean_year(first("DP", "DEP")),
        volume=first("VI"),
        issue=first("IP"),
        pages=first("PG"),
        pmid=clean_pmid(first("PMID")),
        doi=next((doi for each in ids if "[doi]" in each and (doi := clean_doi(each.replace("[doi]", "")))), None),
        licence=first("CI"),
        types=types,
        retraction=retraction,
        retracts=tuple(_of(each) for each in record.get("ROF", [])),
    )


def _of(reference: str) -> tuple[str | None, str | None]:
    match = re.search(r"PMID: *(\d+)", reference)
    return (clean_pmid(match[1]) if match else None), clean_doi(reference)
