from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
from itertools import pairwise
from pathlib import Path

import pytest
import written_papers as written
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_encoder import tiny_encoder

from aris.errors import LiteratureError
from aris.literature import Library, Paper, Section, add_files
from aris.literature.adding import read_retractions
from aris.literature.library import NAME
from aris.literature.passages import passage_spans, sentence_spans
from aris.literature.readers import read_papers


def lexical(folder: Path) -> Library:
    return Library(folder / "library", lexical=True)


def paper(text: str = "Some text here.", **given: object) -> Paper:
    return Paper(**{"title": "T", "sections": (Section("Results", text),)} | given)  # type: ignore[arg-type]


def test_papers_are_kept_with_what_is_known_of_them(tmp_path: Path) -> None:
    paths = [written.pubmed(tmp_path), written.medline(tmp_path), written.jats(tmp_path), written.pdf(tmp_path),
             written.html(tmp_path), written.markdown(tmp_path)]  # fmt: skip
    with lexical(tmp_path) as library:
        told = list(add_files(library, paths))
        assert [each.error for each in told] == [None] * 6 and sum(each.added for each in told) == 7
        (zinc,) = (library.paper(number) for number in library.find("10.1000/ZINC.1001"))
        assert zinc.authors[0] == "Müller AB" and zinc.study_type == "randomized controlled trial"
        assert zinc.source == "pubmed.xml"
    with lexical(tmp_path) as library:
        again = list(add_files(library, paths))
        assert all(each.unchanged for each in again) and library.counts()["papers"] == 7


def test_a_duplicate_is_known_by_pmid_doi_or_text(tmp_path: Path) -> None:
    with lexical(tmp_path) as library:
        ((_, number),) = library.add([paper(doi="10.1000/abc")])
        assert library.add([paper("Other text.", doi="10.1000/abc", pmid="7")]) == [("updated", number)]
        assert library.add([paper("Third text.", pmid="7", doi="10.1000/other")]) == [("known", number)]
        assert library.add([paper(" some  TEXT here")]) == [("known", number)]
        # The same words under another PMID are another paper: "Reply" has many.
        assert library.add([paper(pmid="8")])[0][0] == "added"
        assert library.counts()["papers"] == 2
        assert library.paper(number).pmid == "7" and library.paper(number).doi == "10.1000/abc"


def test_a_fuller_text_replaces_a_shorter_one(tmp_path: Path) -> None:
    with lexical(tmp_path) as library:
        ((_, number),) = library.add([paper("Abstract with word alpha.", pmid="1")])
        full = (Section("Results", "Full text with word beta. " * 5), Section("Discussion", "And gamma."))
        assert library.add([paper(pmid="1", sections=full, journal="J")]) == [("updated", number)]
        assert library.add([paper("Short again.", pmid="1")]) == [("known", number)]
        assert not library.execute("SELECT rowid FROM words WHERE words MATCH 'alpha'")
        assert library.execute("SELECT rowid FROM words WHERE words MATCH 'gamma'")
        assert library.paper(number).journal == "J"


def test_a_title_that_comes_later_is_found_and_leaves_no_word_behind(tmp_path: Path) -> None:
    with lexical(tmp_path) as library:
        library.add([paper("Zinc in colds.", title="", pmid="7")])
        ((_, number),) = library.add([paper("Zinc in colds.", title="Lozenges", pmid="7")])
        found = "SELECT rowid FROM words WHERE words MATCH ?"
        assert library.execute(found, ("lozenges",))
        library.remove([number])
        assert not library.execute(found, ("lozenges",)) and not library.execute(found, ("zinc",))
        library.execute("INSERT INTO words (words) VALUES ('integrity-check')")


@pytest.mark.parametrize(
    ("title", "retraction"),
    [
        ("RETRACTED ARTICLE: Zinc", "retracted"),
        ("[Retracted] Zinc", "retracted"),
        ("Withdrawn: zinc in colds", "retracted"),
        ("Retracted papers in oncology: a survey", "unknown"),
        ("Zinc", "unknown"),
    ],
)
def test_a_title_that_says_retracted_is_believed(tmp_path: Path, title: str, retraction: str) -> None:
    with lexical(tmp_path) as library:
        ((_, number),) = library.add([paper(title=title)])
        assert library.paper(number).retraction == retraction


