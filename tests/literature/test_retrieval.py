from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_encoder import tiny_encoder

from aris.errors import LiteratureError
from aris.literature import Filters, Library, Paper, Section, bibtex, retrieval, ris, search, vancouver, vector_file
from aris.literature.retrieval import fuse, lexical_ranking, match_expressions

PAPERS = (
    Paper("Zinc for colds", (Section("Results", "Zinc shortened the common cold by two days."),), year=2010,
          types=("Randomized Controlled Trial",), journal="J Trials", pmid="1", authors=("Doe JA", "Roe R")),
    Paper("Aspirin", (Section("Results", "Aspirin prevents a second stroke."),), year=2015, types=("Review",), journal="Stroke",  # noqa: E501
          doi="10.1000/a_b", volume="3", issue="2", pages="11-19"),
    Paper("Honey {50% & more}", (Section("Results", "Honey helps a cough at night. Zinc does not."),), year=None),
)  # fmt: skip


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    folder = tmp_path_factory.mktemp("library")
    made = Library(folder / "library", encoder=tiny_encoder(folder / "tiny"))
    made.add(PAPERS, "papers.jsonl")
    assert sum(made.add_vectors()) == 3
    return made


def found(library: Library, query: str, **given: object) -> list[int]:
    return [hit.paper.id for hit in search(library, query, **given)]  # type: ignore[arg-type]


def test_words_are_found_by_their_stems(library: Library) -> None:
    assert found(library, "preventing strokes", mode="lexical") == [2]
    assert found(library, "zinc and the common colds", mode="lexical")[0] == 1
    assert found(library, "entirely unrelated", mode="lexical") == []


@settings(max_examples=50)
@given(st.text(max_size=200))
def test_no_query_is_an_operator(library: Library, query: str) -> None:
    if not query.strip():
        with pytest.raises(LiteratureError, match="empty"):
            search(library, query)
        return
    assert len(search(library, query)) <= 3


@pytest.mark.parametrize("query", ['"zinc', "zinc OR", "NEAR(zinc cold)", "title:zinc", "zinc*", "-zinc", "(zinc", "^zinc", "{x}: zinc",  # noqa: E501
                                   "zinc AND NOT cold", "\0zinc", "_ zinc", "zinc" + " and" * 5000])  # fmt: skip
def test_syntax_of_fts5_is_only_words(library: Library, query: str) -> None:
    assert 1 in found(library, query, mode="lexical")


def test_filters(library: Library) -> None:
    assert found(library, "zinc", mode="lexical") == [3, 1] or found(library, "zinc", mode="lexical") == [1, 3]
    assert found(library, "zinc", filters=Filters(since=2005)) == [1, 2]  # by meaning the other is found too
    assert found(library, "zinc", filters=Filters(since=2011)) == [2]
    assert found(library, "zinc aspirin", filters=Filters(types=("review",))) == [2]
    assert found(library, "zinc aspirin", filters=Filters(types=("Randomized Controlled Trial",))) == [1]
    assert found(library, "zinc", filters=Filters(journal="trials")) == [1]
    assert found(library, "zinc", filters=Filters(until=1990)) == []


def test_meaning_ranks_by_the_cosine(library: Library) -> None:
    hits = search(library, "zinc cold days", mode="dense")
    cosines = [hit.similarity for hit in hits if hit.similarity is not None]
    assert len(cosines) == 3 and cosines == sorted(cosines, reverse=True)
    hybrid = search(library, "aspirin stroke", mode="hybrid")
    assert hybrid[0].bm25 is not None and all(hit.similarity is not None for hit in hybrid)


def test_ranks_are_fused() -> None:
    assert fuse([1, 2], [2, 3], (1.0, 1.0)) == [
        (2, pytest.approx(1 / 62 + 1 / 61)), (1, pytest.approx(1 / 61)), (3, pytest.approx(1 / 62)),
    ]  # fmt: skip
    assert [number for number, _ in fuse([1, 2], [2, 3], (1.0, 0.0))][:2] == [1, 2]


def test_a_model_ranks_again(library: Library) -> None:
    def scorer(query: str, texts: list[str]) -> list[float]:
        return [float("Honey" in text) for text in texts]

    assert found(library, "zinc", count=1, scorer=scorer) == [3]


def test_without_an_encoder_it_searches_by_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aris.literature.library.default_folder", lambda: None)
    with Library(tmp_path / "library") as library:
        library.add(PAPERS)
        assert library.without_vectors == "no encoder is installed"
        assert found(library, "aspirin") == [2]
        with pytest.raises(LiteratureError, match="no encoder"):
            search(library, "aspirin", mode="dense")


def test_expressions_hold_telling_words(library: Library) -> None:
    assert match_expressions(library, "What is the effect of zinc?") == ['"effect" OR "zinc"']
    assert match_expressions(library, "what is it") == ['"what" OR "is" OR "it"']
    assert match_expressions(library, "?!") == []


