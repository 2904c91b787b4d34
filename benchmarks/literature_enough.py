"""How often a library says that it does not hold enough: questions whose papers it has, and questions whose it has not.

    python benchmarks/literature_enough.py [--vectors FOLDER]

The threshold is fitted on PubMedQA's 500 questions that may be trained on: a library of the papers of half of them is
asked all, and MedQuAD's training questions. The figures are of PubMedQA's 500 held-out questions: a library of 250 of
their papers is asked 200 of those, and 100 others: 34 whose papers are not there, 33 of BioASQ, 33 of MedQuAD's test.
"""

from __future__ import annotations

import argparse
import random
import tempfile
from pathlib import Path

import numpy as np

from aris.literature import Library, search
from aris.tasks.literature import selecting
from literature_data import KeptEncoder, batches, bioasq, context_paper, medquad, pubmedqa, pubmedqa_test, wilson


def library(folder: Path, pmids: list[str], encoder: KeptEncoder) -> Library:
    rows = pubmedqa()
    made = Library(folder, encoder=encoder, passage_characters=10**7)
    for batch in batches([context_paper(pmid, rows[pmid]) for pmid in pmids], 500):
        made.add(batch)
    for _ in made.add_vectors(500):
        pass
    return made


def features(kept: Library, question: str) -> tuple[list[tuple[float, float]], float]:
    """(words covered, cosine) of each hit, and the sufficiency that is shipped."""
    hits = search(kept, question, count=10, per_paper=3)
    weights = selecting.Weights(kept, question)
    pairs = [(weights.covered(f"{hit.paper.title} {hit.passage.text}"), hit.similarity or 0.0) for hit in hits]
    return pairs, selecting.sufficiency(weights, hits)


def best(pairs: list[tuple[float, float]], weight: float) -> float:
    return max(((1 - weight) * covered + weight * max(0.0, cosine) for covered, cosine in pairs), default=0.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vectors", type=Path, default=Path(tempfile.gettempdir()) / "aris-vectors")
    given = parser.parse_args()
    encoder = KeptEncoder(given.vectors)
    draw = random.Random(18)
    rows, held_out = pubmedqa(), pubmedqa_test()
    train = sorted(set(rows) - held_out)
    draw.shuffle(train)
    pairs_of = {}
    quads = medquad()
    with tempfile.TemporaryDirectory() as folder, library(Path(folder), train[:250], encoder) as kept:
        inside = [features(kept, rows[pmid]["QUESTION"])[0] for pmid in train[:250]]
        outside = [features(kept, rows[pmid]["QUESTION"])[0] for pmid in train[250:]]
        asked = draw.sample([each["question"] for each in quads if each["split"] == "train"], 250)
        outside += [features(kept, question)[0] for question in asked]
        pairs_of = {"inside": inside, "outside": outside}
    for weight in (0.0, 0.25, 0.4, 0.5, 0.6, 0.75, 1.0):
        yes = np.array([best(each, weight) for each in pairs_of["inside"]])
        no = np.array([best(each, weight) for each in pairs_of["outside"]])
        # The threshold where both shares are as far above what is asked for as they can be together.
        grid = np.arange(0.05, 0.99, 0.01)
        chosen = max(grid, key=lambda t: min((yes >= t).mean() - 0.85, (no < t).mean() - 0.90))
        mark = " (shipped)" if weight in (0.0, selecting.COSINE_WEIGHT) else ""
        print(f"fitted: weight of the cosine {weight}: from {chosen:.2f} on {(yes >= chosen).mean():.3f} of those inside are "
              f"answered, {(no < chosen).mean():.3f} of those outside are not{mark}")  # fmt: skip
    test = sorted(held_out)
    draw.shuffle(test)
    others = [rows[pmid]["QUESTION"] for pmid in draw.sample(test[250:], 34)]
    others += draw.sample([each["body"] for each in bioasq()], 33)
    others += draw.sample([each["question"] for each in quads if each["split"] == "test"], 33)
    with tempfile.TemporaryDirectory() as folder, library(Path(folder), test[:250], encoder) as kept:
        for name, threshold in (("with vectors", selecting.ENOUGH), ("by words alone", selecting.ENOUGH_LEXICAL)):
            weight = selecting.COSINE_WEIGHT if name == "with vectors" else 0.0
            yes = [best(features(kept, rows[pmid]["QUESTION"])[0], weight) >= threshold for pmid in test[:200]]
            no = [best(features(kept, question)[0], weight) < threshold for question in others]
            print(f"held out, {name} (threshold {threshold}): answered {wilson(sum(yes), len(yes))} of those inside, "
                  f"'not enough' {wilson(sum(no), len(no))} of those outside "
                  f"(PubMedQA {sum(no[:34])}/34, BioASQ {sum(no[34:67])}/33, MedQuAD {sum(no[67:])}/33)")  # fmt: skip


if __name__ == "__main__":
    main()
