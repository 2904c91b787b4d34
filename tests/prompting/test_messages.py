"""Messages and their parts."""

from __future__ import annotations

import numpy as np
import PIL.Image
import pytest

from aris.errors import PromptError
from aris.prompting import Image, Message, Text, assistant, system, user


def test_parts_of_every_kind() -> None:
    grey, colour = np.zeros((4, 5), np.uint8), np.zeros((4, 5, 3), np.uint8)
    message = user("a", Text("b"), grey, colour, Image(grey), PIL.Image.new("L", (5, 4)), PIL.Image.new("CMYK", (5, 4)))
    shapes = [part.pixels.shape if isinstance(part, Image) else part.text for part in message.content]
    assert shapes == ["a", "b", (4, 5), (4, 5, 3), (4, 5), (4, 5), (4, 5, 3)]
    assert (system("x").role, message.role, assistant("y").role) == ("system", "user", "assistant")


def test_pixels_stay_out_of_logs() -> None:
    assert repr(Image(np.full((4, 5), 77, np.uint8))) == "Image(4, 5)"


def test_single_channel_is_grey() -> None:
    assert Image(np.zeros((4, 5, 1), np.uint8)).pixels.shape == (4, 5)


def test_transparency_becomes_white() -> None:
    clear = PIL.Image.new("RGBA", (1, 1), (0, 0, 0, 0))
    assert Image.from_pil(clear).pixels.tolist() == [[[255, 255, 255]]]


def test_pixels_are_read_only_but_the_caller_s_array_is_not() -> None:
    array = np.zeros((2, 2), np.uint8)
    image = Image(array)
    with pytest.raises(ValueError, match="read-only"):
        image.pixels[0, 0] = 1
    array[0, 0] = 1


@pytest.mark.parametrize(
    "part",
    [
        np.zeros((4, 4), np.uint16),
        np.zeros((4, 4), np.float32),
        np.zeros((3, 4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros(4, np.uint8),
        np.zeros((0, 4), np.uint8),
        PIL.Image.new("I;16", (4, 4)),
        PIL.Image.new("F", (4, 4)),
        b"text",
        None,
        7,
    ],
)
def test_other_parts_are_refused_in_one_line(part: object) -> None:
    with pytest.raises(PromptError) as caught:
        user(part)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_roles_and_contents_are_checked() -> None:
    with pytest.raises(PromptError, match="tool"):
        Message("tool", ())  # type: ignore[arg-type]
    with pytest.raises(PromptError, match="part"):
        Message("user", ("text",))  # type: ignore[arg-type]
    with pytest.raises(PromptError, match="text"):
        Text(3)  # type: ignore[arg-type]
