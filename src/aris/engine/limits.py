"""Limits of an engine, and the errors that say that it is full."""

from __future__ import annotations

from dataclasses import dataclass

from aris.errors import ModelError


class EngineBusy(ModelError):  # noqa: N818 - what it is called everywhere
    """As many requests wait as may; ask again later."""


class ContextLengthError(ModelError):
    """A prompt is longer than the model or the engine's limits allow."""


@dataclass(frozen=True)
class EngineLimits:
    """Bounds of an engine. What does not fit waits or is refused; nothing runs out of memory for it.

    Attributes:
        max_running: sequences that are computed side by side, at least 1. Memory may allow fewer.
        max_waiting: sequences that may wait for their turn, at least 1; one more is refused with `EngineBusy`.
        max_tokens: of one sequence, prompt and answer together; None is what the model reads. Memory may allow fewer.
        cache_bytes: for keys and values; None is half of the memory that is free when the engine is made.
        prefill_tokens: prompt tokens that are read in one step at most (an image more, as it is never split). Running
            answers get a token each between two such steps, so this bounds how long they stall.
        kept_prompts: prefixes that are kept when their sequences have ended, for others that begin alike.
        speculation: propose draft tokens where answers or prompts repeat themselves (see `speculation`), as far as it
            pays.
        vision_bytes: for the embeddings of images that were seen, so that none is encoded twice.
    """

    max_running: int = 64
    max_waiting: int = 1024
    max_tokens: int | None = None
    cache_bytes: int | None = None
    prefill_tokens: int = 2048
    kept_prompts: int = 8
    speculation: bool = False
    vision_bytes: int = 256 * 1024**2

    def __post_init__(self) -> None:
        for name, least in (("max_running", 1), ("max_waiting", 1), ("prefill_tokens", 1), ("kept_prompts", 0)):
            if getattr(self, name) < least:
                raise ModelError(f"limits: {name} must be at least {least}")
        if self.max_tokens is not None and self.max_tokens < 2:
            raise ModelError("limits: max_tokens must be at least 2, one of the prompt and one of the answer")
