"""Pieces of Gemma 3's vocabulary that text is cut at before any merging, by their names.

Files tell them by a type (GGUF) or by flags (`tokenizer.json`), and converters and fine-tuning tools lose both. The
names never change, so the names decide.
"""

from __future__ import annotations

import re

# Piece types, from sentencepiece_model.proto (and gguf's TokenType).
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6

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
USER_DEFINED_PIECES = (
    "[multimodal]",
    *("\n" * count for count in range(1, _LONGEST_RUN + 1)),
    *("\t" * count for count in range(1, _LONGEST_RUN + 1)),
    *("▁" * count for count in range(2, _LONGEST_RUN + 1)),
    *(f"<{tag}>" for tag in _TAGS),
    *(f"</{tag}>" for tag in _TAGS),
)
UNUSED_TOKENS = tuple(f"<unused{index}>" for index in range(_UNUSED))
WHOLE = frozenset((*SPECIAL_TOKENS, *USER_DEFINED_PIECES, *UNUSED_TOKENS))
_SPACES = re.compile(" +")
_BYTE_PIECE = re.compile(r"<0x[0-9A-F]{2}>")


def is_byte(piece: str) -> bool:
    """Return whether a piece stands for one byte of a character outside the vocabulary."""
    return len(piece) == 6 and _BYTE_PIECE.fullmatch(piece) is not None


def kind_of(token: str, kind: int) -> int:
    """The type of a piece: what Gemma 3 has under that name, whatever a file calls it; of other names, the file's."""
    if token in WHOLE or (len(token) > 1 and _SPACES.fullmatch(token)):
        if token in SPECIAL_TOKENS or token.startswith("<unused"):
            return UNKNOWN if token == "<unk>" else CONTROL
        return USER_DEFINED
    if is_byte(token):
        return BYTE
    return NORMAL if kind in (UNKNOWN, BYTE) else kind
