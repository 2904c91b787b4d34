"""Pieces of Gemma 3's vocabulary that text is cut at before any merging, by their names.

Files tell them by a type (GGUF) or by flags (`tokenizer.json`), and converters and fine-tuning tools lose both. The
names never change, so the names decide.
"""

from __future__ import annotations

import re

IMAGE_SOFT_TOKEN = "<image_soft_token>"
# Special tokens leave decoded text. The `<unusedN>` are added tokens but not special in Gemma's tokenizer.json, so
# the thinking markers <unused94> and <unused95> stay visible in it.
SPECIAL_TOKENS = (
    "<pad>",
    "<eos>",
    "<bos>",
    "<unk>",
    "<mask>",
    "<start_of_turn>",
    "<end_of_turn>",
    "<start_of_image>",
    "<end_of_image>",
    IMAGE_SOFT_TOKEN,
)
_UNUSED = 6_400  # Gemma 3 has <unused0> to <unused6241>
_LONGEST_RUN = 31  # of newlines, tabs and spaces
_TAGS = [
    "table", "caption", "thead", "tbody", "tfoot", "tr", "th", "td", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote",
    "strong", "em", "b", "i", "u", "s", "sub", "sup", "code", "a", "html", "body", "img", "span", "bbox", "ul", "li",
    "div", "iframe", "footer",
]  # fmt: skip
# Markup, white space and the like: whole pieces in every text, and visible in decoded text.
USER_DEFINED = (
    "[multimodal]",
    *("\n" * count for count in range(1, _LONGEST_RUN + 1)),
    *("\t" * count for count in range(1, _LONGEST_RUN + 1)),
    *("▁" * count for count in range(2, _LONGEST_RUN + 1)),
    *(f"<{tag}>" for tag in _TAGS),
    *(f"</{tag}>" for tag in _TAGS),
)
UNUSED_TOKENS = tuple(f"<unused{index}>" for index in range(_UNUSED))
WHOLE = frozenset((*SPECIAL_TOKENS, *USER_DEFINED, *UNUSED_TOKENS))
_BYTE = re.compile(r"<0x[0-9A-F]{2}>")


def is_byte(piece: str) -> bool:
    """Whether a piece stands for one byte of a character outside the vocabulary."""
    return len(piece) == 6 and _BYTE.fullmatch(piece) is not None
