"""/v1/completions, the legacy API: a prompt is continued as it stands, without a chat template."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, Field, model_validator

from aris.service.schemas.common import Sampling, Usage

TokenIds = Annotated[list[Annotated[int, Field(ge=0, strict=True)]], Field(min_length=1, fail_fast=True)]


class CompletionRequest(Sampling):
    """Request to continue one or several prompts, each a text or token ids."""

    neutral: ClassVar[Mapping[str, tuple[Any, ...]]] = {
        **Sampling.neutral,
        "add_special_tokens": (True,),
        "prompt_embeds": (),
        "prompt_logprobs": (),
        "suffix": ("",),
    }

    prompt: (
        str
        | Annotated[list[str], Field(min_length=1, fail_fast=True)]
        | TokenIds
        | Annotated[list[TokenIds], Field(min_length=1, fail_fast=True)]
    )
    max_tokens: int | None = Field(default=None, ge=0)
    echo: bool | None = None
    logprobs: int | None = Field(default=None, ge=0, le=20)
    best_of: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _consistent(self) -> CompletionRequest:
        if self.best_of is not None and self.best_of != (self.n or 1):
            raise ValueError("best_of is only supported where it equals n")
        if self.max_tokens == 0 and not self.echo:
            raise ValueError("max_tokens of 0 is only allowed when echo is true")
        return self

    @property
    def prompts(self) -> list[str | list[int]]:
        """Each prompt."""
        if isinstance(self.prompt, str):
            return [self.prompt]
        if all(isinstance(each, int) for each in self.prompt):
            return [[each for each in self.prompt if isinstance(each, int)]]
        return [each for each in self.prompt if not isinstance(each, int)]


class CompletionLogprobs(BaseModel):
    """The legacy form. The first token of an echoed prompt has none (null); `text_offset` counts characters."""

    text_offset: list[int]
    token_logprobs: list[float | None]
    tokens: list[str]
    top_logprobs: list[dict[str, float] | None] | None = None


class CompletionChoice(BaseModel):
    """Continuation, or a chunk's addition to it; `stop_reason` is the stop string or token that ended it (vLLM)."""

    index: int
    text: str
    logprobs: CompletionLogprobs | None = None
    finish_reason: Literal["stop", "length"] | None = None
    stop_reason: int | str | None = None


class Completion(BaseModel):
    """The whole response, or one event of a stream."""

    id: str
    object: Literal["text_completion"] = "text_completion"
    created: int
    model: str
    choices: list[CompletionChoice]
    usage: Usage | None = None
    system_fingerprint: str | None = None
