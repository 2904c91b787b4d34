from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_encoder import tiny_encoder

from aris.errors import LiteratureError
from aris.literature import Filters, Library, Paper, Section, bibtex, ris, search, vancouver
from aris.literature.retrieval import fuse, match_expression

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


def test_expressions_hold_telling_words() -> None:
    assert match_expression("What is the effect of zinc?") == '"effect" OR "zinc"'
    assert match_expression("what is it") == '"what" OR "is" OR "it"'
    assert match_expression("?!") == ""


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
