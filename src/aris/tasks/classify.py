"""A choice among options, by the log-probability of each whole option, or by the answer that the model writes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from aris.backends import Backend, GenerationOptions
from aris.checkpoints.registry import ModelSpec
from aris.errors import ImageError, ModelError, PromptError
from aris.imaging import Film
from aris.imaging.film import printable
from aris.imaging.radiograph import modality_word
from aris.prompting import user
from aris.prompting.builders import COLORECTAL_TISSUES, histology, lettered
from aris.tasks.cases import Case, as_case, says_other_kind
from aris.tasks.results import Classification, Option
from aris.tasks.scope import FORCED, Kind, not_for_patients, permitted
from aris.tasks.text.options import parse_option

TISSUE_QUESTION = "What is the most likely tissue type shown in the histopathology image?"
MAX_TOKENS = 512
SCORED: Literal["log-probability of the whole option"] = "log-probability of the whole option"
GENERATED: Literal["generated answer"] = "generated answer"


def classify(
    model: Backend,
    what: Case | Film | str | Path,
    options: Sequence[str] = COLORECTAL_TISSUES,
    question: str = TISSUE_QUESTION,
    *,
    kind: Kind | None = None,
    by: Literal["score", "answer", "auto"] = "auto",
    force: bool = False,
) -> Classification:
    """Choose among options. The defaults are the published histopathology task and prompt.

    Args:
        model: reads images.
        what: the examination: an image, a series, or its path.
        options: 2 to 26, without letters.
        question: what they answer.
        kind: of image; by default as the file says, histopathology where it says nothing and the options are tissues.
        by: "score" compares the log-probabilities of the whole options, "answer" lets the model write and reads its
            choice. "auto" scores, and lets a model write where its endpoint gives no log-probabilities, which is said.
        force: go on outside the model's scope; the result is marked.

    Raises:
        ScopeError: outside the model's scope.
        ImageError: a file cannot be read, or is none of the kind that the tissues are of.
        ModelError: the model reads no images, or `by` is "score" and the endpoint gives no log-probabilities.
        PromptError: the options are fewer than 2, more than 26, empty or not distinct.
    """
    spelled = lettered(options)
    names = [option.strip() for option in options]
    if len({name.lower() for name in names}) < len(names):
        raise PromptError("options: two are the same; give each once")
    case = examination(what, names, kind, model.spec)
    warnings = permitted(model, "classify", case.kind, force=force)
    warnings += case.warnings
    parts = case.parts()
    if len(case.images) == 1:
        messages = histology(case.images[0].pixels, names, question)
    else:
        messages = [user(*parts, "\n".join([question.strip(), *spelled]))]
    logprobs: list[float] | None = None
    answer, scored_by = "", SCORED
    if by != "answer":
        try:
            logprobs = _normalised(model.score(messages, spelled))
        except ModelError as error:
            if by == "score":
                raise
            warnings.append(f"options could not be scored, so the model's own answer was read: {error}")
    choice: str | None
    if logprobs is not None:
        choice = names[max(range(len(names)), key=lambda index: logprobs[index])]
    else:
        scored_by = GENERATED  # type: ignore[assignment]
        reply = model.generate(messages, GenerationOptions(max_tokens=MAX_TOKENS))
        answer = reply.text
        index = parse_option(answer, names)
        choice = None if index is None else names[index]
        if choice is None:
            warnings.append("the answer names no option, or more than one")
    return Classification(
        model=model.name,
        files=(case.source,),
        question=question.strip(),
        options=tuple(
            Option(text=name, logprob=None if logprobs is None else logprobs[index]) for index, name in enumerate(names)
        ),
        choice=choice,
        scored_by=scored_by,
        answer=answer,
        warnings=tuple(dict.fromkeys(warnings)),
        forced=FORCED in warnings,
        caution=not_for_patients(model.spec),
    )


def examination(
    what: Case | Film | str | Path, options: Sequence[str], kind: Kind | None = None, spec: ModelSpec | None = None
) -> Case:
    """Make the case that is classified: histopathology where nobody says its kind and the options are tissues.

    Raises:
        ImageError: it cannot be read, holds several examinations, or says that it is no histopathology.
    """
    if kind is not None or tuple(options) != COLORECTAL_TISSUES:
        return as_case(what, kind, spec)
    case = as_case(what, "pathology", spec)
    if case.kind != "pathology" or says_other_kind(case.modality):
        # By the name that was typed: a file's name inside it may be a patient's.
        name = f"{printable(what)}: " if isinstance(what, str | Path) else ""
        raise ImageError(
            f"{name}modality {modality_word(case.modality)} is no histopathology, of which the tissues are; "
            "give options and a question of your own, or say its kind"
        )
    return case


def _normalised(scores: Sequence[float]) -> list[float]:
    """Log-probabilities that sum to 1 over the options.

    Raises:
        ModelError: they are not numbers.
    """
    top = max(scores)
    if not math.isfinite(top) or any(math.isnan(score) for score in scores):
        raise ModelError("score: the options' scores are not numbers; the weights are damaged, get them again")
    total = top + math.log(sum(math.exp(score - top) for score in scores))
    return [min(0.0, score - total) for score in scores]
