"""Named findings on one film: probabilities from the decoder's own answer scores, inside the model's declared scope.

First the gate: is this a frontal chest film at all? Then, finding by finding, "Is there ... in this chest X-ray?" The
film is encoded and read once for all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from aris.backends import Backend
from aris.errors import ModelError
from aris.imaging import Film, read_film
from aris.prompting import Image, Message, user
from aris.prompting.builders import one_line
from aris.tasks.calibration.answers import UNCALIBRATED, Calibration, ScoreCalibration, read_calibration
from aris.tasks.cases import film_case
from aris.tasks.checks.film import not_a_film
from aris.tasks.evidence_maps.maps import finding_evidence, may_show, require_white_box
from aris.tasks.results import FilmFindings, Finding
from aris.tasks.scope import FORCED, not_for_patients, outside_scope, unknown_facts
from aris.tasks.text.prompts import ANSWERS, FINDING_QUESTION, GATE_QUESTION

# Asked for by force of a model that declares no findings, where the caller names none: the five findings of the
# CheXpert competition (arXiv 1901.07031), which MedGemma's card reports too.
COMMON_FINDINGS = ("atelectasis", "cardiomegaly", "consolidation", "edema", "pleural effusion")


@dataclass(frozen=True)
class Assessment:
    """Assessment of a film, before anything is said of it.

    Attributes:
        result: the findings.
        words: what a draft's prompt says of each calibrated finding that was scored, as ("pneumonia", "not seen").
        in_scope: whether the film is a chest film inside the model's scope, as far as can be told.
    """

    result: FilmFindings
    words: tuple[tuple[str, str], ...]
    in_scope: bool


def findings(
    model: Backend,
    film: Film | str | Path,
    names: Sequence[str] | None = None,
    *,
    force: bool = False,
    calibration: Calibration | None = None,
    evidence: bool = False,
) -> FilmFindings:
    """Score named findings on one film.

    A finding outside the model's declared scope, and every finding of a film outside it, is "not assessed" and has no
    probability.

    Args:
        model: reads images and can score given answers.
        film: the film, or its path.
        names: which findings; by default all that the model declares, or all of the site's calibration.
        calibration: a site's own (`tasks.calibration.site`): takes the place of the model's for the findings in it,
            and lets findings be scored that the model does not declare.
        force: score all the same. The result is marked.
        evidence: make a map of where each score came from (see `tasks.evidence`).

    Raises:
        ImageError: the file cannot be read.
        ModelError: the model reads no images, or its scores are not numbers; or evidence of one at an endpoint.
        CheckpointError: its calibration is malformed.
        PromptError: a name is empty or not a line of at most 300 characters.
    """
    if evidence:
        require_white_box(model)
    film = film if isinstance(film, Film) else read_film(film)
    result = assess(model, film, names, force=force, calibration=calibration).result
    warnings = list(result.warnings)
    if not _declared(model) and calibration is None:
        missing = f"{model.name} declares no calibrated findings"
        warnings.append(f"{missing}; scores are uncalibrated" if force else f"{missing}: choose a model that does, "
                        "such as aris-nano")  # fmt: skip
    maps = None
    if evidence:
        allowed, said = may_show(model, "chest film", force=force)
        case = film_case(film, "chest film")
        scored = result.findings if allowed else ()
        forced = result.forced or FORCED in said
        maps = tuple(finding_evidence(model, case, each, forced=forced) for each in scored)
        warnings += [*said, *(warning for each in maps for warning in each.warnings)]
    return result.model_copy(update={"warnings": tuple(dict.fromkeys(warnings)), "evidence": maps})


def assess(
    model: Backend,
    film: Film,
    names: Sequence[str] | None = None,
    *,
    force: bool = False,
    task: str = "findings",
    calibration: Calibration | None = None,
) -> Assessment:
    """As `findings`, with what a draft needs besides; `task` is what the scope must allow where it is not findings."""
    require_images(model)
    names = None if names is None else [one_line(name, "finding's name") for name in names]
    site, own = calibration, read_calibration(model.calibration)
    calibration = own if site is None else Calibration({**own.findings, **site.findings}, own.gate)
    by_site = frozenset() if site is None else frozenset(site.findings)
    turn = [user(Image(film.pixels))]
    warnings = list(film.warnings)
    if film.burned_in_annotation:
        warnings.append("the film has burned-in text, which a model may read as if it were told so")
    blocked = _blocked(model, film, turn, calibration, warnings, task)
    result = _score_all(model, turn, calibration, names, blocked, force, by_site)
    forced = force and (blocked is not None or any(finding.word == "uncalibrated" for finding in result))
    if forced:
        warnings.insert(0, FORCED)
    return Assessment(
        FilmFindings(
            model=model.name,
            file=str(film.source),
            findings=tuple(result),
            warnings=tuple(dict.fromkeys(warnings)),
            forced=forced,
            caution=not_for_patients(model.spec),
        ),
        words_of(result),
        blocked is None,
    )


def words_of(findings: Sequence[Finding]) -> tuple[tuple[str, str], ...]:
    """Word each scored and calibrated finding for a draft's prompt."""
    return tuple((each.name, each.word) for each in findings if each.word not in ("", "uncalibrated"))


