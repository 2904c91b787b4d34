"""The models that this server has: the one that is loaded, and the others that it knows by name and has at hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter

from aris.checkpoints.cards import card_of
from aris.checkpoints.pull import is_local
from aris.checkpoints.registry import REGISTRY, ModelSpec
from aris.engine.bench import memory_of
from aris.exchange.documents.formats import model_identity
from aris.service.workspace.context import Caller, Workspace, allow, here
from aris.service.workspace.schemas.drafts import ModelInfo
from aris.tasks.scope import KIND_NAMES, caution, describe, not_for_patients

if TYPE_CHECKING:
    from aris.backends import NativeBackend

router = APIRouter(prefix="/api", tags=["models"])
Anyone = Annotated[Caller, allow("admin", "reader", "viewer", scope="read")]
Here = Annotated[Workspace, here]


@router.get("/models")
def models(caller: Anyone, workspace: Here) -> list[ModelInfo]:
    """The loaded model first; then those that are on this machine. None is loaded where only people read and sign."""
    model = workspace.model
    found = [] if model is None else [_loaded(workspace, model)]
    name = "" if model is None or model.spec is None else model.spec.name
    return [*found, *(_at_hand(spec) for spec in REGISTRY if spec.name != name and is_local(spec))]


def _loaded(workspace: Workspace, model: NativeBackend) -> ModelInfo:
    identity = model_identity(model.name)
    drafter = getattr(workspace.drafts, "drafter", None)
    return ModelInfo(
        name=identity.name,
        revision=identity.revision,
        loaded=True,
        caution=caution(model),
        card="" if model.spec is None else card_of(model.spec) or "",
        memory=memory_of(model.engine),
        tokens_per_s=getattr(drafter, "tokens_per_s", None),
        device=str(model.model.device),
        scope=[] if model.spec is None else _scope(model.spec),
        quantization=model.changes,
    )


def _at_hand(spec: ModelSpec) -> ModelInfo:
    return ModelInfo(
        name=spec.name, revision=spec.revision or "", loaded=False, caution=not_for_patients(spec),
        card=card_of(spec) or "", memory=None, tokens_per_s=None, device="", scope=_scope(spec), quantization="",
    )  # fmt: skip


def _scope(spec: ModelSpec) -> list[str]:
    """List what a model may be asked, one line each."""
    scope = spec.scope
    lines = [
        f"{use.task}: {KIND_NAMES.get(use.kind, use.kind) or 'text'}" + (f" ({use.evidence})" if use.evidence else "")
        for use in scope.uses
    ]
    lines += [f"finding: {each.name} ({each.evidence})" for each in scope.findings]
    if scope.modalities or scope.views or scope.age_years is not None:
        lines.append(f"only {describe(scope)}")
    return [*lines, *([scope.note] if scope.note else [])]
