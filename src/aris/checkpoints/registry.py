"""The models that Aris knows by name, with the revision that was meant and the scope that each one declares."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from typing import Literal

MedGemmaVersion = Literal["1.0", "1.5"]


@dataclass(frozen=True)
class FindingScope:
    """A finding that a model may give a probability for, and the evidence that it can."""

    name: str
    evidence: str


@dataclass(frozen=True)
class Use:
    """A task on one kind of image that a model declares.

    Attributes:
        task: its name.
        kind: of image: "chest film", "film", "ct", "mr", "pathology", "skin", "fundus"; "" for no image.
        evidence: what is published of how well it does this, with the source; "" where nothing is.
    """

    task: str
    kind: str
    evidence: str = ""


@dataclass(frozen=True)
class Scope:
    """Scope of a model: the questions that it may be asked. Outside it a task says "not assessed", never a number.

    Attributes:
        tasks: names of tasks.
        uses: which tasks on which kinds of images; empty for no declared limit.
        modalities: DICOM Modality (0008,0060) codes; empty for no declared limit.
        views: DICOM View Position (0018,5101) codes; empty for no declared limit.
        age_years: lowest and highest patient age, inclusive; None for no declared limit.
        findings: those with validated probabilities.
        free_answers: whether its own words to a question about an image are given; False where they are known to rest
            on the question and not on the image, so that only the findings' scores answer.
        note: limits in words.
    """

    tasks: tuple[str, ...] = ()
    uses: tuple[Use, ...] = ()
    modalities: tuple[str, ...] = ()
    views: tuple[str, ...] = ()
    age_years: tuple[float, float] | None = None
    findings: tuple[FindingScope, ...] = ()
    free_answers: bool = True
    note: str = ""


@dataclass(frozen=True)
class ModelSpec:
    """A named model.

    Attributes:
        name: the short name, unique.
        repo: its hub id, "" for the embedded model.
        revision: commit hash on the hub; None is unpinned until it is pulled.
        parameters: as in the model's own name.
        gated: a hub account must accept the licence first.
        licence: its name.
        multimodal: whether it reads images.
        thinking: whether it was trained to think first when asked to.
        context: tokens it reads at most.
        instruction_tuned: whether it follows a conversation.
        medgemma_version: "1.0" or "1.5", which decides prompts and CT windows; None for a model that is no MedGemma.
        patient_care: False for a model that is for trying and testing only; all that it writes says so.
        scope: what it may be asked.
    """

    name: str
    repo: str
    revision: str | None
    parameters: str
    gated: bool
    licence: str
    multimodal: bool
    thinking: bool = False
    context: int = 131_072
    instruction_tuned: bool = True
    medgemma_version: MedGemmaVersion | None = None
    patient_care: bool = True
    scope: Scope = field(default_factory=Scope)


_MEDGEMMA_TERMS = "Health AI Developer Foundations terms of use"
_GEMMA_TERMS = "Gemma terms of use"
_CARD = "model card of MedGemma 1.5"
_NO_NUMBER = "No finding has a probability that was validated here. Every draft needs a clinician's review."
_TEXT = Scope(tasks=("ask", "summarize"), note=_NO_NUMBER)


def _images(draft: str, pathology: str, skin: str, fundus: str, *more: Use) -> Scope:
    """MedGemma's scope, with its published figures of drafts of chest films and of choices among options."""
    uses = (
        Use("draft", "chest film", f"MIMIC-CXR top-5 macro F1 {draft} ({_CARD})"),
        *(Use("draft", kind) for kind in ("film", "pathology", "skin", "fundus")),
        Use("classify", "chest film"),
        Use("classify", "film"),
        Use("classify", "pathology", f"PathMCQA accuracy {pathology} ({_CARD})"),
        Use("classify", "skin", f"US-DermMCQA accuracy {skin} ({_CARD})"),
        Use("classify", "fundus", f"EyePACS accuracy {fundus} ({_CARD})"),
        *(Use("ask", kind) for kind in ("chest film", "film", "pathology", "skin", "fundus")),
        *(Use("evidence", kind) for kind in ("chest film", "film", "pathology", "skin", "fundus")),
        *more,
    )
    tasks = dict.fromkeys((*(use.task for use in uses), "summarize"))
    return Scope(tasks=tuple(tasks), uses=uses, note=_NO_NUMBER)


_MEDGEMMA = _images("88.9", "69.8", "71.8", "64.9")
_MEDGEMMA_27B = _images("90.0", "71.6", "71.7", "75.3")
_MEDGEMMA_1_5 = _images(
    "89.5",
    "70.0",
    "73.5",
    "76.8",
    *(Use(task, kind) for task in ("draft", "ask") for kind in ("ct", "mr")),
    Use("classify", "ct", f"CT dataset 1 macro accuracy 61.1 ({_CARD})"),
    Use("classify", "mr"),
    Use("locate", "chest film", f"Chest ImaGenome intersection over union 38.0 % ({_CARD})"),
    Use("compare", "chest film", f"MS-CXR-T macro accuracy 65.7 ({_CARD})"),
)
_NANO = Scope(
    tasks=("draft", "findings", "ask", "evidence"),
    uses=(
        Use("draft", "chest film", "written from the calibrated score of pneumonia; its wording is not validated"),
        Use("findings", "chest film", "see the findings' own evidence"),
        Use("ask", "chest film", "only what the findings' scores answer"),
        Use("evidence", "chest film", "insertion 0.938, deletion 0.662, random maps 0.822 and 0.833, on 302 films "
            "of chest_pediatric test; the maps are no outlines"),
    ),
    modalities=("CR", "DX", "RG"),
    views=("AP", "PA"),
    age_years=(0, 18),
    findings=(
        FindingScope(
            "pneumonia",
            "AUC 0.983 (95 % interval 0.968 to 0.994) on the held-out test split of chest_pediatric, 302 films of one "
            "centre; the best of three pixel baselines 0.910",
        ),
    ),
    # With another question's image or none its yes and no are as good (model card, "What rests on the image").
    free_answers=False,
    note="Frontal chest films of children (training: one centre, about 1 to 5 years). For trying, testing and "
    "continuous integration only; never for patient care.",
)


