"""Model cards that lie on this machine."""

from __future__ import annotations

from aris.checkpoints import embedded, pull
from aris.checkpoints.registry import ModelSpec
from aris.errors import CheckpointError


def card_of(spec: ModelSpec) -> str | None:
    """A model's card in Markdown, where it is on this machine; else None."""
    if spec.repo:
        try:
            path = pull.local_folder(spec.name, spec) / "README.md"
        except CheckpointError:
            return None
    else:
        path = embedded.files() / "MODEL_CARD.md"
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
