"""How often our ConText-style engine agrees with people on negation, time and experiencer.

    python benchmarks/text_context.py DATA [--save FILE]

DATA holds `context_negex/sentences.txt` (evaluation only: the triggers are written from public descriptions of ConText
and NegEx and from sentences of our own; this prints totals and never a sentence). The finding's place is given by its
capitals, as the set gives it. Precision, recall and F1 are of the marked class (negated; historical; hypothetical;
other), with 95 % bootstrap intervals over the rows; "macro" is the mean F1 over the classes of an axis.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
from collections.abc import Sequence
from pathlib import Path

from aris.records.text import Mention, Terms, assess, tokens


def place_of(concept: str, sentence: str) -> tuple[int, int]:
    """Where the finding stands: its words in capitals, else its words in any spelling, else the whole sentence."""
    for text, wanted in ((sentence, concept.upper().strip()), (sentence.lower(), concept.lower().strip())):
        at = text.find(wanted)
        if at >= 0:
            return at, at + len(wanted)
    words = tokens(sentence)
    found = Terms({concept: "it"}).find(words) if tokens(concept) else []
    return (words[found[0].first].start, words[found[0].last - 1].end) if found else (0, len(sentence))


def said(mention: Mention) -> tuple[str, str, str]:
    """The three labels of the set."""
    return ("Negated" if mention.negated else "Affirmed", mention.temporality.capitalize(), mention.experiencer.capitalize())


def scores(rows: Sequence[tuple[str, str]], label: str) -> tuple[float, float, float]:
    """Precision, recall and F1 of a label over pairs of truth and answer."""
    both = sum(truth == answer == label for truth, answer in rows)
    told, true = sum(answer == label for _, answer in rows), sum(truth == label for truth, _ in rows)
    precision, recall = both / told if told else 0.0, both / true if true else 0.0
    return precision, recall, 2 * both / (told + true) if told + true else 0.0


def interval(rows: Sequence[tuple[str, str]], label: str, draws: int = 500) -> tuple[float, float]:
    """The 95 % bootstrap interval of F1."""
    chance = random.Random(1)
    drawn = sorted(scores(chance.choices(rows, k=len(rows)), label)[2] for _ in range(draws))
    return drawn[int(0.025 * draws)], drawn[int(0.975 * draws)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--save", type=Path, help="also write the figures as JSON")
    arguments = parser.parse_args()
    rows: list[tuple[tuple[str, str, str], tuple[str, str, str]]] = []
    with (arguments.data / "context_negex" / "sentences.txt").open(encoding="utf-8", newline="") as file:
        for row in csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
            if len(row) < 7:
                continue
            concept, sentence = row[2], row[3]
            time, who = row[5].strip(), row[6].strip()
            truth = (row[4].strip(), "Hypothetical" if time == "Not particular" else time, "Patient" if who == "Patient" else "Other")
            sentence = sentence.strip('"')
            [mention] = assess(sentence, [place_of(concept, sentence)])
            rows.append((truth, said(mention)))
    figures = {}
    for axis, (name, labels) in enumerate(
        (("negation", ("Negated",)), ("temporality", ("Historical", "Hypothetical", "Recent")), ("experiencer", ("Other",)))
    ):
        pairs = [(truth[axis], answer[axis]) for truth, answer in rows]
        for label in labels:
            precision, recall, f1 = scores(pairs, label)
            low, high = interval(pairs, label)
            count = sum(truth == label for truth, _ in pairs)
            print(f"{name:12} {label:13} n {count:4}  precision {precision:.3f}  recall {recall:.3f}  F1 {f1:.3f} ({low:.3f} to {high:.3f})")
            figures[f"{name} {label}"] = {"n": count, "precision": precision, "recall": recall, "f1": f1, "interval": [low, high]}
        if len(labels) > 1:
            print(f"{name:12} macro F1 {sum(scores(pairs, label)[2] for label in labels) / len(labels):.3f}")
        print(f"{name:12} agreement {sum(truth == answer for truth, answer in pairs) / len(pairs):.4f}")
    print(f"{len(rows)} rows")
    if arguments.save:
        arguments.save.write_text(json.dumps({"rows": len(rows), "figures": figures}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
