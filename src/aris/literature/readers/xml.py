"""XML of strangers: no entities, no external DTD, no network; elements one after the other, let go of once read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from lxml import etree

from aris.errors import LiteratureError
from aris.literature.papers import one_line

# Their text is layout or machinery, not the paper's.
_SKIPPED = {"xref-group", "tex-math", "inline-formula-alternatives", "object-id", "graphic", "media"}


def elements(file: IO[bytes], path: Path, names: tuple[str, ...]) -> Iterator[Any]:
    """Each outermost element of these local names, whole.

    Raises:
        LiteratureError: the XML is malformed or cut short, or uses entities; those before were given.
    """
    parser: Any = etree.XMLPullParser(
        events=("start", "end"), resolve_entities=False, no_network=True, load_dtd=False, dtd_validation=False,
        huge_tree=False, remove_comments=True, remove_pis=True,
    )  # fmt: skip
    depth = 0
    try:
        while chunk := file.read(1 << 16):
            parser.feed(chunk)
            for event, element in parser.read_events():
                if local(element) not in names:
                    continue
                depth += 1 if event == "start" else -1
                if event == "end" and depth == 0:
                    if any(each.tag is etree.Entity for each in element.iter()):
                        raise LiteratureError(f"{path}: uses entities of its own, which are not read; replace them")
                    yield element
                    _forget(element)
        parser.close()
    except etree.XMLSyntaxError as error:
        line = f" at line {error.lineno}" if error.lineno else ""
        raise LiteratureError(f"{path}: the XML is malformed or cut short{line}") from None


def _forget(element: Any) -> None:
    """Free what was read: a baseline file of PubMed has 30,000 papers."""
    element.clear(keep_tail=False)
    parent = element.getparent()
    while parent is not None and element.getprevious() is not None:
        del parent[0]


def local(element: Any) -> str:
    """An element's name without its namespace."""
    tag = element.tag
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


def text_of(element: Any | None, skip: frozenset[str] = frozenset()) -> str:
    """All text inside an element on one line; that of layout left out."""
    if element is None:
        return ""
    parts: list[str] = []
    _collect(element, skip | _SKIPPED, parts)
    return one_line("".join(parts))


def _collect(element: Any, skip: frozenset[str] | set[str], parts: list[str]) -> None:
    if element.text:
        parts.append(element.text)
    for child in element:
        if local(child) not in skip and isinstance(child.tag, str):
            if local(child) in ("p", "title", "list-item", "break", "td", "th", "tr"):
                parts.append(" ")
            _collect(child, skip, parts)
        if child.tail:
            parts.append(child.tail)
