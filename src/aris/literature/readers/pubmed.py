"""PubMed XML, as its baseline, its updates and `efetch` give it (NLM's DTD of 2025)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from aris.literature.papers import Fault, Paper, Retraction, Section, clean_doi, clean_pmid, clean_year
from aris.literature.readers.xml import elements, text_of


def read(file: IO[bytes], path: Path) -> Iterator[Paper | Fault]:
    """Read the articles of a PubMed file."""
    for number, element in enumerate(elements(file, path, ("PubmedArticle",)), 1):
        paper = _paper(element)
        yield paper if paper.title or paper.sections else Fault(f"{path}: article {number} has neither title nor text")


def _paper(element: Any) -> Paper:
    citation = element.find("MedlineCitation")
    article = citation.find("Article") if citation is not None else None
    if article is None:
        return Paper("")
    types = tuple(text_of(each) for each in article.findall("PublicationTypeList/PublicationType"))
    links = citation.findall("CommentsCorrectionsList/CommentsCorrections")
    kinds = {each.get("RefType", "") for each in links}
    retraction: Retraction = "unknown"
    if "Retracted Publication" in types or "RetractionIn" in kinds:
        retraction = "retracted"
    elif "ExpressionOfConcernIn" in kinds:
        retraction = "concern"
    issue = article.find("Journal/JournalIssue")
    return Paper(
        title=text_of(article.find("ArticleTitle")) or text_of(article.find("VernacularTitle")),
        sections=tuple(_sections(article, citation)),
        authors=tuple(_authors(article)),
        journal=text_of(article.find("Journal/ISOAbbreviation")) or text_of(article.find("Journal/Title")),
        year=_year(article, issue),
        volume=text_of(issue.find("Volume")) if issue is not None else "",
        issue=text_of(issue.find("Issue")) if issue is not None else "",
        pages=text_of(article.find("Pagination/MedlinePgn")),
        pmid=clean_pmid(text_of(citation.find("PMID"))),
        doi=_doi(element, article),
        licence=text_of(article.find("Abstract/CopyrightInformation")),
        types=types,
        retraction=retraction,
        retracts=tuple(
            (clean_pmid(text_of(each.find("PMID"))), clean_doi(text_of(each.find("RefSource"))))
            for each in links
            if each.get("RefType") == "RetractionOf"
        ),
    )


def _sections(article: Any, citation: Any) -> Iterator[Section]:
    for abstract in (article.find("Abstract"), citation.find("OtherAbstract")):
        if abstract is None:
            continue
        for part in abstract.findall("AbstractText"):
            if text := text_of(part):
                yield Section((part.get("Label") or "Abstract").capitalize(), text)
        return


def _authors(article: Any) -> Iterator[str]:
    for author in article.findall("AuthorList/Author"):
        family = text_of(author.find("LastName"))
        given = text_of(author.find("Initials"))
        name = f"{family} {given}".strip() if family else text_of(author.find("CollectiveName"))
        if name:
            yield name


def _year(article: Any, issue: Any) -> int | None:
    dates = [] if issue is None else [text_of(issue.find("PubDate/Year")), text_of(issue.find("PubDate/MedlineDate"))]
    dates.append(text_of(article.find("ArticleDate/Year")))
    return next((year for each in dates if (year := clean_year(each))), None)


def _doi(element: Any, article: Any) -> str | None:
    # Those of the article itself; a list of references further below has more of them.
    ids = element.findall("PubmedData/ArticleIdList/ArticleId[@IdType='doi']")
    ids += article.findall("ELocationID[@EIdType='doi']")
    return next((doi for each in ids if (doi := clean_doi(text_of(each)))), None)
