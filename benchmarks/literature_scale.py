"""A library of 100,000 passages: time to build, size, and the time of a query.

    nice -n 10 python benchmarks/literature_scale.py [--passages 100000] [--vectors-timed 200] [--keep FOLDER]

The passages are cut from MedQuAD's answers and PubMedQA's abstracts, and from copies of them whose words are drawn anew
from the same corpus, so that words are as frequent as there. The vectors of the queries are real ones. Those of the
passages are drawn, as making them takes hours on two cores: the rate of that is measured on some, and told apart. To a
search it makes no difference what stands in a vector: each is multiplied.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path

import numpy as np

from aris.literature import Encoder, Library, Paper, Section, search
from aris.literature.encoder import default_folder
from literature_data import batches, flat, medquad, pubmedqa, pubmedqa_test


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--passages", type=int, default=100_000)
    parser.add_argument("--vectors-timed", type=int, default=200)
    parser.add_argument("--keep", type=Path, help="the library's folder, kept; one that is full is only searched")
    given = parser.parse_args()
    with nullcontext(str(given.keep)) if given.keep else tempfile.TemporaryDirectory() as folder:
        encoder = Encoder(default_folder() or "")
        with Library(folder, encoder=encoder) as library:
            if library.counts()["passages"] < given.passages:
                build(library, encoder, given.passages, given.vectors_timed)
            measure(library, Path(folder))


def build(library: Library, encoder: Encoder, passages: int, timed: int) -> None:
    draw = random.Random(0)
    rows = pubmedqa()
    texts = [flat(" ".join(row["CONTEXTS"])) for row in rows.values()] + [flat(row["answer"]) for row in medquad()]
    words = " ".join(texts).split()
    papers = [Paper(" ".join(text.split()[:12]), (Section("", text),)) for text in texts]
    started, spent = time.perf_counter(), time.process_time()
    for batch in batches(papers, 200):
        library.add(batch)
    while (count := library.counts()["passages"]) < passages:
        made = []
        for _ in range(200):
            start = draw.randrange(len(words) - 200)
            body = [draw.choice(words) if draw.random() < 0.3 else words[start + place] for place in range(170)]
            made.append(Paper(" ".join(body[:12]), (Section("", " ".join(body)),)))
        library.add(made)
    print(
        f"words: {count} passages added in {time.perf_counter() - started:.0f} s, "
        f"{time.process_time() - spent:.0f} s of processor time"
    )
    sample = [row["text"] for row in library.execute("SELECT text FROM passages ORDER BY id LIMIT ?", (timed,))]
    spent = time.process_time()
    encoder.encode(sample)
    rate = len(sample) / (time.process_time() - spent)
    print(f"vectors: {rate:.1f} passages a second of processor time, so {count / rate / 60:.0f} minutes for {count}")
    random_rows = np.random.default_rng(0)
    numbers = [row["id"] for row in library.execute("SELECT id FROM passages")]
    library.missing_vectors()
    for batch in batches(numbers, 5000):
        drawn = random_rows.standard_normal((len(batch), encoder.width)).astype(np.float32)
        drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
        library.keep_vectors(
            [(number, row.astype("<f2").tobytes()) for number, row in zip(batch, drawn, strict=True)]
        )


def measure(library: Library, folder: Path) -> None:
    size = sum(path.stat().st_size for path in folder.iterdir())
    print(f"size: {size / 2**20:.0f} MiB for {library.counts()['passages']} passages with vectors")
    spent = time.process_time()
    library.vectors()
    print(f"vectors made ready in {time.process_time() - spent:.2f} s of processor time, once a process")
    rows = pubmedqa()
    questions = [rows[pmid]["QUESTION"] for pmid in sorted(pubmedqa_test())][:200]
    for mode in ("lexical", "dense", "hybrid"):
        took, used = [], []
        for question in questions:
            started, spent = time.perf_counter(), time.process_time()
            search(library, question, mode=mode)
            took.append(time.perf_counter() - started)
            used.append(time.process_time() - spent)
        print(
            f"{mode}: median {1000 * np.median(took):.0f} ms, p95 {1000 * np.percentile(took, 95):.0f} ms; "
            f"of processor time {1000 * np.median(used):.0f} and {1000 * np.percentile(used, 95):.0f} ms "
            f"({len(questions)} questions)"
        )


if __name__ == "__main__":
    main()