def test_rare_words_find_and_all_words_score(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = random.Random(0)
    words = ["trial", "patients", "dose", "zinc", "honey", "aspirin", "stroke", "cough", "cold", "liver", "bone", "gut"]
    weights = [40, 40, 30, 2, 2, 2, 2, 1, 1, 1, 1, 1]
    papers = [
        Paper(f"{n}", (Section("", " ".join(draw.choices(words, weights, k=12)) + f" number{n}."),)) for n in range(400)
    ]
    with Library(tmp_path / "library", lexical=True) as library:
        library.add(papers)
        queries = ["zinc honey dose trial patients", "bone liver trial patients dose", "trial patients dose", "zinc"]
        whole = {each: lexical_ranking(library, each, 400) for each in queries}
        monkeypatch.setattr(retrieval, "_LARGE", 1)
        assert len(match_expressions(library, queries[0])) == 2
        for query, wanted in whole.items():
            quick = lexical_ranking(library, query, 400)
            scores = dict(wanted)
            assert quick and all(score == pytest.approx(scores[number]) for number, score in quick)
            assert [number for number, _ in quick] == [n for n, _ in wanted if n in dict(quick)]
        rare = {n for n, each in enumerate(papers, 1) if {"zinc", "honey"} & set(each.sections[0].text.split())}
        assert {number for number, _ in lexical_ranking(library, queries[0], 400)} == rare
        limited = lexical_ranking(library, queries[0], 400, {1, 2, 3, 4, 5, 6, 7, 8})
        assert {number for number, _ in limited} == rare & set(range(1, 9))


def test_vectors_come_from_a_file_of_their_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aris.literature.library.FEWEST", 1)
    encoder, folder = tiny_encoder(tmp_path / "tiny"), tmp_path / "library"
    path = folder / vector_file.NAME
    with Library(folder, encoder=encoder) as library:
        library.add(PAPERS)
        assert sum(library.add_vectors()) == 3
        read = library.vectors()
        assert path.stat().st_mode & 0o777 == 0o600

    def refused(*_: object) -> None:
        raise AssertionError("the database was read")

    with Library(folder, encoder=encoder) as library, monkeypatch.context() as patched:
        patched.setattr(Library, "_read_vectors", refused)
        for mine, theirs in zip(library.vectors(), read, strict=True):
            assert np.array_equal(mine, theirs)
        assert found(library, "zinc", mode="dense")
        library.add([Paper("Cough", (Section("", "Honey and cough."),))])
        library.keep_vectors([])  # as a batch of another process would
        with pytest.raises(AssertionError, match="database"):
            library.vectors()
    with Library(folder, encoder=encoder) as library:
        before = path.stat().st_mtime_ns
        assert len(library.vectors()[1]) == 3 and path.stat().st_mtime_ns == before, "not while one is missing"
        assert sum(library.add_vectors()) == 1
        assert len(library.vectors()[1]) == 4 and path.stat().st_mtime_ns != before
        assert found(library, "zinc", mode="dense")
        library.remove([2])
        assert library.vectors()[1].tolist() == [1, 3, 4]
    for damage in (b"", b"x" * 600, path.read_bytes()[:-1]):
        path.write_bytes(damage)
        with Library(folder, encoder=encoder) as library:
            assert library.vectors()[1].tolist() == [1, 3, 4]
            assert 2 not in found(library, "aspirin", mode="dense")


def test_vectors_of_another_process_are_seen(tmp_path: Path) -> None:
    encoder = tiny_encoder(tmp_path / "tiny")
    with Library(tmp_path / "library", encoder=encoder) as one, Library(tmp_path / "library", encoder=encoder) as other:
        one.add(PAPERS)
        assert sum(one.add_vectors()) == 3 and len(other.vectors()[1]) == 3
        one.remove([1])
        assert other.vectors()[1].tolist() == [2, 3]


def test_references(library: Library) -> None:
    zinc, aspirin, honey = (library.paper(number) for number in (1, 2, 3))
    assert vancouver(zinc) == "Doe JA, Roe R. Zinc for colds. J Trials. 2010. PMID: 1."
    assert vancouver(aspirin) == "Aspirin. Stroke. 2015;3(2):11-19. doi:10.1000/a_b."
    assert vancouver(honey) == "Honey {50% & more}. File: papers.jsonl."
    told = ris([zinc, aspirin])
    assert "TY  - JOUR\r\nAU  - Doe, J. A.\r\nAU  - Roe, R.\r\nTI  - Zinc for colds\r\n" in told
    assert "SP  - 11\r\nEP  - 19\r\nDO  - 10.1000/a_b\r\n" in told and told.count("ER  - ") == 2
    entries = bibtex([zinc, zinc, honey])
    assert "@article{Doe2010zinc," in entries and "@article{Doe2010zinc2," in entries
    assert r"title = {{Honey \{50\% \& more\}}}" in entries and "author = {Doe, J. A. and Roe, R.}" in entries
    assert entries.count("{") - entries.count(r"\{") == entries.count("}") - entries.count(r"\}")