def _medgemma(
    name: str,
    revision: str | None,
    parameters: str,
    scope: Scope = _MEDGEMMA,
    version: MedGemmaVersion = "1.0",
    *,
    multimodal: bool = True,
    thinking: bool = False,
    instruction_tuned: bool = True,
) -> ModelSpec:
    return ModelSpec(
        name, f"google/{name}", revision, parameters, True, _MEDGEMMA_TERMS, multimodal, thinking,
        instruction_tuned=instruction_tuned, medgemma_version=version, scope=scope,
    )  # fmt: skip


def _gemma(size: str, revision: str | None, *, tuned: bool) -> ModelSpec:
    small = size in ("270m", "1b")
    # The 270M upload has no "-pt" suffix on its base model; the others do.
    name = f"gemma-3-{size}" + ("-it" if tuned else "" if size == "270m" else "-pt")
    return ModelSpec(
        name,
        f"google/{name}",
        revision,
        size.upper(),
        True,
        _GEMMA_TERMS,
        multimodal=not small,
        context=32_768 if small else 131_072,
        instruction_tuned=tuned,
        patient_care=False,
        scope=Scope(tasks=("ask",), note="A general model without medical tuning."),
    )


REGISTRY: tuple[ModelSpec, ...] = (
    ModelSpec(
        "aris-nano", "", None, "270M + 7M", False, "Gemma terms of use (NOTICE in the package)", True,
        context=32_768, patient_care=False, scope=_NANO,
    ),
    _medgemma("medgemma-4b-it", "290cda5eeccbee130f987c4ad74a59ae6f196408", "4B"),
    _medgemma("medgemma-4b-pt", None, "4B", instruction_tuned=False),
    _medgemma(
        "medgemma-1.5-4b-it", "e9792da5fb8ee651083d345ec4bce07c3c9f1641", "4B", _MEDGEMMA_1_5, "1.5", thinking=True
    ),
    _medgemma(
        "medgemma-27b-text-it", "5b667cf2ddcf064085bc90952edb35a0edbfb79c", "27B", _TEXT,
        multimodal=False, thinking=True,
    ),
    _medgemma("medgemma-27b-it", "2d3e00ea38b50018bf5dd3aa1009457cd2d5a48f", "27B", _MEDGEMMA_27B, thinking=True),
    ModelSpec(
        "medgemma-4b-it-bnb-4bit", "unsloth/medgemma-4b-it-bnb-4bit", None, "4B, NF4", False, _MEDGEMMA_TERMS, True,
        medgemma_version="1.0", scope=_MEDGEMMA,
    ),
    _gemma("270m", "9b0cfec892e2bc2afd938c98eabe4e4a7b1e0ca1", tuned=False),
    _gemma("270m", "ac82b4e820549b854eebf28ce6dedaf9fdfa17b3", tuned=True),
    _gemma("1b", "fcf18a2a879aab110ca39f8bffbccd5d49d8eb29", tuned=False),
    _gemma("1b", "dcc83ea841ab6100d6b47a070329e1ba4cf78752", tuned=True),
    _gemma("4b", "cc012e0a6d0787b4adcc0fa2c4da74402494554d", tuned=False),
    _gemma("4b", "093f9f388b31de276ce2de164bdc2081324b9767", tuned=True),
    _gemma("12b", "295efb63d01a7017928f273a94ebb86105c9526f", tuned=False),
    _gemma("12b", "96b6f1eccf38110c56df3a15bffe176da04bfd80", tuned=True),
    _gemma("27b", "9fe3c4ebc93fbadb14913801536d022054ef11cc", tuned=False),
    _gemma("27b", "005ad3404e59d6023443cb575daa05336842228a", tuned=True),
)  # fmt: skip


# Where a model that was made by tuning says what it was made of: in its config.json, and in a GGUF file's metadata.
TUNED_FROM = "_aris_tuned_from"
TUNED_FROM_KEY = "aris.tuned_from"


def tuned_from(name: object) -> ModelSpec | None:
    """The model that a tuned one says it was made of, where what is said of that one holds for it too.

    That a model is not for patients does; what a model was validated for, as MedGemma, does not hold for its tunes.
    """
    spec = find(name) if isinstance(name, str) else None
    return None if spec is None or spec.patient_care else spec


def similar(name: str) -> tuple[str, ...]:
    """Names of the registry that somebody may have meant, the nearest first; at most three, empty if none is near."""
    wanted = name.strip().lower().rpartition("/")[2]
    names = [spec.name for spec in REGISTRY]
    near = difflib.get_close_matches(wanted, names, n=3, cutoff=0.6)
    # What was left out of a name, as in "nano" or "medgemma-27b".
    near += [each for each in names if wanted and len(wanted) > 2 and (wanted in each or each in wanted)]
    return tuple(dict.fromkeys(near))[:3]


def did_you_mean(name: str) -> str:
    """" did you mean ...?" for the end of a message about a name that is not known; "" if nothing is near."""
    near = similar(name)
    return f"; did you mean {' or '.join(near)}?" if near else ""


def find(name: str) -> ModelSpec | None:
    """The model of a short name or hub id, in any case; None if there is none."""
    wanted = name.strip().lower()
    for spec in REGISTRY:
        if wanted in (spec.name, spec.repo.lower()):
            return spec
    return None
