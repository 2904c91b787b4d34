"""Rows as tokens: which tokens carry loss, one by one; the same ids as the prompt processor's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aris.errors import DataError
from aris.prompting import Image, ImageProcessor, Message, PromptProcessor, assistant, system, user
from aris.tuning.data.examples import (
    Conversation,
    Example,
    TokenizedExample,
    Turn,
    as_conversation,
    check_groups,
    tokenize,
)
from aris.tuning.data.options import last_answer

SOFT = "<image_soft_token>"


def spelt(row: TokenizedExample, processor: PromptProcessor) -> list[tuple[str, bool]]:
    """Every token with whether it carries loss."""
    learnt = {at for span in row.spans() for at in range(*span)}
    return [(processor.tokenizer.id_to_token(i) or "?", at in learnt) for at, i in enumerate(row.token_ids)]


def test_only_the_answer_and_its_end_carry_loss(processor: PromptProcessor) -> None:
    """A hand-written row, token by token."""
    row = tokenize(Example("t", "Is it clear?", " Yes ", image=3), processor, 512)
    assert row is not None and (row.image, row.all_images(), row.task) == (3, (3,), "t")
    expected = [("<bos>", False), ("<start_of_turn>", False), ("user", False), ("\n\n\n", False)]
    expected += [("<start_of_image>", False), *[(SOFT, False)] * 49, ("<end_of_image>", False), ("\n\n", False)]
    expected += [("Is", False), ("▁it", False), ("▁clear", False), ("?", False), ("<end_of_turn>", False)]
    expected += [("\n", False), ("<start_of_turn>", False), ("model", False), ("\n", False)]
    expected += [("Yes", True), ("<end_of_turn>", True)]
    assert spelt(row, processor) == expected


def test_every_answer_of_a_conversation_carries_loss(processor: PromptProcessor) -> None:
    turns = (
        Turn("system", ("Be brief.",)),
        Turn("user", ("Hello",)),
        Turn("assistant", ("Hi",)),
        Turn("user", (7, "Normal?")),
        Turn("assistant", ("No",)),
    )
    row = tokenize(Conversation("chat", turns, weight=2.0), processor, 512)
    assert row is not None and row.weight == 2.0 and row.all_images() == (7,)
    tokens = spelt(row, processor)
    assert [token for token, learnt in tokens if learnt] == ["Hi", "<end_of_turn>", "No", "<end_of_turn>"]
    after_first = tokens.index(("Hi", True)) + 2
    assert tokens[after_first : after_first + 3] == [("\n", False), ("<start_of_turn>", False), ("user", False)]


# Content that could merge with its surroundings or be taken for markup.
TEXTS = st.lists(
    st.sampled_from(["a", " ", "\n", "\n\n", "é", "<end_of_turn>", "<start_of_image>", "<", "end_of_turn>", "肺."]),
    min_size=1, max_size=6,
).map("".join).filter(str.strip)  # fmt: skip


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(question=TEXTS, answer=TEXTS, second=TEXTS, instruction=st.none() | TEXTS, image=st.booleans())
def test_ids_are_those_of_the_prompt_processor(
    processor: PromptProcessor, question: str, answer: str, second: str, instruction: str | None, image: bool
) -> None:
    """Up to each answer, what was trained is what generation will start from; the whole is one template."""
    film = Image(np.zeros((8, 8), dtype=np.uint8))
    first: tuple[str | int, ...] = (0, question) if image else (question,)
    turns = [Turn("user", first), Turn("assistant", (answer,)), Turn("user", (second,)), Turn("assistant", (answer,))]
    messages: list[Message] = [user(film, question) if image else user(question), assistant(answer), user(second)]
    if instruction is not None:
        turns.insert(0, Turn("system", (instruction,)))
        messages.insert(0, system(instruction))
    row = tokenize(Conversation("chat", tuple(turns)), processor, 4096)
    assert row is not None
    seeing = PromptProcessor(processor.tokenizer, ImageProcessor(size=8), processor.mm_tokens_per_image)
    opening = messages[:-2]
    assert seeing(opening).token_ids == row.token_ids[: row.answer_start]
    assert seeing(messages).token_ids == row.token_ids[: row.spans()[1][0]]
    # An answer is text: a control token that it spells is not one, and its turn ends once.
    end = processor.tokenizer.end_of_turn_id
    assert all(row.token_ids[start:stop].count(end) == 1 for start, stop in row.spans())


def test_a_row_is_the_conversation_of_its_two_turns(processor: PromptProcessor) -> None:
    row = Example("t", "Why?", "Because.", 2, "p1")
    assert as_conversation(row).group == "p1"
    assert tokenize(row, processor, 512) == tokenize(as_conversation(row), processor, 512)


def test_a_row_over_the_limit_is_left_out(processor: PromptProcessor) -> None:
    row = tokenize(Example("t", "Why?", "Because."), processor, 512)
    assert row is not None
    assert tokenize(Example("t", "Why?", "Because."), processor, len(row.token_ids)) == row
    assert tokenize(Example("t", "Why?", "Because."), processor, len(row.token_ids) - 1) is None


@pytest.mark.parametrize(
    "roles", [(), ("user",), ("assistant", "user"), ("user", "user"), ("system",), ("user", "system")]
)
def test_turns_must_alternate(processor: PromptProcessor, roles: tuple[str, ...]) -> None:
    with pytest.raises(DataError, match="alternate"):
        tokenize(Conversation("t", tuple(Turn(role, ("x",)) for role in roles)), processor, 512)


def test_an_empty_answer_is_refused(processor: PromptProcessor) -> None:
    with pytest.raises(DataError, match="empty"):
        tokenize(Example("t", "Why?", " \n"), processor, 512)


def test_a_group_in_both_splits_is_refused_without_its_name() -> None:
    train = [Example("t", "q", "a", group="patient 7"), Example("t", "q", "a")]
    check_groups(train, [Example("t", "q", "a", group="patient 8"), Example("t", "q", "a")])
    with pytest.raises(DataError, match="1 groups are in training and validation both") as error:
        check_groups(train, [Example("t", "q", "a", group="patient 7")])
    assert "patient 7" not in str(error.value)


def test_reasoning_is_learnt_as_the_model_writes_it(processor: PromptProcessor) -> None:
    said = "<unused94>thought\n Is it\nclear?<unused95>\nYes"
    row = tokenize(Example("t", "Why?", f" {said} "), processor, 512)
    assert row is not None
    start, stop = row.spans()[0]
    ids, end = row.token_ids[start:stop], processor.tokenizer.end_of_turn_id
    assert ids == [*processor.tokenizer.encode(said), end]
    markers = [processor.tokenizer.token_to_id(f"<unused{number}>") for number in (94, 95)]
    assert ids[0] == markers[0] and ids.count(markers[0]) == ids.count(markers[1]) == 1
    assert "\u200b" not in processor.tokenizer.decode(ids)
    assert last_answer(row, processor.tokenizer) == "Yes", "what is compared is the answer"
    # The same in a question, which anyone may have written, is text.
    asked = tokenize(Example("t", said, "Yes"), processor, 512)
    assert asked is not None and markers[0] not in asked.token_ids
