"""MedGemma: the SigLIP tower's soft tokens put in place among the decoder's word embeddings."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from aris.errors import ModelError
from aris.model.attention import visible_ranges
from aris.model.cache import Cache, HybridCache
from aris.model.config import MedGemmaConfig, require_supported_dtype
from aris.model.decoder import Decoder
from aris.model.vision import MultiModalProjector, VisionTower


class MedGemma(nn.Module):
    """Gemma 3 with or without its vision tower, so MedGemma 4B, 1.5 4B, 27B and `aris-nano`.

    Build it under `torch.device("meta")` and assign a checkpoint's tensors to fill it without a second copy.
    Parameters keep the names of the Hugging Face checkpoints, less the prefixes that those changed over time.
    """

    def __init__(self, config: MedGemmaConfig) -> None:
        super().__init__()
        self.config = config
        self.language_model = Decoder(config.text)
        self.vision_tower = None if config.vision is None else VisionTower(config.vision)
        self.multi_modal_projector = None if config.vision is None else MultiModalProjector(config)

    @property
    def device(self) -> torch.device:
        """Return the weights' device."""
        return self.language_model.norm.weight.device

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the decoder's norms, hence of activations and cache; quantised weights have others."""
        return self.language_model.norm.weight.dtype

    def new_cache(self, batch: int = 1) -> HybridCache:
        """An empty cache for `batch` sequences on this model's device."""
        return HybridCache(self.config.text, batch, self.device, self.dtype)

    def encode_images(self, pixels: Tensor) -> Tensor:
        """Pixels (N, 3, S, S), float in -1..1, to soft tokens (N, mm_tokens_per_image, text width).

        Raises:
            ModelError: the model has no tower, or the pixels have another shape.
        """
        if self.vision_tower is None or self.multi_modal_projector is None or self.config.vision is None:
            raise ModelError(
                "this model has no vision tower, so it cannot read images; use a multimodal model, "
                "or add the mmproj file if it came from GGUF"
            )
        vision = self.config.vision
        wanted = (vision.num_channels, vision.image_size, vision.image_size)
        if pixels.dim() != 4 or tuple(pixels.shape[1:]) != wanted:
            raise ModelError(f"images have shape {tuple(pixels.shape)}, but this tower reads (N, *{wanted})")
        soft: Tensor = self.multi_modal_projector(self.vision_tower(pixels.to(self.device)))
        return soft

    def embed(
        self, token_ids: Tensor, image_embeddings: Tensor | None, image_positions: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Token ids (B, T) and soft tokens to (embeddings (B, T, W), is_image (B, T) bool).

        The soft token's id may lie beyond the embedding's rows; it is looked up as padding and then replaced.
        """
        is_image = token_ids == self.config.image_token_index
        embedded = self.language_model.embed(token_ids.masked_fill(is_image, 0))
        if image_positions is not None and image_embeddings is not None:
            soft = image_embeddings.flatten(0, 1).to(embedded.dtype)
            return embedded.flatten(0, 1).index_copy(0, image_positions, soft).view_as(embedded), is_image
        slots = int(is_image.sum())
        given = 0 if image_embeddings is None else image_embeddings.shape[0] * image_embeddings.shape[1]
        if slots != given:
            raise ModelError(
                f"the prompt has room for {slots} soft image tokens but the images give {given}; "
                f"put one image in the prompt for each image passed ({self.config.mm_tokens_per_image} tokens each)"
            )
        if image_embeddings is not None and given:
            # Image features go in after the sqrt(width) scaling, themselves unscaled.
            embedded = embedded.masked_scatter(is_image[..., None], image_embeddings.to(embedded.dtype))
        return embedded, is_image

    def hidden_states(
        self,
        token_ids: Tensor,
        image_embeddings: Tensor | None = None,
        cache: Cache | None = None,
        lengths: list[int] | None = None,
        starts: Tensor | None = None,
        image_positions: Tensor | None = None,
    ) -> Tensor:
        """Final hidden states (B, T, W) of token ids (B, T) int64, after what `cache` holds, which grows by them.

        Args:
            token_ids: padded on the right where sequences are of unequal lengths.
            image_embeddings: soft tokens (N, mm_tokens_per_image, W) of all images, in the order of the prompt.
            cache: continues from it; an image must be whole within one call.
            lengths: tokens of each sequence that are not padding; all T by default. Outputs at padding mean nothing.
            starts: (B, T) int64, for documents packed behind each other: where each token's own begins. It sees
                nothing before; only distances between positions matter to it, so they need not begin anew.
            image_positions: (n,) int64, where the n soft tokens stand in `token_ids.flatten()`, in order, for a caller
                that knows it: then nothing waits for the device, and nothing is checked.

        Raises:
            ModelError: soft tokens and images do not match, or the weights are in an unsupported dtype.
        """
        require_supported_dtype(self.dtype)
        batch, tokens = token_ids.shape
        real = [tokens] * batch if lengths is None else lengths
        if cache is None:
            positions = torch.arange(tokens, device=token_ids.device).expand(batch, tokens)
        else:
            positions = cache.positions(tokens, token_ids.device)
        if image_embeddings is None:
            # No image: nothing to look for, so no synchronisation with the device either.
            embedded, is_image, reach = self.language_model.embed(token_ids), token_ids, 0
        else:
            embedded, is_image = self.embed(token_ids, image_embeddings, image_positions)
            reach = self.config.mm_tokens_per_image - 1
        visible = visible_ranges(positions, is_image, self.config.text.sliding_window, reach)
        if starts is not None:
            visible = replace(visible, first=starts, local_first=visible.local_first.maximum(starts))
        hidden: Tensor = self.language_model(embedded, visible, positions, cache, real)
        return hidden

    def logits(self, hidden: Tensor) -> Tensor:
        """Scores (..., vocab_size) over the next token."""
        return self.language_model.logits(hidden)

    def forward(
        self,
        token_ids: Tensor,
        image_embeddings: Tensor | None = None,
        cache: Cache | None = None,
        lengths: list[int] | None = None,
    ) -> Tensor:
        """Logits (B, T, vocab_size) at every position; arguments as for `hidden_states`."""
        return self.logits(self.hidden_states(token_ids, image_embeddings, cache, lengths))
