"""From a conversation to what the engine reads: tokenizer, chat template, image processor, prompts, thinking split."""

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
