"""The check of a data set before the first step: its contents, and everything that is wrong with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from aris.errors import DataError
from aris.prompting import PromptProcessor
from aris.tuning.data.conversations import BadExample, PreferencePair, read_examples
from aris.tuning.data.examples import TokenizedExample, tokenize
from aris.tuning.data.image_folders import Labels
from aris.tuning.data.images import ImageBank
from aris.tuning.data.splits import Split, split_of
from aris.tuning.preference import pair_example
from aris.tuning.recipe import Recipe
from aris.tuning.refusals import CheckedExample, refusals

_SUFFIXES = (".jsonl", ".parquet")
_NO_LIMIT = 1 << 30


@dataclass(frozen=True)
class Lengths:
    """Statistics of lengths in tokens."""

    least: int
    median: int
    p95: int
    most: int
    total: int

    @classmethod
    def of(cls, values: Sequence[int]) -> Lengths:
        """Compute the statistics of at least one length."""
        middle, high = np.percentile(values, [50, 95])
        return cls(min(values), round(middle), round(high), max(values), sum(values))

    def to_dict(self) -> dict[str, int]:
        """Return plain values."""
        return {"min": self.least, "median": self.median, "p95": self.p95, "max": self.most, "total": self.total}


@dataclass(frozen=True)
class Piece:
    """A run of one example's tokens: `text`, and whether its tokens carry loss."""

    text: str
    learned: bool


