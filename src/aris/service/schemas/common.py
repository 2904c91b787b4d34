"""What chat and legacy completions share."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

# The range of a seed: torch's generators take any 64-bit integer.
_SEED = 1 << 63


class Request(BaseModel):
    """Base of what callers send: unknown fields are ignored, values are checked strictly enough to give no surprise."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)


class StreamOptions(Request):
    """`include_usage`: one more chunk before the end, with the usage and no choices."""

    include_usage: bool = False


class TextFormat(Request):
    """Any text: the default."""

    type: Literal["text"]


class JsonObjectFormat(Request):
    """Any JSON object."""

    type: Literal["json_object"]


class JsonSchema(Request):
    """A schema and its name; `strict` changes nothing, as the answer is always held to the schema."""

    name: str = Field(default="response", max_length=64)
    description: str | None = None
    schema_: dict[str, Any] | None = Field(default=None, alias="schema")
    strict: bool | None = None


class JsonSchemaFormat(Request):
    """JSON that is valid under a schema."""

    type: Literal["json_schema"]
    json_schema: JsonSchema


ResponseFormat = Annotated[TextFormat | JsonObjectFormat | JsonSchemaFormat, Field(discriminator="type")]


class StructuredOutputs(Request):
    """vLLM's field of this name: the answer is held to a JSON schema, a regular expression, or one of some strings."""

    json_: dict[str, Any] | None = Field(default=None, alias="json")
    regex: str | None = Field(default=None, min_length=1)
    choice: list[Annotated[str, Field(min_length=1)]] | None = Field(default=None, min_length=1)

    @model_validator(mode="after")
    def _exactly_one(self) -> StructuredOutputs:
        if sum(each is not None for each in (self.json_, self.regex, self.choice)) != 1:
            raise ValueError("give exactly one of json, regex and choice")
        return self


StopString = Annotated[str, Field(min_length=1, max_length=1000)]


class Sampling(Request):
    """How to generate; the fields of both endpoints. `top_k`, `min_p` and `structured_outputs` are vLLM's."""

    unsupported: ClassVar[tuple[tuple[str, tuple[Any, ...]], ...]] = (
        ("frequency_penalty", (None, 0)),
        ("presence_penalty", (None, 0)),
        ("logit_bias", (None, {})),
    )

    model: str | None = None
    n: int | None = Field(default=None, ge=1, le=128)
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    top_k: int | None = Field(default=None, ge=-1)
    min_p: float | None = Field(default=None, ge=0, le=1)
    seed: int | None = Field(default=None, ge=-_SEED, lt=_SEED)
    stop: StopString | Annotated[list[StopString], Field(max_length=16)] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    structured_outputs: StructuredOutputs | None = None
    frequency_penalty: float | None = Field(default=None, ge=-2, le=2)
    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    logit_bias: dict[str, float] | None = None

    @model_validator(mode="after")
    def _refuse_unsupported(self) -> Sampling:
        for name, harmless in self.unsupported:
            if getattr(self, name) not in harmless:
                raise ValueError(f"{name} is not supported by this server; leave it out")
        if self.stream_options is not None and not self.stream:
            raise ValueError("stream_options is only allowed when stream is true")
        return self

    @property
    def stop_strings(self) -> tuple[str, ...]:
        """The stop strings, however they were given."""
        if self.stop is None:
            return ()
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop)

    @property
    def includes_usage(self) -> bool:
        """Whether the stream ends with a chunk of usage."""
        return self.stream_options is not None and self.stream_options.include_usage


class Usage(BaseModel):
    """Counts of tokens. An image counts as the tokens that it takes in the prompt."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class Error(BaseModel):
    """What went wrong; `param` is the field, `code` a word for programs."""

    message: str
    type: str
    param: str | None = None
    code: str | None = None


class ErrorResponse(BaseModel):
    """The body of every status of 400 and above."""

    error: Error


class ModelCard(BaseModel):
    """One model.

    Attributes:
        max_model_len: tokens that it reads and writes at most (vLLM's field).
        parent: for an adapter, the model that it is on (vLLM's field).
        aris: what Aris' own clients ask for besides: the registry's name of the model, whether it reads images, its
            calibration, and what was done to its weights.
    """

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = "aris"
    max_model_len: int | None = None
    parent: str | None = None
    aris: dict[str, Any] = Field(default_factory=dict)


class ModelList(BaseModel):
    """All models that are served: one, and it with each of its adapters."""

    object: Literal["list"] = "list"
    data: list[ModelCard]
