"""The model that may word records in this workspace."""

from __future__ import annotations

from aris.service.workspace.context import Workspace
from aris.tasks.summary.models import allowed


def writer_of(workspace: Workspace) -> tuple[str, str]:
    """(the model that words summaries and answers, why none does): one of the two is empty."""
    model = workspace.model
    if model is None:
        waits = "the model is loading" if workspace.loading == "loading" else "no model is loaded"
        return "", f"{waits}: the facts are laid out by rule"
    may, said = allowed(model, force=False)
    return (model.name, "") if may else ("", said[0].replace("; choose another with --model", ""))
