"""Training examples: conversations as token ids with a loss mask.

Only the assistant's tokens and the `<end_of_turn>` that closes them carry loss; the prompt never does.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from aris.checkpoints.pieces import IMAGE_SOFT_TOKEN
from aris.errors import DataError
from aris.prompting import PromptProcessor
from aris.prompting.chat import CONTROL_TOKEN, neutralize
from aris.prompting.thinking import BEGIN_REASONING, END_REASONING
from aris.prompting.tokenizer import BOS, END_OF_IMAGE, END_OF_TURN, START_OF_IMAGE, START_OF_TURN


@dataclass(frozen=True)
class Example:
    """An example of one question, about one image or none, and its answer.

    Attributes:
        task: for the mixture and for reports.
        question, answer: the user's and the model's text.
        image: index into the images of the corpus, or None.
        group: whom it is about (a patient); a group lies in one split only.
    """

    task: str
    question: str
    answer: str
    image: int | None = None
    group: str = ""


@dataclass(frozen=True)
class Turn:
    """A turn of a conversation: texts and, as an int, indices into the images of the corpus, in reading order."""

    role: str
    parts: tuple[str | int, ...]


@dataclass(frozen=True)
class Conversation:
    """A conversation of any number of turns and images, with the attributes of an `Example` beside its text.

    Attributes:
        turns: an optional "system" turn, then "user" and "assistant" in strict alternation, the last the assistant's.
        weight: of the example's loss beside others of its batch, > 0.
    """

    task: str
    turns: tuple[Turn, ...]
    group: str = ""
    weight: float = 1.0


@dataclass(frozen=True)
class TokenizedExample:
    """An example as token ids, ready for the model.

    Attributes:
        answer_start: `token_ids[answer_start:]` begins the first answer.
        image: the first image, or None.
        answers: half-open spans of `token_ids` that carry loss; () means the one from `answer_start` to the end.
        images: every image, in the order of its soft tokens; () means `image`, if any.
        weight: as in `Conversation`.
    """

    task: str
    token_ids: list[int]
    answer_start: int
    image: int | None
    answers: tuple[tuple[int, int], ...] = ()
    images: tuple[int, ...] = ()
    weight: float = 1.0

    def spans(self) -> tuple[tuple[int, int], ...]:
        """Return the half-open spans of the answers."""
        return self.answers or ((self.answer_start, len(self.token_ids)),)

    def all_images(self) -> tuple[int, ...]:
        """Return the indices of the images, none to many."""
        return self.images or (() if self.image is None else (self.image,))


def as_conversation(example: Example) -> Conversation:
    """Convert an example to a conversation of two turns."""
    image = () if example.image is None else (example.image,)
    turns = (Turn("user", (*image, example.question)), Turn("assistant", (example.answer,)))
    return Conversation(example.task, turns, example.group)


def tokenize(
    example: Example | Conversation, processor: PromptProcessor, max_tokens: int
) -> TokenizedExample | None:
    """Tokenise an example, exactly as the prompt of each turn followed by its answer; None if over `max_tokens`.

    Text is content and never markup: a control token that it spells out is neutralised, in answers too. The markers of
    reasoning that opens an answer are its only markup, and stay as the model writes them (see `split_reasoning`).

    Raises:
        DataError: the turns do not alternate from the user to the assistant, or an answer is empty.
    """
    conversation = as_conversation(example) if isinstance(example, Example) else example
    tokenizer = processor.tokenizer
    soft = f"\n\n{START_OF_IMAGE}{IMAGE_SOFT_TOKEN * processor.mm_tokens_per_image}{END_OF_IMAGE}\n\n"
    turns = list(conversation.turns)
    system = f"{_text(turns.pop(0), soft, trim=False)}\n\n" if turns and turns[0].role == "system" else ""
    if not turns or len(turns) % 2 or any(t.role != ("user", "assistant")[i % 2] for i, t in enumerate(turns)):
        raise DataError("row: user and assistant must alternate, from the user to the assistant")
    ids: list[int] = []
    spans: list[tuple[int, int]] = []
    opening = BOS
    for asked, answered in zip(turns[::2], turns[1::2], strict=True):
        # Prompt and answer are tokenised apart, as they are in use: generation goes on from the prompt's tokens.
        user = f"{START_OF_TURN}user\n{system}{_text(asked, soft)}{END_OF_TURN}\n"
        ids += tokenizer.encode(f"{opening}{user}{START_OF_TURN}model\n")
        answer = _answer(answered, soft)
        if not answer:
            raise DataError("row: an answer is empty, so there is nothing to learn")
        start = len(ids)
        ids += tokenizer.encode(answer + END_OF_TURN)
        spans.append((start, len(ids)))
        system, opening = "", "\n"
    if len(ids) > max_tokens:
        return None
    images = tuple(part for turn in conversation.turns for part in turn.parts if isinstance(part, int))
    first = images[0] if images else None
    return TokenizedExample(conversation.task, ids, spans[0][0], first, tuple(spans), images, conversation.weight)


def split_reasoning(answer: str) -> tuple[str, str]:
    """Split an answer into (reasoning with its markers, rest): `<unused94>thought\\n...<unused95>`, or "" without it.

    Raises:
        DataError: it spells another control token, its reasoning has no end, or nothing follows it. Read as text it
            would teach the model to spell it with a character between.
    """
    reasoning, rest = "", answer.strip()
    if rest.startswith(BEGIN_REASONING):
        inner, marker, after = rest.removeprefix(BEGIN_REASONING).partition(END_REASONING)
        if not marker:
            raise DataError(f"reasoning begins with {BEGIN_REASONING} and does not end with {END_REASONING}")
        if not after.strip():
            raise DataError("reasoning has no answer after it")
        reasoning, rest = BEGIN_REASONING + inner + END_REASONING, after
    spelt = CONTROL_TOKEN.search(reasoning.removeprefix(BEGIN_REASONING).removesuffix(END_REASONING) + "\n" + rest)
    if spelt is not None:
        token = spelt.string[spelt.start() :].partition(">" if spelt.group() == "<" else "]")[0]
        raise DataError(
            f"the answer spells the control token {token}{'>' if spelt.group() == '<' else ']'}, which only the "
            f"template may write; take it out (reasoning opens an answer: {BEGIN_REASONING}thought...{END_REASONING})"
        )
    return reasoning, rest


def _answer(turn: Turn, soft: str) -> str:
    """Render an assistant's turn: whole reasoning that opens it keeps its markers, all else is text."""
    text = _text(turn, soft)
    spoken = "".join(part for part in turn.parts if isinstance(part, str))
    try:
        reasoning, rest = split_reasoning(spoken)
    except DataError:
        return text
    return reasoning + neutralize(rest) if reasoning else text


def _text(turn: Turn, soft: str, *, trim: bool = True) -> str:
    """Render a turn as `aris.prompting.chat.render` does, its images expanded."""
    runs: list[str | int] = []
    for part in turn.parts:
        if isinstance(part, int):
            runs.append(part)
            continue
        text = part.strip() if trim else part
        # Neighbouring texts are joined first: two halves of a control token could meet there.
        if runs and isinstance(runs[-1], str):
            runs[-1] += text
        else:
            runs.append(text)
    return "".join(soft if isinstance(run, int) else neutralize(run) for run in runs)


class Grouped(Protocol):
    """An object that belongs to a group."""

    @property
    def group(self) -> str: ...


def check_groups(train: Iterable[Grouped], validation: Sequence[Grouped]) -> None:
    """Raise `DataError` if a group is in both splits: validation would measure memory."""
    shared = {each.group for each in train if each.group} & {each.group for each in validation if each.group}
    if shared:
        raise DataError(f"data: {len(shared)} groups are in training and validation both; split by patient")
