"""JSON Lines: one paper a line, with `text` or `abstract`, or `sections` of {name, text, page}."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from aris.literature.papers import Fault, Paper, Section, one_line, paragraphs
from aris.literature.readers.markdown import paper_of

_MOST_LINE = 64 << 20


def read(file: IO[bytes], path: Path) -> Iterator[Paper | Fault]:
    """Read a paper a line; a line that is none is a fault of its own."""
    number = 0
    while line := file.readline(_MOST_LINE + 1):
        number += 1
        if len(line) > _MOST_LINE:
            while line and not line.endswith(b"\n"):
                line = file.readline(_MOST_LINE)
            yield Fault(f"{path}: line {number} is longer than {_MOST_LINE >> 20} MiB")
            continue
        if not line.strip():
            continue
        try:
            about = json.loads(line.decode("utf-8-sig"))
        except (ValueError, RecursionError):
            yield Fault(f"{path}: line {number} is no JSON, or is cut short")
            continue
        if not isinstance(about, dict):
            yield Fault(f"{path}: line {number} is no JSON object")
            continue
        about = {str(key).lower(): value for key, value in about.items()}
        sections = tuple(_sections(about))
        if not sections and not isinstance(about.get("title"), str):
            yield Fault(f"{path}: line {number} has no title, text, abstract or sections")
        else:
            yield paper_of(about, sections, title="")


def _sections(about: dict[str, Any]) -> Iterator[Section]:
    for name in ("abstract", "text", "body"):
        value = about.get(name)
        if isinstance(value, str) and (body := paragraphs(value)):
            yield Section(_text(about.get("section")) or ("Abstract" if name == "abstract" else ""), body, _page(about))
    parts = about.get("sections")
    for part in parts if isinstance(parts, list) else ():
        if isinstance(part, dict) and isinstance(part.get("text"), str) and (body := paragraphs(part["text"])):
            yield Section(_text(part.get("name") or part.get("title") or part.get("section")), body, _page(part))


def _text(value: object) -> str:
    return one_line(value)[:200] if isinstance(value, str) else ""


def _page(about: dict[str, Any]) -> int | None:
    page = about.get("page")
    return page if isinstance(page, int) and not isinstance(page, bool) and 0 < page < 1_000_000 else None
