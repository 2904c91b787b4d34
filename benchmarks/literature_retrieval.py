"""Search in a library: PubMedQA's contexts among 17,407 passages, and LiveQA's judged answers.

    python benchmarks/literature_retrieval.py pubmedqa [--vectors FOLDER] [--kept-only]
    python benchmarks/literature_retrieval.py liveqa [--vectors FOLDER] [--kept-only]

PubMedQA: each question must find its own abstract (without its title, which is the question) among the 1,000 abstracts
and MedQuAD's 16,407 answers: recall@1, recall@5, mean reciprocal rank, on the 500 held-out questions. The weights of the
fusion are chosen on those of the other 500 whose vectors are kept. LiveQA: nDCG@10 of 104 consumers' questions over the
answers that were judged, for BM25, meaning and both, with paired bootstrap intervals of the differences.

All vectors take an hour or more on two cores; they are kept in the folder. With --kept-only what is not there yet takes
no part in the ranking by meaning, and how much that is, is told.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

from aris.literature import Library, Paper, Section
from aris.literature.library import _with_title
from aris.literature.retrieval import DENSE_WEIGHT, LEXICAL_WEIGHT, fuse, lexical_ranking
from literature_data import (
    KeptEncoder,
    batches,
    context_paper,
    flat,
    interval,
    liveqa,
    medquad,
    pubmedqa,
    pubmedqa_test,
)

DEPTH = 200


class Vectors:
    """The kept vectors of a library's passages."""

    def __init__(self, library: Library, encoder: KeptEncoder, *, kept_only: bool) -> None:
        rows = library.execute("SELECT p.id, r.title, p.text FROM passages p JOIN papers r ON r.id = p.paper")
        texts = {row["id"]: _with_title(row["title"], row["text"]) for row in rows}
        if not kept_only:
            for batch in batches(list(texts.values()), 250):
                encoder.encode(batch)
        self.encoder = encoder
        self.numbers = [number for number, text in texts.items() if encoder.key(text) in encoder.kept]
        self.matrix = np.stack([encoder.kept[encoder.key(texts[number])] for number in self.numbers])
        print(f"{len(self.numbers)} of {len(texts)} passages have vectors")

    def ranking(self, query: str, among: set[int] | None = None, depth: int = DEPTH) -> list[int]:
        cosines = self.matrix @ self.encoder.encode([query])[0]
        order = np.argsort(-cosines, kind="stable")
        found = [self.numbers[place] for place in order if among is None or self.numbers[place] in among]
        return found[:depth]


def run_pubmedqa(folder: str, encoder: KeptEncoder, kept_only: bool) -> None:
    rows, held_out = pubmedqa(), pubmedqa_test()
    papers = [context_paper(pmid, row) for pmid, row in rows.items()]
    # A name of its own for each answer: some are the same, and all 16,407 are to be in the way.
    papers += [
        Paper("", (Section("", flat(row["answer"])),), doi=f"10.0000/medquad.{number}")
        for number, row in enumerate(medquad())
    ]
    with Library(folder, lexical=True, passage_characters=10**7) as library:
        for batch in batches(papers, 1000):
            library.add(batch)
        print(library.counts())
        own = {
            row["pmid"]: row["id"]
            for row in library.execute(
                "SELECT r.pmid, p.id FROM passages p JOIN papers r ON r.id = p.paper WHERE r.pmid IS NOT NULL"
            )
        }
        vectors = Vectors(library, encoder, kept_only=kept_only)
        train = sorted(set(rows) - held_out)
        found = {}
        for name, pmids in (("train", train), ("test", sorted(held_out))):
            found[name] = [
                (
                    own[pmid],
                    [n for n, _ in lexical_ranking(library, rows[pmid]["QUESTION"], DEPTH)],
                    vectors.ranking(rows[pmid]["QUESTION"]),
                )
                for pmid in pmids
            ]
    for weight in (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0):
        ranks = np.array([rank(gold, [n for n, _ in fuse(a, b, (1.0, weight))]) for gold, a, b in found["train"]])
        print(
            f"  chosen on the 500 others: weight of meaning {weight}: recall@1 {(ranks <= 1).mean():.3f}, MRR {(1 / ranks).mean():.4f}"
        )
    measured = {}
    for name in ("BM25", "dense", "hybrid"):
        ranks = np.array(
            [
                rank(gold, a if name == "BM25" else b if name == "dense" else [n for n, _ in fuse(a, b)])
                for gold, a, b in found["test"]
            ]
        )
        measured[name] = ranks
        print(
            f"held out, {name:6}: recall@1 {interval((ranks <= 1) * 1.0)}, recall@5 {interval((ranks <= 5) * 1.0)}, "
            f"MRR {interval(1 / ranks)}"
        )
    gain = 1 / measured["hybrid"] - 1 / measured["BM25"]
    print(f"hybrid - BM25, paired: MRR {interval(gain)}; weights {LEXICAL_WEIGHT}, {DENSE_WEIGHT}")


