"""Conversations: messages of text and images, as the caller wrote them.

Nothing here knows a model. `chat.render` turns messages into the string that a model reads, `prompt.PromptProcessor`
into token ids and pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import PIL.Image

from aris.errors import PromptError

Pixels = npt.NDArray[np.uint8]
Role = Literal["system", "user", "assistant"]

# Pillow modes of more than 8 bits a sample. Which of their values are black and white is a clinical choice (a window).
_DEEP_MODES = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")


@dataclass(frozen=True)
class Text:
    """A piece of text. It is content, never markup: control tokens spelt out in it stay plain text (see `chat`)."""

    text: str

    def __post_init__(self) -> None:
        if not isinstance(self.text, str):
            raise PromptError(f"message: text must be a str, not {type(self.text).__name__}")


@dataclass(frozen=True, eq=False, repr=False)
class Image:
    """Image of a message. `pixels` is uint8, (H, W) grey or (H, W, 3) RGB, 0 black to 255 white, and read-only here."""

    pixels: Pixels

    def __post_init__(self) -> None:
        pixels = self.pixels
        if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8:
            kind = pixels.dtype if isinstance(pixels, np.ndarray) else type(pixels).__name__
            raise PromptError(f"message: image pixels must be a uint8 array, not {kind}; window or scale it to 0..255")
        if pixels.ndim == 3 and pixels.shape[2] == 1:
            pixels = pixels[:, :, 0]
        if pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] != 3):
            raise PromptError(f"message: image pixels have the shape {pixels.shape}; give (H, W) or (H, W, 3)")
        if 0 in pixels.shape:
            raise PromptError(f"message: the image is empty, its shape is {pixels.shape}")
        pixels = pixels.view()
        pixels.flags.writeable = False
        object.__setattr__(self, "pixels", pixels)

    def __repr__(self) -> str:
        return f"Image{self.pixels.shape}"  # never the pixels: they are a patient's

    @classmethod
    def from_pil(cls, image: PIL.Image.Image) -> Image:
        """The pixels of a Pillow image of 8 bits a sample: grey stays (H, W), all else becomes RGB.

        Transparency is laid on white, as transformers' `convert_to_rgb` does since 5.x.

        Raises:
            PromptError: the image has more than 8 bits a sample; it needs a window first.
        """
        if image.mode in _DEEP_MODES:
            raise PromptError(f"message: the image has Pillow mode {image.mode!r}; window it to 8 bits first")
        if image.has_transparency_data:
            image = image.convert("RGBA")
            white = PIL.Image.new("RGBA", image.size, (255, 255, 255, 255))
            image = PIL.Image.alpha_composite(white, image)
        return cls(np.array(image if image.mode == "L" else image.convert("RGB"), dtype=np.uint8))


Part = str | Text | Image | Pixels | PIL.Image.Image


@dataclass(frozen=True)
class Message:
    """Message of a conversation: a role and its parts, in reading order."""

    role: Role
    content: tuple[Text | Image, ...]

    def __post_init__(self) -> None:
        if self.role not in ("system", "user", "assistant"):
            raise PromptError(f"message: the role is {self.role!r}; use 'system', 'user' or 'assistant'")
        for part in self.content:
            if not isinstance(part, Text | Image):
                raise PromptError(f"message: a part is a {type(part).__name__}; use Text or Image")


def as_part(part: Part) -> Text | Image:
    """Convert a caller's part: str and Text are text; Image, uint8 arrays and Pillow images are images.

    Raises:
        PromptError: it is none of these.
    """
    if isinstance(part, Text | Image):
        return part
    if isinstance(part, str):
        return Text(part)
    if isinstance(part, np.ndarray):
        return Image(part)
    if isinstance(part, PIL.Image.Image):
        return Image.from_pil(part)
    raise PromptError(
        f"message: a part is a {type(part).__name__}; use str, Text, Image, a uint8 array or a Pillow image"
    )


def system(text: str | Text) -> Message:
    """A system message; Gemma folds it into the first user turn."""
    return Message("system", (as_part(text),))


def user(*parts: Part) -> Message:
    """A user turn of text and images, in the order in which the model shall read them."""
    return Message("user", tuple(as_part(part) for part in parts))


def assistant(*parts: Part) -> Message:
    """A turn that the model answered before."""
    return Message("assistant", tuple(as_part(part) for part in parts))


def images_of(messages: Sequence[Message]) -> list[Image]:
    """Every image of a conversation, in reading order."""
    return [part for message in messages for part in message.content if isinstance(part, Image)]
