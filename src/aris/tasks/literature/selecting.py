"""Choice of the sentences that answer a question best, and whether there is enough to answer at all."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aris.literature.library import Library
from aris.literature.retrieval import STOP_WORDS, Hit, terms
from aris.tasks.literature.orders import statements
from aris.tasks.literature.support import stem, stems

# Fitted on the questions of PubMedQA that may be trained on, half of them without their papers, and on MedQuAD's
# training questions; see benchmarks/literature_enough.py. The first is with vectors, the second without.
COSINE_WEIGHT = 0.5
ENOUGH, ENOUGH_LEXICAL = 0.57, 0.56
_FEWEST, _MOST_WORDS = 5, 70
# Of the best sentence's fit; what fits less is no answer beside it.
_FIT = 0.7
# The least share of the question's words, weighted, in a sentence or (of its passage) at all.
_LEAST_SENTENCE, _LEAST_PASSAGE = 0.25, 0.4
_AIMS = re.compile(
    r"\b(?:aim(?:ed|s)?|objective|purpose|we (?:sought|investigat\w+|examin\w+|evaluat\w+|assess\w+|hypothesi[sz]ed)"
    r"|this (?:study|paper|article|review) (?:aim|examin|investigat|evaluat|assess|describ)\w*"
    r"|to (?:determine|evaluate|assess|investigate|examine|compare)|were (?:enrolled|included|recruited|randomi[sz]ed)"
    r"|remains? (?:unclear|unknown))\b",
    re.IGNORECASE,
)
_AIM_ALONE = re.compile(
    r"(?:to|in order to) [a-z]+\b(?!.*\b(?:was|were|is|are|showed|found|resulted|should)\b)"
    r"|(?:the )?(?:aim|objective|purpose|goal)s? of"
    r"|(?:we|the authors) (?:aimed|sought|hypothesi[sz]ed)\b",
    re.IGNORECASE | re.DOTALL,
)
_FINDS = re.compile(
    r"\b(?:conclu\w+|we found|show(?:s|ed|n)?|demonstrat\w+|result(?:s|ed) in|suggest\w*|indicat\w+|was associated|were"
    r" associated|significant\w*|compared (?:with|to)|odds ratio|hazard ratio|relative risk|p\s*[<=]|is recommended"
    r"|effective|no difference)\b",
    re.IGNORECASE,
)
_TELLING = ("result", "conclusion", "finding", "discussion", "interpretation", "summary", "key point")
_UNTELLING = ("method", "objective", "aim", "background", "introduction", "purpose", "design", "setting", "material")


@dataclass(frozen=True)
class Candidate:
    """A sentence of a passage.

    Attributes:
        hit: the place of its passage among the hits.
        start, end: in the passage's text.
        fit: how well it answers the question; only the order of these means anything.
    """

    hit: int
    start: int
    end: int
    text: str
    fit: float


class Weights:
    """Weights of a question's words in a library: rare words tell more (inverse document frequency)."""

    def __init__(self, library: Library, question: str) -> None:
        total = max(1, int(library.execute("SELECT count(*) FROM passages")[0][0]))
        self.weights: dict[str, float] = {}
        for word in terms(question):
            if word.isdigit() or word in STOP_WORDS:
                continue
            (row,) = library.execute(
                "SELECT count(*) AS n FROM (SELECT 1 FROM words WHERE words MATCH ? LIMIT 20000)", (f'"{word}"',)
            )
            idf = math.log(1 + total / (row["n"] + 0.5))
            self.weights[stem(word)] = max(idf, self.weights.get(stem(word), 0.0))
        self.total = sum(self.weights.values())

    def covered(self, text: str) -> float:
        """The weighted share of the question's words that a text has, 0..1."""
        if not self.total:
            return 0.0
        present = stems(text) | {stem(each) for each in re.findall(r"\w+", text.lower())}
        return sum(weight for word, weight in self.weights.items() if word in present) / self.total


