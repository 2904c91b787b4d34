"""Requests and a film's facts, checked against the scope that a model declares."""

from __future__ import annotations

from typing import Literal, get_args

from aris.backends import Backend
from aris.checkpoints.registry import ModelSpec, Scope, Use, find
from aris.errors import ModelError, ScopeError
from aris.imaging import Film
from aris.imaging.radiograph import modality_word

Kind = Literal["chest film", "film", "ct", "mr", "pathology", "skin", "fundus"]
KINDS: tuple[Kind, ...] = get_args(Kind)
KIND_NAMES: dict[str, str] = {
    "chest film": "chest films", "film": "films other than of the chest", "ct": "CT", "mr": "MR",
    "pathology": "histopathology", "skin": "photographs of the skin", "fundus": "photographs of the fundus",
}  # fmt: skip
FORCED = "forced: the model's scope was overridden; these numbers and words are not evidence of anything"

# What Body Part Examined (0018,0015) holds on a chest film: DICOM PS3.16 annex L has CHEST, RIB, LUNG, THORAX and their
# compounds, and scanners write more ("CHEST PA", "TORAX").
_CHEST = ("CHEST", "THORA", "TORAX", "LUNG", "RIB")


def not_for_patients(spec: ModelSpec | None) -> str:
    """Return the notice on every document of a model for trying and testing only; "" for other models."""
    # The registry's word holds for what goes by a name of it.
    if spec is None or (find(spec.name) or spec).patient_care:
        return ""
    return f"{spec.name} is for trying and testing only, never for patient care."


def caution(model: Backend) -> str:
    """Return the caution that must stand with everything that a model writes."""
    return not_for_patients(model.spec) or (
        "A model wrote this. A clinician must check every word against the film before any use."
    )


def is_chest(body_part: str | None) -> bool:
    """Return whether Body Part Examined names the chest."""
    return body_part is not None and any(part in body_part.upper() for part in _CHEST)


def refusal(model: Backend, task: str, kind: Kind) -> str | None:
    """Return why a model may not do a task on a kind of image, in one line; None if it may, or declares no limit."""
    scope = None if model.spec is None else model.spec.scope
    if scope is None:
        return None
    if scope.tasks and task not in scope.tasks:
        return f"{task} is outside the model's scope ({', '.join(scope.tasks)})"
    kinds = [use.kind for use in scope.uses if use.task == task]
    if scope.uses and kind not in kinds:
        named = ", ".join(KIND_NAMES.get(each, each) for each in kinds)
        return f"{task} of {KIND_NAMES[kind]} is outside the model's scope ({task} of {named})"
    return None


def evidence_warning(model: Backend, task: str, kind: Kind) -> str | None:
    """A warning where nothing is known of how well a model does a task; None where its scope names evidence."""
    if model.spec is None:
        return f"{model.name} declares no scope: nothing is known of how well it does this"
    use = _use(model.spec.scope, task, kind)
    if use is None or use.evidence:
        return None
    return f"no figure is published of how well {model.spec.name} does this: {task} of {KIND_NAMES[kind]}"


def permitted(model: Backend, task: str, kind: Kind, *, force: bool) -> list[str]:
    """Return the notice that precedes a task; for tasks that have nothing to give outside the scope.

    Returns:
        warnings; the first is `FORCED` where the scope was overridden.

    Raises:
        ModelError: the model reads no images.
        ScopeError: the task is outside the model's scope, and not forced.
    """
    if not model.reads_images:
        raise ModelError(f"{model.name}: this model reads no images; choose one with a vision tower")
    reason = refusal(model, task, kind)
    if reason is None:
        return [warning for warning in (evidence_warning(model, task, kind),) if warning]
    if not force:
        raise ScopeError(f"{model.name}: {reason}; choose another model (aris models list), or force it")
    return [FORCED, reason]


def _use(scope: Scope, task: str, kind: str) -> Use | None:
    return next((use for use in scope.uses if (use.task, use.kind) == (task, kind)), None)


# Common terms of PS3.16 annex L and PS3.3 C.8.1.1.1. What else a file says there may be anything, as a name.
_BODY_PARTS = frozenset([
    "ABDOMEN", "ANKLE", "ARM", "BREAST", "CERVICAL SPINE", "CLAVICLE", "CSPINE", "ELBOW", "EXTREMITY", "EYE", "FACE",
    "FEMUR", "FINGER", "FOOT", "FOREARM", "HAND", "HEAD", "HEART", "HIP", "HUMERUS", "JAW", "KNEE", "LEG", "LSPINE",
    "LUMBAR SPINE", "NECK", "PELVIS", "SHOULDER", "SKULL", "SPINE", "SSPINE", "THIGH", "THUMB", "TIBIA", "TOE",
    "TSPINE", "UPPER ARM", "WHOLEBODY", "WRIST",
])  # fmt: skip
_VIEWS = frozenset(["AP", "PA", "LL", "RL", "RLD", "LLD", "RLO", "LLO", "LAT", "LATERAL", "OBLIQUE", "AXIAL"])


def _word(value: str, known: frozenset[str]) -> str:
    return value if value.upper() in known else "of another kind"


def outside_scope(film: Film, scope: Scope) -> tuple[str, ...]:
    """List the file's facts that lie outside the scope, each in one line; empty if none.

    No line tells the patient's age.
    """
    reasons = []
    if film.modality and scope.modalities and film.modality not in scope.modalities:
        word = modality_word(film.modality)
        reasons.append(f"modality {word} is outside the model's scope ({', '.join(scope.modalities)})")
    if film.body_part and not is_chest(film.body_part):
        part = _word(film.body_part, _BODY_PARTS)
        reasons.append(f"body part {part} is outside the model's scope (chest)")
    if film.view_position and scope.views and film.view_position.upper() not in scope.views:
        view = _word(film.view_position, _VIEWS)
        reasons.append(f"view {view} is outside the model's scope ({', '.join(scope.views)})")
    if film.patient_age_years is not None and scope.age_years is not None:
        low, high = scope.age_years
        if not low <= film.patient_age_years <= high:
            reasons.append(f"the patient's age is outside the model's scope ({_years(low, high)})")
    return tuple(reasons)


def unknown_facts(film: Film, scope: Scope, model: str) -> str | None:
    """A warning that names what the file does not say and the scope asks for; None if nothing is missing."""
    missing = []
    if scope.age_years is not None and film.patient_age_years is None:
        missing.append("age")
    if scope.views and not film.view_position:
        missing.append("view")
    if not missing:
        return None
    verb = "are" if len(missing) > 1 else "is"
    return f"{' and '.join(missing)} {verb} not known from this file: {model} is for {describe(scope)} only"


def describe(scope: Scope) -> str:
    """The scope in a few words, as in "chest films (CR, DX; views AP, PA; age 1 to 5 years)"."""
    parts = []
    if scope.modalities:
        parts.append(", ".join(scope.modalities))
    if scope.views:
        parts.append(f"views {', '.join(scope.views)}")
    if scope.age_years is not None:
        parts.append(f"age {_years(*scope.age_years)}")
    return f"chest films ({'; '.join(parts)})" if parts else "chest films"


def _years(low: float, high: float) -> str:
    return f"{low:g} to {high:g} years"
