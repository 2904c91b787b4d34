"""Files of papers, written for tests: each maker writes one into a folder and returns its path."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

PUBMED = """<?xml version="1.0" ?>
<!DOCTYPE PubmedArticleSet PUBLIC "-//NLM//DTD PubMedArticle, 1st January 2025//EN"
 "https://dtd.nlm.nih.gov/ncbi/pubmed/out/pubmed_250101.dtd">
<PubmedArticleSet>{articles}</PubmedArticleSet>
"""
ARTICLE = """<PubmedArticle><MedlineCitation Status="MEDLINE"><PMID Version="1">{pmid}</PMID>
<Article PubModel="Print"><Journal><JournalIssue CitedMedium="Internet"><Volume>12</Volume><Issue>3</Issue>
<PubDate><Year>{year}</Year></PubDate></JournalIssue><Title>Journal of Trials</Title>
<ISOAbbreviation>{journal}</ISOAbbreviation></Journal><ArticleTitle>{title}</ArticleTitle>
<Pagination><MedlinePgn>101-9</MedlinePgn></Pagination><ELocationID EIdType="doi">{doi}</ELocationID>
<Abstract>{abstract}<CopyrightInformation>(c) 2020 The authors</CopyrightInformation></Abstract>
<AuthorList><Author><LastName>Müller</LastName><ForeName>Anna B</ForeName><Initials>AB</Initials></Author>
<Author><CollectiveName>The Trial Group</CollectiveName></Author></AuthorList>
<PublicationTypeList><PublicationType>{kind}</PublicationType></PublicationTypeList></Article>{links}</MedlineCitation>
<PubmedData><ArticleIdList><ArticleId IdType="pubmed">{pmid}</ArticleId></ArticleIdList>
<ReferenceList><Reference><ArticleIdList><ArticleId IdType="doi">10.9999/cited</ArticleId></ArticleIdList></Reference>
</ReferenceList></PubmedData></PubmedArticle>"""
ABSTRACT = (
    '<AbstractText Label="BACKGROUND">Zinc lozenges are widely used.</AbstractText>'
    '<AbstractText Label="RESULTS">Zinc lozenges shortened the common cold by 2.3 days in 199 adults (p&lt;0.01). '
    "Nausea was <i>more</i> frequent.</AbstractText>"
)


def article(pmid: int = 1001, **given: str) -> str:
    values = {
        "year": "2020", "journal": "J Trials", "title": "Zinc lozenges for the common cold", "doi": f"10.1000/Zinc.{pmid}",
        "abstract": ABSTRACT, "kind": "Randomized Controlled Trial", "links": "",
    }  # fmt: skip
    return ARTICLE.format(pmid=pmid, **values | given)


def pubmed(folder: Path, *articles: str, name: str = "pubmed.xml") -> Path:
    path = folder / name
    text = PUBMED.format(articles="\n".join(articles or (article(),)))
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


def medline(folder: Path) -> Path:
    path = folder / "saved.nbib"
    path.write_text(
        "\nPMID- 2002\nDP  - 2018 May-Jun\nTI  - Aspirin after stroke: a long title that goes on\n      over two lines.\n"
        "PG  - 12-20\nAB  - BACKGROUND: Stroke recurs. METHODS AND RESULTS: Aspirin reduced recurrence by 13%\n"
        "      in 4021 patients.\nFAU - Doe, Jane\nAU  - Doe J\nTA  - Stroke J\nLID - 10.1000/STROKE.7 [doi]\n"
        "PT  - Journal Article\nPT  - Meta-Analysis\nVI  - 4\n\nPMID- 2003\nTI  - A withdrawn one.\n"
        "AB  - Nothing holds here.\nPT  - Retracted Publication\nRIN - Stroke J. 2019. PMID: 9\n"
    )
    return path


def jats(folder: Path) -> Path:
    path = folder / "full.nxml"
    path.write_text(
        """<?xml version="1.0"?><!DOCTYPE article PUBLIC "-//NLM//DTD JATS 1.2//EN" "JATS-archivearticle1.dtd">
