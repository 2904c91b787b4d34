"""The corpus: drafts say what their score says and no more than a label holds; no held-out row gets in."""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
import random
import re
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from aris.errors import DataError
from aris.tuning.data.examples import check_groups
from aris.tuning.nano import corpus, negatives
from aris.tuning.nano.looks import Looks
from aris.tuning.nano.questions import other_words, settled
from aris.tuning.nano.reports import LOOK_BITS, Scored, report
from aris.tuning.nano.studies import study

LABELS = ("normal", "bacterial pneumonia", "viral pneumonia")
SCORES: tuple[Scored, ...] = ("present", "not seen", "uncertain")
# What no label of ours holds. A draft that says it has made it up.
INVENTED = re.compile(
    r"\b(left|right|bilateral|unilateral|upper|middle|lower|lobes?|lobar|basal|base|apex|apical|perihilar|effusion|"
    r"pneumothorax|cardiac|heart|cardiomegaly|mediastin\w+|ribs?|bones?|fracture|tubes?|catheter|pacemaker|device|"
    r"prior|previous|compar\w+|unchanged|interval|worse\w*|improved|child\w*|infant|adult|year|old|male|female|"
    r"fever|cough|history|symptoms?|antibiotics?|treat\w*|therapy|admi\w+|repeat|ct|ultrasound|follow-?up)\b",
    re.IGNORECASE,
)


def drafts(label: str, scored: Scored, count: int = 600) -> list[str]:
    source = random.Random(0)
    return [report(label, scored, source) for _ in range(count)]


@pytest.mark.parametrize("scored", SCORES)
@pytest.mark.parametrize("label", LABELS)
def test_drafts_are_two_paragraphs_in_many_wordings(label: str, scored: Scored) -> None:
    texts = drafts(label, scored)
    assert len(set(texts)) > 300
    for text in texts:
        assert re.fullmatch(r"FINDINGS: \S[^\n]*\.\nIMPRESSION: \S[^\n]*\.", text)
        assert "radiologist" in text.splitlines()[1].lower(), "every impression ends with who has to look"


@pytest.mark.parametrize("scored", SCORES)
@pytest.mark.parametrize("label", LABELS)
def test_drafts_invent_nothing(label: str, scored: Scored) -> None:
    for text in drafts(label, scored):
        assert not INVENTED.search(text), INVENTED.search(text)


def test_a_pattern_comes_from_its_label_and_only_when_scored_present() -> None:
    for label, scored, words in (
        ("bacterial pneumonia", "present", {"bacterial"}),
        ("viral pneumonia", "present", {"viral"}),
        ("normal", "present", set()),
        ("bacterial pneumonia", "not seen", set()),
        ("viral pneumonia", "uncertain", set()),
    ):
        for text in drafts(label, scored, 100):  # type: ignore[arg-type]
            impression = text.splitlines()[1]
            said = {word for word in ("bacterial", "viral") if re.search(rf"\b{word}\b(?! by)", impression)}
            favoured = said if "rather than" not in impression else {re.findall("bacterial|viral", impression)[0]}
            assert favoured == words


@pytest.mark.parametrize("scored", SCORES)
@pytest.mark.parametrize("label", LABELS)
def test_the_check_of_the_drafts_agrees_with_what_they_were_written_for(label: str, scored: Scored) -> None:
    """The task that holds a draft to its score must take these, which the model imitates, as they are meant."""
    assertion = pytest.importorskip("aris.tasks.text.assertion")
    report_text = pytest.importorskip("aris.tasks.text.report")
    wanted = {"present": "present", "not seen": "absent", "uncertain": "uncertain"}[scored]
    for text in drafts(label, scored):
        sections, warnings = report_text.parse_report(text)
        assert warnings == () and report_text.repetition(sections.findings) is None
        assert assertion.contradiction(text, "pneumonia", scored) is None
        assert wanted in assertion.assertions(sections.impression, "pneumonia"), text


def test_training_and_use_ask_in_the_same_words() -> None:
    prompts = pytest.importorskip("aris.tasks.text.prompts")
    assert prompts.FINDING_QUESTION == corpus.FINDING_QUESTION
    assert prompts.GATE_QUESTION == corpus.GATE_QUESTION
    for scored in SCORES:
        asked = prompts.DRAFT_PROMPT.format(scored=f"pneumonia {scored}")
        assert asked == corpus.DRAFT_PROMPT.format(scored=scored)


@pytest.mark.parametrize("kinds", [negatives.TRAINING, negatives.HELD_OUT])
def test_negatives_repeat_by_seed_and_differ(kinds: dict[str, Any]) -> None:
    one, again, other = (negatives.generate(kinds, 2 * len(kinds), seed, 64) for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(one, again, strict=True))
    assert all(p.shape == (64, 64) and p.dtype == np.uint8 for p in one)
    assert sum(np.array_equal(a, b) for a, b in zip(one, other, strict=True)) <= 1  # two blanks may be the same grey


