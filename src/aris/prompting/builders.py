"""Prompts in the forms that MedGemma was trained on or that Google published with it.

Each function gives messages for `PromptProcessor` or any backend. Sources: MedGemma's model cards and the notebooks
of google-health/medgemma. The wording in the body of `boxes` is our own; its format is theirs.
"""

from __future__ import annotations

from collections.abc import Sequence
from string import ascii_uppercase
from typing import Literal

import numpy as np
import PIL.Image

from aris.errors import PromptError
from aris.prompting.messages import Image, Message, Part, Pixels, as_part, system, user
from aris.prompting.processor import pad_to_square

Version = Literal["1.0", "1.5"]
ImageLike = Image | Pixels | PIL.Image.Image

RADIOLOGIST = "You are an expert radiologist."
MAX_CT_SLICES = 85
_LONGEST = 300  # characters of an option, a finding's name or a target
# The nine classes of NCT-CRC-HE-100K in the order of the published prompt.
COLORECTAL_TISSUES = (
    "adipose",
    "background",
    "debris",
    "lymphocytes",
    "mucus",
    "smooth muscle",
    "normal colon mucosa",
    "cancer-associated stroma",
    "colorectal adenocarcinoma epithelium",
)


def chest_xray(image: ImageLike, query: str = "Describe this X-ray", *, version: Version = "1.5") -> list[Message]:
    """A chest film and a request; the default asks for a description of up to 2,000 tokens.

    Args:
        image: the film, 8 bits, MONOCHROME1 already inverted.
        query: what to do with it.
        version: MedGemma 1.0 expects a system text, 1.5 none.
    """
    turn = user(_image(image), _text(query, "query"))
    return [system(RADIOLOGIST), turn] if version == "1.0" else [turn]


def ct(instruction: str, slices: Sequence[ImageLike], query: str) -> list[Message]:
    """A CT volume: the instruction, each slice and its number from 1, and the query last.

    With the query first the model answers as if it saw an X-ray. Greedy decoding, up to 2,000 tokens.

    Args:
        instruction: what the volume is and how to read it.
        slices: at most 85, in order along the body; uint8 (H, W, 3), each channel a window of Hounsfield units.
        query: what to tell about it.

    Raises:
        PromptError: there is no slice, there are too many, or one is grey.
    """
    if not 0 < len(slices) <= MAX_CT_SLICES:
        raise PromptError(f"ct: {len(slices)} slices; give 1 to {MAX_CT_SLICES}, sampled evenly")
    parts: list[Part] = [_text(instruction, "instruction")]
    for number, each in enumerate(slices, 1):
        image = _image(each)
        if image.pixels.ndim != 3:
            raise PromptError(f"ct: slice {number} is grey; put its three windows into the channels of an RGB image")
        parts += [image, f"SLICE {number}"]
    return [user(*parts, _text(query, "query"))]


def histology(
    image: ImageLike,
    options: Sequence[str] = COLORECTAL_TISSUES,
    question: str = "What is the most likely tissue type shown in the histopathology image?",
) -> list[Message]:
    """A patch of a slide and options to choose from; the model answers with a whole option, as in "A: adipose".

    Args:
        image: the patch, RGB.
        options: their names, without letters; see `lettered`.
        question: what they answer.

    Raises:
        PromptError: the options are fewer than 2 or more than 26, or one is empty.
    """
    return [user(_image(image), "\n".join([_text(question, "question"), *lettered(options)]))]


def lettered(options: Sequence[str]) -> tuple[str, ...]:
    """The options as prompt and answer spell them: "A: adipose", "B: background", ...

    Raises:
        PromptError: they are fewer than 2 or more than 26, or one is empty or not a line of at most 300 characters.
    """
    if not 2 <= len(options) <= len(ascii_uppercase):
        raise PromptError(f"options: {len(options)} given; give 2 to {len(ascii_uppercase)}")
    return tuple(
        f"{letter}: {one_line(name, 'option')}" for letter, name in zip(ascii_uppercase, options, strict=False)
    )


def boxes(image: ImageLike, target: str) -> list[Message]:
    """Ask where something is, on the image padded with zeros to a square (`processor.pad_to_square`).

    The answer is fenced JSON, `[{"box_2d": [y0, x0, y1, x1], "label": "..."}]`, in thousandths of the square's side.

    Args:
        image: any aspect ratio; it is padded here, so that every backend sees the square that the numbers refer to.
        target: an anatomical structure or finding, as in "right clavicle".

    Raises:
        PromptError: the target is empty or not a line of at most 300 characters.
    """
    square = np.ascontiguousarray(pad_to_square(_image(image).pixels))
    text = (
        "Instructions:\n"
        "Answer the query below with bounding boxes. A box is [y0, x0, y1, x1]: (y0, x0) is its top-left corner and "
        "(y1, x1) its bottom-right corner, so y0 < y1 and x0 < x1. Scale all coordinates to the range [0, 1000]: 15% "
        "of the image width is an x of 150. Give one JSON list of objects in ```json...``` fences, for example "
        '```json[{"box_2d": [120, 340, 460, 710], "label": "heart"}]```.\n\n'
        'Remember that "left" means the patient\'s left, the side where the heart is; it is often marked with an L in '
        "the upper right corner of the image.\n\n"
        "Query:\n"
        f"Where is the {one_line(target, 'target')}? Reason first, then give the final answer in the format "
        '"Final Answer: X" where X is a JSON list of objects with the keys "box_2d" and "label". Answer:'
    )
    return [user(Image(square), text)]


def comparison(
    prior: ImageLike,
    current: ImageLike,
    query: str = (
        "Provide a comparison of these two images and include details from the image which students should take note "
        "of when reading longitudinal CXR"
    ),
) -> list[Message]:
    """Two films of one patient, the prior first, then the current one, and a request to compare them."""
    return [user(_image(prior), _image(current), _text(query, "query"))]


def _image(image: ImageLike) -> Image:
    part = as_part(image)
    if not isinstance(part, Image):
        raise PromptError(f"prompt: an image is a {type(image).__name__}; give a uint8 array or a Pillow image")
    return part


def _text(text: str, name: str) -> str:
    if not text.strip():
        raise PromptError(f"prompt: the {name} is empty")
    return text.strip()


def one_line(text: str, name: str) -> str:
    """A text that stands inside a line of a prompt: with a line break in it, it could pass for lines of ours.

    Raises:
        PromptError: it is empty, longer than 300 characters, or holds line breaks or control characters.
    """
    text = _text(text, name)
    if len(text) > _LONGEST or not text.isprintable():
        raise PromptError(f"prompt: the {name} must be one line of at most {_LONGEST} characters")
    return text
