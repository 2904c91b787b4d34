"""From a conversation to what the engine reads: tokenizer, chat template, image processor, prompts, thinking split."""

from aris.prompting.messages import Image, Message, Part, Text, assistant, system, user
from aris.prompting.processor import ImageProcessor
from aris.prompting.prompt import Prompt, PromptProcessor
from aris.prompting.tokenizer import StreamDecoder, Tokenizer

__all__ = [
    "Image",
    "ImageProcessor",
    "Message",
    "Part",
    "Prompt",
    "PromptProcessor",
    "StreamDecoder",
    "Text",
    "Tokenizer",
    "assistant",
    "system",
    "user",
]
