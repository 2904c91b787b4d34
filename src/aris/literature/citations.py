"""References to papers: Vancouver style (ICMJE), RIS and BibTeX."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from aris.literature.library import StoredPaper

_MOST_AUTHORS = 6
_TEX = {"\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "%": r"\%", "#": r"\#", "_": r"\_",
        "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}  # fmt: skip


def vancouver(paper: StoredPaper) -> str:
    """A reference as ICMJE has it: six authors, then "et al."; a retracted paper is marked before its title's end."""
    names = ", ".join(paper.authors[:_MOST_AUTHORS]) + (", et al" if len(paper.authors) > _MOST_AUTHORS else "")
    title = paper.title.rstrip(".") + (" [retracted]" if paper.retraction == "retracted" else "")
    parts = [_ended(names), _ended(title)] if names else [_ended(title)]
    location = f";{paper.volume}" if paper.volume else ""
    location += f"({paper.issue})" if paper.issue else ""
    location += f":{paper.pages}" if paper.pages else ""
    when = f"{paper.year or ''}{location}"
    if paper.journal:
        parts.append(_ended(paper.journal))
    if when:
        parts.append(_ended(when.lstrip(";")))
    if paper.doi:
        parts.append(f"doi:{paper.doi}.")
    if paper.pmid:
        parts.append(f"PMID: {paper.pmid}.")
    if not paper.doi and not paper.pmid:
        parts.append(f"Available from: {paper.url}" if paper.url else f"File: {paper.source}." if paper.source else "")
    return " ".join(each for each in parts if each)


def _ended(text: str) -> str:
    return text if not text or text[-1] in ".?!" else f"{text}."


def ris(papers: Iterable[StoredPaper]) -> str:
    """References as RIS, which reference managers read."""
    lines: list[str] = []
    for paper in papers:
        lines.append(f"TY  - {'JOUR' if paper.journal else 'GEN'}")
        lines.extend(f"AU  - {_ris_name(each)}" for each in paper.authors)
        first, _, last = paper.pages.partition("-")
        values = (
            ("TI", paper.title), ("JO", paper.journal), ("PY", str(paper.year or "")), ("VL", paper.volume),
            ("IS", paper.issue), ("SP", first), ("EP", last), ("DO", paper.doi or ""), ("AN", paper.pmid or ""),
            ("UR", paper.url), ("N1", "Retracted" if paper.retraction == "retracted" else ""),
        )  # fmt: skip
        lines.extend(f"{tag}  - {_line(value)}" for tag, value in values if value)
        lines.append("ER  - ")
        lines.append("")
    return "\r\n".join(lines)


def _ris_name(name: str) -> str:
    match = re.fullmatch(r"(.+) ([A-Z]{1,4})", name)
    return f"{match[1]}, {' '.join(f'{each}.' for each in match[2])}" if match else _line(name)


def _line(text: str) -> str:
    return " ".join(text.split())


def bibtex(papers: Iterable[StoredPaper]) -> str:
    """References as BibTeX, each under a key of its own."""
    keys: set[str] = set()
    return "\n".join(_entry(paper, _key(paper, keys)) for paper in papers)


def _entry(paper: StoredPaper, key: str) -> str:
    values = (
        ("author", " and ".join(_bib_name(each) for each in paper.authors)), ("title", _tex(paper.title, title=True)),
        ("journal", _tex(paper.journal)), ("year", str(paper.year or "")), ("volume", _tex(paper.volume)),
        ("number", _tex(paper.issue)), ("pages", _tex(paper.pages).replace("-", "--")), ("doi", paper.doi or ""),
        ("pmid", paper.pmid or ""), ("url", paper.url),
        ("note", "Retracted" if paper.retraction == "retracted" else ""),
    )  # fmt: skip
    body = "".join(f"  {name} = {{{_balanced(value)}}},\n" for name, value in values if value)
    return f"@{'article' if paper.journal else 'misc'}{{{key},\n{body}}}\n"


def _tex(text: str, *, title: bool = False) -> str:
    escaped = "".join(_TEX.get(c, c) for c in _line(text))
    return f"{{{escaped}}}" if title and escaped else escaped


def _balanced(value: str) -> str:
    """A value that ends where it should, whatever stands in it."""
    depth = 0
    for index, c in enumerate(value):
        if c in "{}" and (index == 0 or value[index - 1] != "\\"):
            depth += 1 if c == "{" else -1
            if depth < 0:
                break
    return value if depth == 0 else value.replace("{", "(").replace("}", ")")


def _bib_name(name: str) -> str:
    match = re.fullmatch(r"(.+) ([A-Z]{1,4})", name)
    given = " ".join(f"{each}." for each in match[2]) if match else ""
    return f"{_tex(match[1])}, {given}" if match else f"{{{_tex(name)}}}"


def _key(paper: StoredPaper, keys: set[str]) -> str:
    family = re.sub(r" [A-Z]{1,4}$", "", paper.authors[0]) if paper.authors else "anon"
    plain = unicodedata.normalize("NFKD", family).encode("ascii", "ignore").decode()
    words = [each for each in re.findall(r"[a-z]+", paper.title.lower()) if len(each) > 3]
    base = f"{re.sub(r'[^A-Za-z]', '', plain) or 'anon'}{paper.year or ''}{words[0] if words else ''}"
    key, number = base, 2
    while key in keys:
        key, number = f"{base}{number}", number + 1
    keys.add(key)
    return key