def require_images(model: Backend) -> None:
    """Raise `ModelError` if the model has no vision tower."""
    if not model.reads_images:
        raise ModelError(f"{model.name}: this model reads no images; choose one with a vision tower, such as aris-nano")


def _blocked(
    model: Backend, film: Film, turn: list[Message], calibration: Calibration, warnings: list[str], task: str
) -> str | None:
    """Return why this film may not be assessed; None if it may. Adds to the warnings."""
    scope = None if model.spec is None else model.spec.scope
    # A model without findings is told apart by its empty list of them, name by name.
    if scope is not None and task != "findings" and scope.tasks and task not in scope.tasks:
        warnings.append(f"{task} is outside the model's scope ({', '.join(scope.tasks)})")
        return warnings[-1]
    if scope is not None and (reasons := outside_scope(film, scope)):
        warnings.extend(reasons)
        return reasons[0]
    reason = not_a_film(film.pixels)
    if reason is None and calibration.gate is not None:
        (scores,) = model.score_many(turn, [(GATE_QUESTION, ANSWERS)])
        if not calibration.gate.present(calibration.gate.probability(scores)):
            reason = "the model does not take it for a frontal chest X-ray"
    if reason is not None:
        warnings.append(f"not a chest film: {reason}")
        return "not a chest film"
    if scope is not None and (unknown := unknown_facts(film, scope, model.name)):
        warnings.append(unknown)
    return None


def _declared(model: Backend) -> tuple[str, ...]:
    return () if model.spec is None else tuple(each.name for each in model.spec.scope.findings)


def _score_all(
    model: Backend,
    turn: list[Message],
    calibration: Calibration,
    names: Sequence[str] | None,
    blocked: str | None,
    force: bool,
    by_site: frozenset[str],
) -> list[Finding]:
    """The findings in order."""
    declared = tuple(dict.fromkeys([*_declared(model), *sorted(by_site)]))
    wanted = tuple(dict.fromkeys(names or declared or (COMMON_FINDINGS if force else ())))
    usable = {name: calibration.findings[name] for name in declared if name in calibration.findings}
    asked = [name for name in wanted if force or (blocked is None and name in usable)]
    scores = model.score_many(turn, [(FINDING_QUESTION.format(finding=name), ANSWERS) for name in asked])
    scored = dict(zip(asked, scores, strict=True))
    out: list[Finding] = []
    for name in wanted:
        if name not in scored:
            reason = blocked or ""
            if name not in usable:
                known = name in declared
                reason = "the model has no calibration for it" if known else "outside the model's declared findings"
            out.append(Finding(name=name, assessed=False, note=f"not assessed: {reason}"))
            continue
        entry = usable.get(name)
        probability = (entry or UNCALIBRATED).probability(scored[name])
        scored_finding = _scored(name, probability, entry, blocked)
        if name in by_site:
            note = "; ".join(filter(None, (scored_finding.note, "calibrated on the site's own labels")))
            scored_finding = scored_finding.model_copy(update={"note": note})
        out.append(scored_finding)
    return out


def _scored(name: str, probability: float, entry: ScoreCalibration | None, blocked: str | None) -> Finding:
    word = "uncalibrated" if entry is None else entry.word(probability)
    notes = []
    if word == "uncalibrated":
        notes.append("forced: not calibrated for this finding")
    if word == "uncertain":
        notes.append("too close to the operating point to be called")
    if blocked is not None:
        notes.append(f"forced: {blocked}")
    return Finding(
        name=name,
        probability=probability,
        assessed=True,
        present={"present": True, "not seen": False}.get(word),
        note="; ".join(notes),
        word=word,
        over=entry is not None and entry.present(probability),
    )
