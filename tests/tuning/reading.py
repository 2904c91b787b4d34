"""The reading of conversations alone, of any line."""

from __future__ import annotations

from pathlib import Path

from aris.tuning.data.conversations import BadExample, PreferencePair, read_examples
from aris.tuning.data.examples import Conversation
from aris.tuning.data.images import ImageBank


def read_conversations(
    path: Path, bank: ImageBank, root: Path | None = None
) -> tuple[list[Conversation], list[BadExample]]:
    """Read a file whose good examples are all conversations."""
    good, bad = read_examples(path, bank, root)
    assert not any(isinstance(each, PreferencePair) for _, each in good)
    return [each for _, each in good if isinstance(each, Conversation)], bad