def test_removing_leaves_no_word_behind(tmp_path: Path) -> None:
    path = written.pubmed(tmp_path)
    with lexical(tmp_path) as library:
        list(add_files(library, [path]))
        assert library.remove(library.find("1001")) == 1 and library.remove([1]) == 0
        assert library.counts() == {"papers": 0, "passages": 0, "vectors": 0, "retracted": 0}
        assert not library.execute("SELECT rowid FROM words WHERE words MATCH 'zinc OR lozenges OR nausea'")
        (told,) = add_files(library, [path])
        assert told.added == 1  # the file is read again


def test_what_came_before_a_broken_record_is_kept(tmp_path: Path) -> None:
    whole = written.pubmed(tmp_path, *(written.article(number) for number in range(1, 6))).read_bytes()
    short = tmp_path / "short.xml"
    short.write_bytes(whole[: whole.rindex(b"<PubmedArticle>") + 300])
    with lexical(tmp_path) as library:
        told, other = add_files(library, [short, written.markdown(tmp_path)])
        assert told.error is not None and "cut short" in told.error and told.added == 4
        assert other.error is None and other.added == 1
        (again,) = add_files(library, [tmp_path / "pubmed.xml"])
        assert (again.added, again.known) == (1, 4)


def test_killed_at_any_moment_it_goes_on_where_it_was(tmp_path: Path) -> None:
    rows = [{"title": f"Paper {n}", "text": f"Finding number {n} of word{n}.", "pmid": n} for n in range(1, 1201)]
    path = written.jsonl(tmp_path, *rows)
    code = (
        "import sys\nfrom pathlib import Path\nfrom aris.literature import Library\nfrom aris.literature import adding\n"  # noqa: E501
        "flush = adding._flush\n"
        "def told(*given):\n    flush(*given)\n    print('batch', flush=True)\n"
        "adding._flush = told\n"
        "list(adding.add_files(Library(sys.argv[1], lexical=True), [Path(sys.argv[2])]))\n"
    )
    started = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "library"), str(path)], stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert started.stdout is not None and started.stdout.readline() == "batch\n"
    started.send_signal(signal.SIGKILL)
    started.wait()
    with lexical(tmp_path) as library:
        before = library.counts()["papers"]
        assert before >= 200 and before % 200 == 0
        (told,) = add_files(library, [path])
        assert (told.added, told.known) == (1200 - before, before)
        assert library.execute("SELECT count(*) FROM words WHERE words MATCH 'finding'")[0][0] == 1200