def test_kinds_kept_for_evaluation_are_never_trained_on() -> None:
    assert len(negatives.HELD_OUT) >= 4 and not set(negatives.TRAINING) & set(negatives.HELD_OUT)
    assert not set(negatives.TRAINING.values()) & set(negatives.HELD_OUT.values())


def test_spoilt_films_are_of_the_films_size_and_repeat() -> None:
    film = np.arange(64 * 64, dtype=np.int64).reshape(64, 64) // 16
    film = film.astype(np.uint8)
    for spoil in (negatives.shuffled, negatives.turned, negatives.enlarged):
        for seed in range(12):
            spoilt = spoil(film, seed)
            assert spoilt.shape == film.shape and spoilt.dtype == np.uint8 and np.array_equal(spoilt, spoil(film, seed))
            assert not np.array_equal(spoilt, film) and not np.array_equal(spoilt, film[:, ::-1])
    details = [negatives.enlarged(film, seed).astype(int) for seed in range(9)]
    assert max(np.ptp(detail) for detail in details) <= 0.32 * 256, "a detail, not the film"


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="chest_pediatric"):
        corpus.build(tmp_path)


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.data
def test_no_held_out_row_gets_in(data_dir: Path, real_corpus: corpus.Corpus) -> None:
    """By patient, image, pmid and question."""
    rows = [*real_corpus.train, *real_corpus.validation]
    groups = {row.group for row in rows}
    for prefix, folder in (("", "chest_pediatric"), ("nih ", "chest_nih64")):
        held_out = set()
        for row in table(data_dir / folder / "labels.csv"):
            if row["split"] == "test":
                held_out.add(prefix + row["patient"])
        assert len(held_out) > 10 and not held_out & groups
    images = {f"vqa {item['image']}" for item in lines(data_dir / "vqa_rad" / "test.jsonl")}
    assert len(images) > 50 and not images & groups
    pmids = json.loads((data_dir / "pubmedqa" / "test_ground_truth.json").read_text())
    assert len(pmids) == 500 and not {f"pmid {pmid}" for pmid in pmids} & groups
    assert sum(group.startswith("pmid ") for group in groups) > 400
    with gzip.open(data_dir / "medquad" / "medquad.jsonl.gz", "rt", encoding="utf-8") as file:
        items = [item for item in map(json.loads, file) if item["split"] == "test"]
    held_out = {item["question"].strip() for item in items}
    assert len(held_out) > 500 and not held_out & {row.question for row in rows}
    answers = {" ".join(item["answer"].split())[:300] for item in items}
    assert not answers & {" ".join(row.answer.split())[:300] for row in rows if row.task == "medquad"}


@pytest.mark.data
def test_no_held_out_pixels_get_in(data_dir: Path, real_corpus: corpus.Corpus) -> None:
    """By content: whatever the tables say, the image itself is not there."""

    def digest(pixels: np.ndarray) -> bytes:
        return hashlib.blake2b(np.ascontiguousarray(pixels).tobytes()).digest()

    bank = {digest(image) for image in real_corpus.images.numpy()}
    paths = [
        data_dir / folder / "images" / row["image"]
        for folder in ("chest_pediatric", "chest_nih64")
        for row in table(data_dir / folder / "labels.csv")
        if row["split"] == "test"
    ]
    paths += sorted({data_dir / "vqa_rad" / item["image"] for item in lines(data_dir / "vqa_rad" / "test.jsonl")})
    for path in paths:
        with Image.open(path) as image:
            size = (corpus.SIZE, corpus.SIZE)
            assert digest(np.asarray(image.convert("L").resize(size, Image.Resampling.BILINEAR))) not in bank, path


@pytest.mark.data
def test_the_rows_are_what_the_card_says(data_dir: Path, real_corpus: corpus.Corpus) -> None:
    check_groups(real_corpus.train, real_corpus.validation)
    counts = Counter(row.task for row in real_corpus.train)
    films = sum(row["split"] == "train" for row in table(data_dir / "chest_pediatric" / "labels.csv"))
    assert counts["pneumonia"] == counts["normal"] == counts["draft"] == films
    assert set(counts) == {row.task for row in real_corpus.validation}
    answers: dict[str, set[str]] = defaultdict(set)
    for row in real_corpus.train:
        answers[row.task].add(row.answer)
        assert row.answer and row.answer == row.answer.strip()
        assert row.image is None or 0 <= row.image < len(real_corpus.images)
    assert answers["pneumonia"] == answers["gate"] == answers["findings nih"] == {"Yes", "No"}
    assert answers["pubmedqa"] == {"Yes", "No", "Maybe"}
    assert answers["normal"] == answers["normal nih"] == {"Normal", "Abnormal"}
    drafted = [row for row in real_corpus.train if row.task == "draft"]
    assert 0.07 < sum(row.question.endswith("pneumonia uncertain.") for row in drafted) / len(drafted) < 0.13