<article xmlns:xlink="http://www.w3.org/1999/xlink" article-type="research-article"><front>
<journal-meta><journal-title-group><journal-title>Open Lung</journal-title></journal-title-group></journal-meta>
<article-meta><article-id pub-id-type="pmid">3003</article-id><article-id pub-id-type="doi">10.1000/LUNG.1</article-id>
<title-group><article-title>Inhaled steroids in <italic>asthma</italic><xref ref-type="fn">*</xref></article-title></title-group>
<contrib-group><contrib contrib-type="author"><name><surname>Ng</surname><given-names>Li Wei</given-names></name></contrib>
</contrib-group><pub-date><year>2021</year></pub-date><volume>7</volume><fpage>1</fpage><lpage>9</lpage>
<permissions><license xlink:href="https://creativecommons.org/licenses/by/4.0/"><license-p>Open.</license-p></license></permissions>
<abstract><sec><title>Results</title><p>Exacerbations fell by 40%.</p></sec></abstract></article-meta></front>
<body><sec><title>Methods</title><p>We enrolled 310 adults with asthma.</p><sec><title>Outcomes</title>
<p>Exacerbations were counted<xref ref-type="bibr">3</xref>.</p></sec></sec>
<sec><title>Discussion</title><p>Inhaled steroids reduced exacerbations.</p>
<table-wrap><caption><p>Counts by arm.</p></caption><table><tr><td>1</td></tr></table></table-wrap></sec></body></article>"""
    )
    return path


def pdf(folder: Path, pages: tuple[str, ...] = (), name: str = "paper.pdf", password: str = "") -> Path:
    from fpdf import FPDF

    document = FPDF()
    document.set_title("Magnesium for leg cramps")
    document.set_author("Jane Doe")
    if password:
        document.set_encryption(owner_password="owner", user_password=password)
    document.set_font("Helvetica", size=12)
    for text in pages or (
        "Magnesium for leg cramps\n\ndoi: 10.1000/cramps.5  Published 2017",
        "Results\n\nMagnesium did not reduce the number of leg cramps in 94 adults.",
    ):
        document.add_page()
        document.multi_cell(0, 8, text)
    path = folder / name
    path.write_bytes(bytes(document.output()))
    return path


def html(folder: Path) -> Path:
    path = folder / "page.html"
    path.write_text(
        """<!DOCTYPE html><html><head><meta charset="utf-8"><title>Site | Page</title>
<meta name="citation_title" content="Honey for cough"><meta name="citation_author" content="Doe, Jane Ann">
<meta name="citation_doi" content="https://doi.org/10.1000/HONEY"><meta name="citation_publication_date" content="2019/04/01">
<meta name="citation_journal_title" content="Cough"><script>var x = "never";</script></head>
<body><nav>Menu</nav><h1>Honey for cough</h1><p>A spoon of <b>honey</b> at night.</p>
<h2>Results</h2><p>Honey reduced cough at night in children.</p><ul><li>Not under one year &amp; never raw.</li></ul>
<p hidden>unseen</p><footer>Imprint</footer></body></html>"""
    )
    return path


def markdown(folder: Path, text: str = "", name: str = "note.md") -> Path:
    path = folder / name
    path.write_text(
        text
        or "---\ntitle: Ginger for nausea\nauthors: [Doe J, Roe R]\nyear: 2016\njournal: Herbs\ntype: systematic review\n"
        "licence: CC BY 4.0\n---\n# Ginger for nausea\n\n## Results\n\nGinger **reduced** nausea in\npregnancy, see "
        "[the trial](http://x.test).\n\n- 1 g a day was enough.\n"
    )
    return path


def jsonl(folder: Path, *rows: object, name: str = "papers.jsonl") -> Path:
    path = folder / name
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path.write_text("".join(f"{line}\n" for line in lines))
    return path
