"""The model that a run starts from."""

from __future__ import annotations

from dataclasses import dataclass

from aris.checkpoints.checkpoint import Checkpoint, open_checkpoint
from aris.errors import CheckpointError
from aris.prompting import ImageProcessor, PromptProcessor, Tokenizer


@dataclass(frozen=True)
class Base:
    """A checkpoint and how it reads prompts; its weights are not loaded yet."""

    checkpoint: Checkpoint
    processor: PromptProcessor


def open_base(name: str) -> Base:
    """Open a model by the names that `aris.load` takes.

    Raises:
        CheckpointError: nothing of this name, or its files are damaged.
    """
    checkpoint = open_checkpoint(name)
    source, vision = checkpoint.tokenizer, checkpoint.config.vision
    if source.path is not None:
        tokenizer = Tokenizer.from_file(source.path)
    elif source.vocabulary is not None:
        tokenizer = Tokenizer.from_gguf(*source.vocabulary)
    else:
        raise CheckpointError(f"{name}: it has no tokenizer; give a checkpoint with its tokenizer.json")
    images = None
    if vision is not None:
        if tokenizer.image_token_id != checkpoint.config.image_token_index:
            raise CheckpointError(
                f"{name}: the tokenizer's image token is {tokenizer.image_token_id}, the configuration's "
                f"{checkpoint.config.image_token_index}; use the checkpoint's own files"
            )
        images = ImageProcessor.from_dict({"size": vision.image_size} | checkpoint.processor)
    return Base(checkpoint, PromptProcessor(tokenizer, images, checkpoint.config.mm_tokens_per_image))
