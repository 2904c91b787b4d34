"""Sentences of papers that read like orders to a program: neither quoted, nor shown to a model, nor support."""

from __future__ import annotations

import re

from aris.literature.passages import sentence_spans
from aris.prompting.chat import CONTROL_TOKEN
from aris.tasks.checks.injected import instruction_in

# Whoever writes this speaks to a program, and what follows is what it is to say.
_ADDRESSES = re.compile(
    r"\b(?:ignore|disregard|forget|override|bypass)\b[^.\n]{0,30}\b(?:instruction|prompt|rule|previous|above|prior|earlier)"
    r"s?\b|\b(?:system|developer) (?:prompt|message)\b",
    re.IGNORECASE,
)


def statements(text: str) -> tuple[list[tuple[int, int]], int]:
    """Spans of a passage's sentences that are no orders, and the number of those left out.

    What follows an order to ignore what was said before is left out to the passage's end.
    """
    kept: list[tuple[int, int]] = []
    spans = sentence_spans(text)
    for start, end in spans:
        sentence = text[start:end]
        if _ADDRESSES.search(sentence) or CONTROL_TOKEN.search(sentence):
            return kept, len(spans) - len(kept)
        if not instruction_in(sentence):
            kept.append((start, end))
    return kept, len(spans) - len(kept)


def without_orders(text: str) -> str:
    """A passage's sentences that are no orders, on one line."""
    return " ".join(" ".join(text[start:end].split()) for start, end in statements(text)[0])
