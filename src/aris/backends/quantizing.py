"""From a model's name to a quantised folder: texts become token ids, and the files around the weights go with them."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from aris.backends.loading import resolve_device, tokenizer_of
from aris.backends.memory import memory_errors
from aris.checkpoints import Calibration, QuantizationReport, Rounding, open_checkpoint, quantize_checkpoint
from aris.checkpoints.embedded import NAME as NANO
from aris.checkpoints.embedded import files as nano_files
from aris.errors import DataError
from aris.prompting import Tokenizer

# Tokens of a calibration sequence, and how many sequences are taken at most: GPTQ's own 128, and no more than needed.
SEQUENCE = 512
SEQUENCES = 128
# Files beside the weights that tell how to use them and on what terms.
_BESIDE = (
    "generation_config.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
    "chat_template.json", "chat_template.jinja", "processor_config.json", "tokenizer.model",
    "LICENSE*", "NOTICE*", "*TERMS*", "MODEL_CARD.md", "README.md",
)  # fmt: skip


def quantize(
    name: str | Path,
    out: str | Path,
    format: str,
    *,
    group_size: int | None = None,
    head: str = "int8",
    calibrate: str | Path | None = None,
    sequences: int = SEQUENCES,
    device: str | torch.device = "cpu",
    revision: str | None = None,
    step: Callable[[str], None] = lambda name: None,
) -> QuantizationReport:
    """Write a quantised copy of a model that `aris.load` opens in place.

    The decoder is rounded; tower, projector and norms keep their precision, adapters of the model's own are folded in
    before. Findings of the copy are uncalibrated: probabilities that were fitted to the dense weights do not hold.

    Args:
        name: as for `aris.load`.
        out: a folder that does not exist; it appears when all is written, or not at all.
        format: "int8" or "int4".
        group_size: columns that share a scale; None is 64 for int4 and whole rows for int8.
        head: "int8", "int4" or "keep", of the tied embedding.
        calibrate: a `.txt` (texts apart by empty lines) or `.jsonl` file (`text`, or `question` and `answer`, or
            `messages`), gzipped or not: rounds by these texts (GPTQ, arXiv 2210.17323).
        sequences: of 512 tokens that are taken from the file at most, evenly spaced.
        device: where layers are run and rounded.
        step: called with each matrix's name when it is written.

    Raises:
        CheckpointError: the source is missing, damaged or quantised already, `out` exists, or the disk is full.
        ModelError: an unknown format, a group that does not divide a width, or too little memory.
        DataError: the calibration file is missing, malformed or too short.
    """
    location = resolve_device(device)
    checkpoint = open_checkpoint(str(name), revision=revision)
    tokenizer = tokenizer_of(checkpoint.tokenizer)
    calibration = None if calibrate is None else _calibration(Path(calibrate).expanduser(), tokenizer, sequences)
    beside = checkpoint.tokenizer.path.parent if checkpoint.tokenizer.path is not None else None
    if checkpoint.spec is not None and checkpoint.spec.name == NANO:
        beside = nano_files()

    def finish(folder: Path) -> None:
        if checkpoint.tokenizer.path is not None:
            shutil.copyfile(checkpoint.tokenizer.path, folder / "tokenizer.json")
        else:
            tokenizer.save(folder / "tokenizer.json")
        for pattern in _BESIDE if beside is not None else ():
            for file in sorted(beside.glob(pattern)) if beside is not None else ():
                if file.is_file():
                    shutil.copyfile(file, folder / file.name)

    with memory_errors(location):
        return quantize_checkpoint(
            checkpoint,
            Path(out).expanduser(),
            Rounding(format, group_size, head),
            calibration=calibration,
            device=location,
            finish=finish,
            step=step,
        )


def _calibration(path: Path, tokenizer: Tokenizer, most: int) -> Calibration:
    """Sequences of SEQUENCE tokens, each from the start of a text and through as many as fill it."""
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rt", encoding="utf-8") as file:
            content = file.read()
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; give a .txt or .jsonl file of texts") from None
    except (OSError, UnicodeDecodeError, EOFError):
        raise DataError(f"{path}: not readable as UTF-8 text; give a .txt or .jsonl file of texts") from None
    plain = path.with_suffix("") if path.suffix == ".gz" else path
    texts = _json_texts(path, content) if plain.suffix in (".jsonl", ".json") else _paragraphs(content)
    made: list[list[int]] = []
    row: list[int] = []
    for text in texts:
        row += tokenizer.encode(text, add_bos=not row) + ([] if not row else tokenizer.encode("\n\n"))
        if len(row) >= SEQUENCE:
            made.append(row[:SEQUENCE])
            row = []
    if not made:
        raise DataError(f"{path}: {len(row)} tokens of text; calibration needs {SEQUENCE} at least, better 20,000")
    chosen = [made[index * len(made) // most] for index in range(most)] if len(made) > most else made
    digest = hashlib.sha256(content.encode()).hexdigest()
    return Calibration(chosen, {"sequences": len(chosen), "tokens_each": SEQUENCE, "text_sha256": digest})


def _paragraphs(content: str) -> Iterator[str]:
    for part in content.replace("\r\n", "\n").split("\n\n"):
        if part.strip():
            yield part.strip()


def _json_texts(path: Path, content: str) -> Iterator[str]:
    for number, line in enumerate(content.splitlines(), 1):
        if not line.strip():
            continue
        try:
            text = _text(json.loads(line))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise DataError(
                f"{path}: line {number} has no text; give JSON objects with text, question and answer, or messages"
            ) from None
        if text:
            yield text


def _text(item: Any) -> str:
    """The text of one row.

    Raises:
        KeyError, TypeError, AttributeError: it has none.
    """
    if isinstance(item, str):
        return item.strip()
    if "messages" in item:
        parts = [message["content"] for message in item["messages"]]
        return "\n".join(part for part in parts if isinstance(part, str)).strip()
    if "text" in item:
        return str(item["text"].strip())
    question = item["question"] if "question" in item else item["prompt"]
    answer = item["answer"] if "answer" in item else item["response"]
    return f"{question.strip()}\n{answer.strip()}"
