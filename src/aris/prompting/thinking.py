"""The model's reasoning and its answer, told apart: `<unused94>thought\\n...<unused95>answer`.

MedGemma 27B and 1.5 may open a reply so, asked to think or not. A reply cut by its length may end inside the reasoning:
then all of it is reasoning and the answer is empty, never the reverse.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from aris.prompting.messages import Message, Text, system

BEGIN_REASONING = "<unused94>"
END_REASONING = "<unused95>"
# What the model writes after the opening marker; a label, not a part of the reasoning.
_LABEL = "thought\n"
# The system text that asks for reasoning (MedGemma's model card); a system text of one's own follows it.
THINKING_INSTRUCTION = "SYSTEM INSTRUCTION: think silently if needed."


@dataclass(frozen=True)
class Segment:
    """A piece of a reply, of one kind."""

    kind: Literal["reasoning", "answer"]
    text: str


class ThinkingSplitter:
    """Splits a reply that arrives in pieces. No segment holds a marker or a part of one, however the pieces fall.

    Attributes:
        thinking: whether the reply is inside reasoning now.
        reasoning_seen: whether it has opened one at all.
    """

    def __init__(self) -> None:
        self.thinking = False
        self.reasoning_seen = False
        self._pending = ""  # text that may yet turn out to begin a marker or the label
        self._label_due = False
        self._trim = False  # white space between the reasoning and the answer belongs to neither

    def push(self, text: str) -> list[Segment]:
        """Take a piece; return the segments that are certain with it, which may be none."""
        self._pending += text
        segments: list[Segment] = []
        while True:
            # Only the marker that can come next is one; a stray other one is dropped like markup.
            at, marker = min(
                ((self._pending.find(marker), marker) for marker in (BEGIN_REASONING, END_REASONING)),
                key=lambda hit: hit[0] if hit[0] >= 0 else len(self._pending),
            )
            if at < 0:
                break
            self._emit(self._pending[:at], segments, last=True)
            self._pending = self._pending[at + len(marker) :]
            self._switch(marker)
        held = max(_overlap(self._pending, BEGIN_REASONING), _overlap(self._pending, END_REASONING))
        certain = self._pending[: len(self._pending) - held]
        rest = self._emit(certain, segments, last=False)
        self._pending = rest + self._pending[len(certain) :]
        return segments

    def flush(self) -> list[Segment]:
        """The end of the reply: what was held back, as the text that it is."""
        segments: list[Segment] = []
        self._emit(self._pending, segments, last=True)
        self._pending = ""
        return segments

    def _switch(self, marker: str) -> None:
        if marker == BEGIN_REASONING and not self.thinking:
            self.thinking = self.reasoning_seen = self._label_due = True
        elif marker == END_REASONING and self.thinking:
            self.thinking, self._label_due, self._trim = False, False, True

    def _emit(self, text: str, segments: list[Segment], *, last: bool) -> str:
        """Add `text` to the segments, without the label or the space after reasoning; return what must wait."""
        if self.thinking and self._label_due:
            if not last and len(text) < len(_LABEL) and _LABEL.startswith(text):
                return text
            self._label_due = False
            # A reply cut within the label has no reasoning yet.
            text = "" if last and _LABEL.startswith(text) else text.removeprefix(_LABEL)
        if not self.thinking and self._trim:
            text = text.lstrip()
            self._trim = not text
        if text:
            segments.append(Segment("reasoning" if self.thinking else "answer", text))
        return ""


def _overlap(text: str, marker: str) -> int:
    """Length of the longest end of `text` that begins `marker`."""
    for size in range(min(len(text), len(marker) - 1), 0, -1):
        if marker.startswith(text[-size:]):
            return size
    return 0


def split_thinking(text: str) -> tuple[str | None, str]:
    """A whole reply as (reasoning, answer). The reasoning is None where there is none, and stripped where there is."""
    splitter = ThinkingSplitter()
    segments = splitter.push(text) + splitter.flush()
    reasoning = "".join(segment.text for segment in segments if segment.kind == "reasoning").strip()
    answer = "".join(segment.text for segment in segments if segment.kind == "answer")
    return (reasoning if splitter.reasoning_seen else None), answer


def with_thinking(messages: Sequence[Message]) -> list[Message]:
    """The conversation with the instruction to think, before its own system text if it has one."""
    if not messages or messages[0].role != "system":
        return [system(THINKING_INSTRUCTION), *messages]
    own = " ".join(part.text for part in messages[0].content if isinstance(part, Text))
    return [system(f"{THINKING_INSTRUCTION} {own}"), *messages[1:]]
