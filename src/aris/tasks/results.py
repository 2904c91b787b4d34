"""What tasks return: typed, frozen, and the same in Python and as JSON."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer


class Result(BaseModel):
    """Base of all results. `forced` appears in JSON only where it is true."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_serializer(mode="wrap")
    def _drop_unforced(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        data: dict[str, Any] = handler(self)
        if data.get("forced") is False:
            del data["forced"]
        return data


class Finding(Result):
    """One named finding on one film.

    Attributes:
        name: as asked for, or as the model declares it.
        probability: 0 to 1; None where the finding was not assessed.
        assessed: whether it was.
        present: the probability against the model's operating point; None if not assessed, not calibrated, or too
            close to the operating point to be called.
        note: why it was not assessed, or what limits the number; may be empty.
        word: what the number says: "present", "not seen", "uncertain", "uncalibrated"; "" if there is none. Not in
            JSON.
    """

    name: str
    probability: float | None = Field(default=None, ge=0, le=1)
    assessed: bool
    present: bool | None = None
    note: str = ""
    word: str = Field(default="", exclude=True)


class FilmFindings(Result):
    """The findings of one film.

    Attributes:
        model, file: as the caller named them.
        findings: in the model's order, or the caller's.
        warnings: what a reader must know before the numbers.
        forced: the caller overrode the model's scope or the gate; the numbers are not evidence.
    """

    model: str
    file: str
    findings: tuple[Finding, ...]
    warnings: tuple[str, ...] = ()
    forced: bool = False


class Sections(Result):
    """The sections of a report."""

    findings: str = ""
    impression: str = ""


class ScoredFinding(Result):
    """A finding's name and probability, None if it was not assessed."""

    name: str
    probability: float | None = Field(default=None, ge=0, le=1)


class Draft(Result):
    """A draft report of one film. It is never more than a draft: `draft` is always true.

    Attributes:
        sections: both empty where the film is outside the model's scope.
        findings: what was scored before the text was written.
        warnings: of the film, of the scope, and of what is wrong with the text.
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
    timings: dict[str, float | None] = Field(default_factory=dict)
    forced: bool = False
    text: str = Field(default="", exclude=True)
    assessment: FilmFindings | None = Field(default=None, exclude=True)
    complete: bool = Field(default=True, exclude=True)


class Answer(Result):
    """The answer to one question.

    Attributes:
        files: the images, as the caller named them.
        thinking: the model's thoughts; None if there were none.
        finish_reason: "stop", "length" or "aborted".
        usage: counts of tokens and images; timings: seconds.
    """

    model: str
    files: tuple[str, ...]
    question: str
    answer: str
    thinking: str | None = None
    finish_reason: str
    warnings: tuple[str, ...] = ()
    usage: dict[str, int]
    timings: dict[str, float | None]
