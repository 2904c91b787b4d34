"""The prompts in their published forms, as the model reads them."""

from __future__ import annotations

import numpy as np
import PIL.Image
import pytest

from aris.errors import PromptError
from aris.prompting import Image, builders, render

GREY = np.zeros((4, 6), np.uint8)
COLOUR = np.zeros((4, 6, 3), np.uint8)
OPEN, CLOSE = "<bos><start_of_turn>user\n", "<end_of_turn>\n<start_of_turn>model\n"


def test_chest_xray() -> None:
    assert render(builders.chest_xray(GREY)) == f"{OPEN}<start_of_image>Describe this X-ray{CLOSE}"
    older = builders.chest_xray(PIL.Image.new("L", (3, 3)), "Is there an effusion?", version="1.0")
    assert render(older) == f"{OPEN}You are an expert radiologist.\n\n<start_of_image>Is there an effusion?{CLOSE}"


def test_ct_has_the_query_last() -> None:
    messages = builders.ct("You read a CT.", [COLOUR, COLOUR], "Is the liver normal?")
    assert render(messages) == (
        f"{OPEN}You read a CT.<start_of_image>SLICE 1<start_of_image>SLICE 2Is the liver normal?{CLOSE}"
    )


@pytest.mark.parametrize("slices", [[], [COLOUR] * 86, [COLOUR, GREY]])
def test_ct_refuses_other_slices(slices: list[np.ndarray]) -> None:
    with pytest.raises(PromptError, match="ct: "):
        builders.ct("x", slices, "y")


def test_histology_options() -> None:
    assert render(builders.histology(COLOUR)) == (
        f"{OPEN}<start_of_image>What is the most likely tissue type shown in the histopathology image?\n"
        "A: adipose\nB: background\nC: debris\nD: lymphocytes\nE: mucus\nF: smooth muscle\nG: normal colon mucosa\n"
        f"H: cancer-associated stroma\nI: colorectal adenocarcinoma epithelium{CLOSE}"
    )
    assert builders.lettered(["yes", "no"]) == ("A: yes", "B: no")
    for options in ([], ["one"], ["x"] * 27, ["a", " "]):
        with pytest.raises(PromptError):
            builders.histology(COLOUR, options)


def test_boxes_pad_to_the_square_that_the_numbers_mean() -> None:
    (message,) = builders.boxes(GREY + 9, "right clavicle")
    image = message.content[0]
    assert isinstance(image, Image) and image.pixels.shape == (6, 6)
    assert image.pixels[:, 0].tolist() == [0, 9, 9, 9, 9, 0]
    rendered = render([message])
    assert rendered.endswith(f"Answer:{CLOSE}")
    for needed in ("Where is the right clavicle?", "[y0, x0, y1, x1]", "[0, 1000]", '"box_2d"', "Final Answer: X",
                   "patient's left, the side where the heart is"):  # fmt: skip
        assert needed in rendered


def test_comparison_has_the_prior_first() -> None:
    (message,) = builders.comparison(GREY, GREY + 1)
    prior, current, _ = message.content
    assert isinstance(prior, Image) and isinstance(current, Image)
    assert (prior.pixels.max(), current.pixels.max()) == (0, 1)
    assert render([message]) == (
        f"{OPEN}<start_of_image><start_of_image>Provide a comparison of these two images and include details from the "
        f"image which students should take note of when reading longitudinal CXR{CLOSE}"
    )


def test_empty_texts_and_wrong_images_are_refused() -> None:
    with pytest.raises(PromptError, match="query is empty"):
        builders.chest_xray(GREY, "  ")
    with pytest.raises(PromptError, match="target is empty"):
        builders.boxes(GREY, "")
    with pytest.raises(PromptError, match="image"):
        builders.chest_xray("film.png")  # type: ignore[arg-type]