@dataclass
class DataReport:
    """The findings of `check_data`.

    Attributes:
        rows: good rows by file.
        splits: of each file: "train", "validation", or "test", which no run touches.
        bad: every row that is wrong.
        tasks, groups: rows by task, and rows of each group; rows without a group are not in `groups`.
        pairs: preference rows among the rows.
        images: different images; `images_by_row`: rows by their number of images.
        tokens, answer_tokens: lengths of conversations (a pair counts as two), None without rows.
        too_long: rows over the limit, which a run refuses.
        refused: reasons why a run would not begin though each row is good (`refusals`); looked for if asked.
        leaks: groups that occur in more than one split.
        shared_images, shared_rows: images, and conversations without their group, that occur in more than one split.
            A run warns of both, and begins.
        example: one example as the model reads it.
    """

    rows: dict[str, int] = field(default_factory=dict)
    splits: dict[str, Split] = field(default_factory=dict)
    bad: list[BadExample] = field(default_factory=list)
    tasks: Counter[str] = field(default_factory=Counter)
    groups: Counter[str] = field(default_factory=Counter)
    pairs: int = 0
    images: int = 0
    images_by_row: Counter[int] = field(default_factory=Counter)
    tokens: Lengths | None = None
    answer_tokens: Lengths | None = None
    too_long: list[BadExample] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    leaks: int = 0
    shared_images: int = 0
    shared_rows: int = 0
    example: list[Piece] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """True if nothing is wrong; a run does not begin where training or validation has anything wrong."""
        return not (self.bad or self.too_long or self.leaks or self.refused) and sum(self.rows.values()) > 0

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; groups are counted and not named, as their names may tell of patients."""
        return {
            "good": self.good,
            "rows": self.rows,
            "splits": self.splits,
            "pairs": self.pairs,
            "tasks": dict(sorted(self.tasks.items())),
            "groups": len(self.groups),
            "leaking_groups": self.leaks,
            "refused": self.refused,
            "shared_images": self.shared_images,
            "shared_rows": self.shared_rows,
            "images": self.images,
            "images_by_row": {str(count): rows for count, rows in sorted(self.images_by_row.items())},
            "tokens": None if self.tokens is None else self.tokens.to_dict(),
            "answer_tokens": None if self.answer_tokens is None else self.answer_tokens.to_dict(),
            "wrong": [{"file": str(b.file), "line": b.line, "reason": b.reason} for b in [*self.bad, *self.too_long]],
            "example": [{"text": piece.text, "learned": piece.learned} for piece in self.example],
        }


def data_files(path: Path) -> list[Path]:
    """List a file as it is, or a folder's `.jsonl` and `.parquet` files in order of name.

    A folder without any, but with folders of images, is as it is, or as its folders that are named as splits.

    Raises:
        DataError: there is nothing there.
    """
    if path.is_dir():
        found = sorted(file for file in path.iterdir() if file.suffix in _SUFFIXES)
        if not found:
            folders = [each for each in path.iterdir() if each.is_dir() and not each.name.startswith(".")]
            found = sorted(each for each in folders if split_of(each) is not None) or [path] * bool(folders)
        if not found:
            raise DataError(f"{path}: holds no .jsonl or .parquet file and no folder; give the data's own folder")
        return found
    if not path.is_file():
        raise DataError(f"{path}: not there; give a JSON Lines or Parquet file, or a folder of them")
    return [path]


def file_splits(files: Sequence[Path]) -> dict[Path, Split]:
    """Assign each of `data_files` to a split: a single file is trained on, and so is a file whose name says no split.

    Raises:
        DataError: none is left to train on.
    """
    if len(files) == 1:
        return {files[0]: "train"}
    splits: dict[Path, Split] = {file: split_of(file) or "train" for file in files}
    if "train" not in splits.values():
        raise DataError(f"{files[0].parent}: no file to train on; name one train.jsonl")
    return splits


def check_data(
    path: Path,
    processor: PromptProcessor,
    *,
    max_tokens: int | None = None,
    labels: Labels | None = None,
    pairs: bool | None = None,
    recipe: Recipe | None = None,
    whole: bool = False,
) -> DataReport:
    """Read and tokenise every example, decode every image, and look for groups that lie in two files.

    Args:
        path: a file, or a folder whose files are its splits.
        processor: of the model that is to be tuned.
        max_tokens: rows over it are named.
        labels: a recipe's, for images in folders.
        pairs: True for preference rows alone, False for none of them, None for either.
        recipe: of the run that is meant.
        whole: look for reasons to refuse the set as a whole, by the recipe if there is one.

    Raises:
        DataError: a file cannot be read at all.
    """
    report, bank = DataReport(), ImageBank(1)
    groups: dict[str, set[str]] = {}
    images: dict[str, set[str]] = {}
    conversations: dict[tuple[Any, ...], set[str]] = {}
    lengths: list[int] = []
    answers: list[int] = []
    kept: dict[str, list[CheckedExample]] = {"train": [], "validation": [], "test": []}
    for file, split in file_splits(data_files(path)).items():
        examples, bad = read_examples(file, bank, labels=labels)
        report.rows[file.name], report.splits[file.name] = len(examples), split
        report.bad += bad
        for line, example in examples:
            is_pair = isinstance(example, PreferencePair)
            if pairs is not None and is_pair != pairs:
                reason = f"not a row for the objective {'preference' if pairs else 'answers'!r}"
                report.bad.append(BadExample(file, line, reason))
                report.rows[file.name] -= 1
                continue
            both = [example.chosen, example.rejected] if isinstance(example, PreferencePair) else [example]
            first = both[0]
            report.pairs += is_pair
            report.tasks[first.task] += 1
            shown = sum(isinstance(part, int) for turn in first.turns for part in turn.parts)
            report.images_by_row[shown] += 1
            if first.group:
                report.groups[first.group] += 1
                groups.setdefault(first.group, set()).add(split)
            tokenized = []
            for conversation in both:
                parts = [
                    (turn.role, bank.full_digests[part] if isinstance(part, int) else part, isinstance(part, int))
                    for turn in conversation.turns
                    for part in turn.parts
                ]
                conversations.setdefault((is_pair, *parts), set()).add(split)
                for _, part, is_image in parts:
                    if is_image:
                        images.setdefault(part, set()).add(split)
                tokens = tokenize(conversation, processor, _NO_LIMIT)
                assert tokens is not None
                tokenized.append(tokens)
                answers.append(sum(stop - start for start, stop in tokens.spans()))
                if not report.example:
                    report.example = pieces(tokens, processor)
            lengths += [len(tokens.token_ids) for tokens in tokenized]
            longest = max(len(tokens.token_ids) for tokens in tokenized)
            if whole:
                made = pair_example(*tokenized) if is_pair else tokenized[0]
                kept[split].append(CheckedExample(made, first.group, is_pair))
            if max_tokens is not None and longest > max_tokens:
                report.too_long.append(BadExample(file, line, f"{longest} tokens, the limit is {max_tokens}"))
    report.images = len(bank)
    leaks = [sum(len(splits) > 1 for splits in each.values()) for each in (groups, images, conversations)]
    report.leaks, report.shared_images, report.shared_rows = leaks
    if whole and any(report.rows.values()) and not (report.bad or report.too_long):
        report.refused = refusals(kept["train"], kept["validation"], processor, recipe)
    if lengths:
        report.tokens, report.answer_tokens = Lengths.of(lengths), Lengths.of(answers)
    return report


def pieces(example: TokenizedExample, processor: PromptProcessor) -> list[Piece]:
    """Cut an example's text, control tokens included, at the edges of the loss; an image's soft tokens are one mark."""
    tokenizer = processor.tokenizer
    cuts = sorted({0, len(example.token_ids), *(edge for span in example.spans() for edge in span)})
    starts = {start for start, _ in example.spans()}
    made = []
    for start, stop in pairwise(cuts):
        ids = example.token_ids[start:stop]
        made.append(Piece(_shown(ids, tokenizer.image_token_id, processor), start in starts))
    return made


def _shown(ids: list[int], image: int, processor: PromptProcessor) -> str:
    text, soft = "", 0
    run: list[int] = []
    for token in [*ids, None]:
        if token == image:
            soft += 1
            continue
        if soft:
            text += _decoded(run, processor) + f"[{soft} image tokens]"
            run, soft = [], 0
        if token is not None:
            run.append(token)
    return text + _decoded(run, processor)


def _decoded(ids: list[int], processor: PromptProcessor) -> str:
    return processor.tokenizer.decode(ids, skip_special_tokens=False) if ids else ""
