"""Which options a row chooses among, and which one an answer names: one parser, for a base model and a tuned one.

A question that lists lettered options ("A: adipose", one a line) has those; any other has the answers that the rows
of its task give.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from string import ascii_uppercase

from aris.errors import DataError
from aris.prompting import Tokenizer, split_thinking
from aris.tuning.data.rows import TokenRow

_LETTERED = re.compile(r"^\(?([A-Z])[:.)]\s+(\S.*?)\s*$", re.MULTILINE)
_FORMS = ("{letter}: {name}", "{letter}. {name}", "({letter}) {name}", "{letter}) {name}", "{letter}", "({letter})")
MOST_OPTIONS = 26


@dataclass(frozen=True)
class Choice:
    """A row's last question.

    Attributes:
        options: their names, without letters.
        spelled: the same as the model writes them in an answer.
        right: index of the row's own answer.
    """

    options: tuple[str, ...]
    spelled: tuple[str, ...]
    right: int


def last_answer(row: TokenRow, tokenizer: Tokenizer) -> str:
    """The text of a row's last answer, without the thought before it."""
    start, stop = row.spans()[-1]
    return split_thinking(tokenizer.decode(row.token_ids[start:stop]))[1].strip()


def choices(rows: Sequence[TokenRow], others: Iterable[TokenRow], tokenizer: Tokenizer) -> list[Choice]:
    """The choice that each row of one task makes.

    Args:
        rows: whose choices are returned.
        others: more rows of the task, whose answers are options too.

    Raises:
        DataError: the answers are too many to be options, or one is none of the row's options; names the task.
    """
    answers = [last_answer(row, tokenizer) for row in rows]
    known: tuple[str, ...] | None = None
    made = []
    for row, answer in zip(rows, answers, strict=True):
        found = _listed(row, tokenizer)
        if found is None:
            if known is None:
                known = tuple(sorted({*answers, *(last_answer(each, tokenizer) for each in others)}))
                if not 2 <= len(known) <= MOST_OPTIONS:
                    raise DataError(
                        f"rows: the task {row.task!r} has {len(known)} different answers, and its metric needs 2 to "
                        f"{MOST_OPTIONS}; list lettered options in the question, or use exact_match or token_f1"
                    )
            made.append(Choice(known, known, known.index(answer)))
            continue
        right = parse(answer, found)
        if right is None:
            raise DataError(f"rows: an answer of the task {row.task!r} is none of its question's options")
        made.append(Choice(found, _spelled(found, answer, right), right))
    return made


def parse(answer: str, options: Sequence[str]) -> int | None:
    """The option that an answer names, as `aris.tasks.text.options.parse_option` reads it."""
    from aris.tasks.text.options import parse_option  # the tasks need more packages than training does

    return parse_option(answer, options)


def _listed(row: TokenRow, tokenizer: Tokenizer) -> tuple[str, ...] | None:
    """The lettered options of the last question, from A on, or None."""
    spans = row.spans()
    start = spans[-2][1] if len(spans) > 1 else 0
    text = tokenizer.decode(row.token_ids[start : spans[-1][0]])
    names: list[str] = []
    for letter, name in _LETTERED.findall(text):
        if letter == ascii_uppercase[len(names)]:
            names.append(name)
            if len(names) == MOST_OPTIONS:
                break
    return tuple(names) if len(names) > 1 else None


def _spelled(options: tuple[str, ...], answer: str, right: int) -> tuple[str, ...]:
    """All options in the form of the one that is the row's answer: whole, letter alone, or name alone."""
    letter, name = ascii_uppercase[right], options[right]
    for form in _FORMS:
        if answer == form.format(letter=letter, name=name):
            both = zip(ascii_uppercase, options, strict=False)
            return tuple(form.format(letter=each, name=one) for each, one in both)
    if answer.casefold() == name.casefold():
        return options
    # Some other form; scores compare the official one.
    return tuple(f"{each}: {one}" for each, one in zip(ascii_uppercase, options, strict=False))
