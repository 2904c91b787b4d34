"""Training rows: conversations as token ids with a loss mask.

Only the assistant's tokens and the `<end_of_turn>` that closes them carry loss; the prompt never does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aris.errors import DataError
from aris.prompting import Message, PromptProcessor, Text, render
from aris.prompting.gguf_vocabulary import IMAGE_SOFT_TOKEN
from aris.prompting.tokenizer import END_OF_IMAGE, END_OF_TURN, START_OF_IMAGE


@dataclass(frozen=True)
class Row:
    """One example: one question, about one picture or none, and its answer.

    Attributes:
        task: for the mixture and for reports.
        question, answer: the user's and the model's text.
        picture: index into the pictures of the corpus, or None.
        group: whoever it is about (a patient); a group lies in one split only.
    """

    task: str
    question: str
    answer: str
    picture: int | None = None
    group: str = ""


@dataclass(frozen=True)
class TokenRow:
    """A row ready for the model: `token_ids[answer_start:]` carry loss."""

    task: str
    token_ids: list[int]
    answer_start: int
    picture: int | None


def tokenize(row: Row, processor: PromptProcessor, max_tokens: int) -> TokenRow | None:
    """Token ids of a row, exactly as a prompt of it followed by its answer; None if longer than `max_tokens`."""
    marker = [START_OF_IMAGE] if row.picture is not None else []
    soft = f"\n\n{START_OF_IMAGE}{IMAGE_SOFT_TOKEN * processor.mm_tokens_per_image}{END_OF_IMAGE}\n\n"
    # The same string as the renderer makes of an image and a text part.
    question = render([Message("user", (Text(row.question),))])
    if marker:
        opening = "<start_of_turn>user\n"
        head, tail = question.split(opening, 1)
        question = head + opening + soft + tail
    prompt = processor.tokenizer.encode(question)
    answer = processor.tokenizer.encode(row.answer.strip() + END_OF_TURN)
    if len(prompt) + len(answer) > max_tokens:
        return None
    return TokenRow(row.task, prompt + answer, len(prompt), row.picture)


def check_groups(train: Sequence[Row], validation: Sequence[Row]) -> None:
    """Raise `DataError` if a group is in both splits: what is measured there would be memory."""
    shared = {row.group for row in train if row.group} & {row.group for row in validation if row.group}
    if shared:
        raise DataError(f"data: {len(shared)} groups are in training and validation both; split by patient")
