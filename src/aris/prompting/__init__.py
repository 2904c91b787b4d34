"""From a conversation to what the engine reads: tokenizer, chat template, image processor, prompts, thinking split."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aris.lazy import lazy

if TYPE_CHECKING:
    from aris.prompting import builders
    from aris.prompting.chat import render
    from aris.prompting.messages import Image, Message, Part, Text, assistant, system, user
    from aris.prompting.processor import Frame, ImageProcessor
    from aris.prompting.prompt import Prompt, PromptProcessor
    from aris.prompting.thinking import Segment, ThinkingSplitter, split_thinking, with_thinking
    from aris.prompting.tokenizer import StreamDecoder, Tokenizer

__all__ = [
    "Frame",
    "Image",
    "ImageProcessor",
    "Message",
    "Part",
    "Prompt",
    "PromptProcessor",
    "Segment",
    "StreamDecoder",
    "Text",
    "ThinkingSplitter",
    "Tokenizer",
    "assistant",
    "builders",
    "render",
    "split_thinking",
    "system",
    "user",
    "with_thinking",
]

__getattr__ = lazy(
    __name__,
    {
        "chat": ("render",),
        "messages": ("Image", "Message", "Part", "Text", "assistant", "system", "user"),
        "processor": ("Frame", "ImageProcessor"),
        "prompt": ("Prompt", "PromptProcessor"),
        "thinking": ("Segment", "ThinkingSplitter", "split_thinking", "with_thinking"),
        "tokenizer": ("StreamDecoder", "Tokenizer"),
    },
)
