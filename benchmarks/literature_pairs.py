"""Sentence-passage pairs of answers, for a judge who sees only the pair, with decoys among them; the key lies apart.

    python benchmarks/literature_pairs.py PAIRS.jsonl KEY.jsonl [--model aris-nano] [--count 200] [--decoys 20]

Questions and papers are PubMedQA's 500 held-out ones, without titles. A decoy is an answer's sentence beside the passage
of another answer: a judge who accepts those has not looked.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
from pathlib import Path

from aris.literature import Library
from aris.tasks.literature import answer
from literature_data import batches, context_paper, pubmedqa, pubmedqa_test


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", type=Path)
    parser.add_argument("key", type=Path)
    parser.add_argument("--model")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--decoys", type=int, default=20)
    given = parser.parse_args()
    model = None
    if given.model:
        import aris

        model = aris.load(given.model)
    draw = random.Random(18)
    rows, pmids = pubmedqa(), sorted(pubmedqa_test())
    draw.shuffle(pmids)
    made = []
    removed = 0
    with tempfile.TemporaryDirectory() as folder, Library(folder, lexical=True) as library:
        for batch in batches([context_paper(pmid, rows[pmid], sections=True) for pmid in pmids]):
            library.add(batch)
        for pmid in pmids:
            found = answer(library, rows[pmid]["QUESTION"], model)
            removed += len(found.removed)
            passages = {each.number: each for each in found.passages}
            for each in found.sentences:
                made.append((each.kind, each.text, passages[each.references[0]].text, rows[pmid]["QUESTION"]))
            if len(made) >= given.count:
                break
    made = made[: given.count]
    decoys = []
    for _, sentence, passage, question in draw.sample(made, given.decoys):
        other = draw.choice([each[2] for each in made if each[3] != question and each[2] != passage])
        decoys.append(("decoy", sentence, other, question))
    shown = made + decoys
    draw.shuffle(shown)
    given.pairs.write_text(
        "".join(
            json.dumps({"id": number, "sentence": each[1], "passage": each[2]}) + "\n"
            for number, each in enumerate(shown)
        )
    )
    given.key.write_text(
        "".join(
            json.dumps({"id": number, "kind": each[0], "question": each[3]}) + "\n" for number, each in enumerate(shown)
        )
    )
    print(
        {kind: sum(each[0] == kind for each in shown) for kind in ("verbatim", "model", "decoy")},
        f"sentences of the model that were removed: {removed}",
    )


if __name__ == "__main__":
    main()