def test_it_is_for_its_owner_alone(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        with lexical(tmp_path) as library:
            library.add([paper()])
            for path in (library.folder, *library.folder.iterdir()):
                assert not stat.S_IMODE(path.stat().st_mode) & 0o077, path
    finally:
        os.umask(old)
    crowded = tmp_path / "crowded"
    crowded.mkdir(mode=0o755)
    (crowded / "other").write_text("x")
    with pytest.raises(LiteratureError, match="holds other things"):
        Library(crowded, lexical=True)


def test_a_damaged_or_newer_database_is_one_line(tmp_path: Path) -> None:
    lexical(tmp_path).close()
    path = tmp_path / "library" / NAME
    for each in path.parent.iterdir():
        if each != path:
            each.unlink()
    path.write_bytes(b"not a database at all" * 200)
    with pytest.raises(LiteratureError, match="damaged"):
        lexical(tmp_path)
    path.unlink()
    with lexical(tmp_path) as library:
        library.execute("PRAGMA user_version=99")
    with pytest.raises(LiteratureError, match="newer version"):
        lexical(tmp_path)


def test_lists_of_retractions(tmp_path: Path) -> None:
    with lexical(tmp_path) as library:
        library.add(
            [paper("A a a.", pmid="1"), paper("B b b.", doi="10.1000/b"), paper("C c c.", pmid="3"), paper("D d d.")]
        )
        assert [each.retraction for each in library.papers()] == ["unknown"] * 4
        watch = tmp_path / "watch.csv"
        watch.write_text(
            "Record ID,OriginalPaperDOI,OriginalPaperPubMedID,RetractionNature\n"
            "1,10.1000/B,0,Retraction\n2,unavailable,1,Expression of concern\n3,,3,Correction\n"
        )
        assert library.list_retractions(read_retractions(watch)) == 1
        assert [each.retraction for each in library.papers()] == ["concern", "retracted", "not listed", "unknown"]
        plain = tmp_path / "plain.txt"
        plain.write_text("PMID: 3\n10.1000/later\n")
        assert library.list_retractions(read_retractions(plain)) == 2
        ((_, number),) = library.add([paper("E e e.", doi="10.1000/later")])
        assert library.paper(number).retraction == "retracted"  # the list holds for what comes later
        back = tmp_path / "back.csv"
        back.write_text("pmid,RetractionNature\n3,Reinstatement\n")
        library.list_retractions(read_retractions(back))
        assert library.paper(3).retraction == "not listed"
        other = tmp_path / "other.csv"
        other.write_text("Title;Withdrawn article;Date\nOn D;https://doi.org/10.1000/d;2020-01-01\n")
        assert read_retractions(other) == [("doi", "10.1000/d", "retracted")]
        other.write_text("Notice,Article\n10.1000/notice1,10.1000/d\n10.1000/notice2,10.1000/e\n")
        with pytest.raises(LiteratureError, match="columns 1 and 2 hold DOIs"):
            read_retractions(other)
        (tmp_path / "none.csv").write_text("name\nnobody\n")
        with pytest.raises(LiteratureError, match="no PMID"):
            read_retractions(tmp_path / "none.csv")


def test_a_notice_of_retraction_marks_its_paper(tmp_path: Path) -> None:
    link = (
        '<CommentsCorrectionsList><CommentsCorrections RefType="RetractionOf"><RefSource>J</RefSource><PMID>1</PMID>'
        "</CommentsCorrections></CommentsCorrectionsList>"
    )
    with lexical(tmp_path) as library:
        library.add([paper(pmid="1")])
        list(add_files(library, [written.pubmed(tmp_path, written.article(2, links=link))]))
        assert library.paper(1).retraction == "retracted"


def test_vectors_are_made_once_and_anew_for_another_encoder(tmp_path: Path) -> None:
    first, second = tiny_encoder(tmp_path / "first"), tiny_encoder(tmp_path / "second", seed=1)
    with Library(tmp_path / "library", encoder=first) as library:
        library.add(
            [paper("zinc cold days.", pmid="1"), paper("aspirin stroke.", pmid="2"), paper("honey cough.", pmid="3")]
        )
        made = library.add_vectors(batch=2)
        assert next(made) == 2  # and then it is stopped
        made.close()
        assert library.missing_vectors() == 1 and sum(library.add_vectors()) == 1
        library.remove([2])
        matrix, _, papers = library.vectors()
        assert matrix.shape == (2, 16) and papers.tolist() == [1, 3]
    with Library(tmp_path / "library", encoder=second) as library:
        assert library.missing_vectors() == 2 and sum(library.add_vectors()) == 2


def test_several_threads_read_and_write(tmp_path: Path) -> None:
    failed: list[BaseException] = []
    with lexical(tmp_path) as library, lexical(tmp_path) as other:

        def add(mine: Library, start: int) -> None:
            try:
                for number in range(start, start + 40):
                    mine.add([paper(f"Text {number}.", pmid=str(number))])
                    mine.counts()
            except BaseException as error:
                failed.append(error)

        threads = [threading.Thread(target=add, args=given) for given in ((library, 1), (library, 101), (other, 201))]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert not failed and library.counts()["papers"] == 120


def test_a_passage_is_the_same_when_its_file_is_read_again(tmp_path: Path) -> None:
    makers = (written.pubmed, written.medline, written.jats, written.pdf, written.html, written.markdown)
    with Library(tmp_path / "library", lexical=True, passage_characters=40) as library:
        paths = {path.name: path for path in (make(tmp_path) for make in makers)}
        list(add_files(library, list(paths.values())))
        seen = 0
        for stored in library.papers():
            again = {each.title: each for each in read_papers(paths[stored.source]) if isinstance(each, Paper)}
            for passage in library.passages(stored.id):
                section = again[stored.title].sections[passage.section]
                assert section.text[passage.start : passage.end] == passage.text and section.page == passage.page
                seen += 1
        assert seen > 15


@settings(max_examples=50)
@given(st.text(max_size=200), st.integers(5, 60))
def test_passages_lose_no_word(text: str, most: int) -> None:
    spans = list(passage_spans(text, most))
    assert all(0 <= start < end <= len(text) and end - start <= most + 1 for start, end in spans)
    assert all(one[1] <= other[0] for one, other in pairwise(spans))
    kept = "".join("".join(text[a:b] for a, b in spans).split())
    assert kept == "".join(text.split())


def test_sentences() -> None:
    text = "Dr. Roe et al. gave 2.5 mg. It helped (p<0.05). E. coli grew vs. controls. Was it safe? Yes.\nNew line"
    assert [text[a:b] for a, b in sentence_spans(text)] == [
        "Dr. Roe et al. gave 2.5 mg.", "It helped (p<0.05).", "E. coli grew vs. controls.", "Was it safe?", "Yes.", "New line",  # noqa: E501
    ]  # fmt: skip
