from __future__ import annotations

import os
from pathlib import Path

import pytest
import written_papers as written

from aris.errors import LiteratureError
from aris.literature.papers import Fault, Paper, clean_doi, clean_pmid, study_type
from aris.literature.readers import find_files, read_papers


def one(path: Path) -> Paper:
    (paper,) = read_papers(path)
    assert isinstance(paper, Paper)
    return paper


@pytest.mark.parametrize("name", ["pubmed.xml", "pubmed.xml.gz"])
def test_pubmed_xml(tmp_path: Path, name: str) -> None:
    paper = one(written.pubmed(tmp_path, name=name))
    assert paper.title == "Zinc lozenges for the common cold"
    assert paper.authors == ("Müller AB", "The Trial Group")
    assert (paper.journal, paper.year, paper.volume, paper.issue, paper.pages) == ("J Trials", 2020, "12", "3", "101-9")
    assert (paper.pmid, paper.doi) == ("1001", "10.1000/zinc.1001")  # and not that of a cited paper
    assert [each.name for each in paper.sections] == ["Background", "Results"]
    assert paper.sections[1].text.endswith("(p<0.01). Nausea was more frequent.")
    assert paper.study_type == "randomized controlled trial" and paper.retraction == "unknown"


def test_pubmed_says_what_was_retracted_and_what_retracts(tmp_path: Path) -> None:
    link = (
        '<CommentsCorrectionsList><CommentsCorrections RefType="{}"><RefSource>J Trials. doi: 10.1000/Old</RefSource>'
        "<PMID>77</PMID></CommentsCorrections></CommentsCorrectionsList>"
    )
    articles = [
        written.article(1, kind="Retracted Publication"),
        written.article(2, links=link.format("RetractionIn")),
        written.article(3, links=link.format("ExpressionOfConcernIn")),
        written.article(4, links=link.format("RetractionOf"), kind="Retraction of Publication"),
    ]
    papers = [each for each in read_papers(written.pubmed(tmp_path, *articles)) if isinstance(each, Paper)]
    assert [each.retraction for each in papers] == ["retracted", "retracted", "concern", "unknown"]
    assert papers[3].retracts == (("77", "10.1000/old"),)


def test_medline(tmp_path: Path) -> None:
    first, second = (each for each in read_papers(written.medline(tmp_path)) if isinstance(each, Paper))
    assert first.title == "Aspirin after stroke: a long title that goes on over two lines."
    assert (first.pmid, first.doi, first.year, first.journal) == ("2002", "10.1000/stroke.7", 2018, "Stroke J")
    assert [each.name for each in first.sections] == ["Background", "Methods and results"]
    assert first.sections[1].text == "Aspirin reduced recurrence by 13% in 4021 patients."
    assert first.study_type == "meta-analysis"
    assert second.retraction == "retracted"


def test_jats(tmp_path: Path) -> None:
    paper = one(written.jats(tmp_path))
    assert paper.title == "Inhaled steroids in asthma" and paper.authors == ("Ng LW",)
    assert (paper.pmid, paper.doi, paper.year, paper.pages) == ("3003", "10.1000/lung.1", 2021, "1-9")
    assert paper.licence == "https://creativecommons.org/licenses/by/4.0/"
    assert [(each.name, each.text) for each in paper.sections] == [
        ("Abstract: Results", "Exacerbations fell by 40%."),
        ("Methods", "We enrolled 310 adults with asthma."),
        ("Methods: Outcomes", "Exacerbations were counted3."),
        ("Discussion", "Inhaled steroids reduced exacerbations.\nCounts by arm."),
    ]


def test_pdf(tmp_path: Path) -> None:
    paper = one(written.pdf(tmp_path))
    assert paper.title == "Magnesium for leg cramps" and paper.doi == "10.1000/cramps.5" and paper.year == 2017
    assert [each.page for each in paper.sections] == [1, 2]
    assert "Magnesium did not reduce the number of leg cramps in 94 adults." in " ".join(paper.sections[1].text.split())