def rank(gold: int, order: list[int]) -> float:
    return order.index(gold) + 1 if gold in order else np.inf


def run_liveqa(folder: str, encoder: KeptEncoder, kept_only: bool) -> None:
    import ir_measures

    questions, judged, answers = liveqa()
    # One passage an answer, and a name of its own: "1.2.3" stands for an answer's name in a DOI.
    names = {f"10.0000/{number}": name for number, name in enumerate(answers)}
    with Library(folder, lexical=True, passage_characters=10**7) as library:
        for batch in batches(
            [
                Paper(answers[name][0], (Section("", answers[name][1] or answers[name][0]),), doi=doi)
                for doi, name in names.items()
            ],
            500,
        ):
            library.add(batch)
        print(library.counts())
        name_of = {
            row["id"]: names[row["doi"]]
            for row in library.execute("SELECT r.doi, p.id FROM passages p JOIN papers r ON r.id = p.paper")
        }
        number_of = {name: number for number, name in name_of.items()}
        vectors = Vectors(library, encoder, kept_only=kept_only)
        for form in ("summary", "whole"):
            runs: dict[str, dict[str, list[str]]] = {"BM25": {}, "dense": {}, "hybrid": {}}
            for qid, grades in judged.items():
                among = {number_of[name] for name in grades if name in number_of}
                lexical = [n for n, _ in lexical_ranking(library, questions[qid][form], 3000) if n in among]
                dense = vectors.ranking(questions[qid][form], among)
                for name, order in (
                    ("BM25", lexical),
                    ("dense", dense),
                    ("hybrid", [n for n, _ in fuse(lexical, dense)]),
                ):
                    runs[name][qid] = [name_of[n] for n in order]
            scores = {
                name: np.array([ndcg(judged[qid], order) for qid, order in made.items()]) for name, made in runs.items()
            }
            for name, values in scores.items():
                oracle = ir_measures.calc_aggregate(
                    [ir_measures.nDCG @ 10],
                    [ir_measures.Qrel(q, d, g) for q, grades in judged.items() for d, g in grades.items()],
                    [
                        ir_measures.ScoredDoc(q, d, -place)
                        for q, order in runs[name].items()
                        for place, d in enumerate(order)
                    ],
                )[ir_measures.nDCG @ 10]
                print(
                    f"LiveQA, {form}: {name:6} nDCG@10 {interval(values)} (ir-measures {oracle:.3f}), {len(values)} questions"
                )
            for one, other in (("hybrid", "BM25"), ("hybrid", "dense"), ("dense", "BM25")):
                print(f"  {one} - {other}: {interval(scores[one] - scores[other])}")


def ndcg(grades: dict[str, int], order: list[str]) -> float:
    """nDCG@10 with the grades 0..3 as gains, as trec_eval has it."""

    def gain(values: list[int]) -> float:
        return sum(value / np.log2(place + 2) for place, value in enumerate(values[:10]))

    best = gain(sorted(grades.values(), reverse=True))
    return gain([grades[name] for name in order]) / best if best else 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("which", choices=("pubmedqa", "liveqa"))
    parser.add_argument("--vectors", type=Path, default=Path(tempfile.gettempdir()) / "aris-vectors")
    parser.add_argument("--kept-only", action="store_true")
    given = parser.parse_args()
    encoder = KeptEncoder(given.vectors)
    with tempfile.TemporaryDirectory() as folder:
        (run_pubmedqa if given.which == "pubmedqa" else run_liveqa)(folder, encoder, given.kept_only)


if __name__ == "__main__":
    main()
