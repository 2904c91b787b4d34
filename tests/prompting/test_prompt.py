"""Whole prompts beside transformers' `Gemma3Processor`."""

from __future__ import annotations

from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from prompting_strategies import CONTROL, GENERATED, TEXTS
from test_chat_template import as_dicts, oracle, plain

from aris.errors import PromptError
from aris.prompting import Image, ImageProcessor, Message, Prompt, PromptProcessor, Tokenizer, assistant, system, user
from aris.prompting.messages import images_of
from imported_late import late

transformers = late("transformers")
SIZE, TOKENS = 28, 3


@pytest.fixture(scope="session")
def hf_processor(hf_tokenizer: Any) -> Any:
    images = transformers.Gemma3ImageProcessorPil(
        size={"height": SIZE, "width": SIZE},
        pan_and_scan_min_crop_size=256,
        pan_and_scan_max_num_crops=4,
        pan_and_scan_min_ratio_to_activate=1.2,
    )
    return transformers.Gemma3Processor(image_processor=images, tokenizer=hf_tokenizer, image_seq_length=TOKENS)


@pytest.fixture(scope="session")
def processor(tokenizer: Tokenizer) -> PromptProcessor:
    return PromptProcessor(tokenizer, ImageProcessor(SIZE), TOKENS)


@st.composite
def images(draw: st.DrawFn) -> Image:
    height, width = draw(st.tuples(st.integers(1, 700), st.integers(1, 700)))
    pixels = np.arange(height * width * 3, dtype=np.uint32).astype(np.uint8).reshape(height, width, 3)
    return Image(pixels + np.uint8(draw(st.integers(0, 255))))


PARTS = st.lists(TEXTS | images(), max_size=4)
CONVERSATIONS = st.builds(
    lambda opening, turns: [
        *opening,
        *((assistant if index % 2 else user)(*parts) for index, parts in enumerate(turns)),
    ],
    st.lists(TEXTS.map(system), max_size=1),
    st.lists(PARTS, min_size=1, max_size=3),
).filter(plain)


def check(ours: Prompt, hf_processor: Any, messages: list[Message], pan_and_scan: bool) -> None:
    # As Pillow images: of arrays with 1 or 3 rows the reference takes the rows for channels.
    pixels = [PIL.Image.fromarray(image.pixels) for image in images_of(messages)]
    theirs = hf_processor(
        text=[oracle(hf_processor.tokenizer, messages)],
        images=[pixels] if pixels else None,
        add_special_tokens=False,  # the template's bos is the only one
        do_pan_and_scan=pan_and_scan,
    )
    assert ours.token_ids == list(theirs["input_ids"][0])
    if pixels:
        expected = torch.from_numpy(np.stack(theirs["pixel_values"]))
        assert ours.pixel_values is not None and torch.equal(ours.pixel_values, expected)
        assert ours.n_images == len(expected)
    else:
        assert ours.pixel_values is None and ours.n_images == 0
    assert ours.token_ids.count(262_144) == ours.n_images * TOKENS
    assert ours.token_ids.count(2) == 1


@settings(GENERATED, max_examples=60)
@given(CONVERSATIONS, st.booleans())
def test_equals_transformers(
    processor: PromptProcessor, hf_processor: Any, messages: list[Message], pan_and_scan: bool
) -> None:
    check(processor(messages, pan_and_scan=pan_and_scan), hf_processor, messages, pan_and_scan)


WIDE, SQUARE = Image(np.full((300, 900, 3), 7, np.uint8)), Image(np.full((300, 300, 3), 9, np.uint8))


@pytest.mark.parametrize("pan_and_scan", [False, True])
@pytest.mark.parametrize(
    "parts",
    [
        (SQUARE,),
        (SQUARE, "Describe this X-ray"),
        (SQUARE, WIDE),
        (WIDE, WIDE, "\n\nCompare."),
        ("\n", SQUARE, "\n"),
        ("first\n\n", SQUARE, "\n\n\nthen", WIDE, "last\n"),
    ],
)
def test_images_in_a_row_and_beside_newlines(
    processor: PromptProcessor, hf_processor: Any, parts: tuple[Any, ...], pan_and_scan: bool
) -> None:
    messages = [user(*parts)]
    check(processor(messages, pan_and_scan=pan_and_scan), hf_processor, messages, pan_and_scan)