def test_a_pdf_is_not_given_the_doi_of_a_paper_that_it_cites(tmp_path: Path) -> None:
    cited = ("A guideline on cramps", "References\n\n1. Doe J. Magnesium for leg cramps. doi:10.1000/cramps.5")
    assert one(written.pdf(tmp_path, cited, "cited.pdf")).doi is None
    both = ("A comment on doi:10.1000/cramps.5\n\nIts own is doi:10.1000/comment.1",)
    assert one(written.pdf(tmp_path, both, "both.pdf")).doi is None


@pytest.mark.parametrize(
    "head",
    [
        "Comment on: Magnesium for leg cramps (doi:10.1000/cramps.5)",
        "Letter to the editor\n\nWe read the trial of Doe (doi:10.1000/cramps.5) with interest.",
        "Correction to: Magnesium for leg cramps https://doi.org/10.1000/cramps.5",
        "A word on cramps\n\nThe original article can be found at doi:10.1000/cramps.5",
    ],
)
def test_a_comment_is_not_given_the_doi_of_the_paper_that_it_is_about(tmp_path: Path, head: str) -> None:
    assert one(written.pdf(tmp_path, (head,), "comment.pdf")).doi is None


def test_a_papers_own_doi_is_taken(tmp_path: Path) -> None:
    page = "Magnesium for leg cramps\n\nJ Cramp 2020; doi:10.1000/cramps.5\n\nThe response to magnesium was small."
    assert one(written.pdf(tmp_path, (page,), "own.pdf")).doi == "10.1000/cramps.5"

def test_html(tmp_path: Path) -> None:
    paper = one(written.html(tmp_path))
    assert (paper.title, paper.authors, paper.doi, paper.year) == (
        "Honey for cough",
        ("Doe JA",),
        "10.1000/honey",
        2019,
    )
    assert [(each.name, each.text) for each in paper.sections] == [
        ("Honey for cough", "A spoon of honey at night."),
        ("Results", "Honey reduced cough at night in children.\nNot under one year & never raw."),
    ]


def test_markdown(tmp_path: Path) -> None:
    paper = one(written.markdown(tmp_path))
    assert (paper.title, paper.authors, paper.year, paper.journal) == (
        "Ginger for nausea",
        ("Doe J", "Roe R"),
        2016,
        "Herbs",
    )
    assert paper.study_type == "systematic review" and paper.licence == "CC BY 4.0"
    assert [(each.name, each.text) for each in paper.sections] == [
        ("Results", "Ginger reduced nausea in pregnancy, see the trial.\n1 g a day was enough.")
    ]


def test_json_lines_go_on_past_a_line_that_is_none(tmp_path: Path) -> None:
    good = {
        "title": "A",
        "abstract": "Some text.",
        "pmid": 5,
        "doi": "DOI:10.1000/A",
        "year": "2001",
        "retracted": True,
    }
    parts = {"title": "B", "sections": [{"name": "Results", "text": "More text.", "page": 3}]}
    first, fault, other, second = read_papers(written.jsonl(tmp_path, good, '{"title": ', [1], parts))
    assert isinstance(first, Paper) and (first.pmid, first.doi, first.retraction) == ("5", "10.1000/a", "retracted")
    assert isinstance(fault, Fault) and "line 2" in fault.message and isinstance(other, Fault)
    assert isinstance(second, Paper) and second.sections[0].page == 3


def test_identifiers_and_types() -> None:
    assert clean_doi("https://doi.org/10.1000/ABC.(1)") == "10.1000/abc.(1" or clean_doi("x") is None
    assert clean_doi("see doi:10.1000/Abc.") == "10.1000/abc"
    assert clean_pmid("PMID: 0123") == "123" and clean_pmid("12a") is None and clean_pmid(None) is None
    assert study_type(("Journal Article", "Clinical Trial, Phase III", "Meta-Analysis")) == "meta-analysis"
    assert study_type(("Journal Article",)) == ""


def test_a_folder_gives_its_files_of_known_endings(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / ".hidden.md").write_text("x")
    (tmp_path / "picture.png").write_bytes(b"x")
    named = [written.markdown(tmp_path), written.pubmed(tmp_path / "below", name="x.xml.gz")]
    assert sorted(find_files([tmp_path])) == sorted(named)