def sufficiency(weights: Weights, hits: Sequence[Hit]) -> float:
    """Measure how well the best passage fits the question, 0..1: by shared words, and by meaning where known."""
    best = 0.0
    for hit in hits:
        covered = weights.covered(f"{hit.paper.title} {hit.passage.text}")
        if hit.similarity is not None:
            covered = (1 - COSINE_WEIGHT) * covered + COSINE_WEIGHT * max(0.0, hit.similarity)
        best = max(best, covered)
    return best


def enough(hits: Sequence[Hit]) -> float:
    """The least sufficiency that is answered."""
    return ENOUGH if any(hit.similarity is not None for hit in hits) else ENOUGH_LEXICAL


def candidates(library: Library, question: str, weights: Weights, hits: Sequence[Hit]) -> tuple[list[Candidate], int]:
    """The sentences of the hits that could answer, best first; and how many were left out as orders to a program."""
    found: list[Candidate] = []
    orders = 0
    for index, hit in enumerate(hits):
        if hit.passage.section < 0:
            continue  # a title alone states nothing
        text = hit.passage.text
        if weights.covered(f"{hit.paper.title} {text}") < _LEAST_PASSAGE:
            continue
        spans, left_out = statements(text)
        orders += left_out
        inside = library.begins_inside(hit.passage)
        for start, end in spans:
            sentence = text[start:end]
            if inside and not text[:start].strip():
                continue  # the rest of a sentence that was too long for one passage
            if sentence[0].islower() and not text[:start].strip(" ").rpartition("\n")[2]:
                continue  # the rest of a sentence that began on another page or in another column
            if _AIM_ALONE.match(sentence):
                continue  # of an aim nothing follows
            words = len(sentence.split())
            if not _FEWEST <= words <= _MOST_WORDS or sentence.endswith("?") or sentence[-1] not in ".!)]\"'”’%":
                continue
            covered = weights.covered(sentence)
            if covered < _LEAST_SENTENCE:
                continue
            fit = covered + _shape(sentence, hit.passage.heading) - 0.03 * index
            found.append(Candidate(index, start, end, sentence, fit))
    found.sort(key=lambda each: -each.fit)
    encoder = library.encoder
    if encoder is not None and found:
        # The meaning of the likeliest; all would take as long as the search.
        head, tail = found[:16], found[16:]
        vectors = encoder.encode([question, *(each.text for each in head)])
        cosines = vectors[1:] @ vectors[0]
        head = [
            Candidate(each.hit, each.start, each.end, each.text, each.fit + float(np.clip(cosine, 0, 1)))
            for each, cosine in zip(head, cosines, strict=True)
        ]
        found = sorted(head, key=lambda each: -each.fit) + tail
    return found, orders


def _shape(sentence: str, heading: str) -> float:
    low = heading.lower()
    fit = 0.15 if any(each in low for each in _TELLING) else -0.1 if any(each in low for each in _UNTELLING) else 0.0
    if _FINDS.search(sentence):
        fit += 0.1
    if _AIMS.search(sentence):
        fit -= 0.3
    # "It was lower in this group": of what, the sentence alone does not say.
    if re.match(r"(?:it|they|this|these|he|she|those|such|thus|however,? (?:it|they|this))\b", sentence, re.IGNORECASE):
        fit -= 0.1
    return fit


def choose(found: Sequence[Candidate], most: int, per_hit: int = 2) -> list[Candidate]:
    """The best sentences, none that says nearly the same as one before it."""
    chosen: list[Candidate] = []
    for each in found:
        if len(chosen) == most:
            break
        if sum(other.hit == each.hit for other in chosen) >= per_hit:
            continue
        told = stems(each.text)
        if any(
            len(told & stems(other.text)) >= 0.8 * max(1, min(len(told), len(stems(other.text)))) for other in chosen
        ):
            continue
        if chosen and each.fit < _FIT * chosen[0].fit:
            continue
        chosen.append(each)
    return chosen