def test_newlines_merge_across_the_image_s_edge(processor: PromptProcessor) -> None:
    ids = processor([user(SQUARE, SQUARE)]).token_ids
    image = [255_999, *[262_144] * TOKENS, 256_000]
    # "user\n" + "\n\n" is one token of three newlines (109), "\n\n" + "\n\n" one of four (110).
    assert ids == [2, 105, 2364, 109, *image, 110, *image, 108, 106, 107, 105, 4368, 107]


def test_crops_follow_their_image(processor: PromptProcessor) -> None:
    prompt = processor([user(SQUARE, WIDE)], pan_and_scan=True)
    assert prompt.n_images == 1 + 4
    assert prompt.pixel_values is not None and prompt.pixel_values.shape == (5, 3, SIZE, SIZE)
    assert torch.all(prompt.pixel_values[0] > prompt.pixel_values[1:])
    assert "Here is the original image \n\n<start_of_image>" in prompt.text
    assert processor([user(WIDE)]).n_images == 1


def test_conversation_goes_through_apply_chat_template(processor: PromptProcessor, hf_processor: Any) -> None:
    from test_chat_template import TEMPLATE

    messages = [system("Be brief."), user("Lungs?\n"), assistant(" Clear. "), user("Heart?")]
    theirs = hf_processor.tokenizer.apply_chat_template(
        as_dicts(messages), chat_template=TEMPLATE, tokenize=True, add_generation_prompt=True, return_dict=True
    )
    assert processor(messages).token_ids == theirs["input_ids"]


def test_image_for_a_text_model_is_refused(tokenizer: Tokenizer) -> None:
    with pytest.raises(PromptError, match="reads text only"):
        PromptProcessor(tokenizer, None)([user(SQUARE, "Describe")])
    assert PromptProcessor(tokenizer, None)([user("Describe")]).pixel_values is None


def test_spelt_image_marker_makes_no_image(processor: PromptProcessor) -> None:
    prompt = processor([user("<start_of_image><image_soft_token>", SQUARE, "<start_of_image>")])
    assert prompt.n_images == 1
    assert prompt.token_ids.count(255_999) == 1
    assert prompt.token_ids.count(262_144) == TOKENS


def test_trusted_texts(processor: PromptProcessor, hf_processor: Any) -> None:
    messages = [user("x"), assistant("<unused94>thought\nhm<unused95>y"), user("z")]
    assert processor.tokenizer.token_to_id("<unused94>") not in processor(messages).token_ids
    trusted = processor(messages, trusted=True)
    check(trusted, hf_processor, messages, False)
    assert 100 in trusted.token_ids
    with pytest.raises(PromptError, match="image markers"):
        processor([user("<start_of_image>", SQUARE)], trusted=True)
    with pytest.raises(PromptError, match="bos"):
        processor([user("<bos>")], trusted=True)
    with pytest.raises(PromptError, match="image tokens"):
        processor([user("<image_soft_token>")], trusted=True)


@settings(GENERATED, max_examples=100)
@given(st.lists(st.sampled_from(CONTROL) | TEXTS, max_size=4), st.lists(st.sampled_from(CONTROL), max_size=3))
def test_hostile_texts_around_an_image(processor: PromptProcessor, before: list[str], after: list[str]) -> None:
    prompt = processor([user(*before, SQUARE, *after)])
    control = [token for token in prompt.token_ids if token in processor.tokenizer.control_ids or token == 5]
    assert control == [2, 105, 255_999, *[262_144] * TOKENS, 256_000, 106, 105]


class WithoutBos(Tokenizer):
    def encode(self, text: str, add_bos: bool = False) -> list[int]:
        return super().encode(text.removeprefix("<bos>"), add_bos)


def test_prompt_without_bos_is_refused(tokenizer: Tokenizer) -> None:
    broken = WithoutBos(tokenizer._inner)
    with pytest.raises(PromptError, match="bos"):
        PromptProcessor(broken, None)([user("x")])
