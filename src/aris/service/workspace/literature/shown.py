"""Papers and libraries as the pages get them."""

from __future__ import annotations

from aris.errors import ArisError
from aris.flow.libraries import OWN
from aris.literature.citations import vancouver
from aris.literature.library import Library, Passage, StoredPaper
from aris.service.workspace.literature.libraries import OpenLibraries, size_of
from aris.service.workspace.schemas.literature import LibraryInfo, PaperInfo, PassageInfo


def library_info(libraries: OpenLibraries, name: str) -> LibraryInfo:
    """A library with its counts; one that cannot be read says why."""
    try:
        library = libraries.get(name)
        counts = library.counts()
        listed = bool(library.execute("SELECT 1 FROM meta WHERE name = 'retraction list'"))
    except ArisError as error:
        # The message names a folder of the server, which is nobody's business here.
        why = str(error).partition(": ")[2] or "the library cannot be read"
        return LibraryInfo(name=name, own=name == OWN, papers=0, passages=0, vectors=0, retracted=0, size=0,
                           making=False, lexical="", listed=False, problem=why)  # fmt: skip
    return LibraryInfo(
        name=name, own=name == OWN, papers=counts["papers"], passages=counts["passages"], vectors=counts["vectors"],
        retracted=counts["retracted"], size=size_of(library.folder), making=libraries.making(name),
        lexical=library.without_vectors, listed=listed, problem="",
    )  # fmt: skip


def paper_info(paper: StoredPaper) -> PaperInfo:
    """A paper with its reference."""
    return PaperInfo(
        id=paper.id, title=paper.title, authors=list(paper.authors), journal=paper.journal, year=paper.year,
        pmid=paper.pmid or "", doi=paper.doi or "", url=_web(paper.url), licence=paper.licence, types=list(paper.types),
        study_type=paper.study_type, retraction=paper.retraction, source=paper.source, reference=vancouver(paper),
    )  # fmt: skip


def passage_info(passage: Passage) -> PassageInfo:
    """A passage with its place."""
    return PassageInfo(
        id=passage.id, section=passage.section, heading=passage.heading, page=passage.page, start=passage.start,
        end=passage.end, text=passage.text,
    )  # fmt: skip


def matching(library: Library, text: str, retracted: bool) -> list[int]:
    """The numbers of papers whose title, authors, journal or identifiers hold a text, in order."""
    words = f"%{text.strip().lower().replace('!', '!!').replace('%', '!%').replace('_', '!_')}%"
    like = " OR ".join(f"lower(coalesce({each}, '')) LIKE ? ESCAPE '!'"
                       for each in ("title", "authors", "journal", "pmid", "doi", "source"))  # fmt: skip
    rows = library.execute(f"SELECT id FROM papers WHERE ({like}) ORDER BY id", [words] * 6)
    found = [int(row["id"]) for row in rows]
    return [each for each in found if library.paper(each).retraction == "retracted"] if retracted else found


def _web(url: str) -> str:
    """An address that a browser may open: a paper can name any."""
    return url if url.lower().startswith(("https://", "http://")) else ""
