"""Results of tasks: typed, frozen, and the same in Python and as JSON."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, field_validator, model_serializer

Priority = Literal["routine", "urgent", "critical"]
# Stands at the head of whatever a model wrote and nobody has signed.
DRAFT_MARK = "DRAFT \u2014 not signed"


class Result(BaseModel):
    """Base of all results. `forced` and `instances` appear in JSON only where they are, `evidence` where asked for.

    `caution`, which most results have, must stand with all that a model writes which is not for patients, as "... never
    for patient care."; it is "" for other models, and then not in JSON.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_serializer(mode="wrap")
    def _drop_unforced(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        data: dict[str, Any] = handler(self)
        if data.get("forced") is False:
            del data["forced"]
        if data.get("evidence", ()) is None:
            del data["evidence"]
        if data.get("caution") == "":
            del data["caution"]
        if "instances" in data and not data["instances"]:
            del data["instances"]
        return data


class Finding(Result):
    """Finding by name on one film.

    Attributes:
        name: as asked for, or as the model declares it.
        probability: 0 to 1; None where the finding was not assessed.
        assessed: whether it was.
        present: the probability against the model's operating point; None if not assessed, not calibrated, or too
            close to the operating point to be called.
        note: why it was not assessed, or what limits the number; may be empty.
        word: what the number says: "present", "not seen", "uncertain", "uncalibrated"; "" if there is none. Not in
            JSON.
        over: whether the probability is at or over the operating point, called or not. Not in JSON.
    """

    name: str
    probability: float | None = Field(default=None, ge=0, le=1)
    assessed: bool
    present: bool | None = None
    note: str = ""
    word: str = Field(default="", exclude=True)
    over: bool = Field(default=False, exclude=True)


class Measurement(Result):
    """A measured quantity.

    Attributes:
        name: what was measured, as "long axis".
        value: in `unit`.
        unit: a UCUM code, as "mm", "mm2", "[hnsf'U]" or "1".
        note: what limits it, as "at the detector plane, uncalibrated"; may be empty.
    """

    name: str = Field(min_length=1)
    value: float = Field(allow_inf_nan=False)
    unit: str = Field(min_length=1, max_length=16, pattern=r"^[!-~]+$")
    note: str = ""


class Region(Result):
    """A box on one image.

    Attributes:
        label: what is there, as a finding's name.
        box: left, top, right, bottom in pixels of the image as it is stored; (0, 0) is the outer corner of the first
            pixel, as in DICOM's spatial coordinates (PS3.3 C.18.6).
        image: the image's SOP Instance UID; "" where there is one image only.
        frame: of a multi-frame image, from 1.
        probability: 0 to 1; None if there is none.
        measurements: of what is in the box.
        note: what limits the box, as "evidence of the model, no outline"; may be empty.
    """

    label: str = Field(min_length=1)
    box: tuple[float, float, float, float]
    image: str = ""
    frame: int | None = Field(default=None, ge=1)
    probability: float | None = Field(default=None, ge=0, le=1)
    measurements: tuple[Measurement, ...] = ()
    note: str = ""

    @field_validator("box")
    @classmethod
    def _ordered(cls, box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
        left, top, right, bottom = box
        if not (0 <= left < right < 1e6 and 0 <= top < bottom < 1e6):
            raise ValueError("a box is left, top, right, bottom in pixels, left < right and top < bottom")
        return box


class Evidence(Result):
    """Evidence on one image for a model's statement (see `tasks.evidence`). No outline, and no proof.

    Attributes:
        model, file: as the caller named them.
        about: a finding's name, or words of a draft.
        kind: which of the two.
        explains: whose score is explained, as 'the answer "Yes"'.
        assessed: whether there is a map; note: why there is none, or what limits it.
        probability: of a finding, 0 to 1; None if it has none.
        method: how the map was made.
        peak: column and row of the hottest place, in pixels of the image as it is stored.
        regions: boxes around the hot parts, the largest share first; none for a finding that is not seen.
        sides: of each region the patient's side: "left", "right", "midline", or "" where it cannot be told.
        shares: of each region its share of the relevance, 0 to 1.
        in_padding: share of the relevance that lay outside the image, where the model's input was padded.
        in_mask: share inside the mask that the caller gave; None if none was.
        map_file, overlay_file: where the map (float32 .npy) and its image (.png) were written.
        warnings: what a reader must know.
        forced: outside the model's declared scope.
        relevance: the map, float32 (H, W) over the stored pixels, at least 0, of sum 1. Not in JSON.
    """

    model: str
    file: str
    about: str
    kind: Literal["finding", "phrase"]
    explains: str = ""
    assessed: bool
    note: str = ""
    probability: float | None = Field(default=None, ge=0, le=1)
    method: str = ""
    peak: tuple[float, float] | None = None
    regions: tuple[Region, ...] = ()
    sides: tuple[str, ...] = ()
    shares: tuple[float, ...] = ()
    in_padding: float = 0.0
    in_mask: float | None = None
    map_file: str | None = None
    overlay_file: str | None = None
    warnings: tuple[str, ...] = ()
    forced: bool = False
    relevance: Any = Field(default=None, exclude=True, repr=False)


class FilmFindings(Result):
    """The findings of one film.

    Attributes:
        model, file: as the caller named them.
        findings: in the model's order, or the caller's.
        warnings: what a reader must know before the numbers.
        forced: the caller overrode the model's scope or the gate; the numbers are not evidence.
        evidence: where each score came from; None unless it was asked for.
    """

    model: str
    file: str
    findings: tuple[Finding, ...]
    warnings: tuple[str, ...] = ()
    forced: bool = False
    caution: str = ""
    evidence: tuple[Evidence, ...] | None = None


class Sections(Result):
    """The sections of a report, in its order.

    Attributes:
        examination, indication, technique, comparison: from headers and the order; never a model's words.
        findings, impression: what the model wrote.
    """

    examination: str = ""
    indication: str = ""
    technique: str = ""
    comparison: str = ""
    findings: str = ""
    impression: str = ""


class ScoredFinding(Result):
    """A finding as a draft's JSON has it.

    Attributes:
        name, present, note: as of a `Finding`.
        probability: 0 to 1; None if it was not assessed.
    """

    name: str
    probability: float | None = Field(default=None, ge=0, le=1)
    present: bool | None = None
    note: str = ""


class FailedCheck(Result):
    """Failure of a deterministic check of a draft.

    Attributes:
        check: its name, as "laterality".
        message: one line, which stands among the draft's warnings too.
        sentence: of the text, that it is about; "" where it is about several. Not in JSON.
    """

    check: str
    message: str
    sentence: str = Field(default="", exclude=True)


class SentenceConfidence(Result):
    """Confidence of the model in the words of a sentence (see `tasks.text.confidence`); not whether they are right.

    Attributes:
        section: "findings" or "impression".
        text: the sentence.
        mean_probability: geometric mean of its tokens' probabilities, 0 to 1.
        least_probability: of its least likely token.
        tokens: how many it has.
        marked: whether the mean is under the declared threshold.
    """

    section: str
    text: str
    mean_probability: float = Field(ge=0, le=1)
    least_probability: float = Field(ge=0, le=1)
    tokens: int = Field(ge=1)
    marked: bool


class Confidence(Result):
    """Confidence of a draft's sentences.

    Attributes:
        method: how a sentence's figure is made, and what it is not.
        mark_below: sentences under this mean are marked.
        sentences: in the text's order; empty where nothing is given.
        note: why nothing is given; "" where it is.
    """

    method: str
    mark_below: float
    sentences: tuple[SentenceConfidence, ...] = ()
    note: str = ""


class Draft(Result):
    """A draft report of one examination. It is never more than a draft: `draft` is always true.

    Attributes:
        sections: both empty where the film is outside the model's scope.
        findings: what was scored before the text was written.
        warnings: of the images, of the scope, and of what is wrong with the text.
        kind: of image, as in `scope.KINDS`.
        priority: "routine", "urgent" or "critical"; only ever raised, by a high-risk finding over its operating point
            or by the text.
        checks: which failed.
        evidence: where findings and words came from; None unless it was asked for.
        confidence: of each sentence; None where there is no text, or it was stopped.
        instances: SOP Instance UIDs of what it is about, where that is a part of the file's series only; else empty.
        timings: seconds, and `decode_tokens_per_s`; see `backends.Timings`.
        text: what the model wrote, before it was parsed. Not in JSON.
        assessment: the scored findings in full. Not in JSON.
        complete: whether the model ended the text itself. Not in JSON.
    """

    model: str
    file: str
    sections: Sections
    findings: tuple[ScoredFinding, ...]
    warnings: tuple[str, ...] = ()
    draft: Literal[True] = True
    kind: str = "chest film"
    priority: Priority = "routine"
    checks: tuple[FailedCheck, ...] = ()
    evidence: tuple[Evidence, ...] | None = None
    confidence: Confidence | None = None
    instances: tuple[str, ...] = ()
    timings: dict[str, float | None] = Field(default_factory=dict)
    forced: bool = False
    caution: str = ""
    text: str = Field(default="", exclude=True)
    assessment: FilmFindings | None = Field(default=None, exclude=True)
    complete: bool = Field(default=True, exclude=True)


class Answer(Result):
    """The answer to one question.

    Attributes:
        files: the images, as the caller named them.
        thinking: the model's reasoning; None if there was none.
        finish_reason: "stop", "length" or "aborted".
        answered: False where `answer` only says why the model cannot answer: the question or an image is outside its
            scope.
        usage: counts of tokens and images; timings: seconds.
    """

    model: str
    files: tuple[str, ...]
    question: str
    answer: str
    thinking: str | None = None
    finish_reason: str
    answered: bool = True
    warnings: tuple[str, ...] = ()
    usage: dict[str, int]
    timings: dict[str, float | None]
    forced: bool = False
    caution: str = ""


class Option(Result):
    """Option of a classification.

    Attributes:
        text: as it was given.
        logprob: natural log-probability of the whole option as the answer, normalised over the options; None where
            the answer was generated instead.
    """

    text: str
    logprob: float | None = Field(default=None, le=0)


class Classification(Result):
    """A choice among options.

    Attributes:
        options: in the order in which they were given.
        choice: the option chosen; None if a generated answer names none, or more than one.
        scored_by: "log-probability of the whole option" or "generated answer": figures of the two are not comparable.
        answer: what the model wrote; "" where options were scored.
    """

    model: str
    files: tuple[str, ...]
    question: str
    options: tuple[Option, ...]
    choice: str | None
    scored_by: Literal["log-probability of the whole option", "generated answer"]
    answer: str = ""
    warnings: tuple[str, ...] = ()
    forced: bool = False
    caution: str = ""


class DroppedRegion(Result):
    """A box of the model's answer that was not used, and why."""

    written: str
    reason: str


class Location(Result):
    """Location on one image.

    Attributes:
        regions: boxes in pixels of the image, with width and height in millimetres where the file says what a pixel is.
        sides: of each region the patient's side: "left", "right", "midline", or "" where it cannot be told.
        dropped: boxes that were not used.
        answer: what the model wrote.
    """

    model: str
    file: str
    target: str
    regions: tuple[Region, ...]
    sides: tuple[str, ...]
    dropped: tuple[DroppedRegion, ...] = ()
    answer: str
    warnings: tuple[str, ...] = ()
    forced: bool = False
    caution: str = ""


class Comparison(Result):
    """Two films of one patient compared.

    Attributes:
        prior, current: the files, in the order of their dates.
        days: between them; None where a file has no date.
        text: what the model wrote. A draft, as all that a model writes.
    """

    model: str
    prior: str
    current: str
    days: int | None
    text: str
    warnings: tuple[str, ...] = ()
    checks: tuple[FailedCheck, ...] = ()
    draft: Literal[True] = True
    forced: bool = False
    caution: str = ""
