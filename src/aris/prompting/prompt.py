"""A conversation made ready for the engine: token ids, and pixel values for every image in reading order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aris.checkpoints.pieces import IMAGE_SOFT_TOKEN
from aris.errors import PromptError
from aris.prompting import chat
from aris.prompting.messages import Message, images_of
from aris.prompting.processor import ImageProcessor
from aris.prompting.tokenizer import END_OF_IMAGE, END_OF_TURN, START_OF_IMAGE, START_OF_TURN, Tokenizer

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class Prompt:
    """Prompt as the engine reads it.

    Attributes:
        text: the rendered conversation with every image written out as its markers and soft tokens.
        token_ids: of `text`; begins with bos, which occurs nowhere else.
        pixel_values: float32 (n_images, 3, S, S), crops behind their image; None without images.
        n_images: images and crops; each has `mm_tokens_per_image` soft tokens in `token_ids`, in the same order.
    """

    text: str
    token_ids: list[int]
    pixel_values: Tensor | None
    n_images: int


class PromptProcessor:
    """Makes prompts for one model."""

    def __init__(
        self, tokenizer: Tokenizer, image_processor: ImageProcessor | None, mm_tokens_per_image: int = 256
    ) -> None:
        """Make a processor of prompts.

        Args:
            tokenizer: the model's.
            image_processor: the model's, or None for a model without a vision tower: images are then refused.
            mm_tokens_per_image: soft tokens for one image, from the model's configuration.
        """
        self.tokenizer = tokenizer
        self.image_processor = image_processor
        self.mm_tokens_per_image = mm_tokens_per_image
        # Written out in the string, before tokenising: the newlines merge with neighbouring ones ("user\n" and
        # "\n\n" become one token of three), which is what the model has seen.
        self._image_text = f"\n\n{START_OF_IMAGE}{IMAGE_SOFT_TOKEN * mm_tokens_per_image}{END_OF_IMAGE}\n\n"

    def __call__(
        self,
        messages: Sequence[Message],
        *,
        pan_and_scan: bool | None = None,
        add_generation_prompt: bool = True,
        trusted: bool = False,
        continue_final_message: bool = False,
        views: Sequence[Tensor] | None = None,
    ) -> Prompt:
        """Render, expand and tokenise a conversation, and process its images.

        Args:
            messages: as for `chat.render`.
            pan_and_scan: give elongated images crops too; None does as the image processor's configuration says.
            add_generation_prompt, trusted, continue_final_message: as for `chat.render`.
            views: what `views` made of the same images before.

        Raises:
            PromptError: the conversation is malformed, or has an image and the model has no vision tower.
        """
        rendered = chat.render(
            messages, add_generation_prompt, trusted=trusted, continue_final_message=continue_final_message
        )
        if views is None:
            views = self.views(messages, pan_and_scan=pan_and_scan)
        text = self._expand(rendered, [len(view) for view in views])
        token_ids = self.tokenizer.encode(text)
        self._check(text, token_ids, sum(len(view) for view in views), trusted)
        pixels = None
        if views:
            import torch

            pixels = torch.cat(list(views))
        return Prompt(text, token_ids, pixels, sum(len(view) for view in views))

    def views(self, messages: Sequence[Message], *, pan_and_scan: bool | None = None) -> list[Tensor]:
        """Return the tower's views of each image of a conversation: float32 (1 + crops, 3, S, S).

        Raises:
            PromptError: there is an image, and the model has no vision tower.
        """
        images = images_of(messages)
        if not images:
            return []
        if self.image_processor is None:
            raise PromptError(
                "prompt: this model reads text only and the conversation has an image; choose a model with a "
                "vision tower, or leave the image out"
            )
        return self.image_processor.many(images, pan_and_scan=pan_and_scan)

    def _expand(self, rendered: str, view_counts: Sequence[int]) -> str:
        """Write each image marker out; `view_counts` holds 1 + crops for each image."""
        pieces = rendered.split(START_OF_IMAGE)
        if len(pieces) - 1 != len(view_counts):
            raise PromptError(
                f"prompt: the text spells {START_OF_IMAGE} {len(pieces) - 1} times for {len(view_counts)} images; "
                "trusted texts may not hold image markers of their own"
            )
        expanded = [pieces[0]]
        for views, piece in zip(view_counts, pieces[1:], strict=True):
            image = self._image_text
            if views > 1:  # the wording that Gemma 3 was trained with
                crops = " ".join([image] * (views - 1))
                image = (
                    f"Here is the original image {image} and here are some crops to help you see better {crops}"
                )
            expanded += [image, piece]
        return "".join(expanded)

    def _check(self, text: str, token_ids: Sequence[int], n_views: int, trusted: bool) -> None:
        """Hold the ids to what they must be, whatever tokenizer file they came from."""
        tokenizer = self.tokenizer
        if token_ids[:1] != [tokenizer.bos_id] or token_ids.count(tokenizer.bos_id) != 1:
            raise PromptError("prompt: it does not begin with exactly one bos token; use the model's own tokenizer")
        for token, index in (
            (START_OF_TURN, tokenizer.start_of_turn_id),
            (END_OF_TURN, tokenizer.end_of_turn_id),
            (START_OF_IMAGE, tokenizer.start_of_image_id),
            (END_OF_IMAGE, tokenizer.end_of_image_id),
        ):
            if token_ids.count(index) != text.count(token):
                raise PromptError(f"prompt: {token} did not survive the tokenizer; use the model's own tokenizer")
        if token_ids.count(tokenizer.image_token_id) != n_views * self.mm_tokens_per_image:
            raise PromptError("prompt: image tokens and images do not match; use the model's own tokenizer")
        if tokenizer.decode(token_ids, skip_special_tokens=False) != text.replace("▁", " "):
            raise PromptError("prompt: the tokenizer lost a part of the text; use the model's own tokenizer")
        markup = {
            tokenizer.bos_id,
            tokenizer.start_of_turn_id,
            tokenizer.end_of_turn_id,
            tokenizer.start_of_image_id,
            tokenizer.end_of_image_id,
            tokenizer.image_token_id,
        }
        if not trusted and not tokenizer.control_ids.isdisjoint(set(token_ids) - markup):
            raise PromptError("prompt: a text became a control token; use the model's own tokenizer")