@pytest.mark.data
def test_every_text_has_a_topic_and_both_splits_have_each_task(real_corpus: corpus.Corpus) -> None:
    """Rows without a group would slip past the check of groups."""
    for rows in (real_corpus.train, real_corpus.validation):
        assert all(row.group for row in rows if row.image is None and row.task != "gate")
    counts = Counter(row.task for row in real_corpus.validation)
    assert counts["medquad"] > 150 and counts["pubmedqa"] > 30 and counts["study"] > 150
    texts = [(row.question, row.answer) for row in real_corpus.train if row.task == "medquad"]
    assert len(set(texts)) == len(texts)


def test_a_look_chooses_the_wording() -> None:
    looks = [tuple(bool(n >> bit & 1) for bit in range(LOOK_BITS)) for n in range(2**LOOK_BITS)]
    for label, scored in (("normal", "not seen"), ("viral pneumonia", "present"), ("normal", "uncertain")):
        commonest = set()
        for look in looks[::5]:
            texts = [report(label, scored, random.Random(seed), look) for seed in range(60)]  # type: ignore[arg-type]
            assert 1 < len(set(texts)) < 60, "mostly the look's wording, and not always"
            commonest.add(Counter(texts).most_common(1)[0][0])
        assert len(commonest) > len(looks[::5]) / 2


def test_looks_are_of_the_film_and_split_films_evenly() -> None:
    source = torch.Generator().manual_seed(0)
    coarse = torch.rand(60, 1, 4, 4, generator=source)
    films = (torch.nn.functional.interpolate(coarse, size=(64, 64), mode="bilinear")[:, 0] * 255).to(torch.uint8)
    looks = Looks.of(films)
    bits = looks.bits(films)
    assert bits == looks.bits(films) and len(set(bits)) > 20 and all(len(each) == LOOK_BITS for each in bits)
    assert all(10 < sum(each[bit] for each in bits) < 50 for bit in range(LOOK_BITS))


def test_studies_are_many_and_their_result_is_in_the_last_part() -> None:
    made = [study(random.Random(number)) for number in range(1500)]
    assert study(random.Random(7)) == made[7]
    assert len({question for question, _, _ in made}) > 1200
    counts = Counter(decision for _, _, decision in made)
    assert set(counts) == {"yes", "no", "maybe"} and min(counts.values()) > 150
    for question, parts, decision in made:
        assert question.endswith("?") and len(parts) == 3 and all(part.endswith(".") for part in parts)
        text = corpus.study_prompt(question, parts)
        assert text.count(question) == 2 and "  " not in text and "{" not in text
        if decision == "yes" and "vs" in parts[2] and "equally" not in question:
            assert "no significant difference" not in parts[2]


def test_a_long_abstract_keeps_its_end() -> None:
    prompt = corpus.study_prompt("Q?", ["aim " * 900, "the result"], limit=400)
    assert "the result\nQuestion: Q?" in prompt and "Study: ... aim" in prompt and len(prompt) < 500


@pytest.mark.parametrize(
    ("question", "answer", "expected"),
    [
        ("Is/Are there a pleural effusion?", "Yes", ("Is there evidence of pleural effusion?", "Yes")),
        ("Is there any evidence of free air? -yes/no", "No", ("Does this image show free air?", "No")),
        ("Is the trachea normal?", "No", ("Is the trachea abnormal?", "Yes")),
        ("Is this an abnormal image?", "Yes", ("Is this a normal image?", "No")),
    ],
)
def test_questions_in_other_words(question: str, answer: str, expected: tuple[str, str]) -> None:
    assert expected in other_words(question, answer)


def test_questions_that_no_rule_fits_are_left_alone() -> None:
    for question, answer in (
        ("Is the heart normal or enlarged?", "Yes"),
        ("Which lung?", "No"),
        ("Is there air?", "Flair"),
    ):
        assert other_words(question, answer) == []


def test_what_an_answer_settles() -> None:
    asked = [("What modality?", "MODALITY", "MRI - T2 weighted"), ("Plane?", "PLANE", "Axial"), ("Where?", "POS", "CT")]
    said = dict(settled("HEAD", asked))
    assert said["Is this an image of the head?"] == "Yes" and said["Is this an image of the chest?"] == "No"
    assert said["Is this an MRI?"] == "Yes" and said["Is this a CT?"] == "No" and said["Is this an X-ray?"] == "No"
    assert said["Is this an axial image?"] == "Yes" and said["Is this a coronal image?"] == "No"
    assert len(dict(settled("HEAD", [("CT or MRI?", "MODALITY", "CT"), ("Which?", "MODALITY", "MRI")]))) == 3


@pytest.mark.data
def test_the_corpus_repeats_by_seed(data_dir: Path, real_corpus: corpus.Corpus) -> None:
    again = corpus.build(data_dir, drafts_per_film=1)
    assert again.train == real_corpus.train and again.validation == real_corpus.validation
    assert np.array_equal(again.images.numpy(), real_corpus.images.numpy())
