"""Search in a library: by words (BM25), by meaning (cosine of sentence vectors), and by both (rank fusion).

Reciprocal rank fusion (Cormack et al., SIGIR 2009) adds 1 / (60 + rank) over the two lists, weighted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from aris.errors import LiteratureError
from aris.literature.library import Library, Passage, StoredPaper

Mode = Literal["hybrid", "lexical", "dense"]
Scorer = Callable[[str, Sequence[str]], Sequence[float]]
_RRF = 60
# Chosen on the 500 questions of PubMedQA that may be trained on; see benchmarks/literature_retrieval.py.
LEXICAL_WEIGHT, DENSE_WEIGHT = 1.0, 1.0
_DEPTH = 200
_MOST_TERMS = 48
# Passages from which on a query's common words do not find any by themselves; the share of all passages that its rarer
# words may bring; the words that always do.
_LARGE, _RARE, _LEAST_RARE = 5_000, 0.05, 2
_MOST_QUERY = 20_000
STOP_WORDS = frozenset((
    "a", "about", "above", "after", "again", "against", "all", "also", "am", "an", "and", "any", "are", "as", "at",
    "be", "because", "been", "before", "being", "below", "between", "both", "but", "by", "can", "could", "did", "do",
    "does", "doing", "down", "during", "each", "few", "for", "from", "further", "had", "has", "have", "having", "he",
    "her", "here", "hers", "him", "his", "how", "i", "if", "in", "into", "is", "it", "its", "itself", "just", "me",
    "more", "most", "my", "no", "nor", "not", "of", "off", "on", "once", "only", "or", "other", "our", "out", "over",
    "own", "please", "same", "she", "should", "so", "some", "such", "than", "that", "the", "their", "them", "then",
    "there", "these", "they", "this", "those", "through", "to", "too", "under", "until", "up", "us", "very", "was",
    "we", "were", "what", "when", "where", "which", "while", "who", "whom", "why", "will", "with", "would", "you",
    "your",
))  # fmt: skip


@dataclass(frozen=True)
class Filters:
    """Conditions on the papers that are searched.

    Attributes:
        since, until: years, both included; a paper of no known year is left out where one is given.
        types: study types, or publication types as the source names them, whatever their case; any of them.
        journal: a part of the journal's name, whatever its case.
        retracted: search retracted papers too.
    """

    since: int | None = None
    until: int | None = None
    types: tuple[str, ...] = ()
    journal: str = ""
    retracted: bool = True

    @property
    def any(self) -> bool:
        """Tell whether they leave anything out by what papers say of themselves."""
        return bool(self.since is not None or self.until is not None or self.types or self.journal.strip())


@dataclass(frozen=True)
class Hit:
    """A passage that was found.

    Attributes:
        score: by which the hits are in order, of the fusion or of the model that ranked them again.
        bm25: of its words, higher is better; None where it was not found by them.
        similarity: cosine of its vector with the query's; None without vectors.
    """

    passage: Passage
    paper: StoredPaper
    score: float
    bm25: float | None
    similarity: float | None


def search(
    library: Library,
    query: str,
    *,
    count: int = 10,
    filters: Filters | None = None,
    mode: Mode = "hybrid",
    per_paper: int | None = None,
    scorer: Scorer | None = None,
    depth: int = _DEPTH,
) -> list[Hit]:
    """Find passages.

    Args:
        library: to search.
        query: any text; its words are looked for, and nothing in it is an operator.
        count: hits at most.
        filters: papers that are searched; all by default.
        mode: "hybrid" falls back to words where the library has no vectors.
        per_paper: passages of one paper at most.
        scorer: ranks the best 4 * count again: it is given the query and texts, and returns a score for each.
        depth: positions of either list that are fused.

    Raises:
        LiteratureError: the query has no word, or vectors are asked for and there are none.
    """
    filters = filters or Filters()
    query = query[:_MOST_QUERY]
    if not query.strip():
        raise LiteratureError("query: it is empty; give some words")
    papers = _papers(library, filters)
    lexical = dict(lexical_ranking(library, query, depth, papers)) if mode != "dense" else {}
    similarity: dict[int, float] = {}
    nearest: list[int] = []
    if mode != "lexical" and not library.without_vectors:
        nearest, similarity = dense_ranking(library, query, depth, papers, also=list(lexical))
    if (
        mode == "dense"
        and not nearest
        and (library.without_vectors or not library.execute("SELECT 1 FROM vectors LIMIT 1"))
    ):
        raise LiteratureError(f"no search by meaning: {library.without_vectors or 'no paper has a vector yet'}")
    order = fuse(list(lexical), nearest if mode != "lexical" else [])
    hits: list[Hit] = []
    of_paper: dict[int, int] = {}
    wanted = count * 4 if scorer is not None else count
    for number, score in order:
        if len(hits) >= wanted:
            break
        passage = library.passage(number)
        if per_paper is not None and of_paper.get(passage.paper, 0) >= per_paper:
            continue
        paper = library.paper(passage.paper)
        if not filters.retracted and paper.retraction == "retracted":
            continue
        of_paper[passage.paper] = of_paper.get(passage.paper, 0) + 1
        hits.append(Hit(passage, paper, score, lexical.get(number), similarity.get(number)))
    if scorer is None:
        return hits
    scores = scorer(query, [each.passage.text for each in hits])
    again = [
        Hit(each.passage, each.paper, float(score), each.bm25, each.similarity)
        for each, score in zip(hits, scores, strict=True)
    ]
    return sorted(again, key=lambda each: -each.score)[:count]


def terms(query: str) -> list[str]:
    """The words that are looked for: each once, those that say something, at most 48 of them."""
    words = [each for each in re.findall(r"\w+", query.lower()) if any(c.isalnum() for c in each)]
    telling = [each for each in words if each not in STOP_WORDS and (len(each) > 1 or each.isdigit())]
    return list(dict.fromkeys(telling or words))[:_MOST_TERMS]


def match_expressions(library: Library, query: str) -> list[str]:
    """Queries for FTS5 in which every word stands quoted, so that none is an operator; none for no word.

    Their rows together are the passages that hold one of the query's rarer words, each with the BM25 of all its words.
    In a large library a passage that holds common words alone is no candidate, and scoring all of those is most of the
    time. Two queries part the passages, so that no word counts twice: those with a common word too, and those without.
    """
    words = terms(query)
    total = library.size()
    if total < _LARGE or len(words) <= _LEAST_RARE:
        return [_any(words)] if words else []
    budget = int(total * _RARE)
    counts = {each: library.frequency(each, budget + 1) for each in words}
    words.sort(key=counts.__getitem__)
    rare: list[str] = []
    seen = 0
    for each in words:
        if len(rare) >= _LEAST_RARE and seen + counts[each] > budget:
            break
        rare.append(each)
        seen += counts[each]
    common = words[len(rare) :]
    if not common or not seen:
        return [_any(words)]
    return [f"({_any(rare)}) AND ({_any(common)})", f"({_any(rare)}) NOT ({_any(common)})"]


def _any(words: Sequence[str]) -> str:
    return " OR ".join(f'"{each}"' for each in words)


def lexical_ranking(
    library: Library, query: str, depth: int = _DEPTH, papers: set[int] | None = None
) -> list[tuple[int, float]]:
    """(passage, BM25) of the best passages by words, best first."""
    rows = []
    for expression in match_expressions(library, query):
        if papers is None:
            rows += library.execute(
                "SELECT rowid AS number, rank FROM words WHERE words MATCH ? ORDER BY rank LIMIT ?", (expression, depth)
            )
        else:
            rows += library.execute(
                "SELECT words.rowid AS number, words.rank AS rank FROM words JOIN passages p ON p.id = words.rowid "
                "WHERE words MATCH ? AND p.paper IN (SELECT value FROM json_each(?)) ORDER BY words.rank LIMIT ?",
                (expression, str(sorted(papers)), depth),
            )
    return sorted(((row["number"], -row["rank"]) for row in rows), key=lambda each: (-each[1], each[0]))[:depth]


def dense_ranking(
    library: Library, query: str, depth: int = _DEPTH, papers: set[int] | None = None, also: Sequence[int] = ()
) -> tuple[list[int], dict[int, float]]:
    """The nearest passages by meaning, best first; and the cosines of those and of the passages in `also`."""
    encoder = library.encoder
    matrix, numbers, of_paper = library.vectors()
    if encoder is None or not len(numbers):
        return [], {}
    cosines = matrix @ encoder.encode([query])[0]
    positions = np.searchsorted(numbers, np.array(also, np.int64))
    told = {
        number: float(cosines[index])
        for number, index in zip(also, positions, strict=True)
        if index < len(numbers) and numbers[index] == number
    }
    searched: Any = cosines
    if papers is not None:
        searched = np.where(np.isin(of_paper, np.fromiter(papers, np.int64, len(papers))), cosines, -2.0)
    depth = min(depth, len(numbers))
    best = np.argpartition(-searched, depth - 1)[:depth]
    best = best[np.argsort(-searched[best], kind="stable")]
    found = [int(numbers[index]) for index in best if searched[index] > -2]
    return found, told | {int(numbers[index]): float(cosines[index]) for index in best}


def fuse(
    lexical: Sequence[int], dense: Sequence[int], weights: tuple[float, float] = (LEXICAL_WEIGHT, DENSE_WEIGHT)
) -> list[tuple[int, float]]:
    """Passages of two rankings with their fused scores, best first."""
    scores: dict[int, float] = {}
    for ranking, weight in ((lexical, weights[0]), (dense, weights[1])):
        for rank, number in enumerate(ranking, 1):
            scores[number] = scores.get(number, 0.0) + weight / (_RRF + rank)
    return sorted(scores.items(), key=lambda each: (-each[1], each[0]))


def _papers(library: Library, filters: Filters) -> set[int] | None:
    """The papers that filters leave; None for all."""
    if not filters.any:
        return None
    conditions, values = ["1"], list[Any]()
    if filters.since is not None:
        conditions.append("year >= ?")
        values.append(filters.since)
    if filters.until is not None:
        conditions.append("year <= ?")
        values.append(filters.until)
    rows = library.execute(
        f"SELECT id, journal, types, study_type FROM papers WHERE {' AND '.join(conditions)}", values
    )
    types = {each.strip().casefold() for each in filters.types}
    journal = filters.journal.strip().casefold()
    return {
        row["id"]
        for row in rows
        if (not journal or journal in row["journal"].casefold())
        and (not types or types & {row["study_type"].casefold(), *_types(row["types"])})
    }


def _types(told: str) -> set[str]:
    import json

    return {each.casefold() for each in json.loads(told)}
