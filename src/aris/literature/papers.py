"""A paper as a reader gives it: who wrote it, where and when, its identifiers, and its text in sections."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import Literal

Retraction = Literal["retracted", "concern", "not listed", "unknown"]
# By strength of evidence; publication types of PubMed, and words of our own for designs that it has no type for.
STUDY_TYPES = (
    "meta-analysis",
    "systematic review",
    "guideline",
    "randomized controlled trial",
    "clinical trial",
    "cohort study",
    "case-control study",
    "cross-sectional study",
    "observational study",
    "review",
    "case report",
    "comment",
)
_PUBMED_TYPES = {
    "practice guideline": "guideline",
    "consensus development conference": "guideline",
    "pragmatic clinical trial": "randomized controlled trial",
    "equivalence trial": "randomized controlled trial",
    "controlled clinical trial": "clinical trial",
    "case reports": "case report",
    "case-report": "case report",
    "observational study, veterinary": "observational study",
    "editorial": "comment",
    "letter": "comment",
    "review-article": "review",
    "scoping review": "review",
}
_DESIGNS = (
    (r"meta-?analys[ie]s", "meta-analysis"),
    (r"systematic(?:ally)? review", "systematic review"),
    (r"\b(?:clinical )?practice guideline", "guideline"),
    (r"randomi[sz]ed|randomly (?:assigned|allocated)", "randomized controlled trial"),
    (r"\bcohort\b|prospectively followed", "cohort study"),
    (r"case[- ]control", "case-control study"),
    (r"cross-sectional", "cross-sectional study"),
    (r"case (?:report|series)", "case report"),
)
_DOI = re.compile(r"\b10\.\d{4,9}/[^\s\"<>{}|\\^`]+", re.IGNORECASE)


@dataclass(frozen=True)
class Section:
    """A part of a paper's text.

    Attributes:
        name: its heading, such as "Results"; "" for none.
        text: with single spaces, paragraphs parted by one newline.
        page: from 1; None where the format has no pages.
    """

    name: str
    text: str
    page: int | None = None


@dataclass(frozen=True)
class Paper:
    """A paper.

    Attributes:
        authors: "Family Initials", as in Vancouver style, where the source tells family names apart.
        pmid: digits alone; doi: lower case, without a resolver's address.
        types: publication types as the source names them.
        retraction: what the source itself says; "unknown" unless it says that the paper is retracted or in doubt.
        retracts: (pmid or None, doi or None) of papers that this one, a notice, takes back.
    """

    title: str
    sections: tuple[Section, ...] = ()
    authors: tuple[str, ...] = ()
    journal: str = ""
    year: int | None = None
    volume: str = ""
    issue: str = ""
    pages: str = ""
    pmid: str | None = None
    doi: str | None = None
    url: str = ""
    licence: str = ""
    types: tuple[str, ...] = ()
    retraction: Retraction = "unknown"
    retracts: tuple[tuple[str | None, str | None], ...] = field(default=())

    @property
    def digest(self) -> str:
        """Of title and text, whatever their case and spacing."""
        whole = " ".join((self.title, *(each.text for each in self.sections))).casefold()
        return hashlib.sha256(" ".join(re.findall(r"\w+", whole)).encode("utf-8", "replace")).hexdigest()

    @property
    def characters(self) -> int:
        """Of its text."""
        return sum(len(each.text) for each in self.sections)

    @property
    def study_type(self) -> str:
        """The strongest of `STUDY_TYPES` that its types name, else the design that its text names; "" if none."""
        return study_type(self.types) or design(" ".join((self.title, *(each.text for each in self.sections[:8]))))


@dataclass(frozen=True)
class Fault:
    """A record of a file that cannot be used; those before and after it can."""

    message: str


def study_type(types: tuple[str, ...]) -> str:
    """The strongest of `STUDY_TYPES` among publication types; "" if there is none."""
    found = set()
    for each in types:
        low = each.strip().lower()
        low = _PUBMED_TYPES.get(low, low)
        found.add("clinical trial" if low.startswith("clinical trial") else low)
    return next((each for each in STUDY_TYPES if each in found), "")


def design(text: str) -> str:
    """The study design that a text names in so many words, the strongest first; "" if none."""
    low = text[:20_000].lower()
    return next((name for pattern, name in _DESIGNS if re.search(pattern, low)), "")


def clean_pmid(value: object) -> str | None:
    """A PubMed identifier's digits; None for anything else."""
    digits = re.sub(r"^\s*(?:pmid:?)?\s*", "", str(value or ""), flags=re.IGNORECASE).strip()
    return digits.lstrip("0") or None if re.fullmatch(r"[0-9]{1,10}", digits) else None


def clean_doi(value: object) -> str | None:
    """A DOI in lower case without a resolver's address (DOIs ignore case); None for anything else."""
    match = _DOI.search(str(value or "")[:2000])
    return match[0].rstrip(".,;)]").lower() if match else None


def clean_year(value: object) -> int | None:
    """The first year, 1500 to 2100, in a text or number; None if there is none."""
    match = re.search(r"(?<!\d)(1[5-9]\d\d|20\d\d|2100)(?!\d)", str(value or "")[:200])
    return int(match[1]) if match else None


def one_line(text: str) -> str:
    """A text with single spaces and without control characters."""
    return " ".join("".join(c if c.isprintable() or c.isspace() else " " for c in text).split())


def paragraphs(text: str) -> str:
    """A text with single spaces, its paragraphs parted by one newline."""
    return "\n".join(line for each in re.split(r"\n\s*\n", text) if (line := one_line(each)))
