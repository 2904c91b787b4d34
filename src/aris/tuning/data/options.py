"""Options of an example's question, and the option that an answer names: one parser, for a base and a tuned model.

A question that lists lettered options ("A: adipose", one a line) has those; any other has the answers that the
examples of its task give.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from string import ascii_uppercase

from aris.errors import DataError
from aris.prompting import Tokenizer, split_thinking
from aris.tuning.data.examples import TokenizedExample

_LETTERED = re.compile(r"^\(?([A-Z])[:.)]\s+(\S.*?)\s*$", re.MULTILINE)
_FORMS = ("{letter}: {name}", "{letter}. {name}", "({letter}) {name}", "{letter}) {name}", "{letter}", "({letter})")
MAX_OPTIONS = 26


@dataclass(frozen=True)
class Choice:
    """The options of an example's last question.

    Attributes:
        options: their names, without letters.
        spelled: the same as the model writes them in an answer.
        right: index of the example's own answer.
    """

    options: tuple[str, ...]
    spelled: tuple[str, ...]
    right: int


def last_answer(example: TokenizedExample, tokenizer: Tokenizer) -> str:
    """Decode the text of an example's last answer, without the reasoning before it."""
    start, stop = example.spans()[-1]
    return split_thinking(tokenizer.decode(example.token_ids[start:stop]))[1].strip()


def choices(
    examples: Sequence[TokenizedExample], others: Iterable[TokenizedExample], tokenizer: Tokenizer
) -> list[Choice]:
    """Return the choice of each example of one task.

    Args:
        others: more examples of the task, whose answers are options too.

    Raises:
        DataError: the answers are too many to be options, or one is none of its question's options; names the task.
    """
    answers = [last_answer(each, tokenizer) for each in examples]
    known: tuple[str, ...] | None = None
    made = []
    for example, answer in zip(examples, answers, strict=True):
        found = _listed(example, tokenizer)
        if found is None:
            if known is None:
                known = tuple(sorted({*answers, *(last_answer(each, tokenizer) for each in others)}))
                if not 2 <= len(known) <= MAX_OPTIONS:
                    raise DataError(
                        f"rows: the task {example.task!r} has {len(known)} different answers, and its metric needs "
                        f"2 to {MAX_OPTIONS}; list lettered options in the question, or use exact_match or token_f1"
                    )
            made.append(Choice(known, known, known.index(answer)))
            continue
        right = parse(answer, found)
        if right is None:
            raise DataError(f"rows: an answer of the task {example.task!r} is none of its question's options")
        made.append(Choice(found, _spelled(found, answer, right), right))
    return made


def parse(answer: str, options: Sequence[str]) -> int | None:
    """Find the option that an answer names, as `aris.tasks.text.options.parse_option` does."""
    from aris.tasks.text.options import parse_option  # the tasks need more packages than training does

    return parse_option(answer, options)


def _listed(example: TokenizedExample, tokenizer: Tokenizer) -> tuple[str, ...] | None:
    """Find the lettered options of the last question, from A on; None if it lists none."""
    spans = example.spans()
    start = spans[-2][1] if len(spans) > 1 else 0
    text = tokenizer.decode(example.token_ids[start : spans[-1][0]])
    names: list[str] = []
    for letter, name in _LETTERED.findall(text):
        if letter == ascii_uppercase[len(names)]:
            names.append(name)
            if len(names) == MAX_OPTIONS:
                break
    return tuple(names) if len(names) > 1 else None


def _spelled(options: tuple[str, ...], answer: str, right: int) -> tuple[str, ...]:
    """Spell all options in the form of the example's own answer: whole, letter alone, or name alone."""
    letter, name = ascii_uppercase[right], options[right]
    for form in _FORMS:
        if answer == form.format(letter=letter, name=name):
            both = zip(ascii_uppercase, options, strict=False)
            return tuple(form.format(letter=each, name=one) for each, one in both)
    if answer.casefold() == name.casefold():
        return options
    # Some other form; scores compare the official one.
    return tuple(f"{each}: {one}" for each, one in zip(ascii_uppercase, options, strict=False))