BOMB = (
    '<?xml version="1.0"?><!DOCTYPE PubmedArticleSet [<!ENTITY a "ha">'
    + "".join(f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefgh", "bcdefghi", strict=True))
    + "]><PubmedArticleSet><PubmedArticle><MedlineCitation><PMID>1</PMID><Article><ArticleTitle>&i;</ArticleTitle></Article>"  # noqa: E501
    "</MedlineCitation></PubmedArticle></PubmedArticleSet>"
)
EXTERNAL = (
    '<?xml version="1.0"?><!DOCTYPE article [<!ENTITY x SYSTEM "file:///etc/passwd">]><article><front><article-meta>'
    "<title-group><article-title>&x;</article-title></title-group></article-meta></front></article>"
)


def hostile(folder: Path) -> dict[str, tuple[Path, str]]:
    """Files by kind, with a part of what is said of each."""
    whole = written.pubmed(folder).read_bytes()
    made = {
        "empty.xml": (b"", "empty"),
        "short.xml": (whole[:1500], "cut short"),
        "bomb.xml": (BOMB.encode(), "malformed"),
        "external.xml": (EXTERNAL.encode(), "entities"),
        "other.xml": (b"<?xml version='1.0'?><svg/>", "neither"),
        "scan.pdf": (b"%PDF-1.7\n" + bytes(4000), "damaged"),
        "text.pdf": (b"no pdf at all", "not a PDF"),
        "short.pdf": (written.pdf(folder).read_bytes()[:900], "damaged"),
        "locked.pdf": (written.pdf(folder, name="p.pdf", password="secret").read_bytes(), "encrypted"),
        "blank.pdf": (written.pdf(folder, (" ",), name="b.pdf").read_bytes(), "no text layer"),
        "short.xml.gz": (written.pubmed(folder, name="w.xml.gz").read_bytes()[:-40], "cut short"),
        "binary.md": (b"a\0b" * 50, "no text"),
        "latin.md": ("Müller".encode("latin-1"), "UTF-8"),
        "bad.nbib": (b"PMID- 1\nTI  - x\nno tag at all\n", "no line"),
        "picture.dat": (b"\x89PNG\r\n", "no format"),
        "empty.html": (b"<!DOCTYPE html><html><body><script>1</script></body></html>", "no text"),
    }
    return {name: (_write(folder / f"bad-{name}", data), said) for name, (data, said) in made.items()}


def _write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def test_hostile_files_are_one_line(tmp_path: Path) -> None:
    for name, (path, said) in hostile(tmp_path).items():
        with pytest.raises(LiteratureError) as caught:
            list(read_papers(path))
        assert said in str(caught.value) and str(path) in str(caught.value) and "\n" not in str(caught.value), name


def test_a_pipe_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.xml")
    with pytest.raises(LiteratureError, match="not a regular file"):
        list(read_papers(tmp_path / "pipe.xml"))


def test_what_is_packed_without_end_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import gzip

    monkeypatch.setattr("aris.literature.readers.files._MOST_BYTES", 1 << 20)
    path = tmp_path / "bomb.jsonl.gz"
    path.write_bytes(gzip.compress(bytes(8 << 20)))
    with pytest.raises(LiteratureError, match="split it"):
        list(read_papers(path))


def test_lines_of_megabytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long = {"title": "L", "text": "word " * 400_000}
    (paper,) = read_papers(written.jsonl(tmp_path, long))
    assert isinstance(paper, Paper) and len(paper.sections[0].text) == 1_999_999
    monkeypatch.setattr("aris.literature.readers.jsonl._MOST_LINE", 1000)
    fault, paper = read_papers(written.jsonl(tmp_path, long, {"title": "M", "text": "short"}))
    assert isinstance(fault, Fault) and isinstance(paper, Paper)
    deep = tmp_path / "deep.html"
    deep.write_text("<html><body>" + "<div>" * 5000 + "<p>Found.</p>")
    try:
        assert "Found." in str(one(deep).sections)
    except LiteratureError as error:
        assert "\n" not in str(error)
