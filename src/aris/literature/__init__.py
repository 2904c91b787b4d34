"""A library of papers: read from files, kept in one SQLite database, and searched by words and by meaning."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aris.lazy import lazy

if TYPE_CHECKING:
    from aris.literature.adding import Added, add_files
    from aris.literature.citations import bibtex, ris, vancouver
    from aris.literature.encoder import Encoder
    from aris.literature.library import Library, Passage, StoredPaper
    from aris.literature.papers import Paper, Section
    from aris.literature.retrieval import Filters, Hit, search

__all__ = [
    "Added",
    "Encoder",
    "Filters",
    "Hit",
    "Library",
    "Paper",
    "Passage",
    "Section",
    "StoredPaper",
    "add_files",
    "bibtex",
    "ris",
    "search",
    "vancouver",
]

__getattr__ = lazy(
    __name__,
    {
        "adding": ("Added", "add_files"),
        "citations": ("bibtex", "ris", "vancouver"),
        "encoder": ("Encoder",),
        "library": ("Library", "Passage", "StoredPaper"),
        "papers": ("Paper", "Section"),
        "retrieval": ("Filters", "Hit", "search"),
    },
)
